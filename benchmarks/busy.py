"""Training steps on a busy machine: how threads should wait.

    python benchmarks/busy.py                          # one burner a core; the table in docs/reliability.md
    python benchmarks/busy.py --burners 1 --spins 0 100 1000 10000

A burner is a process that keeps a core busy. For every setting of OpenMP a fresh process trains a network of 36,298
parameters on batches of 128. The processes take turns, and in every round each is measured on the machine as it is and
then beside the burners. The table shows medians, and their ratios to "as it comes", which is npdsconv with nothing set.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from npdsconv import text

OWN = "as it comes"
OPENMP = "OpenMP's default"
PASSIVE = "passive"


# ---- the process that trains -------------------------------------------------------------------------------------


def serve() -> None:
    """Answer each line "SECONDS" with the milliseconds that a training step takes (median)."""
    from npdsconv import data, models, optim, train
    from npdsconv.malloc import keep_freed_memory

    keep_freed_memory()
    model = models.separable_cnn(rng=0)
    batch = data.load("mnist5k").train.take(range(128))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def step() -> float:
        began = time.perf_counter()
        train.train_step(model, batch.images, batch.labels, optimizer)
        return (time.perf_counter() - began) * 1e3

    for _ in range(3):  # compile, and find memory
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while len(times) < 5 or time.perf_counter() < end:
            times.append(step())
        print(statistics.median(times), flush=True)


class Trainer:
    """A process that trains under a setting of OpenMP, when it is asked to."""

    def __init__(self, setting: str) -> None:
        spins = {OWN: {}, OPENMP: {"GOMP_SPINCOUNT": "300000"}, PASSIVE: {"OMP_WAIT_POLICY": "passive"}}
        chosen = spins.get(setting, {"GOMP_SPINCOUNT": setting})
        environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | chosen,
        )
        self._answer()

    def step(self, seconds: float) -> float:
        """Milliseconds of a step."""
        assert self._process.stdin
        print(seconds, file=self._process.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


# ---- the parent --------------------------------------------------------------------------------------------------


@contextmanager
def burning(count: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core busy."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def measure(settings: list[str], burners: int, rounds: int, seconds: float) -> list[tuple[float, float]]:
    """Milliseconds of a step (quiet, busy) for each setting: medians over the rounds."""
    quiet: list[list[float]] = [[] for _ in settings]
    busy: list[list[float]] = [[] for _ in settings]
    with ExitStack() as stack:
        trainers = [Trainer(setting) for setting in settings]
        for trainer in trainers:
            stack.callback(trainer.close)
        for _ in range(rounds):
            for times, trainer in zip(quiet, trainers, strict=True):
                times.append(trainer.step(seconds))
            with burning(burners):
                for times, trainer in zip(busy, trainers, strict=True):
                    times.append(trainer.step(seconds))
    return [(statistics.median(q), statistics.median(b)) for q, b in zip(quiet, busy, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--burners", type=int, default=os.cpu_count() or 1, metavar="N", help="default: one a core"
    )
    parser.add_argument(
        "--spins", nargs="*", default=["0", "100", "10000"], metavar="COUNT", help="GOMP_SPINCOUNT"
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="for each measurement")
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    print(
        f"load before: {os.getloadavg()[0]:.1f}; {args.burners} burners, {args.rounds} rounds of {args.seconds} s"
    )
    settings = [OWN, OPENMP, PASSIVE, *args.spins]
    found = measure(settings, args.burners, args.rounds, args.seconds)
    own = found[0]
    rows = [
        (name, f"{q:.1f}", f"{b:.1f}", f"{b / q:.1f}", f"{q / own[0]:.3f}", f"{b / own[1]:.2f}")
        for name, (q, b) in zip(settings, found, strict=True)
    ]
    header = ("waiting", "quiet, ms", "busy, ms", "busy / quiet", "quiet / as it comes", "busy / as it comes")
    print(text.as_text(header, rows, total=False))


if __name__ == "__main__":
    main()
