"""Pointwise convolution and the dense layer: matrix products, a row for each pixel or each example."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.loops.common import ROWS, bias_or_zeros, pieces
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array


def forward(x: Array, w: Array, b: Array | None) -> Array:
    return images_of(product(pixels_of(x), w, b), x)


def input_gradient(dy: Array, w: Array) -> Array:
    return images_of(product_of(pixels_of(dy), w), dy)


def weight_gradient(dy: Array, x: Array) -> Array:
    return product_of_transposed(pixels_of(dy), pixels_of(x))


def product(x: Array, w: Array, b: Array | None) -> Array:
    """x (P,C) @ w (O,C)ᵀ + b (O,)."""
    y = np.empty((len(x), len(w)), x.dtype)
    multiply(layout.readonly(x), layout.readonly(w.T), bias_or_zeros(b, len(w), x), y)
    return y


def product_of(dy: Array, w: Array) -> Array:
    """dy (P,O) @ w (O,C): a product as well."""
    return product(dy, w.T, None)


def product_of_transposed(dy: Array, x: Array) -> Array:
    """dy (P,O)ᵀ @ x (P,C)."""
    partial = np.zeros((pieces(len(x), ROWS), dy.shape[1], x.shape[1]), x.dtype)
    multiply_transposed(layout.readonly(dy), layout.readonly(x), partial)
    return partial.sum(axis=0)


@kernel(pieces=each)
def multiply(x, w, b, y):
    for p in prange(x.shape[0]):  # owns row p of y
        for o in range(w.shape[1]):
            y[p, o] = b[o]
        for c in range(w.shape[0]):
            for o in range(w.shape[1]):
                y[p, o] += x[p, c] * w[c, o]


@kernel
def multiply_transposed(dy, x, partial):
    for k in prange(partial.shape[0]):  # owns partial sum k
        for p in range(k * ROWS, min(x.shape[0], (k + 1) * ROWS)):
            for o in range(dy.shape[1]):
                for c in range(x.shape[1]):
                    partial[k, o, c] += dy[p, o] * x[p, c]
