"""Standard convolution: every output pixel is one row of a matrix product, read straight from the image.

In channels-last memory the KW·C numbers under one row of the kernel are neighbours. So the row of im2col's matrix that
belongs to a pixel need not be written down: it is KH straight runs of a padded copy of the image, and the tiles of the
product read them there. Forward, dx and dw are three such products.

Optimizations: no columns in memory, whose traffic was most of the time; one padded image at a time, which stays in the
L2 cache; dx is forward over dy, whose pixels lie apart by the stride, with the kernel rotated by 180 degrees; a batch
norm that follows gets its sums from forward, and its dx is computed in the cache, image by image, where only dw needs
it.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import each, kernel, prange, serial
from npdsconv.kernels.machine.lanes import (
    LANES,
    add,
    advance,
    keep_alive,
    load_masked,
    pointer,
    store_masked,
)
from npdsconv.kernels.machine.micro_kernel import FEW_ROWS
from npdsconv.kernels.norm import Through
from npdsconv.kernels.parts.batch_norm_channels import BatchNorm, affine
from npdsconv.kernels.parts.batch_norm_rows import (
    UNBOUNDED,
    Bounds,
    backward_dx,
    bounds_as,
    clamp_rows,
    is_bounded,
    shifted_sums,
)
from npdsconv.kernels.parts.frame import frame_of, frame_of_input_gradient
from npdsconv.kernels.parts.padded_copy import padded_copy, padded_size
from npdsconv.kernels.parts.partial_sums import add_up
from npdsconv.kernels.parts.product import multiply, pack, pack_matrix, whole_panels
from npdsconv.shapes import Array, Window

IMAGES = 4  # that share one partial sum of dw: work is split by shape, never by threads


class Packed(NamedTuple):
    """The weights of each group of channels, and what its sums start from."""

    w: Array  # (G, panels, KH, KW, C/G, width)
    start: Array  # (G, panels·width)


def forward(
    x: Array,
    w: Array,
    b: Array | None,
    window: Window,
    groups: int,
    bounds: Bounds = UNBOUNDED,
    sums: Array | None = None,
) -> Array:
    """y (N,O,OH,OW), cut to the bounds. `sums` (N,3,O), if given, receive each image's `shifted_sums`."""
    outputs, inputs = w.shape[:2]
    matrices = w.reshape(groups, outputs // groups, inputs, *window.kernel).transpose(0, 3, 4, 2, 1)
    packed = _pack(matrices, np.zeros(outputs, x.dtype) if b is None else b)
    y = np.empty((len(x), *window.output, outputs), x.dtype)
    sums = np.empty((0, 3, outputs), x.dtype) if sums is None else sums
    how = frame_of(window), (1, 1), padded_size(x.shape, window), bounds_as(x.dtype, bounds)
    _correlate(layout.nhwc(x), packed, *how, sums, y)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, h, width = shape
    padded_size = (h + window.span[0] - 1, width + window.span[1] - 1)
    rotated = w[:, :, ::-1, ::-1].reshape(groups, len(w) // groups, *w.shape[1:]).transpose(0, 3, 4, 1, 2)
    packed = _pack(rotated, np.zeros(c, dy.dtype))
    dx = np.empty((n, h, width, c), dy.dtype)
    how = frame_of_input_gradient(window), window.stride, padded_size, bounds_as(dy.dtype, UNBOUNDED)
    _correlate(layout.nhwc(dy), packed, *how, np.empty((0, 3, c), dy.dtype), dx)
    return layout.nchw(dx)


def weight_gradient(
    dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int, through: Through | None = None
) -> Array:
    """dw from dy, which is first taken `through` a batch norm if there is one, image by image."""
    outputs, inputs, kh, kw = shape
    partial = np.zeros((max(1, -(-len(x) // IMAGES)), groups, kh, kw, inputs, outputs // groups), x.dtype)
    if through is None:
        nothing = np.empty((0, outputs), x.dtype)
        no_norm = BatchNorm(nothing, 0.0, *bounds_as(x.dtype, UNBOUNDED))
        through = Through(layout.readonly(nothing), no_norm, nothing)
    how = frame_of(window), padded_size(x.shape, window), whole_panels(None, 1, x.dtype)
    _correlate_weights(layout.nhwc(x), layout.nhwc(dy), through, *how, partial)
    return np.ascontiguousarray(add_up(partial).transpose(0, 4, 3, 1, 2)).reshape(shape)


def _pack(matrices: Array, start: Array) -> Packed:
    """Weights (G, KH, KW, C/G, O/G), and the sums' start (O,)."""
    groups, kh, kw, inputs, per_group = matrices.shape
    panels = np.stack([pack_matrix(m.reshape(-1, per_group)) for m in matrices])
    starts = np.stack([whole_panels(s, per_group, start.dtype) for s in start.reshape(groups, per_group)])
    return Packed(panels.reshape(*panels.shape[:2], kh, kw, inputs, panels.shape[-1]), starts)


@serial
def _runs(channels, inputs, taps, dilation):
    """How the taps of one kernel row lie in the image: (runs, their length, their distance).

    Without dilation and groups they are neighbours: one run.
    """
    if dilation == 1 and inputs == channels:
        return 1, taps * inputs, 0
    return taps, inputs, dilation * channels


@kernel(pieces=each)
def _correlate(images, packed, frame, apart, padded_size, bounds, sums, y):
    """y[i, j, o] = start[o] + Σ w[u, v, c, o] · padded[i·sh + u·dh, j·sw + v·dw, c], for each group of channels."""
    (_, height, width, channels), (oh, ow, outputs), (w, start) = images.shape, y.shape[1:], packed
    groups, across, kh, kw, inputs, panel_width = w.shape
    line, per_group = padded_size[1] * channels, outputs // groups
    runs, length, distance = _runs(channels, inputs, kw, frame.dw)
    steps, counts = (frame.dh * line, distance, 1), (kh, runs, length)
    for n in prange(images.shape[0]):
        padded = np.zeros(padded_size[0] * line, y.dtype)
        image, of_padded = pointer(images, n * height * width * channels), pointer(padded, 0)
        corner = frame.top, frame.left
        padded_copy(image, (height, width), channels, corner, apart, padded_size, of_padded)
        for k in range(groups * across):
            g, first = k // across, k % across * panel_width
            panel = pointer(w, k * kh * kw * inputs * panel_width), pointer(start, k * panel_width)
            for i in range(oh):
                of_x = advance(of_padded, i * frame.sh * line + g * inputs)
                of_y = pointer(y, (n * oh + i) * ow * outputs + g * per_group + first)
                terms = frame.sw * channels, steps, counts
                multiply(of_x, *terms, *panel, ow, per_group - first, of_y, outputs)
        of_y = pointer(y, n * oh * ow * outputs)
        if is_bounded(bounds):
            clamp_rows(of_y, outputs, oh * ow, outputs, bounds)
        if sums.shape[0] > 0:
            shifted_sums(of_y, outputs, oh * ow, outputs, pointer(sums, n * 3 * outputs))
        keep_alive(padded)


class Sizes(NamedTuple):
    """How many numbers lie where, for dw."""

    line: int  # in a row of a padded image
    channels: int  # of an image, of all groups
    oh: int
    ow: int
    outputs: int  # of all groups
    kh: int
    kw: int
    inputs: int  # of one group
    per_group: int  # outputs of one group


@serial
def _weights_of_group(g, padded, dy, sizes, frame, zero, width, packed, product):
    """product[u, v, c, o] = Σ padded[i·sh + u·dh, j·sw + v·dw, g·C + c] · dy[i, j, g·O + o]; all are pointers."""
    line, channels, oh, ow, outputs, kh, kw, inputs, per_group = sizes
    runs, length, distance = _runs(channels, inputs, kw, frame.dw)
    steps, counts = (frame.sh * line, 0, frame.sw * channels), (oh, 1, ow)
    for first in range(0, per_group, width):
        columns = per_group - first
        pack(advance(dy, g * per_group + first), outputs, oh * ow, columns, width, packed)
        for u in range(kh):
            for run in range(runs):
                of_x = advance(padded, u * frame.dh * line + run * distance + g * inputs)
                row = (u * runs + run) * length
                # A run shorter than a tile is computed with what lies beyond it; the next run overwrites the excess.
                count, to = max(length, FEW_ROWS), advance(product, row * per_group + first)
                multiply(of_x, 1, steps, counts, packed, zero, count, columns, to, per_group)


@kernel
def _correlate_weights(images, dy, through, frame, padded_size, zero, partial):
    (count, height, width, channels), (_, oh, ow, outputs) = images.shape, dy.shape
    chunks, groups, kh, kw, inputs, per_group = partial.shape
    pixels, numbers, panel_width = oh * ow, kh * kw * inputs * per_group, zero.shape[0]
    p, (table, _, low, high), factors = through
    for chunk in prange(chunks):
        padded = np.zeros(padded_size[0] * padded_size[1] * channels + FEW_ROWS, dy.dtype)
        packed = np.empty(pixels * panel_width + LANES, dy.dtype)
        product = np.empty(numbers + FEW_ROWS * per_group, dy.dtype)
        dp = np.empty(pixels * outputs if p.shape[0] > 0 else 0, dy.dtype)
        of_padded, of_packed, of_product = pointer(padded, 0), pointer(packed, 0), pointer(product, 0)
        sizes = Sizes(padded_size[1] * channels, channels, oh, ow, outputs, kh, kw, inputs, per_group)
        for n in range(chunk * IMAGES, min(count, (chunk + 1) * IMAGES)):
            image, of_dy = pointer(images, n * height * width * channels), pointer(dy, n * pixels * outputs)
            corner = frame.top, frame.left
            padded_copy(image, (height, width), channels, corner, (1, 1), padded_size, of_padded)
            if p.shape[0] > 0:
                of_p, of_dp, bounds = pointer(p, n * pixels * outputs), pointer(dp, 0), (low, high)
                backward_dx(
                    of_dy, of_p, pixels, outputs, affine(table, 0), bounds, pointer(factors, 0), of_dp
                )
                of_dy = of_dp
            for g in range(groups):
                how = sizes, frame, pointer(zero, 0), panel_width
                _weights_of_group(g, of_padded, of_dy, *how, of_packed, of_product)
                total = pointer(partial, (chunk * groups + g) * numbers)
                for k in range(0, numbers, LANES):
                    rest = numbers - k
                    both = add(load_masked(rest, total, k), load_masked(rest, of_product, k))
                    store_masked(rest, total, k, both)
        keep_alive(padded)
        keep_alive(packed)
        keep_alive(product)
        keep_alive(dp)
