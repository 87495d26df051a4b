"""``npdsconv warmup``: compile all kernels now, so that nothing has to be compiled later."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from npdsconv.cli import Outcome
from npdsconv.runs import warmup


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--dtype",
        choices=(*warmup.DTYPES, "both"),
        default="float32",
        help="default float32, which is what training uses; gradient checking uses float64",
    )


def run(args: argparse.Namespace) -> Outcome:
    """Compile, with progress; say how long it took, and where the cache is."""
    dtypes = warmup.DTYPES if args.dtype == "both" else (args.dtype,)
    before, began = _files(), time.perf_counter()
    for dtype in dtypes:
        compile_shown(f"compiling for {dtype}", warmup.steps(dtype))
    seconds, new, folder = time.perf_counter() - began, len(_files() - before), _folder()
    print(_verdict(seconds, new, folder))
    return Outcome({"seconds": seconds, "kernels_compiled": new, "cache": folder and str(folder)})


def compile_shown(title: str, steps: Iterable[str]) -> float:
    """Run the steps: on a terminal their names pass by, elsewhere there is one line. Returns the seconds."""
    began, terminal = time.perf_counter(), sys.stderr.isatty()
    if terminal:
        _run_with_bar(title, steps)
    else:
        print(f"{title} …", end=" ", flush=True)
        for _ in steps:
            pass
    seconds = time.perf_counter() - began
    print(f"{title} … {seconds:.1f} s" if terminal else f"{seconds:.1f} s", flush=True)
    return seconds


def _run_with_bar(title: str, steps: Iterable[str]) -> None:
    from tqdm import tqdm

    with tqdm(bar_format="{desc} [{n_fmt} done, {elapsed}]", leave=False, dynamic_ncols=True) as bar:
        for step in steps:
            bar.set_description_str(f"{title}: {step}")
            bar.update()


def _folder() -> Path | None:
    from npdsconv.kernels.machine import jit

    return jit.cache_folder()


def _files() -> set[Path]:
    """Every piece of compiled code in the cache."""
    folder = _folder()
    return set() if folder is None else set(folder.rglob("*.nbc"))


def _verdict(seconds: float, new: int, folder: Path | None) -> str:
    if folder is None:
        return (
            f"{seconds:.1f} s; nothing is kept, for the cache folder cannot be written: "
            f"set NUMBA_CACHE_DIR to one that can"
        )
    if new:
        return f"{new} kernels compiled and cached in {folder} ({seconds:.1f} s)"
    return f"everything was in the cache already: {folder} ({seconds:.1f} s)"
