"""This machine: what it is, and its two ceilings, copying and multiplying, measured."""

import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import npdsconv
from npdsconv.bench.quiet import load
from npdsconv.versions import commit, cores, processor

COPIED = 1 << 28  # bytes of the array that is copied: far beyond any cache
PRODUCT = 2048  # rows and columns of the matrices that are multiplied
REPEATS = 15


def describe() -> dict[str, Any]:
    """What stands beside every result: processor, cores, system, commit, versions, how busy the machine was.

    "commit" is the checkout's, with "+changes" where files of the package differ from it; for an installed package it
    is the version.
    """
    return {
        "processor": processor(),
        "cores": cores(),
        "system": platform.platform(terse=True),
        "load": load(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit() or npdsconv.__version__,
        "versions": {
            "npdsconv": npdsconv.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }


# ---- the ceilings, in a process of their own that was started with so many threads -----------------------------


def start(threads: int) -> dict[str, str]:
    """What the worker says of itself."""
    return {"numpy": np.__version__}


def build(workload: Any, variant: str) -> Callable[[], Any]:
    """The machine runs no workloads."""
    raise ValueError("machine: it has figures, and no workloads")


def copy_bandwidth(threads: int) -> dict[str, float]:
    """Bytes a second that ``b[...] = a`` moves, read and written ones together; the best of some runs."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.empty_like(source)
    parts = [np.array_split(array, threads) for array in (target, source)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(np.copyto, *parts)))
    return {"bytes_per_second": 2 * source.nbytes / seconds}


def peak_flops(threads: int) -> dict[str, float]:
    """FLOPs a second of a large float32 matrix product; the best of some runs.

    How many threads it takes was said by the environment of this process, when it was started.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((PRODUCT, PRODUCT), np.float32) for _ in range(2))
    c = np.empty_like(a)
    seconds = _best(lambda: np.matmul(a, b, out=c))
    return {"flops_per_second": 2 * PRODUCT**3 / seconds}


def _best(call: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(2 + REPEATS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds[2:])


MEASURES = {"copy": copy_bandwidth, "product": peak_flops}
