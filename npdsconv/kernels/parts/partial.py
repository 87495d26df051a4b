"""Adding up partial sums: each piece of work writes its own, and here they meet, always in the same order.

Optimizations: pieces of the result, not of the partial sums, so that a piece of the total stays in the L1 cache while
all its terms go by; a few numbers are left to NumPy.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import LANES, add, clear, load_some, pointer, store_some
from npdsconv.shapes import Array

PIECE = 2048  # numbers of the result in one piece of work
SMALL = 1 << 14  # below so many numbers a launch costs more than it saves


def add_up(partial: Array) -> Array:
    """partial.sum(axis=0)."""
    if len(partial) == 1:
        return partial[0]
    if partial.size < SMALL:
        return partial.sum(axis=0)
    total = np.empty(partial.shape[1:], partial.dtype)
    _add_up(partial.reshape(len(partial), -1), total.reshape(-1))
    return total


@kernel
def _add_up(partial, total):
    for piece in prange(pieces_of(total)):
        add_piece(partial, piece, total)


@serial
def pieces_of(total):
    return (total.size + PIECE - 1) // PIECE


@serial
def add_piece(partial, piece, total):
    """A piece of the total (…) of partial sums (terms, …); without terms it is zero."""
    numbers, first = total.size, piece * PIECE
    some, to = min(numbers - first, PIECE), pointer(total, first)
    clear(to, some)
    for k in range(partial.shape[0]):
        terms = pointer(partial, k * numbers + first)
        for i in range(0, some, LANES):
            store_some(some - i, to, i, add(load_some(some - i, to, i), load_some(some - i, terms, i)))
