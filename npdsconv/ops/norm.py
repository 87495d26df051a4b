"""Batch normalisation over each channel of an image batch.

The subtle part is that the mean and the variance are functions of x too. Write x̂ = (x - mean)/σ with σ = √(var + eps)
and let g = dy·weight be the gradient for x̂. Every x enters y directly, through the mean and through the variance,
and the three paths add up to::

    dx = (g - mean(g) - x̂ · mean(g·x̂)) / σ        (means over n, i, j)

so dx has no component along 1 nor along x̂: shifting or stretching a channel does not change its output. With given
statistics (evaluation, frozen layers) they are constants and only the direct path is left: dx = g/σ.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict, Unpack, overload

import numpy as np

from npdsconv.ops._tiers import Gradient, tier
from npdsconv.ops.activations import BOUNDS, Bounds, check_cut
from npdsconv.shapes import Array, check_floats, check_ndim, check_needs, check_number, check_shape

_AXES = (0, 2, 3)


class Setting(TypedDict, total=False):
    """What backward has to know of forward, besides the arrays that it always needs."""

    given: bool
    eps: float
    activation: str | None
    bias: Array | None


class NormTier(NamedTuple):
    """One implementation of batch norm and the activation after it, which cuts to bounds."""

    forward: Callable[..., tuple[Array, Array, Array]]
    """(x, weight, bias, mean, var, eps, bounds) -> y, mean, var; statistics of None are taken from x."""
    backward: Callable[..., tuple[Array, Array, Array]]
    """(dy, x, weight, bias, mean, var, eps, bounds, given, needs) -> dx, dweight, dbias."""


# ---- NumPy: there are no windows, so this is the formula ------------------------------------------------------


def _numpy(
    x: Array, weight: Array, bias: Array, mean: Array | None, var: Array | None, eps: float, bounds: Bounds
) -> tuple[Array, Array, Array]:
    if mean is None or var is None:
        mean, var = _statistics(x)
    y = _normalise(x, mean, _scale(weight, var, eps), bias)
    return y if bounds == BOUNDS[None] else y.clip(*map(x.dtype.type, bounds)), mean, var


def _numpy_backward(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    bounds: Bounds,
    given: bool,
    needs: tuple[str, ...],
) -> tuple[Array, Array, Array]:
    """The formula at the top, for h: dy where the activation let its argument through, else 0."""
    h = dy
    if bounds != BOUNDS[None]:
        z = _normalise(x, mean, _scale(weight, var, eps), bias)
        h = dy * ((z > bounds[0]) & (z < bounds[1]))
    inverse = _scale(np.ones_like(weight), var, eps)
    normalised = (x - _column(mean)) * _column(inverse)
    dbias = h.sum(axis=_AXES, dtype=np.float64).astype(x.dtype)
    dweight = (h * normalised).sum(axis=_AXES, dtype=np.float64).astype(x.dtype)
    dx = h
    if not given:
        count = x.dtype.type(x.size // x.shape[1])
        dx = h - _column(dbias / count) - normalised * _column(dweight / count)
    return dx * _column(weight * inverse), dweight, dbias


def _statistics(x: Array) -> tuple[Array, Array]:
    mean = x.mean(axis=_AXES, dtype=np.float64)
    var = ((x - _column(mean)) ** 2).mean(axis=_AXES)
    return mean.astype(x.dtype), var.astype(x.dtype)


def _scale(weight: Array, var: Array, eps: float) -> Array:
    """weight/√(var + eps), one number for each channel."""
    return weight / np.sqrt(var + var.dtype.type(eps))


def _normalise(x: Array, mean: Array, scale: Array, bias: Array) -> Array:
    # Subtracted first: x·scale + (bias - mean·scale) would cancel where the mean is large beside the deviation.
    return (x - _column(mean)) * _column(scale) + _column(bias)


def _column(per_channel: Array) -> Array:
    return per_channel.reshape(-1, 1, 1)


# ---- compiled -------------------------------------------------------------------------------------------------


def _loops(*arguments: Any) -> tuple[Array, Array, Array]:
    from npdsconv.kernels.loops import norm

    return norm.forward(*arguments)


def _loops_backward(*arguments: Any) -> tuple[Array, Array, Array]:
    from npdsconv.kernels.loops import norm

    return norm.backward(*arguments)


def _numba(*arguments: Any) -> tuple[Array, Array, Array]:
    from npdsconv.kernels import norm

    return norm.forward(*arguments)


def _numba_backward(*arguments: Any) -> tuple[Array, Array, Array]:
    from npdsconv.kernels import norm

    return norm.backward(*arguments)


# ---- the public pair ------------------------------------------------------------------------------------------

_NUMPY = NormTier(_numpy, _numpy_backward)
IMPLS = {
    "naive": _NUMPY,
    "im2col": _NUMPY,
    "loops": NormTier(_loops, _loops_backward),
    "numba": NormTier(_numba, _numba_backward),
}


def batch_norm2d(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array | None = None,
    var: Array | None = None,
    *,
    eps: float = 1e-5,
    activation: str | None = None,
    impl: str = "numba",
) -> tuple[Array, Array, Array]:
    """Bring each channel to mean 0 and variance 1, then scale and shift it.

    ``y[n, c, i, j] = weight[c] · (x[n, c, i, j] - mean[c]) / √(var[c] + eps) + bias[c]``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    weight, bias : (C,)
    mean, var : (C,), both or neither
        The statistics to use. Left out, they are those of `x`: the mean over n, i, j and the variance with
        divisor N·H·W. Keeping running statistics is the layer's business.
    eps : float, at least 0
    activation : None, "relu" or "relu6"
        What is applied to the result, in the same pass over memory.
    impl : "naive", "im2col" or "numpy" (all three NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, C, H, W)
    mean, var : (C,), the statistics that were used; backward takes them

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit, one statistic without the other, or fewer than 2 values in a channel.

    References
    ----------
    Ioffe and Szegedy, *Batch Normalization*, ICML 2015, arXiv:1502.03167.

    Examples
    --------
    >>> x = np.array([1.0, 2, 3, 6]).reshape(4, 1, 1, 1)
    >>> y, mean, var = batch_norm2d(x, np.ones(1), np.zeros(1), impl="numpy")
    >>> mean, var
    (array([3.]), array([3.5]))
    """
    op = "batch_norm2d"
    chosen = tier(op, IMPLS, impl)
    bounds = check_batch_norm(op, x, weight, bias, mean, var, eps, activation)
    return chosen.forward(x, weight, bias, mean, var, float(eps), bounds)


@overload
def batch_norm2d_backward(
    dy: Array, x: Array, weight: Array, mean: Array, var: Array, *, impl: str = ..., **how: Unpack[Setting]
) -> tuple[Array, Array, Array]: ...
@overload
def batch_norm2d_backward(
    dy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    *,
    impl: str = ...,
    needs: tuple[str, ...],
    **how: Unpack[Setting],
) -> tuple[Gradient, Gradient, Gradient]: ...
def batch_norm2d_backward(
    dy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    *,
    given: bool = False,
    eps: float = 1e-5,
    activation: str | None = None,
    bias: Array | None = None,
    impl: str = "numba",
    needs: tuple[str, ...] = ("x", "weight", "bias"),
) -> tuple[Gradient, Gradient, Gradient]:
    """The gradients of :func:`batch_norm2d`, given dy (N, C, H, W): dx, dweight, dbias.

    ``dbias[c] = Σ g``, ``dweight[c] = Σ g · x̂``, and dx as derived at the top of this file, with g = dy where the
    activation let its argument through and 0 elsewhere. With an activation, forward's `bias` is needed to know where
    that was.

    `mean` and `var` are what forward returned; ``given=True`` says that they were handed to forward, so that
    they are constants. Gradients not named in `needs` come back as None.
    """
    op = "batch_norm2d_backward"
    chosen, bounds = tier(op, IMPLS, impl), check_cut(op, activation)
    eps = check_number(op, "eps", eps, 0)
    _check(op, x, weight, mean=mean, var=var, **({} if bias is None else {"bias": bias}))
    if mean is None or var is None:
        raise TypeError(f"{op}: mean and var must be what batch_norm2d returned, got None")
    if activation is not None and bias is None:
        raise TypeError(
            f"{op}: activation {activation!r} needs the bias that batch_norm2d was given, got None"
        )
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, x.shape, "N, C, H, W")
    check_needs(op, needs, ("x", "weight", "bias"))
    bias = np.zeros_like(weight) if bias is None else bias
    dx, dweight, dbias = chosen.backward(dy, x, weight, bias, mean, var, eps, bounds, bool(given), needs)
    return (
        dx if "x" in needs else None,
        dweight if "weight" in needs else None,
        dbias if "bias" in needs else None,
    )


def check_batch_norm(
    op: str,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array | None,
    var: Array | None,
    eps: float,
    activation: str | None,
) -> Bounds:
    """What batch norm is given fits together, and statistics are given or can be had; the activation's bounds."""
    bounds = check_cut(op, activation)
    check_number(op, "eps", eps, 0)
    _check(op, x, weight, bias=bias, mean=mean, var=var)
    if (mean is None) != (var is None):
        raise ValueError(f"{op}: give both mean and var, or neither")
    count = x.size // max(1, x.shape[1])
    if mean is None and count < 2:
        raise ValueError(
            f"{op}: batch statistics need at least 2 values in a channel, got N·H·W = {count} from shape {x.shape}"
        )
    return bounds


def _check(op: str, x: Array, weight: Array, **per_channel: Any) -> None:
    check_floats(op, x=x, weight=weight, **per_channel)
    check_ndim(op, "x", x, "N, C, H, W")
    for name, value in {"weight": weight, **per_channel}.items():
        if value is not None:
            check_shape(op, name, value, (x.shape[1],), "C")
    check_variance(op, "var", per_channel.get("var"))


def check_variance(op: str, name: str, var: Array | None) -> None:
    """No variance is negative; one that is NaN is let through, as every NaN is."""
    if var is not None and (var < 0).any():
        c = int(np.flatnonzero(var < 0)[0])
        raise ValueError(f"{op}: {name} must be at least 0, got {var[c]} in channel {c}")
