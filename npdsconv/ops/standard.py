"""Standard convolution: every output channel looks at every input channel of its group.

The same trilinear form as in ``depthwise.py``, with a sum over channels. With G groups, each output channel o
belongs to group g = o // (O/G) and reads the C/G input channels from g·C/G on::

    L  =  Σ  dy[n,o,i,j] · w[o,k,u,v] · xpad[n, g·C/G + k, i·sh + u·dh, j·sw + v·dw]

"Convolution" in deep learning is cross-correlation: the kernel slides without being flipped. Since the weights
are learned, nothing is lost; in worked examples it matters, so it is said here once for the whole package.
"""

from typing import Unpack, overload

import numpy as np

from npdsconv.ops._elsewhere import STANDARD, check_kernel, like_keras
from npdsconv.ops._memory import check_window_memory
from npdsconv.ops._tiers import Gradient, Terms, Tier, add_bias, bias_gradient, tier
from npdsconv.ops.activations import check_cut
from npdsconv.ops.windows import columns, crop, pad, scatter_columns
from npdsconv.shapes import (
    Array,
    Geometry,
    PaddingLike,
    Stride,
    Window,
    check_floats,
    check_ndim,
    check_needs,
    check_shape,
    likely_layout,
    resolve_window,
)

# ---- naive: the formula, index by index -----------------------------------------------------------------------


def _terms(n_images: int, w_shape: tuple[int, ...], window: Window, groups: int) -> Terms:
    """Every term of the trilinear form: the indices of dy, of w and of the padded x."""
    outputs, inputs = w_shape[:2]  # O and C/G
    (sh, sw), (dh, dw) = window.stride, window.dilation
    for n, o, i, j in np.ndindex(n_images, outputs, *window.output):
        first = o // (outputs // groups) * inputs
        for k, u, v in np.ndindex(inputs, *window.kernel):
            yield (n, o, i, j), (o, k, u, v), (n, first + k, i * sh + u * dh, j * sw + v * dw)


def naive(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    xpad = pad(x, window.padding)
    y = np.zeros((len(x), len(w), *window.output), x.dtype)
    for at_y, at_w, at_x in _terms(len(x), w.shape, window, groups):
        y[at_y] += w[at_w] * xpad[at_x]
    return add_bias(y, b)


def naive_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    dxpad = pad(np.zeros(shape, dy.dtype), window.padding)
    for at_y, at_w, at_x in _terms(len(dy), w.shape, window, groups):
        dxpad[at_x] += dy[at_y] * w[at_w]
    return crop(dxpad, window.padding)


def naive_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    xpad, dw = pad(x, window.padding), np.zeros(shape, dy.dtype)
    for at_y, at_w, at_x in _terms(len(dy), shape, window, groups):
        dw[at_w] += dy[at_y] * xpad[at_x]
    return dw


# ---- im2col: for each group one product (O/G, C/G·KH·KW) @ (C/G·KH·KW, OH·OW) ---------------------------------


def im2col(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    cols = columns(x, window).reshape(len(x), groups, x.shape[1] // groups * window.taps, window.pixels)
    y = w.reshape(groups, len(w) // groups, -1) @ cols
    return add_bias(y.reshape(len(x), len(w), *window.output), b)


def im2col_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    per_group = dy.reshape(len(dy), groups, len(w) // groups, window.pixels)
    dcols = w.reshape(groups, len(w) // groups, -1).swapaxes(1, 2) @ per_group
    return scatter_columns(dcols, shape, window)


def im2col_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    cols = columns(x, window).reshape(len(x), groups, x.shape[1] // groups * window.taps, window.pixels)
    dw = dy.reshape(len(dy), groups, shape[0] // groups, window.pixels) @ cols.swapaxes(2, 3)
    return dw.sum(axis=0).reshape(shape)


# ---- loops: the same sums over channels-last memory, compiled -------------------------------------------------


def _loops(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    from npdsconv.kernels.loops import standard

    return standard.forward(x, w, b, window, groups)


def _loops_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    from npdsconv.kernels.loops import standard

    return standard.input_gradient(dy, w, shape, window, groups)


def _loops_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    from npdsconv.kernels.loops import standard

    return standard.weight_gradient(dy, x, shape, window, groups)


# ---- numba: the product reads its rows straight from the image ------------------------------------------------


def _numba(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    from npdsconv.kernels import standard

    return standard.forward(x, w, b, window, groups)


def _numba_dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    from npdsconv.kernels import standard

    return standard.input_gradient(dy, w, shape, window, groups)


def _numba_dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    from npdsconv.kernels import standard

    return standard.weight_gradient(dy, x, shape, window, groups)


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {
    "naive": Tier(naive, naive_dx, naive_dw),
    "im2col": Tier(im2col, im2col_dx, im2col_dw),
    "loops": Tier(_loops, _loops_dx, _loops_dw),
    "numba": Tier(_numba, _numba_dx, _numba_dw),
}


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    groups: int = 1,
    impl: str = "numba",
) -> Array:
    """Standard two-dimensional convolution (cross-correlation: the kernel is not flipped).

    ``y[n, o, i, j] = b[o] + Σ_kuv w[o, k, u, v] · xpad[n, g·C/G + k, i·sh + u·dh, j·sw + v·dw]``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory layout
    w : (O, C/groups, KH, KW)
    b : (O,), optional
    stride, dilation : int or (height, width); ``dilation=1`` is dense
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    groups : int, divides C and O; output channel o sees only the inputs of its group g = o // (O/groups)
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, O, OH, OW), with OH = floor((H + top + bottom - dh·(KH - 1) - 1) / sh) + 1

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit, groups that do not divide, or no output position.

    Notes
    -----
    N·O·C/groups·KH·KW·OH·OW multiply-adds, and O·C/groups·KH·KW weights.

    References
    ----------
    Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, arXiv:1603.07285.

    Examples
    --------
    >>> x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.array([[[[0.0, 1], [1, 0]]]]), impl="naive")[0, 0]
    array([[ 6.,  8.],
           [12., 14.]])
    """
    op = "conv2d"
    chosen = tier(op, IMPLS, impl)
    window = check_conv2d(op, x, w, b, stride, padding, dilation, groups, impl)
    return chosen.forward(x, w, b, window, groups)


def activated_conv2d(
    x: Array,
    w: Array,
    b: Array | None,
    activation: str,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    groups: int = 1,
) -> Array:
    """:func:`conv2d` with "relu" or "relu6" in the same pass, by the fast tier; for inference: it has no backward."""
    from npdsconv.kernels import standard

    op = "activated_conv2d"
    bounds = check_cut(op, activation)
    window = check_conv2d(op, x, w, b, stride, padding, dilation, groups)
    return standard.forward(x, w, b, window, groups, bounds)


@overload
def conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., **how: Unpack[Geometry]
) -> tuple[Array, Array, Array]: ...
@overload
def conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., needs: tuple[str, ...], **how: Unpack[Geometry]
) -> tuple[Gradient, Gradient, Gradient]: ...
def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    groups: int = 1,
    impl: str = "numba",
    needs: tuple[str, ...] = ("x", "w", "b"),
) -> tuple[Gradient, Gradient, Gradient]:
    """The gradients of :func:`conv2d`, given dy (N, O, OH, OW).

    ``dx[n, c, p, q] = Σ w[o, k, u, v] · dy[n, o, i, j]``  over all o, k, u, v, i, j that read pixel (c, p, q)

    ``dw[o, k, u, v] = Σ dy[n, o, i, j] · xpad[n, g·C/G + k, i·sh + u·dh, j·sw + v·dw]``  over n, i, j

    ``db[o] = Σ dy[n, o, i, j]``  over n, i, j

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "conv2d_backward"
    chosen = tier(op, IMPLS, impl)
    window = check_conv2d(op, x, w, None, stride, padding, dilation, groups, impl)
    check_floats(op, dy=dy, x=x)
    check_needs(op, needs, ("x", "w", "b"))
    check_shape(op, "dy", dy, (len(x), len(w), *window.output), "N, O, OH, OW")
    dx = chosen.dx(dy, w, x.shape, window, groups) if "x" in needs else None
    dw = chosen.dw(dy, x, w.shape, window, groups) if "w" in needs else None
    db = bias_gradient(dy) if "b" in needs else None
    return dx, dw, db


def check_conv2d(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    groups: int = 1,
    impl: str = "numba",
) -> Window:
    """The geometry of a convolution, if its arguments fit together, and what it takes into memory."""
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C, H, W")
    check_ndim(op, "w", w, "O, C/groups, KH, KW")
    check_groups(op, x.shape[1], len(w), groups)
    if w.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"{op}: x has {x.shape[1]} channels, w reads {w.shape[1]} in each of {groups} groups: "
            f"w is (O, C/groups, KH, KW){likely_layout(x, w.shape[1] * groups)}"
            f"{like_keras(w, 2, x.shape[1] // groups, STANDARD)}"
        )
    check_kernel(op, w, STANDARD)
    if b is not None:
        check_shape(op, "b", b, (len(w),), "O")
    window = resolve_window(op, x.shape[2:], w.shape[2:], stride, padding, dilation)
    check_window_memory(op, x.shape, x.dtype, window, len(w), im2col=impl == "im2col")
    return window


def check_groups(op: str, inputs: int, outputs: int, groups: int) -> None:
    """`groups` is an int that divides both channel counts."""
    if isinstance(groups, bool) or not isinstance(groups, int | np.integer):
        raise ValueError(f"{op}: groups must be an int, got {groups!r}")
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(
            f"{op}: groups {groups} must divide input channels {inputs} and output channels {outputs}"
        )
