"""What the ops share: the names of the tiers, a convolution's three contractions, and its bias.

Every op with tiers has a table of them, ``IMPLS``, with the four names below in this order. It is what the op itself,
the tests, ``npdsconv bench`` and the table in README.md read; there is no other list.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from npdsconv.shapes import Array, check_choice

TIERS = ("naive", "im2col", "loops", "numba")
"""The formula, index by index; NumPy; plain compiled loops, to be read; tuned kernels."""

Gradient = Array | Any
"""A gradient, or None where it was not asked for: whoever named it in `needs` may use it without a test for None."""

Index = tuple[int, ...]
Terms = Iterator[tuple[Index, Index, Index]]
T = TypeVar("T")


class Tier(NamedTuple):
    """One implementation of a convolution: its forward pass and the two other contractions."""

    forward: Callable[..., Array]  # (x, w, b, window, ...) -> y
    dx: Callable[..., Array]  # (dy, w, x.shape, window, ...) -> dx
    dw: Callable[..., Array]  # (dy, x, w.shape, window, ...) -> dw


def tier(op: str, impls: Mapping[str, T], impl: str) -> T:
    """The implementation called `impl`.

    Where there are no windows, an op has one NumPy form for both of its first two names; it may be called "numpy" too.
    """
    if impl == "numpy" and impls["naive"] is impls["im2col"]:
        impl = "im2col"
    check_choice(op, "impl", impl, impls)
    return impls[impl]


def add_bias(y: Array, b: Array | None) -> Array:
    """y[:, o] + b[o], in place; y has its channels on axis 1."""
    if b is not None:
        y += b.reshape(-1, *(1,) * (y.ndim - 2))
    return y


def bias_gradient(dy: Array) -> Array:
    """db[o] = Σ dy[n,o,i,j] over n, i, j; added up in float64, since so many numbers meet in one."""
    axes = (0, *range(2, dy.ndim))
    return dy.sum(axis=axes, dtype=np.float64).astype(dy.dtype)
