"""What the convolutions share: the three contractions of a tier, and the bias."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from npdsconv.shapes import Array

Index = tuple[int, ...]
Terms = Iterator[tuple[Index, Index, Index]]


class Tier(NamedTuple):
    """One implementation of a convolution: its forward pass and the two other contractions."""

    forward: Callable[..., Array]  # (x, w, b, window, ...) -> y
    dx: Callable[..., Array]  # (dy, w, x.shape, window, ...) -> dx
    dw: Callable[..., Array]  # (dy, x, w.shape, window, ...) -> dw


def add_bias(y: Array, b: Array | None) -> Array:
    """y[:, o] + b[o], in place; y has its channels on axis 1."""
    if b is not None:
        y += b.reshape(-1, *(1,) * (y.ndim - 2))
    return y


def bias_gradient(dy: Array) -> Array:
    """db[o] = Σ dy[n,o,i,j] over n, i, j; added up in float64, since so many numbers meet in one."""
    axes = (0, *range(2, dy.ndim))
    return dy.sum(axis=axes, dtype=np.float64).astype(dy.dtype)
