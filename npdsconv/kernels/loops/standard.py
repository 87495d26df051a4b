"""Standard convolution: the sums of a depthwise one, and one more over the channels of a group.

Channels are read as (group, channel of the group): x is (N,H,W,G,K), y is (N,OH,OW,G,O), with K and O channels a group.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels.loops.common import IMAGES, bias_or_zeros, pieces, steps_of
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.shapes import Array, Window


def forward(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    y = np.empty((len(x), *window.output, groups, len(w) // groups), x.dtype)
    taps = layout.readonly(by_tap(w, groups).swapaxes(3, 4))
    bias = bias_or_zeros(b, len(w), x).reshape(groups, -1)
    standard(by_group(x, groups), taps, bias, steps_of(window), y)
    return layout.nchw(y.reshape(*y.shape[:3], len(w)))


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, height, width = shape
    dx = np.zeros((n, height, width, groups, c // groups), dy.dtype)
    standard_dx(by_group(dy, groups), layout.readonly(by_tap(w, groups)), steps_of(window), dx)
    return layout.nchw(dx.reshape(n, height, width, c))


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    outputs, inputs, kh, kw = shape
    partial = np.zeros((pieces(len(x), IMAGES), kh, kw, groups, outputs // groups, inputs), x.dtype)
    standard_dw(by_group(dy, groups), by_group(x, groups), steps_of(window), partial)
    return np.ascontiguousarray(partial.sum(axis=0).reshape(kh, kw, outputs, inputs).transpose(2, 3, 0, 1))


def by_group(x: Array, groups: int) -> Array:
    """(N,C,H,W) as (N,H,W,G,C/G)."""
    images = layout.nhwc(x)
    return images.reshape(*images.shape[:3], groups, x.shape[1] // groups)


def by_tap(w: Array, groups: int) -> Array:
    """(G·O,K,KH,KW) weights as (KH,KW,G,O,K)."""
    outputs, inputs, kh, kw = w.shape
    return w.transpose(2, 3, 0, 1).reshape(kh, kw, groups, outputs // groups, inputs)


@kernel
def standard(x, w, b, steps, y):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, groups, outputs = y.shape
    for row in prange(images * rows):  # owns row i of image n of y
        n, i = row // rows, row % rows
        for j in range(columns):
            for g in range(groups):
                for o in range(outputs):
                    y[n, i, j, g, o] = b[g, o]
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    p, q = i * sh + u * dh - top, j * sw + v * dw - left
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        for g in range(groups):
                            for k in range(x.shape[4]):
                                for o in range(outputs):
                                    y[n, i, j, g, o] += w[u, v, g, k, o] * x[n, p, q, g, k]


@kernel(pieces=each)
def standard_dx(dy, w, steps, dx):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, groups, outputs = dy.shape
    for n in prange(images):  # owns image n of dx
        for i in range(rows):
            for j in range(columns):
                for u in range(w.shape[0]):
                    for v in range(w.shape[1]):
                        p, q = i * sh + u * dh - top, j * sw + v * dw - left
                        if 0 <= p < dx.shape[1] and 0 <= q < dx.shape[2]:
                            for g in range(groups):
                                for o in range(outputs):
                                    for k in range(dx.shape[4]):
                                        dx[n, p, q, g, k] += dy[n, i, j, g, o] * w[u, v, g, o, k]


@kernel
def standard_dw(dy, x, steps, partial):
    (top, left), (sh, sw), (dh, dw) = steps
    images, rows, columns, groups, outputs = dy.shape
    for s in prange(partial.shape[0]):  # owns partial sum s
        for n in range(s * IMAGES, min(images, (s + 1) * IMAGES)):
            for i in range(rows):
                for j in range(columns):
                    for u in range(partial.shape[1]):
                        for v in range(partial.shape[2]):
                            p, q = i * sh + u * dh - top, j * sw + v * dw - left
                            if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                                for g in range(groups):
                                    for o in range(outputs):
                                        for k in range(x.shape[4]):
                                            slope = dy[n, i, j, g, o]
                                            partial[s, u, v, g, o, k] += slope * x[n, p, q, g, k]
