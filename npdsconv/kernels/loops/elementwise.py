"""Activations, for any shape: all numbers as one row. Where nothing is tuned further, the fast tier runs these too."""

# mypy: disable-error-code="no-untyped-def"
import math
from typing import Any

import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.shapes import Array


def forward(name: str, x: Array, *numbers: float) -> Array:
    """The activation of every number of x; `numbers` are its own, where it has any."""
    value, _, *how = KERNELS[name]
    y = np.empty(x.size, x.dtype)
    value(layout.flat(x), *map(x.dtype.type, (*how, *numbers)), y)
    return layout.unflat(y, x.shape)


def backward(name: str, dy: Array, x: Array, *numbers: float) -> Array:
    """dy times the activation's derivative at x."""
    _, gradient, *how = KERNELS[name]
    dx = np.empty(x.size, x.dtype)
    gradient(layout.flat(dy), layout.flat(x), *map(x.dtype.type, (*how, *numbers)), dx)
    return layout.unflat(dx, x.shape)


@kernel
def cut(x, ceiling, y):
    for k in prange(x.shape[0]):  # owns y[k]
        y[k] = 0 if x[k] <= 0 else ceiling if x[k] > ceiling else x[k]  # a NaN is neither, and stays


@kernel
def cut_gradient(dy, x, ceiling, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        dx[k] = dy[k] if x[k] > 0 and (x[k] < ceiling or ceiling == np.inf) else 0


@kernel
def leaky(x, slope, y):
    for k in prange(x.shape[0]):  # owns y[k]
        y[k] = x[k] if x[k] > 0 else x[k] * slope


@kernel
def leaky_gradient(dy, x, slope, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        dx[k] = dy[k] if x[k] > 0 else dy[k] * slope


@kernel
def hard_swish(x, three, y):
    for k in prange(x.shape[0]):  # owns y[k]
        z = -three if x[k] < -three else x[k]
        gate = three if z > three else z
        y[k] = z * (gate + three) / (three + three)


@kernel
def hard_swish_gradient(dy, x, three, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        slope = (x[k] + x[k] + three) / (three + three)
        dx[k] = 0 if x[k] <= -three else dy[k] if x[k] >= three else dy[k] * slope


@kernel
def hard_sigmoid(x, three, y):
    for k in prange(x.shape[0]):  # owns y[k]
        z = -three if x[k] < -three else three if x[k] > three else x[k]
        y[k] = (z + three) / (three + three)


@kernel
def hard_sigmoid_gradient(dy, x, three, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        dx[k] = dy[k] / (three + three) if -three < x[k] < three else 0


@kernel
def sigmoid(x, one, y):
    for k in prange(x.shape[0]):  # owns y[k]
        e = math.exp(-abs(x[k]))  # of a negative number: it cannot overflow
        y[k] = (one if x[k] >= 0 else e) / (one + e)


@kernel
def sigmoid_gradient(dy, x, one, dx):
    for k in prange(x.shape[0]):  # owns dx[k]
        e = math.exp(-abs(x[k]))
        dx[k] = dy[k] * e / ((one + e) * (one + e))


# Each with the constants it takes, which have to be of the arrays' dtype.
KERNELS: dict[str, tuple[Any, ...]] = {
    "relu": (cut, cut_gradient, np.inf),
    "relu6": (cut, cut_gradient, 6),
    "leaky_relu": (leaky, leaky_gradient),  # and its slope
    "hard_swish": (hard_swish, hard_swish_gradient, 3),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_gradient, 3),
    "sigmoid": (sigmoid, sigmoid_gradient, 1),
}
