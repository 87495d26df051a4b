"""Adding up partial sums: each piece of work writes its own, and here they meet, always in the same order.

Optimizations: pieces of the result, not of the partial sums, so that a piece of the total stays in the L1 cache while
all its terms go by; a few numbers are left to NumPy.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import LANES, add, clear, load_masked, pointer, store_masked
from npdsconv.shapes import Array

NUMBERS = 2048  # of the result in one piece of work
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
    return (total.size + NUMBERS - 1) // NUMBERS


@serial
def add_piece(partial, piece, total):
    """A piece of the total (…) of partial sums (terms, …); without terms it is zero."""
    first = piece * NUMBERS
    count, to = min(total.size - first, NUMBERS), pointer(total, first)
    clear(to, count)
    for k in range(partial.shape[0]):
        terms = pointer(partial, k * total.size + first)
        for i in range(0, count, LANES):
            store_masked(
                count - i, to, i, add(load_masked(count - i, to, i), load_masked(count - i, terms, i))
            )
