"""``npdsconv bench roofline``: what each op attains, beside what this machine can do at all.

A loop that does `intensity` operations for each byte it moves can be no faster than the smaller of two ceilings: the
machine's peak, and its bandwidth times the intensity. Bytes are counted as if each array were moved once, to and from
main memory; what finds its data in a cache, or moves it twice, lies above or below.
"""

from typing import Any

from npdsconv.bench.ops import DEPTHWISE, LARGE
from npdsconv.bench.process import Process
from npdsconv.bench.workloads import Workload, op


def workloads() -> list[Workload]:
    """Ops from both ends: depthwise, bound by memory, and the matrix products, bound by arithmetic."""
    return [
        *(op("depthwise", "forward", shape, stride=stride) for shape, stride in DEPTHWISE),
        *(op("depthwise", part, LARGE, label="large") for part in ("forward", "dx", "dw")),
        op("depthwise", "forward", LARGE, kernel=5, label="large"),
        op("pointwise", "forward", (16, 32, 112, 112), outputs=64, kernel=1, label="large"),
        op("pointwise", "forward", (128, 64, 14, 14), kernel=1),
        op("pointwise", "forward", (128, 128, 7, 7), kernel=1),
        op("standard", "forward", (32, 64, 28, 28)),
        op("separable", "both", (32, 64, 28, 28)),
    ]


def ceilings(threads: int) -> dict[str, float]:
    """Copy bandwidth in bytes a second, and the FLOPs a second of a large matrix product, on so many threads."""
    with Process("machine", threads) as process:
        return process.ask("measure", what="copy") | process.ask("measure", what="product")


def attained(row: dict[str, Any], ceiling: dict[str, float]) -> dict[str, float]:
    """Where an op lies: FLOPs a byte, FLOPs and bytes a second, and its share of the lower ceiling."""
    seconds, intensity = row["times"][0]["median"], row["flops"] / row["bytes"]
    bound = min(ceiling["flops_per_second"], intensity * ceiling["bytes_per_second"])
    rate = row["flops"] / seconds
    return {
        "intensity": intensity,
        "flops_per_second": rate,
        "bytes_per_second": row["bytes"] / seconds,
        "share": rate / bound,
    }
