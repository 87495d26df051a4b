"""The dense (fully connected) layer: a pointwise convolution of an image that is one pixel large."""

from typing import overload

from npdsconv.ops._elsewhere import check_matrix, like_keras_matrix
from npdsconv.ops._memory import check_memory
from npdsconv.ops._tiers import Gradient, Tier, add_bias, bias_gradient, tier
from npdsconv.shapes import Array, check_floats, check_ndim, check_needs, check_shape

# ---- NumPy: there is no window, so the matrix product is the formula -------------------------------------------


def _numpy(x: Array, w: Array, b: Array | None) -> Array:
    return add_bias(x @ w.T, b)


def _numpy_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    return dy @ w


def _numpy_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    return dy.T @ x


# ---- loops ----------------------------------------------------------------------------------------------------


def _loops(x: Array, w: Array, b: Array | None) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.product(x, w, b)


def _loops_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.product_of(dy, w)


def _loops_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels.loops import pointwise

    return pointwise.product_of_transposed(dy, x)


# ---- numba: no BLAS here either, whose threads, once woken, keep spinning and take the core that we need -------


def _numba(x: Array, w: Array, b: Array | None) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.product(x, w, b)


def _numba_dx(dy: Array, w: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.product_of(dy, w)


def _numba_dw(dy: Array, x: Array, shape: tuple[int, ...]) -> Array:
    from npdsconv.kernels import pointwise

    return pointwise.dense_weight_gradient(dy, x)


# ---- the public pair ------------------------------------------------------------------------------------------

_NUMPY = Tier(_numpy, _numpy_dx, _numpy_dw)
IMPLS = {
    "naive": _NUMPY,
    "im2col": _NUMPY,
    "loops": Tier(_loops, _loops_dx, _loops_dw),
    "numba": Tier(_numba, _numba_dx, _numba_dw),
}


def linear(x: Array, w: Array, b: Array | None = None, *, impl: str = "numba") -> Array:
    """``y[n, o] = b[o] + Σ_c w[o, c] · x[n, c]``.

    Parameters
    ----------
    x : (N, C) float32 or float64
    w : (O, C)
    b : (O,), optional
    impl : "naive", "im2col" or "numpy" (all three NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, O)

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2]]), np.array([[1.0, 1], [0, 3]]), np.array([10.0, 0]), impl="numpy")
    array([[13.,  6.]])
    """
    op = "linear"
    chosen = tier(op, IMPLS, impl)
    _check(op, x, w, b)
    return chosen.forward(x, w, b)


@overload
def linear_backward(dy: Array, x: Array, w: Array, *, impl: str = ...) -> tuple[Array, Array, Array]: ...
@overload
def linear_backward(
    dy: Array, x: Array, w: Array, *, impl: str = ..., needs: tuple[str, ...]
) -> tuple[Gradient, Gradient, Gradient]: ...
def linear_backward(
    dy: Array, x: Array, w: Array, *, impl: str = "numba", needs: tuple[str, ...] = ("x", "w", "b")
) -> tuple[Gradient, Gradient, Gradient]:
    """The gradients of :func:`linear`, given dy (N, O): ``dx = dy @ w``, ``dw = dyᵀ @ x``, ``db = Σ_n dy``.

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "linear_backward"
    chosen = tier(op, IMPLS, impl)
    _check(op, x, w, None)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, (len(x), len(w)), "N, O")
    check_needs(op, needs, ("x", "w", "b"))
    dx = chosen.dx(dy, w, x.shape) if "x" in needs else None
    dw = chosen.dw(dy, x, w.shape) if "w" in needs else None
    db = bias_gradient(dy) if "b" in needs else None
    return dx, dw, db


def _check(op: str, x: Array, w: Array, b: Array | None) -> None:
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C")
    check_matrix(op, w)
    if w.shape[1] != x.shape[1]:
        raise ValueError(
            f"{op}: x has {x.shape[1]} features, w reads {w.shape[1]}: w is (O, C)"
            f"{like_keras_matrix(w, x.shape[1])}"
        )
    if b is not None:
        check_shape(op, "b", b, (len(w),), "O")
    check_memory(op, "an output", (len(x), len(w)), x.dtype)
