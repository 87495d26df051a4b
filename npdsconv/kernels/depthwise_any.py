"""Depthwise convolution with a kernel of any size on one channels-last image, sixteen channels at a time.

The taps of a large kernel do not fit into registers, so here the sums do. Sixteen channels of the image are copied to
a *tile*, a zero-bordered image of its own in which every pixel has sixteen numbers. Forward, seven neighbouring pixels
of y are summed up together: each tap is read once for the seven of them. For dw nine taps are summed up together: each
slope is read once for the nine. Neither loop knows how large the kernel is: it has a list of where each tap reads.

For a stride of s across, a tile keeps every s-th column of the image together, first the columns 0, s, 2s, …, then
1, s + 1, …, so that neighbouring pixels of y always read neighbours. dx is a forward pass as well, over a tile in which
the pixels of dy lie apart by the stride (`spread`).

With fewer channels than sixteen, a block holds some numbers of the next pixel too; nobody reads what they come to.

Names: `first` is the first of sixteen channels; `line` counts the numbers in a row of a tile, `columns` its pixels;
`places` says how far from the window's corner each tap reads.

Optimizations: the sums in registers; taps and tile contiguous and aligned, so that they stay in the L1 cache and each
load is one; one loop over all taps, because two nested short ones end too often for the processor to foresee; a large
image in bands of rows, so that its pixels are in the L2 cache when the next sixteen channels need them; seven divides
the widths of most networks (7, 14, 28, 56, 112), so that few pixels are computed twice.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels._jit import serial
from npdsconv.kernels.lanes import (
    LANES,
    advance,
    aligned,
    clear,
    copy,
    fetch,
    keep,
    load,
    multiply_add,
    one,
    pointer,
    store,
)

BAND = 1 << 17  # numbers of an image that are worked on together
PIXELS, TAPS = 7, 9  # that are summed up together


@serial
def _take(source, at, limit, channels, count, apart, target, step, ahead):
    """Copy sixteen numbers of `count` pixels; none beyond `limit`, where the source ends. Those `ahead` are next."""
    for k in range(count):
        fetch(source, at + ahead)
        if at + LANES <= limit:
            store(target, k * step, load(source, at))
        else:
            copy(advance(source, at), advance(target, k * step), min(channels, LANES))
        at += apart


@serial
def _lay_tile(image, shape, first, corner, spread, stride, top_row, rows, columns, tile, ahead):
    """Rows top_row … of the bordered image, in which pixel (i, j) lies at (top + i·spread, left + j·spread)."""
    height, width, channels = shape
    (top, left), (down, across) = corner, spread
    together = columns // stride  # the columns that a stride apart makes neighbours
    limit = height * width * channels
    for row in range(rows):
        p = top_row + row - top
        if 0 <= p < height * down and p % down == 0:
            for phase in range(stride):
                # Of spread and stride, one is 1.
                j = (phase - left) % stride if stride > 1 else max(0, (across - 1 - left) // across)
                q = (left + j * across) // stride
                count = min((width - j + stride - 1) // stride, (together - 1 - q) // across + 1)
                at = ((p // down) * width + j) * channels + first
                target = advance(tile, (row * columns + phase * together + q) * LANES)
                _take(image, at, limit, channels, count, stride * channels, target, across * LANES, ahead)


@serial
def _find_places(kernel, stride, dilation, columns, places):
    """Where each tap reads, counted from the first pixel of a window in its tile."""
    together = columns // stride
    for tap in range(places.shape[0]):
        tap_ = min(tap, kernel[0] * kernel[1] - 1)
        u, q = tap_ // kernel[1], (tap_ % kernel[1]) * dilation[1]
        places[tap] = (u * dilation[0] * columns + (q % stride) * together + q // stride) * LANES


@serial
def _sum_rows(tile, w, bias, places, taps, rows, down, width, channels, out):
    """Some rows of y: seven pixels at a time, the last seven of a row perhaps for the second time."""
    start = load(bias, 0)
    for i in range(rows):
        for begin in range(0, width, PIXELS):
            j = max(0, min(begin, width - PIXELS))
            s0, s1, s2, s3, s4, s5, s6 = start, start, start, start, start, start, start
            corner = i * down + j * LANES
            for tap in range(taps):
                k, x = load(w, tap * LANES), advance(tile, one(places, tap) + corner)
                s0, s1 = multiply_add(k, load(x, 0), s0), multiply_add(k, load(x, LANES), s1)
                s2, s3 = multiply_add(k, load(x, 2 * LANES), s2), multiply_add(k, load(x, 3 * LANES), s3)
                s4, s5 = multiply_add(k, load(x, 4 * LANES), s4), multiply_add(k, load(x, 5 * LANES), s5)
                s6 = multiply_add(k, load(x, 6 * LANES), s6)
            to = (i * width + j) * channels
            store(out, to, s0)
            store(out, to + channels, s1)
            store(out, to + 2 * channels, s2)
            store(out, to + 3 * channels, s3)
            store(out, to + 4 * channels, s4)
            store(out, to + 5 * channels, s5)
            store(out, to + 6 * channels, s6)


@serial
def _size(kernel, stride, dilation, output, channels):
    """(columns of a tile, rows of y in a band, rows of the image that these need)."""
    columns = (output[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
    columns += -columns % stride[1]
    tall = (kernel[0] - 1) * dilation[0] + 1
    fit = (BAND // (columns * max(channels, LANES)) - tall) // stride[0] + 1
    band = max(1, min(output[0], fit))
    return columns, band, (band - 1) * stride[0] + tall


@serial
def correlate(image, w, bias, kernel, corner, spread, stride, dilation, y):
    """y (OH, OW, C) from an image (H, W, C), taps w (KH, KW, C) and bias (C,)."""
    out_height, out_width, channels = y.shape
    columns, band, rows = _size(kernel, stride, dilation, (out_height, out_width), channels)
    line, row, taps = columns * LANES, out_width * channels, kernel[0] * kernel[1]
    all_places = np.empty(taps, np.int64)
    _find_places(kernel, stride[1], dilation, columns, all_places)
    places = pointer(all_places, 0)

    # Sixteen numbers, or seven pixels, may reach beyond a row: into the next, which is written later, but after the
    # last there is none.
    beside = channels < LANES or out_width < PIXELS
    room = PIXELS * max(channels, LANES)
    spare = np.empty(rows * line + (taps + 2) * LANES + 2 * room + (band * row if beside else 0), y.dtype)
    tile = aligned(pointer(spare, 0))
    own = advance(tile, rows * line + PIXELS * LANES)
    start = advance(own, taps * LANES)
    some = advance(start, LANES)
    pixels, weights, biases, out = pointer(image, 0), pointer(w, 0), pointer(bias, 0), pointer(y, 0)
    clear(own, (taps + 1) * LANES)
    ahead = band * stride[0] // spread[0] * image.shape[1] * channels  # as far as the next band or image
    for top_row in range(0, out_height, band):
        count = min(band, out_height - top_row)
        clear(tile, rows * line + PIXELS * LANES)
        target = some if beside else advance(out, top_row * row)
        for block in range(0, channels, LANES):
            first = max(0, min(block, channels - LANES))
            _take(weights, first, taps * channels, channels, taps, channels, own, LANES, 0)
            _take(biases, first, channels, channels, 1, channels, start, LANES, 0)
            how = image.shape, first, corner, spread, stride[1], top_row * stride[0], rows, columns
            _lay_tile(pixels, *how, tile, ahead)
            down, there = stride[0] * line, advance(target, first)
            _sum_rows(tile, own, start, places, taps, count, down, out_width, channels, there)
        if beside:
            copy(some, advance(out, top_row * row), count * row)
    keep(spare)
    keep(all_places)


@serial
def _sum_taps(tile, g, places, rows, width, down, total):
    """Add some rows of dy to the sums of nine taps."""
    t0, t1, t2, t3 = load(total, 0), load(total, LANES), load(total, 2 * LANES), load(total, 3 * LANES)
    t4, t5, t6 = load(total, 4 * LANES), load(total, 5 * LANES), load(total, 6 * LANES)
    t7, t8 = load(total, 7 * LANES), load(total, 8 * LANES)
    x0, x1, x2 = advance(tile, one(places, 0)), advance(tile, one(places, 1)), advance(tile, one(places, 2))
    x3, x4, x5 = advance(tile, one(places, 3)), advance(tile, one(places, 4)), advance(tile, one(places, 5))
    x6, x7, x8 = advance(tile, one(places, 6)), advance(tile, one(places, 7)), advance(tile, one(places, 8))
    to = 0
    for i in range(rows):
        at = i * down
        for _ in range(width):
            s = load(g, to)
            t0, t1 = multiply_add(s, load(x0, at), t0), multiply_add(s, load(x1, at), t1)
            t2, t3 = multiply_add(s, load(x2, at), t2), multiply_add(s, load(x3, at), t3)
            t4, t5 = multiply_add(s, load(x4, at), t4), multiply_add(s, load(x5, at), t5)
            t6, t7 = multiply_add(s, load(x6, at), t6), multiply_add(s, load(x7, at), t7)
            t8 = multiply_add(s, load(x8, at), t8)
            at += LANES
            to += LANES
    store(total, 0, t0)
    store(total, LANES, t1)
    store(total, 2 * LANES, t2)
    store(total, 3 * LANES, t3)
    store(total, 4 * LANES, t4)
    store(total, 5 * LANES, t5)
    store(total, 6 * LANES, t6)
    store(total, 7 * LANES, t7)
    store(total, 8 * LANES, t8)


@serial
def correlate_weights(images, slopes, kernel, corner, stride, dilation, dw):
    """dw (KH·KW, C) from images (N, H, W, C) and dy (N, OH, OW, C)."""
    count, height, width, channels = images.shape
    out_height, out_width = slopes.shape[1:3]
    columns, band, rows = _size(kernel, stride, dilation, (out_height, out_width), channels)
    line, taps = columns * LANES, kernel[0] * kernel[1]
    groups = (taps + TAPS - 1) // TAPS
    all_places = np.empty(groups * TAPS, np.int64)  # those too many read what the last tap reads
    _find_places(kernel, stride[1], dilation, columns, all_places)
    places = pointer(all_places, 0)

    blocks = (channels + LANES - 1) // LANES  # where two overlap, each has sums of its own
    spare = np.zeros(rows * line + (band * out_width + blocks * groups * TAPS + 1) * LANES, dw.dtype)
    tile = aligned(pointer(spare, 0))
    g = advance(tile, rows * line)
    total = advance(g, band * out_width * LANES)
    row = out_width * channels
    size, all_slopes = height * width * channels, out_height * row
    ahead = band * stride[0] * width * channels  # as far as the next band or image
    for n in range(count):
        pixels, slope = pointer(images, n * size), pointer(slopes, n * all_slopes)
        for top_row in range(0, out_height, band):
            some = min(band, out_height - top_row)
            clear(tile, rows * line)
            for block in range(blocks):
                first = max(0, min(block * LANES, channels - LANES))
                shape = height, width, channels
                how = shape, first, corner, (1, 1), stride[1], top_row * stride[0], rows, columns
                _lay_tile(pixels, *how, tile, ahead)
                at = top_row * out_width * channels + first
                _take(
                    slope,
                    at,
                    all_slopes,
                    channels,
                    some * out_width,
                    channels,
                    g,
                    LANES,
                    band * out_width * channels,
                )
                for group in range(groups):
                    where, nine = advance(places, group * TAPS), (block * groups + group) * TAPS * LANES
                    _sum_taps(tile, g, where, some, out_width, stride[0] * line, advance(total, nine))
    out = pointer(dw, 0)
    for block in range(blocks):
        first = max(0, min(block * LANES, channels - LANES))
        for tap in range(taps):
            sums = advance(total, (block * groups * TAPS + tap) * LANES)
            copy(sums, advance(out, tap * channels + first), min(channels, LANES))
    keep(spare)
    keep(all_places)
