"""Depthwise convolution with a kernel of any size on one channels-last image, sixteen channels at a time.

The taps of a large kernel do not fit into registers, so here the sums do. Sixteen channels of the image are copied to
an image of their own, padded with zeros, in which every pixel has sixteen numbers. Forward, seven neighbouring pixels
of y are summed up together: each tap is read once for the seven of them. For dw nine taps are summed up together: each
pixel of dy is read once for the nine. Neither loop knows the size of the kernel, its dilation or its stride: all these
are in a list of where each tap reads, which :func:`plan` makes once for all images.

For a stride of s across, a padded copy keeps every s-th column of the image together, first the columns 0, s, 2s, …,
then 1, s + 1, …, so that neighbouring pixels of y always read neighbours. dx is a forward pass as well, over a copy in
which the pixels of dy lie `apart` by the stride.

With fewer channels than sixteen, a vector holds some numbers of the next pixel too; nobody reads what they come to.

Optimizations: the sums in registers; taps and copy contiguous and aligned, so that they stay in the L1 cache and each
load is one; one loop over all taps, because two nested short ones end too often for the processor to foresee; a large
image in bands of rows, so that its pixels are in the L2 cache when the next sixteen channels need them; the next band
is prefetched meanwhile; seven divides the widths of most networks (7, 14, 28, 56, 112), so that few pixels are computed
twice; what depends on shapes alone is prepared in NumPy, and not compiled.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import (
    LANES,
    advance,
    aligned,
    clear,
    copy,
    keep_alive,
    load,
    load_one,
    multiply_add,
    pointer,
    prefetch,
    store,
)
from npdsconv.kernels.parts.frame import Frame
from npdsconv.layout import readonly
from npdsconv.shapes import Array, Pair

BAND_NUMBERS = 1 << 17  # of an image, that are worked on together
PIXELS, TAPS = 7, 9  # that are summed up together


# ---- in NumPy: all that depends on shapes alone ------------------------------------------------------------------


class Plan(NamedTuple):
    """How the images of one call lie in their padded copies."""

    # Of each tap: how far from the first pixel of a window it reads, in numbers of a copy. The taps are rounded up to a
    # multiple of nine; those that are too many read where the last one does.
    places: Array
    columns: Array  # of each column of the image: where in a row of the copy it lies
    begin: int  # the first column of the image that is copied
    end: int  # and the one after the last
    top: int  # the row of the padded image in which the image begins
    apart: int  # the rows from one row of the image to the next
    stride: int  # the rows from one window to the next
    line: int  # numbers in a row of a copy
    band: int  # rows of y that are worked on together
    rows: int  # rows of a copy that these need


def plan(width: int, channels: int, kernel: Pair, frame: Frame, apart: Pair, output: Pair) -> Plan:
    """The :class:`Plan` for images of some width, whose pixels lie `apart` in the copy: (1, 1) for neighbours."""
    columns = (output[1] - 1) * frame.sw + (kernel[1] - 1) * frame.dw + 1
    columns += -columns % frame.sw
    together = columns // frame.sw

    def at(q: Array) -> Array:
        return (q % frame.sw * together + q // frame.sw) * LANES

    taps = kernel[0] * kernel[1]
    u, v = np.divmod(np.minimum(np.arange(_rounded(taps)), taps - 1), kernel[1])
    places = u * frame.dh * columns * LANES + at(v * frame.dw)
    q = frame.left + np.arange(width) * apart[1]
    inside = np.flatnonzero((q >= 0) & (q < columns))
    begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)

    tall = (kernel[0] - 1) * frame.dh + 1
    fit = (BAND_NUMBERS // (columns * max(channels, LANES)) - tall) // frame.sh + 1
    band = max(1, min(output[0], fit))
    rows = (band - 1) * frame.sh + tall
    lists = _integers(places), _integers(at(q))
    return Plan(*lists, begin, end, frame.top, apart[0], frame.sh, columns * LANES, band, rows)


def columns_of_dy(width: int) -> Array:
    """The `columns` of a copy of dy: one after the other."""
    return _integers(np.arange(width) * LANES)


def _integers(places: Array) -> Array:
    return readonly(places.astype(np.int64))


def _rounded(taps: int) -> int:
    return -(-taps // TAPS) * TAPS


def _firsts(channels: int) -> list[int]:
    """The first channel of each vector of sixteen; the last one may overlap the one before."""
    return [max(0, min(first, channels - LANES)) for first in range(0, channels, LANES)]


def by_vectors(w: Array, bias: Array) -> Array:
    """Weights (KH, KW, C) and bias (C,) as (vectors, KH·KW + 1, 16); the bias comes last."""
    channels = len(bias)
    rows = np.zeros((w.size // channels + 1, max(channels, LANES)), w.dtype)
    rows[:-1, :channels], rows[-1, :channels] = w.reshape(-1, channels), bias
    return readonly(np.stack([rows[:, first : first + LANES] for first in _firsts(channels)]))


def zero_sums(count: int, kernel: Pair, channels: int, dtype: DTypeLike) -> Array:
    """Zeros (count, vectors, KH·KW rounded up, 16) for :func:`correlate_weights`."""
    return np.zeros((count, len(_firsts(channels)), _rounded(kernel[0] * kernel[1]), LANES), dtype)


def from_vectors(sums: Array, taps: int, channels: int) -> Array:
    """dw (KH·KW, C) from the sums of each vector."""
    dw = np.empty((taps, channels), sums.dtype)
    for first, of_vector in zip(_firsts(channels), sums, strict=True):
        dw[:, first : first + LANES] = of_vector[:taps, :channels]
    return dw


# ---- compiled ----------------------------------------------------------------------------------------------------


class Placement(NamedTuple):
    """Which part of an image goes where in a padded copy."""

    begin: int  # as in Plan
    end: int
    top: int
    apart: int
    line: int
    rows: int


@serial
def _padded_copy(image, shape, first, columns, placement, ahead, padded):
    """Copy sixteen channels, from `first` on; the numbers `ahead` will be needed next."""
    (height, width, channels), (begin, end, top, apart, line, rows) = shape, placement
    size = height * width * channels
    i = max(0, -(top // apart))
    row = top + i * apart
    while row < rows and i < height:
        at = (i * width + begin) * channels + first
        for j in range(begin, end):
            prefetch(image, at + ahead)
            to = row * line + load_one(columns, j)
            if at + LANES <= size:
                store(padded, to, load(image, at))
            else:
                copy(advance(image, at), advance(padded, to), min(channels, LANES))
            at += channels
        i += 1
        row += apart


@serial
def _sum_rows(padded, w, places, taps, rows, down, width, channels, y):
    """Some rows of y: seven pixels at a time, the last seven of a row perhaps for the second time."""
    start = load(w, taps * LANES)
    for i in range(rows):
        for begin in range(0, width, PIXELS):
            j = max(0, min(begin, width - PIXELS))
            s0, s1, s2, s3, s4, s5, s6 = start, start, start, start, start, start, start
            corner = i * down + j * LANES
            for tap in range(taps):
                k, x = load(w, tap * LANES), advance(padded, load_one(places, tap) + corner)
                s0, s1 = multiply_add(k, load(x, 0), s0), multiply_add(k, load(x, LANES), s1)
                s2, s3 = multiply_add(k, load(x, 2 * LANES), s2), multiply_add(k, load(x, 3 * LANES), s3)
                s4, s5 = multiply_add(k, load(x, 4 * LANES), s4), multiply_add(k, load(x, 5 * LANES), s5)
                s6 = multiply_add(k, load(x, 6 * LANES), s6)
            to = (i * width + j) * channels
            store(y, to, s0)
            store(y, to + channels, s1)
            store(y, to + 2 * channels, s2)
            store(y, to + 3 * channels, s3)
            store(y, to + 4 * channels, s4)
            store(y, to + 5 * channels, s5)
            store(y, to + 6 * channels, s6)


@serial
def correlate(image, w, plan, y):
    """y (OH, OW, C) from an image (H, W, C), weights from :func:`by_vectors`, and a :class:`Plan`."""
    out_height, out_width, channels = y.shape
    row, taps, band, down = out_width * channels, w.shape[1] - 1, plan.band, plan.stride * plan.line
    # Sixteen numbers, or seven pixels, may reach beyond a row: into the next, which is written later, but after the
    # last there is none.
    beside = channels < LANES or out_width < PIXELS
    room = PIXELS * max(channels, LANES)
    size, own_size = plan.rows * plan.line + PIXELS * LANES, (taps + 1) * LANES
    space = plan.rows * plan.line + own_size + LANES + 2 * room
    spare = np.empty(space + (band * row if beside else 0), y.dtype)
    padded = aligned(pointer(spare, 0))
    own = advance(padded, size)
    spare_rows = advance(own, own_size)
    pixels, weights, out = pointer(image, 0), pointer(w, 0), pointer(y, 0)
    places, columns = pointer(plan.places, 0), pointer(plan.columns, 0)
    ahead = (
        (band * plan.stride // plan.apart) * image.shape[1] * channels
    )  # to the next band, or to the next image
    for top_row in range(0, out_height, band):
        count, top = min(band, out_height - top_row), plan.top - top_row * plan.stride
        placement = Placement(plan.begin, plan.end, top, plan.apart, plan.line, plan.rows)
        clear(padded, size)
        target = spare_rows if beside else advance(out, top_row * row)
        for k in range(w.shape[0]):
            first = max(0, min(k * LANES, channels - LANES))
            copy(advance(weights, k * own_size), own, own_size)
            _padded_copy(pixels, image.shape, first, columns, placement, ahead, padded)
            _sum_rows(padded, own, places, taps, count, down, out_width, channels, advance(target, first))
        if beside:
            copy(spare_rows, advance(out, top_row * row), count * row)
    keep_alive(spare)


@serial
def _sum_taps(padded, dy, places, rows, width, down, total):
    """Add some rows of dy to the sums of nine taps."""
    t0, t1, t2, t3 = load(total, 0), load(total, LANES), load(total, 2 * LANES), load(total, 3 * LANES)
    t4, t5, t6 = load(total, 4 * LANES), load(total, 5 * LANES), load(total, 6 * LANES)
    t7, t8 = load(total, 7 * LANES), load(total, 8 * LANES)
    x0, x1 = advance(padded, load_one(places, 0)), advance(padded, load_one(places, 1))
    x2, x3 = advance(padded, load_one(places, 2)), advance(padded, load_one(places, 3))
    x4, x5 = advance(padded, load_one(places, 4)), advance(padded, load_one(places, 5))
    x6, x7 = advance(padded, load_one(places, 6)), advance(padded, load_one(places, 7))
    x8 = advance(padded, load_one(places, 8))
    to = 0
    for i in range(rows):
        at = i * down
        for _ in range(width):
            g = load(dy, to)
            t0, t1 = multiply_add(g, load(x0, at), t0), multiply_add(g, load(x1, at), t1)
            t2, t3 = multiply_add(g, load(x2, at), t2), multiply_add(g, load(x3, at), t3)
            t4, t5 = multiply_add(g, load(x4, at), t4), multiply_add(g, load(x5, at), t5)
            t6, t7 = multiply_add(g, load(x6, at), t6), multiply_add(g, load(x7, at), t7)
            t8 = multiply_add(g, load(x8, at), t8)
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
def correlate_weights(images, dy, plan, columns_of_dy, total):
    """Add to the sums `total`, from images (N, H, W, C), dy (N, OH, OW, C) and how both are copied."""
    height, width, channels = images.shape[1:]
    out_height, out_width = dy.shape[1:3]
    row, size, band, down = (
        out_width * channels,
        height * width * channels,
        plan.band,
        plan.stride * plan.line,
    )
    spare = np.empty(plan.rows * plan.line + (band * out_width + 1) * LANES, total.dtype)
    padded = aligned(pointer(spare, 0))
    padded_dy = advance(padded, plan.rows * plan.line)
    sums, places = pointer(total, 0), pointer(plan.places, 0)
    columns, beside = pointer(plan.columns, 0), pointer(columns_of_dy, 0)
    ahead = band * plan.stride * width * channels
    clear(padded_dy, band * out_width * LANES)
    for n in range(images.shape[0]):
        of_x, of_dy = pointer(images, n * size), pointer(dy, n * out_height * row)
        for top_row in range(0, out_height, band):
            count, top = min(band, out_height - top_row), plan.top - top_row * plan.stride
            of_image = Placement(plan.begin, plan.end, top, plan.apart, plan.line, plan.rows)
            of_rows = Placement(0, out_width, -top_row, 1, out_width * LANES, count)
            clear(padded, plan.rows * plan.line)
            for k in range(total.shape[0]):
                first = max(0, min(k * LANES, channels - LANES))
                _padded_copy(of_x, (height, width, channels), first, columns, of_image, ahead, padded)
                shape = out_height, out_width, channels
                _padded_copy(of_dy, shape, first, beside, of_rows, band * row, padded_dy)
                for tap in range(0, total.shape[1], TAPS):
                    nine = advance(sums, (k * total.shape[1] + tap) * LANES)
                    _sum_taps(padded, padded_dy, advance(places, tap), count, out_width, down, nine)
    keep_alive(spare)
