"""Matrix products of tall operands, from tiles in registers: for use inside kernels.

The right operand is cut into *panels* of as many columns as a tile has, each contiguous, the last one filled up with
zeros: by :func:`panels` once for a product, or inside a kernel, panel by panel. :func:`multiply` runs the tiles of one
panel. Rows are cut into blocks of equal size and columns into groups of panels, by shape alone, so that few rows with
many columns keep all threads busy as well.

Optimizations: a panel is read from its first number to its last, in the order in which it lies; a transposed matrix is
cut into panels by squares that are turned over in registers; rows that are left over are computed four at a
time, overlapping those before; :func:`fetch_all` asks for an operand in its order before tiles jump about in it; of
blocks of 252 rows, which are whole tiles, 512 rows made three, the last of eight, and one of two threads waited.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import LANES, advance, fetch, load_some, pointer, store
from npdsconv.kernels.machine.micro_kernel import FEW, ROWS, WIDTH_BYTES, few, one, tile
from npdsconv.kernels.machine.transpose import turn
from npdsconv.shapes import Array

BLOCK = 256  # rows of one piece of work, at most
PANELS = 4  # of one piece: 128 columns in float32


def width(dtype) -> int:
    """Columns of a panel."""
    return WIDTH_BYTES // np.dtype(dtype).itemsize


@serial
def groups_of(panels):
    return (panels.shape[0] + PANELS - 1) // PANELS


def equal_blocks(rows: int) -> int:
    """How many rows each block has: a multiple of FEW, but for the last one."""
    blocks = max(1, -(-rows // BLOCK))
    return max(1, -(-rows // (blocks * FEW))) * FEW


def room_for_panels(w: Array, transposed: bool = False) -> Array:
    """Memory for the panels of w (K, O), or of the transpose of w (O, K): (panels, K, width)."""
    depth, columns = w.shape[::-1] if transposed else w.shape
    return np.empty((-(-columns // width(w.dtype)), depth, width(w.dtype)), w.dtype)


def panels(w: Array, transposed: bool = False) -> Array:
    """A matrix (K, O), or the transpose of one (O, K), as (panels, K, width)."""
    cut = room_for_panels(w, transposed)
    _cut_all(layout.readonly(w), transposed, cut)
    return cut


@serial(alone=True)
def _cut_all(w, transposed, cut):
    for j in range(cut.shape[0]):
        cut_panel(w, transposed, j, cut)


def fill(bias: Array | None, o: int, dtype) -> Array:
    """What the sums start from: (O,) numbers, or zeros, filled up to whole panels."""
    start = np.zeros(-(-o // width(dtype)) * width(dtype), dtype)
    if bias is not None:
        start[:o] = bias
    return start


@serial
def multiply(x, row, rows, steps, counts, panel, start, y, y_row, columns):
    """The tiles of one panel, for any number of rows; see :mod:`tile` for the arguments.

    The last tile may overlap the one before: it computes the same numbers again.
    """
    r = 0
    while r + ROWS <= rows:
        tile(advance(x, r * row), row, steps, counts, panel, start, advance(y, r * y_row), y_row, columns)
        r += ROWS
    while r < rows:
        if rows >= FEW:
            s = min(r, rows - FEW)
            few(advance(x, s * row), row, steps, counts, panel, start, advance(y, s * y_row), y_row, columns)
            r += FEW
        else:
            one(advance(x, r * row), row, steps, counts, panel, start, advance(y, r * y_row), y_row, columns)
            r += 1


@serial
def pack(source, step, rows, columns, panel, across):
    """Some columns of rows that lie `step` apart as a panel, filled up with zeros.

    The panel has to have room for LANES numbers more: where it is narrower, rows are written over the one before.
    """
    for r in range(rows):
        for c in range(0, across, LANES):
            store(panel, r * across + c, load_some(columns - c, source, r * step + c))


@serial
def cut_panel(w, transposed, j, cut):
    """Panel j, the last one filled up with zeros."""
    (_, depth, width), first = cut.shape, j * cut.shape[2]
    columns = min(width, (w.shape[0] if transposed else w.shape[1]) - first)
    if not transposed and width % LANES == 0:
        pack(pointer(w, first), w.shape[1], depth, columns, pointer(cut, j * depth * width), width)
        return
    for start in range(0, depth, LANES):
        stop, done = min(depth, start + LANES), 0
        if transposed and stop - start == LANES:
            while done + LANES <= columns:
                source = pointer(w, (first + done) * depth + start)
                turn(source, depth, pointer(cut, (j * depth + start) * width + done), width)
                done += LANES
        for k in range(start, stop):
            for c in range(done, columns):
                cut[j, k, c] = w[first + c, k] if transposed else w[k, first + c]
            for c in range(columns, width):
                cut[j, k, c] = 0


@serial
def fetch_all(x, count):
    """Ask for a stretch of memory in its order, before tiles jump about in it."""
    for i in range(0, count, LANES):
        fetch(x, i)
