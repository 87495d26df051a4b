"""The dense (fully connected) layer: a pointwise convolution of an image that is one pixel large."""

import numpy as np

from npdsconv.shapes import Array, check_choice, check_floats, check_ndim, check_needs, check_shape

IMPLS = ("numpy", "numba")


def linear(x: Array, w: Array, b: Array | None = None, *, impl: str = "numba") -> Array:
    """``y[n, o] = b[o] + Σ_c w[o, c] · x[n, c]``.

    Parameters
    ----------
    x : (N, C) float32 or float64
    w : (O, C)
    b : (O,), optional
    impl : "numpy" or "numba"
        In the fast tier even a small product runs in our own loop: a BLAS thread, once woken, keeps spinning
        and takes the core that the next kernel needs.

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
    >>> linear(np.array([[1.0, 2]]), np.array([[1.0, 1], [0, 3]]), np.array([10.0, 0]), impl="numpy")
    array([[13.,  6.]])
    """
    _check("linear", x, w, b, impl)
    if impl == "numba":
        from npdsconv.kernels import pointwise

        return pointwise.product(x, w, b)
    y = x @ w.T
    return y if b is None else y + b


def linear_backward(
    dy: Array, x: Array, w: Array, *, impl: str = "numba", needs: tuple[str, ...] = ("x", "w", "b")
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of :func:`linear`, given dy (N, O): ``dx = dy @ w``, ``dw = dyᵀ @ x``, ``db = Σ_n dy``."""
    op = "linear_backward"
    _check(op, x, w, None, impl)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, (len(x), len(w)), "N, O")
    check_needs(op, needs, ("x", "w", "b"))
    dx = dw = None
    if impl == "numba":
        from npdsconv.kernels import pointwise

        dx = pointwise.product_of(dy, w) if "x" in needs else None
        dw = pointwise.dense_weight_gradient(dy, x) if "w" in needs else None
    else:
        dx = dy @ w if "x" in needs else None
        dw = dy.T @ x if "w" in needs else None
    db = dy.sum(axis=0, dtype=np.float64).astype(dy.dtype) if "b" in needs else None
    return dx, dw, db


def _check(op: str, x: Array, w: Array, b: Array | None, impl: str) -> None:
    check_choice(op, "impl", impl, IMPLS)
    check_floats(op, x=x, w=w, b=b)
    check_ndim(op, "x", x, "N, C")
    check_ndim(op, "w", w, "O, C")
    if w.shape[1] != x.shape[1]:
        raise ValueError(f"{op}: x has {x.shape[1]} features, w reads {w.shape[1]}: w is (O, C)")
    if b is not None:
        check_shape(op, "b", b, (len(w),), "O")
