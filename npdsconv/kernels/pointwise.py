"""Pointwise convolution and dense layers: one matrix product over all pixels.

Optimizations: no transposes (channels-last memory is the matrix already); tiles of the product stay in registers and
the large operand is never copied (:mod:`tile`); work is cut by rows and by columns, so that small images with many
channels keep all threads busy as well.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels import rows
from npdsconv.kernels._jit import kernel, prange
from npdsconv.kernels.lanes import LANES, keep, pointer
from npdsconv.kernels.partial import add_up
from npdsconv.kernels.product import fetch_all, fill, multiply, pack, panels, panels_of_transposed
from npdsconv.kernels.rows import UNBOUNDED, Bounds, limits
from npdsconv.shapes import Array

BLOCK = 252  # rows of one piece of work: it is cut by shape, never by the number of threads
PANELS = 4  # of one piece
SUM = 252  # rows of one partial sum of dw


def forward(x: Array, w: Array, b: Array | None, bounds: Bounds = UNBOUNDED) -> Array:
    """y (N,O,H,W) from x (N,C,H,W) and w (O,C), cut to the bounds. With dy and wᵀ instead, this is dx."""
    images = layout.nhwc(x)
    y = product(images.reshape(-1, w.shape[1]), w, b, bounds)
    return layout.nchw(y.reshape(*images.shape[:3], len(w)))


def weight_gradient(dy: Array, x: Array) -> Array:
    """dw (O,C) from dy (N,O,H,W) and x (N,C,H,W)."""
    return product_of_transposed(
        layout.nhwc(dy).reshape(-1, dy.shape[1]), layout.nhwc(x).reshape(-1, x.shape[1])
    )


def product(x: Array, w: Array, b: Array | None, bounds: Bounds = UNBOUNDED) -> Array:
    """x (P,C) @ w (O,C)ᵀ + b (O,), cut to the bounds."""
    return _multiplied(x, panels_of_transposed(w), len(w), b, bounds)


def _multiplied(x: Array, w: Array, outputs: int, b: Array | None, bounds: Bounds) -> Array:
    y = np.empty((len(x), outputs), x.dtype)
    _product(layout.readonly(x), w, fill(b, outputs, x.dtype), limits(bounds, x.dtype), y)
    return y


def dense_weight_gradient(dy: Array, x: Array) -> Array:
    """dyᵀ (O,N) @ x (N,C). A batch of few rows can be turned round: then a network needs one kernel less."""
    if len(x) > SUM:
        return product_of_transposed(dy, x)
    return _multiplied(np.ascontiguousarray(dy.T), panels(x), x.shape[1], None, UNBOUNDED)


def product_of_transposed(a: Array, b: Array) -> Array:
    """a (P,O)ᵀ @ b (P,C), as (O,C)."""
    partial = np.zeros((max(1, -(-len(a) // SUM)), a.shape[1], b.shape[1]), a.dtype)
    _product_of_transposed(layout.readonly(a), layout.readonly(b), fill(None, 1, a.dtype), partial)
    return add_up(partial)


def _pieces(x, w, *rest):
    return -(-len(x) // BLOCK) * -(-len(w) // PANELS)


@kernel(pieces=_pieces)
def _product(x, w, start, bounds, y):
    depth, columns = x.shape[1], y.shape[1]
    width = w.shape[2]
    groups = (w.shape[0] + PANELS - 1) // PANELS
    blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for piece in prange(blocks * groups):
        block, group = piece // groups, piece % groups
        first = block * BLOCK
        count = min(x.shape[0] - first, BLOCK)
        for k in range(group * PANELS, min(w.shape[0], (group + 1) * PANELS)):
            of_x, of_y = pointer(x, first * depth), pointer(y, first * columns + k * width)
            of_w, of_start = pointer(w, k * depth * width), pointer(start, k * width)
            multiply(
                of_x,
                depth,
                count,
                (0, 0, 1),
                (1, 1, depth),
                of_w,
                of_start,
                of_y,
                columns,
                columns - k * width,
            )
        left = group * PANELS * width
        if rows.cuts(bounds):
            of_y = pointer(y, first * columns + left)
            rows.cut(of_y, columns, count, min(columns - left, PANELS * width), bounds)


@kernel
def _product_of_transposed(a, b, zero, partial):
    outputs, columns, width = a.shape[1], b.shape[1], zero.shape[0]
    across = (columns + width - 1) // width
    for piece in prange(partial.shape[0] * across):
        chunk, k = piece // across, piece % across
        first = chunk * SUM
        count = min(a.shape[0] - first, SUM)
        panel = np.empty(count * width + LANES, b.dtype)
        fetch_all(pointer(a, first * outputs), count * outputs)
        fetch_all(pointer(b, first * columns), count * columns)
        of_b, some = pointer(b, first * columns + k * width), columns - k * width
        pack(of_b, columns, count, some, pointer(panel, 0), width)
        of_a, of_y = pointer(a, first * outputs), pointer(partial, chunk * outputs * columns + k * width)
        steps, counts = (0, 0, outputs), (1, 1, count)
        of_panel, of_zero = pointer(panel, 0), pointer(zero, 0)
        multiply(of_a, 1, outputs, steps, counts, of_panel, of_zero, of_y, columns, some)
        keep(panel)
