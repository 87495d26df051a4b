"""ReLU and ReLU6 over a flat row of numbers: cut to [0, ceiling], and the gradient of that.

Optimizations: pieces of a flat row, whatever the shape, without a branch in the loop, so that the compiler makes
vectors of it. After a batch norm neither is called: the activation rides along there (:mod:`norm`).
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.shapes import Array

NUMBERS = 16384  # in one piece of work


def clamp(x: Array, ceiling: float) -> Array:
    y = np.empty(x.size, x.dtype)
    _clamp(layout.flat(x), x.dtype.type(ceiling), y)
    return layout.unflat(y, x.shape)


def clamp_gradient(dy: Array, x: Array, ceiling: float) -> Array:
    dx = np.empty(x.size, x.dtype)
    _clamp_gradient(layout.flat(dy), layout.flat(x), x.dtype.type(ceiling), dx)
    return layout.unflat(dx, x.shape)


@kernel
def _clamp(x, ceiling, y):
    zero = x.dtype.type(0)
    for piece in prange((x.shape[0] + NUMBERS - 1) // NUMBERS):
        first, last = piece * NUMBERS, min(x.shape[0], (piece + 1) * NUMBERS)
        a, b = x[first:last], y[first:last]
        for k in range(a.shape[0]):
            value = a[k]
            value = zero if value <= zero else value  # so written, a NaN stays a NaN
            b[k] = ceiling if value > ceiling else value


@kernel
def _clamp_gradient(dy, x, ceiling, dx):
    zero, unbounded = x.dtype.type(0), ceiling == np.inf
    for piece in prange((x.shape[0] + NUMBERS - 1) // NUMBERS):
        first, last = piece * NUMBERS, min(x.shape[0], (piece + 1) * NUMBERS)
        a, b, c = dy[first:last], x[first:last], dx[first:last]
        for k in range(a.shape[0]):
            c[k] = a[k] if b[k] > zero and (unbounded or b[k] < ceiling) else zero
