"""Compiles the backward of a separable block for one dtype, and leaves it in the cache of kernels.

It takes as long to compile as the rest of a network, so that warming up has it done here, in a second process.
"""

import sys

import numpy as np

from npdsconv.ops.fused.block import Saved, separable_block_backward
from npdsconv.runs import processes


def compile_backward(dtype: str) -> None:
    """Call the backward of a block, and nothing else, on arrays whose values do not matter."""
    x = np.ones((2, 3, 4, 4), dtype)
    vector = np.ones(3, dtype)
    saved = Saved(x, x, vector, vector, vector, vector)
    weights = np.ones((3, 1, 3, 3), dtype), vector, vector, np.ones((3, 3), dtype), vector, vector
    separable_block_backward(x, x, saved, *weights, padding=1)


if __name__ == "__main__":
    processes.end_with_parent()
    compile_backward(sys.argv[1])
