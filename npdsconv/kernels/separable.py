"""A depthwise separable block in training: 3×3 depthwise, batch norm, activation, pointwise, batch norm, activation.

A batch norm needs the statistics of all pixels before it can treat the first one, so a block is three passes over
memory forward, and three backward. What lies between two of these barriers is done while the numbers are in the cache:

    filter     d = depthwise(x), and the sums for its mean and variance           image by image
    mix        p = pointwise(act(norm(d))), and the sums for its mean and variance    block by block of pixels
    finish     y = act(norm(p))

    slopes     the sums of batch norm's gradient, over dy and p
    unmix      dp; the pointwise dw; h, the gradient for norm(d), and its sums    block by block of pixels
    unfilter   dd; dx and the depthwise dw                                        image by image

Only d and p are kept for backward, besides x: the activations between them are computed again, in the cache.

Optimizations: against the six ops one after the other, eight arrays of the size of the activations are neither written
nor read; the rest is that of :mod:`depthwise_3x3`, :mod:`product` and :mod:`rows`, whose loops these are.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels import norm, rows
from npdsconv.kernels._jit import each, kernel, prange
from npdsconv.kernels.depthwise import taps_of
from npdsconv.kernels.depthwise_3x3 import correlate, correlate_weights, spread
from npdsconv.kernels.lanes import advance, keep, pointer
from npdsconv.kernels.partial import add_up
from npdsconv.kernels.product import fill, multiply, panels, panels_of_transposed
from npdsconv.kernels.rows import UNBOUNDED, limits

BLOCK = 252  # pixels of one piece of work
PANELS = 4  # of one piece: 128 channels in float32


def filtered(x, depthwise, window, known):
    """d (N,C,OH,OW), and its mean and variance unless they are `known`."""
    n, channels = x.shape[:2]
    (top, _), (left, _) = window.padding
    d = np.empty((n, *window.output, channels), x.dtype)
    sums = np.empty((0 if known else n, 3, channels), x.dtype)
    how = (top, left), window.stride, window.dilation
    _filter(layout.nhwc(x), taps_of(depthwise).reshape(-1), fill(None, channels, x.dtype), *how, d, sums)
    return layout.nchw(d), None if known else norm.merge(sums, n * window.pixels, window.pixels)


def mixed(d, affine, bounds, pointwise, known):
    """p (N,O,OH,OW), and its mean and variance unless they are `known`.

    `affine` is mean, scale and bias, for normalising d.
    """
    pixels, dtype = norm.pixels_of(d), d.dtype
    p = np.empty((len(pixels), len(pointwise)), dtype)
    sums = np.empty((0 if known else -(-len(pixels) // BLOCK), 3, len(pointwise)), dtype)
    how = limits(bounds, dtype), panels_of_transposed(pointwise), fill(None, len(pointwise), dtype)
    _mix(pixels, _stacked(affine), *how, p, sums)
    return norm.images_of(p, d), None if known else norm.merge(sums, len(pixels), BLOCK)


def unmixed(dy, p, affine2, bounds2, factors, pointwise, d, affine1, bounds1, want_dw):
    """h (N,C,OH,OW), the pointwise dw, and h's sums for the first batch norm: Σ h and Σ h·(d - mean)."""
    pixels, dtype = norm.pixels_of(d), d.dtype
    outputs, channels = pointwise.shape
    blocks = -(-len(pixels) // BLOCK)
    h, sums = np.empty((len(pixels), channels), dtype), np.empty((blocks, 2, channels), dtype)
    dw = np.empty((blocks if want_dw else 0, outputs, channels), dtype)
    of_p = norm.pixels_of(p), _stacked(affine2), limits(bounds2, dtype), layout.readonly(factors)
    of_d = pixels, _stacked(affine1), limits(bounds1, dtype)
    _unmix(norm.pixels_of(dy), *of_p, panels(pointwise), fill(None, 1, dtype), *of_d, h, dw, sums)
    return norm.images_of(h, d), add_up(dw), sums.sum(axis=0, dtype=np.float64)


def unfiltered(h, x, d, affine, factors, depthwise, window, want_dx, want_dw):
    """dx (N,C,H,W) and the depthwise dw, either without meaning if not wanted."""
    (n, channels), dtype = x.shape[:2], x.dtype
    (top, _), (left, _) = window.padding
    back = (window.span[0] - 1 - top, window.span[1] - 1 - left)
    turned = depthwise[:, :, ::-1, ::-1] if window.stride == (1, 1) else depthwise
    dx = np.empty((n if want_dx else 0, *x.shape[2:], channels), dtype)
    dw = np.empty((n if want_dw else 0, 9, channels), dtype)
    of_d = layout.nhwc(d), _stacked(affine), layout.readonly(factors), limits(UNBOUNDED, dtype)
    of_w = taps_of(turned).reshape(-1), fill(None, channels, dtype)
    how = (top, left), back, window.stride, window.dilation
    _unfilter(layout.nhwc(h), layout.nhwc(x), *of_d, *of_w, *how, dx, dw)
    dw = add_up(dw).reshape(3, 3, channels, 1).transpose(2, 3, 0, 1)
    return layout.nchw(dx), np.ascontiguousarray(dw)


def inference(x, depthwise, bias1, bounds1, pointwise, bias2, bounds2, window):
    """y (N,O,OH,OW) of a block without batch norm; nothing is kept, and an image goes through in the cache."""
    (top, _), (left, _) = window.padding
    y = np.empty((len(x), *window.output, len(pointwise)), x.dtype)
    step = taps_of(depthwise).reshape(-1), fill(bias1, x.shape[1], x.dtype), limits(bounds1, x.dtype)
    mix = panels_of_transposed(pointwise), fill(bias2, len(pointwise), x.dtype), limits(bounds2, x.dtype)
    _infer(layout.nhwc(x), *step, (top, left), window.stride, window.dilation, *mix, y)
    return layout.nchw(y)


@kernel(pieces=each)
def _infer(images, filters, bias, bounds1, corner, stride, dilation, w, start, bounds2, y):
    pixels, outputs, channels, width = y.shape[1] * y.shape[2], y.shape[3], images.shape[3], w.shape[2]
    for n in prange(images.shape[0]):
        d = np.empty((y.shape[1], y.shape[2], channels), y.dtype)
        correlate(images[n], filters, bias, corner, stride, dilation, d)
        of_d, of_y = pointer(d, 0), pointer(y, n * pixels * outputs)
        if rows.cuts(bounds1):
            rows.cut(of_d, channels, pixels, channels, bounds1)
        for k in range(w.shape[0]):
            of_w, of_start, left = pointer(w, k * channels * width), pointer(start, k * width), k * width
            to, some = advance(of_y, left), outputs - left
            multiply(of_d, channels, pixels, (0, 0, 1), (1, 1, channels), of_w, of_start, to, outputs, some)
        if rows.cuts(bounds2):
            rows.cut(of_y, outputs, pixels, outputs, bounds2)
        keep(d)


def _stacked(affine):
    return layout.readonly(np.stack(affine))


@kernel(pieces=each)
def _filter(images, w, zero, corner, stride, dilation, d, sums):
    """d (N, OH, OW, C), and its differences for each image; sums may be empty: statistics are known then."""
    pixels, channels = d.shape[1] * d.shape[2], d.shape[3]
    for n in prange(images.shape[0]):
        correlate(images[n], w, zero, corner, stride, dilation, d[n])
        if sums.shape[0] > 0:
            of_d, of_sums = pointer(d, n * pixels * channels), pointer(sums, n * 3 * channels)
            rows.differences(of_d, channels, pixels, channels, of_sums, channels)


@kernel
def _mix(d, norm, bounds, w, start, p, sums):
    """p (P, O) from d (P, C), with the weights in panels; `norm` is mean, scale and bias of d, (3, C)."""
    channels, outputs, width = d.shape[1], p.shape[1], w.shape[2]
    groups = (w.shape[0] + PANELS - 1) // PANELS
    blocks = (d.shape[0] + BLOCK - 1) // BLOCK
    mean, scale, bias = pointer(norm, 0), pointer(norm, channels), pointer(norm, 2 * channels)
    for piece in prange(blocks * groups):
        block, group = piece // groups, piece % groups
        first, left = block * BLOCK, group * PANELS * width
        count = min(d.shape[0] - first, BLOCK)
        some = min(outputs - left, PANELS * width)
        scratch = np.empty(count * channels, d.dtype)
        a = pointer(scratch, 0)
        rows.activate(
            pointer(d, first * channels), channels, count, channels, mean, scale, bias, bounds, a, channels
        )
        to = pointer(p, first * outputs + left)
        for k in range(group * PANELS, min(w.shape[0], (group + 1) * PANELS)):
            of_w, of_start = pointer(w, k * channels * width), pointer(start, k * width)
            steps, counts, column = (0, 0, 1), (1, 1, channels), k * width - left
            multiply(
                a, channels, count, steps, counts, of_w, of_start, advance(to, column), outputs, some - column
            )
        if sums.shape[0] > 0:
            of_sums = pointer(sums, block * 3 * outputs + left)
            rows.differences(to, outputs, count, some, of_sums, outputs)
        keep(scratch)


@kernel
def _unmix(dy, p, norm2, bounds2, factors, w, zero, d, norm1, bounds1, h, dw, sums):
    """The way back through `_mix`: h (P, C) from dy (P, O), the sums of its batch norm, and partial sums of dw.

    w has a panel for each group of input channels, (panels, O, width); dw is (blocks, O, C), or empty if not wanted.
    """
    channels, outputs, width = d.shape[1], p.shape[1], w.shape[2]
    groups = (w.shape[0] + PANELS - 1) // PANELS
    blocks = (d.shape[0] + BLOCK - 1) // BLOCK
    mean2, scale2, bias2 = pointer(norm2, 0), pointer(norm2, outputs), pointer(norm2, 2 * outputs)
    for piece in prange(blocks * groups):
        block, group = piece // groups, piece % groups
        first = block * BLOCK
        count = min(d.shape[0] - first, BLOCK)
        scratch = np.empty(count * outputs, d.dtype)
        panel = np.zeros(count * width, d.dtype)
        dp, a = pointer(scratch, 0), pointer(panel, 0)
        of_dy, of_p = pointer(dy, first * outputs), pointer(p, first * outputs)
        rows.combine(
            of_dy,
            outputs,
            of_p,
            outputs,
            count,
            outputs,
            mean2,
            scale2,
            bias2,
            bounds2,
            pointer(factors, 0),
            dp,
            outputs,
        )
        for k in range(group * PANELS, min(w.shape[0], (group + 1) * PANELS)):
            left = k * width
            some = min(channels - left, width)
            mean, scale = pointer(norm1, left), pointer(norm1, channels + left)
            bias, of_d = pointer(norm1, 2 * channels + left), pointer(d, first * channels + left)
            rows.activate(of_d, channels, count, some, mean, scale, bias, bounds1, a, width)
            nothing = pointer(zero, 0)
            if dw.shape[0] > 0:
                to = pointer(dw, block * outputs * channels + left)
                multiply(dp, 1, outputs, (0, 0, outputs), (1, 1, count), a, nothing, to, channels, some)
            of_h, of_w = pointer(h, first * channels + left), pointer(w, k * outputs * width)
            multiply(dp, outputs, count, (0, 0, 1), (1, 1, outputs), of_w, nothing, of_h, channels, some)
            of_sums = pointer(sums, block * 2 * channels + left)
            rows.pass_back(
                of_h, channels, a, width, of_d, channels, count, some, mean, bounds1, of_sums, channels
            )


@kernel(pieces=each)
def _unfilter(h, images, d, norm, factors, unbounded, w, zero, corner, back, stride, dilation, dx, dw):
    """dd, then dx (N, H, W, C) and partial sums of dw (N, 9, C); either may be empty if not wanted."""
    pixels, channels = d.shape[1] * d.shape[2], d.shape[3]
    mean, scale, bias = pointer(norm, 0), pointer(norm, channels), pointer(norm, 2 * channels)
    for n in prange(h.shape[0]):
        dd = np.empty((1, d.shape[1], d.shape[2], channels), d.dtype)
        of_h, of_d = pointer(h, n * pixels * channels), pointer(d, n * pixels * channels)
        rows.combine(
            of_h,
            channels,
            of_d,
            channels,
            pixels,
            channels,
            mean,
            scale,
            bias,
            unbounded,
            pointer(factors, 0),
            pointer(dd, 0),
            channels,
        )
        if dx.shape[0] > 0:
            if stride[0] == 1:
                correlate(dd[0], w, zero, back, stride, dilation, dx[n])
            else:
                spread(dd[0], w, corner, dx[n])
        if dw.shape[0] > 0:
            correlate_weights(images[n : n + 1], dd, corner, stride, dilation, dw[n])
