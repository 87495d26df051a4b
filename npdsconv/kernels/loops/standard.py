"""Standard convolution: the sums of a depthwise one, and one more over the channels of a group."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.loops.common import IMAGES, bias_or_zeros, pieces, steps_of
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.shapes import Array, Window


def forward(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    y = np.empty((len(x), *window.output, len(w)), x.dtype)
    taps = layout.readonly(w.transpose(2, 3, 1, 0))
    standard(layout.nhwc(x), taps, bias_or_zeros(b, len(w), x), groups, steps_of(window), y)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, height, width = shape
    dx = np.zeros((n, height, width, c), dy.dtype)
    taps = layout.readonly(w.transpose(2, 3, 0, 1))
    standard_dx(layout.nhwc(dy), taps, groups, steps_of(window), dx)
    return layout.nchw(dx)


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    outputs, inputs, kh, kw = shape
    partial = np.zeros((pieces(len(x), IMAGES), kh, kw, outputs, inputs), x.dtype)
    standard_dw(layout.nhwc(dy), layout.nhwc(x), groups, steps_of(window), partial)
    return np.ascontiguousarray(partial.sum(axis=0).transpose(2, 3, 0, 1))


@kernel
def standard(x, w, b, groups, steps, y):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, outputs = y.shape
    inputs, some = w.shape[2], outputs // groups  # of each group
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for o in range(outputs):
                y[n, i, j, o] = b[o]
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    p, q = i * sh + u * dh - top, j * sw + v * dw - left
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        for c in range(x.shape[3]):
                            group, k = c // inputs, c % inputs
                            for o in range(group * some, (group + 1) * some):
                                y[n, i, j, o] += w[u, v, k, o] * x[n, p, q, c]


@kernel(pieces=each)
def standard_dx(dy, w, groups, steps, dx):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, outputs = dy.shape
    inputs, some = w.shape[3], outputs // groups
    for n in prange(images):  # owns image n of dx
        for i in range(rows):
            for j in range(columns):
                for u in range(w.shape[0]):
                    for v in range(w.shape[1]):
                        p, q = i * sh + u * dh - top, j * sw + v * dw - left
                        if 0 <= p < dx.shape[1] and 0 <= q < dx.shape[2]:
                            for o in range(outputs):
                                first = o // some * inputs
                                for k in range(inputs):
                                    dx[n, p, q, first + k] += dy[n, i, j, o] * w[u, v, o, k]


@kernel
def standard_dw(dy, x, groups, steps, partial):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, outputs = dy.shape
    inputs, some = partial.shape[4], outputs // groups
    for s in prange(partial.shape[0]):  # owns partial sum s
        for n in range(s * IMAGES, min(images, (s + 1) * IMAGES)):
            for i in range(rows):
                for j in range(columns):
                    for u in range(partial.shape[1]):
                        for v in range(partial.shape[2]):
                            p, q = i * sh + u * dh - top, j * sw + v * dw - left
                            if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                                for o in range(outputs):
                                    first = o // some * inputs
                                    for k in range(inputs):
                                        partial[s, u, v, o, k] += dy[n, i, j, o] * x[n, p, q, first + k]
