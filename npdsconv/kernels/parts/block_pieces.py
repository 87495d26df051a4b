"""The pieces of work of :mod:`separable`: one image of a depthwise step, or one block of pixels of a pointwise one.

A product is cut into pieces by its pixels and by the channels it computes; `piece` counts through both.

Optimizations: what is made of an image or of a block of pixels on the way stays in the L2 cache.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels.depthwise_3x3 import correlate, correlate_weights, spread
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import advance, keep, pointer
from npdsconv.kernels.parts import norm_rows
from npdsconv.kernels.parts.norm_channels import affine
from npdsconv.kernels.parts.product import PANELS, groups_of, multiply


@serial
def mix(piece, block, d, norm, bounds, w, start, p, sums):
    """p = pointwise(act(norm(d))) and its differences, for a block of pixels and a group of p's channels.

    d is (N, OH, OW, C), p (P, O), w (panels, C, width); sums may be empty: then the statistics of p are known.
    """
    (pixels, outputs), channels, width, groups = p.shape, d.shape[3], w.shape[2], groups_of(w)
    k, group = piece // groups, piece % groups
    first, left = k * block, group * PANELS * width
    count, some = min(pixels - first, block), min(outputs - left, PANELS * width)
    scratch = np.empty(count * channels, d.dtype)
    a, to = pointer(scratch, 0), pointer(p, first * outputs + left)
    of_d = pointer(d, first * channels)
    norm_rows.activate(of_d, channels, count, channels, affine(norm, 0), bounds, a, channels)
    for j in range(group * PANELS, min(w.shape[0], (group + 1) * PANELS)):
        of_w, of_start, column = pointer(w, j * channels * width), pointer(start, 0), j * width - left
        how = (0, 0, 1), (1, 1, channels), of_w, of_start
        multiply(a, channels, count, *how, advance(to, column), outputs, some - column)
    if sums.shape[0] > 0:
        norm_rows.differences(to, outputs, count, some, pointer(sums, k * 3 * outputs + left), outputs)
    keep(scratch)


@serial
def unmix(piece, block, dy, p, norm2, bounds2, factors, w, start, d, norm1, bounds1, h, dw, sums):
    """The way back through `mix`, for a block of pixels and a group of d's channels.

    h (P, C) from dy (P, O); the sums of h's batch norm; a partial sum of dw. w is (panels, O, width), dw
    (blocks, O, C), or empty if not wanted.
    """
    (pixels, outputs), channels, width, groups = p.shape, d.shape[3], w.shape[2], groups_of(w)
    k, group = piece // groups, piece % groups
    first = k * block
    count = min(pixels - first, block)
    scratch, panel = np.empty(count * outputs, d.dtype), np.zeros(count * width, d.dtype)
    dp, a, nothing = pointer(scratch, 0), pointer(panel, 0), pointer(start, 0)
    of_dy, of_p = pointer(dy, first * outputs), pointer(p, first * outputs)
    how = affine(norm2, 0), bounds2, pointer(factors, 0)
    norm_rows.combine(of_dy, outputs, of_p, outputs, count, outputs, *how, dp, outputs)
    for j in range(group * PANELS, min(w.shape[0], (group + 1) * PANELS)):
        left = j * width
        some = min(channels - left, width)
        of_norm = affine(norm1, left)
        of_d, of_h = pointer(d, first * channels + left), pointer(h, first * channels + left)
        norm_rows.activate(of_d, channels, count, some, of_norm, bounds1, a, width)
        if dw.shape[0] > 0:
            to = pointer(dw, k * outputs * channels + left)
            multiply(dp, 1, outputs, (0, 0, outputs), (1, 1, count), a, nothing, to, channels, some)
        of_w = pointer(w, j * outputs * width)
        multiply(dp, outputs, count, (0, 0, 1), (1, 1, outputs), of_w, nothing, of_h, channels, some)
        to = pointer(sums, k * 2 * channels + left)
        norm_rows.pass_back(
            of_h, channels, a, width, of_d, channels, count, some, of_norm, bounds1, to, channels
        )
    keep(scratch)
    keep(panel)


@serial
def unfilter(k, h, images, d, norm, factors, unbounded, w, zero, corner, back, stride, dilation, dx, dw):
    """dd, then dx (N, H, W, C) and a partial sum of dw (N, 9, C), of image k; either may be empty if not wanted."""
    pixels, channels = d.shape[1] * d.shape[2], d.shape[3]
    dd = np.empty((1, d.shape[1], d.shape[2], channels), d.dtype)
    of_h, of_d, to = pointer(h, k * pixels * channels), pointer(d, k * pixels * channels), pointer(dd, 0)
    how = affine(norm, 0), unbounded, pointer(factors, 0)
    norm_rows.combine(of_h, channels, of_d, channels, pixels, channels, *how, to, channels)
    if dx.shape[0] > 0:
        if stride[0] == 1:
            correlate(dd[0], w, zero, back, stride, dilation, dx[k])
        else:
            spread(dd[0], w, corner, dx[k])
    if dw.shape[0] > 0:
        correlate_weights(images[k : k + 1], dd, corner, stride, dilation, dw[k])
