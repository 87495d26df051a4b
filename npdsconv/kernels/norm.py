"""Batch normalisation on channels-last memory, P = N·H·W rows of C channels, and the activation after it.

Optimizations: one pass over memory for mean and variance, one for normalising and activating, two for backward (the
sums, then dx); the activation and its gradient cost no pass of their own; forward is one launch, and so is backward.
The passes are in :mod:`batch_norm_rows`, what lies between them in :mod:`batch_norm_channels`.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np

from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import pointer
from npdsconv.kernels.parts.batch_norm_channels import (
    MEAN,
    VAR,
    BatchNorm,
    affine,
    backward_factors,
    batch_norm_of,
    pass_rows,
    set_scale,
    set_statistics,
)
from npdsconv.kernels.parts.batch_norm_rows import (
    Bounds,
    backward_dx,
    backward_sums,
    normalise,
    shifted_sums,
)
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array


class Through(NamedTuple):
    """What takes a gradient through a batch norm and its activation, where the next kernel does so on the way."""

    x: Array  # (N·H·W, C), what was normalised
    bn: BatchNorm
    factors: Array  # see backward_factors


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

    `sums` are the `shifted_sums` of each image, where whoever made x has taken them.
    """
    pixels, bn = pixels_of(x), batch_norm_of(weight, bias, mean, var, eps, bounds)
    y, rows = np.empty(pixels.shape, x.dtype), pass_rows(pixels.shape[1])
    summed, rows_of_sum = sums is not None, x.shape[2] * x.shape[3]
    if sums is None:
        rows_of_sum, blocks = rows, 0 if mean is not None else -(-len(pixels) // rows)
        sums = np.empty((blocks, 3, pixels.shape[1]), x.dtype)
    _forward(pixels, bn, rows, summed, sums, rows_of_sum, y)
    return images_of(y, x), bn.table[MEAN], bn.table[VAR]


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
    """dx (N,C,H,W), dweight and dbias; what is not needed is without meaning.

    `given` says that mean and variance are constants, not those of x.
    """
    dx = np.empty((x.size // x.shape[1] if "x" in needs else 0, x.shape[1]), x.dtype)
    summed = not given or "weight" in needs or "bias" in needs
    bn = batch_norm_of(weight, bias, mean, var, eps, bounds)
    (dweight, dbias), _ = _backward_into(dx, dy, x, bn, given, summed)
    return images_of(dx, x) if "x" in needs else dx, dweight, dbias


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
    bn, nowhere = batch_norm_of(weight, bias, mean, var, eps, bounds), np.empty((0, x.shape[1]), x.dtype)
    (dweight, dbias), factors = _backward_into(nowhere, dy, x, bn, given, True)
    return dweight, dbias, Through(pixels_of(x), bn, factors)


def _backward_into(
    dx: Array, dy: Array, x: Array, bn: BatchNorm, given: bool, summed: bool
) -> tuple[Array, Array]:
    """(dweight, dbias) and the factors; dx (N·H·W, C) is filled, unless it is empty."""
    pixels, rows = pixels_of(x), pass_rows(x.shape[1])
    sums = np.empty((-(-len(pixels) // rows) if summed else 0, 2, x.shape[1]), x.dtype)
    of_parameters, factors = np.empty((2, x.shape[1]), x.dtype), np.empty((3, x.shape[1]), x.dtype)
    count = np.inf if given else float(len(pixels))
    _backward(pixels_of(dy), pixels, bn, count, rows, sums, of_parameters, factors, dx)
    return of_parameters, factors


@kernel
def _forward(x, bn, rows, summed, sums, rows_of_sum, y):
    """`sums` are of so many rows each, and none where the statistics are known."""
    pixels, channels = x.shape
    if not summed:
        for k in prange(sums.shape[0]):
            count = min(pixels - k * rows, rows)
            shifted_sums(
                pointer(x, k * rows * channels), channels, count, channels, pointer(sums, k * 3 * channels)
            )
    if sums.shape[0] > 0:
        set_statistics(bn, sums, rows_of_sum, pixels)
    set_scale(bn)
    for k in prange((pixels + rows - 1) // rows):
        normalise_block(k, rows, x, bn, y)


@kernel
def _backward(dy, x, bn, count, rows, sums, of_parameters, factors, dx):
    set_scale(bn)
    for k in prange(sums.shape[0]):
        backward_sums_of_block(k, rows, dy, x, bn, sums)
    backward_factors(sums, bn, count, of_parameters, factors)
    for k in prange((dx.shape[0] + rows - 1) // rows):
        _backward_dx_of_block(k, rows, dy, x, bn, factors, dx)


@serial
def normalise_block(k, rows, x, bn, y):
    """y = act(norm(x)) for block k of the rows of x and y (P, C)."""
    pixels, channels = x.shape
    of_x, of_y = pointer(x, k * rows * channels), pointer(y, k * rows * channels)
    count, bounds = min(pixels - k * rows, rows), (bn.low, bn.high)
    normalise(of_x, channels, count, channels, affine(bn.table, 0), bounds, of_y, channels)


@serial
def backward_sums_of_block(k, rows, dy, x, bn, sums):
    """sums[k], for block k of the rows of dy and x (P, C)."""
    pixels, channels = x.shape
    of_dy, of_x = pointer(dy, k * rows * channels), pointer(x, k * rows * channels)
    count, bounds = min(pixels - k * rows, rows), (bn.low, bn.high)
    backward_sums(of_dy, of_x, count, channels, affine(bn.table, 0), bounds, pointer(sums, k * 2 * channels))


@serial
def _backward_dx_of_block(k, rows, dy, x, bn, factors, dx):
    (pixels, channels), first = x.shape, k * rows * x.shape[1]
    of_dy, of_x, of_dx = pointer(dy, first), pointer(x, first), pointer(dx, first)
    count, bounds = min(pixels - k * rows, rows), (bn.low, bn.high)
    backward_dx(of_dy, of_x, count, channels, affine(bn.table, 0), bounds, pointer(factors, 0), of_dx)
