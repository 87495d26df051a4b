"""Matrix products of tall operands, from tiles in registers: for use inside kernels.

The right operand is cut into *panels* of as many columns as a tile has, each contiguous, the last one filled up with
zeros; :func:`panels` does so once for a product. :func:`multiply` runs the tiles of one panel.

Optimizations: a panel is read from its first number to its last, in the order in which it lies; a transposed matrix is
cut into panels sixteen rows at a time, which stay in the L1 cache; rows that are left over are computed four at a
time, overlapping those before; :func:`fetch_all` asks for an operand in its order before tiles jump about in it.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import serial
from npdsconv.kernels.lanes import LANES, advance, fetch, load_some, store
from npdsconv.kernels.tile import FEW, ROWS, WIDTH_BYTES, few, one, tile
from npdsconv.shapes import Array


def width(dtype) -> int:
    """Columns of a panel."""
    return WIDTH_BYTES // np.dtype(dtype).itemsize


def panels(w: Array) -> Array:
    """A matrix (K, O) as (panels, K, width), the last panel filled up with zeros."""
    k, o = w.shape
    across = width(w.dtype)
    count = -(-o // across)
    padded = np.zeros((k, count * across), w.dtype)
    padded[:, :o] = w
    return np.ascontiguousarray(padded.reshape(k, count, across).swapaxes(0, 1))


def panels_of_transposed(w: Array) -> Array:
    """The same for the transpose of a matrix (O, K)."""
    o, k = w.shape
    across = width(w.dtype)
    cut = np.zeros((-(-o // across), k, across), w.dtype)
    _cut(layout.readonly(w), cut)
    return cut


@serial
def _cut(w, cut):
    inputs, across = cut.shape[1:]
    for j in range(cut.shape[0]):
        columns = min(across, w.shape[0] - j * across)
        for first in range(0, inputs, LANES):  # few rows at a time, which stay in the L1 cache
            for c in range(columns):
                for k in range(first, min(inputs, first + LANES)):
                    cut[j, k, c] = w[j * across + c, k]


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
def fetch_all(x, count):
    """Ask for a stretch of memory in its order, before tiles jump about in it."""
    for i in range(0, count, LANES):
        fetch(x, i)
