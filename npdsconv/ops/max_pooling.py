"""Max pooling: the largest of every window. Each gradient goes to the pixel that won; of equals, the first wins.

The global form is the same with one window, the whole image.
"""

import numpy as np

from npdsconv.ops._tiers import tier
from npdsconv.ops.pooling import PoolTier, check_dy, check_global_dy, check_images, check_window, positions
from npdsconv.ops.windows import crop, pad, scatter_columns, windows
from npdsconv.shapes import Array, PaddingLike, Stride, Window

# ---- naive: window by window ----------------------------------------------------------------------------------


def naive(x: Array, window: Window) -> Array:
    xpad = pad(x, window.padding, -np.inf)
    y = np.zeros((*x.shape[:2], *window.output), x.dtype)
    for at, field in positions(x.shape, window):
        y[at] = xpad[field].max()
    return y


def naive_backward(dy: Array, x: Array, window: Window) -> Array:
    xpad, inside = pad(x, window.padding, -np.inf), pad(np.ones(x.shape, bool), window.padding, False)
    dxpad = np.zeros(xpad.shape, dy.dtype)
    for at, field in positions(x.shape, window):
        winner = np.unravel_index(xpad[field].argmax(), window.kernel)
        # Where the window is -inf altogether its first pixel wins, never a padded place.
        if not inside[field][winner]:
            winner = np.unravel_index(inside[field].argmax(), window.kernel)
        dxpad[field][winner] += dy[at]
    return crop(dxpad, window.padding)


# ---- im2col: all windows at once ------------------------------------------------------------------------------


def im2col(x: Array, window: Window) -> Array:
    return windows(pad(x, window.padding, -np.inf), window).max(axis=(4, 5))


def im2col_backward(dy: Array, x: Array, window: Window) -> Array:
    n, c = x.shape[:2]
    flat = (n, c, window.pixels, window.taps)
    winner = windows(pad(x, window.padding, -np.inf), window).reshape(flat).argmax(axis=3)
    inside = windows(pad(np.ones(x.shape, bool), window.padding, False), window).reshape(flat)
    padded = ~np.take_along_axis(inside, winner[..., None], axis=3)[..., 0]
    winner = np.where(padded, inside.argmax(axis=3), winner)  # as in the naive tier
    cols = np.zeros((n, c, window.taps, window.pixels), dy.dtype)
    np.put_along_axis(cols, winner[:, :, None], dy.reshape(n, c, 1, window.pixels), axis=2)
    return scatter_columns(cols, x.shape, window)


# ---- compiled -------------------------------------------------------------------------------------------------


def _loops(x: Array, window: Window) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.max_forward(x, window)


def _loops_backward(dy: Array, x: Array, window: Window) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.max_backward(dy, x, window)


def _numba(x: Array, window: Window) -> Array:
    from npdsconv.kernels import pooling

    return pooling.max_forward(x, window)


def _numba_backward(dy: Array, x: Array, window: Window) -> Array:
    from npdsconv.kernels import pooling

    return pooling.max_backward(dy, x, window)


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {
    "naive": PoolTier(naive, naive_backward),
    "im2col": PoolTier(im2col, im2col_backward),
    "loops": PoolTier(_loops, _loops_backward),
    "numba": PoolTier(_numba, _numba_backward),
}


def max_pool2d(
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    ceil_mode: bool = False,
    impl: str = "numba",
) -> Array:
    """``y[n, c, i, j] = max over u, v of x[n, c, i·sh + u·dh - top, j·sw + v·dw - left]``.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    kernel_size : int or (height, width)
    stride : int or (height, width); None means the kernel size
    padding, dilation : as for :func:`npdsconv.conv2d`; padded places never win
    ceil_mode : whether the output-size rule rounds up, so that the last pixels get a window of their own, cut off by
        the edge; none begins behind the picture (PyTorch's rule)
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

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
    op = "max_pool2d"
    chosen = tier(op, IMPLS, impl)
    window = check_window(op, x, kernel_size, stride, padding, dilation, ceil_mode, impl)
    return chosen.forward(x, window)


def max_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    ceil_mode: bool = False,
    impl: str = "numba",
) -> Array:
    """``dx[n, c, p, q] = Σ dy[n, c, i, j]`` over the windows that pixel (p, q) won; of equals, the first wins."""
    op = "max_pool2d_backward"
    chosen = tier(op, IMPLS, impl)
    window = check_window(op, x, kernel_size, stride, padding, dilation, ceil_mode, impl)
    check_dy(op, dy, x, window)
    return chosen.backward(dy, x, window)


def global_max_pool2d(x: Array, *, impl: str = "numba") -> Array:
    """``y[n, c, 0, 0] = max over i, j of x[n, c, i, j]``: (N, C, H, W) to (N, C, 1, 1). `impl` as above.

    Examples
    --------
    >>> global_max_pool2d(np.array([[[[1.0, 7], [3, 5]]]]), impl="naive")
    array([[[[7.]]]])
    """
    op = "global_max_pool2d"
    chosen = tier(op, IMPLS, impl)
    check_images(op, x)
    return chosen.forward(x, _whole(x))


def global_max_pool2d_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx[n, c, p, q] = dy[n, c, 0, 0]`` at the largest pixel, the first of equals, and 0 elsewhere."""
    op = "global_max_pool2d_backward"
    chosen = tier(op, IMPLS, impl)
    check_global_dy(op, dy, x)
    return chosen.backward(dy, x, _whole(x))


def _whole(x: Array) -> Window:
    """The one window that is the image."""
    h, w = x.shape[2:]
    return Window((h, w), (h, w), ((0, 0), (0, 0)), (1, 1), (1, 1))
