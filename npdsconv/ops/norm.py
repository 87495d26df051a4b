"""Batch normalisation over each channel of an image batch.

The subtle part is that the mean and the variance are functions of x too. Write x̂ = (x - mean)/σ with σ = √(var + eps)
and let g = dy·weight be the gradient for x̂. Every x enters y directly, through the mean and through the variance,
and the three paths add up to::

    dx = (g - mean(g) - x̂ · mean(g·x̂)) / σ        (means over n, i, j)

so dx has no component along 1 nor along x̂: shifting or stretching a channel does not change its output. With given
statistics (evaluation, frozen layers) they are constants and only the direct path is left: dx = g/σ.
"""

from typing import Any

import numpy as np

from npdsconv.shapes import (
    Array,
    check_choice,
    check_floats,
    check_ndim,
    check_needs,
    check_shape,
)

IMPLS = ("numpy", "numba")
_AXES = (0, 2, 3)


def batch_norm2d(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array | None = None,
    var: Array | None = None,
    *,
    eps: float = 1e-5,
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
    eps : float
    impl : "numpy" or "numba"

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
    _check(op, x, weight, impl, bias=bias, mean=mean, var=var)
    if (mean is None) != (var is None):
        raise ValueError(f"{op}: give both mean and var, or neither")
    if mean is None or var is None:
        count = x.size // max(1, x.shape[1])
        if count < 2:
            raise ValueError(
                f"{op}: batch statistics need at least 2 values in a channel, got N·H·W = {count} from shape {x.shape}"
            )
        mean, var = _statistics(x, impl)
    scale = weight / np.sqrt(var + x.dtype.type(eps))
    if impl == "numba":
        from npdsconv.kernels import norm

        return norm.normalise(x, mean, scale, bias), mean, var
    # Subtracted first: x·scale + (bias - mean·scale) would cancel where the mean is large beside the deviation.
    return (x - _column(mean)) * _column(scale) + _column(bias), mean, var


def batch_norm2d_backward(
    dy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    var: Array,
    *,
    given: bool = False,
    eps: float = 1e-5,
    impl: str = "numba",
    needs: tuple[str, ...] = ("x", "weight", "bias"),
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of :func:`batch_norm2d`, given dy (N, C, H, W): dx, dweight, dbias.

    ``dbias[c] = Σ dy``, ``dweight[c] = Σ dy · x̂``, and dx as derived at the top of this file.

    `mean` and `var` are what forward returned; ``given=True`` says that they were handed to forward, so that
    they are constants. Gradients not named in `needs` come back as None.
    """
    op = "batch_norm2d_backward"
    _check(op, x, weight, impl, mean=mean, var=var)
    if mean is None or var is None:
        raise TypeError(f"{op}: mean and var must be what batch_norm2d returned, got None")
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, x.shape, "N, C, H, W")
    check_needs(op, needs, ("x", "weight", "bias"))
    inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
    along_1, along_xhat = np.zeros((2, x.shape[1]))
    if not given or {"weight", "bias"} & set(needs):
        along_1, centred = _gradient_sums(dy, x, mean, impl)
        along_xhat = centred * inverse
    dx = None
    if "x" in needs:
        dx = _input_gradient(dy, x, weight, mean, inverse, along_1, along_xhat, given, impl)
    dweight = along_xhat.astype(x.dtype) if "weight" in needs else None
    dbias = along_1.astype(x.dtype) if "bias" in needs else None
    return dx, dweight, dbias


def _input_gradient(
    dy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inverse: Array,
    along_1: Array,
    along_xhat: Array,
    given: bool,
    impl: str,
) -> Array:
    """dx = a·dy + b·(x - mean) + c, one a, b, c for each channel: the formula above, sorted by dy, x and the rest."""
    a = weight * inverse
    count = np.inf if given else x.size / x.shape[1]
    b = -a * inverse * along_xhat / count
    c = -a * along_1 / count
    a, b, c = (v.astype(x.dtype) for v in (a, b, c))
    if impl == "numba":
        from npdsconv.kernels import norm

        return norm.combine(dy, a, x, mean, b, c)
    return dy * _column(a) + ((x - _column(mean)) * _column(b) + _column(c))


def _statistics(x: Array, impl: str) -> tuple[Array, Array]:
    if impl == "numba":
        from npdsconv.kernels import norm

        return norm.statistics(x)
    mean = x.mean(axis=_AXES, dtype=np.float64)
    var = ((x - _column(mean)) ** 2).mean(axis=_AXES)
    return mean.astype(x.dtype), var.astype(x.dtype)


def _gradient_sums(dy: Array, x: Array, mean: Array, impl: str) -> tuple[Array, Array]:
    """Σ dy and Σ dy·(x - mean) for each channel, in float64."""
    if impl == "numba":
        from npdsconv.kernels import norm

        return norm.gradient_sums(dy, x, mean)
    return dy.sum(axis=_AXES, dtype=np.float64), (dy * (x - _column(mean))).sum(axis=_AXES, dtype=np.float64)


def _column(per_channel: Array) -> Array:
    return per_channel.reshape(-1, 1, 1)


def _check(op: str, x: Array, weight: Array, impl: str, **per_channel: Any) -> None:
    check_choice(op, "impl", impl, IMPLS)
    check_floats(op, x=x, weight=weight, **per_channel)
    check_ndim(op, "x", x, "N, C, H, W")
    for name, value in {"weight": weight, **per_channel}.items():
        if value is not None:
            check_shape(op, name, value, (x.shape[1],), "C")
