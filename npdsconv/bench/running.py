"""Running subcommands one after the other: what is printed, and the report."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npdsconv import disk, text
from npdsconv.bench import inference, machine, ops, roofline, scaling, table, training
from npdsconv.bench.measuring import Arena
from npdsconv.bench.opponents import require
from npdsconv.bench.workloads import Workload
from npdsconv.runs import peak_memory

SCALING = (">10", ">25", ">25", ">5", ">13")  # the columns of a sweep
BUSY = 0.05  # share of the cores taken by others, above which figures are not to be trusted


class Run:
    """One run of the command: the settings, and the report as it grows.

    Parameters
    ----------
    against : names of `opponents.OPPONENTS`
    threads : numbers of threads, one after the other; None: as many as there are cores
    seconds : for each row, all libraries together
    only : rows whose name contains this
    impls : tiers of npdsconv; the first one is compared
    epoch : whether "train" measures a whole epoch too
    keep : whether freed memory is kept, in all processes; the report says so

    Raises
    ------
    ValueError
        A library is not installed, or a number cannot be right.
    """

    def __init__(
        self,
        *,
        against: Sequence[str] = (),
        threads: Sequence[int] | None = None,
        seconds: float = 4.0,
        only: str = "",
        impls: Sequence[str] = ("numba",),
        epoch: bool = False,
        keep: bool = True,
    ) -> None:
        for name in against:
            require(name)
        if not 0 < seconds < math.inf:
            raise ValueError(f"bench: --seconds must be above 0 and finite, got {seconds:g}")
        self.threads = list(threads or [machine.cores()])
        for n in self.threads:
            if not 1 <= n <= machine.cores():
                raise ValueError(
                    f"bench: --threads must be from 1 to {machine.cores()}, the cores of this machine, got {n}"
                )
        self.against, self.seconds, self.only, self.impls = list(against), seconds, only, list(impls)
        self.epoch, self.keep = epoch, keep
        self.report: dict[str, Any] = {
            "machine": machine.describe(),
            "seconds": seconds,
            "threads": self.threads,
            "memory_kept": keep,
        }

    def run(self, chosen: Sequence[str]) -> dict[str, Any]:
        """Measure and print; the report.

        Parameters
        ----------
        chosen : some of `COMMANDS`
        """
        print(self._preamble())
        for name in chosen:
            self.report[name] = COMMANDS[name](self)
        sections = [self.report[name] for name in chosen]
        if not any(section.get("rows") or section.get("sweeps") for section in sections):
            raise ValueError(f"bench: no row of {', '.join(chosen)} contains {self.only!r}")
        return self.report

    def _preamble(self) -> str:
        m = self.report["machine"]
        load = f"; load {m['load'][0]:.2f}" if m["load"] else ""
        return (
            f"{m['processor']}, {m['cores']} cores{load}. Medians (quartiles) of calls in turns, each library in a "
            f"process\nof its own; compiling and warming up are not counted. ratio = npdsconv's time / the other's: "
            f"below 1, npdsconv is faster."
        )

    # ---- the commands ----

    def ops(self) -> dict[str, Any]:
        return {"rows": self._rows("ops", ops.workloads())}

    def train(self) -> dict[str, Any]:
        rows = training.workloads(epoch=self.epoch)
        return {"rows": self._rows("train", rows), "memory": self._memory(self._chosen(rows))}

    def inference(self) -> dict[str, Any]:
        print("\ninference: npdsconv's networks have batch norm folded into the convolutions")
        return {"rows": self._rows("inference", inference.workloads())}

    def roofline(self) -> dict[str, Any]:
        section: dict[str, Any] = {"ceilings": [], "rows": []}
        for n in self.threads:
            ceiling = {"threads": n, **roofline.ceilings(n)}
            section["ceilings"].append(ceiling)
            print(
                f"\nceilings, {_threads(n)}: {ceiling['flops_per_second'] / 1e9:.0f} GFLOP/s (matrix product), "
                f"{ceiling['bytes_per_second'] / 1e9:.1f} GB/s (copy)"
            )
            rows = self._rows("roofline", roofline.workloads(), threads=[n], against=[])
            width = max((len(row["workload"]) for row in rows), default=0)
            columns = (f"<{width}", ">10", ">7", ">6", ">20")
            head = ("", "FLOPs/byte", "GFLOP/s", "GB/s", "of the lower ceiling")
            print("\n" + text.line(head, columns) if rows else "")
            for row in rows:
                row["attained"] = a = roofline.attained(row, ceiling)
                speed, traffic = a["flops_per_second"] / 1e9, a["bytes_per_second"] / 1e9
                cells = (f"{a['intensity']:.2f}", f"{speed:.1f}", f"{traffic:.1f}", f"{a['share']:.0%}")
                print(text.line((row["workload"], *cells), columns))
            section["rows"] += rows
        return section

    def scaling(self) -> dict[str, Any]:
        quantities = [name for name in scaling.SWEEPS if self.only in name]
        sweeps: list[dict[str, Any]] = []
        for n in self.threads if quantities else ():
            print(f"\nscaling, {_threads(n)}: forward and all gradients")
            with Arena([], n, self.impls, keep=self.keep).open() as arena:
                sweeps += [self._sweep(arena, n, quantity) for quantity in quantities]
        return {"sweeps": sweeps}

    def _sweep(self, arena: Arena, threads: int, quantity: str) -> dict[str, Any]:
        print(text.line((quantity, "standard", "separable", "ratio", "multiply-adds"), SCALING))
        points = []
        for value in scaling.SWEEPS[quantity]:
            points.append(scaling.point(arena, quantity, value, self.seconds))
            print(_scaling_line(points[-1]), flush=True)
        found = scaling.sweep(quantity, threads, points)
        equal = found["crossover"]
        print(f"{'':10}  " + (f"equal at {equal:.3g}" if equal else "no crossover"))
        return found

    # ---- what they share ----

    def _chosen(self, rows: Sequence[Workload]) -> list[Workload]:
        return [w for w in rows if self.only in w.name]

    def _rows(
        self,
        title: str,
        workloads: Sequence[Workload],
        *,
        threads: Sequence[int] | None = None,
        against: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        workloads = self._chosen(workloads)
        for n in (threads or self.threads) if workloads else ():
            with Arena(
                self.against if against is None else against, n, self.impls, keep=self.keep
            ).open() as arena:
                found += self._table(f"{title}, {_threads(n)}", arena, workloads)
        return found

    def _table(self, title: str, arena: Arena, workloads: Sequence[Workload]) -> list[dict[str, Any]]:
        columns, width = arena.columns(workloads[0].kind), max(len(w.name) for w in workloads)
        rates = any(w.bytes for w in workloads)
        print(f"\n{title}\n{table.header(columns, arena.impls, width, rates=rates)}", flush=True)
        found = []
        for workload in workloads:
            found.append(arena.measure(workload, self.seconds))
            print(table.line(found[-1], columns, width), flush=True)
        self.report["machine"]["versions"] |= arena.versions
        others = [row["others"] for row in found if row["others"] is not None]
        if others and max(others) > BUSY:
            print(
                f"other programs took up to {max(others):.0%} of the cores during a row: "
                f"measure again on a quiet machine"
            )
        return found

    def _memory(self, workloads: Sequence[Workload]) -> list[dict[str, Any]]:
        if not peak_memory.available():
            print("\npeak memory: not measured; only Linux tells it (/proc/self/clear_refs)")
            return []
        found = [
            row for n in self.threads for row in training.peaks(self.against, n, workloads, self.impls[0])
        ]
        if found:
            print("\npeak memory of a training step, medians of fresh, warmed processes")
        for row in found:
            cells = [f"{p['library']} {p['variant']} {p['bytes'] / 1e6:.1f} MB" for p in row["peaks"]]
            print(f"{row['workload']}, {_threads(row['threads'])}: {', '.join(cells)}", flush=True)
        return found


COMMANDS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "ops": Run.ops,
    "train": Run.train,
    "inference": Run.inference,
    "roofline": Run.roofline,
    "scaling": Run.scaling,
}


def _threads(n: int) -> str:
    return f"{n} thread{'s' if n > 1 else ''}"


def _scaling_line(point: dict[str, Any]) -> str:
    standard, separable = point["standard"], point["separable"]
    ratio, counted = (separable[name] / standard[name] for name in ("median", "flops"))
    times = (table.between(standard), table.between(separable))
    return text.line((point["value"], *times, f"{ratio:.2f}", counted), SCALING)


def write(report: dict[str, Any], folder: str) -> list[Path]:
    """Write the report as JSON and what it holds as figures; the paths of what was written."""
    path = Path(folder) / "bench.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.replacing(path) as file:
            file.write(json.dumps(report, indent=1).encode() + b"\n")
    except OSError as error:
        raise type(error)(f"bench: cannot write {path}: {error.strerror or error}") from None
    return [path, *draw(report, path.parent)]


def draw(report: Mapping[str, Any], folder: Path, prefix: str = "") -> list[Path]:
    """Write a figure for each section that has one, as ``PREFIX`` + ``SECTION.png``; the paths of what was written."""
    from npdsconv import plots

    written = []
    for name, figure in (("roofline", plots.roofline), ("scaling", plots.scaling)):
        if name in report and (report[name].get("rows") or report[name].get("sweeps")):
            written.append(folder / f"{prefix}{name}.png")
            plots.save(figure(report), written[-1])
    return written
