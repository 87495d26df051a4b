"""Calls of every public op on arrays between pages without access, right ones and hostile ones.

    python benchmarks/guard_pages.py --calls 100000

Each call is one of a kind that may be made: forward or backward, either compiled tier, either dtype, sizes around those
that kernels treat apart. In every second one something is changed that need not fit: a size, a dtype, how an array
lies, an array of another call (a `saved` too), a setting. It must end in one of two ways: in a TypeError or ValueError
that begins with the name of an op, or in the numbers that the NumPy tier finds for the same arguments. A call that
reads or writes beside an array ends its process with a signal; the next process goes on behind it.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from guard_changes import changed
from guard_kinds import KINDS, pick
from guarded import guarded_arrays, lie

TOLERANCE = {4: 1e-3, 8: 1e-9}  # by bytes a number: what is read beside an array is further off

# ---- one call ----------------------------------------------------------------------------------------------------


def compare(found: Any, expected: Any, shapes_alone: bool) -> str:
    """What is wrong with the numbers; nothing, if they agree where both are finite."""
    found, expected = (list(v) if isinstance(v, tuple) else [v] for v in (found, expected))
    for one, right in zip(flat(found), flat(expected), strict=True):
        if one is None or right is None:
            if one is not right:
                return "a gradient is missing"
            continue
        if one.shape != right.shape or one.dtype != right.dtype:
            return f"{one.shape} {one.dtype}, not {right.shape} {right.dtype}"
        finite = np.isfinite(right) & np.isfinite(one)
        largest = np.max(np.abs(right[finite]), initial=1e-3)
        off = np.max(np.abs(one[finite] - right[finite]), initial=0)
        if off > TOLERANCE[one.itemsize] * largest and not shapes_alone:
            return "other numbers than NumPy's"
    return ""


def flat(values: list[Any]) -> list[Any]:
    return [one for v in values for one in (flat(list(v)) if isinstance(v, tuple | list) else [v])]


def run(number: int, seed: int, say: Callable[[str], None]) -> tuple[str, str, str]:
    """Do call `number`: what it was, how it ended ("right", "refused" or "wrong"), and why it is wrong."""
    rng = np.random.default_rng((seed, number))
    name, impl, dtype = pick(rng, *KINDS), pick(rng, "numba", "loops"), np.dtype(pick(rng, "f4", "f8"))
    kind = KINDS[name]
    lie(after=bool(rng.random() < 0.7))
    impl = "numba" if kind.numpy else impl
    say(f"{number}: the arguments of {name}")
    arrays, how = kind.make(rng, dtype)
    changes = [changed(rng, kind, dtype, arrays, how) for _ in range(pick(rng, 0, 0, 1, 2))]
    shapes = ", ".join(f"{k} {getattr(a, 'shape', a)}" for k, a in arrays.items())
    about = f"{number}: {name} {impl} {dtype}; {'; '.join(changes) or 'unchanged'}; {shapes[:400]}; {how}"
    say(about)
    try:
        found = kind.call(arrays, how, impl)
    except (TypeError, ValueError) as error:
        clear = type(error) in (TypeError, ValueError) and re.match(r"[A-Za-z]\w*: ", str(error))
        return about, "refused" if clear and changes else "wrong", f"{type(error).__name__}: {error}"
    except Exception as error:
        return about, "wrong", f"{type(error).__name__}: {error}"
    try:
        expected = kind.numpy(arrays, how) if kind.numpy else kind.call(arrays, how, "im2col")
    except Exception as error:
        return about, "wrong", f"NumPy refuses: {type(error).__name__}: {error}"
    # How far a NaN spreads is not settled between tiers, nor on which side of a kink a float32 falls.
    vague = any("not finite" in change for change in changes) or (kind.kinks and dtype == np.float32)
    fault = compare(found, expected, vague)
    return about, "wrong" if fault else "right", fault


# ---- many calls, in processes that may end -----------------------------------------------------------------------


def work(first: int, calls: int, seed: int, note: Path) -> None:
    """Calls `first` to `calls` in this process; `note` holds the one that is being made."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    counts: Counter[str] = Counter()
    file = os.open(note, os.O_WRONLY | os.O_CREAT)

    def say(about: str) -> None:
        os.pwrite(file, about.encode().ljust(2000)[:2000], 0)

    with guarded_arrays():
        for number in range(first, calls):
            began = time.monotonic()
            about, ending, why = run(number, seed, say)
            counts[ending] += 1
            if ending == "wrong":
                print(f"WRONG {about}\n      {why}", flush=True)
            if time.monotonic() - began > 3:
                print(f"slow, {time.monotonic() - began:.0f} s: {about}", flush=True)
            if (number + 1) % 5000 == 0 or number + 1 == calls:
                print(f"at {number + 1}: {json.dumps(counts)}", flush=True)
                counts.clear()
    os._exit(0)  # what is still there was allocated by functions that an ending Python takes away


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    parser.add_argument("--note", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.note:
        work(chosen.first, chosen.first + chosen.calls, chosen.seed, chosen.note)
    first, end, ended, wrong = chosen.first, chosen.first + chosen.calls, 0, 0
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "call")
        while first < end:
            command = [sys.executable, __file__, "--note", str(note), "--seed", str(chosen.seed)]
            command += ["--first", str(first), "--calls", str(end - first)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                for line in child.stdout or ():
                    print(line, end="", flush=True)
                    wrong += line.startswith("WRONG")
                    if line.startswith("at "):
                        totals.update(json.loads(line.split(": ", 1)[1]))
            if child.returncode == 0:
                break
            ended += 1
            about = note.read_text().strip() if note.exists() else "before the first call"
            how = (
                signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit {child.returncode}"
            )
            print(f"ENDED by {how}: {about}", flush=True)
            if child.returncode > 0 or not note.exists():
                return 1
            first = int(about.split(":")[0]) + 1
    how_many = ", ".join(f"{totals[ending]} {ending}" for ending in ("right", "refused", "wrong"))
    print(f"{chosen.calls} calls: {how_many}, {ended} ended their process", flush=True)
    return int(bool(ended or wrong))


if __name__ == "__main__":
    sys.exit(main())
