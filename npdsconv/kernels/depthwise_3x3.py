"""Depthwise 3×3 on one channels-last image, sixteen channels at a time.

For each vector of sixteen channels the nine weights lie in registers and a window slides along a row: of its three
columns it keeps what the next pixel needs. The last vector starts at C - 16 and may overlap the one before; it computes
the same numbers again.

Fewer channels than sixteen need no loops of their own. Of C = 13, a vector holds one pixel and three numbers of the
next: these are carried along, and what they come to is overwritten when the next pixel is stored. Only at an end would
a vector reach too far: the last rows of an image are read from a copy with room after it, so are the weights, and an
output row is written to a row beside the image first.

Nothing else is copied, and no border made: a row above or below the image is a row of zeros, a column beside it is
zeros in a register.

Names: an image is (H, W, C); r0 … r3 point to the rows of a window, a, b, c are its columns (a0 is the pixel of column
a in row r0), w0 … w8 the weights of the taps, t0 … t8 their gradients, g a pixel of dy, `first` the first of the
sixteen channels. `ahead` points to what is read soon.

Optimizations: rows are told apart by pointers, for an array handed on counts references; the rows that are read next
are prefetched while this one is computed, and those that are written next; of nine sums for each channel only those of
one vector lie in registers, the others in the L1 cache, so that each row is read once and not once for each vector.
"""

# mypy: disable-error-code="no-untyped-def"
from typing import NamedTuple

import numpy as np

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import (
    LANES,
    advance,
    clear,
    copy,
    keep_alive,
    load,
    load_if,
    multiply_add,
    pointer,
    prefetch,
    store,
    zeros,
)


class Across(NamedTuple):
    """A row of an image and the row of windows over it, in numbers."""

    width: int
    out_width: int
    channels: int
    left: int
    stride: int
    dilation: int


@serial(inline=True)
def _with_room(source, n, target):
    """Copy n numbers, so that sixteen may be read from each of them on."""
    copy(source, target, n)
    clear(advance(target, n), LANES)
    return target


@serial
def _rows(image, spare):
    """What :func:`_row` needs. `spare` begins with a row of zeros; rows too near the end are copied after it."""
    height, width, channels = image.shape
    size, pixels, nothing = width * channels, pointer(image, 0), pointer(spare, 0)
    whole, last = height, nothing
    clear(nothing, size + LANES)
    if channels < LANES:
        whole = max(0, height - (LANES - channels + size - 1) // size)
        last = advance(nothing, size + LANES)
        _with_room(advance(pixels, whole * size), (height - whole) * size, last)
    return pixels, height, size, whole, nothing, last


@serial(inline=True)
def _row(rows, p):
    """Where row p of an image begins; rows outside are zeros."""
    pixels, height, size, whole, nothing, last = rows
    if 0 <= p < whole:
        return advance(pixels, p * size)
    return advance(last, (p - whole) * size) if whole <= p < height else nothing


@serial(inline=True)
def _is_dense(frame):
    """Whether neither stride nor dilation leaves anything out: then two rows of y are computed together."""
    return frame.sh == 1 and frame.sw == 1 and frame.dh == 1 and frame.dw == 1


@serial
def _two_rows(rows, w, bias, across, first, ahead, y):
    """Two output rows from four input rows, for stride 1: each new column of four pixels serves both."""
    (r0, r1, r2, r3), (ahead0, ahead1), (upper, lower) = rows, ahead, y
    width, out_width, channels, left, _, _ = across
    w0, w1, w2 = load(w, first), load(w, channels + first), load(w, 2 * channels + first)
    w3, w4, w5 = load(w, 3 * channels + first), load(w, 4 * channels + first), load(w, 5 * channels + first)
    w6, w7, w8 = load(w, 6 * channels + first), load(w, 7 * channels + first), load(w, 8 * channels + first)
    bias_ = load(bias, first)
    q = -left
    at, present = q * channels + first, 0 <= q < width
    a0, a1 = load_if(present, r0, at), load_if(present, r1, at)
    a2, a3 = load_if(present, r2, at), load_if(present, r3, at)
    at, present = at + channels, 0 <= q + 1 < width
    b0, b1 = load_if(present, r0, at), load_if(present, r1, at)
    b2, b3 = load_if(present, r2, at), load_if(present, r3, at)
    to = first
    for _ in range(out_width):
        at, present = at + channels, 0 <= q + 2 < width
        c0, c1 = load_if(present, r0, at), load_if(present, r1, at)
        c2, c3 = load_if(present, r2, at), load_if(present, r3, at)
        prefetch(ahead0, to)
        prefetch(ahead1, to)
        prefetch(upper, to + 2 * out_width * channels)
        prefetch(upper, to + 3 * out_width * channels)
        s, t = multiply_add(w0, a0, bias_), multiply_add(w0, a1, bias_)
        s, t = multiply_add(w1, b0, s), multiply_add(w1, b1, t)
        s, t = multiply_add(w2, c0, s), multiply_add(w2, c1, t)
        s, t = multiply_add(w3, a1, s), multiply_add(w3, a2, t)
        s, t = multiply_add(w4, b1, s), multiply_add(w4, b2, t)
        s, t = multiply_add(w5, c1, s), multiply_add(w5, c2, t)
        s, t = multiply_add(w6, a2, s), multiply_add(w6, a3, t)
        s, t = multiply_add(w7, b2, s), multiply_add(w7, b3, t)
        s, t = multiply_add(w8, c2, s), multiply_add(w8, c3, t)
        store(upper, to, s)
        store(lower, to, t)
        a0, a1, a2, a3 = b0, b1, b2, b3
        b0, b1, b2, b3 = c0, c1, c2, c3
        q += 1
        to += channels


@serial
def _one_row(rows, w, bias, across, first, ahead, y):
    """One output row from three input rows, for any stride and dilation across."""
    (r0, r1, r2, _), (ahead0, ahead1) = rows, ahead
    width, out_width, channels, left, stride, dilation = across
    w0, w1, w2 = load(w, first), load(w, channels + first), load(w, 2 * channels + first)
    w3, w4, w5 = load(w, 3 * channels + first), load(w, 4 * channels + first), load(w, 5 * channels + first)
    w6, w7, w8 = load(w, 6 * channels + first), load(w, 7 * channels + first), load(w, 8 * channels + first)
    bias_ = load(bias, first)
    q, step = -left, dilation * channels
    at, present = q * channels + first, 0 <= q < width
    c0, c1, c2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
    shared = stride == 2 * dilation  # the third column of a window is the first of the next
    to = first
    for _ in range(out_width):
        a0, a1, a2 = c0, c1, c2
        at = q * channels + first
        if not shared:
            present = 0 <= q < width
            a0, a1, a2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        prefetch(ahead0, at)
        prefetch(ahead1, at)
        at, present = at + step, 0 <= q + dilation < width
        prefetch(ahead0, at)
        prefetch(ahead1, at)
        b0, b1, b2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        at, present = at + step, 0 <= q + 2 * dilation < width
        c0, c1, c2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        s = multiply_add(w2, c0, multiply_add(w1, b0, multiply_add(w0, a0, bias_)))
        s = multiply_add(w5, c1, multiply_add(w4, b1, multiply_add(w3, a1, s)))
        s = multiply_add(w8, c2, multiply_add(w7, b2, multiply_add(w6, a2, s)))
        prefetch(y, to + out_width * channels)
        store(y, to, s)
        q += stride
        to += channels


@serial
def correlate(image, w, bias, frame, y):
    """y (OH, OW, C) from an image (H, W, C), weights w (9, C) and bias (C,)."""
    _, width, channels = image.shape
    out_height, out_width = y.shape[:2]
    size, row, few = width * channels, out_width * channels, channels < LANES
    pairs, across = _is_dense(frame), Across(width, out_width, channels, frame.left, frame.sw, frame.dw)

    spare = np.empty(2 * size + 10 * channels + 2 * row + 7 * LANES, y.dtype)  # unused, it costs nothing
    rows, beside = _rows(image, spare), pointer(spare, 2 * size + 3 * LANES)
    weights, biases, out = pointer(w, 0), pointer(bias, 0), pointer(y, 0)
    if few:
        weights = _with_room(weights, 9 * channels, advance(beside, 2 * (row + LANES)))
        biases = _with_room(biases, channels, advance(weights, 9 * channels + LANES))

    for i in range(0, out_height, 2 if pairs else 1):
        p, dh = i * frame.sh - frame.top, frame.dh
        window = _row(rows, p), _row(rows, p + dh), _row(rows, p + 2 * dh), _row(rows, p + 3)
        more = p + 4 if pairs else p + frame.sh + dh
        ahead = advance(rows[0], more * size), advance(rows[0], (more + dh) * size)
        both = pairs and i + 1 < out_height
        upper = beside if few else advance(out, i * row)
        lower = advance(out, (i + 1) * row) if both and not few else advance(beside, row + LANES)
        for c in range(0, channels, LANES):
            first = max(0, min(c, channels - LANES))
            if pairs:
                _two_rows(window, weights, biases, across, first, ahead, (upper, lower))
            else:
                _one_row(window, weights, biases, across, first, ahead, upper)
        if few:
            copy(upper, advance(out, i * row), row)
            copy(lower, advance(out, (i + 1) * row), row if both else 0)
    keep_alive(spare)


@serial
def _transposed_row(rows, w, u, across, first, ahead, dx):
    """A row of dx for stride 2, from the one or two rows of dy that reach it: taps u of `below`, u + 2 of `above`."""
    above, below = rows
    width, out_width, channels, left, _, _ = across
    at = 3 * u * channels + first
    w0, w1, w2 = load(w, at), load(w, at + channels), load(w, at + 2 * channels)
    two, at = u == 0, 6 * channels + first
    v0, v1, v2 = load_if(two, w, at), load_if(two, w, at + channels), load_if(two, w, at + 2 * channels)
    nothing, a0, b0 = zeros(w), zeros(w), zeros(w)
    at, q = first, -left
    for k in range(width + 1):  # pixel k of dy reaches columns 2k, 2k + 1 and 2k + 2
        a1, b1 = load_if(k < width, above, at), load_if(k < width, below, at)
        even = multiply_add(w0, b1, multiply_add(w2, b0, multiply_add(v0, a1, multiply_add(v2, a0, nothing))))
        odd = multiply_add(w1, b1, multiply_add(v1, a1, nothing))
        prefetch(ahead, q * channels + first)
        prefetch(ahead, (q + 1) * channels + first)
        if 0 <= q < out_width:
            store(dx, q * channels + first, even)
        if 0 <= q + 1 < out_width:
            store(dx, (q + 1) * channels + first, odd)
        a0, b0 = a1, b1
        at += channels
        q += 2


@serial
def correlate_transposed(dy, w, frame, dx):
    """dx (H, W, C) from dy (OH, OW, C) for stride 2 and dilation 1: the transpose of :func:`correlate`.

    Row p of the padded input meets row i of dy where p = 2i + u: an even one with u = 0 and u = 2, an odd one with
    u = 1.
    """
    _, width, channels = dy.shape
    size, row, few = width * channels, dx.shape[1] * channels, channels < LANES
    across = Across(width, dx.shape[1], channels, frame.left, 2, 1)
    reached = max(0, min(dx.shape[1], 2 * width + 1 - frame.left)) * channels

    spare = np.empty(2 * size + 9 * channels + row + 5 * LANES, dx.dtype)
    rows, beside = _rows(dy, spare), pointer(spare, 2 * size + 3 * LANES)
    weights, out = pointer(w, 0), pointer(dx, 0)
    if few:
        weights = _with_room(weights, 9 * channels, advance(beside, row + LANES))

    for i in range(dx.shape[0]):
        p = i + frame.top
        below, above = _row(rows, p // 2), _row(rows, p // 2 - 1 if p % 2 == 0 else -1)
        target = beside if few else advance(out, i * row)
        ahead = advance(out, (i + 1) * row)
        for c in range(0, channels, LANES):
            first = max(0, min(c, channels - LANES))
            _transposed_row((above, below), weights, p % 2, across, first, ahead, target)
        if few:
            copy(beside, advance(out, i * row), reached)
        clear(advance(out, i * row + reached), row - reached)  # columns that no window has read
    keep_alive(spare)


@serial
def _weights_of_two_rows(rows, rows_of_dy, across, first, ahead, total):
    """Add two rows of dy to the nine sums, for stride 1: each column of four pixels meets three columns of dy."""
    (r0, r1, r2, r3), (g0, g1), (ahead_of_x, _, ahead_of_dy) = rows, rows_of_dy, ahead
    width, out_width, channels, left, _, _ = across
    t0, t1, t2, t3 = load(total, 0), load(total, LANES), load(total, 2 * LANES), load(total, 3 * LANES)
    t4, t5, t6 = load(total, 4 * LANES), load(total, 5 * LANES), load(total, 6 * LANES)
    t7, t8 = load(total, 7 * LANES), load(total, 8 * LANES)
    j = left - 2  # tap v meets column q of the image where j = q + left - v
    at, present = j * channels + first, 0 <= j < out_width
    b0, b1 = load_if(present, g0, at), load_if(present, g1, at)
    at, present = at + channels, 0 <= j + 1 < out_width
    c0, c1 = load_if(present, g0, at), load_if(present, g1, at)
    q = first
    for _ in range(width):
        at, present = at + channels, 0 <= j + 2 < out_width
        a0, a1, b0, b1 = b0, b1, c0, c1
        c0, c1 = load_if(present, g0, at), load_if(present, g1, at)
        prefetch(ahead_of_x, q)
        prefetch(ahead_of_dy, q)
        x0, x1, x2, x3 = load(r0, q), load(r1, q), load(r2, q), load(r3, q)
        t0, t1, t2 = multiply_add(c0, x0, t0), multiply_add(b0, x0, t1), multiply_add(a0, x0, t2)
        t3, t4, t5 = multiply_add(c0, x1, t3), multiply_add(b0, x1, t4), multiply_add(a0, x1, t5)
        t6, t7, t8 = multiply_add(c0, x2, t6), multiply_add(b0, x2, t7), multiply_add(a0, x2, t8)
        t0, t1, t2 = multiply_add(c1, x1, t0), multiply_add(b1, x1, t1), multiply_add(a1, x1, t2)
        t3, t4, t5 = multiply_add(c1, x2, t3), multiply_add(b1, x2, t4), multiply_add(a1, x2, t5)
        t6, t7, t8 = multiply_add(c1, x3, t6), multiply_add(b1, x3, t7), multiply_add(a1, x3, t8)
        j += 1
        q += channels
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
def _weights_of_row(rows, row_of_dy, across, first, ahead, total):
    """Add one row of dy to the nine sums, for any stride and dilation across."""
    (r0, r1, r2, _), (ahead0, ahead1, ahead_of_dy) = rows, ahead
    width, out_width, channels, left, stride, dilation = across
    t0, t1, t2, t3 = load(total, 0), load(total, LANES), load(total, 2 * LANES), load(total, 3 * LANES)
    t4, t5, t6 = load(total, 4 * LANES), load(total, 5 * LANES), load(total, 6 * LANES)
    t7, t8 = load(total, 7 * LANES), load(total, 8 * LANES)
    q, step = -left, dilation * channels
    at, present = q * channels + first, 0 <= q < width
    c0, c1, c2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
    shared = stride == 2 * dilation
    j = first
    for _ in range(out_width):
        a0, a1, a2 = c0, c1, c2
        at = q * channels + first
        if not shared:
            present = 0 <= q < width
            a0, a1, a2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        prefetch(ahead0, at)
        prefetch(ahead1, at)
        prefetch(ahead_of_dy, j)
        at, present = at + step, 0 <= q + dilation < width
        prefetch(ahead0, at)
        prefetch(ahead1, at)
        b0, b1, b2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        at, present = at + step, 0 <= q + 2 * dilation < width
        c0, c1, c2 = load_if(present, r0, at), load_if(present, r1, at), load_if(present, r2, at)
        g = load(row_of_dy, j)
        t0, t1, t2 = multiply_add(g, a0, t0), multiply_add(g, b0, t1), multiply_add(g, c0, t2)
        t3, t4, t5 = multiply_add(g, a1, t3), multiply_add(g, b1, t4), multiply_add(g, c1, t5)
        t6, t7, t8 = multiply_add(g, a2, t6), multiply_add(g, b2, t7), multiply_add(g, c2, t8)
        q += stride
        j += channels
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
def correlate_weights(images, dy, frame, dw):
    """dw (9, C) from images (N, H, W, C) and dy (N, OH, OW, C)."""
    count, _, width, channels = images.shape
    out_height, out_width = dy.shape[1:3]
    size, row = width * channels, out_width * channels
    pairs, across = _is_dense(frame), Across(width, out_width, channels, frame.left, frame.sw, frame.dw)
    spare, spare_of_dy = np.empty(2 * size + 3 * LANES, dw.dtype), np.empty(2 * row + 3 * LANES, dw.dtype)
    vectors = (channels + LANES - 1) // LANES  # where two overlap, each has sums of its own
    sums = np.zeros((vectors, 9, LANES), dw.dtype)
    total = pointer(sums, 0)
    for n in range(count):
        rows, rows_of_dy = _rows(images[n], spare), _rows(dy[n], spare_of_dy)
        for i in range(0, out_height, 2 if pairs else 1):
            p, dh = i * frame.sh - frame.top, frame.dh
            window = _row(rows, p), _row(rows, p + dh), _row(rows, p + 2 * dh), _row(rows, p + 3)
            g0, g1 = _row(rows_of_dy, i), _row(rows_of_dy, i + 1)
            more = p + 4 if pairs else p + frame.sh + dh
            ahead = (
                advance(rows[0], more * size),
                advance(rows[0], (more + dh) * size),
                advance(rows_of_dy[0], (i + (2 if pairs else 1)) * row),
            )
            for k in range(vectors):
                first, nine = max(0, min(k * LANES, channels - LANES)), advance(total, k * 9 * LANES)
                if pairs:
                    _weights_of_two_rows(window, (g0, g1), across, first, ahead, nine)
                else:
                    _weights_of_row(window, g0, across, first, ahead, nine)
    out = pointer(dw, 0)
    for k in range(vectors):
        first = max(0, min(k * LANES, channels - LANES))
        for tap in range(9):
            sums_of_tap = advance(total, (k * 9 + tap) * LANES)
            copy(sums_of_tap, advance(out, tap * channels + first), min(channels, LANES))
    keep_alive(spare)
    keep_alive(spare_of_dy)
    keep_alive(sums)
