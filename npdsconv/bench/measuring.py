"""Taking turns: contestants run their blocks one after the other, round by round."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from npdsconv.bench.opponents import columns
from npdsconv.bench.process import Process
from npdsconv.bench.quiet import Watch
from npdsconv.bench.statistics import Spread, ratio, spread
from npdsconv.bench.workloads import Workload

ROUNDS = 9  # at most; at least three
SAMPLE = 1e-3  # seconds that a timed sample lasts at least
REST = 0.02  # seconds of rest between two blocks, in which the threads of the last one fall asleep


class Plan(NamedTuple):
    """How a contestant is timed; the rounds are the same for all."""

    rounds: int
    samples: int  # in a block
    calls: int  # in a sample
    lead_in: bool  # whether a block begins with untimed calls


def plans(calls: Sequence[float], seconds: float) -> list[Plan]:
    """Rounds, samples and calls that fill `seconds`, all contestants and rounds together.

    Parameters
    ----------
    calls : seconds of one call of each contestant
    seconds : to fill; at least three rounds of one call each are made, however long they take
    """
    slowest = max(calls)
    rounds = max(3, min(ROUNDS, int(seconds / (len(calls) * slowest))))
    share = seconds / (rounds * len(calls))
    found = []
    for call in calls:
        inner = max(1, math.ceil(SAMPLE / call))
        samples = max(1, min(200, round(share / (call * inner))))
        found.append(Plan(rounds, samples, inner, lead_in=slowest < 1))
    return found


class Entry(NamedTuple):
    """A contestant: who does what, and under which heading it stands in the table."""

    library: str
    variant: str
    workload: Workload
    column: str = "npdsconv"
    keep: bool = True  # whether its process keeps freed memory


@dataclass
class Timing:
    """What one contestant took."""

    entry: Entry
    first: float  # seconds of the very first call, compiling included
    call: float  # an estimate, from warming up
    blocks: list[list[float]] = field(default_factory=list)  # seconds of each sample, round by round

    @property
    def spread(self) -> Spread:
        return spread([s for block in self.blocks for s in block])

    def as_dict(self) -> dict[str, Any]:
        return {
            "library": self.entry.library,
            "variant": self.entry.variant,
            "column": self.entry.column,
            **self.spread._asdict(),
            "best": min(min(block) for block in self.blocks),
            "rounds": len(self.blocks),
            "samples": sum(map(len, self.blocks)),
        }


class Arena:
    """The processes of all libraries that take part, with one number of threads.

    Parameters
    ----------
    against : names of other libraries
    threads : int
    impls : tiers of npdsconv that take part
    keep : whether processes keep freed memory; if not, none does
    """

    def __init__(
        self, against: Sequence[str], threads: int, impls: Sequence[str] = ("numba",), *, keep: bool = True
    ) -> None:
        self.against, self.threads, self.impls, self.keep = tuple(against), threads, tuple(impls), keep
        self.versions: dict[str, str] = {}
        self._processes: dict[tuple[str, str], Process] = {}
        self._stack = ExitStack()

    @contextmanager
    def open(self) -> Iterator["Arena"]:
        """Processes are started when they are first needed; here they end."""
        with self._stack:
            yield self

    def _process(self, entry: Entry) -> Process:
        # As the C library manages freed memory by itself, what one variant allocates changes how another one fares.
        key = entry.library, "" if entry.keep else entry.variant
        if key not in self._processes:
            process = self._stack.enter_context(Process(entry.library, self.threads, keep=entry.keep))
            self._processes[key] = process
            self.versions |= process.versions
        return self._processes[key]

    def columns(self, kind: str) -> list[str]:
        """Headings of what npdsconv is compared with: its other tiers, and the opponents that run this kind."""
        return [f"npdsconv {impl}" for impl in self.impls[1:]] + [
            heading
            for name in self.against
            for heading, column in columns(name, kind).items()
            if column.keep
            or self.keep  # where nobody keeps memory, the column without keeping says nothing new
        ]

    def measure(self, workload: Workload, seconds: float) -> dict[str, Any]:
        """Time one workload, in all libraries that run it; the row of the report."""
        own = dict(
            zip(self.impls, ["npdsconv", *(f"npdsconv {impl}" for impl in self.impls[1:])], strict=True)
        )
        entries = [Entry("npdsconv", impl, workload, heading, self.keep) for impl, heading in own.items()]
        wanted = self.columns(workload.kind)
        for name in self.against:
            for heading, column in columns(name, workload.kind).items():
                if heading in wanted:
                    keep = column.keep and self.keep
                    entries += [Entry(name, v, workload, heading, keep) for v in column.variants]
        timings, others = self.take_turns(entries, seconds)
        return row(workload, self.threads, timings, others)

    def take_turns(self, entries: Sequence[Entry], seconds: float) -> tuple[list[Timing], float | None]:
        """Time contestants block by block; also what share of the cores other programs took meanwhile."""
        timings = [self._ready(k, entry) for k, entry in enumerate(entries)]
        watch = Watch([process.pid for process in self._processes.values()])
        chosen = plans([t.call for t in timings], seconds)
        for _ in range(chosen[0].rounds):
            for k, (timing, plan) in enumerate(zip(timings, chosen, strict=True)):
                time.sleep(REST)
                process = self._process(timing.entry)
                asked = {"samples": plan.samples, "calls": plan.calls, "lead_in": plan.lead_in}
                timing.blocks.append(process.ask("run", slot=str(k), **asked))
        others = watch.others()
        for process in self._processes.values():
            process.ask("drop")
        return timings, others

    def _ready(self, k: int, entry: Entry) -> Timing:
        took = self._process(entry).ask(
            "build", slot=str(k), workload=entry.workload.as_dict(), variant=entry.variant
        )
        return Timing(entry, took["first"], took["call"])


def row(
    workload: Workload, threads: int, timings: Sequence[Timing], others: float | None = None
) -> dict[str, Any]:
    """What the report says of one workload.

    The first of npdsconv's tiers is compared with all else; of the variants under one heading, the fastest.
    """
    mine = timings[0]
    ratios = {}
    for column in dict.fromkeys(t.entry.column for t in timings if t.entry.column != mine.entry.column):
        fastest = min((t for t in timings if t.entry.column == column), key=lambda t: t.spread.median)
        value, q1, q3 = ratio(mine.blocks, fastest.blocks)
        ratios[column] = {"variant": fastest.entry.variant, "ratio": value, "q1": q1, "q3": q3}
    return {
        "workload": workload.name,
        "kind": workload.kind,
        "settings": workload.settings,
        "threads": threads,
        "flops": workload.flops,
        "bytes": workload.bytes,
        "times": [t.as_dict() for t in timings],
        "ratios": ratios,
        "others": others,
    }
