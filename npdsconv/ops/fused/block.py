"""The depthwise separable block as one op: depthwise, batch norm, activation, pointwise, batch norm, activation.

It is the composition of six ops of this package, forward and backward: three of its four tiers are just that, in the
tier of that name; read them first. ``impl="numba"`` computes the same numbers in fewer passes over memory
(``npdsconv/kernels/block.py``). Neither keeps anything in secret: what backward needs besides forward's arguments is
`Saved`, which forward returns.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

from npdsconv.ops._memory import check_memory, check_window_memory
from npdsconv.ops._tiers import tier
from npdsconv.ops.activations import BOUNDS, FUNCTIONS
from npdsconv.ops.depthwise import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.ops.norm import batch_norm2d, batch_norm2d_backward, check_variance
from npdsconv.ops.pointwise import pointwise_conv2d, pointwise_conv2d_backward
from npdsconv.shapes import (
    Array,
    PaddingLike,
    Stride,
    Window,
    check_choice,
    check_floats,
    check_ndim,
    check_needs,
    check_number,
    check_shape,
    resolve_window,
)

ARRAYS = ("x", "depthwise", "weight1", "bias1", "pointwise", "weight2", "bias2")
Activations = tuple[str | None, str | None]
Bounds = tuple[float, float]


class Weights(NamedTuple):
    """The block's parameters, in the order in which they act."""

    depthwise: Array  # (C, M, KH, KW)
    weight1: Array  # (C·M,), of the first batch norm
    bias1: Array
    pointwise: Array  # (O, C·M)
    weight2: Array  # (O,), of the second
    bias2: Array


class Statistics(NamedTuple):
    """The statistics of the two batch norms; those that are None are taken from the batch."""

    mean1: Array | None = None  # (C·M,)
    var1: Array | None = None
    mean2: Array | None = None  # (O,)
    var2: Array | None = None


class Saved(NamedTuple):
    """What forward leaves for backward."""

    d: Array  # (N, C·M, OH, OW), the depthwise step's output
    p: Array  # (N, O, OH, OW), the pointwise step's output
    mean1: Array  # (C·M,), the statistics that d was normalised with
    var1: Array
    mean2: Array  # (O,), those of p
    var2: Array


SAVED = tuple(f"saved.{name}" for name in Saved._fields)  # as errors call them


class Setting(NamedTuple):
    """All that is not an array, checked."""

    window: Window  # of the depthwise step
    activations: Activations
    eps: tuple[float, float]

    @property
    def bounds(self) -> tuple[Bounds, Bounds]:
        """What the two activations cut their arguments to."""
        return BOUNDS[self.activations[0]], BOUNDS[self.activations[1]]


class BlockTier(NamedTuple):
    """One implementation of the block."""

    forward: Callable[..., tuple[Array, Saved]]  # (x, weights, statistics, setting) -> y, saved
    backward: Callable[..., tuple[Any, ...]]  # (dy, x, saved, weights, given, setting, needs) -> gradients


# ---- naive, im2col, loops: six ops one after another, all of that tier ------------------------------------------


def _act(impl: str, name: str | None, z: Array) -> Array:
    return z if name is None else FUNCTIONS[name].forward(z, impl=impl)


def _act_backward(impl: str, name: str | None, dy: Array, z: Array) -> Array:
    return dy if name is None else FUNCTIONS[name].backward(dy, z, impl=impl)


def composed(
    impl: str, x: Array, weights: Weights, known: Statistics, setting: Setting
) -> tuple[Array, Saved]:
    """The block, step by step."""
    (act1, act2), (eps1, eps2), how = setting.activations, setting.eps, setting.window.steps
    d = depthwise_conv2d(x, weights.depthwise, impl=impl, **how)
    z1, mean1, var1 = batch_norm2d(d, *weights[1:3], *known[:2], eps=eps1, impl=impl)
    p = pointwise_conv2d(_act(impl, act1, z1), weights.pointwise, impl=impl)
    z2, mean2, var2 = batch_norm2d(p, *weights[4:6], *known[2:], eps=eps2, impl=impl)
    return _act(impl, act2, z2), Saved(d, p, mean1, var1, mean2, var2)


def composed_backward(
    impl: str,
    dy: Array,
    x: Array,
    saved: Saved,
    weights: Weights,
    given: tuple[bool, bool],
    setting: Setting,
    needs: tuple[str, ...],
) -> tuple[Any, ...]:
    """The same steps backwards. What lies between d and p, and behind p, is computed again."""
    (act1, act2), (eps1, eps2), how = setting.activations, setting.eps, setting.window.steps
    depthwise, weight1, bias1, pointwise, weight2, bias2 = weights
    d, p, mean1, var1, mean2, var2 = saved
    z1, *_ = batch_norm2d(d, weight1, bias1, mean1, var1, eps=eps1, impl=impl)
    z2, *_ = batch_norm2d(p, weight2, bias2, mean2, var2, eps=eps2, impl=impl)

    dz2 = _act_backward(impl, act2, dy, z2)
    dp, dweight2, dbias2 = batch_norm2d_backward(
        dz2, p, weight2, mean2, var2, given=given[1], eps=eps2, impl=impl
    )
    da, dpointwise, _ = pointwise_conv2d_backward(
        dp, _act(impl, act1, z1), pointwise, impl=impl, needs=("x", "w")
    )
    dz1 = _act_backward(impl, act1, da, z1)
    dd, dweight1, dbias1 = batch_norm2d_backward(
        dz1, d, weight1, mean1, var1, given=given[0], eps=eps1, impl=impl
    )
    inner = tuple(short for short, name in (("x", "x"), ("w", "depthwise")) if name in needs)
    dx, ddepthwise, _ = depthwise_conv2d_backward(dd, x, depthwise, impl=impl, needs=inner, **how)
    return dx, ddepthwise, dweight1, dbias1, dpointwise, dweight2, dbias2


# ---- numba: three passes over memory forward, three back --------------------------------------------------------


def _numba(x: Array, weights: Weights, known: Statistics, setting: Setting) -> tuple[Array, Saved]:
    from npdsconv.kernels import block

    y, *saved = block.forward(x, weights, known, setting.window, setting.bounds, setting.eps, keeping=True)
    return y, Saved(*saved)


def _numba_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    weights: Weights,
    given: tuple[bool, bool],
    setting: Setting,
    needs: tuple[str, ...],
) -> tuple[Any, ...]:
    from npdsconv.kernels import block

    wanted = "x" in needs, "depthwise" in needs, "pointwise" in needs
    how = given, setting.window, setting.bounds, setting.eps, wanted
    return block.backward(dy, x, saved, weights, *how)


def can_fuse(depthwise: tuple[int, ...], window: Window, activations: Activations = (None, None)) -> bool:
    """Whether the fast tier can do a block with depthwise weights of this shape as one op.

    It needs a 3×3 kernel, depth multiplier 1, stride 1, or 2 without dilation, and activations that cut to an interval.
    """
    strides = window.stride == (1, 1) or (window.stride == (2, 2) and window.dilation == (1, 1))
    return depthwise[1:] == (1, 3, 3) and strides and set(activations) <= set(BOUNDS)


# ---- the public pair --------------------------------------------------------------------------------------------

IMPLS = {
    **{
        impl: BlockTier(partial(composed, impl), partial(composed_backward, impl))
        for impl in ("naive", "im2col", "loops")
    },
    "numba": BlockTier(_numba, _numba_backward),
}


def separable_block(
    x: Array,
    *arrays: Array | None,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
    impl: str = "numba",
) -> tuple[Array, Saved]:
    """Depthwise separable convolution with batch norm and activation after each of its two steps.

    ``d = depthwise(x)``, ``p = pointwise(act(norm(d)))``, ``y = act(norm(p))``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    arrays : depthwise, weight1, bias1, pointwise, weight2, bias2, and perhaps mean1, var1, mean2, var2
        The six of ``Weights``: depthwise (C, M, KH, KW), pointwise (O, C·M), and scale and shift of the two batch
        norms, (C·M,) and (O,). Then the statistics of the batch norms, each pair given or None; left out, they are the
        batch's, as for :func:`batch_norm2d`.
    stride, padding, dilation : of the depthwise step
    activations : a pair of None, "relu", "relu6" and the other names of ``ops.activations.FUNCTIONS``
    eps : of the two batch norms, each above 0
    impl : "naive", "im2col" or "loops" (six ops of that tier), or "numba" (three passes; for what `can_fuse` says)

    Returns
    -------
    y : (N, O, OH, OW)
    saved : Saved, which backward takes

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed; another number of arrays.
    ValueError
        Shapes that do not fit, or a block that cannot be fused.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861 (the block).
    """
    op = "separable_block"
    weights, known = _grouped(op, arrays)
    chosen = tier(op, IMPLS, impl)
    setting = check_block(op, x, weights, stride, padding, dilation, activations, eps, impl)
    check_statistics(op, weights, known, len(x) * setting.window.pixels)
    return chosen.forward(x, weights, known, setting)


def separable_block_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    *weights: Array,
    given: tuple[bool, bool] = (False, False),
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
    impl: str = "numba",
    needs: tuple[str, ...] = ARRAYS,
) -> tuple[Any, ...]:
    """The gradients of :func:`separable_block`, given dy (N, O, OH, OW): for x and the six arrays of ``Weights``.

    `given` says of which batch norm the statistics were handed to forward, so that they are constants. Gradients not
    named in `needs` come back as None.
    """
    op = "separable_block_backward"
    of_block, _ = _grouped(op, weights)
    chosen = tier(op, IMPLS, impl)
    setting = check_block(op, x, of_block, stride, padding, dilation, activations, eps, impl)
    check_needs(op, needs, ARRAYS)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"{op}: given must be a pair of bools, one for each batch norm, got {given!r}")
    _check_saved(op, dy, x, saved, of_block, setting.window)
    found = chosen.backward(dy, x, Saved(*saved), of_block, (bool(given[0]), bool(given[1])), setting, needs)
    return tuple(gradient if name in needs else None for name, gradient in zip(ARRAYS, found, strict=True))


# ---- checks -----------------------------------------------------------------------------------------------------


def _grouped(op: str, arrays: tuple[Array | None, ...]) -> tuple[Weights, Statistics]:
    most = 6 if op.endswith("backward") else 10
    if not 6 <= len(arrays) <= most:
        raise TypeError(
            f"{op}: takes the six arrays {', '.join(Weights._fields)} (and forward the statistics "
            f"{', '.join(Statistics._fields)}), got {len(arrays)}"
        )
    return Weights(*cast("tuple[Array, ...]", arrays[:6])), Statistics(*arrays[6:])


def check_block(
    op: str,
    x: Array,
    weights: Weights,
    stride: Stride,
    padding: PaddingLike,
    dilation: Stride,
    activations: Activations,
    eps: tuple[float, float],
    impl: str,
) -> Setting:
    """What a block is given fits together, and, for the fast tier, can be fused."""
    check_floats(op, x=x, **weights._asdict())
    depthwise, pointwise = weights.depthwise, weights.pointwise
    window = check_convolutions(op, x, depthwise, pointwise, stride, padding, dilation)
    outputs, middle = pointwise.shape
    check_shape(op, "weight1", weights.weight1, (middle,), "one for each channel")
    check_shape(op, "bias1", weights.bias1, (middle,), "one for each channel")
    check_shape(op, "weight2", weights.weight2, (outputs,), "one for each channel")
    check_shape(op, "bias2", weights.bias2, (outputs,), "one for each channel")
    check_activations(op, activations)
    if not isinstance(eps, tuple | list) or len(eps) != 2:
        raise ValueError(f"{op}: eps must be a pair of numbers, one for each batch norm, got {eps!r}")
    for number in eps:
        check_number(op, "eps", number, 0, open_low=True)
    if impl == "numba":
        check_fuses(op, depthwise.shape, window, activations)
    return Setting(window, activations, (float(eps[0]), float(eps[1])))


def check_convolutions(
    op: str,
    x: Array,
    depthwise: Array,
    pointwise: Array,
    stride: Stride,
    padding: PaddingLike,
    dilation: Stride,
) -> Window:
    """The depthwise step reads x, the pointwise step what the depthwise one gives."""
    check_ndim(op, "x", x, "N, C, H, W")
    check_ndim(op, "depthwise", depthwise, "C, M, KH, KW")
    check_ndim(op, "pointwise", pointwise, "O, C·M")
    if depthwise.shape[0] != x.shape[1]:
        raise ValueError(f"{op}: x has {x.shape[1]} channels, depthwise has filters for {depthwise.shape[0]}")
    middle = depthwise.shape[0] * depthwise.shape[1]
    check_shape(op, "pointwise", pointwise, (len(pointwise), middle), "O, C·M")
    window = resolve_window(op, x.shape[2:], depthwise.shape[2:], stride, padding, dilation)
    check_window_memory(op, x.shape, x.dtype, window, middle)
    check_memory(op, "an output", (len(x), len(pointwise), *window.output), x.dtype)
    return window


def check_activations(op: str, activations: Activations) -> None:
    """A pair of names of activations, or None for none."""
    if not isinstance(activations, tuple | list) or len(activations) != 2:
        raise ValueError(
            f"{op}: activations must be a pair, after the first and after the second step, got {activations!r}"
        )
    for activation in activations:
        if activation is not None:
            check_choice(op, "activations", activation, FUNCTIONS)


def check_fuses(op: str, depthwise: tuple[int, ...], window: Window, activations: Activations) -> None:
    """The fast tier can do this block."""
    if not can_fuse(depthwise, window, activations):
        cuts = ", ".join(name for name in BOUNDS if name)
        raise ValueError(
            f"{op}: impl 'numba' needs a 3×3 kernel, multiplier 1, stride 1, or 2 without dilation, and activations "
            f"among {cuts}; got depthwise {depthwise}, stride {window.stride}, dilation {window.dilation}, "
            f"activations {tuple(activations)}"
        )


def check_statistics(op: str, weights: Weights, known: Statistics, values: int) -> None:
    """Each pair of statistics is given, of the right shape and dtype, or can be had from `values` numbers a channel."""
    for which, mean, var in ((1, known.mean1, known.var1), (2, known.mean2, known.var2)):
        if mean is None and var is None:
            if values < 2:
                raise ValueError(f"{op}: batch statistics need at least 2 values in a channel, got {values}")
            continue
        if mean is None or var is None:
            raise ValueError(f"{op}: give both mean{which} and var{which}, or neither")
        channels = weights.pointwise.shape[1 if which == 1 else 0]
        for name, array in ((f"mean{which}", mean), (f"var{which}", var)):
            check_floats(op, **{"depthwise": weights.depthwise, name: array})
            check_shape(op, name, array, (channels,), "one for each channel")
        check_variance(op, f"var{which}", var)


def _check_saved(op: str, dy: Array, x: Array, saved: Saved, weights: Weights, window: Window) -> None:
    """`saved` is what forward returned for these very arguments: kernels read as far as its shapes say."""
    if not isinstance(saved, tuple) or len(saved) != len(Saved._fields):
        raise TypeError(f"{op}: saved must be what separable_block returned, got {type(saved).__name__}")
    outputs, middle = weights.pointwise.shape
    check_floats(op, dy=dy, x=x, **dict(zip(SAVED, saved, strict=True)))
    images = (len(x), outputs, *window.output)
    check_shape(op, "dy", dy, images, "N, O, OH, OW")
    shapes = (len(x), middle, *window.output), images, (middle,), (middle,), (outputs,), (outputs,)
    for name, array, shape in zip(SAVED, saved, shapes, strict=True):
        check_shape(op, name, array, shape, "forward was called with other arguments")
    check_variance(op, "saved.var1", saved[3])
    check_variance(op, "saved.var2", saved[5])
