"""Batch normalisation on channels-last memory, P = N·H·W rows of C channels, and the activation after it.

Optimizations: one pass over memory for mean and variance, one for normalising and activating, two for backward (the
sums, then dx); the activation and its gradient cost no pass of their own; forward is one launch, and so is backward.
The passes are in :mod:`rows`, what lies between them in :mod:`channels`.
"""

# mypy: ignore-errors
from typing import NamedTuple

import numpy as np

from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import pointer
from npdsconv.kernels.parts import norm_rows
from npdsconv.kernels.parts.norm_channels import (
    MEAN,
    VAR,
    affine,
    gradients,
    norm_of,
    rows_of_block,
    set_scale,
    set_statistics,
)
from npdsconv.kernels.parts.norm_rows import Bounds, limits
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array


class Through(NamedTuple):
    """What takes a gradient through a batch norm and its activation, where the next kernel does so on the way."""

    x: Array  # (N·H·W, C), what was normalised
    norm: Array
    factors: Array  # see channels.gradients
    bounds: Bounds


def forward(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array | None,
    var: Array | None,
    eps: float,
    bounds: Bounds,
    sums: Array | None = None,
) -> tuple[Array, Array, Array]:
    """y (N,C,H,W), cut to the bounds, and the statistics that were used: those of x where none are given.

    `sums` are the `norm_rows.differences` of each image, where whoever made x has taken them.
    """
    pixels, norm = pixels_of(x), norm_of(weight, bias, mean, var)
    y, block = np.empty(pixels.shape, x.dtype), rows_of_block(pixels.shape[1])
    measuring, length = sums is None, x.shape[2] * x.shape[3]
    if measuring:
        length, blocks = block, 0 if mean is not None else -(-len(pixels) // block)
        sums = np.empty((blocks, 3, pixels.shape[1]), x.dtype)
    _forward(pixels, norm, measuring, sums, length, eps, limits(bounds, x.dtype), block, y)
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
    dx = np.empty((x.size // x.shape[1] if "x" in needs else 0, x.shape[1]), x.dtype)
    summed = not given or "weight" in needs or "bias" in needs
    how = norm_of(weight, bias, mean, var), eps, bounds, given, summed
    of_parameters, _ = _pulled_back(dy, x, *how, dx)
    return images_of(dx, x) if "x" in needs else dx, *of_parameters


def backward_to(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    bounds: Bounds,
    given: bool,
) -> tuple[Array, Array, Through]:
    """dweight and dbias, and in place of dx what a kernel needs to compute it from dy."""
    norm, nowhere = norm_of(weight, bias, mean, var), np.empty((0, x.shape[1]), x.dtype)
    of_parameters, factors = _pulled_back(dy, x, norm, eps, bounds, given, True, nowhere)
    return *of_parameters, Through(pixels_of(x), norm, factors, bounds)


def _pulled_back(
    dy: Array, x: Array, norm: Array, eps: float, bounds: Bounds, given: bool, summed: bool, dx: Array
) -> tuple[Array, Array]:
    """(dweight, dbias) and the factors; dx (N·H·W, C) is filled, unless it is empty."""
    pixels, block = pixels_of(x), rows_of_block(x.shape[1])
    sums = np.empty((-(-len(pixels) // block) if summed else 0, 2, x.shape[1]), x.dtype)
    of_parameters, factors = np.empty((2, x.shape[1]), x.dtype), np.empty((3, x.shape[1]), x.dtype)
    how = norm, np.inf if given else float(len(pixels)), eps, limits(bounds, x.dtype), block
    _backward(pixels_of(dy), pixels, *how, sums, of_parameters, factors, dx)
    return of_parameters, factors


@kernel
def _forward(x, norm, measuring, sums, length, eps, bounds, block, y):
    """`sums` are of `length` rows each, and none where the statistics are known."""
    pixels, channels = x.shape
    if measuring:
        for k in prange(sums.shape[0]):
            of_x, to = pointer(x, k * block * channels), pointer(sums, k * 3 * channels)
            norm_rows.differences(of_x, channels, min(pixels - k * block, block), channels, to, channels)
    if sums.shape[0] > 0:
        set_statistics(norm, sums, length, pixels)
    set_scale(norm, eps)
    for k in prange((pixels + block - 1) // block):
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
        norm_rows.combine(
            of_dy, channels, of_x, channels, min(pixels - k * block, block), channels, *how, channels
        )


@serial
def activate(k, block, x, norm, bounds, y):
    """y = act(norm(x)) for block k of the rows of x and y (P, C)."""
    pixels, channels = x.shape
    of_x, of_y = pointer(x, k * block * channels), pointer(y, k * block * channels)
    count, how = min(pixels - k * block, block), affine(norm, 0)
    norm_rows.activate(of_x, channels, count, channels, how, bounds, of_y, channels)


@serial
def slopes(k, block, dy, x, norm, bounds, sums):
    """sums[k] of `norm_rows.slopes`, for block k of the rows of dy and x (P, C)."""
    pixels, channels = x.shape
    of_dy, of_x = pointer(dy, k * block * channels), pointer(x, k * block * channels)
    count, how, to = min(pixels - k * block, block), affine(norm, 0), pointer(sums, k * 2 * channels)
    norm_rows.slopes(of_dy, channels, of_x, channels, count, channels, how, bounds, to, channels)
