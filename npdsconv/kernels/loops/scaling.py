"""Scaling channels: one product a number; and its sum over a channel. The fast tier runs these too."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.shapes import Array


def forward(x: Array, s: Array) -> Array:
    n, c, h, w = x.shape
    y = np.empty((n, h, w, c), x.dtype)
    scale(layout.nhwc(x), layout.readonly(s.reshape(n, c)), y)
    return layout.nchw(y)


def scale_gradient(dy: Array, x: Array) -> Array:
    n, c, _, _ = x.shape
    sums = np.zeros((n, c))  # float64, since so many numbers meet in one
    scale_ds(layout.nhwc(dy), layout.nhwc(x), sums)
    return sums.astype(x.dtype).reshape(n, c, 1, 1)


@kernel
def scale(x, s, y):
    images, rows, columns, channels = y.shape
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for c in range(channels):
                y[n, i, j, c] = x[n, i, j, c] * s[n, c]


@kernel(pieces=each)
def scale_ds(dy, x, sums):
    images, rows, columns, channels = x.shape
    for n in prange(images):  # owns row n of sums
        for i in range(rows):
            for j in range(columns):
                for c in range(channels):
                    sums[n, c] += dy[n, i, j, c] * x[n, i, j, c]
