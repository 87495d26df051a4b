"""Batch normalisation on channels-last memory, P = N·H·W rows of C channels, and the activation after it.

Optimizations: one pass over memory for mean and variance, one for normalising and activating, two for backward (the
sums, then dx); the activation and its gradient cost no pass of their own; forward is one launch, and so is backward.
The passes are in :mod:`rows`, what lies between them in :mod:`channels`.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels import rows
from npdsconv.kernels._jit import kernel, prange, serial
from npdsconv.kernels.channels import (
    MEAN,
    VAR,
    affine,
    gradients,
    norm_of,
    rows_of_block,
    set_scale,
    set_statistics,
)
from npdsconv.kernels.lanes import pointer
from npdsconv.kernels.rows import Bounds, limits
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array


def forward(
    x: Array, weight: Array, bias: Array, mean: Array | None, var: Array | None, eps: float, bounds: Bounds
) -> tuple[Array, Array, Array]:
    """y (N,C,H,W), cut to the bounds, and the statistics that were used: those of x where none are given."""
    pixels, norm = pixels_of(x), norm_of(weight, bias, mean, var)
    y, block = np.empty(pixels.shape, x.dtype), rows_of_block(pixels.shape[1])
    sums = np.empty((-(-len(pixels) // block), 3, pixels.shape[1]), x.dtype)
    _forward(pixels, norm, mean is not None, eps, limits(bounds, x.dtype), block, sums, y)
    return images_of(y, x), norm[MEAN], norm[VAR]


def backward(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    bounds: Bounds,
    given: bool,
    needs: tuple[str, ...],
) -> tuple[Array, Array, Array]:
    """dx (N,C,H,W), dweight and dbias; what is not needed is without meaning."""
    pixels, norm = pixels_of(x), norm_of(weight, bias, mean, var)
    dx = np.empty(pixels.shape if "x" in needs else (0, pixels.shape[1]), x.dtype)
    block, summed = rows_of_block(pixels.shape[1]), not given or "weight" in needs or "bias" in needs
    sums = np.empty((-(-len(pixels) // block) if summed else 0, 2, pixels.shape[1]), x.dtype)
    of_parameters, factors = np.empty((2, pixels.shape[1]), x.dtype), np.empty((3, pixels.shape[1]), x.dtype)
    how = norm, np.inf if given else float(len(pixels)), eps, limits(bounds, x.dtype), block
    _backward(pixels_of(dy), pixels, *how, sums, of_parameters, factors, dx)
    return images_of(dx, x) if "x" in needs else dx, *of_parameters


@kernel
def _forward(x, norm, known, eps, bounds, block, sums, y):
    pixels, channels = x.shape
    if not known:
        for k in prange(sums.shape[0]):
            of_x, to = pointer(x, k * block * channels), pointer(sums, k * 3 * channels)
            rows.differences(of_x, channels, min(pixels - k * block, block), channels, to, channels)
        set_statistics(norm, sums, block, pixels)
    set_scale(norm, eps)
    for k in prange(sums.shape[0]):
        activate(k, block, x, norm, bounds, y)


@kernel
def _backward(dy, x, norm, count, eps, bounds, block, sums, of_parameters, factors, dx):
    pixels, channels = x.shape
    set_scale(norm, eps)
    for k in prange(sums.shape[0]):
        slopes(k, block, dy, x, norm, bounds, sums)
    gradients(sums, norm, eps, count, of_parameters, factors)
    for k in prange((dx.shape[0] + block - 1) // block):
        of_dy, of_x = pointer(dy, k * block * channels), pointer(x, k * block * channels)
        how = affine(norm, 0), bounds, pointer(factors, 0), pointer(dx, k * block * channels)
        rows.combine(
            of_dy, channels, of_x, channels, min(pixels - k * block, block), channels, *how, channels
        )


@serial
def activate(k, block, x, norm, bounds, y):
    """y = act(norm(x)) for block k of the rows of x and y (P, C)."""
    pixels, channels = x.shape
    of_x, of_y = pointer(x, k * block * channels), pointer(y, k * block * channels)
    count, how = min(pixels - k * block, block), affine(norm, 0)
    rows.activate(of_x, channels, count, channels, how, bounds, of_y, channels)


@serial
def slopes(k, block, dy, x, norm, bounds, sums):
    """sums[k] of `rows.slopes`, for block k of the rows of dy and x (P, C)."""
    pixels, channels = x.shape
    of_dy, of_x = pointer(dy, k * block * channels), pointer(x, k * block * channels)
    count, how, to = min(pixels - k * block, block), affine(norm, 0), pointer(sums, k * 2 * channels)
    rows.slopes(of_dy, channels, of_x, channels, count, channels, how, bounds, to, channels)
