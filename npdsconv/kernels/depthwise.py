"""Depthwise convolution on channels-last memory.

Two facts keep this file short:

* a depth multiplier M is M copies of every channel, each with a filter of its own;
* dx is a correlation as well: of dy, whose pixels lie apart by the stride, with the kernel rotated by 180 degrees.

So there is one inner loop, ``_correlate``, for forward and dx, and one, ``_correlate_weights``, for dw. Both read a
padded copy of one image, so that no loop asks whether it has left the picture.

They serve depth multipliers above 1. For M = 1 the same sums are taken sixteen channels at a time: 3×3 kernels in
:mod:`depthwise_3x3`, without a copy, all others in :mod:`depthwise_any`.

Optimizations: channels innermost, contiguous, vectorised; the copy stays in the L2 cache; its border is zeroed
once for several images. What the vector loops gain is told in docs/performance.md.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels import depthwise_any
from npdsconv.kernels.depthwise_3x3 import correlate, correlate_transposed, correlate_weights
from npdsconv.kernels.machine.jit import each, kernel, prange, serial
from npdsconv.kernels.parts.frame import frame_of, frame_of_input_gradient
from npdsconv.kernels.parts.padded_copy import padded_copy_repeated, padded_size
from npdsconv.shapes import Array, Window

IMAGES = 4  # that share one padded copy, or one partial sum: work is split by shape, never by threads
SUMS = 32  # partial sums of dw at most, for M = 1


def forward(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    images, (c, m), frame = layout.nhwc(x), w.shape[:2], frame_of(window)
    y = np.empty((len(x), *window.output, c * m), x.dtype)
    bias = layout.readonly(np.zeros(c * m, x.dtype) if b is None else b)
    if _is_3x3(window, m):
        _correlate_3x3_all(images, layout.taps_of(w).reshape(-1), bias, frame, y)
    elif m == 1:
        plan = depthwise_any.plan(x.shape[3], c, window.kernel, frame, (1, 1), window.output)
        _correlate_any_all(images, depthwise_any.by_vectors(layout.taps_of(w), bias), plan, y)
    else:
        _correlate_all(images, layout.taps_of(w), bias, m, frame, (1, 1), padded_size(x.shape, window), y)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    (c, m), (h, width) = w.shape[:2], shape[2:]
    dx = np.empty((len(dy), h, width, c * m), dy.dtype)
    images, frame = layout.nhwc(dy), frame_of_input_gradient(window)
    rotated, zero = layout.taps_of(w[:, :, ::-1, ::-1]), layout.readonly(np.zeros(c * m, dy.dtype))
    if _is_3x3(window, m) and window.stride == (1, 1):
        _correlate_3x3_all(images, rotated.reshape(-1), zero, frame, dx)
    elif _is_3x3(window, m) and window.stride == (2, 2) and window.dilation == (1, 1):
        _correlate_transposed_3x3_all(images, layout.taps_of(w).reshape(-1), frame_of(window), dx)
    elif m == 1:
        plan = depthwise_any.plan(dy.shape[3], c, window.kernel, frame, window.stride, (h, width))
        _correlate_any_all(images, depthwise_any.by_vectors(rotated, zero), plan, dx)
    else:
        padded = (h + window.span[0] - 1, width + window.span[1] - 1)
        _correlate_all(images, rotated, zero, 1, frame, window.stride, padded, dx)
    return layout.nchw(dx if m == 1 else dx.reshape(len(dy), h, width, c, m).sum(axis=-1))


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    c, m, kh, kw = shape
    images, of_dy, frame = layout.nhwc(x), layout.nhwc(dy), frame_of(window)
    per_sum = max(1, -(-len(x) // SUMS)) if m == 1 else IMAGES
    count = -(-len(x) // per_sum)
    if _is_3x3(window, m):
        partial = np.empty((count, 9, c), x.dtype)
        _correlate_weights_3x3_all(images, of_dy, per_sum, frame, partial)
        dw = partial.sum(axis=0)
    elif m == 1:
        plan = depthwise_any.plan(x.shape[3], c, window.kernel, frame, (1, 1), window.output)
        partial = depthwise_any.zero_sums(count, window.kernel, c, x.dtype)
        columns = depthwise_any.columns_of_dy(window.output[1])
        _correlate_weights_any_all(images, of_dy, per_sum, plan, columns, partial)
        dw = depthwise_any.from_vectors(partial.sum(axis=0), kh * kw, c)
    else:
        partial = np.zeros((count, kh * kw, c * m), x.dtype)
        _correlate_weights_all(images, of_dy, m, kw, frame, padded_size(x.shape, window), partial)
        dw = partial.sum(axis=0)
    return np.ascontiguousarray(dw.reshape(kh, kw, c, m).transpose(2, 3, 0, 1))


def _is_3x3(window: Window, m: int) -> bool:
    """Whether the kernels of :mod:`depthwise_3x3` apply."""
    return window.kernel == (3, 3) and m == 1


@serial
def _correlate(padded, w, bias, frame, y):
    """y[i, j, c] = bias[c] + Σ w[u, v, c] · padded[i·sh + u·dh, j·sw + v·dw, c]."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            total = y[i, j]
            for c in range(total.shape[0]):
                total[c] = bias[c]
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    p, q = i * frame.sh + u * frame.dh, j * frame.sw + v * frame.dw
                    pixel, of_tap = padded[p, q], w[u, v]
                    for c in range(total.shape[0]):
                        total[c] += of_tap[c] * pixel[c]


@serial
def _correlate_weights(padded, dy, kw, frame, dw):
    """dw[u·kw + v, c] += Σ dy[i, j, c] · padded[i·sh + u·dh, j·sw + v·dw, c]."""
    for i in range(dy.shape[0]):
        for tap in range(dw.shape[0]):
            u, v = tap // kw, tap % kw
            total, row = dw[tap], padded[i * frame.sh + u * frame.dh]
            for j in range(dy.shape[1]):
                pixel, gradient = row[j * frame.sw + v * frame.dw], dy[i, j]
                for c in range(total.shape[0]):
                    total[c] += gradient[c] * pixel[c]


@kernel
def _correlate_all(images, w, bias, m, frame, apart, padded_size, y):
    n, (height, width) = images.shape[0], padded_size
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        padded = np.zeros((height, width, y.shape[3]), y.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            padded_copy_repeated(images[k], (frame.top, frame.left), apart, m, padded)
            _correlate(padded, w, bias, frame, y[k])


@kernel
def _correlate_weights_all(images, dy, m, kw, frame, padded_size, partial):
    n, (height, width) = images.shape[0], padded_size
    for chunk in prange(partial.shape[0]):
        padded = np.zeros((height, width, dy.shape[3]), dy.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            padded_copy_repeated(images[k], (frame.top, frame.left), (1, 1), m, padded)
            _correlate_weights(padded, dy[k], kw, frame, partial[chunk])


@kernel(pieces=each)
def _correlate_3x3_all(images, w, bias, frame, y):
    for n in prange(images.shape[0]):
        correlate(images[n], w, bias, frame, y[n])


@kernel(pieces=each)
def _correlate_transposed_3x3_all(dy, w, frame, dx):
    for n in prange(dy.shape[0]):
        correlate_transposed(dy[n], w, frame, dx[n])


@kernel
def _correlate_weights_3x3_all(images, dy, per_sum, frame, partial):
    for chunk in prange(partial.shape[0]):
        own = slice(chunk * per_sum, (chunk + 1) * per_sum)
        correlate_weights(images[own], dy[own], frame, partial[chunk])


@kernel(pieces=each)
def _correlate_any_all(images, w, plan, y):
    for n in prange(images.shape[0]):
        depthwise_any.correlate(images[n], w, plan, y[n])


@kernel
def _correlate_weights_any_all(images, dy, per_sum, plan, columns, partial):
    for chunk in prange(partial.shape[0]):
        own = slice(chunk * per_sum, (chunk + 1) * per_sum)
        depthwise_any.correlate_weights(images[own], dy[own], plan, columns, partial[chunk])
