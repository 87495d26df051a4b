"""Depthwise 3×3 on one channels-last image, sixteen channels at a time.

For each block of sixteen channels the nine weights lie in registers and a window slides along a row: of its three
columns it keeps what the next pixel needs. The last block starts at C - 16 and may overlap the one before; it computes
the same numbers again, so every C from 16 up will do.

Nothing is copied to make a border: a row above or below the image is a row of zeros, a column beside it is zeros
in a register.

Names: an image is (H, W, C); r0, r1, r2 point to the three rows of a window, a, b, c are its columns (a0 is the
pixel of column a in row r0), w0 … w8 the taps, c the first of the sixteen channels.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels._jit import serial
from npdsconv.kernels.lanes import LANES, fetch, load, load_if, multiply_add, pointer, store, zeros


@serial(inline=True)
def _row(image, p, beyond):
    """Where row p of the image begins; rows outside are `beyond`, a row of zeros."""
    if 0 <= p < image.shape[0]:
        return pointer(image, p * image.shape[1] * image.shape[2])
    return pointer(beyond, 0)


@serial
def _two_rows(r0, r1, r2, r3, width, w, bias, left, channels, first, out_width, upper, lower, ahead0, ahead1):
    """Two output rows from four input rows, for stride 1: each new column of four pixels serves both."""
    w0, w1, w2 = load(w, first), load(w, channels + first), load(w, 2 * channels + first)
    w3, w4, w5 = load(w, 3 * channels + first), load(w, 4 * channels + first), load(w, 5 * channels + first)
    w6, w7, w8 = load(w, 6 * channels + first), load(w, 7 * channels + first), load(w, 8 * channels + first)
    bias_ = load(bias, first)
    q = -left
    at, inside = q * channels + first, 0 <= q < width
    a0, a1 = load_if(inside, r0, at), load_if(inside, r1, at)
    a2, a3 = load_if(inside, r2, at), load_if(inside, r3, at)
    at, inside = at + channels, 0 <= q + 1 < width
    b0, b1 = load_if(inside, r0, at), load_if(inside, r1, at)
    b2, b3 = load_if(inside, r2, at), load_if(inside, r3, at)
    to = first
    for _ in range(out_width):
        at, inside = at + channels, 0 <= q + 2 < width
        c0, c1 = load_if(inside, r0, at), load_if(inside, r1, at)
        c2, c3 = load_if(inside, r2, at), load_if(inside, r3, at)
        fetch(ahead0, to)
        fetch(ahead1, to)
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
def _one_row(r0, r1, r2, width, w, bias, left, stride, dilation, channels, first, out_width, out):
    """One output row from three input rows, for any stride and dilation across."""
    w0, w1, w2 = load(w, first), load(w, channels + first), load(w, 2 * channels + first)
    w3, w4, w5 = load(w, 3 * channels + first), load(w, 4 * channels + first), load(w, 5 * channels + first)
    w6, w7, w8 = load(w, 6 * channels + first), load(w, 7 * channels + first), load(w, 8 * channels + first)
    bias_ = load(bias, first)
    q, step = -left, dilation * channels
    at, inside = q * channels + first, 0 <= q < width
    c0, c1, c2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
    shared = stride == 2 * dilation  # the third column of a window is the first of the next
    to = first
    for _ in range(out_width):
        a0, a1, a2 = c0, c1, c2
        at = q * channels + first
        if not shared:
            inside = 0 <= q < width
            a0, a1, a2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
        at, inside = at + step, 0 <= q + dilation < width
        b0, b1, b2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
        at, inside = at + step, 0 <= q + 2 * dilation < width
        c0, c1, c2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
        s = multiply_add(w2, c0, multiply_add(w1, b0, multiply_add(w0, a0, bias_)))
        s = multiply_add(w5, c1, multiply_add(w4, b1, multiply_add(w3, a1, s)))
        s = multiply_add(w8, c2, multiply_add(w7, b2, multiply_add(w6, a2, s)))
        store(out, to, s)
        q += stride
        to += channels


@serial
def correlate(image, w, bias, corner, stride, dilation, y):
    """y (OH, OW, C) from an image (H, W, C), taps w (9, C) and bias (C,)."""
    (top, left), (sh, sw), (dh, dw) = corner, stride, dilation
    width, channels = image.shape[1:]
    beyond = np.zeros(width * channels, y.dtype)
    pairs = sh == 1 and sw == 1 and dh == 1 and dw == 1
    out_height, out_width = y.shape[:2]
    unused = np.empty((out_width if pairs else 0) * channels, y.dtype)
    weights, biases, row = pointer(w, 0), pointer(bias, 0), out_width * channels
    for i in range(0, out_height, 2 if pairs else 1):
        p = i * sh - top
        r0, r1 = _row(image, p, beyond), _row(image, p + dh, beyond)
        r2, r3 = _row(image, p + 2 * dh, beyond), _row(image, p + 3, beyond)
        ahead0, ahead1 = _row(image, p + 4, beyond), _row(image, p + 5, beyond)
        upper, lower = pointer(y, i * row), pointer(unused, 0)
        if i + 1 < out_height:
            lower = pointer(y, (i + 1) * row)
        for block in range(0, channels, LANES):
            c = min(block, channels - LANES)
            if pairs:
                _two_rows(
                    r0,
                    r1,
                    r2,
                    r3,
                    width,
                    weights,
                    biases,
                    left,
                    channels,
                    c,
                    out_width,
                    upper,
                    lower,
                    ahead0,
                    ahead1,
                )
            else:
                _one_row(r0, r1, r2, width, weights, biases, left, sw, dw, channels, c, out_width, upper)


@serial
def _spread_row(above, below, width, w, u, left, channels, c, out_width, out):
    """One row of dx for stride 2, from the one or two rows of dy that reach it: taps u of `below`, u + 2 of `above`."""
    at = 3 * u * channels + c
    w0, w1, w2 = load(w, at), load(w, at + channels), load(w, at + 2 * channels)
    two, at = u == 0, 6 * channels + c
    v0, v1, v2 = load_if(two, w, at), load_if(two, w, at + channels), load_if(two, w, at + 2 * channels)
    nothing, a0, b0 = zeros(w), zeros(w), zeros(w)
    at, q = c, -left
    for k in range(width + 1):  # pixel k of dy reaches columns 2k, 2k + 1 and 2k + 2
        a1, b1 = load_if(k < width, above, at), load_if(k < width, below, at)
        even = multiply_add(w0, b1, multiply_add(w2, b0, multiply_add(v0, a1, multiply_add(v2, a0, nothing))))
        odd = multiply_add(w1, b1, multiply_add(v1, a1, nothing))
        if 0 <= q < out_width:
            store(out, q * channels + c, even)
        if 0 <= q + 1 < out_width:
            store(out, (q + 1) * channels + c, odd)
        a0, b0 = a1, b1
        at += channels
        q += 2


@serial
def spread(dy, w, corner, dx):
    """dx (H, W, C) from dy (OH, OW, C) for stride 2 and dilation 1: the transpose of :func:`correlate`.

    Row p of the padded input meets row i of dy where p = 2i + u: an even one with u = 0 and u = 2, an odd one with
    u = 1.
    """
    top, left = corner
    width, channels = dy.shape[1:]
    beyond = np.zeros(width * channels, dx.dtype)
    weights = pointer(w, 0)
    dx[:, max(0, 2 * width + 1 - left) :] = 0  # columns that no window has read
    for row in range(dx.shape[0]):
        p = row + top
        below, above = _row(dy, p // 2, beyond), _row(dy, p // 2 - 1, beyond)
        out = pointer(dx, row * dx.shape[1] * channels)
        for block in range(0, channels, LANES):
            c = min(block, channels - LANES)
            _spread_row(above, below, width, weights, p % 2, left, channels, c, dx.shape[1], out)


@serial
def _weights_of_block(images, slopes, beyond, corner, stride, dilation, first, total):
    """The nine sums of sixteen channels over some images: total[tap, :] = Σ slope · what the tap has read."""
    (top, left), (sh, sw), (dh, dw) = corner, stride, dilation
    width, channels = images.shape[2:]
    out_height, out_width = slopes.shape[1:3]
    t0, t1, t2 = zeros(total), zeros(total), zeros(total)
    t3, t4, t5 = zeros(total), zeros(total), zeros(total)
    t6, t7, t8 = zeros(total), zeros(total), zeros(total)
    slides, skips = dw == 1 and sw == 1, sw == 2 * dw
    step = dw * channels
    for n in range(images.shape[0]):
        image = images[n]
        for i in range(out_height):
            p, q = i * sh - top, -left
            r0, r1, r2 = _row(image, p, beyond), _row(image, p + dh, beyond), _row(image, p + 2 * dh, beyond)
            slope = pointer(slopes, (n * out_height + i) * out_width * channels + first)
            at, inside = q * channels + first, 0 <= q < width
            b0, b1, b2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
            inside = slides and 0 <= q + 1 < width
            at += channels
            c0, c1, c2 = b0, b1, b2
            if slides:
                c0, c1, c2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
            for j in range(out_width):
                a0, a1, a2 = c0, c1, c2
                at = q * channels + first
                if slides:
                    a0, a1, a2, b0, b1, b2 = b0, b1, b2, c0, c1, c2
                else:
                    if not skips:
                        inside = 0 <= q < width
                        a0, a1, a2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
                    inside = 0 <= q + dw < width
                    b = at + step
                    b0, b1, b2 = load_if(inside, r0, b), load_if(inside, r1, b), load_if(inside, r2, b)
                at, inside = at + 2 * step, 0 <= q + 2 * dw < width
                c0, c1, c2 = load_if(inside, r0, at), load_if(inside, r1, at), load_if(inside, r2, at)
                g = load(slope, j * channels)
                t0, t1, t2 = multiply_add(g, a0, t0), multiply_add(g, b0, t1), multiply_add(g, c0, t2)
                t3, t4, t5 = multiply_add(g, a1, t3), multiply_add(g, b1, t4), multiply_add(g, c1, t5)
                t6, t7, t8 = multiply_add(g, a2, t6), multiply_add(g, b2, t7), multiply_add(g, c2, t8)
                q += sw
    store(total, first, t0)
    store(total, channels + first, t1)
    store(total, 2 * channels + first, t2)
    store(total, 3 * channels + first, t3)
    store(total, 4 * channels + first, t4)
    store(total, 5 * channels + first, t5)
    store(total, 6 * channels + first, t6)
    store(total, 7 * channels + first, t7)
    store(total, 8 * channels + first, t8)


@serial
def correlate_weights(images, slopes, corner, stride, dilation, dw):
    """dw (9, C) from images (N, H, W, C) and dy (N, OH, OW, C)."""
    width, channels = images.shape[2:]
    beyond = np.zeros(width * channels, dw.dtype)
    for block in range(0, channels, LANES):
        first = min(block, channels - LANES)
        _weights_of_block(images, slopes, beyond, corner, stride, dilation, first, pointer(dw, 0))
