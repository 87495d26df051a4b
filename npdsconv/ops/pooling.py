"""Pooling: the largest or the mean of every window.

Average pooling is not a new operator: it is a depthwise convolution whose every weight is 1/(KH·KW). Max pooling hands
each gradient to the pixel that won; of equals, the first wins.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from npdsconv import layout
from npdsconv.ops.windows import crop, pad, scatter_columns, windows
from npdsconv.shapes import (
    Array,
    PaddingLike,
    Stride,
    Window,
    check_choice,
    check_floats,
    check_ndim,
    check_shape,
    pair,
    resolve_window,
)


class PoolTier(NamedTuple):
    """One implementation of a pooling op."""

    forward: Callable[..., Array]
    backward: Callable[..., Array]


def _positions(shape: tuple[int, ...], window: Window) -> Iterator[tuple[tuple[int, ...], tuple]]:
    """Every output position, and the index of its window in the padded input."""
    (sh, sw), (dh, dw), (span_h, span_w) = window.stride, window.dilation, window.span
    for n, c, i, j in np.ndindex(*shape[:2], *window.output):
        field = (n, c, slice(i * sh, i * sh + span_h, dh), slice(j * sw, j * sw + span_w, dw))
        yield (n, c, i, j), field


# ---- max: naive, im2col, numba --------------------------------------------------------------------------------


def naive_max(x: Array, window: Window) -> Array:
    xpad = pad(x, window.padding, -np.inf)
    y = np.zeros((*x.shape[:2], *window.output), x.dtype)
    for at, field in _positions(x.shape, window):
        y[at] = xpad[field].max()
    return y


def naive_max_backward(dy: Array, x: Array, window: Window) -> Array:
    xpad, inside = pad(x, window.padding, -np.inf), pad(np.ones(x.shape, bool), window.padding, False)
    dxpad = np.zeros(xpad.shape, dy.dtype)
    for at, field in _positions(x.shape, window):
        winner = np.unravel_index(xpad[field].argmax(), window.kernel)
        if not inside[field][
            winner
        ]:  # the window is -inf altogether: its first pixel wins, never a padded place
            winner = np.unravel_index(inside[field].argmax(), window.kernel)
        dxpad[field][winner] += dy[at]
    return crop(dxpad, window.padding)


def im2col_max(x: Array, window: Window) -> Array:
    return windows(pad(x, window.padding, -np.inf), window).max(axis=(4, 5))


def im2col_max_backward(dy: Array, x: Array, window: Window) -> Array:
    n, c = x.shape[:2]
    flat = (n, c, window.pixels, window.taps)
    winner = windows(pad(x, window.padding, -np.inf), window).reshape(flat).argmax(axis=3)
    inside = windows(pad(np.ones(x.shape, bool), window.padding, False), window).reshape(flat)
    padded = ~np.take_along_axis(inside, winner[..., None], axis=3)[..., 0]
    winner = np.where(padded, inside.argmax(axis=3), winner)  # as in the naive tier
    cols = np.zeros((n, c, window.taps, window.pixels), dy.dtype)
    np.put_along_axis(cols, winner[:, :, None], dy.reshape(n, c, 1, window.pixels), axis=2)
    return scatter_columns(cols, x.shape, window)


def _numba_max(x: Array, window: Window) -> Array:
    from npdsconv.kernels import pooling

    return pooling.max_forward(x, window)


def _numba_max_backward(dy: Array, x: Array, window: Window) -> Array:
    from npdsconv.kernels import pooling

    return pooling.max_backward(dy, x, window)


# ---- average: naive, im2col, numba; `share` (OH, OW) is the weight of a pixel in each window ------------------


def naive_avg(x: Array, window: Window, share: Array) -> Array:
    xpad = pad(x, window.padding)
    y = np.zeros((*x.shape[:2], *window.output), x.dtype)
    for at, field in _positions(x.shape, window):
        y[at] = xpad[field].sum() * share[at[2:]]
    return y


def naive_avg_backward(dy: Array, x: Array, window: Window, share: Array) -> Array:
    dxpad = pad(np.zeros(x.shape, dy.dtype), window.padding)
    for at, field in _positions(x.shape, window):
        dxpad[field] += dy[at] * share[at[2:]]
    return crop(dxpad, window.padding)


def im2col_avg(x: Array, window: Window, share: Array) -> Array:
    return windows(pad(x, window.padding), window).sum(axis=(4, 5)) * share


def im2col_avg_backward(dy: Array, x: Array, window: Window, share: Array) -> Array:
    cols = np.broadcast_to((dy * share)[:, :, None, None], (*x.shape[:2], *window.kernel, *window.output))
    return scatter_columns(cols, x.shape, window)


def _numba_avg(x: Array, window: Window, share: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.average_forward(x, window, share)


def _numba_avg_backward(dy: Array, x: Array, window: Window, share: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.average_backward(dy, x.shape, window, share)


# ---- the public pairs -----------------------------------------------------------------------------------------

MAX_IMPLS = {
    "naive": PoolTier(naive_max, naive_max_backward),
    "im2col": PoolTier(im2col_max, im2col_max_backward),
    "numba": PoolTier(_numba_max, _numba_max_backward),
}
AVG_IMPLS = {
    "naive": PoolTier(naive_avg, naive_avg_backward),
    "im2col": PoolTier(im2col_avg, im2col_avg_backward),
    "numba": PoolTier(_numba_avg, _numba_avg_backward),
}
GLOBAL_IMPLS = ("numpy", "numba")


def max_pool2d(
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    impl: str = "numba",
) -> Array:
    """``y[n, c, i, j] = max over u, v of x[n, c, i·sh + u·dh - top, j·sw + v·dw - left]``.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    kernel_size : int or (height, width)
    stride : int or (height, width); None means the kernel size
    padding, dilation : as for :func:`npdsconv.conv2d`; padded places never win
    impl : "naive", "im2col" or "numba"

    Returns
    -------
    y : (N, C, OH, OW), sizes as for a convolution

    Raises
    ------
    ValueError
        No output position, or a window that lies in the padding altogether.

    Examples
    --------
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, impl="naive")[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    window = _check("max_pool2d", x, kernel_size, stride, padding, dilation, impl)
    return MAX_IMPLS[impl].forward(x, window)


def max_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    impl: str = "numba",
) -> Array:
    """``dx[n, c, p, q] = Σ dy[n, c, i, j]`` over the windows that pixel (p, q) won; of equals, the first wins."""
    op = "max_pool2d_backward"
    window = _check(op, x, kernel_size, stride, padding, dilation, impl)
    _check_dy(op, dy, x, window)
    return MAX_IMPLS[impl].backward(dy, x, window)


def avg_pool2d(
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    count_include_pad: bool = True,
    impl: str = "numba",
) -> Array:
    """``y[n, c, i, j] = mean over u, v of xpad[n, c, i·sh + u·dh, j·sw + v·dw]``.

    Parameters and output as for :func:`max_pool2d`; with ``count_include_pad=False`` the mean is over the pixels
    of the image alone.

    Examples
    --------
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, impl="naive")[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    window = _check("avg_pool2d", x, kernel_size, stride, padding, dilation, impl)
    return AVG_IMPLS[impl].forward(x, window, _share(x, window, count_include_pad))


def avg_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    count_include_pad: bool = True,
    impl: str = "numba",
) -> Array:
    """Every pixel of a window receives the same share of its gradient. Only the shape of `x` is read."""
    op = "avg_pool2d_backward"
    window = _check(op, x, kernel_size, stride, padding, dilation, impl)
    _check_dy(op, dy, x, window)
    return AVG_IMPLS[impl].backward(dy, x, window, _share(x, window, count_include_pad))


def global_avg_pool2d(x: Array, *, impl: str = "numba") -> Array:
    """``y[n, c, 0, 0] = mean over i, j of x[n, c, i, j]``: (N, C, H, W) to (N, C, 1, 1).

    `impl` is "numpy" or "numba".

    References
    ----------
    Lin, Chen, Yan, *Network In Network*, ICLR 2014.
    """
    op = "global_avg_pool2d"
    check_choice(op, "impl", impl, GLOBAL_IMPLS)
    _check_images(op, x)
    if impl == "numba":
        from npdsconv.kernels import pooling

        return pooling.global_forward(x)
    n, c, h, w = x.shape
    pixels = layout.nhwc(x).reshape(n, h * w, c)
    return pixels.mean(axis=1).reshape(n, c, 1, 1)


def global_avg_pool2d_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx[n, c, i, j] = dy[n, c, 0, 0] / (H·W)``. Only the shape of `x` is read."""
    op = "global_avg_pool2d_backward"
    check_choice(op, "impl", impl, GLOBAL_IMPLS)
    _check_images(op, x)
    check_floats(op, dy=dy, x=x)
    n, c, h, w = x.shape
    check_shape(op, "dy", dy, (n, c, 1, 1), "N, C, 1, 1")
    share = dy / dy.dtype.type(h * w)
    if impl == "numba":
        from npdsconv.kernels import pooling

        return pooling.global_backward(share, x.shape)
    dx = layout.empty_nchw((n, c, h, w), dy.dtype)
    dx[...] = share
    return dx


def _share(x: Array, window: Window, count_include_pad: bool) -> Array:
    """(OH, OW): one over the number of places that each window averages."""
    if count_include_pad:
        return np.full(window.output, 1 / window.taps, x.dtype)
    return (1 / np.outer(*_inside(x.shape[2:], window))).astype(x.dtype)


def _inside(size: tuple[int, ...], window: Window) -> list[Array]:
    """For each axis: how many taps of each window fall on the image."""
    counts = []
    for n, out, k, s, d, (before, _) in zip(
        size, window.output, window.kernel, window.stride, window.dilation, window.padding, strict=True
    ):
        place = np.arange(out)[:, None] * s + np.arange(k) * d - before
        counts.append(((place >= 0) & (place < n)).sum(axis=1))
    return counts


def _always_inside(size: tuple[int, ...], window: Window) -> bool:
    """Whether it is plain that every window meets the image; False where one has to count.

    A window that begins no further out than its span, on both sides, has taps on both sides of an edge, and its steps
    cannot jump over an image as wide as they are.
    """
    return all(
        max(sides) < span and step <= n
        for n, sides, span, step in zip(size, window.padding, window.span, window.dilation, strict=True)
    )


def _check_images(op: str, x: Array) -> None:
    check_floats(op, x=x)
    check_ndim(op, "x", x, "N, C, H, W")
    if min(x.shape[2:]) < 1:
        raise ValueError(f"{op}: x must have at least one pixel, got shape {x.shape}")


def _check(
    op: str,
    x: Array,
    kernel_size: Stride,
    stride: Stride | None,
    padding: PaddingLike,
    dilation: Stride,
    impl: str,
) -> Window:
    check_choice(op, "impl", impl, MAX_IMPLS)
    _check_images(op, x)
    kernel = pair(op, "kernel_size", kernel_size)
    window = resolve_window(op, x.shape[2:], kernel, kernel if stride is None else stride, padding, dilation)
    if _always_inside(x.shape[2:], window):
        return window
    for axis, inside in zip(("rows", "columns"), _inside(x.shape[2:], window), strict=True):
        if inside.min() == 0:
            raise ValueError(
                f"{op}: padding {window.padding} puts a window of kernel {kernel} wholly into the padding "
                f"(output {axis} {np.flatnonzero(inside == 0).tolist()}): every window must meet the image"
            )
    return window


def _check_dy(op: str, dy: Array, x: Array, window: Window) -> None:
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, (*x.shape[:2], *window.output), "N, C, OH, OW")
