"""Batch normalisation on channels-last memory: P = N·H·W rows of C channels.

Optimizations: mean and variance in one pass over memory, block by block: a block's sum and its centred sum of squares
are taken while it lies in the cache, and blocks are merged in float64 (Chan, Golub, LeVeque 1983), which is
also more accurate than one long sum; each of the two passes of backward reads dy and x once.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange
from npdsconv.shapes import Array

ROWS = 512  # rows of one block


def statistics(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel of x (N,C,H,W)."""
    rows = _rows(x)
    blocks = -(-len(rows) // ROWS)
    means = np.zeros((blocks, rows.shape[1]), x.dtype)
    squares = np.zeros_like(means)
    _statistics(rows, means, squares)
    sizes = np.full((blocks, 1), ROWS)
    sizes[-1] = len(rows) - ROWS * (blocks - 1)
    mean = (sizes * means).sum(axis=0, dtype=np.float64) / len(rows)
    spread = squares + sizes * (means - mean) ** 2
    return mean.astype(x.dtype), (spread.sum(axis=0, dtype=np.float64) / len(rows)).astype(x.dtype)


def normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    """y[n,c,i,j] = (x[n,c,i,j] - mean[c])·scale[c] + bias[c]."""
    rows = _rows(x)
    y = np.empty(rows.shape, x.dtype)
    _normalise(rows, layout.readonly(mean), layout.readonly(scale), layout.readonly(bias), y)
    return _images(y, x)


def gradient_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """Σ dy and Σ dy·(x - mean) for each channel, in float64."""
    rows = _rows(x)
    blocks = -(-len(rows) // ROWS)
    sums = np.zeros((blocks, 2, rows.shape[1]), x.dtype)
    _gradient_sums(_rows(dy), rows, layout.readonly(mean), sums)
    total = sums.sum(axis=0, dtype=np.float64)
    return total[0], total[1]


def combine(dy: Array, a: Array, x: Array, mean: Array, b: Array, c: Array) -> Array:
    """dy·a[c] + (x - mean[c])·b[c] + c[c]: what the gradient for x comes down to."""
    rows = _rows(x)
    dx = np.empty(rows.shape, x.dtype)
    per_channel = (layout.readonly(v) for v in (mean, b, c))
    _combine(_rows(dy), layout.readonly(a), rows, *per_channel, dx)
    return _images(dx, x)


def _rows(x: Array) -> Array:
    return layout.nhwc(x).reshape(-1, x.shape[1])


def _images(rows: Array, like: Array) -> Array:
    n, c, h, w = like.shape
    return layout.nchw(rows.reshape(n, h, w, c))


@kernel
def _statistics(x, means, squares):
    for block in prange(means.shape[0]):
        first, last = block * ROWS, min(x.shape[0], (block + 1) * ROWS)
        pivot, mean, square = x[first], means[block], squares[block]
        for r in range(first, last):
            row = x[r]
            for c in range(row.shape[0]):
                mean[c] += row[c] - pivot[c]  # of numbers near the mean, a sum keeps more digits
        for c in range(mean.shape[0]):
            mean[c] = pivot[c] + mean[c] / (last - first)
        for r in range(first, last):
            row = x[r]
            for c in range(row.shape[0]):
                square[c] += (row[c] - mean[c]) ** 2


@kernel
def _normalise(x, mean, scale, bias, y):
    for block in prange((x.shape[0] + ROWS - 1) // ROWS):
        for r in range(block * ROWS, min(x.shape[0], (block + 1) * ROWS)):
            row, out = x[r], y[r]
            for c in range(row.shape[0]):
                out[c] = (row[c] - mean[c]) * scale[c] + bias[c]


@kernel
def _gradient_sums(dy, x, mean, sums):
    for block in prange(sums.shape[0]):
        first, last = block * ROWS, min(x.shape[0], (block + 1) * ROWS)
        plain, centred = sums[block, 0], sums[block, 1]
        for r in range(first, last):
            slope, row = dy[r], x[r]
            for c in range(row.shape[0]):
                plain[c] += slope[c]
                centred[c] += slope[c] * (row[c] - mean[c])


@kernel
def _combine(dy, a, x, mean, b, c, dx):
    for block in prange((x.shape[0] + ROWS - 1) // ROWS):
        for r in range(block * ROWS, min(x.shape[0], (block + 1) * ROWS)):
            slope, row, out = dy[r], x[r], dx[r]
            for k in range(row.shape[0]):
                out[k] = slope[k] * a[k] + ((row[k] - mean[k]) * b[k] + c[k])
