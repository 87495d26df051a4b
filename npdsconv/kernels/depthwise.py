"""Depthwise convolution on channels-last memory.

Two facts keep this file short:

* a depth multiplier M is M copies of every channel, each with a filter of its own;
* dx is a correlation as well: of dy, spread out by the stride, with the kernel rotated by 180 degrees.

So there is one inner loop, ``_correlate``, for forward and dx, and one, ``_correlate_weights``, for dw. Both read a
zero-bordered copy of one image, so that no loop asks whether it has left the picture.

They serve depth multipliers above 1. For M = 1 the same sums are taken sixteen channels at a time: 3×3 kernels in
:mod:`depthwise_3x3`, without a copy, all others in :mod:`depthwise_any`.

Optimizations: channels innermost, contiguous, vectorised; the copy stays in the L2 cache; its border is zeroed
once for several images. What the vector loops gain is told in docs/performance.md.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels import depthwise_any
from npdsconv.kernels.depthwise_3x3 import correlate, correlate_weights, spread
from npdsconv.kernels.machine.jit import each, kernel, prange, serial
from npdsconv.kernels.parts.border import place
from npdsconv.shapes import Array, Window

IMAGES = 4  # that share one bordered copy, or one partial sum: work is split by shape, never by threads
SUMS = 32  # partial sums of dw at most, for M = 1


def forward(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    images, (c, m) = layout.nhwc(x), w.shape[:2]
    (top, bottom), (left, right) = window.padding
    y = np.empty((len(x), *window.output, c * m), x.dtype)
    if _is_3x3(window, m):
        bias = _bias(b, c, x)
        _correlate_3x3_all(
            images, taps_of(w).reshape(-1), bias, (top, left), window.stride, window.dilation, y
        )
    elif m == 1:
        sizes = window.stride, window.dilation, window.output
        plan = depthwise_any.plan(x.shape[3], c, window.kernel, (top, left), (1, 1), *sizes)
        _correlate_any_all(images, depthwise_any.in_blocks(taps_of(w), _bias(b, c, x)), *plan, y)
    else:
        bordered = (x.shape[2] + top + bottom, x.shape[3] + left + right)
        how = window.stride, window.dilation
        _correlate_all(images, bordered, (top, left), (1, 1), m, taps_of(w), _bias(b, c * m, x), y, *how)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    (c, m), (h, width) = w.shape[:2], shape[2:]
    dx = np.empty((len(dy), h, width, c * m), dy.dtype)
    slopes = layout.nhwc(dy)
    (top, _), (left, _) = window.padding
    corner = (window.span[0] - 1 - top, window.span[1] - 1 - left)
    rotated, zero = taps_of(w[:, :, ::-1, ::-1]), _bias(None, c * m, dy)
    if _is_3x3(window, m) and window.stride == (1, 1):
        _correlate_3x3_all(slopes, rotated.reshape(-1), zero, corner, (1, 1), window.dilation, dx)
    elif _is_3x3(window, m) and window.stride == (2, 2) and window.dilation == (1, 1):
        _spread_3x3_all(slopes, taps_of(w).reshape(-1), (top, left), dx)
    elif m == 1:
        sizes = window.stride, (1, 1), window.dilation, (h, width)
        plan = depthwise_any.plan(dy.shape[3], c, window.kernel, corner, *sizes)
        _correlate_any_all(slopes, depthwise_any.in_blocks(rotated, zero), *plan, dx)
    else:
        bordered = (h + window.span[0] - 1, width + window.span[1] - 1)
        how = (1, 1), window.dilation
        _correlate_all(slopes, bordered, corner, window.stride, 1, rotated, zero, dx, *how)
    return layout.nchw(dx if m == 1 else dx.reshape(len(dy), h, width, c, m).sum(axis=-1))


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    c, m, kh, kw = shape
    (top, bottom), (left, right) = window.padding
    images, slopes = layout.nhwc(x), layout.nhwc(dy)
    how = window.stride, window.dilation
    per_sum = max(1, -(-len(x) // SUMS)) if m == 1 else IMAGES
    count = -(-len(x) // per_sum)
    if _is_3x3(window, m):
        partial = np.empty((count, 9, c), x.dtype)
        _correlate_weights_3x3_all(images, slopes, per_sum, (top, left), *how, partial)
        dw = partial.sum(axis=0)
    elif m == 1:
        plan = depthwise_any.plan(x.shape[3], c, window.kernel, (top, left), (1, 1), *how, window.output)
        partial = depthwise_any.room_for_sums(count, window.kernel, c, x.dtype)
        beside = depthwise_any.side_by_side(window.output[1])
        _correlate_weights_any_all(images, slopes, per_sum, *plan, beside, partial)
        dw = depthwise_any.out_of_blocks(partial.sum(axis=0), kh * kw, c)
    else:
        partial = np.zeros((count, kh * kw, c * m), x.dtype)
        bordered = (x.shape[2] + top + bottom, x.shape[3] + left + right)
        _correlate_weights_all(images, slopes, bordered, (top, left), m, kw, *how, partial)
        dw = partial.sum(axis=0)
    return np.ascontiguousarray(dw.reshape(kh, kw, c, m).transpose(2, 3, 0, 1))


def _is_3x3(window: Window, m: int) -> bool:
    """Whether the kernels of :mod:`depthwise_3x3` apply."""
    return window.kernel == (3, 3) and m == 1


def taps_of(w: Array) -> Array:
    """(C, M, KH, KW) weights as (KH, KW, C·M): for one tap, one weight for each channel."""
    c, m, kh, kw = w.shape
    return layout.readonly(w.transpose(2, 3, 0, 1).reshape(kh, kw, c * m))


def _bias(b: Array | None, channels: int, like: Array) -> Array:
    return layout.readonly(np.zeros(channels, like.dtype) if b is None else b)


@serial
def _correlate(border, taps, bias, y, stride, dilation):
    """y[i, j, c] = bias[c] + Σ taps[u, v, c] · border[i·sh + u·dh, j·sw + v·dw, c]."""
    (sh, sw), (dh, dw) = stride, dilation
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            total = y[i, j]
            for c in range(total.shape[0]):
                total[c] = bias[c]
            for u in range(taps.shape[0]):
                for v in range(taps.shape[1]):
                    pixel, tap = border[i * sh + u * dh, j * sw + v * dw], taps[u, v]
                    for c in range(total.shape[0]):
                        total[c] += tap[c] * pixel[c]


@serial
def _correlate_weights(border, dy, dw, kw, stride, dilation):
    """dw[u·kw + v, c] += Σ dy[i, j, c] · border[i·sh + u·dh, j·sw + v·dw, c]."""
    (sh, sw), (dh, d_across) = stride, dilation
    for i in range(dy.shape[0]):
        for tap in range(dw.shape[0]):
            u, v = tap // kw, tap % kw
            total, row = dw[tap], border[i * sh + u * dh]
            for j in range(dy.shape[1]):
                pixel, slope = row[j * sw + v * d_across], dy[i, j]
                for c in range(total.shape[0]):
                    total[c] += slope[c] * pixel[c]


@kernel
def _correlate_all(images, bordered, corner, spread, m, taps, bias, y, stride, dilation):
    n = images.shape[0]
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        border = np.zeros((bordered[0], bordered[1], y.shape[3]), y.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            place(images[k], border, corner, spread, m)
            _correlate(border, taps, bias, y[k], stride, dilation)


@kernel
def _correlate_weights_all(images, dy, bordered, corner, m, kw, stride, dilation, partial):
    n = images.shape[0]
    for chunk in prange(partial.shape[0]):
        border = np.zeros((bordered[0], bordered[1], dy.shape[3]), dy.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            place(images[k], border, corner, (1, 1), m)
            _correlate_weights(border, dy[k], partial[chunk], kw, stride, dilation)


@kernel(pieces=each)
def _correlate_3x3_all(images, w, bias, corner, stride, dilation, y):
    for n in prange(images.shape[0]):
        correlate(images[n], w, bias, corner, stride, dilation, y[n])


@kernel(pieces=each)
def _spread_3x3_all(dy, w, corner, dx):
    for n in prange(dy.shape[0]):
        spread(dy[n], w, corner, dx[n])


@kernel
def _correlate_weights_3x3_all(images, dy, per_sum, corner, stride, dilation, partial):
    for chunk in prange(partial.shape[0]):
        some = slice(chunk * per_sum, (chunk + 1) * per_sum)
        correlate_weights(images[some], dy[some], corner, stride, dilation, partial[chunk])


@kernel(pieces=each)
def _correlate_any_all(images, w, places, columns, begin, end, top, apart, stride, line, band, rows, y):
    for n in prange(images.shape[0]):
        how = places, columns, begin, end, top, apart, stride, line, band, rows
        depthwise_any.correlate(images[n], w, *how, y[n])


@kernel
def _correlate_weights_any_all(
    images, dy, per_sum, places, columns, begin, end, top, apart, stride, line, band, rows, beside, partial
):
    for chunk in prange(partial.shape[0]):
        some = slice(chunk * per_sum, (chunk + 1) * per_sum)
        how = places, columns, begin, end, top, apart, stride, line, band, rows, beside
        depthwise_any.correlate_weights(images[some], dy[some], *how, partial[chunk])
