"""One library in one process: the side that answers. ``python -m npdsconv.bench.worker LIBRARY THREADS KEEP``."""

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from npdsconv.bench import machine, own, with_onnxruntime, with_torch
from npdsconv.bench.workloads import Workload
from npdsconv.malloc import keep_freed_memory
from npdsconv.runs import peak_memory

LIBRARIES = {
    "npdsconv": own,
    "torch": with_torch,
    "onnxruntime": with_onnxruntime,
    "machine": machine,
}
WARM_UP = 0.1  # seconds of calls before the first timed one, compiling not counted
LEAD_IN = 0.01  # seconds of untimed calls at the start of a block


class Worker:
    """The functions that `Process.ask` names."""

    def __init__(self, library: str, threads: int, keep: bool) -> None:
        if keep:
            keep_freed_memory()
        self.library = LIBRARIES[library]
        self.threads = threads
        self.call: dict[str, Callable[[], Any]] = {}

    def versions(self) -> dict[str, str]:
        return self.library.start(self.threads)

    def build(self, slot: str, workload: dict[str, Any], variant: str) -> dict[str, float]:
        """Make a workload ready under a name, and warm it up: the seconds of its first call, and of a later one."""
        self.call[slot] = self.library.build(Workload(**workload), variant)
        (first,) = self._timed(slot, 1, 1)
        seconds: list[float] = []
        while not seconds or (sum(seconds) < WARM_UP and len(seconds) < 50):
            seconds += self._timed(slot, 1, 1)
        gc.collect()
        gc.freeze()  # what libraries hold is not looked through again before each block
        return {"first": first, "call": statistics.median(seconds[len(seconds) // 2 :])}

    def run(self, slot: str, samples: int, calls: int, lead_in: bool) -> list[float]:
        """A block: the seconds of a call, `samples` times, each the mean over so many `calls` in a row."""
        gc.collect()
        began = time.perf_counter()
        while lead_in:
            self.call[slot]()
            lead_in = time.perf_counter() - began < LEAD_IN
        return self._timed(slot, samples, calls)

    def _timed(self, slot: str, samples: int, calls: int) -> list[float]:
        call = self.call[slot]
        seconds: list[float] = []
        gc.disable()
        try:
            for _ in range(samples):
                began = time.perf_counter()
                for _ in range(calls):
                    call()
                seconds.append((time.perf_counter() - began) / calls)
        finally:
            gc.enable()
        return seconds

    def drop(self) -> None:
        """Forget all that was built."""
        self.call.clear()

    def peak(self, workload: dict[str, Any], variant: str) -> dict[str, int]:
        """The memory that a workload takes at its highest; to be asked of a fresh process."""
        return peak_memory.growth(self.library.build(Workload(**workload), variant))

    def measure(self, what: str) -> dict[str, float]:
        """A figure of this machine."""
        return machine.MEASURES[what](self.threads)


def main() -> None:
    """Answer until the other side closes the pipe."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints shall not be taken for an answer
    worker = Worker(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"result": getattr(worker, question.pop("do"))(**question)}
        except Exception as error:  # whatever it is, the other side has to know
            answer = {"error": str(error), "kind": type(error).__name__}
        try:
            os.write(answers, (json.dumps(answer) + "\n").encode())
        except BrokenPipeError:  # the other side has gone meanwhile
            return


if __name__ == "__main__":
    main()
