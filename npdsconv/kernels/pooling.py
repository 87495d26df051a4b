"""Max, average and global average pooling on channels-last memory.

Optimizations: sixteen channels at a time, in registers (:mod:`lanes`), and no number takes a branch of its own: a
comparison chooses between two registers. Where the taps of a window lie is listed in NumPy, once for all windows that
the border cuts in the same way: one short loop for every kernel size. Backward of max pooling finds the largest again
and hands the gradient to the first pixel that equals it. Where no two windows overlap, dx is written once and need not
be cleared first. The sum of a whole image is taken four pixels at a time.

The last vector of channels starts at C - 16 and may overlap the one before. That does no harm to what is stored, but
what is added to dx must be added once: `drop_first` takes it out. Fewer than sixteen channels are computed one by one.

Names: all arrays are flat rows of numbers, `at` and `to` are places in them; x stands for an image, and `place` in the
loops for the first pixel of a window.
"""

# mypy: disable-error-code="no-untyped-def"
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.compare import drop_first, maximum, scale, where_best, where_not_best
from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import LANES, add, load, load_one, pointer, store, zeros
from npdsconv.shapes import Array, Window

ROWS_OF_SUM = 256  # rows of numbers whose sum is taken on its own: long sums lose digits


# ---- in NumPy: where the windows lie ----------------------------------------------------------------------------


class Windows(NamedTuple):
    """The windows over one image, cut to it; all places are counted in numbers, from the image's first."""

    rows: Array  # (OH, 2): where the first row of a window begins, and how many rows it has
    columns: (
        Array  # (OW, 3): where the first column lies, how many there are, and which row of `taps` is theirs
    )
    taps: Array  # (kinds, KH·KW): how far each tap lies behind the first one, row by row
    channels: int
    size: int  # numbers of the image


@lru_cache(maxsize=64)  # a network asks for the same few again and again
def _windows(shape: tuple[int, ...], window: Window) -> Windows:
    """Over an image of shape (C, H, W)."""
    channels, height, width = shape
    first_row, rows = _cut(height, window, 0)
    first_column, columns = _cut(width, window, 1)
    kinds, kind = np.unique(columns, return_inverse=True)
    (kh, kw), (dh, dw) = window.kernel, window.dilation
    taps = np.zeros((len(kinds), kh * kw), np.int64)
    for of_kind, count in zip(taps, kinds, strict=True):
        down, across = np.arange(kh) * dh * width * channels, np.arange(count) * dw * channels
        of_kind[: kh * count] = np.add.outer(down, across).reshape(-1)
    return Windows(
        np.stack([first_row * width * channels, rows], axis=1),
        np.stack([first_column * channels, columns, kind], axis=1),
        taps,
        channels,
        height * width * channels,
    )


def _cut(size: int, window: Window, axis: int) -> tuple[Array, Array]:
    """Along one axis, for each window: the first pixel on the image, and how many of the taps are."""
    step, taps = window.dilation[axis], window.kernel[axis]
    start = np.arange(window.output[axis]) * window.stride[axis] - window.padding[axis][0]
    first = np.where(start < 0, (step - 1 - start) // step, 0)
    last = np.minimum(taps, (size - start + step - 1) // step)
    return start + first * step, last - first


# ---- what ops call ----------------------------------------------------------------------------------------------


def max_forward(x: Array, window: Window) -> Array:
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    _max_forward(layout.flat(x), len(x), _windows(x.shape[1:], window), y.reshape(-1))
    return layout.nchw(y)


def max_backward(dy: Array, x: Array, window: Window) -> Array:
    dx, overlap = _empty_gradient(x.shape, dy, window)
    windows = _windows(x.shape[1:], window)
    _max_backward(layout.flat(dy), layout.flat(x), len(x), windows, overlap, dx.reshape(-1))
    return layout.nchw(dx)


def average_forward(x: Array, window: Window, share: Array) -> Array:
    """`share` (OH, OW) is what each window's sum is multiplied with."""
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    windows = _windows(x.shape[1:], window)
    _average_forward(layout.flat(x), layout.readonly(share), len(x), windows, y.reshape(-1))
    return layout.nchw(y)


def average_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    dx, overlap = _empty_gradient(shape, dy, window)
    windows = _windows(shape[1:], window)
    _average_backward(layout.flat(dy), layout.readonly(share), len(dy), windows, overlap, dx.reshape(-1))
    return layout.nchw(dx)


def global_forward(x: Array) -> Array:
    n, c, h, w = x.shape
    y = np.empty((n, c), x.dtype)
    _global_forward(layout.nhwc(x).reshape(n, h * w, c), y)
    return y.reshape(n, c, 1, 1)


def global_backward(share: Array, shape: tuple[int, ...]) -> Array:
    """An image of `shape` whose every pixel is `share` (N, C, 1, 1)."""
    n, c, h, w = shape
    dx = np.empty((n, h * w, c), share.dtype)
    _global_backward(layout.readonly(share.reshape(n, c)), dx)
    return layout.nchw(dx.reshape(n, h, w, c))


def _empty_gradient(shape: tuple[int, ...], dy: Array, window: Window) -> tuple[Array, bool]:
    """Memory for dx, zero wherever no window reads, and whether two windows may read one pixel."""
    n, c, h, w = shape
    overlap = any(s < span for s, span in zip(window.stride, window.span, strict=True))
    if overlap or window.stride != window.span or window.span != window.kernel:
        return np.zeros((n, h, w, c), dy.dtype), overlap
    dx = np.empty((n, h, w, c), dy.dtype)  # windows side by side: only the far edges may be left over
    rows, columns = (
        out * s - before
        for out, s, (before, _) in zip(window.output, window.stride, window.padding, strict=True)
    )
    dx[:, rows:] = 0
    dx[:, :, columns:] = 0
    return dx, overlap


# ---- the largest ----------------------------------------------------------------------------------------------


@serial(inline=True)
def _largest(x, first, behind, count):
    """Of the taps of a window, in one channel; a NaN is larger than all numbers."""
    largest = load_one(x, first)
    for k in range(1, count):
        pixel = load_one(x, first + load_one(behind, k))
        largest = pixel if pixel > largest or pixel != pixel else largest
    return largest


@serial
def _max_of_image(x, at, windows, y, to):
    rows, columns, taps, channels, _ = windows
    source, target = pointer(x, 0), pointer(y, 0)
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            place, count = at + rows[i, 0] + columns[j, 0], rows[i, 1] * columns[j, 1]
            behind = pointer(taps, columns[j, 2] * taps.shape[1])
            if channels >= LANES:
                for start in range(0, channels, LANES):
                    first = place + min(start, channels - LANES)
                    best = load(source, first)
                    for k in range(1, count):
                        best = maximum(load(source, first + load_one(behind, k)), best)
                    store(target, to + min(start, channels - LANES), best)
            else:
                for c in range(channels):
                    y[to + c] = _largest(source, place + c, behind, count)
            to += channels


@serial
def _max_gradient_of_image(dy, at_dy, x, at, windows, overlap, dx):
    rows, columns, taps, channels, _ = windows
    of_dy, source, target, zero = pointer(dy, 0), pointer(x, 0), pointer(dx, 0), dx.dtype.type(0)
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            place, count = at + rows[i, 0] + columns[j, 0], rows[i, 1] * columns[j, 1]
            behind = pointer(taps, columns[j, 2] * taps.shape[1])
            if channels >= LANES:
                for start in range(0, channels, LANES):
                    c = min(start, channels - LANES)
                    first = place + c
                    best = load(source, first)
                    for k in range(1, count):
                        best = maximum(load(source, first + load_one(behind, k)), best)
                    left_over = load(of_dy, at_dy + c)
                    if overlap:
                        left_over = drop_first(start - c, left_over)  # what the vector before has added
                    for k in range(count):
                        tap = first + load_one(behind, k)
                        pixel = load(source, tap)
                        share = where_best(pixel, best, left_over)
                        if overlap:
                            share = add(load(target, tap), share)
                        store(target, tap, share)
                        left_over = where_not_best(pixel, best, left_over)
            else:
                for c in range(channels):
                    largest, left_over = _largest(source, place + c, behind, count), dy[at_dy + c]
                    for k in range(count):
                        tap = place + c + load_one(behind, k)
                        wins = x[tap] == largest or x[tap] != x[tap]
                        share = left_over if wins else zero
                        dx[tap] = dx[tap] + share if overlap else share
                        left_over = zero if wins else left_over
            at_dy += channels


@kernel
def _max_forward(x, images, windows, y):
    outputs = windows.rows.shape[0] * windows.columns.shape[0] * windows.channels
    for n in prange(images):
        _max_of_image(x, n * windows.size, windows, y, n * outputs)


@kernel
def _max_backward(dy, x, images, windows, overlap, dx):
    outputs = windows.rows.shape[0] * windows.columns.shape[0] * windows.channels
    for n in prange(images):
        _max_gradient_of_image(dy, n * outputs, x, n * windows.size, windows, overlap, dx)


# ---- the mean -------------------------------------------------------------------------------------------------


@serial
def _average_of_image(x, at, share, windows, y, to):
    rows, columns, taps, channels, _ = windows
    source, target = pointer(x, 0), pointer(y, 0)
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            place, count = at + rows[i, 0] + columns[j, 0], rows[i, 1] * columns[j, 1]
            behind, factor = pointer(taps, columns[j, 2] * taps.shape[1]), share[i, j]
            if channels >= LANES:
                for start in range(0, channels, LANES):
                    first = place + min(start, channels - LANES)
                    total = load(source, first)
                    for k in range(1, count):
                        total = add(total, load(source, first + load_one(behind, k)))
                    store(target, to + min(start, channels - LANES), scale(total, factor))
            else:
                for c in range(channels):
                    number = x[place + c]
                    for k in range(1, count):
                        number += x[place + c + load_one(behind, k)]
                    y[to + c] = number * factor
            to += channels


@serial
def _average_gradient_of_image(dy, at_dy, share, at, windows, overlap, dx):
    rows, columns, taps, channels, _ = windows
    of_dy, target = pointer(dy, 0), pointer(dx, 0)
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            place, count = at + rows[i, 0] + columns[j, 0], rows[i, 1] * columns[j, 1]
            behind, factor = pointer(taps, columns[j, 2] * taps.shape[1]), share[i, j]
            if channels >= LANES:
                for start in range(0, channels, LANES):
                    c = min(start, channels - LANES)
                    part = scale(load(of_dy, at_dy + c), factor)
                    if overlap:
                        part = drop_first(start - c, part)  # what the vector before has added
                    for k in range(count):
                        tap, total = place + c + load_one(behind, k), part
                        if overlap:
                            total = add(load(target, tap), part)
                        store(target, tap, total)
            else:
                for c in range(channels):
                    number = dy[at_dy + c] * factor
                    for k in range(count):
                        tap = place + c + load_one(behind, k)
                        dx[tap] = dx[tap] + number if overlap else number
            at_dy += channels


@kernel
def _average_forward(x, share, images, windows, y):
    outputs = windows.rows.shape[0] * windows.columns.shape[0] * windows.channels
    for n in prange(images):
        _average_of_image(x, n * windows.size, share, windows, y, n * outputs)


@kernel
def _average_backward(dy, share, images, windows, overlap, dx):
    outputs = windows.rows.shape[0] * windows.columns.shape[0] * windows.channels
    for n in prange(images):
        _average_gradient_of_image(dy, n * outputs, share, n * windows.size, windows, overlap, dx)


# ---- the mean of everything -----------------------------------------------------------------------------------


@serial
def _add_rows(x, rows, length, part, total):
    """total += the sum of `rows` rows of `length` numbers, four at a time; each vector of sixteen has its own sums."""
    for start in range(0, length, LANES):
        store(part, start, zeros(part))
    at = 0
    for _ in range(rows // 4):
        for start in range(0, length, LANES):
            a = at + min(start, length - LANES)
            b = add(load(x, a), load(x, a + length))
            c = add(load(x, a + 2 * length), load(x, a + 3 * length))
            store(part, start, add(load(part, start), add(b, c)))
        at += 4 * length
    for _ in range(rows % 4):
        for start in range(0, length, LANES):
            store(part, start, add(load(part, start), load(x, at + min(start, length - LANES))))
        at += length
    for start in range(0, length, LANES):
        store(total, start, add(load(total, start), load(part, start)))


@serial
def _mean_of_image(image, y):
    """The mean of the rows of an image (H·W, C). Where C is small, several pixels count as one row."""
    pixels, channels = image.shape
    together = LANES if channels < LANES else max(1, 128 // channels)
    length, rows = together * channels, pixels // together
    room = (length + LANES - 1) // LANES * LANES
    sums = np.zeros(2 * room, y.dtype)
    total, part = pointer(sums, 0), pointer(sums, room)
    for first in range(0, rows, ROWS_OF_SUM):
        _add_rows(pointer(image, first * length), min(ROWS_OF_SUM, rows - first), length, part, total)
    for start in range(0, length, LANES):  # vectors may overlap: now put their sums where they belong
        store(part, min(start, length - LANES), load(total, start))
    y[:] = 0
    for k in range(rows * together, pixels):
        row = image[k]
        for c in range(channels):
            y[c] += row[c]
    for k in range(together):
        row = sums[room + k * channels : room + (k + 1) * channels]
        for c in range(channels):
            y[c] += row[c]
    for c in range(channels):
        y[c] /= pixels


@kernel
def _global_forward(images, y):
    for n in prange(y.shape[0]):
        _mean_of_image(images[n], y[n])


@kernel
def _global_backward(share, dx):
    pixels, channels = dx.shape[1:]
    for n in prange(dx.shape[0]):
        if channels >= LANES:
            source, to = pointer(share, n * channels), pointer(dx, n * pixels * channels)
            at = 0
            for _ in range(pixels):
                for start in range(0, channels, LANES):
                    c = min(start, channels - LANES)
                    store(to, at + c, load(source, c))
                at += channels
        else:
            for k in range(pixels):
                for c in range(channels):
                    dx[n, k, c] = share[n, c]
