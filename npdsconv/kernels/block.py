"""A depthwise separable block in training: 3×3 depthwise, batch norm, activation, pointwise, batch norm, activation.

A batch norm needs the statistics of all pixels before it can treat the first one, so a block is three passes over
memory forward, and three backward. What lies between two of these barriers is done while the numbers are in the cache:

    filter     d = depthwise(x), and the sums for its mean and variance           image by image
    mix        p = pointwise(act(norm(d))), and the sums for its mean and variance    block by block of pixels
    finish     y = act(norm(p))

    slopes     the sums of batch norm's gradient, over dy and p
    unmix      dp; the pointwise dw; h, the gradient for norm(d), and its sums    block by block of pixels
    unfilter   dd; dx and the depthwise dw                                        image by image

Only d and p are kept for backward, besides x: the activations between them are computed again, in the cache. Each
`prange` below is one pass, a barrier behind it; a piece of each is in :mod:`separable_pieces`.

Optimizations: against the six ops one after the other, eight arrays of the size of the activations are neither written
nor read; forward is one launch, with the small formulas of batch norm compiled into it, and so is backward; weights are
cut into panels by all threads. The rest is that of :mod:`depthwise_3x3`, :mod:`product` and :mod:`rows`.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels.depthwise import taps_of
from npdsconv.kernels.depthwise_3x3 import correlate
from npdsconv.kernels.machine import jit
from npdsconv.kernels.machine.jit import kernel, prange
from npdsconv.kernels.machine.lanes import keep, pointer
from npdsconv.kernels.norm import activate, slopes
from npdsconv.kernels.parts import norm_rows
from npdsconv.kernels.parts.block_pieces import mix, unfilter, unmix
from npdsconv.kernels.parts.norm_channels import (
    MEAN,
    VAR,
    gradients,
    norm_of,
    rows_of_block,
    set_scale,
    set_statistics,
)
from npdsconv.kernels.parts.norm_rows import UNBOUNDED, limits
from npdsconv.kernels.parts.partial import add_piece, pieces_of
from npdsconv.kernels.parts.product import (
    cut_panel,
    equal_blocks,
    fill,
    groups_of,
    multiply,
    room_for_panels,
)
from npdsconv.layout import images_of, pixels_of

FEW_IMAGES = 4  # of fewer images each is cut into pieces of work


def forward(x, weights, given, window, bounds, eps, keeping):
    """y (N,O,OH,OW), and for backward d (N,C,OH,OW), p (N,O,OH,OW), and mean and variance of both.

    Unless `keeping`, p becomes y, and d and p are without meaning afterwards.
    """
    n, pixels, dtype, (outputs, channels) = len(x), len(x) * window.pixels, x.dtype, weights.pointwise.shape
    norm1 = norm_of(weights.weight1, weights.bias1, *given[:2])
    norm2 = norm_of(weights.weight2, weights.bias2, *given[2:])
    block = equal_blocks(pixels)
    sums1 = np.empty((0 if given[0] is not None else n, 3, channels), dtype)
    sums2 = np.empty((0 if given[2] is not None else -(-pixels // block), 3, outputs), dtype)
    d, p = np.empty((n, *window.output, channels), dtype), np.empty((pixels, outputs), dtype)
    y = np.empty_like(p) if keeping else p
    step = _taps(weights.depthwise), fill(None, channels, dtype), *_steps(window)
    mix = layout.readonly(weights.pointwise), room_for_panels(weights.pointwise, True)
    how = eps, *_limits(bounds, dtype), block, rows_of_block(outputs)
    _forward(layout.nhwc(x), *step, *mix, norm1, norm2, *how, sums1, sums2, d, p, y)
    d = layout.nchw(d)
    return images_of(y, d), d, images_of(p, d), norm1[MEAN], norm1[VAR], norm2[MEAN], norm2[VAR]


def backward(dy, x, saved, weights, given, window, bounds, eps, wanted):
    """The gradients for x and for the weights; `wanted` says of x, depthwise and pointwise whether they are needed."""
    d, p, mean1, var1, mean2, var2 = saved
    n, pixels, dtype, (outputs, channels) = len(x), len(x) * window.pixels, x.dtype, weights.pointwise.shape
    norms = (
        norm_of(weights.weight1, weights.bias1, mean1, var1),
        norm_of(weights.weight2, weights.bias2, mean2, var2),
    )
    block, strip = equal_blocks(pixels), rows_of_block(outputs)
    blocks = -(-pixels // block)
    sums = np.empty((blocks, 2, channels), dtype), np.empty((-(-pixels // strip), 2, outputs), dtype)
    factors = np.empty((3, channels), dtype), np.empty((3, outputs), dtype)
    of_norms = np.empty((2, channels), dtype), np.empty((2, outputs), dtype)
    # Each image has a partial sum of the depthwise dw, each block of the pointwise dw.
    partial1 = np.empty((n if wanted[1] else 0, 9, channels), dtype)
    partial2 = np.empty((blocks if wanted[2] else 0, outputs, channels), dtype)
    dw1 = np.empty((9 if wanted[1] else 0, channels), dtype)
    dw2 = np.empty((outputs if wanted[2] else 0, channels), dtype)
    h = np.empty((pixels, channels), dtype)
    dx = np.empty((n if wanted[0] else 0, *x.shape[2:], channels), dtype)

    depthwise = weights.depthwise if window.stride[0] == 2 else weights.depthwise[:, :, ::-1, ::-1]
    step = _taps(depthwise), fill(None, max(channels, 1), dtype), *_steps(window)
    mix = layout.readonly(weights.pointwise), room_for_panels(weights.pointwise)
    counts = tuple(np.inf if constant else float(pixels) for constant in given)
    how = *norms, counts, eps, *_limits(bounds, dtype), limits(UNBOUNDED, dtype), block, strip
    arrays = pixels_of(dy), layout.nhwc(x), layout.nhwc(d), pixels_of(p)
    _backward(*arrays, *step, *mix, *how, *sums, *factors, *of_norms, partial1, partial2, h, dx, dw1, dw2)
    dw1 = np.ascontiguousarray(dw1.T).reshape(-1, 1, 3, 3)
    return layout.nchw(dx), dw1, *of_norms[0], dw2, *of_norms[1]


def inference(x, depthwise, bias1, bounds1, pointwise, bias2, bounds2, window):
    """y (N,O,OH,OW) of a block without batch norm; nothing is kept, and an image goes through in the cache."""
    y = np.empty((len(x), *window.output, len(pointwise)), x.dtype)
    step = _taps(depthwise), fill(bias1, x.shape[1], x.dtype), limits(bounds1, x.dtype)
    mix = layout.readonly(pointwise), room_for_panels(pointwise, transposed=True)
    how = fill(bias2, len(pointwise), x.dtype), limits(bounds2, x.dtype)
    share = max(1, -(-len(mix[1]) * min(len(x), FEW_IMAGES) // FEW_IMAGES))
    _infer(layout.nhwc(x), *step, *_steps(window), *mix, *how, share, y)
    return layout.nchw(y)


def backward_is_missing():
    """Whether `backward` has still to be compiled, which takes as long as the rest of a network."""
    return jit.is_missing(_backward)


def _taps(depthwise):
    return taps_of(depthwise).reshape(-1)


def _limits(bounds, dtype):
    return limits(bounds[0], dtype), limits(bounds[1], dtype)


def _steps(window):
    (top, _), (left, _) = window.padding
    return (top, left), window.stride, window.dilation


@kernel
def _forward(
    images,
    taps,
    zero,
    corner,
    stride,
    dilation,
    w,
    panels,
    norm1,
    norm2,
    eps,
    bounds1,
    bounds2,
    block,
    strip,
    sums1,
    sums2,
    d,
    p,
    y,
):
    n, channels, pixels, of_image = d.shape[0], d.shape[3], p.shape[0], d.shape[1] * d.shape[2]

    for k in prange(n + panels.shape[0]):  # filter
        if k >= n:
            cut_panel(w, True, k - n, panels)
        else:
            correlate(images[k], taps, zero, corner, stride, dilation, d[k])
            if sums1.shape[0] > 0:
                of_d, to = pointer(d, k * of_image * channels), pointer(sums1, k * 3 * channels)
                norm_rows.differences(of_d, channels, of_image, channels, to, channels)
    if sums1.shape[0] > 0:
        set_statistics(norm1, sums1, of_image, pixels)
    set_scale(norm1, eps[0])

    for piece in prange((pixels + block - 1) // block * groups_of(panels)):
        mix(piece, block, d, norm1, bounds1, panels, zero, p, sums2)
    if sums2.shape[0] > 0:
        set_statistics(norm2, sums2, block, pixels)
    set_scale(norm2, eps[1])

    for k in prange((pixels + strip - 1) // strip):  # finish
        activate(k, strip, p, norm2, bounds2, y)


@kernel
def _backward(
    dy,
    images,
    d,
    p,
    taps,
    zero,
    corner,
    stride,
    dilation,
    w,
    panels,
    norm1,
    norm2,
    counts,
    eps,
    bounds1,
    bounds2,
    unbounded,
    block,
    strip,
    sums1,
    sums2,
    factors1,
    factors2,
    of_norm1,
    of_norm2,
    partial1,
    partial2,
    h,
    dx,
    dw1,
    dw2,
):
    n, pixels = d.shape[0], p.shape[0]
    set_scale(norm1, eps[0])
    set_scale(norm2, eps[1])

    strips = sums2.shape[0]
    for k in prange(strips + panels.shape[0]):
        if k < strips:
            slopes(k, strip, dy, p, norm2, bounds2, sums2)
        else:
            cut_panel(w, False, k - strips, panels)
    gradients(sums2, norm2, eps[1], counts[1], of_norm2, factors2)

    for piece in prange((pixels + block - 1) // block * groups_of(panels)):
        to = h, partial2, sums1
        unmix(piece, block, dy, p, norm2, bounds2, factors2, panels, zero, d, norm1, bounds1, *to)
    gradients(sums1, norm1, eps[0], counts[0], of_norm1, factors1)

    back = 2 * dilation[0] - corner[0], 2 * dilation[1] - corner[1]
    for k in prange(n):
        how = taps, zero, corner, back, stride, dilation
        unfilter(k, h, images, d, norm1, factors1, unbounded, *how, dx, partial1)

    pieces = pieces_of(dw2)
    for k in prange(pieces + pieces_of(dw1)):
        if k < pieces:
            add_piece(partial2, k, dw2)
        else:
            add_piece(partial1, k - pieces, dw1)


@kernel
def _infer(images, taps, bias, bounds1, corner, stride, dilation, w, panels, start, bounds2, share, y):
    """A piece of work is an image, or `share` panels of one: then each piece computes the depthwise step anew."""
    pixels, outputs, channels, width = y.shape[1] * y.shape[2], y.shape[3], images.shape[3], panels.shape[2]
    for k in prange(panels.shape[0]):
        cut_panel(w, True, k, panels)
    parts = (panels.shape[0] + share - 1) // share
    for piece in prange(images.shape[0] * parts):
        n, first = piece // parts, piece % parts * share
        d = np.empty((y.shape[1], y.shape[2], channels), y.dtype)
        correlate(images[n], taps, bias, corner, stride, dilation, d)
        of_d, of_y = pointer(d, 0), pointer(y, n * pixels * outputs + first * width)
        if norm_rows.cuts(bounds1):
            norm_rows.cut(of_d, channels, pixels, channels, bounds1)
        for k in range(first, min(first + share, panels.shape[0])):
            of_w, of_start, column = (
                pointer(panels, k * channels * width),
                pointer(start, k * width),
                k * width,
            )
            to, how = pointer(y, n * pixels * outputs + column), (of_w, of_start)
            multiply(of_d, channels, pixels, (0, 0, 1), (1, 1, channels), *how, to, outputs, outputs - column)
        if norm_rows.cuts(bounds2):
            norm_rows.cut(of_y, outputs, pixels, min(outputs - first * width, share * width), bounds2)
        keep(d)
