"""Max, average and global average pooling on channels-last memory, sixteen channels at a time.

Optimizations: the numbers of sixteen channels lie in a register while a window is read, and no number takes a
branch of its own: a comparison chooses between two registers. Backward of max pooling finds the largest again and
hands the gradient to the first pixel that equals it; where windows do not overlap, it writes every pixel of dx once,
so that dx need not be cleared first. A narrow image (C < 16) is copied to one of sixteen channels, which stays
in the cache.

Names: a geometry is (kernel, stride, corner, dilation), four pairs (rows, columns), where the corner is (top, left)
of the padding; a size is (rows, columns, channels); x, y, dy, dx are pointers to one image.
"""

# mypy: ignore-errors
import numpy as np

from npdsconv import layout
from npdsconv.kernels._jit import kernel, prange, serial
from npdsconv.kernels.lanes import (
    LANES,
    add,
    given,
    larger,
    left,
    load,
    load_if,
    pointer,
    store,
    times,
    without,
    zeros,
)
from npdsconv.shapes import Array, Window

ROWS = 256  # rows whose sum is taken on its own: long sums lose digits


def max_forward(x: Array, window: Window) -> Array:
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    _max_forward(layout.nhwc(x), y, *_geometry(window))
    return layout.nchw(y)


def max_backward(dy: Array, x: Array, window: Window) -> Array:
    dx, overlap = _gradient(x.shape, dy, window)
    _max_backward(layout.nhwc(dy), layout.nhwc(x), dx, *_geometry(window), overlap)
    return layout.nchw(dx)


def average_forward(x: Array, window: Window, share: Array) -> Array:
    """`share` (OH, OW) is what each window's sum is multiplied with."""
    y = np.empty((len(x), *window.output, x.shape[1]), x.dtype)
    _average_forward(layout.nhwc(x), layout.readonly(share), y, *_geometry(window))
    return layout.nchw(y)


def average_backward(dy: Array, shape: tuple[int, int, int, int], window: Window, share: Array) -> Array:
    dx, overlap = _gradient(shape, dy, window)
    _average_backward(layout.nhwc(dy), layout.readonly(share), dx, *_geometry(window), overlap)
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


def _geometry(window: Window):
    (top, _), (left, _) = window.padding
    return window.kernel, window.stride, (top, left), window.dilation


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


# ---- windows and narrow images --------------------------------------------------------------------------------


@serial(inline=True)
def _taps(start, step, taps, size):
    """The first tap on the image, and how many there are, of `taps` places from `start` on."""
    first, last = 0, taps
    if start < 0:
        first = (step - 1 - start) // step
    if start + (taps - 1) * step >= size:
        last = (size - start + step - 1) // step
    return first, last - first


@serial
def _widen(image, wide, at):
    """Copy an image of few channels to one of sixteen, which begins at number `at` of `wide`."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for c in range(image.shape[2]):
                wide[at + c] = image[i, j, c]
            at += LANES


@serial
def _narrow(wide, at, image):
    """The way back."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for c in range(image.shape[2]):
                image[i, j, c] = wide[at + c]
            at += LANES


# ---- the largest ----------------------------------------------------------------------------------------------


@serial
def _offsets(rows, columns, down, across, offsets):
    """How far the taps of a window lie behind its first one."""
    k = 0
    for u in range(rows):
        for v in range(columns):
            offsets[k] = u * down + v * across
            k += 1


@serial(inline=True)
def _largest(x, at, offsets, taps):
    best = load(x, at)
    for k in range(1, taps):
        best = larger(load(x, at + offsets[k]), best)
    return best


@serial
def _max_of_image(x, size, y, out, geometry):
    (kh, kw), (sh, sw), (top, side), (dh, dw) = geometry
    height, width, channels = size
    offsets, known = np.zeros(kh * kw, np.int64), (0, 0)
    to = 0
    for i in range(out[0]):
        p = i * sh - top
        u, rows = _taps(p, dh, kh, height)
        for j in range(out[1]):
            q = j * sw - side
            v, columns = _taps(q, dw, kw, width)
            if known != (rows, columns):
                known = rows, columns
                _offsets(rows, columns, dh * width * channels, dw * channels, offsets)
            at = ((p + u * dh) * width + q + v * dw) * channels
            taps = rows * columns
            for block in range(0, channels, LANES):
                c = min(block, channels - LANES)
                store(y, to + c, _largest(x, at + c, offsets, taps))
            to += channels


@serial
def _max_gradient_of_image(dy, out, x, dx, size, geometry, overlap):
    (kh, kw), (sh, sw), (top, side), (dh, dw) = geometry
    height, width, channels = size
    offsets, known = np.zeros(kh * kw, np.int64), (0, 0)
    source = 0
    for i in range(out[0]):
        p = i * sh - top
        u, rows = _taps(p, dh, kh, height)
        for j in range(out[1]):
            q = j * sw - side
            v, columns = _taps(q, dw, kw, width)
            if known != (rows, columns):
                known = rows, columns
                _offsets(rows, columns, dh * width * channels, dw * channels, offsets)
            at = ((p + u * dh) * width + q + v * dw) * channels
            taps = rows * columns
            for block in range(0, channels, LANES):
                c = min(block, channels - LANES)
                best = _largest(x, at + c, offsets, taps)
                slope = load(dy, source + c)
                if overlap:
                    slope = without(block - c, slope)  # what the block before has added
                    for k in range(taps):
                        tap = at + c + offsets[k]
                        pixel = load(x, tap)
                        store(dx, tap, add(load(dx, tap), given(pixel, best, slope)))
                        slope = left(pixel, best, slope)
                else:
                    for k in range(taps):
                        tap = at + c + offsets[k]
                        pixel = load(x, tap)
                        store(dx, tap, given(pixel, best, slope))
                        slope = left(pixel, best, slope)
            source += channels


@serial
def _max_forward_one(image, y, geometry):
    height, width, channels = image.shape
    narrow, out, lanes = channels < LANES, y.shape[:2], max(channels, LANES)
    end = height * width * lanes
    scratch = np.zeros((end + out[0] * out[1] * lanes) * narrow, y.dtype)
    x, target = pointer(image, 0), pointer(y, 0)
    if narrow:
        x, target = pointer(scratch, 0), pointer(scratch, end)
        _widen(image, scratch, 0)
    _max_of_image(x, (height, width, lanes), target, out, geometry)
    if narrow:
        _narrow(scratch, end, y)


@serial
def _max_backward_one(dy, image, dx, geometry, overlap):
    height, width, channels = dx.shape
    narrow, out, lanes = channels < LANES, dy.shape[:2], max(channels, LANES)
    end = height * width * lanes
    scratch = np.zeros((2 * end + out[0] * out[1] * lanes) * narrow, dx.dtype)
    slopes, x, target = pointer(dy, 0), pointer(image, 0), pointer(dx, 0)
    if narrow:
        slopes, x, target = pointer(scratch, 2 * end), pointer(scratch, 0), pointer(scratch, end)
        _widen(image, scratch, 0)
        _widen(dy, scratch, 2 * end)
    _max_gradient_of_image(slopes, out, x, target, (height, width, lanes), geometry, overlap)
    if narrow:
        _narrow(scratch, end, dx)


@kernel
def _max_forward(images, y, taps, stride, corner, dilation):
    for n in prange(y.shape[0]):
        _max_forward_one(images[n], y[n], (taps, stride, corner, dilation))


@kernel
def _max_backward(dy, images, dx, taps, stride, corner, dilation, overlap):
    for n in prange(dy.shape[0]):
        _max_backward_one(dy[n], images[n], dx[n], (taps, stride, corner, dilation), overlap)


# ---- the mean -------------------------------------------------------------------------------------------------


@serial
def _average_of_image(x, size, share, y, out, geometry):
    (kh, kw), (sh, sw), (top, side), (dh, dw) = geometry
    height, width, channels = size
    offsets, known = np.zeros(kh * kw, np.int64), (0, 0)
    to = 0
    for i in range(out[0]):
        p = i * sh - top
        u, rows = _taps(p, dh, kh, height)
        for j in range(out[1]):
            q = j * sw - side
            v, columns = _taps(q, dw, kw, width)
            if known != (rows, columns):
                known = rows, columns
                _offsets(rows, columns, dh * width * channels, dw * channels, offsets)
            at = ((p + u * dh) * width + q + v * dw) * channels
            taps, factor = rows * columns, share[i, j]
            for block in range(0, channels, LANES):
                c = min(block, channels - LANES)
                total = load(x, at + c)
                for k in range(1, taps):
                    total = add(total, load(x, at + c + offsets[k]))
                store(y, to + c, times(total, factor))
            to += channels


@serial
def _average_gradient_of_image(dy, out, share, dx, size, geometry, overlap):
    (kh, kw), (sh, sw), (top, side), (dh, dw) = geometry
    height, width, channels = size
    offsets, known = np.zeros(kh * kw, np.int64), (0, 0)
    source = 0
    for i in range(out[0]):
        p = i * sh - top
        u, rows = _taps(p, dh, kh, height)
        for j in range(out[1]):
            q = j * sw - side
            v, columns = _taps(q, dw, kw, width)
            if known != (rows, columns):
                known = rows, columns
                _offsets(rows, columns, dh * width * channels, dw * channels, offsets)
            at = ((p + u * dh) * width + q + v * dw) * channels
            taps, factor = rows * columns, share[i, j]
            for block in range(0, channels, LANES):
                c = min(block, channels - LANES)
                slope = times(load(dy, source + c), factor)
                if overlap:
                    slope = without(block - c, slope)
                    for k in range(taps):
                        tap = at + c + offsets[k]
                        store(dx, tap, add(load(dx, tap), slope))
                else:
                    for k in range(taps):
                        store(dx, at + c + offsets[k], slope)
            source += channels


@serial
def _average_forward_one(image, share, y, geometry):
    height, width, channels = image.shape
    narrow, out, lanes = channels < LANES, y.shape[:2], max(channels, LANES)
    end = height * width * lanes
    scratch = np.zeros((end + out[0] * out[1] * lanes) * narrow, y.dtype)
    x, target = pointer(image, 0), pointer(y, 0)
    if narrow:
        x, target = pointer(scratch, 0), pointer(scratch, end)
        _widen(image, scratch, 0)
    _average_of_image(x, (height, width, lanes), share, target, out, geometry)
    if narrow:
        _narrow(scratch, end, y)


@serial
def _average_backward_one(dy, share, dx, geometry, overlap):
    height, width, channels = dx.shape
    narrow, out, lanes = channels < LANES, dy.shape[:2], max(channels, LANES)
    end = height * width * lanes
    scratch = np.zeros((end + out[0] * out[1] * lanes) * narrow, dx.dtype)
    slopes, target = pointer(dy, 0), pointer(dx, 0)
    if narrow:
        slopes, target = pointer(scratch, end), pointer(scratch, 0)
        _widen(dy, scratch, end)
    _average_gradient_of_image(slopes, out, share, target, (height, width, lanes), geometry, overlap)
    if narrow:
        _narrow(scratch, 0, dx)


@kernel
def _average_forward(images, share, y, taps, stride, corner, dilation):
    for n in prange(y.shape[0]):
        _average_forward_one(images[n], share, y[n], (taps, stride, corner, dilation))


@kernel
def _average_backward(dy, share, dx, taps, stride, corner, dilation, overlap):
    for n in prange(dy.shape[0]):
        _average_backward_one(dy[n], share, dx[n], (taps, stride, corner, dilation), overlap)


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
    blocks = (length + LANES - 1) // LANES
    sums = np.zeros(2 * blocks * LANES, y.dtype)
    for first in range(0, rows, ROWS):
        x = pointer(image, first * length)
        _add_rows(x, min(ROWS, rows - first), length, pointer(sums, blocks * LANES), pointer(sums, 0))
    for c in range(channels):
        total = y.dtype.type(0)
        for k in range(rows * together, pixels):
            total += image[k, c]
        for k in range(c, length if rows else 0, channels):
            block = k // LANES * LANES
            total += sums[k + block - min(block, length - LANES)]
        y[c] = total / pixels


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
