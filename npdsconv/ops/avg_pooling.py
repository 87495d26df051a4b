"""Average pooling: the mean of every window.

It is not a new operator but a depthwise convolution whose every weight is 1/(KH·KW).
"""

import numpy as np

from npdsconv.ops._tiers import tier
from npdsconv.ops.pooling import PoolTier, check_dy, check_window, positions, taps_inside
from npdsconv.ops.windows import crop, pad, scatter_columns, windows
from npdsconv.shapes import Array, PaddingLike, Stride, Window, parse_padding

# In every tier `share` (OH, OW) is the weight of a pixel in each window.

# ---- naive: window by window ----------------------------------------------------------------------------------


def naive(x: Array, window: Window, share: Array) -> Array:
    xpad = pad(x, window.padding)
    y = np.zeros((*x.shape[:2], *window.output), x.dtype)
    for at, field in positions(x.shape, window):
        y[at] = xpad[field].sum() * share[at[2:]]
    return y


def naive_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    dxpad = pad(np.zeros(shape, dy.dtype), window.padding)
    for at, field in positions(shape, window):
        dxpad[field] += dy[at] * share[at[2:]]
    return crop(dxpad, window.padding)


# ---- im2col: all windows at once ------------------------------------------------------------------------------


def im2col(x: Array, window: Window, share: Array) -> Array:
    return windows(pad(x, window.padding), window).sum(axis=(4, 5)) * share


def im2col_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    cols = np.broadcast_to((dy * share)[:, :, None, None], (*shape[:2], *window.kernel, *window.output))
    return scatter_columns(cols, shape, window)


# ---- compiled -------------------------------------------------------------------------------------------------


def _loops(x: Array, window: Window, share: Array) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.average_forward(x, window, share)


def _loops_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.average_backward(dy, shape, window, share)


def _numba(x: Array, window: Window, share: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.average_forward(x, window, share)


def _numba_backward(dy: Array, shape: tuple[int, ...], window: Window, share: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.average_backward(dy, shape, window, share)


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {
    "naive": PoolTier(naive, naive_backward),
    "im2col": PoolTier(im2col, im2col_backward),
    "loops": PoolTier(_loops, _loops_backward),
    "numba": PoolTier(_numba, _numba_backward),
}


def avg_pool2d(
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    impl: str = "numba",
) -> Array:
    """``y[n, c, i, j] = mean over u, v of xpad[n, c, i·sh + u·dh, j·sw + v·dw]``.

    Parameters and output as for :func:`max_pool2d`, and:

    Parameters
    ----------
    count_include_pad : bool or None
        Whether the zeros of the padding count too. If not, the mean is over the pixels of the image alone. None: not
        with padding "same" and "same_lower", as in TensorFlow; with numbers they count, as in PyTorch. What `ceil_mode`
        adds behind never counts.

    Examples
    --------
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, impl="naive")[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    op = "avg_pool2d"
    chosen = tier(op, IMPLS, impl)
    window = check_window(op, x, kernel_size, stride, padding, dilation, ceil_mode, impl)
    return chosen.forward(x, window, _share(op, x, window, padding, count_include_pad))


def avg_pool2d_backward(
    dy: Array,
    x: Array,
    kernel_size: Stride,
    *,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    impl: str = "numba",
) -> Array:
    """Every pixel of a window receives the same share of its gradient. Only the shape of `x` is read."""
    op = "avg_pool2d_backward"
    chosen = tier(op, IMPLS, impl)
    window = check_window(op, x, kernel_size, stride, padding, dilation, ceil_mode, impl)
    check_dy(op, dy, x, window)
    return chosen.backward(dy, x.shape, window, _share(op, x, window, padding, count_include_pad))


def _share(op: str, x: Array, window: Window, padding: PaddingLike, count_include_pad: bool | None) -> Array:
    """(OH, OW): one over the number of places that each window averages."""
    given = parse_padding(op, padding)
    counted = not isinstance(given, str) if count_include_pad is None else count_include_pad
    around = window.padding if isinstance(given, str) else given  # without what ceil_mode has added
    counts = taps_inside(x.shape[2:], window, around) if counted else taps_inside(x.shape[2:], window)
    return (1 / np.outer(*counts)).astype(x.dtype)
