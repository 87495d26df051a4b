"""Train the same network with different threads, and fail unless the weights are the same to the last bit.

    python benchmarks/same_bits.py                  # once each: a minute or two
    python benchmarks/same_bits.py --repeats 20     # the full check: what depends on timing shows only now and then

Each run is a fresh process: `separable_cnn`, 100 steps of Adam on batches of 32 of the embedded digits. On Numba's
OpenMP layer and on its workqueue, it is started with 1, 2 and 4 threads (NUMBA_NUM_THREADS), and with 4 of which 1 or 2
are used (`set_num_threads`). Four threads are wanted on two cores as well: they are stopped in odd places. A layer
that this machine does not have is named and left out.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import npdsconv
from npdsconv import data, optim, train
from npdsconv.models import separable_cnn

LAYERS = ("omp", "workqueue")
THREADS = ((1, 1), (2, 2), (4, 4), (4, 1), (4, 2))  # at the start, used
STEPS, BATCH = 100, 32
MISSING = "No threading layer could be loaded"


def weights_after(steps: int, threads: int) -> dict[str, Any]:
    """Train in this process: sha256 of weights and running statistics, the last loss, the threading layer that ran."""
    import numba

    npdsconv.set_num_threads(threads)
    model = separable_cnn(rng=0)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    split, loss = data.load("mnist5k").train, float("nan")
    for x, labels in islice(data.batches(split.images, split.labels, BATCH, seed=0, epoch=0), steps):
        loss = train.train_step(model, x, labels, optimizer)
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.tobytes())
    compiled = not numba.config.DISABLE_JIT
    layer = numba.threading_layer() if compiled else "none, the JIT is off"
    return {"sha256": digest.hexdigest(), "loss": loss, "layer": layer}


def fresh(layer: str, started: int, used: int, steps: int) -> dict[str, Any] | None:
    """What `weights_after` says in a new process; None if there is no such threading layer here."""
    root = str(Path(npdsconv.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "NUMBA_NUM_THREADS": str(started),
        "NUMBA_THREADING_LAYER": layer,
        "PYTHONPATH": os.pathsep.join(paths),
    }
    done = subprocess.run(
        [sys.executable, __file__, "--here", str(used), "--steps", str(steps)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode and MISSING in done.stderr:
        return None
    if done.returncode:
        raise ChildProcessError(
            f"same_bits: {layer}, {used} of {started} threads: exit code {done.returncode}\n{done.stderr}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def check(repeats: int, steps: int) -> bool:
    """Run everything, a line of the table for each run; whether all weights were the same."""
    print(f"{'round':>5}  {'layer':9}  {'threads':>7}  {'seconds':>7}  {'loss':>9}  sha256", flush=True)
    seen: dict[str, int] = {}
    missing: set[str] = set()
    for repeat in range(repeats):
        for layer in LAYERS:
            for started, used in THREADS:
                if layer in missing:
                    continue
                began = time.perf_counter()
                run = fresh(layer, started, used, steps)
                if run is None:
                    missing.add(layer)
                    print(f"{'':5}  {layer:9}  is not on this machine: left out")
                    continue
                seen[run["sha256"]] = seen.get(run["sha256"], 0) + 1
                seconds = time.perf_counter() - began
                print(
                    f"{repeat + 1:5}  {run['layer']:9}  {f'{used} of {started}':>7}  {seconds:7.1f}  "
                    f"{run['loss']:9.6f}  {run['sha256'][:16]}",
                    flush=True,
                )
    runs = sum(seen.values())
    if len(seen) == 1:
        print(f"the same bits in all {runs} runs")
    elif not seen:
        print("nothing ran")
    else:
        print(
            f"{len(seen)} different results in {runs} runs: "
            + ", ".join(f"{n} runs {h[:16]}" for h, n in seen.items())
        )
    return len(seen) == 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="rounds (default 1)")
    parser.add_argument(
        "--steps", type=int, default=STEPS, metavar="N", help=f"at most 125 (default {STEPS})"
    )
    parser.add_argument(
        "--here", type=int, metavar="N", help="only train, in this very process on N threads, and print JSON"
    )
    args = parser.parse_args()
    if args.repeats < 1 or not 1 <= args.steps <= 125:
        parser.error(
            f"--repeats must be at least 1 and --steps 1 to 125, got {args.repeats} and {args.steps}"
        )
    if args.here is not None:
        print(json.dumps(weights_after(args.steps, args.here)))
        return 0
    return 0 if check(args.repeats, args.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
