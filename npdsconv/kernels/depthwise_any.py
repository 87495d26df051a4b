"""Depthwise convolution with a kernel of any size on one channels-last image, sixteen channels at a time.

The taps of a large kernel do not fit into registers, so here the sums do. Sixteen channels of the image are copied to
a *tile*, a zero-bordered image of its own in which every pixel has sixteen numbers. Forward, seven neighbouring pixels
of y are summed up together: each tap is read once for the seven of them. For dw nine taps are summed up together: each
slope is read once for the nine. Neither loop knows the size of the kernel, its dilation or its stride: all these are in
a list of where each tap reads, which :func:`plan` makes once for all images.

For a stride of s across, a tile keeps every s-th column of the image together, first the columns 0, s, 2s, …, then
1, s + 1, …, so that neighbouring pixels of y always read neighbours. dx is a forward pass as well, over a tile in which
the pixels of dy lie apart by the stride (`spread`).

With fewer channels than sixteen, a block holds some numbers of the next pixel too; nobody reads what they come to.

Optimizations: the sums in registers; taps and tile contiguous and aligned, so that they stay in the L1 cache and each
load is one; one loop over all taps, because two nested short ones end too often for the processor to foresee; a large
image in bands of rows, so that its pixels are in the L2 cache when the next sixteen channels need them; the next band
is asked for meanwhile; seven divides the widths of most networks (7, 14, 28, 56, 112), so that few pixels are computed
twice; what depends on shapes alone is prepared in NumPy, and not compiled.
"""

# mypy: ignore-errors
from typing import NamedTuple

import numpy as np

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import (
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
from npdsconv.layout import readonly

BAND = 1 << 17  # numbers of an image that are worked on together
PIXELS, TAPS = 7, 9  # that are summed up together


# ---- in NumPy: all that depends on shapes alone ------------------------------------------------------------------


class Plan(NamedTuple):
    """How the images of one call are laid out."""

    places: (
        np.ndarray
    )  # of each tap: how far from the first pixel of a window it reads, in numbers of a tile; of
    # those that round the taps up to a multiple of nine: as the last tap
    columns: np.ndarray  # of each column of the image: where in a row of the tile it lies
    begin: int  # the first column of the image that lies in the tile
    end: int  # and the one after the last
    top: int  # the row of the bordered image in which the image begins
    apart: int  # the rows from one row of the image to the next
    stride: int  # the rows from one window to the next
    line: int  # numbers in a row of a tile
    band: int  # rows of y that are worked on together
    rows: int  # rows of a tile that these need


def plan(width, channels, kernel, corner, spread, stride, dilation, output):
    """The :class:`Plan` for images of some width: pixel (i, j) lies at (top + i·spread, left + j·spread)."""
    columns = (output[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
    columns += -columns % stride[1]
    together = columns // stride[1]

    def at(q):
        return (q % stride[1] * together + q // stride[1]) * LANES

    taps = kernel[0] * kernel[1]
    u, v = np.divmod(np.minimum(np.arange(_rounded(taps)), taps - 1), kernel[1])
    places = u * dilation[0] * columns * LANES + at(v * dilation[1])
    q = corner[1] + np.arange(width) * spread[1]
    inside = np.flatnonzero((q >= 0) & (q < columns))
    begin, end = (inside[0], inside[-1] + 1) if len(inside) else (0, 0)

    tall = (kernel[0] - 1) * dilation[0] + 1
    fit = (BAND // (columns * max(channels, LANES)) - tall) // stride[0] + 1
    band = max(1, min(output[0], fit))
    rows = (band - 1) * stride[0] + tall
    ints = begin, end, corner[0], spread[0], stride[0], columns * LANES, band, rows
    return Plan(_list(places), _list(at(q)), *map(int, ints))


def side_by_side(width):
    """Where the columns of dy lie in a tile of their own: one after the other."""
    return _list(np.arange(width) * LANES)


def _list(places):
    return readonly(places.astype(np.int64))


def _rounded(taps):
    return -(-taps // TAPS) * TAPS


def starts(channels):
    """The first channel of each block of sixteen; the last block may overlap the one before."""
    return [max(0, min(first, channels - LANES)) for first in range(0, channels, LANES)]


def in_blocks(w, bias):
    """Taps (KH, KW, C) and bias (C,) as (blocks, KH·KW + 1, 16); the bias comes last."""
    channels = len(bias)
    rows = np.zeros((w.size // channels + 1, max(channels, LANES)), w.dtype)
    rows[:-1, :channels], rows[-1, :channels] = w.reshape(-1, channels), bias
    return readonly(np.stack([rows[:, first : first + LANES] for first in starts(channels)]))


def room_for_sums(count, kernel, channels, dtype):
    """Zeros (count, blocks, KH·KW rounded up, 16) for :func:`correlate_weights`."""
    return np.zeros((count, len(starts(channels)), _rounded(kernel[0] * kernel[1]), LANES), dtype)


def out_of_blocks(sums, taps, channels):
    """dw (KH·KW, C) from sums in blocks."""
    dw = np.empty((taps, channels), sums.dtype)
    for first, block in zip(starts(channels), sums, strict=True):
        dw[:, first : first + LANES] = block[:taps, :channels]
    return dw


# ---- compiled ----------------------------------------------------------------------------------------------------


@serial
def _lay_tile(image, shape, first, columns, begin, end, top, apart, rows, line, tile, ahead):
    """Copy sixteen channels to the rows of a tile, from row `top` on; the numbers `ahead` will be needed next."""
    height, width, channels = shape
    limit = height * width * channels
    i = max(0, -(top // apart))
    row = top + i * apart
    while row < rows and i < height:
        at = (i * width + begin) * channels + first
        for j in range(begin, end):
            fetch(image, at + ahead)
            to = row * line + one(columns, j)
            if at + LANES <= limit:
                store(tile, to, load(image, at))
            else:
                copy(advance(image, at), advance(tile, to), min(channels, LANES))
            at += channels
        i += 1
        row += apart


@serial
def _sum_rows(tile, w, places, taps, rows, down, width, channels, out):
    """Some rows of y: seven pixels at a time, the last seven of a row perhaps for the second time."""
    start = load(w, taps * LANES)
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
def correlate(image, w, places, columns, begin, end, top, apart, stride, line, band, rows, y):
    """y (OH, OW, C) from an image (H, W, C), taps from :func:`in_blocks`, and a :class:`Plan`."""
    out_height, out_width, channels = y.shape
    row, taps = out_width * channels, w.shape[1] - 1
    # Sixteen numbers, or seven pixels, may reach beyond a row: into the next, which is written later, but after the
    # last there is none.
    beside = channels < LANES or out_width < PIXELS
    room = PIXELS * max(channels, LANES)
    spare = np.empty(rows * line + (taps + 2) * LANES + 2 * room + (band * row if beside else 0), y.dtype)
    tile = aligned(pointer(spare, 0))
    own = advance(tile, rows * line + PIXELS * LANES)
    some = advance(own, (taps + 1) * LANES)
    pixels, weights, out = pointer(image, 0), pointer(w, 0), pointer(y, 0)
    places_, columns_ = pointer(places, 0), pointer(columns, 0)
    ahead = (band * stride // apart) * image.shape[1] * channels  # to the next band, or to the next image
    for top_row in range(0, out_height, band):
        count = min(band, out_height - top_row)
        clear(tile, rows * line + PIXELS * LANES)
        target = some if beside else advance(out, top_row * row)
        for block in range(w.shape[0]):
            first, size = max(0, min(block * LANES, channels - LANES)), (taps + 1) * LANES
            copy(advance(weights, block * size), own, size)
            how = begin, end, top - top_row * stride, apart, rows, line
            _lay_tile(pixels, image.shape, first, columns_, *how, tile, ahead)
            there = advance(target, first)
            _sum_rows(tile, own, places_, taps, count, stride * line, out_width, channels, there)
        if beside:
            copy(some, advance(out, top_row * row), count * row)
    keep(spare)


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
def correlate_weights(
    images, slopes, places, columns, begin, end, top, apart, stride, line, band, rows, beside, total
):
    """Add to the sums `total` from images (N, H, W, C), dy (N, OH, OW, C), a :class:`Plan` and :func:`side_by_side`."""
    height, width, channels = images.shape[1:]
    out_height, out_width = slopes.shape[1:3]
    row, size = out_width * channels, height * width * channels
    spare = np.empty(rows * line + (band * out_width + 1) * LANES, total.dtype)
    tile = aligned(pointer(spare, 0))
    g = advance(tile, rows * line)
    sums, places_, columns_, beside_ = (
        pointer(total, 0),
        pointer(places, 0),
        pointer(columns, 0),
        pointer(beside, 0),
    )
    ahead = band * stride * width * channels
    clear(g, band * out_width * LANES)
    for n in range(images.shape[0]):
        pixels, slope = pointer(images, n * size), pointer(slopes, n * out_height * row)
        for top_row in range(0, out_height, band):
            some = min(band, out_height - top_row)
            clear(tile, rows * line)
            for block in range(total.shape[0]):
                first = max(0, min(block * LANES, channels - LANES))
                how = begin, end, top - top_row * stride, apart, rows, line
                _lay_tile(pixels, (height, width, channels), first, columns_, *how, tile, ahead)
                how = 0, out_width, -top_row, 1, some, out_width * LANES
                _lay_tile(slope, (out_height, out_width, channels), first, beside_, *how, g, band * row)
                for tap in range(0, total.shape[1], TAPS):
                    nine = advance(sums, (block * total.shape[1] + tap) * LANES)
                    _sum_taps(tile, g, advance(places_, tap), some, out_width, stride * line, nine)
    keep(spare)
