"""Pointwise convolution and dense layers: one matrix product over all pixels.

Optimizations: no transposes (channels-last memory is the matrix already); tiles of the product stay in registers and
the large operand is never copied (:mod:`micro_kernel`), and the small one is packed by all threads.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.kernels.machine.lanes import LANES, keep_alive, pointer
from npdsconv.kernels.parts.batch_norm_rows import UNBOUNDED, Bounds, bounds_as, clamp_rows, is_bounded
from npdsconv.kernels.parts.partial_sums import add_up
from npdsconv.kernels.parts.product import (
    STRIP_PANELS,
    block_rows,
    empty_panels,
    multiply_rows,
    multiply_transposed,
    pack,
    pack_panel,
    prefetch_all,
    strips_of,
    whole_panels,
)
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array

CHUNK_ROWS = 252  # of one partial sum of dw


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
    panels, start = empty_panels(w, transposed), whole_panels(b, y.shape[1], x.dtype)
    how = transposed, panels, start, bounds_as(x.dtype, bounds), block_rows(len(x))
    _product(layout.readonly(x), layout.readonly(w), *how, y)
    return y


def dense_weight_gradient(dy: Array, x: Array) -> Array:
    """dyᵀ (O,N) @ x (N,C). A batch of few rows can be turned round: then a network needs one kernel less."""
    return product_of_transposed(dy, x) if len(x) > CHUNK_ROWS else product_of(dy.T, x)


def product_of_transposed(a: Array, b: Array) -> Array:
    """a (P,O)ᵀ @ b (P,C), as (O,C)."""
    partial = np.zeros((max(1, -(-len(a) // CHUNK_ROWS)), a.shape[1], b.shape[1]), a.dtype)
    _product_of_transposed(layout.readonly(a), layout.readonly(b), whole_panels(None, 1, a.dtype), partial)
    return add_up(partial)


@kernel
def _product(x, w, transposed, panels, start, bounds, rows, y):
    (pixels, depth), outputs, width = x.shape, y.shape[1], panels.shape[2]
    for k in prange(panels.shape[0]):
        pack_panel(w, transposed, k, panels)
    strips = strips_of(panels)
    for piece in prange((pixels + rows - 1) // rows * strips):
        first, strip = piece // strips * rows, piece % strips
        count, of_x = min(pixels - first, rows), pointer(x, first * depth)
        for k in range(strip * STRIP_PANELS, min(panels.shape[0], (strip + 1) * STRIP_PANELS)):
            panel, of_start, column = pointer(panels, k * depth * width), pointer(start, k * width), k * width
            of_y = pointer(y, first * outputs + column)
            multiply_rows(of_x, depth, panel, of_start, count, outputs - column, of_y, outputs)
        if is_bounded(bounds):
            column = strip * STRIP_PANELS * width
            columns = min(outputs - column, STRIP_PANELS * width)
            clamp_rows(pointer(y, first * outputs + column), outputs, count, columns, bounds)


@kernel
def _product_of_transposed(a, b, zero, partial):
    outputs, inputs, width = a.shape[1], b.shape[1], zero.shape[0]
    across = (inputs + width - 1) // width
    for piece in prange(partial.shape[0] * across):
        chunk, column = piece // across, piece % across * width
        first = chunk * CHUNK_ROWS
        count, columns = min(a.shape[0] - first, CHUNK_ROWS), inputs - column
        packed = np.empty(count * width + LANES, b.dtype)
        of_a, of_b = pointer(a, first * outputs), pointer(b, first * inputs)
        prefetch_all(of_a, count * outputs)
        prefetch_all(of_b, count * inputs)
        panel, of_zero = pointer(packed, 0), pointer(zero, 0)
        pack(pointer(b, first * inputs + column), inputs, count, columns, width, panel)
        of_y = pointer(partial, chunk * outputs * inputs + column)
        multiply_transposed(of_a, count, panel, of_zero, outputs, columns, of_y, inputs)
        keep_alive(packed)
