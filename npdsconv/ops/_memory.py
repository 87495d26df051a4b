"""Whether what a call will take fits into memory, asked before anything is taken.

A padding of 100,000 is soon typed, and what it asks for is terabytes. Left to the system that ends in an error from
deep inside, or in a process that is killed without a word.
"""

import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from npdsconv.shapes import Window

_ADDRESSES = 1 << 47  # bytes that a program can speak of, where the system does not say how many there are
_OF_A_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_LANES = 16  # channels that compiled kernels pad together, if there are fewer too


@lru_cache(maxsize=1)
def memory() -> int:
    """Bytes of memory that this machine has, or this container may take."""
    try:
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        most = _ADDRESSES
    try:
        return min(most, int(_OF_A_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return most


def check_memory(op: str, what: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """An array of this shape and dtype is not larger than memory; an empty one counts as if it held one number."""
    numbers = math.prod(max(1, n) for n in shape)
    if numbers * np.dtype(dtype).itemsize > memory():
        _refuse(op, f"{what} of shape {shape}", numbers, np.dtype(dtype))


def check_window_memory(
    op: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    window: Window,
    outputs: int,
    *,
    im2col: bool = False,
) -> None:
    """Images of a shape, padded, and what is made of them, are not larger than the memory there is.

    That is an output with so many channels, and with `im2col` the matrix of the columns. Padding is counted for the
    whole batch, which is how NumPy does it; compiled kernels pad as many images at once as there are cores.
    """
    n, c, h, w = (max(1, size) for size in shape)  # what no image can be is not tried without one either
    (top, bottom), (left, right) = window.padding
    height, width = h + top + bottom, w + left + right
    channels = max(n * c, min(n, os.cpu_count() or 1) * _LANES)
    columns = n * c * window.taps * window.pixels if im2col else 0
    numbers = max(channels * height * width, n * outputs * window.pixels, columns)
    if numbers * dtype.itemsize <= memory():
        return
    if numbers == columns:
        _refuse(op, f"im2col's columns of shape {(n, c * window.taps, window.pixels)}", numbers, dtype)
    check_memory(op, "an output", (n, outputs, *window.output), dtype)
    _refuse(op, f"padded images of {height} × {width} pixels and {channels} channels", numbers, dtype)


def _refuse(op: str, what: str, numbers: int, dtype: np.dtype) -> None:
    needed, there = numbers * dtype.itemsize / 2**30, memory() / 2**30
    raise ValueError(
        f"{op}: {what} would take {needed:,.1f} GiB in {dtype}, more than the {there:,.1f} GiB of memory"
    )
