"""A depthwise separable block in training: 3×3 depthwise, batch norm, activation, pointwise, batch norm, activation.

A batch norm needs the statistics of all pixels before it can treat the first one, so a block is three passes over
memory forward, and three backward. What lies between two of these barriers is done while the numbers are in the cache:

    forward 1     d = depthwise(x), and the sums for its mean and variance                image by image
            2     p = pointwise(act(norm(d))), and the sums for its mean and variance     block by block of pixels
            3     y = act(norm(p))

    backward 1    the sums of batch norm's gradient, over dy and p
             2    dp; the pointwise dw; h, the gradient for norm(d), and its sums         block by block of pixels
             3    dd; dx and the depthwise dw                                             image by image

Only d and p are kept for backward, besides x: the activations between them are computed again, in the cache. Each
`prange` below is one pass, a barrier behind it; a piece of each is in :mod:`block_pieces`.

Optimizations: against the six ops one after the other, eight arrays of the size of the activations are neither written
nor read; forward is one launch, with the small formulas of batch norm compiled into it, and so is backward; weights are
packed by all threads. The rest is that of :mod:`depthwise_3x3`, :mod:`product` and :mod:`batch_norm_rows`.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np

from npdsconv import layout
from npdsconv.kernels.depthwise_3x3 import correlate
from npdsconv.kernels.machine import jit
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.kernels.machine.lanes import advance, keep_alive, pointer
from npdsconv.kernels.norm import backward_sums_of_block, normalise_block
from npdsconv.kernels.parts.batch_norm_channels import (
    MEAN,
    VAR,
    backward_factors,
    batch_norm_of,
    pass_rows,
    set_scale,
    set_statistics,
)
from npdsconv.kernels.parts.batch_norm_rows import Bounds, bounds_as, clamp_rows, is_bounded, shifted_sums
from npdsconv.kernels.parts.block_pieces import depthwise_backward, pointwise_backward, pointwise_forward
from npdsconv.kernels.parts.frame import frame_of
from npdsconv.kernels.parts.partial_sums import add_piece, pieces_of
from npdsconv.kernels.parts.product import (
    block_rows,
    empty_panels,
    multiply_rows,
    pack_panel,
    strips_of,
    whole_panels,
)
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array, Window

FEW_IMAGES = 4  # of fewer images each is cut into pieces of work


# ---- what goes in and comes out ---------------------------------------------------------------------------------


# depthwise (C,1,3,3), the batch norm's weight1 and bias1 (C,), pointwise (O,C), weight2 and bias2 (O,)
Parameters = tuple[Array, Array, Array, Array, Array, Array]


class Weights(NamedTuple):
    """As the loops want them."""

    depthwise: Array  # (9·C,), the channels of a tap side by side
    pointwise: Array  # (O, C)
    panels: Array  # room for the pointwise ones, packed
    bias: Array  # of the depthwise step; zeros where a batch norm follows


class Rows(NamedTuple):
    """How many rows a block of pixels has: for a product, and for a pass of the second batch norm."""

    product: int
    norm: int


class Scratch(NamedTuple):
    """What the passes of backward hand on, of the first batch norm (C channels) and the second (O)."""

    sums1: Array
    sums2: Array
    factors1: Array
    factors2: Array
    h: Array  # (P, C), the gradient for norm(d)
    partial1: Array  # of the depthwise dw, one for each image
    partial2: Array  # of the pointwise dw, one for each block of pixels


class Gradients(NamedTuple):
    """What comes out of backward; empty where it is not wanted."""

    dx: Array  # (N, H, W, C)
    dw1: Array  # (9, C)
    dw2: Array  # (O, C)
    of_norm1: Array  # (2, C): dweight and dbias
    of_norm2: Array  # (2, O)


def forward(
    x: Array,
    weights: Parameters,
    known: tuple[Array | None, Array | None, Array | None, Array | None],
    window: Window,
    bounds: tuple[Bounds, Bounds],
    eps: tuple[float, float],
    keeping: bool,
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """y (N,O,OH,OW), and for backward d (N,C,OH,OW), p (N,O,OH,OW), and mean and variance of both.

    `known` are such means and variances, or None where they are the batch's. Unless `keeping`, p becomes y, and d and p
    are without meaning afterwards.
    """
    depthwise, weight1, bias1, pointwise, weight2, bias2 = weights
    n, pixels, dtype, (outputs, channels) = len(x), len(x) * window.pixels, x.dtype, pointwise.shape
    mean1, var1, mean2, var2 = known
    bn1 = batch_norm_of(weight1, bias1, mean1, var1, eps[0], bounds[0])
    bn2 = batch_norm_of(weight2, bias2, mean2, var2, eps[1], bounds[1])
    rows = Rows(block_rows(pixels), pass_rows(outputs))
    sums1 = np.empty((0 if mean1 is not None else n, 3, channels), dtype)
    sums2 = np.empty((0 if mean2 is not None else -(-pixels // rows.product), 3, outputs), dtype)
    d, p = np.empty((n, *window.output, channels), dtype), np.empty((pixels, outputs), dtype)
    y = np.empty_like(p) if keeping else p
    panels, zero = empty_panels(pointwise, transposed=True), whole_panels(None, channels, dtype)
    taken = Weights(layout.taps_of(depthwise).reshape(-1), layout.readonly(pointwise), panels, zero)
    _forward(layout.nhwc(x), taken, frame_of(window), bn1, bn2, rows, sums1, sums2, d, p, y)
    d = layout.nchw(d)
    statistics = bn1.table[MEAN], bn1.table[VAR], bn2.table[MEAN], bn2.table[VAR]
    return images_of(y, d), d, images_of(p, d), *statistics


def backward(
    dy: Array,
    x: Array,
    saved: tuple[Array, Array, Array, Array, Array, Array],
    weights: Parameters,
    given: tuple[bool, bool],
    window: Window,
    bounds: tuple[Bounds, Bounds],
    eps: tuple[float, float],
    wanted: tuple[bool, bool, bool],
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """The gradients for x and for the weights.

    `given` says of both batch norms whether their statistics are constants, `wanted` of x, depthwise and pointwise
    whether their gradients are needed.
    """
    depthwise, weight1, bias1, pointwise, weight2, bias2 = weights
    d, p, mean1, var1, mean2, var2 = saved
    n, pixels, dtype, (outputs, channels) = len(x), len(x) * window.pixels, x.dtype, pointwise.shape
    bn1 = batch_norm_of(weight1, bias1, mean1, var1, eps[0], bounds[0])
    bn2 = batch_norm_of(weight2, bias2, mean2, var2, eps[1], bounds[1])
    rows = Rows(block_rows(pixels), pass_rows(outputs))
    blocks = -(-pixels // rows.product)
    scratch = Scratch(
        np.empty((blocks, 2, channels), dtype),
        np.empty((-(-pixels // rows.norm), 2, outputs), dtype),
        np.empty((3, channels), dtype),
        np.empty((3, outputs), dtype),
        np.empty((pixels, channels), dtype),
        np.empty((n if wanted[1] else 0, 9, channels), dtype),
        np.empty((blocks if wanted[2] else 0, outputs, channels), dtype),
    )
    found = Gradients(
        np.empty((n if wanted[0] else 0, *x.shape[2:], channels), dtype),
        np.empty((9 if wanted[1] else 0, channels), dtype),
        np.empty((outputs if wanted[2] else 0, channels), dtype),
        np.empty((2, channels), dtype),
        np.empty((2, outputs), dtype),
    )
    rotated = depthwise if window.stride[0] == 2 else depthwise[:, :, ::-1, ::-1]
    panels, zero = empty_panels(pointwise), whole_panels(None, max(channels, 1), dtype)
    taken = Weights(layout.taps_of(rotated).reshape(-1), layout.readonly(pointwise), panels, zero)
    counts = np.inf if given[0] else float(pixels), np.inf if given[1] else float(pixels)
    arrays = pixels_of(dy), layout.nhwc(x), layout.nhwc(d), pixels_of(p)
    _backward(*arrays, taken, frame_of(window), bn1, bn2, counts, rows, scratch, found)
    dw1 = np.ascontiguousarray(found.dw1.T).reshape(-1, 1, 3, 3)
    return layout.nchw(found.dx), dw1, *found.of_norm1, found.dw2, *found.of_norm2


def backward_is_missing() -> bool:
    """Whether the backward has still to be compiled, and would then be kept: it takes as long as all other kernels."""
    return jit.is_missing(_backward)


def inference(
    x: Array,
    depthwise: Array,
    bias1: Array | None,
    bounds1: Bounds,
    pointwise: Array,
    bias2: Array | None,
    bounds2: Bounds,
    window: Window,
) -> Array:
    """y (N,O,OH,OW) of a block without batch norm; nothing is kept, and an image goes through in the cache."""
    y = np.empty((len(x), *window.output, len(pointwise)), x.dtype)
    panels, start1 = empty_panels(pointwise, transposed=True), whole_panels(bias1, x.shape[1], x.dtype)
    taken = Weights(layout.taps_of(depthwise).reshape(-1), layout.readonly(pointwise), panels, start1)
    start2, strip = (
        whole_panels(bias2, len(pointwise), x.dtype),
        -(-len(panels) * min(len(x), FEW_IMAGES) // FEW_IMAGES),
    )
    how = bounds_as(x.dtype, bounds1), bounds_as(x.dtype, bounds2), max(1, strip)
    _infer(layout.nhwc(x), taken, start2, frame_of(window), *how, y)
    return layout.nchw(y)


# ---- compiled ---------------------------------------------------------------------------------------------------


@kernel
def _forward(images, weights, frame, bn1, bn2, rows, sums1, sums2, d, p, y):
    n, channels, pixels, of_image = d.shape[0], d.shape[3], p.shape[0], d.shape[1] * d.shape[2]
    depthwise, pointwise, panels, zero = weights

    for k in prange(n + panels.shape[0]):
        if k >= n:
            pack_panel(pointwise, True, k - n, panels)
        else:
            correlate(images[k], depthwise, zero, frame, d[k])
            if sums1.shape[0] > 0:
                of_d, to = pointer(d, k * of_image * channels), pointer(sums1, k * 3 * channels)
                shifted_sums(of_d, channels, of_image, channels, to)
    if sums1.shape[0] > 0:
        set_statistics(bn1, sums1, of_image, pixels)
    set_scale(bn1)

    for piece in prange((pixels + rows.product - 1) // rows.product * strips_of(panels)):
        pointwise_forward(piece, rows.product, d, bn1, panels, zero, p, sums2)
    if sums2.shape[0] > 0:
        set_statistics(bn2, sums2, rows.product, pixels)
    set_scale(bn2)

    for k in prange((pixels + rows.norm - 1) // rows.norm):
        normalise_block(k, rows.norm, p, bn2, y)


@kernel
def _backward(dy, images, d, p, weights, frame, bn1, bn2, counts, rows, scratch, found):
    n, pixels = d.shape[0], p.shape[0]
    depthwise, pointwise, panels, zero = weights
    sums1, sums2, factors1, factors2, h, partial1, partial2 = scratch
    dx, dw1, dw2, of_norm1, of_norm2 = found
    set_scale(bn1)
    set_scale(bn2)

    blocks = sums2.shape[0]
    for k in prange(blocks + panels.shape[0]):
        if k < blocks:
            backward_sums_of_block(k, rows.norm, dy, p, bn2, sums2)
        else:
            pack_panel(pointwise, False, k - blocks, panels)
    backward_factors(sums2, bn2, counts[1], of_norm2, factors2)

    for piece in prange((pixels + rows.product - 1) // rows.product * strips_of(panels)):
        of_p = dy, (d, p), bn1, bn2, factors2, panels, zero
        pointwise_backward(piece, rows.product, *of_p, h, partial2, sums1)
    backward_factors(sums1, bn1, counts[0], of_norm1, factors1)

    for k in prange(n):
        depthwise_backward(k, h, images, d, bn1, factors1, depthwise, zero, frame, dx, partial1)

    pieces = pieces_of(dw2)
    for k in prange(pieces + pieces_of(dw1)):
        if k < pieces:
            add_piece(partial2, k, dw2)
        else:
            add_piece(partial1, k - pieces, dw1)


@kernel
def _infer(images, weights, bias2, frame, bounds1, bounds2, strip, y):
    """A piece of work is an image, or `strip` panels of one: then each piece computes the depthwise step anew."""
    (_, height, width, outputs), channels = y.shape, images.shape[3]
    depthwise, pointwise, panels, bias1 = weights
    for k in prange(panels.shape[0]):
        pack_panel(pointwise, True, k, panels)
    strips, across, pixels = (panels.shape[0] + strip - 1) // strip, panels.shape[2], height * width
    for piece in prange(images.shape[0] * strips):
        n, first = piece // strips, piece % strips * strip
        d = np.empty((height, width, channels), y.dtype)
        correlate(images[n], depthwise, bias1, frame, d)
        of_d, of_y = pointer(d, 0), pointer(y, n * pixels * outputs)
        if is_bounded(bounds1):
            clamp_rows(of_d, channels, pixels, channels, bounds1)
        for k in range(first, min(first + strip, panels.shape[0])):
            panel, start, column = (
                pointer(panels, k * channels * across),
                pointer(bias2, k * across),
                k * across,
            )
            to, columns = advance(of_y, column), outputs - column
            multiply_rows(of_d, channels, panel, start, pixels, columns, to, outputs)
        if is_bounded(bounds2):
            column = first * across
            columns = min(outputs - column, strip * across)
            clamp_rows(advance(of_y, column), outputs, pixels, columns, bounds2)
        keep_alive(d)
