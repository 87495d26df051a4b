"""Pointwise convolution and dense layers: one matrix product over all pixels.

Optimizations: no transposes (channels-last memory is the matrix already); tiles of the product stay in registers and
the large operand is never copied (:mod:`tile`), and the small one is cut into panels by all threads.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.kernels.machine.lanes import LANES, keep, pointer
from npdsconv.kernels.parts import norm_rows
from npdsconv.kernels.parts.norm_rows import UNBOUNDED, Bounds, limits
from npdsconv.kernels.parts.partial import add_up
from npdsconv.kernels.parts.product import (
    PANELS,
    cut_panel,
    equal_blocks,
    fetch_all,
    fill,
    groups_of,
    multiply,
    pack,
    room_for_panels,
)
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array

SUM = 252  # rows of one partial sum of dw


def forward(x: Array, w: Array, b: Array | None, bounds: Bounds = UNBOUNDED) -> Array:
    """y (N,O,H,W) from x (N,C,H,W) and w (O,C), cut to the bounds."""
    return images_of(product(pixels_of(x), w, b, bounds), x)


def input_gradient(dy: Array, w: Array) -> Array:
    """dx (N,C,H,W) from dy (N,O,H,W) and w (O,C)."""
    return images_of(product_of(pixels_of(dy), w), dy)


def weight_gradient(dy: Array, x: Array) -> Array:
    """dw (O,C) from dy (N,O,H,W) and x (N,C,H,W)."""
    return product_of_transposed(pixels_of(dy), pixels_of(x))


def product(x: Array, w: Array, b: Array | None, bounds: Bounds = UNBOUNDED) -> Array:
    """x (P,C) @ w (O,C)ᵀ + b (O,), cut to the bounds."""
    return _multiplied(x, w, True, b, bounds)


def product_of(x: Array, w: Array) -> Array:
    """x (P,O) @ w (O,C)."""
    return _multiplied(x, w, False, None, UNBOUNDED)


def _multiplied(x: Array, w: Array, transposed: bool, b: Array | None, bounds: Bounds) -> Array:
    y = np.empty((len(x), w.shape[0 if transposed else 1]), x.dtype)
    of_w = layout.readonly(w), transposed, room_for_panels(w, transposed)
    how = fill(b, y.shape[1], x.dtype), limits(bounds, x.dtype), equal_blocks(len(x))
    _product(layout.readonly(x), *of_w, *how, y)
    return y


def dense_weight_gradient(dy: Array, x: Array) -> Array:
    """dyᵀ (O,N) @ x (N,C). A batch of few rows can be turned round: then a network needs one kernel less."""
    return product_of_transposed(dy, x) if len(x) > SUM else product_of(dy.T, x)


def product_of_transposed(a: Array, b: Array) -> Array:
    """a (P,O)ᵀ @ b (P,C), as (O,C)."""
    partial = np.zeros((max(1, -(-len(a) // SUM)), a.shape[1], b.shape[1]), a.dtype)
    _product_of_transposed(layout.readonly(a), layout.readonly(b), fill(None, 1, a.dtype), partial)
    return add_up(partial)


@kernel
def _product(x, w, transposed, panels, start, bounds, block, y):
    (pixels, depth), columns, width = x.shape, y.shape[1], panels.shape[2]
    for k in prange(panels.shape[0]):
        cut_panel(w, transposed, k, panels)
    groups = groups_of(panels)
    for piece in prange((pixels + block - 1) // block * groups):
        first, group = piece // groups * block, piece % groups
        count = min(pixels - first, block)
        for k in range(group * PANELS, min(panels.shape[0], (group + 1) * PANELS)):
            of_x, of_y = pointer(x, first * depth), pointer(y, first * columns + k * width)
            of_w, of_start = pointer(panels, k * depth * width), pointer(start, k * width)
            how = (0, 0, 1), (1, 1, depth), of_w, of_start
            multiply(of_x, depth, count, *how, of_y, columns, columns - k * width)
        if norm_rows.cuts(bounds):
            left = group * PANELS * width
            of_y = pointer(y, first * columns + left)
            norm_rows.cut(of_y, columns, count, min(columns - left, PANELS * width), bounds)


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
