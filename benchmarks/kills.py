"""Kill training at random moments, go on with it, and fail unless it ends in the bits of a run that nobody killed.

    python benchmarks/kills.py                               # 20 kills: some minutes
    python benchmarks/kills.py --kills 200                   # the full check
    python benchmarks/kills.py --kills 50 --signal TERM      # asked to end, or with INT: by Ctrl-C
    python benchmarks/kills.py --kills 20 --signal INT --cold    # without a cache: while compiling, too

One run is trained to its end first, and its state after each epoch is kept. Then commands `npdsconv train` are started
and killed, each at a moment drawn from the whole length of a command, and continued with ``--resume``, which is killed
in turn, until the run has ended; then another begins. After each kill: the checkpoint, if there is one, loads and is,
to the last bit, the state after its epoch. At each end: the same for the last state, the table has every epoch with the
right numbers, the pictures are whole, and no temporary file is left. After TERM and INT: the exit code is 143 or 130,
nothing but one line and a hint is said, no process and no temporary file is left.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

import npdsconv
from npdsconv import checkpoint, data
from npdsconv.runs import RunFolder
from npdsconv.runs.job import prepare
from npdsconv.runs.recipe import recipe

SETTINGS = {"epochs": 12, "width": 0.125, "hold_out": 3500, "dropout": 0.1, "seed": 3}
UNTIMED = ("epoch", "steps", "train_loss", "train_accuracy", "lr", "held_out_loss", "held_out_accuracy")


class Wrong(Exception):
    """A promise that was broken."""


def reference(place: Path) -> list[checkpoint.Checkpoint]:
    """The state after every epoch, 0 included, of a run in this process."""
    chosen = recipe(**SETTINGS)
    job, folder, states = prepare(chosen, data.load("mnist5k")), RunFolder(place), []
    with folder.held():
        folder.begin(chosen)
        folder.record(job, None)
        states.append(checkpoint.load(folder.checkpoint))
        for result in job.results:
            folder.record(job, result)
            states.append(checkpoint.load(folder.checkpoint))
    return states


def command(folder: Path) -> list[str]:
    start = [sys.executable, "-m", "npdsconv", "train", "--out", str(folder)]
    if (folder / "checkpoint.npz").exists():
        return [*start, "--resume"]
    return [
        *start,
        *(part for name, value in SETTINGS.items() for part in ("--" + name.replace("_", "-"), str(value))),
    ]


def check_state(folder: Path, states: list[checkpoint.Checkpoint]) -> int | None:
    """The epoch of a checkpoint, which has to be the right state; None if there is no checkpoint yet."""
    path = folder / "checkpoint.npz"
    if not path.exists():
        return None
    saved = checkpoint.load(path)
    epoch: int = saved.meta["epoch"]
    for mine, right in ((saved.state, states[epoch].state), (saved.optimizer, states[epoch].optimizer)):
        if mine.keys() != right.keys():
            raise Wrong(f"epoch {epoch}: other names")
        for name, array in right.items():
            if array.tobytes() != mine[name].tobytes():
                raise Wrong(f"epoch {epoch}: other bits in {name}")
    return epoch


def check_end(folder: Path, states: list[checkpoint.Checkpoint], table: list[dict[str, str]]) -> None:
    """A run that has ended is as if nobody had killed it."""
    if check_state(folder, states) != SETTINGS["epochs"]:
        raise Wrong("the last checkpoint is not that of the last epoch")
    rows = read_table(folder)
    if [[row[n] for n in UNTIMED] for row in rows] != [[row[n] for n in UNTIMED] for row in table]:
        raise Wrong(f"metrics.csv has other rows: {rows}")
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            image.load()
    names = sorted(path.name for path in folder.iterdir())
    if names != ["checkpoint.npz", "config.json", "confusion.png", "learning_curve.png", "metrics.csv"]:
        raise Wrong(f"the folder holds {names}")


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def check_manners(done: subprocess.Popen[str], said: str, number: int, folder: Path) -> None:
    """What a signal that can be caught leaves behind."""
    # In Python's last moments the signal itself ends the process, which shells count alike.
    if done.returncode not in (128 + number, -number):
        raise Wrong(f"exit code {done.returncode}: {said}")
    lines = [line for line in said.splitlines() if line.strip()]
    if "Traceback" in said or "Exception" in said or len(lines) > 2:
        raise Wrong(f"it said: {said}")
    for _ in range(50):  # a process that has just been started sees its parent gone when it is ready to look
        left = [stat for stat in Path("/proc").glob("[0-9]*/stat") if session_of(stat) == done.pid]
        if not left:
            break
        time.sleep(0.1)
    else:
        raise Wrong(f"a process is left: {left}")
    if litter := list(folder.glob(".*")):
        raise Wrong(f"left behind: {litter}")


def session_of(stat: Path) -> int | None:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])


def kill_once(folder: Path, moment: float, name: str, cold: bool) -> bool:
    """Start a command and kill it after so many seconds; whether it had ended before."""
    number = getattr(signal, f"SIG{name}")
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cold else {})
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command(folder), env=environment, start_new_session=True, **pipes) as running:
            try:
                _, said = running.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                running.send_signal(number)
                _, said = running.communicate()
    if running.returncode == 0:
        return True
    if name != "KILL":
        check_manners(running, said, number, folder)
    elif running.returncode != -number:
        raise Wrong(f"exit code {running.returncode}: {said}")
    return False


def length_of_a_command(place: Path) -> float:
    """Seconds, with the kernels compiled: it is run twice."""
    for k in range(2):
        began = time.perf_counter()
        subprocess.run(command(place / str(k)), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def run(kills: int, seed: int, name: str, cold: bool, place: Path) -> bool:
    """All of it; whether every promise was kept."""
    rng, counts, wrong = random.Random(seed), Counter[str](), []
    states = reference(place / "reference")
    table = read_table(place / "reference")
    longest = 40.0 if cold else length_of_a_command(place / "length")
    print(
        f"{kills} kills with SIG{name}, at moments up to some {longest:.1f} s of a command; seed {seed}",
        flush=True,
    )
    folder, run_number = place / "run-1", 1
    while counts["kills"] < kills:
        moment = rng.uniform(0.02, longest)
        resumed = (folder / "checkpoint.npz").exists()
        try:
            began = time.perf_counter()
            ended = kill_once(folder, moment, name, cold)
            # On a machine that others use, the length of a command changes: kills are to fall all over it.
            longest = time.perf_counter() - began if ended else longest * 1.1
            epoch = check_state(folder, states)
            if ended:
                check_end(folder, states, table)
        except (Wrong, ValueError, OSError) as error:
            wrong.append(f"kill {counts['kills'] + 1}, after {moment:.2f} s: {error}")
            print(wrong[-1], flush=True)
            ended, epoch = True, None
        counts["runs that ended" if ended else "kills"] += 1
        counts["of resumed commands"] += resumed and not ended
        counts[f"after epoch {epoch}" if epoch is not None else "before the first checkpoint"] += not ended
        if ended:
            shutil.rmtree(folder, ignore_errors=True)
            run_number += 1
            folder = place / f"run-{run_number}"
        if not ended and counts["kills"] % 20 == 0:
            print(f"{counts['kills']} kills, {len(wrong)} wrong", flush=True)
    print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    print(f"{counts['kills']} kills, {counts['runs that ended']} runs to the end, {len(wrong)} wrong")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments")
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL", help="default KILL")
    parser.add_argument("--cold", action="store_true", help="each command with an empty cache of kernels")
    args = parser.parse_args()
    if args.kills < 1:
        parser.error(f"--kills must be at least 1, got {args.kills}")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(npdsconv.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with tempfile.TemporaryDirectory() as place:
        return 0 if run(args.kills, args.seed, args.signal, args.cold, Path(place)) else 1


if __name__ == "__main__":
    sys.exit(main())
