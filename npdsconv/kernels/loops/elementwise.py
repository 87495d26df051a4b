"""ReLU and ReLU6, for any shape: all numbers as one row."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.shapes import Array


def clamp(x: Array, ceiling: float) -> Array:
    y = np.empty(x.size, x.dtype)
    cut(layout.flat(x), x.dtype.type(ceiling), y)
    return layout.unflat(y, x.shape)


def clamp_gradient(dy: Array, x: Array, ceiling: float) -> Array:
    dx = np.empty(x.size, x.dtype)
    cut_gradient(layout.flat(dy), layout.flat(x), x.dtype.type(ceiling), dx)
    return layout.unflat(dx, x.shape)


@kernel
def cut(x, ceiling, y):
    for k in prange(x.shape[0]):  # owns y[k]
        y[k] = 0 if x[k] <= 0 else ceiling if x[k] > ceiling else x[k]  # a NaN is neither, and stays


@kernel
def cut_gradient(dy, x, ceiling, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        dx[k] = dy[k] if x[k] > 0 and (x[k] < ceiling or ceiling == np.inf) else 0
