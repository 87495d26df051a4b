"""Scaling channels: each channel of each image is multiplied by a number of its own, as squeeze-and-excite does."""

from collections.abc import Callable
from typing import NamedTuple, overload

import numpy as np

from npdsconv import layout
from npdsconv.ops._tiers import Gradient, tier
from npdsconv.shapes import Array, check_floats, check_ndim, check_needs, check_shape


class ScaleTier(NamedTuple):
    """One implementation. A product is its own gradient with the other factor, so dx is forward with dy for x."""

    forward: Callable[[Array, Array], Array]  # (x, s) -> y
    ds: Callable[[Array, Array], Array]  # (dy, x) -> ds


# ---- NumPy: there are no windows, so this is the formula -------------------------------------------------------


def _numpy(x: Array, s: Array) -> Array:
    return layout.nchw(layout.nhwc(x) * s.transpose(0, 2, 3, 1))


def _numpy_ds(dy: Array, x: Array) -> Array:
    return (dy * x).sum(axis=(2, 3), keepdims=True, dtype=np.float64).astype(x.dtype)


# ---- compiled ---------------------------------------------------------------------------------------------------
# The plain loop is the fast tier too. On 6 MB it takes as long as the tuned ReLU (0.51 against 0.48 ms); on 26 MB it is
# still 3.7 times slower (10.6 against 2.9 ms; one thread, in turns, a busy machine), so a tuned one would pay there.


def _loops(x: Array, s: Array) -> Array:
    from npdsconv.kernels.loops import scaling

    return scaling.forward(x, s)


def _loops_ds(dy: Array, x: Array) -> Array:
    from npdsconv.kernels.loops import scaling

    return scaling.scale_gradient(dy, x)


# ---- the public pair ------------------------------------------------------------------------------------------

_NUMPY, _LOOPS = ScaleTier(_numpy, _numpy_ds), ScaleTier(_loops, _loops_ds)
IMPLS = {"naive": _NUMPY, "im2col": _NUMPY, "loops": _LOOPS, "numba": _LOOPS}


def scale_channels(x: Array, s: Array, *, impl: str = "numba") -> Array:
    """``y[n, c, i, j] = s[n, c, 0, 0] · x[n, c, i, j]``.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    s : (N, C, 1, 1)
    impl : "naive", "im2col" or "numpy" (all three NumPy), "loops" or "numba" (both the same compiled loop)

    Returns
    -------
    y : the shape of x

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit.

    References
    ----------
    Hu, Shen, Sun, *Squeeze-and-Excitation Networks*, arXiv:1709.01507, formula 4.

    Examples
    --------
    >>> x, s = np.array([[[[1.0, 2]], [[3, 4]]]]), np.array([[[[10.0]], [[0]]]])
    >>> scale_channels(x, s, impl="numpy")[0, :, 0]
    array([[10., 20.],
           [ 0.,  0.]])
    """
    op = "scale_channels"
    chosen = tier(op, IMPLS, impl)
    _check(op, x, s)
    return chosen.forward(x, s)


@overload
def scale_channels_backward(dy: Array, x: Array, s: Array, *, impl: str = ...) -> tuple[Array, Array]: ...
@overload
def scale_channels_backward(
    dy: Array, x: Array, s: Array, *, impl: str = ..., needs: tuple[str, ...]
) -> tuple[Gradient, Gradient]: ...
def scale_channels_backward(
    dy: Array, x: Array, s: Array, *, impl: str = "numba", needs: tuple[str, ...] = ("x", "s")
) -> tuple[Gradient, Gradient]:
    """``dx[n, c, i, j] = s[n, c, 0, 0] · dy[n, c, i, j]`` and ``ds[n, c, 0, 0] = Σ dy[n, c, i, j] · x[n, c, i, j]``.

    Gradients not named in `needs` come back as None and cost nothing.
    """
    op = "scale_channels_backward"
    chosen = tier(op, IMPLS, impl)
    _check(op, x, s)
    check_floats(op, dy=dy, x=x)
    check_needs(op, needs, ("x", "s"))
    check_shape(op, "dy", dy, x.shape, "the shape of x")
    dx = chosen.forward(dy, s) if "x" in needs else None
    ds = chosen.ds(dy, x) if "s" in needs else None
    return dx, ds


def _check(op: str, x: Array, s: Array) -> None:
    check_floats(op, x=x, s=s)
    check_ndim(op, "x", x, "N, C, H, W")
    check_shape(op, "s", s, (*x.shape[:2], 1, 1), "N, C, 1, 1")
