"""The pieces of work of :mod:`npdsconv.kernels.block`: one image of a depthwise step, or a part of a pointwise product.

A product is cut by its pixels, into blocks of so many `rows`, and by the channels it computes, into strips of panels;
`piece` counts through both.

Optimizations: what is made of an image or of a block of pixels on the way stays in the L2 cache.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv.kernels.depthwise_3x3 import correlate, correlate_transposed, correlate_weights
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import advance, keep_alive, pointer
from npdsconv.kernels.parts.batch_norm_channels import affine
from npdsconv.kernels.parts.batch_norm_rows import activation_gradient, backward_dx, normalise, shifted_sums
from npdsconv.kernels.parts.frame import Frame
from npdsconv.kernels.parts.product import STRIP_PANELS, multiply_rows, multiply_transposed, strips_of


@serial
def pointwise_forward(piece, rows, d, bn, panels, zero, p, sums):
    """p = pointwise(act(norm(d))) and its shifted sums, for a block of pixels and a strip of p's channels.

    d is (N, OH, OW, C), p (P, O), panels (panels, C, width); sums may be empty: then the statistics of p are known.
    """
    (pixels, outputs), channels, width, strips = p.shape, d.shape[3], panels.shape[2], strips_of(panels)
    k, strip = piece // strips, piece % strips
    first, column = k * rows, strip * STRIP_PANELS * width
    count, columns = min(pixels - first, rows), min(outputs - column, STRIP_PANELS * width)
    scratch = np.empty(count * channels, d.dtype)
    a, of_zero = pointer(scratch, 0), pointer(zero, 0)
    of_d, of_p = pointer(d, first * channels), pointer(p, first * outputs + column)
    normalise(of_d, channels, count, channels, affine(bn.table, 0), (bn.low, bn.high), a, channels)
    for j in range(strip * STRIP_PANELS, min(panels.shape[0], (strip + 1) * STRIP_PANELS)):
        panel, done = pointer(panels, j * channels * width), j * width - column
        multiply_rows(a, channels, panel, of_zero, count, columns - done, advance(of_p, done), outputs)
    if sums.shape[0] > 0:
        shifted_sums(of_p, outputs, count, columns, pointer(sums, k * 3 * outputs + column))
    keep_alive(scratch)


@serial
def pointwise_backward(piece, rows, dy, saved, bn1, bn2, factors, panels, zero, h, dw, sums):
    """The way back through that, for a block of pixels and a strip of d's channels; `saved` is d and p.

    h (P, C), the gradient for norm(d), from dy (P, O); the backward sums of its batch norm; a partial sum of dw.
    The panels are (panels, O, width), dw (blocks, O, C), or empty if not wanted.
    """
    d, p = saved
    (pixels, outputs), channels, width, strips = p.shape, d.shape[3], panels.shape[2], strips_of(panels)
    k, strip = piece // strips, piece % strips
    first, bounds = k * rows, (bn1.low, bn1.high)
    count = min(pixels - first, rows)
    scratch, packed = np.empty(count * outputs, d.dtype), np.zeros(count * width, d.dtype)
    dp, a, of_zero = pointer(scratch, 0), pointer(packed, 0), pointer(zero, 0)
    of_dy, of_p, of_factors = pointer(dy, first * outputs), pointer(p, first * outputs), pointer(factors, 0)
    backward_dx(of_dy, of_p, count, outputs, affine(bn2.table, 0), (bn2.low, bn2.high), of_factors, dp)
    for j in range(strip * STRIP_PANELS, min(panels.shape[0], (strip + 1) * STRIP_PANELS)):
        column = j * width
        columns, affine1, panel = (
            min(channels - column, width),
            affine(bn1.table, column),
            pointer(panels, j * outputs * width),
        )
        of_d, of_h = pointer(d, first * channels + column), pointer(h, first * channels + column)
        normalise(of_d, channels, count, columns, affine1, bounds, a, width)
        if dw.shape[0] > 0:
            of_dw = pointer(dw, k * outputs * channels + column)
            multiply_transposed(dp, count, a, of_zero, outputs, columns, of_dw, channels)
        multiply_rows(dp, outputs, panel, of_zero, count, columns, of_h, channels)
        of_sums = pointer(sums, k * 2 * channels + column)
        activation_gradient(of_h, of_d, channels, a, width, count, columns, affine1, bounds, of_sums)
    keep_alive(scratch)
    keep_alive(packed)


@serial
def depthwise_backward(k, h, images, d, bn, factors, w, zero, frame, dx, dw):
    """dd, then dx (N, H, W, C) and a partial sum of dw (N, 9, C), of image k; either may be empty if not wanted."""
    pixels, channels = d.shape[1] * d.shape[2], d.shape[3]
    dd = np.empty((1, d.shape[1], d.shape[2], channels), d.dtype)
    of_h, of_d, to = pointer(h, k * pixels * channels), pointer(d, k * pixels * channels), pointer(dd, 0)
    # The activation lies behind: h is the gradient for what it was given.
    unbounded = d.dtype.type(-np.inf), d.dtype.type(np.inf)
    backward_dx(of_h, of_d, pixels, channels, affine(bn.table, 0), unbounded, pointer(factors, 0), to)
    if dx.shape[0] > 0:
        if frame.sh == 1:
            back = Frame(2 * frame.dh - frame.top, 2 * frame.dw - frame.left, 1, 1, frame.dh, frame.dw)
            correlate(dd[0], w, zero, back, dx[k])
        else:
            correlate_transposed(dd[0], w, frame, dx[k])
    if dw.shape[0] > 0:
        correlate_weights(images[k : k + 1], dd, frame, dw[k])
