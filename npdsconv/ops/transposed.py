"""Transposed convolution: a convolution run backwards, as an op of its own. It makes images larger.

A convolution gathers: each output pixel is a sum over a window. Its transpose scatters: each input pixel lays down a
copy of the kernel, as strong as the pixel, `stride` apart, and where copies overlap they add up. That is the gradient
dx of a convolution, and nothing else. So there is no new sum here: the trilinear form is that of ``standard.py`` with x
and y in each other's place, and of its three contractions

* dx is forward here, and forward is dx;
* dw is dw with the two arrays exchanged.

It is not the inverse: it gives back the shape that a convolution took, not the numbers.
"""

from typing import Unpack, overload

from npdsconv.ops import standard
from npdsconv.ops._elsewhere import TRANSPOSED, check_kernel, like_keras
from npdsconv.ops._memory import check_window_memory
from npdsconv.ops._tiers import Gradient, Tier, add_bias, bias_gradient, tier
from npdsconv.shapes import (
    Array,
    Geometry,
    PaddingLike,
    Stride,
    Window,
    check_counts,
    check_floats,
    check_ndim,
    check_needs,
    check_shape,
    resolve_transposed,
)

# ---- every tier is that of the convolution, transposed ---------------------------------------------------------


def transposed(direct: Tier) -> Tier:
    """The transpose of a tier of ``standard.py``."""

    def forward(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
        shape = (len(x), w.shape[1] * groups, *window.output)
        return add_bias(direct.dx(x, w, shape, _of_direct(window, x.shape), groups), b)

    def dx(dy: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
        return direct.forward(dy, w, None, _of_direct(window, shape), groups)

    def dw(dy: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
        return direct.dw(x, dy, shape, _of_direct(window, x.shape), groups)

    return Tier(forward, dx, dw)


def _of_direct(window: Window, shape: tuple[int, ...]) -> Window:
    """The window of the convolution that is transposed: what it gives is our input, of this shape."""
    return window._replace(output=(shape[2], shape[3]))


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {name: transposed(direct) for name, direct in standard.IMPLS.items()}


def conv_transpose2d(
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
    """Transposed convolution: the gradient dx of :func:`conv2d`, as an op.

    ``y[n, o, p, q] = b[o] + Σ w[c, k, u, v] · x[n, c, i, j]``  over all c of o's group g = o // (O/groups),
    k = o - g·O/groups, and all i, j, u, v with  i·sh + u·dh - top = p  and  j·sw + v·dw - left = q

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory layout
    w : (C, O/groups, KH, KW), as PyTorch has it: the weights of a convolution from O channels to C
    b : (O,), optional
    stride : int or (height, width): how far apart two pixels of x lie in y
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        That of the convolution: so many rows and columns are cut off y.
    dilation : int or (height, width)
    groups : int, divides C
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, O, OH, OW), with OH = (H - 1)·sh - top - bottom + dh·(KH - 1) + 1; with "same" and "same_lower" OH = H·sh

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit, groups that do not divide, no pixel in x, or none left in y.

    Notes
    -----
    N·C·O/groups·KH·KW·H·W multiply-adds: the size of x counts, not that of y. Where the stride does not divide the
    kernel, pixels of y get different numbers of terms, which shows as a chequered pattern.

    References
    ----------
    Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, arXiv:1603.07285, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> x, w = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 10, 100]]]])
    >>> conv_transpose2d(x, w, stride=2, impl="naive")[0, 0]  # 1 10 100 and, two further on, 2 20 200
    array([[  1.,  10., 102.,  20., 200.]])
    """
    op = "conv_transpose2d"
    chosen = tier(op, IMPLS, impl)
    window = check_conv_transpose2d(op, x, w, b, stride, padding, dilation, groups, impl)
    return chosen.forward(x, w, b, window, groups)


@overload
def conv_transpose2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., **how: Unpack[Geometry]
) -> tuple[Array, Array, Array]: ...
@overload
def conv_transpose2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., needs: tuple[str, ...], **how: Unpack[Geometry]
) -> tuple[Gradient, Gradient, Gradient]: ...
def conv_transpose2d_backward(
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
    """The gradients of :func:`conv_transpose2d`, given dy (N, O, OH, OW).

    ``dx = conv2d(dy, w)``, with the same stride, padding, dilation and groups

    ``dw[c, k, u, v] = Σ x[n, c, i, j] · dypad[n, g·O/groups + k, i·sh + u·dh, j·sw + v·dw]``  over n, i, j

    ``db[o] = Σ dy[n, o, p, q]``  over n, p, q

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "conv_transpose2d_backward"
    chosen = tier(op, IMPLS, impl)
    window = check_conv_transpose2d(op, x, w, None, stride, padding, dilation, groups, impl)
    check_floats(op, dy=dy, x=x)
    check_needs(op, needs, ("x", "w", "b"))
    check_shape(op, "dy", dy, (len(x), w.shape[1] * groups, *window.output), "N, O, OH, OW")
    dx = chosen.dx(dy, w, x.shape, window, groups) if "x" in needs else None
    dw = chosen.dw(dy, x, w.shape, window, groups) if "w" in needs else None
    db = bias_gradient(dy) if "b" in needs else None
    return dx, dw, db


def check_conv_transpose2d(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Stride,
    padding: PaddingLike,
    dilation: Stride,
    groups: int,
    impl: str,
) -> Window:
    """The geometry of a transposed convolution, if its arguments fit together."""
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C, H, W")
    check_ndim(op, "w", w, "C, O/groups, KH, KW")
    check_counts(op, groups=groups)
    outputs = w.shape[1] * groups
    standard.check_groups(op, x.shape[1], outputs, groups)
    if len(w) != x.shape[1]:
        raise ValueError(
            f"{op}: x has {x.shape[1]} channels, w reads {len(w)}: w is (C, O/groups, KH, KW)"
            f"{like_keras(w, 3, x.shape[1], TRANSPOSED)}"
        )
    check_kernel(op, w, TRANSPOSED)
    if b is not None:
        check_shape(op, "b", b, (outputs,), "O")
    size, kernel = (x.shape[2], x.shape[3]), (w.shape[2], w.shape[3])
    window = resolve_transposed(op, size, kernel, stride, padding, dilation)
    larger = len(x), outputs, *window.output
    check_window_memory(op, larger, x.dtype, _of_direct(window, x.shape), len(w), im2col=impl == "im2col")
    return window
