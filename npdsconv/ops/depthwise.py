"""Depthwise convolution: every channel is filtered by itself; no sum over channels.

One trilinear form holds the whole story. With o = c·M + m (M filters per input channel), p = i·sh + u·dh,
q = j·sw + v·dw and xpad the zero-padded input::

    L  =  Σ  dy[n,o,i,j] · w[c,m,u,v] · xpad[n,c,p,q]        over n, c, m, i, j, u, v

    y  = ∂L/∂dy :  leave out the sum over (n,o,i,j)   the forward pass
    dx = ∂L/∂x  :  leave out the sum over (n,c,p,q)   the gradient for the input
    dw = ∂L/∂w  :  leave out the sum over (c,m,u,v)   the gradient for the weights

So each tier below is three functions, and backward needs nothing but forward's inputs.
"""

from typing import Unpack, overload

import numpy as np

from npdsconv.ops._elsewhere import DEPTHWISE, check_kernel, like_keras, like_torch_depthwise
from npdsconv.ops._memory import check_window_memory
from npdsconv.ops._tiers import Gradient, Terms, Tier, add_bias, bias_gradient, tier
from npdsconv.ops.windows import columns, crop, pad, scatter_columns
from npdsconv.shapes import (
    Array,
    PaddingLike,
    Steps,
    Stride,
    Window,
    check_floats,
    check_ndim,
    check_needs,
    check_shape,
    likely_layout,
    resolve_window,
)

# ---- naive: the formula, index by index -------------------------------------------------------------------


def _terms(shape: tuple[int, ...], window: Window) -> Terms:
    """Every term of the trilinear form: the indices of dy, of w and of the padded x."""
    n_images, channels, multiplier = shape
    (sh, sw), (dh, dw) = window.stride, window.dilation
    for n, c, m, i, j in np.ndindex(n_images, channels, multiplier, *window.output):
        for u, v in np.ndindex(*window.kernel):
            yield (n, c * multiplier + m, i, j), (c, m, u, v), (n, c, i * sh + u * dh, j * sw + v * dw)


def naive(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    xpad = pad(x, window.padding)
    y = np.zeros((len(x), w.shape[0] * w.shape[1], *window.output), x.dtype)
    for at_y, at_w, at_x in _terms((len(x), *w.shape[:2]), window):
        y[at_y] += w[at_w] * xpad[at_x]
    return add_bias(y, b)


def naive_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    dxpad = pad(np.zeros(shape, dy.dtype), window.padding)
    for at_y, at_w, at_x in _terms((len(dy), *w.shape[:2]), window):
        dxpad[at_x] += dy[at_y] * w[at_w]
    return crop(dxpad, window.padding)


def naive_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    xpad, dw = pad(x, window.padding), np.zeros(shape, dy.dtype)
    for at_y, at_w, at_x in _terms((len(dy), *shape[:2]), window):
        dw[at_w] += dy[at_y] * xpad[at_x]
    return dw


# ---- im2col: for each channel one small product (M, KH·KW) @ (KH·KW, OH·OW) ---------------------------------


def im2col(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    c, m, kh, kw = w.shape
    cols = columns(x, window).reshape(len(x), c, kh * kw, window.pixels)
    y = w.reshape(c, m, kh * kw) @ cols
    return add_bias(y.reshape(len(x), c * m, *window.output), b)


def im2col_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    c, m, kh, kw = w.shape
    dcols = w.reshape(c, m, kh * kw).swapaxes(1, 2) @ dy.reshape(len(dy), c, m, window.pixels)
    return scatter_columns(dcols, shape, window)


def im2col_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    c, m, kh, kw = shape
    cols = columns(x, window).reshape(len(x), c, kh * kw, window.pixels)
    dw = dy.reshape(len(dy), c, m, window.pixels) @ cols.swapaxes(2, 3)
    return dw.sum(axis=0).reshape(shape)


# ---- loops: the same sums over channels-last memory, compiled -------------------------------------------------


def _loops(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    from npdsconv.kernels.loops import depthwise

    return depthwise.forward(x, w, b, window)


def _loops_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    from npdsconv.kernels.loops import depthwise

    return depthwise.input_gradient(dy, w, shape, window)


def _loops_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    from npdsconv.kernels.loops import depthwise

    return depthwise.weight_gradient(dy, x, shape, window)


# ---- numba: the same again, tuned ----------------------------------------------------------------------------


def _numba(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    from npdsconv.kernels import depthwise

    return depthwise.forward(x, w, b, window)


def _numba_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
    from npdsconv.kernels import depthwise

    return depthwise.input_gradient(dy, w, shape, window)


def _numba_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window) -> Array:
    from npdsconv.kernels import depthwise

    return depthwise.weight_gradient(dy, x, shape, window)


# ---- the public pair -----------------------------------------------------------------------------------------

IMPLS = {
    "naive": Tier(naive, naive_dx, naive_dw),
    "im2col": Tier(im2col, im2col_dx, im2col_dw),
    "loops": Tier(_loops, _loops_dx, _loops_dw),
    "numba": Tier(_numba, _numba_dx, _numba_dw),
}


def depthwise_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    impl: str = "numba",
) -> Array:
    """Filter every channel by itself, with M filters each.

    ``y[n, c·M + m, i, j] = b[c·M + m] + Σ_uv w[c, m, u, v] · xpad[n, c, i·sh + u·dh, j·sw + v·dw]``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory layout
    w : (C, M, KH, KW), M is the depth multiplier; ``reshape(C·M, 1, KH, KW)`` is PyTorch's layout
    b : (C·M,), optional
    stride, dilation : int or (height, width); ``dilation=1`` is dense
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, C·M, OH, OW), with OH = floor((H + top + bottom - dh·(KH - 1) - 1) / sh) + 1

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit, or no output position.

    Notes
    -----
    N·C·M·KH·KW·OH·OW multiply-adds, and C·M·KH·KW weights. This is cross-correlation, as in every deep
    learning library: the kernel is not flipped.

    References
    ----------
    Sifre, *Rigid-Motion Scattering for Image Classification*, PhD thesis, 2014; Chollet, *Xception*, 2017.

    Examples
    --------
    >>> x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[0.0, 1], [1, 0]], [[1, 0], [0, -1]]]])    # one channel, two filters
    >>> depthwise_conv2d(x, w, impl="im2col")[0]
    array([[[ 6.,  8.],
            [12., 14.]],
           [[-4., -4.],
            [-4., -4.]]])
    """
    op = "depthwise_conv2d"
    chosen = tier(op, IMPLS, impl)
    window = _check(op, x, w, b, stride, padding, dilation, impl)
    return chosen.forward(x, w, b, window)


@overload
def depthwise_conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., **how: Unpack[Steps]
) -> tuple[Array, Array, Array]: ...
@overload
def depthwise_conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., needs: tuple[str, ...], **how: Unpack[Steps]
) -> tuple[Gradient, Gradient, Gradient]: ...
def depthwise_conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    impl: str = "numba",
    needs: tuple[str, ...] = ("x", "w", "b"),
) -> tuple[Gradient, Gradient, Gradient]:
    """The gradients of :func:`depthwise_conv2d`, given dy (N, C·M, OH, OW).

    ``dx[n, c, p, q] = Σ w[c, m, u, v] · dy[n, c·M + m, i, j]``  over m and all i·sh + u·dh = p, j·sw + v·dw = q

    ``dw[c, m, u, v] = Σ dy[n, c·M + m, i, j] · xpad[n, c, i·sh + u·dh, j·sw + v·dw]``  over n, i, j

    ``db[o] = Σ dy[n, o, i, j]``  over n, i, j

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "depthwise_conv2d_backward"
    chosen = tier(op, IMPLS, impl)
    window = _check(op, x, w, None, stride, padding, dilation, impl)
    check_floats(op, dy=dy, x=x)
    check_needs(op, needs, ("x", "w", "b"))
    check_shape(op, "dy", dy, (len(x), w.shape[0] * w.shape[1], *window.output), "N, C·M, OH, OW")
    dx = chosen.dx(dy, w, x.shape, window) if "x" in needs else None
    dw = chosen.dw(dy, x, w.shape, window) if "w" in needs else None
    db = bias_gradient(dy) if "b" in needs else None
    return dx, dw, db


def _check(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Stride,
    padding: PaddingLike,
    dilation: Stride,
    impl: str,
) -> Window:
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C, H, W")
    check_ndim(op, "w", w, "C, M, KH, KW")
    if w.shape[0] != x.shape[1]:
        raise ValueError(
            f"{op}: x has {x.shape[1]} channels, w has filters for {w.shape[0]}: w is (C, M, KH, KW)"
            f"{likely_layout(x, len(w))}{like_keras(w, 2, x.shape[1], DEPTHWISE)}"
            f"{like_torch_depthwise(w, x.shape[1])}"
        )
    check_kernel(op, w, DEPTHWISE)
    if b is not None:
        check_shape(op, "b", b, (w.shape[0] * w.shape[1],), "C·M")
    window = resolve_window(op, x.shape[2:], w.shape[2:], stride, padding, dilation)
    check_window_memory(op, x.shape, x.dtype, window, w.shape[0] * w.shape[1], im2col=impl == "im2col")
    return window
