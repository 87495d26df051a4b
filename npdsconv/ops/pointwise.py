"""Pointwise (1×1) convolution: at every pixel one O×C matrix acts on the channel vector.

It mixes channels and looks at no neighbour. There is no im2col to do: a window of one pixel *is* that pixel, so
im2col is the identity and the whole operator is a single matrix product over the N·H·W pixels. On channels-last
memory not even a transpose is needed::

    y (N·H·W, O)  =  x (N·H·W, C) @ wᵀ (C, O)
"""

from typing import overload

import numpy as np

from npdsconv.ops._elsewhere import check_matrix, like_keras_matrix
from npdsconv.ops._memory import check_memory
from npdsconv.ops._tiers import Gradient, Terms, Tier, add_bias, bias_gradient, tier
from npdsconv.ops.activations import check_cut
from npdsconv.shapes import Array, check_floats, check_ndim, check_needs, check_shape, likely_layout

# ---- naive: the formula, index by index -----------------------------------------------------------------------


def _terms(x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> Terms:
    """Every term of the trilinear form Σ dy[n,o,i,j] · w[o,c] · x[n,c,i,j]: its three indices."""
    n_images, _, height, width = x_shape
    for n, o, i, j in np.ndindex(n_images, w_shape[0], height, width):
        for c in range(w_shape[1]):
            yield (n, o, i, j), (o, c), (n, c, i, j)


def naive(x: Array, w: Array, b: Array | None) -> Array:
    y = np.zeros((len(x), len(w), *x.shape[2:]), x.dtype)
    for at_y, at_w, at_x in _terms(x.shape, w.shape):
        y[at_y] += w[at_w] * x[at_x]
    return add_bias(y, b)


def naive_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    dx = np.zeros(shape, dy.dtype)
    for at_y, at_w, at_x in _terms(shape, w.shape):
        dx[at_x] += dy[at_y] * w[at_w]
    return dx


def naive_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    dw = np.zeros(shape, dy.dtype)
    for at_y, at_w, at_x in _terms(x.shape, shape):
        dw[at_w] += dy[at_y] * x[at_x]
    return dw


# ---- im2col: the identity, then one product for each image ----------------------------------------------------


def _pixels(x: Array) -> Array:
    """(N, C, H, W) as (N, C, H·W): one matrix for each image."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h * w)


def im2col(x: Array, w: Array, b: Array | None) -> Array:
    y = w @ _pixels(x)
    return add_bias(y.reshape(len(x), len(w), *x.shape[2:]), b)


def im2col_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    return (w.T @ _pixels(dy)).reshape(shape)


def im2col_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    return (_pixels(dy) @ _pixels(x).swapaxes(1, 2)).sum(axis=0)


# ---- loops: one row of the product after the other, compiled ---------------------------------------------------


def _loops(x: Array, w: Array, b: Array | None) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.forward(x, w, b)


def _loops_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.input_gradient(dy, w)


def _loops_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.weight_gradient(dy, x)


# ---- numba: blocks of rows of the one product, in parallel -----------------------------------------------------


def _numba(x: Array, w: Array, b: Array | None) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.forward(x, w, b)


def _numba_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.input_gradient(dy, w)


def _numba_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.weight_gradient(dy, x)


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {
    "naive": Tier(naive, naive_dx, naive_dw),
    "im2col": Tier(im2col, im2col_dx, im2col_dw),
    "loops": Tier(_loops, _loops_dx, _loops_dw),
    "numba": Tier(_numba, _numba_dx, _numba_dw),
}


def pointwise_conv2d(x: Array, w: Array, b: Array | None = None, *, impl: str = "numba") -> Array:
    """Mix the channels of every pixel with one matrix.

    ``y[n, o, i, j] = b[o] + Σ_c w[o, c] · x[n, c, i, j]``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory layout
    w : (O, C); ``w[:, :, None, None]`` is PyTorch's layout
    b : (O,), optional
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, O, H, W)

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit.

    Notes
    -----
    N·O·C·H·W multiply-adds, and O·C weights.

    References
    ----------
    Lin, Chen, Yan, *Network In Network*, ICLR 2014, arXiv:1312.4400.

    Examples
    --------
    >>> x = np.array([1.0, 10]).reshape(1, 2, 1, 1)
    >>> pointwise_conv2d(x, np.array([[1.0, 1], [2, 0], [0, 3]]), impl="im2col").ravel()
    array([11.,  2., 30.])
    """
    op = "pointwise_conv2d"
    chosen = tier(op, IMPLS, impl)
    check_pointwise(op, x, w, b)
    return chosen.forward(x, w, b)


def activated_pointwise_conv2d(x: Array, w: Array, b: Array | None, activation: str) -> Array:
    """:func:`pointwise_conv2d` and an activation in one pass, for inference: see ``standard.activated_conv2d``."""
    from npdsconv.kernels import pointwise

    op = "activated_pointwise_conv2d"
    bounds = check_cut(op, activation)
    check_pointwise(op, x, w, b)
    return pointwise.forward(x, w, b, bounds)


@overload
def pointwise_conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ...
) -> tuple[Array, Array, Array]: ...
@overload
def pointwise_conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., needs: tuple[str, ...]
) -> tuple[Gradient, Gradient, Gradient]: ...
def pointwise_conv2d_backward(
    dy: Array, x: Array, w: Array, *, impl: str = "numba", needs: tuple[str, ...] = ("x", "w", "b")
) -> tuple[Gradient, Gradient, Gradient]:
    """The gradients of :func:`pointwise_conv2d`, given dy (N, O, H, W).

    ``dx[n, c, i, j] = Σ_o w[o, c] · dy[n, o, i, j]``

    ``dw[o, c] = Σ_nij dy[n, o, i, j] · x[n, c, i, j]``

    ``db[o] = Σ_nij dy[n, o, i, j]``

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "pointwise_conv2d_backward"
    chosen = tier(op, IMPLS, impl)
    check_pointwise(op, x, w, None)
    check_floats(op, dy=dy, x=x)
    check_needs(op, needs, ("x", "w", "b"))
    check_shape(op, "dy", dy, (len(x), len(w), *x.shape[2:]), "N, O, H, W")
    dx = chosen.dx(dy, w, x.shape) if "x" in needs else None
    dw = chosen.dw(dy, x, w.shape) if "w" in needs else None
    db = bias_gradient(dy) if "b" in needs else None
    return dx, dw, db


def check_pointwise(op: str, x: Array, w: Array, b: Array | None) -> None:
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C, H, W")
    check_matrix(op, w)
    if w.shape[1] != x.shape[1]:
        raise ValueError(
            f"{op}: x has {x.shape[1]} channels, w reads {w.shape[1]}: w is (O, C)"
            f"{likely_layout(x, w.shape[1])}{like_keras_matrix(w, x.shape[1])}"
        )
    if b is not None:
        check_shape(op, "b", b, (len(w),), "O")
    check_memory(op, "an output", (len(x), len(w), *x.shape[2:]), x.dtype)
