"""Running subcommands one after the other: what is printed, and the report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npdsconv.bench import inference, machine, memory, ops, table, training
from npdsconv.bench.measuring import Arena
from npdsconv.bench.opponents import require
from npdsconv.bench.workloads import Workload


def run(
    chosen: Sequence[str],
    *,
    against: Sequence[str] = (),
    threads: Sequence[int] | None = None,
    seconds: float = 4.0,
    only: str = "",
    impls: Sequence[str] = ("numba",),
    epoch: bool = False,
) -> dict[str, Any]:
    """Measure and print; the report.

    Parameters
    ----------
    chosen : some of "ops", "train", "inference"
    against : names of `opponents.OPPONENTS`
    threads : numbers of threads, one after the other; None: as many as there are cores
    seconds : for each row, all libraries together
    only : rows whose name contains this
    impls : tiers of npdsconv; the first one is compared
    epoch : whether "train" measures a whole epoch too

    Raises
    ------
    ValueError
        A library is not installed, no row is left, or a number cannot be right.
    """
    for name in against:
        require(name)
    if not seconds > 0:
        raise ValueError(f"bench: --seconds must be above 0, got {seconds:g}")
    counts = list(threads or [machine.cores()])
    tables = {what: _workloads(what, only, epoch) for what in chosen}
    if not any(tables.values()):
        raise ValueError(f"bench: no row of {', '.join(chosen)} contains {only!r}")
    report: dict[str, Any] = {"machine": machine.describe(), "seconds": seconds, "threads": counts}
    print(_preamble(report))
    for what, rows in tables.items():
        report[what] = {"rows": []}
        for n in counts:
            report[what]["rows"] += _measure(what, rows, Arena(against, n, impls), seconds, report)
        if what == "train":
            report[what]["memory"] = _memory(against, counts, rows)
    return report


def _workloads(what: str, only: str, epoch: bool) -> list[Workload]:
    rows = {
        "ops": ops.workloads,
        "train": lambda: training.workloads(epoch=epoch),
        "inference": inference.workloads,
    }[what]()
    return [w for w in rows if only in w.name]


def _preamble(report: dict[str, Any]) -> str:
    m = report["machine"]
    load = f"; load {m['load'][0]:.2f}" if m["load"] else ""
    return (
        f"{m['processor']}, {m['cores']} cores{load}; medians (quartiles) of calls in turns, each library in its own "
        f"process;\ncompiling and warming up are not counted; ratio: npdsconv's time / the other's, below 1 we are faster"
    )


def _measure(
    what: str, rows: Sequence[Workload], arena: Arena, seconds: float, report: dict[str, Any]
) -> list[dict[str, Any]]:
    if not rows:
        return []
    width = max(len(w.name) for w in rows)
    against = [name for name in arena.against if len(arena.contestants(rows[0].kind)) > len(arena.impls)]
    print(f"\n{what}, {arena.threads} thread{'s' * (arena.threads > 1)}")
    print(table.header(against, arena.impls, width), flush=True)
    found = []
    with arena.open():
        report["machine"]["versions"] |= arena.versions
        for workload in rows:
            found.append(arena.measure(workload, seconds))
            print(table.line(found[-1], against, width), flush=True)
    return found


def _memory(against: Sequence[str], counts: Sequence[int], rows: Sequence[Workload]) -> list[dict[str, Any]]:
    if not memory.available():
        print("\npeak memory: not measured, since only Linux tells it (/proc/self/clear_refs)")
        return []
    found = [row for n in counts for row in training.peaks(against, n, rows)]
    if found:
        print("\npeak memory of a training step, each in a fresh process")
    for row in found:
        cells = [f"{p['library']} {p['variant']} {p['bytes'] / 1e6:.1f} MB" for p in row["peaks"]]
        print(f"{row['workload']}, {row['threads']} threads: {', '.join(cells)}", flush=True)
    return found


def write(report: dict[str, Any], folder: str) -> list[Path]:
    """Write the report as JSON; the paths of what was written."""
    path = Path(folder) / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    return [path]
