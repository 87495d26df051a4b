"""Batch norm's small formulas, a few numbers for each channel: what lies between two passes over memory.

What kernels call a *norm* is an array (5, C) with a row each for weight, bias, mean, variance and scale, which is
weight/√(var + eps). All sums that come in are merged in float64.

Optimizations: the loops run along the channels, so they are vectors; they are compiled into the kernels that need
them, where the same formulas in NumPy, thirty calls for a block, took longer than some of its passes over memory.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import pointer
from npdsconv.shapes import Array

WEIGHT, BIAS, MEAN, VAR, SCALE = range(5)
# A block of rows is cut by shape alone, so that sums are the same on any number of threads.
SPAN = 16384  # numbers
FEWEST, MOST = 32, 512  # rows; longer sums of float32 would lose digits


def norm_of(weight: Array, bias: Array, mean: Array | None = None, var: Array | None = None) -> Array:
    """A norm whose scale, and whose statistics if left out, are still to be filled in."""
    norm = np.empty((5, len(weight)), weight.dtype)
    norm[WEIGHT], norm[BIAS] = weight, bias
    if mean is not None:
        norm[MEAN], norm[VAR] = mean, var
    return norm


def rows_of_block(channels: int) -> int:
    """How many rows one piece of a pass over memory takes."""
    return min(max(FEWEST, SPAN // max(1, channels)), MOST)


@serial(inline=True)
def affine(norm, first):
    """Where mean, scale and bias lie, from channel `first` on."""
    channels = norm.shape[1]
    return (
        pointer(norm, MEAN * channels + first),
        pointer(norm, SCALE * channels + first),
        pointer(norm, BIAS * channels + first),
    )


@serial
def set_statistics(norm, sums, block, total):
    """Mean and (biased) variance from `rows.differences` of all blocks, (blocks, 3, C); the last block is shorter."""
    average, spread = np.zeros(norm.shape[1]), np.zeros(norm.shape[1])
    for k in range(sums.shape[0]):
        count = min(block, total - k * block)
        for c in range(average.size):
            average[c] += count * np.float64(sums[k, 2, c]) + np.float64(sums[k, 0, c])
    for c in range(average.size):
        average[c] /= total
    for k in range(sums.shape[0]):
        count = min(block, total - k * block)
        for c in range(average.size):
            s, q = np.float64(sums[k, 0, c]), np.float64(sums[k, 1, c])
            shift = sums[k, 2, c] + s / count - average[c]
            spread[c] += max(q - s * s / count, 0.0) + count * shift * shift
    for c in range(average.size):
        norm[MEAN, c], norm[VAR, c] = average[c], spread[c] / total


@serial
def set_scale(norm, eps):
    for c in range(norm.shape[1]):
        norm[SCALE, c] = norm[WEIGHT, c] / np.sqrt(norm[VAR, c] + eps)


@serial
def gradients(sums, norm, eps, count, of_parameters, factors):
    """From `rows.slopes` of all blocks, (blocks, 2, C): dweight and dbias (2, C), and the factors of dx (3, C).

    dx = factors[0]·h + factors[1]·(x - mean) + factors[2], where h is the gradient before the activation: the formula
    of :mod:`npdsconv.ops.norm` sorted by h, x and the rest. `count` is the number of values in a channel, infinite
    where the statistics are constants.
    """
    plain, centred = np.zeros(norm.shape[1]), np.zeros(norm.shape[1])
    for k in range(sums.shape[0]):
        for c in range(plain.size):
            plain[c] += sums[k, 0, c]
            centred[c] += sums[k, 1, c]
    for c in range(plain.size):
        inverse = 1 / np.sqrt(np.float64(norm[VAR, c]) + eps)
        a = norm[WEIGHT, c] * inverse
        of_parameters[0, c], of_parameters[1, c] = centred[c] * inverse, plain[c]
        factors[0, c], factors[1, c] = a, -a * inverse * inverse * centred[c] / count
        factors[2, c] = -a * plain[c] / count
