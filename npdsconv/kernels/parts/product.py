"""Matrix products of tall operands, from tiles in registers: for use inside kernels.

The right operand is *packed* into panels of as many columns as a tile has, each contiguous, the last one filled up with
zeros: by :func:`pack_matrix` once for a product, or inside a kernel, panel by panel. :func:`multiply` runs the
micro-kernel over the rows of one panel. Work is cut into blocks of rows, of equal size, and strips of panels, by shape
alone, so that few rows with many columns keep all threads busy as well.

Optimizations: a panel is read from its first number to its last, in the order in which it lies; a matrix is transposed
on the way into panels, by squares, in registers; rows that are left over are computed four at a time, overlapping
those before; :func:`prefetch_all` asks for an operand in its order before tiles jump about in it; of blocks of 252
rows, which are whole tiles, 512 rows made three, the last of eight, and one of two threads waited.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np
from numpy.typing import DTypeLike

from npdsconv import layout
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import LANES, advance, load_masked, pointer, prefetch, store
from npdsconv.kernels.machine.micro_kernel import (
    FEW_ROWS,
    TILE_ROWS,
    micro_kernel,
    micro_kernel_few,
    micro_kernel_one,
    panel_width,
)
from npdsconv.kernels.machine.transpose import transpose
from npdsconv.shapes import Array

BLOCK_ROWS = 256  # at most
STRIP_PANELS = 4  # at most: 128 columns in float32


# ---- in NumPy -----------------------------------------------------------------------------------------------


def block_rows(rows: int) -> int:
    """How many rows each block of a product has: a multiple of FEW_ROWS, but for the last one."""
    blocks = max(1, -(-rows // BLOCK_ROWS))
    return max(1, -(-rows // (blocks * FEW_ROWS))) * FEW_ROWS


def empty_panels(w: Array, transposed: bool = False) -> Array:
    """Memory for w (K, O), or the transpose of w (O, K), once packed: (panels, K, width)."""
    depth, columns = w.shape[::-1] if transposed else w.shape
    width = panel_width(w.dtype)
    return np.empty((-(-columns // width), depth, width), w.dtype)


def pack_matrix(w: Array, transposed: bool = False) -> Array:
    """A matrix (K, O), or the transpose of one (O, K), as (panels, K, width)."""
    panels = empty_panels(w, transposed)
    _pack_all(layout.readonly(w), transposed, panels)
    return panels


def whole_panels(bias: Array | None, o: int, dtype: DTypeLike) -> Array:
    """What the sums of a product start from: (O,) numbers, or zeros, filled up to whole panels."""
    width = panel_width(dtype)
    start = np.zeros(-(-o // width) * width, dtype)
    if bias is not None:
        start[:o] = bias
    return start


# ---- compiled -----------------------------------------------------------------------------------------------


@serial
def strips_of(panels):
    return (panels.shape[0] + STRIP_PANELS - 1) // STRIP_PANELS


@serial(alone=True)
def _pack_all(w, transposed, panels):
    for j in range(panels.shape[0]):
        pack_panel(w, transposed, j, panels)


@serial
def pack_panel(w, transposed, j, panels):
    """Panel j of w, or of its transpose, the last one filled up with zeros."""
    (_, depth, width), first = panels.shape, j * panels.shape[2]
    columns = min(width, (w.shape[0] if transposed else w.shape[1]) - first)
    if not transposed and width % LANES == 0:
        pack(pointer(w, first), w.shape[1], depth, columns, width, pointer(panels, j * depth * width))
        return
    for start in range(0, depth, LANES):
        stop, done = min(depth, start + LANES), 0
        if transposed and stop - start == LANES:
            while done + LANES <= columns:
                square = pointer(w, (first + done) * depth + start)
                transpose(square, depth, pointer(panels, (j * depth + start) * width + done), width)
                done += LANES
        for k in range(start, stop):
            for c in range(done, columns):
                panels[j, k, c] = w[first + c, k] if transposed else w[k, first + c]
            for c in range(columns, width):
                panels[j, k, c] = 0


@serial
def pack(x, x_step, rows, columns, width, panel):
    """Some columns of rows that lie `x_step` apart as a panel, filled up with zeros.

    The panel has to have room for LANES numbers more: where it is narrower, rows are written over the one before.
    """
    for r in range(rows):
        for c in range(0, width, LANES):
            store(panel, r * width + c, load_masked(columns - c, x, r * x_step + c))


@serial
def multiply(x, x_step, steps, counts, panel, start, rows, columns, y, y_step):
    """The product with one panel, for any number of rows; see :mod:`micro_kernel` for the arguments.

    The last tile may overlap the one before: it computes the same numbers again.
    """
    r = 0
    while r + TILE_ROWS <= rows:
        of_x, of_y = advance(x, r * x_step), advance(y, r * y_step)
        micro_kernel(of_x, x_step, steps, counts, panel, start, columns, of_y, y_step)
        r += TILE_ROWS
    while r < rows:
        if rows >= FEW_ROWS:
            s = min(r, rows - FEW_ROWS)
            of_x, of_y = advance(x, s * x_step), advance(y, s * y_step)
            micro_kernel_few(of_x, x_step, steps, counts, panel, start, columns, of_y, y_step)
            r += FEW_ROWS
        else:
            of_x, of_y = advance(x, r * x_step), advance(y, r * y_step)
            micro_kernel_one(of_x, x_step, steps, counts, panel, start, columns, of_y, y_step)
            r += 1


@serial
def multiply_rows(x, depth, panel, start, rows, columns, y, y_step):
    """start + x @ panel, for x (rows, depth)."""
    multiply(x, depth, (0, 0, 1), (1, 1, depth), panel, start, rows, columns, y, y_step)


@serial
def multiply_transposed(x, depth, panel, start, rows, columns, y, y_step):
    """start + xᵀ @ panel, for x (depth, rows)."""
    multiply(x, 1, (0, 0, rows), (1, 1, depth), panel, start, rows, columns, y, y_step)


@serial
def prefetch_all(x, count):
    """Ask for a stretch of memory in its order, before tiles jump about in it."""
    for i in range(0, count, LANES):
        prefetch(x, i)
