"""Standard convolution: every output pixel is one row of a matrix product, read straight from the image.

In channels-last memory the KW·C numbers under one row of the kernel are neighbours. So the row of im2col's matrix that
belongs to a pixel need not be written down: it is KH straight runs of a zero-bordered copy of the image, and the tiles
of the product read them there. Forward, dx and dw are three such products.

Optimizations: no columns in memory, whose traffic was most of the time; one bordered image at a time, which stays in
the L2 cache; dx is forward with dy spread out by the stride and the kernel rotated by 180 degrees; a batch norm that
follows gets its sums from forward, and its dx is computed in the cache, image by image, where only dw needs it.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.jit import each, kernel, prange, serial
from npdsconv.kernels.machine.lanes import LANES, add, advance, keep, load_some, pointer, store_some
from npdsconv.kernels.machine.micro_kernel import FEW
from npdsconv.kernels.norm import Through
from npdsconv.kernels.parts import norm_rows
from npdsconv.kernels.parts.border import lay
from npdsconv.kernels.parts.norm_channels import affine
from npdsconv.kernels.parts.norm_rows import UNBOUNDED, Bounds, limits
from npdsconv.kernels.parts.partial import add_up
from npdsconv.kernels.parts.product import fill, multiply, pack, panels
from npdsconv.shapes import Array, Window

IMAGES = 4  # that share one partial sum of dw: work is split by shape, never by threads


def forward(
    x: Array,
    w: Array,
    b: Array | None,
    window: Window,
    groups: int,
    bounds: Bounds = UNBOUNDED,
    sums: Array | None = None,
) -> Array:
    """y (N,O,OH,OW), cut to the bounds. `sums` (N,3,O), if given, receive each image's `norm_rows.differences`."""
    outputs, inputs = w.shape[:2]
    (top, bottom), (left, right) = window.padding
    bordered = (x.shape[2] + top + bottom, x.shape[3] + left + right)
    matrices = w.reshape(groups, outputs // groups, inputs, *window.kernel).transpose(0, 3, 4, 2, 1)
    y = np.empty((len(x), *window.output, outputs), x.dtype)
    starts = np.zeros(outputs, x.dtype) if b is None else b
    how = bordered, (top, left), (1, 1), *_panels(matrices, starts), window.stride, window.dilation
    sums = np.empty((0, 3, outputs), x.dtype) if sums is None else sums
    _correlate(layout.nhwc(x), *how, limits(bounds, x.dtype), sums, y)
    return layout.nchw(y)


def input_gradient(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    n, c, h, width = shape
    (top, _), (left, _) = window.padding
    corner = (window.span[0] - 1 - top, window.span[1] - 1 - left)
    bordered = (h + window.span[0] - 1, width + window.span[1] - 1)
    rotated = w[:, :, ::-1, ::-1].reshape(groups, len(w) // groups, *w.shape[1:]).transpose(0, 3, 4, 1, 2)
    dx = np.empty((n, h, width, c), dy.dtype)
    how = bordered, corner, window.stride, *_panels(rotated, np.zeros(c, dy.dtype)), (1, 1), window.dilation
    _correlate(layout.nhwc(dy), *how, limits(UNBOUNDED, dy.dtype), np.empty((0, 3, c), dy.dtype), dx)
    return layout.nchw(dx)


def weight_gradient(
    dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int, through: Through | None = None
) -> Array:
    """dw from dy, which is first taken `through` a batch norm if there is one, image by image."""
    outputs, inputs, kh, kw = shape
    (top, bottom), (left, right) = window.padding
    bordered = (x.shape[2] + top + bottom, x.shape[3] + left + right)
    partial = np.zeros((max(1, -(-len(x) // IMAGES)), groups, kh, kw, inputs, outputs // groups), x.dtype)
    nothing = np.empty((0, outputs), x.dtype)
    p, norm, factors, bounds = through or (layout.readonly(nothing), nothing, nothing, UNBOUNDED)
    how = bordered, (top, left), fill(None, 1, x.dtype), window.stride, window.dilation
    to_dp = p, norm, factors, limits(bounds, x.dtype)
    _correlate_weights(layout.nhwc(x), layout.nhwc(dy), *to_dp, *how, partial)
    return np.ascontiguousarray(add_up(partial).transpose(0, 4, 3, 1, 2)).reshape(shape)


def _panels(matrices: Array, start: Array) -> tuple[Array, Array]:
    """Weights (G, KH, KW, K, O/G) as (G, panels, KH, KW, K, width), and the sums' start (G, panels·width)."""
    groups, kh, kw, inputs, per_group = matrices.shape
    cut = np.stack([panels(m.reshape(-1, per_group)) for m in matrices])
    starts = np.stack([fill(part, per_group, start.dtype) for part in start.reshape(groups, per_group)])
    return cut.reshape(*cut.shape[:2], kh, kw, inputs, cut.shape[-1]), starts


@serial
def _runs(channels, inputs, taps, dilation):
    """How the taps of one kernel row lie in the image: (runs, their length, their distance).

    Without dilation and groups they are neighbours: one run.
    """
    if dilation[1] == 1 and inputs == channels:
        return 1, taps * inputs, 0
    return taps, inputs, dilation[1] * channels


@kernel(pieces=each)
def _correlate(images, bordered, corner, spread, w, start, stride, dilation, bounds, sums, y):
    """y[i, j, o] = start[o] + Σ w[u, v, c, o] · border[i·sh + u·dh, j·sw + v·dw, c], for each group of channels."""
    channels, (oh, ow, outputs) = images.shape[3], y.shape[1:]
    groups, across, kh, kw, inputs, width = w.shape
    line = bordered[1] * channels
    runs, length, distance = _runs(channels, inputs, kw, dilation)
    steps, counts = (dilation[0] * line, distance, 1), (kh, runs, length)
    per_group = outputs // groups
    size = images.shape[1], images.shape[2]
    for n in prange(images.shape[0]):
        border = np.zeros(bordered[0] * line, y.dtype)
        image = pointer(images, n * size[0] * size[1] * channels)
        lay(image, size, channels, pointer(border, 0), bordered, corner, spread)
        for k in range(groups * across):
            g, first = k // across, k % across * width
            of_w, of_start = pointer(w, k * kh * kw * inputs * width), pointer(start, k * width)
            for i in range(oh):
                of_x = pointer(border, i * stride[0] * line + g * inputs)
                of_y = pointer(y, (n * oh + i) * ow * outputs + g * per_group + first)
                multiply(
                    of_x,
                    stride[1] * channels,
                    ow,
                    steps,
                    counts,
                    of_w,
                    of_start,
                    of_y,
                    outputs,
                    per_group - first,
                )
        if norm_rows.cuts(bounds):
            norm_rows.cut(pointer(y, n * oh * ow * outputs), outputs, oh * ow, outputs, bounds)
        if sums.shape[0] > 0:
            of_y, to = pointer(y, n * oh * ow * outputs), pointer(sums, n * 3 * outputs)
            norm_rows.differences(of_y, outputs, oh * ow, outputs, to, outputs)
        keep(border)


@serial
def _weights_of_image(
    border, bordered, channels, dy, shape, g, geometry, panel, across, zero, stride, dilation, product
):
    """product[u, v, c, o] = Σ border[i·sh + u·dh, j·sw + v·dw, g·C + c] · dy[i, j, g·O + o]; all are pointers."""
    (oh, ow, outputs), (kh, kw, inputs, per_group) = shape, geometry
    line = bordered[1] * channels
    runs, length, distance = _runs(channels, inputs, kw, dilation)
    steps, counts = (stride[0] * line, 0, stride[1] * channels), (oh, 1, ow)
    for first in range(0, per_group, across):
        pack(advance(dy, g * per_group + first), outputs, oh * ow, per_group - first, panel, across)
        for u in range(kh):
            for run in range(runs):
                of_x = advance(border, u * dilation[0] * line + run * distance + g * inputs)
                row = (u * runs + run) * length
                # A run shorter than a tile is computed with what lies beyond it; the next run overwrites the excess.
                count, to = max(length, FEW), advance(product, row * per_group + first)
                multiply(of_x, 1, count, steps, counts, panel, zero, to, per_group, per_group - first)


@kernel
def _correlate_weights(
    images, dy, p, norm, factors, bounds, bordered, corner, zero, stride, dilation, partial
):
    chunks, groups, kh, kw, inputs, per_group = partial.shape
    count, height, width, channels = images.shape
    shape, geometry, across = dy.shape[1:], (kh, kw, inputs, per_group), zero.shape[0]
    pixels, numbers = shape[0] * shape[1], kh * kw * inputs * per_group
    for chunk in prange(chunks):
        border = np.zeros(bordered[0] * bordered[1] * channels + FEW, dy.dtype)
        panel = np.empty(pixels * across + LANES, dy.dtype)
        product = np.empty(numbers + FEW * per_group, dy.dtype)
        dp = np.empty(pixels * shape[2] if p.shape[0] > 0 else 0, dy.dtype)
        of_border, of_panel, of_product = pointer(border, 0), pointer(panel, 0), pointer(product, 0)
        for n in range(chunk * IMAGES, min(count, (chunk + 1) * IMAGES)):
            image, slope = pointer(images, n * height * width * channels), pointer(dy, n * pixels * shape[2])
            lay(image, (height, width), channels, of_border, bordered, corner, (1, 1))
            if p.shape[0] > 0:
                of_p, how = pointer(p, n * pixels * shape[2]), (affine(norm, 0), bounds, pointer(factors, 0))
                norm_rows.combine(
                    slope, shape[2], of_p, shape[2], pixels, shape[2], *how, pointer(dp, 0), shape[2]
                )
                slope = pointer(dp, 0)
            for g in range(groups):
                how = of_panel, across, pointer(zero, 0), stride, dilation
                _weights_of_image(of_border, bordered, channels, slope, shape, g, geometry, *how, of_product)
                total = pointer(partial, (chunk * groups + g) * numbers)
                for k in range(0, numbers, LANES):
                    rest = numbers - k
                    store_some(rest, total, k, add(load_some(rest, total, k), load_some(rest, of_product, k)))
        keep(border)
        keep(panel)
        keep(product)
        keep(dp)
