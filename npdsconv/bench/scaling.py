"""``npdsconv bench scaling``: time against each size, standard against depthwise separable convolution.

Both are measured forward and backward (all gradients), with nothing between the depthwise and the pointwise step.
"""

from typing import Any

from npdsconv.bench.measuring import Arena, Entry
from npdsconv.bench.statistics import crossover
from npdsconv.bench.workloads import op

BASE = {"channels": 64, "resolution": 28, "batch": 32, "kernel": 3}
SWEEPS: dict[str, tuple[int, ...]] = {
    "channels": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "resolution": (4, 7, 14, 28, 56, 112),
    "batch": (1, 2, 4, 8, 16, 32, 64, 128),
    "kernel": (1, 2, 3, 5, 7, 9),
}
KINDS = ("standard", "separable")


def point(arena: Arena, quantity: str, value: int, seconds: float) -> dict[str, Any]:
    """Both kinds of convolution at one size, in turns."""
    sizes = BASE | {quantity: value}
    c, side = sizes["channels"], sizes["resolution"]
    shape = (sizes["batch"], c, side, side)
    entries = [
        Entry("npdsconv", arena.impls[0], op(kind, "both", shape, kernel=sizes["kernel"])) for kind in KINDS
    ]
    timings, others = arena.take_turns(entries, seconds)
    found: dict[str, Any] = {"value": value, "others": others}
    for kind, entry, timing in zip(KINDS, entries, timings, strict=True):
        found[kind] = {**timing.as_dict(), "flops": entry.workload.flops}
    return found


def sweep(quantity: str, threads: int, points: list[dict[str, Any]]) -> dict[str, Any]:
    """The points of one quantity, and where the two kinds take the same time."""
    values = [p["value"] for p in points]
    ratios = [p["separable"]["median"] / p["standard"]["median"] for p in points]
    base = {name: size for name, size in BASE.items() if name != quantity}
    return {
        "quantity": quantity,
        "threads": threads,
        "base": base,
        "points": points,
        "crossover": crossover(values, ratios),
    }
