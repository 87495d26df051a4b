"""A standard convolution with the batch norm and activation after it, as one op: how networks begin.

It is :func:`conv2d` without bias, then :func:`batch_norm2d`, and three of its four tiers are just that.
``impl="numba"`` takes fewer passes over memory: the convolution takes the sums for the statistics of each image it has
just made, and where nobody needs dx, the gradient for the convolution's output exists for one image at a time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Unpack

import numpy as np

from npdsconv.ops._tiers import tier
from npdsconv.ops.activations import BOUNDS
from npdsconv.ops.norm import batch_norm2d, batch_norm2d_backward, check_batch_norm
from npdsconv.ops.standard import check_conv2d, conv2d, conv2d_backward
from npdsconv.shapes import Array, Geometry, Window, check_floats, check_needs, check_shape

ARRAYS = ("x", "w", "weight", "bias")


class Weights(NamedTuple):
    """The parameters, in the order in which they act."""

    w: Array  # (O, C/groups, KH, KW)
    weight: Array  # (O,), of the batch norm
    bias: Array


class Saved(NamedTuple):
    """What forward leaves for backward."""

    p: Array  # (N, O, OH, OW), the convolution's output
    mean: Array  # (O,), the statistics that p was normalised with
    var: Array


class Setting(NamedTuple):
    """All that is not an array, checked."""

    window: Window  # of the convolution
    groups: int
    eps: float
    activation: str | None
    given: bool = False  # whether the statistics are constants

    @property
    def geometry(self) -> Geometry:
        """As :func:`conv2d` takes it."""
        return {**self.window.steps, "groups": self.groups}


class NormedTier(NamedTuple):
    """One implementation."""

    forward: Callable[..., tuple[Array, Saved]]  # (x, weights, statistics, setting) -> y, saved
    backward: Callable[..., tuple[Any, ...]]  # (dy, x, saved, weights, setting, needs) -> gradients


# ---- naive, im2col, loops: two ops of that tier -----------------------------------------------------------------


def composed(
    impl: str, x: Array, weights: Weights, known: tuple[Any, Any], setting: Setting
) -> tuple[Array, Saved]:
    """The convolution, then batch norm."""
    w, weight, bias = weights
    p = conv2d(x, w, impl=impl, **setting.geometry)
    y, mean, var = batch_norm2d(
        p, weight, bias, *known, eps=setting.eps, activation=setting.activation, impl=impl
    )
    return y, Saved(p, mean, var)


def composed_backward(
    impl: str,
    dy: Array,
    x: Array,
    saved: Saved,
    weights: Weights,
    setting: Setting,
    needs: tuple[str, ...],
) -> tuple[Any, ...]:
    """The same backwards."""
    (w, weight, bias), (p, mean, var) = weights, saved
    inner = tuple(name for name in ("x", "w") if name in needs)
    outer = tuple(name for name in ("weight", "bias") if name in needs) + (("x",) if inner else ())
    dp, dweight, dbias = batch_norm2d_backward(
        dy,
        p,
        weight,
        mean,
        var,
        given=setting.given,
        eps=setting.eps,
        activation=setting.activation,
        bias=bias,
        impl=impl,
        needs=outer,
    )
    if not inner:
        return None, None, dweight, dbias
    dx, dw, _ = conv2d_backward(dp, x, w, impl=impl, needs=inner, **setting.geometry)
    return dx, dw, dweight, dbias


# ---- numba ------------------------------------------------------------------------------------------------------


def _numba(x: Array, weights: Weights, known: tuple[Any, Any], setting: Setting) -> tuple[Array, Saved]:
    from npdsconv.kernels import norm, standard

    w, weight, bias = weights
    sums = np.empty((len(x), 3, len(w)), x.dtype) if known[0] is None else None
    p = standard.forward(x, w, None, setting.window, setting.groups, sums=sums)
    y, mean, var = norm.forward(p, weight, bias, *known, setting.eps, BOUNDS[setting.activation], sums)
    return y, Saved(p, mean, var)


def _numba_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    weights: Weights,
    setting: Setting,
    needs: tuple[str, ...],
) -> tuple[Any, ...]:
    if "x" in needs or "w" not in needs:  # the gradient for p is needed as a whole, or not at all
        return composed_backward("numba", dy, x, saved, weights, setting, needs)
    from npdsconv.kernels import norm, standard

    (w, weight, bias), (p, mean, var) = weights, saved
    how = setting.eps, BOUNDS[setting.activation], setting.given
    dweight, dbias, through = norm.backward_to(dy, p, weight, bias, mean, var, *how)
    dw = standard.weight_gradient(dy, x, w.shape, setting.window, setting.groups, through)
    return None, dw, dweight, dbias


# ---- the public pair --------------------------------------------------------------------------------------------

IMPLS = {
    **{
        impl: NormedTier(partial(composed, impl), partial(composed_backward, impl))
        for impl in ("naive", "im2col", "loops")
    },
    "numba": NormedTier(_numba, _numba_backward),
}


def normed_conv2d(
    x: Array,
    w: Array,
    weight: Array,
    bias: Array,
    mean: Array | None = None,
    var: Array | None = None,
    *,
    eps: float = 1e-5,
    activation: str | None = None,
    impl: str = "numba",
    **geometry: Unpack[Geometry],
) -> tuple[Array, Saved]:
    """``y = act(norm(conv2d(x, w)))``.

    Parameters
    ----------
    x, w : (N, C, H, W), (O, C/groups, KH, KW)
    weight, bias, mean, var, eps, activation : as for :func:`batch_norm2d`
    impl : "naive", "im2col" or "loops" (two ops of that tier), or "numba" (fewer passes over memory)
    geometry : stride, padding, dilation and groups, as for :func:`conv2d`

    Returns
    -------
    y : (N, O, OH, OW)
    saved : Saved, which backward takes

    Raises
    ------
    TypeError, ValueError
        As the two ops do.
    """
    op = "normed_conv2d"
    chosen, window = tier(op, IMPLS, impl), _check(op, x, w, geometry)
    check_batch_norm(op, _like(x, w, window), weight, bias, mean, var, eps, activation)
    setting = Setting(window, geometry.get("groups", 1), float(eps), activation)
    return chosen.forward(x, Weights(w, weight, bias), (mean, var), setting)


def normed_conv2d_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    w: Array,
    weight: Array,
    bias: Array,
    *,
    given: bool = False,
    eps: float = 1e-5,
    activation: str | None = None,
    impl: str = "numba",
    needs: tuple[str, ...] = ARRAYS,
    **geometry: Unpack[Geometry],
) -> tuple[Any, ...]:
    """The gradients of :func:`normed_conv2d`, given dy (N, O, OH, OW): dx, dw, dweight, dbias.

    `given` says that the statistics were handed to forward, so that they are constants. Gradients not named in `needs`
    come back as None.
    """
    op = "normed_conv2d_backward"
    chosen, window = tier(op, IMPLS, impl), _check(op, x, w, geometry)
    check_needs(op, needs, ARRAYS)
    like = _like(x, w, window)
    if not isinstance(saved, tuple) or len(saved) != len(Saved._fields):
        raise TypeError(f"{op}: saved must be what normed_conv2d returned, got {type(saved).__name__}")
    p, mean, var = saved
    check_batch_norm(op, like, weight, bias, mean, var, eps, activation)
    check_floats(op, **{"dy": dy, "x": x, "saved.p": p})
    check_shape(op, "dy", dy, like.shape, "N, O, OH, OW")
    check_shape(op, "saved.p", p, like.shape, "forward was called with other arguments")
    setting = Setting(window, geometry.get("groups", 1), float(eps), activation, bool(given))
    found = chosen.backward(dy, x, Saved(*saved), Weights(w, weight, bias), setting, needs)
    return tuple(gradient if name in needs else None for name, gradient in zip(ARRAYS, found, strict=True))


def _check(op: str, x: Array, w: Array, geometry: Geometry) -> Window:
    unknown = sorted(set(geometry) - set(Geometry.__annotations__))
    if unknown:
        raise TypeError(f"{op}: unknown arguments {', '.join(unknown)}; stride, padding, dilation, groups")
    return check_conv2d(op, x, w, None, **geometry)


def _like(x: Array, w: Array, window: Window) -> Array:
    """An array of the shape and dtype of the convolution's output, without its memory: for checks."""
    return np.broadcast_to(x.dtype.type(0), (len(x), len(w), *window.output))
