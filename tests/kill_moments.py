"""A program for `runs/test_killed.py`: training killed at chosen moments, each in a process of its own, and continued.

It forks, so it has to be a process in which no kernel has started threads: all is done in the NumPy tier. It prints one
line of JSON: for each moment what was found after the kill and after going on.
"""

import csv
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from npdsconv import checkpoint, cli, data
from npdsconv.cli import train
from npdsconv.data import Dataset

SMALL = ["--width", "0.125", "--impl", "im2col", "--batch-size", "16", "--epochs", "3", "--dropout", "0.2"]

# What writes, in turn: config 1, metrics 2, checkpoint 3, metrics 4, and after each epoch a checkpoint and the metrics.
# `savez` is called for checkpoints alone.
MOMENTS = [
    *((f"{when} savez", n) for when in ("before", "half-way through", "after") for n in (1, 3)),
    *((f"{when} fsync", n) for when in ("before", "after") for n in (3, 7, 8)),
    *((f"{when} replace", n) for when in ("before", "after") for n in (1, 3, 7, 8)),
]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(moment, n):
    """Have this process die at the n-th call of a function: before it, after it, or in the middle of the file."""
    when, _, name = moment.rpartition(" ")
    owner = np if name == "savez" else os
    function, calls = getattr(owner, name), [0]

    def fatal(*args, **named):
        calls[0] += 1
        if calls[0] == n and when == "before":
            die()
        if calls[0] == n and when == "half-way through":
            args[0].write(b"PK\3\4 half an archive")
            args[0].flush()
            die()
        result = function(*args, **named)
        if calls[0] == n:
            die()
        return result

    setattr(owner, name, fatal)


def command(folder, moment=None, n=0):
    """Run one `npdsconv train` in a child; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        if moment:
            arrange(moment, n)
        going_on = (folder / "checkpoint.npz").exists()
        os._exit(cli.main(["train", "--out", str(folder), *(["--resume"] if going_on else SMALL)]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def found(folder):
    """What is in a run folder: digests of the state, the table without its times, and the names of the files."""
    import hashlib

    path = folder / "checkpoint.npz"
    saved = checkpoint.load(path) if path.exists() else None
    digest, rows = hashlib.sha256(), []
    for part in (saved.state, saved.optimizer) if saved else ():
        for name in sorted(part):
            digest.update(name.encode() + part[name].tobytes())
    if (folder / "metrics.csv").exists():
        with (folder / "metrics.csv").open(newline="") as file:
            rows = [[v for name, v in row.items() if name != "seconds"] for row in csv.DictReader(file)]
    epoch = saved.meta["epoch"] if saved else None
    return {
        "epoch": epoch,
        "state": digest.hexdigest(),
        "rows": rows,
        "files": sorted(p.name for p in folder.iterdir()),
    }


def main(place):
    full = data.load("mnist5k")
    few = {"train": full.train.take(np.arange(0, 4000, 130)), "test": full.test.take(np.arange(0, 1000, 99))}
    data.load = lambda name, data_dir=None: Dataset(name, **few)
    train._pictures = lambda *_: None
    cli._parser()  # imports every command, once for all children
    report = {"whole": [command(place / "whole"), found(place / "whole")], "killed": []}
    for k, (moment, n) in enumerate(MOMENTS):
        folder = place / str(k)
        codes = [command(folder, moment, n)]
        after = found(folder)
        codes.append(command(folder))
        report["killed"].append([f"{moment}, {n}", codes, after, found(folder)])
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
