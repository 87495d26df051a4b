"""``npdsconv bench train``: a training step of whole networks, Adam included, and the memory it takes."""

from collections.abc import Sequence
from typing import Any

from npdsconv.bench import memory
from npdsconv.bench.opponents import Column, columns
from npdsconv.bench.process import Process
from npdsconv.bench.workloads import NETWORKS, Workload, on_network


def workloads(*, epoch: bool = False) -> list[Workload]:
    """A step of each network; with `epoch`, also one epoch of the small one over 60,000 images."""
    steps = [on_network(name, "train") for name in NETWORKS]
    return [*steps, on_network("separable_cnn ×0.41", "epoch")] if epoch else steps


def peaks(
    against: Sequence[str], threads: int, chosen: Sequence[Workload], impl: str = "numba"
) -> list[dict[str, Any]]:
    """Peak memory of a training step, each measured in a fresh process; nothing where the system cannot tell."""
    if not memory.available():
        return []
    rows = []
    for workload in chosen:
        if workload.kind != "train":
            continue
        found = []
        for library in ("npdsconv", *against):
            ways = columns(library, "train") if library != "npdsconv" else {"": Column((impl,))}
            for variant in dict.fromkeys(v for way in ways.values() for v in way.variants):
                with Process(library, threads, keep=False) as process:
                    peak = process.ask("peak", workload=workload.as_dict(), variant=variant)
                found.append({"library": library, "variant": variant, "bytes": peak["growth"]})
        rows.append({"workload": workload.name, "threads": threads, "peaks": found})
    return rows
