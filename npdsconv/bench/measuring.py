"""Taking turns: contestants run their blocks one after the other, round by round."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from npdsconv.bench.opponents import variants
from npdsconv.bench.process import Process
from npdsconv.bench.statistics import Spread, ratio, spread
from npdsconv.bench.workloads import Workload

ROUNDS = 9  # at most; at least three
SAMPLE = 1e-3  # seconds that a timed sample lasts at least
REST = 0.02  # seconds of rest between two blocks, in which the threads of the last one fall asleep


class Plan(NamedTuple):
    """How a workload is timed, for every contestant the same number of rounds."""

    rounds: int
    samples: int  # in a block
    calls: int  # in a sample
    lead_in: bool  # whether a block begins with untimed calls


def plan(call: float, seconds: float, contestants: int, slowest: float) -> Plan:
    """Rounds, samples and calls that fill `seconds`, for a contestant whose call takes `call` seconds.

    Parameters
    ----------
    call : seconds of one call of this contestant
    seconds : for all contestants and rounds together
    contestants : how many take turns
    slowest : seconds of one call of the slowest contestant
    """
    rounds = max(3, min(ROUNDS, int(seconds / (contestants * slowest))))
    calls = max(1, math.ceil(SAMPLE / call))
    share = seconds / (rounds * contestants)
    samples = max(1, min(200, round(share / (call * calls))))
    return Plan(rounds, samples, calls, lead_in=slowest < 1)


@dataclass
class Timing:
    """What one contestant took for a workload."""

    library: str
    variant: str
    first: float  # seconds of the very first call, compiling included
    call: float  # an estimate, from warming up
    blocks: list[list[float]] = field(default_factory=list)  # seconds of each sample, round by round

    @property
    def spread(self) -> Spread:
        return spread([s for block in self.blocks for s in block])

    def as_dict(self) -> dict[str, Any]:
        samples = sum(map(len, self.blocks))
        return {
            "library": self.library,
            "variant": self.variant,
            **self.spread._asdict(),
            "rounds": len(self.blocks),
            "samples": samples,
        }


class Arena:
    """The processes of all libraries that take part, with one number of threads.

    Parameters
    ----------
    against : names of other libraries
    threads : int
    impls : tiers of npdsconv that take part
    """

    def __init__(self, against: Sequence[str], threads: int, impls: Sequence[str] = ("numba",)) -> None:
        self.against, self.threads, self.impls = tuple(against), threads, tuple(impls)
        self.versions: dict[str, str] = {}
        self._processes: dict[str, Process] = {}

    @contextmanager
    def open(self) -> Iterator["Arena"]:
        """Start the processes, and end them afterwards."""
        with ExitStack() as stack:
            for library in ("npdsconv", *self.against):
                process = stack.enter_context(Process(library, self.threads))
                self._processes[library] = process
                self.versions |= process.versions
            yield self

    def contestants(self, kind: str) -> list[tuple[str, str]]:
        """(library, variant) of all that take part in a kind of workload."""
        own = [("npdsconv", impl) for impl in self.impls]
        return own + [(name, variant) for name in self.against for variant in variants(name, kind)]

    def measure(self, workload: Workload, seconds: float) -> dict[str, Any]:
        """Time one workload; the row of the report."""
        timings = [self._ready(workload, *contestant) for contestant in self.contestants(workload.kind)]
        slowest = max(t.call for t in timings)
        plans = [plan(t.call, seconds, len(timings), slowest) for t in timings]
        for _ in range(plans[0].rounds):
            for timing, p in zip(timings, plans, strict=True):
                time.sleep(REST)
                block = self._processes[timing.library].ask(
                    "run", slot=timing.variant, samples=p.samples, calls=p.calls, lead_in=p.lead_in
                )
                timing.blocks.append(block)
        for process in self._processes.values():
            process.ask("drop")
        return row(workload, self.threads, timings)

    def _ready(self, workload: Workload, library: str, variant: str) -> Timing:
        took = self._processes[library].ask(
            "build", slot=variant, workload=workload.as_dict(), variant=variant
        )
        return Timing(library, variant, took["first"], took["call"])


def row(workload: Workload, threads: int, timings: Sequence[Timing]) -> dict[str, Any]:
    """What the report says of one workload.

    Of npdsconv's tiers the first that takes part is compared; of another library, its fastest variant.
    """
    mine = timings[0]
    ratios = {}
    for library in dict.fromkeys(t.library for t in timings if t.library != mine.library):
        fastest = min((t for t in timings if t.library == library), key=lambda t: t.spread.median)
        value, q1, q3 = ratio(mine.blocks, fastest.blocks)
        ratios[library] = {"variant": fastest.variant, "ratio": value, "q1": q1, "q3": q3}
    return {
        "workload": workload.name,
        "kind": workload.kind,
        "settings": workload.settings,
        "threads": threads,
        "flops": workload.flops,
        "bytes": workload.bytes,
        "times": [t.as_dict() for t in timings],
        "ratios": ratios,
    }
