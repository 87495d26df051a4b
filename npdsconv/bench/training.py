"""``npdsconv bench train``: a training step of whole networks, Adam included, and the memory it takes."""

import statistics
from collections.abc import Sequence
from typing import Any

from npdsconv.bench.opponents import Column, columns
from npdsconv.bench.process import Process
from npdsconv.bench.workloads import NETWORKS, Workload, on_network
from npdsconv.runs import peak_memory

REPEATS = 3  # processes for each peak: how a heap is laid out differs from one to the next


def workloads(*, epoch: bool = False) -> list[Workload]:
    """A step of each network; with `epoch`, also one epoch of the small one over 60,000 images."""
    steps = [on_network(name, "train") for name in NETWORKS]
    return [*steps, on_network("separable_cnn ×0.41", "epoch")] if epoch else steps


def peaks(
    against: Sequence[str], threads: int, chosen: Sequence[Workload], impl: str = "numba"
) -> list[dict[str, Any]]:
    """Peak memory of a training step, the median over fresh processes; nothing where the system cannot tell."""
    if not peak_memory.available():
        return []
    rows = []
    for workload in chosen:
        if workload.kind != "train":
            continue
        found = []
        for library in ("npdsconv", *against):
            ways = columns(library, "train") if library != "npdsconv" else {"": Column((impl,))}
            for variant in dict.fromkeys(v for way in ways.values() for v in way.variants):
                sizes = [_peak(library, variant, threads, workload) for _ in range(REPEATS)]
                found.append(
                    {
                        "library": library,
                        "variant": variant,
                        "bytes": statistics.median(sizes),
                        "least": min(sizes),
                        "most": max(sizes),
                    }
                )
        rows.append({"workload": workload.name, "threads": threads, "peaks": found})
    return rows


def _peak(library: str, variant: str, threads: int, workload: Workload) -> int:
    """Growth in bytes. Freed memory is given back in this process: what was kept would hide the growth."""
    with Process(library, threads, keep=False) as process:
        return process.ask("peak", workload=workload.as_dict(), variant=variant)["growth"]
