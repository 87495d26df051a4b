"""The depthwise separable block as one op: depthwise, batch norm, activation, pointwise, batch norm, activation.

It is the composition of six ops of this package, and ``impl="composed"`` is just that, forward and backward: read it
first. ``impl="fused"`` computes the same numbers in fewer passes over memory (``npdsconv/kernels/block.py``).
Neither keeps anything in secret: what backward needs besides forward's arguments is `Saved`, which forward returns.
"""

from typing import NamedTuple

from npdsconv.ops.activations import BOUNDS
from npdsconv.ops.depthwise import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.ops.norm import batch_norm2d, batch_norm2d_backward
from npdsconv.ops.pointwise import pointwise_conv2d, pointwise_conv2d_backward
from npdsconv.shapes import (
    Array,
    PaddingLike,
    Steps,
    Stride,
    Window,
    check_choice,
    check_floats,
    check_ndim,
    check_needs,
    check_shape,
    resolve_window,
)

IMPLS = ("composed", "fused")
ARRAYS = ("x", "depthwise", "weight1", "bias1", "pointwise", "weight2", "bias2")
Activations = tuple[str | None, str | None]


class Weights(NamedTuple):
    """The block's parameters, in the order in which they act."""

    depthwise: Array
    weight1: Array
    bias1: Array
    pointwise: Array
    weight2: Array
    bias2: Array


class Saved(NamedTuple):
    """What forward leaves for backward."""

    d: Array  # (N, C, OH, OW), the depthwise step's output
    p: Array  # (N, O, OH, OW), the pointwise step's output
    mean1: Array  # (C,), the statistics that d was normalised with
    var1: Array
    mean2: Array  # (O,), those of p
    var2: Array


def separable_block(
    x: Array,
    depthwise: Array,
    weight1: Array,
    bias1: Array,
    pointwise: Array,
    weight2: Array,
    bias2: Array,
    mean1: Array | None = None,
    var1: Array | None = None,
    mean2: Array | None = None,
    var2: Array | None = None,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
    impl: str = "fused",
) -> tuple[Array, Saved]:
    """Depthwise separable convolution with batch norm and activation after each of its two steps.

    ``d = depthwise(x)``, ``p = pointwise(act(norm(d)))``, ``y = act(norm(p))``

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    depthwise : (C, 1, KH, KW), pointwise : (O, C)
    weight1, bias1 : (C,), weight2, bias2 : (O,), of the two batch norms
    mean1, var1 : (C,), mean2, var2 : (O,); each pair given or left out
        As for :func:`batch_norm2d`: left out, they are the batch's.
    stride, padding, dilation : of the depthwise step
    activations : a pair of None, "relu" and "relu6"
    eps : of the two batch norms
    impl : "composed" (six ops) or "fused" (three passes; for what ``can_fuse`` says)

    Returns
    -------
    y : (N, O, OH, OW)
    saved : Saved, which backward takes

    Raises
    ------
    TypeError
        Dtypes other than float32 and float64, or mixed.
    ValueError
        Shapes that do not fit, or a block that cannot be fused.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861 (the block).
    """
    weights = Weights(depthwise, weight1, bias1, pointwise, weight2, bias2)
    window = _check("separable_block", x, weights, stride, padding, dilation, activations, impl)
    given = mean1, var1, mean2, var2
    _check_statistics("separable_block", given, len(x) * window.pixels)
    if impl == "fused":
        from npdsconv.kernels import block

        y, *saved = block.forward(x, weights, given, window, _bounds(activations), eps, keeping=True)
        return y, Saved(*saved)
    d = depthwise_conv2d(x, depthwise, stride=stride, padding=padding, dilation=dilation)
    a, mean1, var1 = batch_norm2d(d, weight1, bias1, mean1, var1, eps=eps[0], activation=activations[0])
    p = pointwise_conv2d(a, pointwise)
    y, mean2, var2 = batch_norm2d(p, weight2, bias2, mean2, var2, eps=eps[1], activation=activations[1])
    return y, Saved(d, p, mean1, var1, mean2, var2)


def separable_block_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    depthwise: Array,
    weight1: Array,
    bias1: Array,
    pointwise: Array,
    weight2: Array,
    bias2: Array,
    *,
    given: tuple[bool, bool] = (False, False),
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
    impl: str = "fused",
    needs: tuple[str, ...] = ARRAYS,
) -> tuple[Array | None, ...]:
    """The gradients of :func:`separable_block`, given dy (N, O, OH, OW): one for each of the first seven arguments.

    `given` says of which batch norm the statistics were handed to forward, so that they are constants. Gradients not
    named in `needs` come back as None.
    """
    op = "separable_block_backward"
    weights = Weights(depthwise, weight1, bias1, pointwise, weight2, bias2)
    window = _check(op, x, weights, stride, padding, dilation, activations, impl)
    check_needs(op, needs, ARRAYS)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, saved.p.shape, "N, O, OH, OW")
    if impl == "fused":
        from npdsconv.kernels import block

        wanted = tuple(name in needs for name in ("x", "depthwise", "pointwise"))
        how = given, window, _bounds(activations), eps, wanted
        found = block.backward(dy, x, saved, weights, *how)
    else:
        found = _composed_backward(dy, x, saved, weights, given, window, activations, eps, needs)
    return tuple(gradient if name in needs else None for name, gradient in zip(ARRAYS, found, strict=True))


def evaluate(
    x: Array,
    weights: Weights,
    given: tuple[Array, Array, Array, Array],
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
) -> Array:
    """The fused block with known statistics (mean1, var1, mean2, var2), and nothing kept for backward."""
    window = _check("separable_block", x, weights, stride, padding, dilation, activations, "fused")
    from npdsconv.kernels import block

    return block.forward(x, weights, given, window, _bounds(activations), eps, keeping=False)[0]


def infer(
    x: Array,
    depthwise: Array,
    bias1: Array | None,
    pointwise: Array,
    bias2: Array | None,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
) -> Array:
    """A block without batch norm in one pass, by the fast tier: what ``can_fuse`` says. It has no backward.

    ``act(pointwise(act(depthwise(x) + bias1)) + bias2)``; batch norm with known statistics can be folded into it
    (:func:`npdsconv.models.fold_batch_norm`).
    """
    from npdsconv.kernels import block

    op = "separable inference"
    check_floats(op, x=x, depthwise=depthwise, pointwise=pointwise)
    window = resolve_window(op, x.shape[2:], depthwise.shape[2:], stride, padding, dilation)
    first, second = _bounds(activations)
    return block.inference(x, depthwise, bias1, first, pointwise, bias2, second, window)


def _composed_backward(
    dy: Array,
    x: Array,
    saved: Saved,
    weights: Weights,
    given: tuple[bool, bool],
    window: Window,
    activations: Activations,
    eps: tuple[float, float],
    needs: tuple[str, ...],
) -> tuple[Array | None, ...]:
    depthwise, weight1, bias1, pointwise, weight2, bias2 = weights
    d, p, mean1, var1, mean2, var2 = saved
    a, *_ = batch_norm2d(d, weight1, bias1, mean1, var1, eps=eps[0], activation=activations[0])
    dp, dweight2, dbias2 = batch_norm2d_backward(
        dy, p, weight2, mean2, var2, bias=bias2, activation=activations[1], given=given[1], eps=eps[1]
    )
    assert dp is not None
    da, dpointwise, _ = pointwise_conv2d_backward(dp, a, pointwise, needs=("x", "w"))
    assert da is not None
    dd, dweight1, dbias1 = batch_norm2d_backward(
        da, d, weight1, mean1, var1, bias=bias1, activation=activations[0], given=given[0], eps=eps[0]
    )
    assert dd is not None
    how: Steps = {"stride": window.stride, "padding": window.padding, "dilation": window.dilation}
    inner = tuple(short for short, name in (("x", "x"), ("w", "depthwise")) if name in needs)
    dx, ddepthwise, _ = depthwise_conv2d_backward(dd, x, depthwise, needs=inner, **how)
    return dx, ddepthwise, dweight1, dbias1, dpointwise, dweight2, dbias2


def _bounds(activations: Activations) -> tuple[tuple[float, float], tuple[float, float]]:
    return BOUNDS[activations[0]], BOUNDS[activations[1]]


def can_fuse(depthwise: tuple[int, ...], window: Window) -> bool:
    """Whether ``impl="fused"`` can do a block with depthwise weights of this shape.

    It needs a 3×3 kernel, depth multiplier 1, and stride 1, or 2 without dilation.
    """
    strides = window.stride == (1, 1) or (window.stride == (2, 2) and window.dilation == (1, 1))
    return depthwise[1:] == (1, 3, 3) and strides


def _check(
    op: str,
    x: Array,
    weights: Weights,
    stride: Stride,
    padding: PaddingLike,
    dilation: Stride,
    activations: Activations,
    impl: str,
) -> Window:
    check_choice(op, "impl", impl, IMPLS)
    check_floats(op, x=x, **weights._asdict())
    check_ndim(op, "x", x, "N, C, H, W")
    depthwise, weight1, bias1, pointwise, weight2, bias2 = weights
    check_ndim(op, "depthwise", depthwise, "C, M, KH, KW")
    check_ndim(op, "pointwise", pointwise, "O, C·M")
    middle = depthwise.shape[0] * depthwise.shape[1]
    check_shape(op, "pointwise", pointwise, (len(pointwise), middle), "O, C·M")
    if depthwise.shape[0] != x.shape[1]:
        raise ValueError(f"{op}: x has {x.shape[1]} channels, depthwise has filters for {depthwise.shape[0]}")
    for name, array, count in (("1", weight1, middle), ("2", weight2, len(pointwise))):
        check_shape(op, f"weight{name}", array, (count,), "the channels it scales")
    for name, array, count in (("1", bias1, middle), ("2", bias2, len(pointwise))):
        check_shape(op, f"bias{name}", array, (count,), "the channels it shifts")
    for activation in activations:
        if activation is not None:
            check_choice(op, "activations", activation, [name for name in BOUNDS if name])
    window = resolve_window(op, x.shape[2:], depthwise.shape[2:], stride, padding, dilation)
    if impl == "fused" and not can_fuse(depthwise.shape, window):
        raise ValueError(
            f"{op}: impl 'fused' needs a 3×3 kernel, multiplier 1 and stride 1, or 2 without dilation, "
            f"got depthwise {depthwise.shape}, stride {window.stride}, dilation {window.dilation}"
        )
    return window


def _check_statistics(op: str, given: tuple[Array | None, ...], values: int) -> None:
    for mean, var, which in ((*given[:2], 1), (*given[2:], 2)):
        if (mean is None) != (var is None):
            raise ValueError(f"{op}: give both mean{which} and var{which}, or neither")
        if mean is None and values < 2:
            raise ValueError(f"{op}: batch statistics need at least 2 values in a channel, got {values}")
