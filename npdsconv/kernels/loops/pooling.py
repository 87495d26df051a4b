"""Pooling: the largest or the mean of every window, and the mean of every image."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.loops.common import steps_of
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.shapes import Array, Window


def max_forward(x: Array, window: Window) -> Array:
    y = np.full((len(x), *window.output, x.shape[1]), -np.inf, x.dtype)
    max_pool(layout.nhwc(x), window.kernel, steps_of(window), y)
    return layout.nchw(y)


def max_backward(dy: Array, x: Array, window: Window) -> Array:
    images = layout.nhwc(x)
    dx = np.zeros(images.shape, dy.dtype)
    max_pool_backward(layout.nhwc(dy), images, window.kernel, steps_of(window), dx)
    return layout.nchw(dx)


def average_forward(x: Array, window: Window, share: Array) -> Array:
    y = np.zeros((len(x), *window.output, x.shape[1]), x.dtype)
    avg_pool(layout.nhwc(x), window.kernel, layout.readonly(share), steps_of(window), y)
    return layout.nchw(y)


def average_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    n, c, height, width = shape
    dx = np.zeros((n, height, width, c), dy.dtype)
    avg_pool_backward(layout.nhwc(dy), window.kernel, layout.readonly(share), steps_of(window), dx)
    return layout.nchw(dx)


def global_forward(x: Array) -> Array:
    n, c, height, width = x.shape
    totals = np.zeros((n, c))  # float64, since so many numbers meet in one
    global_pool(layout.nhwc(x).reshape(n, height * width, c), totals)
    return (totals / (height * width)).astype(x.dtype).reshape(n, c, 1, 1)


def global_backward(share: Array, shape: tuple[int, ...]) -> Array:
    n, c, height, width = shape
    dx = np.empty((n, height * width, c), share.dtype)
    global_pool_backward(layout.readonly(share.reshape(n, c)), dx)
    return layout.nchw(dx.reshape(n, height, width, c))


@kernel
def max_pool(x, size, steps, y):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = y.shape
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for u in range(size[0]):
                for v in range(size[1]):
                    p, q = i * sh + u * dh - top, j * sw + v * dw - left
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        for c in range(channels):
                            value = x[n, p, q, c]
                            # A NaN is not equal to itself, and wins.
                            if value > y[n, i, j, c] or value != value:
                                y[n, i, j, c] = value


@kernel(pieces=each)
def max_pool_backward(dy, x, size, steps, dx):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = dy.shape
    for n in prange(images):  # owns image n of dx
        for i in range(rows):
            for j in range(columns):
                for c in range(channels):
                    best, row, column = -np.inf, -1, -1
                    for u in range(size[0]):
                        for v in range(size[1]):
                            p, q = i * sh + u * dh - top, j * sw + v * dw - left
                            if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                                value = x[n, p, q, c]
                                # The first pixel wins over none, a larger one over it, the first NaN over all.
                                if row < 0 or value > best or (value != value and best == best):
                                    best, row, column = value, p, q
                    dx[n, row, column, c] += dy[n, i, j, c]


@kernel
def avg_pool(x, size, share, steps, y):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = y.shape
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for u in range(size[0]):
                for v in range(size[1]):
                    p, q = i * sh + u * dh - top, j * sw + v * dw - left
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        for c in range(channels):
                            y[n, i, j, c] += x[n, p, q, c]
            for c in range(channels):
                y[n, i, j, c] *= share[i, j]


@kernel(pieces=each)
def avg_pool_backward(dy, size, share, steps, dx):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, channels = dy.shape
    for n in prange(images):  # owns image n of dx
        for i in range(rows):
            for j in range(columns):
                for u in range(size[0]):
                    for v in range(size[1]):
                        p, q = i * sh + u * dh - top, j * sw + v * dw - left
                        if 0 <= p < dx.shape[1] and 0 <= q < dx.shape[2]:
                            for c in range(channels):
                                dx[n, p, q, c] += dy[n, i, j, c] * share[i, j]


@kernel(pieces=each)
def global_pool(x, totals):
    for n in prange(x.shape[0]):  # owns row n of totals
        for p in range(x.shape[1]):
            for c in range(x.shape[2]):
                totals[n, c] += x[n, p, c]


@kernel(pieces=each)
def global_pool_backward(share, dx):
    for n in prange(dx.shape[0]):  # owns image n of dx
        for p in range(dx.shape[1]):
            for c in range(dx.shape[2]):
                dx[n, p, c] = share[n, c]
