"""Max, average and global average pooling on channels-last memory.

Optimizations: sixteen channels at a time, in registers (lanes.py), and no number takes a branch of its own: a
comparison chooses between two registers. The places of a window's taps are listed once, and the list serves every
window that the border cuts in the same way: one short loop for every kernel size. Backward of max pooling finds the
largest again and hands the gradient to the first pixel that equals it. Where no two windows overlap, dx is written
once and need not be cleared first. The sum of a whole image is taken four pixels at a time.

The last block of channels starts at C - 16 and may overlap the one before. That does no harm to what is stored, but
what is added to dx must be added once: `without` takes it out. Fewer than sixteen channels are computed one by one.

Names: all arrays are flat rows of numbers, `at` and `to` are places in them; a size is (H, W, C), out is (OH, OW).
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels.machine.compare import given, larger, left, times, without
from npdsconv.kernels.machine.jit import kernel, prange, serial
from npdsconv.kernels.machine.lanes import LANES, add, load, pointer, store, zeros
from npdsconv.shapes import Array, Window

ROWS = 256  # rows of numbers whose sum is taken on its own: long sums lose digits


def max_forward(x: Array, window: Window) -> Array:
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    _max_forward(layout.flat(x), y.reshape(-1), len(x), *_geometry(x.shape, window))
    return layout.nchw(y)


def max_backward(dy: Array, x: Array, window: Window) -> Array:
    dx, overlap = _gradient(x.shape, dy, window)
    geometry = _geometry(x.shape, window)
    _max_backward(layout.flat(dy), layout.flat(x), dx.reshape(-1), len(x), *geometry, overlap)
    return layout.nchw(dx)


def average_forward(x: Array, window: Window, share: Array) -> Array:
    """`share` (OH, OW) is what each window's sum is multiplied with."""
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    geometry = _geometry(x.shape, window)
    _average_forward(layout.flat(x), layout.readonly(share), y.reshape(-1), len(x), *geometry)
    return layout.nchw(y)


def average_backward(dy: Array, shape: tuple[int, int, int, int], window: Window, share: Array) -> Array:
    dx, overlap = _gradient(shape, dy, window)
    geometry = _geometry(shape, window)
    _average_backward(layout.flat(dy), layout.readonly(share), dx.reshape(-1), len(dy), *geometry, overlap)
    return layout.nchw(dx)


def global_forward(x: Array) -> Array:
    n, c, h, w = x.shape
    y = np.empty((n, c), x.dtype)
    _global_forward(layout.nhwc(x).reshape(n, h * w, c), y)
    return y.reshape(n, c, 1, 1)


def global_backward(share: Array, shape: tuple[int, int, int, int]) -> Array:
    """An image of `shape` whose every pixel is `share` (N, C, 1, 1)."""
    n, c, h, w = shape
    dx = np.empty((n, h * w, c), share.dtype)
    _global_backward(layout.readonly(share.reshape(n, c)), dx)
    return layout.nchw(dx.reshape(n, h, w, c))


def _geometry(shape: tuple[int, int, int, int], window: Window):
    corner = tuple(before for before, _ in window.padding)
    size = (*shape[2:], shape[1])
    return size, window.output, window.kernel, window.stride, corner, window.dilation


def _gradient(shape: tuple[int, int, int, int], dy: Array, window: Window) -> tuple[Array, bool]:
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


# ---- the taps of a window -------------------------------------------------------------------------------------


@serial(inline=True)
def _inside(start, step, taps, size):
    """The first tap on the image, and how many there are, of `taps` places from `start` on."""
    first, last = 0, taps
    if start < 0:
        first = (step - 1 - start) // step
    if start + (taps - 1) * step >= size:
        last = (size - start + step - 1) // step
    return first, last - first


@serial
def _list_taps(rows, columns, down, across, taps):
    """How far the taps of a window lie behind its first one, row by row."""
    k = 0
    for u in range(rows):
        for v in range(columns):
            taps[k] = u * down + v * across
            k += 1


# ---- the largest ----------------------------------------------------------------------------------------------


@serial
def _max_of_image(x, at, y, to, size, out, kernel, stride, corner, dilation):
    height, width, channels = size
    taps, known = np.empty(kernel[0] * kernel[1], np.int64), (0, 0)
    source, target = pointer(x, 0), pointer(y, 0)
    for i in range(out[0]):
        p = i * stride[0] - corner[0]
        u, rows = _inside(p, dilation[0], kernel[0], height)
        for j in range(out[1]):
            q = j * stride[1] - corner[1]
            v, columns = _inside(q, dilation[1], kernel[1], width)
            if known != (rows, columns):
                known = rows, columns
                _list_taps(rows, columns, dilation[0] * width * channels, dilation[1] * channels, taps)
            first = at + ((p + u * dilation[0]) * width + q + v * dilation[1]) * channels
            if channels >= LANES:
                for block in range(0, channels, LANES):
                    c = min(block, channels - LANES)
                    best = load(source, first + c)
                    for k in range(1, rows * columns):
                        best = larger(load(source, first + c + taps[k]), best)
                    store(target, to + c, best)
            else:
                for c in range(channels):
                    largest = x[first + c]
                    for k in range(1, rows * columns):
                        pixel = x[first + c + taps[k]]
                        largest = pixel if pixel > largest or pixel != pixel else largest
                    y[to + c] = largest
            to += channels


@serial
def _max_gradient_of_image(dy, at_dy, x, dx, at, size, out, kernel, stride, corner, dilation, overlap):
    height, width, channels = size
    taps, known = np.empty(kernel[0] * kernel[1], np.int64), (0, 0)
    slopes, source, target, zero = pointer(dy, 0), pointer(x, 0), pointer(dx, 0), dx.dtype.type(0)
    for i in range(out[0]):
        p = i * stride[0] - corner[0]
        u, rows = _inside(p, dilation[0], kernel[0], height)
        for j in range(out[1]):
            q = j * stride[1] - corner[1]
            v, columns = _inside(q, dilation[1], kernel[1], width)
            if known != (rows, columns):
                known = rows, columns
                _list_taps(rows, columns, dilation[0] * width * channels, dilation[1] * channels, taps)
            first = at + ((p + u * dilation[0]) * width + q + v * dilation[1]) * channels
            if channels >= LANES:
                for block in range(0, channels, LANES):
                    c = min(block, channels - LANES)
                    best = load(source, first + c)
                    for k in range(1, rows * columns):
                        best = larger(load(source, first + c + taps[k]), best)
                    slope = load(slopes, at_dy + c)
                    if overlap:
                        slope = without(block - c, slope)  # what the block before has added
                    for k in range(rows * columns):
                        pixel, tap = load(source, first + c + taps[k]), first + c + taps[k]
                        share = given(pixel, best, slope)
                        if overlap:
                            share = add(load(target, tap), share)
                        store(target, tap, share)
                        slope = left(pixel, best, slope)
            else:
                for c in range(channels):
                    largest, slope = x[first + c], dy[at_dy + c]
                    for k in range(1, rows * columns):
                        pixel = x[first + c + taps[k]]
                        largest = pixel if pixel > largest or pixel != pixel else largest
                    for k in range(rows * columns):
                        pixel, tap = x[first + c + taps[k]], first + c + taps[k]
                        wins = pixel == largest or pixel != pixel
                        share = slope if wins else zero
                        dx[tap] = dx[tap] + share if overlap else share
                        slope = zero if wins else slope
            at_dy += channels


@kernel
def _max_forward(x, y, images, size, out, kernel, stride, corner, dilation):
    for n in prange(images):
        at, to = n * size[0] * size[1] * size[2], n * out[0] * out[1] * size[2]
        _max_of_image(x, at, y, to, size, out, kernel, stride, corner, dilation)


@kernel
def _max_backward(dy, x, dx, images, size, out, kernel, stride, corner, dilation, overlap):
    for n in prange(images):
        at_dy, at = n * out[0] * out[1] * size[2], n * size[0] * size[1] * size[2]
        _max_gradient_of_image(dy, at_dy, x, dx, at, size, out, kernel, stride, corner, dilation, overlap)


# ---- the mean -------------------------------------------------------------------------------------------------


@serial
def _average_of_image(x, at, share, y, to, size, out, kernel, stride, corner, dilation):
    height, width, channels = size
    taps, known = np.empty(kernel[0] * kernel[1], np.int64), (0, 0)
    source, target = pointer(x, 0), pointer(y, 0)
    for i in range(out[0]):
        p = i * stride[0] - corner[0]
        u, rows = _inside(p, dilation[0], kernel[0], height)
        for j in range(out[1]):
            q = j * stride[1] - corner[1]
            v, columns = _inside(q, dilation[1], kernel[1], width)
            if known != (rows, columns):
                known = rows, columns
                _list_taps(rows, columns, dilation[0] * width * channels, dilation[1] * channels, taps)
            first = at + ((p + u * dilation[0]) * width + q + v * dilation[1]) * channels
            factor = share[i, j]
            if channels >= LANES:
                for block in range(0, channels, LANES):
                    c = min(block, channels - LANES)
                    total = load(source, first + c)
                    for k in range(1, rows * columns):
                        total = add(total, load(source, first + c + taps[k]))
                    store(target, to + c, times(total, factor))
            else:
                for c in range(channels):
                    number = x[first + c]
                    for k in range(1, rows * columns):
                        number += x[first + c + taps[k]]
                    y[to + c] = number * factor
            to += channels


@serial
def _average_gradient_of_image(
    dy, at_dy, share, dx, at, size, out, kernel, stride, corner, dilation, overlap
):
    height, width, channels = size
    taps, known = np.empty(kernel[0] * kernel[1], np.int64), (0, 0)
    slopes, target = pointer(dy, 0), pointer(dx, 0)
    for i in range(out[0]):
        p = i * stride[0] - corner[0]
        u, rows = _inside(p, dilation[0], kernel[0], height)
        for j in range(out[1]):
            q = j * stride[1] - corner[1]
            v, columns = _inside(q, dilation[1], kernel[1], width)
            if known != (rows, columns):
                known = rows, columns
                _list_taps(rows, columns, dilation[0] * width * channels, dilation[1] * channels, taps)
            first = at + ((p + u * dilation[0]) * width + q + v * dilation[1]) * channels
            factor = share[i, j]
            if channels >= LANES:
                for block in range(0, channels, LANES):
                    c = min(block, channels - LANES)
                    slope = times(load(slopes, at_dy + c), factor)
                    if overlap:
                        slope = without(block - c, slope)  # what the block before has added
                    for k in range(rows * columns):
                        tap, share_of_tap = first + c + taps[k], slope
                        if overlap:
                            share_of_tap = add(load(target, tap), slope)
                        store(target, tap, share_of_tap)
            else:
                for c in range(channels):
                    number = dy[at_dy + c] * factor
                    for k in range(rows * columns):
                        tap = first + c + taps[k]
                        dx[tap] = dx[tap] + number if overlap else number
            at_dy += channels


@kernel
def _average_forward(x, share, y, images, size, out, kernel, stride, corner, dilation):
    for n in prange(images):
        at, to = n * size[0] * size[1] * size[2], n * out[0] * out[1] * size[2]
        _average_of_image(x, at, share, y, to, size, out, kernel, stride, corner, dilation)


@kernel
def _average_backward(dy, share, dx, images, size, out, kernel, stride, corner, dilation, overlap):
    for n in prange(images):
        at_dy, at = n * out[0] * out[1] * size[2], n * size[0] * size[1] * size[2]
        _average_gradient_of_image(
            dy, at_dy, share, dx, at, size, out, kernel, stride, corner, dilation, overlap
        )


# ---- the mean of everything -----------------------------------------------------------------------------------


@serial
def _add_rows(x, rows, length, part, total):
    """total += the sum of `rows` rows of `length` numbers, four at a time; each block of sixteen has its own sums."""
    for block in range(0, length, LANES):
        store(part, block, zeros(part))
    at = 0
    for _ in range(rows // 4):
        for block in range(0, length, LANES):
            a = at + min(block, length - LANES)
            b = add(load(x, a), load(x, a + length))
            c = add(load(x, a + 2 * length), load(x, a + 3 * length))
            store(part, block, add(load(part, block), add(b, c)))
        at += 4 * length
    for _ in range(rows % 4):
        for block in range(0, length, LANES):
            store(part, block, add(load(part, block), load(x, at + min(block, length - LANES))))
        at += length
    for block in range(0, length, LANES):
        store(total, block, add(load(total, block), load(part, block)))


@serial
def _mean_of_image(image, y):
    """The mean of the rows of an image (H·W, C). Where C is small, several pixels count as one row."""
    pixels, channels = image.shape
    together = LANES if channels < LANES else max(1, 128 // channels)
    length, rows = together * channels, pixels // together
    room = (length + LANES - 1) // LANES * LANES
    sums = np.zeros(2 * room, y.dtype)
    total, part = pointer(sums, 0), pointer(sums, room)
    for first in range(0, rows, ROWS):
        _add_rows(pointer(image, first * length), min(ROWS, rows - first), length, part, total)
    for block in range(0, length, LANES):  # blocks may overlap: now put their sums where they belong
        store(part, min(block, length - LANES), load(total, block))
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
                for block in range(0, channels, LANES):
                    c = min(block, channels - LANES)
                    store(to, at + c, load(source, c))
                at += channels
        else:
            for k in range(pixels):
                for c in range(channels):
                    dx[n, k, c] = share[n, c]
