"""Standard convolution: im2col and one matrix product, image by image inside a parallel loop.

Optimizations: the columns of one image and one group at a time, in a buffer that is allocated once for several
images and stays in the cache; the full column matrix of the batch never exists; columns are read from a zero-bordered
copy of the image, where the taps of one kernel row are neighbours, so a row of columns is KH straight copies.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange, serial
from npdsconv.kernels.border import place, take
from npdsconv.shapes import Array, Window

IMAGES = 4  # images that share one buffer, and one partial sum of dw


def forward(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    y = np.empty((len(x), *window.output, len(w)), x.dtype)
    bias = layout.readonly(np.zeros(len(w), x.dtype) if b is None else b)
    _forward(layout.nhwc(x), _matrices(w, groups), bias, y, *_geometry(x.shape, window))
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, h, width = shape
    dx = np.empty((n, h, width, c), dy.dtype)
    transposed = layout.readonly(_matrices(w, groups).swapaxes(1, 2))
    _input_gradient(layout.nhwc(dy), transposed, dx, *_geometry(shape, window))
    return layout.nchw(dx)


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    outputs, inputs, kh, kw = shape
    chunks = max(1, -(-len(x) // IMAGES))
    partial = np.zeros((chunks, groups, kh * kw * inputs, outputs // groups), x.dtype)
    _weight_gradient(layout.nhwc(x), layout.nhwc(dy), partial, *_geometry(x.shape, window))
    dw = partial.sum(axis=0).reshape(groups, kh, kw, inputs, outputs // groups)
    return np.ascontiguousarray(dw.transpose(0, 4, 3, 1, 2)).reshape(shape)


def _matrices(w: Array, groups: int) -> Array:
    """(O, C/G, KH, KW) weights as G matrices (KH·KW·C/G, O/G), rows in the order of the columns' taps."""
    outputs, inputs, kh, kw = w.shape
    split = w.reshape(groups, outputs // groups, inputs, kh * kw)
    return layout.readonly(split.transpose(0, 3, 2, 1).reshape(groups, kh * kw * inputs, outputs // groups))


def _geometry(shape: tuple[int, ...], window: Window):
    (top, bottom), (left, right) = window.padding
    bordered = (shape[2] + top + bottom, shape[3] + left + right)
    return bordered, window.kernel, window.stride, (top, left), window.dilation


@serial
def _runs(channels, inputs, taps, dilation):
    """How a row of columns is laid out in the bordered image: (runs per kernel row, their length, their distance).

    Without dilation and groups the KW taps of one kernel row are neighbours in memory: one run.
    """
    if dilation[1] == 1 and inputs == channels:
        return 1, taps[1] * inputs, 0
    return taps[1], inputs, dilation[1] * channels


@serial
def _gather(border, first, inputs, cols, output_width, taps, stride, dilation):
    """cols[i·OW + j, (u·KW + v)·K + k] = border[i·sh + u·dh, j·sw + v·dw, first + k]."""
    channels = border.shape[2]
    runs, length, distance = _runs(channels, inputs, taps, dilation)
    source, target = border.reshape(-1), cols.reshape(-1)
    at = np.uint64(0)
    for row in range(cols.shape[0]):
        i, j = row // output_width * stride[0], row % output_width * stride[1]
        for u in range(taps[0]):
            begin = np.uint64(((i + u * dilation[0]) * border.shape[1] + j) * channels + first)
            for _ in range(runs):
                for k in range(np.uint64(length)):
                    target[at + k] = source[begin + k]
                at += np.uint64(length)
                begin += np.uint64(distance)


@serial
def _scatter(cols, border, first, inputs, output_width, taps, stride, dilation):
    """The transpose of :func:`_gather`: add every column entry to the place it came from."""
    channels = border.shape[2]
    runs, length, distance = _runs(channels, inputs, taps, dilation)
    source, target = cols.reshape(-1), border.reshape(-1)
    at = np.uint64(0)
    for row in range(cols.shape[0]):
        i, j = row // output_width * stride[0], row % output_width * stride[1]
        for u in range(taps[0]):
            begin = np.uint64(((i + u * dilation[0]) * border.shape[1] + j) * channels + first)
            for _ in range(runs):
                for k in range(np.uint64(length)):
                    target[begin + k] += source[at + k]
                at += np.uint64(length)
                begin += np.uint64(distance)


@kernel(blas=True)
def _forward(images, w, bias, y, bordered, taps, stride, corner, dilation):
    n, oh, ow, outputs = y.shape
    groups, depth, per_group = w.shape
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        border = np.zeros((bordered[0], bordered[1], images.shape[3]), y.dtype)
        cols = np.empty((oh * ow, depth), y.dtype)
        product = np.empty((oh * ow, per_group), y.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            place(images[k], border, corner, (1, 1), 1)
            result = y[k].reshape(oh * ow, outputs)
            for g in range(groups):
                _gather(border, g * inputs, inputs, cols, ow, taps, stride, dilation)
                np.dot(cols, w[g], product)
                first = g * per_group
                for r in range(oh * ow):
                    out, term = result[r, first : first + per_group], product[r]
                    for o in range(per_group):
                        out[o] = term[o] + bias[first + o]


@kernel(blas=True)
def _input_gradient(dy, wt, dx, bordered, taps, stride, corner, dilation):
    n, oh, ow, outputs = dy.shape
    groups, per_group, depth = wt.shape
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        border = np.empty((bordered[0], bordered[1], dx.shape[3]), dx.dtype)
        cols = np.empty((oh * ow, depth), dx.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            border[:] = 0
            slope = dy[k].reshape(oh * ow, outputs)
            for g in range(groups):
                if groups == 1:
                    np.dot(slope, wt[0], cols)
                else:
                    np.dot(slope[:, g * per_group : (g + 1) * per_group].copy(), wt[g], cols)
                _scatter(cols, border, g * inputs, inputs, ow, taps, stride, dilation)
            take(border, dx[k], corner)


@kernel(blas=True)
def _weight_gradient(images, dy, partial, bordered, taps, stride, corner, dilation):
    n, oh, ow, outputs = dy.shape
    groups, depth, per_group = partial.shape[1:]
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        border = np.zeros((bordered[0], bordered[1], images.shape[3]), dy.dtype)
        cols = np.empty((oh * ow, depth), dy.dtype)
        product = np.empty((depth, per_group), dy.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            place(images[k], border, corner, (1, 1), 1)
            slope = dy[k].reshape(oh * ow, outputs)
            for g in range(groups):
                _gather(border, g * inputs, inputs, cols, ow, taps, stride, dilation)
                if groups == 1:
                    np.dot(cols.T, slope, product)
                else:
                    np.dot(cols.T, slope[:, g * per_group : (g + 1) * per_group].copy(), product)
                for r in range(depth):
                    total, term = partial[chunk, g, r], product[r]
                    for o in range(per_group):
                        total[o] += term[o]
