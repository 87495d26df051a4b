"""Pointwise convolution and dense layers: one matrix product over all pixels, in blocks of rows.

Optimizations: no transposes (channels-last memory is the matrix already); each block is one single-threaded BLAS
product inside a parallel loop, so that the caches of a core hold its block.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange
from npdsconv.shapes import Array

ROWS = 1024  # rows of one block; the work is split by shape, never by the number of threads
SUM_ROWS = 4096  # for dw, where each block costs a partial sum of O×C


def forward(x: Array, w: Array, b: Array | None) -> Array:
    """y (N,O,H,W) from x (N,C,H,W) and w (O,C). With dy and wᵀ instead, this is dx."""
    images = layout.nhwc(x)
    y = product(images.reshape(-1, w.shape[1]), w, b)
    return layout.nchw(y.reshape(*images.shape[:3], len(w)))


def weight_gradient(dy: Array, x: Array) -> Array:
    """dw (O,C) from dy (N,O,H,W) and x (N,C,H,W)."""
    return product_of_transposed(
        layout.nhwc(dy).reshape(-1, dy.shape[1]), layout.nhwc(x).reshape(-1, x.shape[1])
    )


def product(x: Array, w: Array, b: Array | None) -> Array:
    """x (P,C) @ w (O,C)ᵀ + b (O,)."""
    y = np.empty((len(x), len(w)), x.dtype)
    bias = np.zeros(len(w), x.dtype) if b is None else b
    _product(layout.readonly(x), layout.readonly(w.T), layout.readonly(bias), b is not None, y)
    return y


def product_of_transposed(a: Array, b: Array) -> Array:
    """a (P,O)ᵀ @ b (P,C), as (O,C)."""
    partial = np.zeros((max(1, -(-len(a) // SUM_ROWS)), a.shape[1], b.shape[1]), a.dtype)
    _product_of_transposed(layout.readonly(a), layout.readonly(b), partial)
    return partial.sum(axis=0)


@kernel(blas=True)
def _product(x, wt, bias, biased, y):
    rows = x.shape[0]
    for block in prange((rows + ROWS - 1) // ROWS):
        first, last = block * ROWS, min(rows, (block + 1) * ROWS)
        np.dot(x[first:last], wt, y[first:last])
        if biased:
            for r in range(first, last):
                row = y[r]
                for o in range(row.shape[0]):
                    row[o] += bias[o]


@kernel(blas=True)
def _product_of_transposed(a, b, partial):
    rows = a.shape[0]
    for block in prange((rows + SUM_ROWS - 1) // SUM_ROWS):
        first, last = block * SUM_ROWS, min(rows, (block + 1) * SUM_ROWS)
        np.dot(a[first:last].T, b[first:last], partial[block])
