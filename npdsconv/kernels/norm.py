"""Batch normalisation on channels-last memory, P = N·H·W rows of C channels, and the activation after it.

Optimizations: one pass over memory for mean and variance, one for normalising and activating, two for backward (the
sums, then dx); the activation and its gradient cost no pass of their own. The loops are in :mod:`rows`.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels import rows
from npdsconv.kernels._jit import kernel, prange
from npdsconv.kernels.lanes import pointer
from npdsconv.kernels.rows import Bounds, limits
from npdsconv.shapes import Array

BLOCK = 512  # rows of one piece of work


def statistics(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel of x (N,C,H,W)."""
    pixels = pixels_of(x)
    sums = np.empty((-(-len(pixels) // BLOCK), 3, pixels.shape[1]), x.dtype)
    _differences(pixels, sums)
    return merge(sums, len(pixels), BLOCK)


def merge(sums: Array, pixels: int, block: int) -> tuple[Array, Array]:
    """Mean and variance from the sums of blocks of `block` rows, the last one shorter."""
    counts = np.full(len(sums), block)
    counts[-1] = pixels - block * (len(sums) - 1)
    mean, var = np.empty((2, sums.shape[2]), sums.dtype)
    rows.merged(sums, counts, mean, var)
    return mean, var


def normalise(x: Array, mean: Array, scale: Array, bias: Array, bounds: Bounds) -> Array:
    """y[n,c,i,j] = (x[n,c,i,j] - mean[c])·scale[c] + bias[c], cut to the bounds."""
    pixels = pixels_of(x)
    y = np.empty(pixels.shape, x.dtype)
    _activate(pixels, *vectors(mean, scale, bias), limits(bounds, x.dtype), y)
    return images_of(y, x)


def gradient_sums(
    dy: Array, x: Array, mean: Array, scale: Array, bias: Array, bounds: Bounds
) -> tuple[Array, Array]:
    """Σ g and Σ g·(x - mean) for each channel, in float64, where g is dy before the activation."""
    pixels = pixels_of(x)
    sums = np.empty((-(-len(pixels) // BLOCK), 2, pixels.shape[1]), x.dtype)
    _slopes(pixels_of(dy), pixels, *vectors(mean, scale, bias), limits(bounds, x.dtype), sums)
    plain, centred = sums.sum(axis=0, dtype=np.float64)
    return plain, centred


def combine(
    dy: Array, x: Array, mean: Array, scale: Array, bias: Array, bounds: Bounds, factors: Array
) -> Array:
    """factors[0]·g + factors[1]·(x - mean) + factors[2]: what the gradient for x comes down to."""
    pixels = pixels_of(x)
    dx = np.empty(pixels.shape, x.dtype)
    how = *vectors(mean, scale, bias), limits(bounds, x.dtype), layout.readonly(factors)
    _combine(pixels_of(dy), pixels, *how, dx)
    return images_of(dx, x)


def vectors(*per_channel: Array) -> tuple[Array, ...]:
    return tuple(layout.readonly(v) for v in per_channel)


def pixels_of(x: Array) -> Array:
    """x (N,C,H,W) as (N·H·W, C)."""
    return layout.nhwc(x).reshape(-1, x.shape[1])


def images_of(pixels: Array, like: Array) -> Array:
    """(N·H·W, O) as (N,O,H,W), with the N, H and W of `like`."""
    n, _, h, w = like.shape
    return layout.nchw(pixels.reshape(n, h, w, pixels.shape[1]))


@kernel
def _differences(x, sums):
    channels = x.shape[1]
    for block in prange(sums.shape[0]):
        first = block * BLOCK
        count = min(x.shape[0] - first, BLOCK)
        rows.differences(
            pointer(x, first * channels),
            channels,
            count,
            channels,
            pointer(sums, block * 3 * channels),
            channels,
        )


@kernel
def _activate(x, mean, scale, bias, bounds, y):
    channels = x.shape[1]
    for block in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        count = min(x.shape[0] - first, BLOCK)
        of_x, of_y = pointer(x, first * channels), pointer(y, first * channels)
        per_channel = pointer(mean, 0), pointer(scale, 0), pointer(bias, 0)
        rows.activate(of_x, channels, count, channels, *per_channel, bounds, of_y, channels)


@kernel
def _slopes(dy, x, mean, scale, bias, bounds, sums):
    channels = x.shape[1]
    for block in prange(sums.shape[0]):
        first = block * BLOCK
        count = min(x.shape[0] - first, BLOCK)
        of_dy, of_x = pointer(dy, first * channels), pointer(x, first * channels)
        per_channel = pointer(mean, 0), pointer(scale, 0), pointer(bias, 0)
        total = pointer(sums, block * 2 * channels)
        rows.slopes(of_dy, channels, of_x, channels, count, channels, *per_channel, bounds, total, channels)


@kernel
def _combine(dy, x, mean, scale, bias, bounds, factors, dx):
    channels = x.shape[1]
    for block in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        count = min(x.shape[0] - first, BLOCK)
        of_dy, of_x = pointer(dy, first * channels), pointer(x, first * channels)
        per_channel = pointer(mean, 0), pointer(scale, 0), pointer(bias, 0)
        to = pointer(dx, first * channels)
        rows.combine(
            of_dy,
            channels,
            of_x,
            channels,
            count,
            channels,
            *per_channel,
            bounds,
            pointer(factors, 0),
            to,
            channels,
        )
