"""Batch norm's small formulas, a few numbers for each channel: what lies between two passes over memory.

All sums that come in are merged in float64.

Optimizations: the loops run along the channels, so they are vectors; they are compiled into the kernels that need
them, where the same formulas in NumPy, thirty calls for a block, took longer than some of its passes over memory.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import pointer
from npdsconv.kernels.parts.batch_norm_rows import Bounds, bounds_as
from npdsconv.shapes import Array

WEIGHT, BIAS, MEAN, VAR, SCALE = range(5)  # the rows of a table
# A block of rows is cut by shape alone, so that sums are the same on any number of threads.
BLOCK_NUMBERS = 16384
FEWEST, MOST = 32, 512  # rows of a block; longer sums of float32 would lose digits


class BatchNorm(NamedTuple):
    """A batch norm and the activation after it, which cuts to [low, high]."""

    table: Array  # (5, C): weight, bias, mean, variance and scale, which is weight/√(var + eps)
    eps: float
    low: float
    high: float


def batch_norm_of(
    weight: Array, bias: Array, mean: Array | None, var: Array | None, eps: float, bounds: Bounds
) -> BatchNorm:
    """A batch norm whose scale, and whose statistics if left out, are still to be filled in."""
    table = np.empty((5, len(weight)), weight.dtype)
    table[WEIGHT], table[BIAS] = weight, bias
    if mean is not None and var is not None:
        table[MEAN], table[VAR] = mean, var
    return BatchNorm(table, eps, *bounds_as(weight.dtype, bounds))


def pass_rows(channels: int) -> int:
    """How many rows a block has in a pass over memory."""
    return min(max(FEWEST, BLOCK_NUMBERS // max(1, channels)), MOST)


@serial(inline=True)
def affine(table, first):
    """Where mean, scale and bias lie, from channel `first` on."""
    channels = table.shape[1]
    return (
        pointer(table, MEAN * channels + first),
        pointer(table, SCALE * channels + first),
        pointer(table, BIAS * channels + first),
    )


@serial
def set_statistics(bn, sums, rows, total):
    """Mean and (biased) variance, from the `shifted_sums` (blocks, 3, C) of blocks of `rows` rows, `total` in all."""
    table, average, squares = bn.table, np.zeros(bn.table.shape[1]), np.zeros(bn.table.shape[1])
    for k in range(sums.shape[0]):
        count = min(rows, total - k * rows)
        for c in range(average.size):
            average[c] += count * np.float64(sums[k, 2, c]) + np.float64(sums[k, 0, c])
    for c in range(average.size):
        average[c] /= total
    for k in range(sums.shape[0]):
        count = min(rows, total - k * rows)
        for c in range(average.size):
            s, q = np.float64(sums[k, 0, c]), np.float64(sums[k, 1, c])
            shift = sums[k, 2, c] + s / count - average[c]
            squares[c] += max(q - s * s / count, 0.0) + count * shift * shift
    for c in range(average.size):
        table[MEAN, c], table[VAR, c] = average[c], squares[c] / total


@serial
def set_scale(bn):
    table, eps = bn.table, bn.eps
    for c in range(table.shape[1]):
        table[SCALE, c] = table[WEIGHT, c] / np.sqrt(table[VAR, c] + eps)


@serial
def backward_factors(sums, bn, count, of_parameters, factors):
    """From the `backward_sums` (blocks, 2, C): dweight and dbias (2, C), and the factors of dx (3, C).

    dx = factors[0]·h + factors[1]·(x - mean) + factors[2], where h is the gradient before the activation: the formula
    of :mod:`npdsconv.ops.norm` sorted by h, x and the rest. `count` is the number of values in a channel, infinite
    where the statistics are constants.
    """
    table, eps = bn.table, bn.eps
    plain, centred = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    for k in range(sums.shape[0]):
        for c in range(plain.size):
            plain[c] += sums[k, 0, c]
            centred[c] += sums[k, 1, c]
    for c in range(plain.size):
        inverse = 1 / np.sqrt(np.float64(table[VAR, c]) + eps)
        a = table[WEIGHT, c] * inverse
        of_parameters[0, c], of_parameters[1, c] = centred[c] * inverse, plain[c]
        factors[0, c], factors[1, c] = a, -a * inverse * inverse * centred[c] / count
        factors[2, c] = -a * plain[c] / count
