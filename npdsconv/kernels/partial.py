"""Adding up partial sums: each piece of work writes its own, and here they meet, always in the same order.

Optimizations: pieces of the result, not of the partial sums, so that a piece of the total stays in the L1 cache while
all its terms go by; a few numbers are left to NumPy.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels._jit import kernel, prange
from npdsconv.shapes import Array

PIECE = 2048  # numbers of the result in one piece of work
SMALL = 1 << 14  # below so many numbers a launch costs more than it saves


def add_up(partial: Array) -> Array:
    """partial.sum(axis=0)."""
    if len(partial) == 1:
        return partial[0]
    if partial.size < SMALL:
        return partial.sum(axis=0)
    total = np.zeros(partial.shape[1:], partial.dtype)
    _add_up(partial.reshape(len(partial), -1), total.reshape(-1))
    return total


@kernel
def _add_up(partial, total):
    for piece in prange((total.shape[0] + PIECE - 1) // PIECE):
        first, last = piece * PIECE, min(total.shape[0], (piece + 1) * PIECE)
        sums = total[first:last]
        for block in range(partial.shape[0]):
            terms = partial[block, first:last]
            for k in range(sums.shape[0]):
                sums[k] += terms[k]
