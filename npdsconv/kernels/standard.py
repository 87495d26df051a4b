"""Standard convolution: im2col and one matrix product, image by image inside a parallel loop.

Optimizations: the columns of one image and one group at a time, in a buffer that is allocated once for several
images and stays in the cache; the full column matrix of the batch never exists; a tap's channels are
contiguous, so a row of the buffer is a few straight copies.
"""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange, serial
from npdsconv.shapes import Array, Window

IMAGES = 4  # images that share one buffer, and one partial sum of dw


def forward(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    y = np.empty((len(x), *window.output, len(w)), x.dtype)
    bias = layout.readonly(np.zeros(len(w), x.dtype) if b is None else b)
    _forward(layout.nhwc(x), _matrices(w, groups), bias, y, *_geometry(window))
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, h, width = shape
    dx = np.zeros((n, h, width, c), dy.dtype)
    transposed = layout.readonly(_matrices(w, groups).swapaxes(1, 2))
    _input_gradient(layout.nhwc(dy), transposed, dx, *_geometry(window))
    return layout.nchw(dx)


def weight_gradient(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    outputs, inputs, kh, kw = shape
    chunks = max(1, -(-len(x) // IMAGES))
    partial = np.zeros((chunks, groups, kh * kw * inputs, outputs // groups), x.dtype)
    _weight_gradient(layout.nhwc(x), layout.nhwc(dy), partial, *_geometry(window))
    dw = partial.sum(axis=0).reshape(groups, kh, kw, inputs, outputs // groups)
    return np.ascontiguousarray(dw.transpose(0, 4, 3, 1, 2)).reshape(shape)


def _matrices(w: Array, groups: int) -> Array:
    """(O, C/G, KH, KW) weights as G matrices (KH·KW·C/G, O/G), rows in the order of the columns' taps."""
    outputs, inputs, kh, kw = w.shape
    split = w.reshape(groups, outputs // groups, inputs, kh * kw)
    return layout.readonly(split.transpose(0, 3, 2, 1).reshape(groups, kh * kw * inputs, outputs // groups))


def _geometry(window: Window):
    (top, _), (left, _) = window.padding
    return window.kernel, window.stride, (top, left), window.dilation


@serial
def _gather(image, first, cols, output_width, taps, stride, corner, dilation):
    """cols[i·OW + j, tap·K + k] = the padded image's channel first + k under that tap."""
    k_count = cols.shape[1] // (taps[0] * taps[1])
    for row in range(cols.shape[0]):
        i, j = row // output_width, row % output_width
        for u in range(taps[0]):
            p = i * stride[0] + u * dilation[0] - corner[0]
            for v in range(taps[1]):
                q = j * stride[1] + v * dilation[1] - corner[1]
                at = (u * taps[1] + v) * k_count
                target = cols[row, at : at + k_count]
                if 0 <= p < image.shape[0] and 0 <= q < image.shape[1]:
                    source = image[p, q, first : first + k_count]
                    for k in range(k_count):
                        target[k] = source[k]
                else:
                    for k in range(k_count):
                        target[k] = 0


@serial
def _scatter(cols, image, first, output_width, taps, stride, corner, dilation):
    """The transpose of :func:`_gather`: add every column entry to the pixel it came from."""
    k_count = cols.shape[1] // (taps[0] * taps[1])
    for row in range(cols.shape[0]):
        i, j = row // output_width, row % output_width
        for u in range(taps[0]):
            p = i * stride[0] + u * dilation[0] - corner[0]
            for v in range(taps[1]):
                q = j * stride[1] + v * dilation[1] - corner[1]
                if 0 <= p < image.shape[0] and 0 <= q < image.shape[1]:
                    at = (u * taps[1] + v) * k_count
                    source, target = cols[row, at : at + k_count], image[p, q, first : first + k_count]
                    for k in range(k_count):
                        target[k] += source[k]


@kernel(blas=True)
def _forward(images, w, bias, y, taps, stride, corner, dilation):
    n, oh, ow, outputs = y.shape
    groups, depth, per_group = w.shape
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        cols = np.empty((oh * ow, depth), y.dtype)
        product = np.empty((oh * ow, per_group), y.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            result = y[k].reshape(oh * ow, outputs)
            for g in range(groups):
                _gather(images[k], g * inputs, cols, ow, taps, stride, corner, dilation)
                np.dot(cols, w[g], product)
                for r in range(oh * ow):
                    for o in range(per_group):
                        result[r, g * per_group + o] = product[r, o] + bias[g * per_group + o]


@kernel(blas=True)
def _input_gradient(dy, wt, dx, taps, stride, corner, dilation):
    n, oh, ow = dy.shape[:3]
    groups, per_group, depth = wt.shape
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        cols = np.empty((oh * ow, depth), dx.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            slope = dy[k].reshape(oh * ow, dy.shape[3])
            for g in range(groups):
                part = np.ascontiguousarray(slope[:, g * per_group : (g + 1) * per_group])
                np.dot(part, wt[g], cols)
                _scatter(cols, dx[k], g * inputs, ow, taps, stride, corner, dilation)


@kernel(blas=True)
def _weight_gradient(images, dy, partial, taps, stride, corner, dilation):
    n, oh, ow = dy.shape[:3]
    groups, depth, per_group = partial.shape[1:]
    inputs = depth // (taps[0] * taps[1])
    for chunk in prange((n + IMAGES - 1) // IMAGES):
        cols = np.empty((oh * ow, depth), dy.dtype)
        product = np.empty((depth, per_group), dy.dtype)
        for k in range(chunk * IMAGES, min(n, (chunk + 1) * IMAGES)):
            slope = dy[k].reshape(oh * ow, dy.shape[3])
            for g in range(groups):
                _gather(images[k], g * inputs, cols, ow, taps, stride, corner, dilation)
                part = np.ascontiguousarray(slope[:, g * per_group : (g + 1) * per_group])
                np.dot(cols.T, part, product)
                total = partial[chunk, g]
                for r in range(depth):
                    for o in range(per_group):
                        total[r, o] += product[r, o]
