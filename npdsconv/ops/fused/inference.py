"""A separable block in inference, by the fast tier: nothing is kept, so there is no backward."""

from npdsconv.ops.activations import BOUNDS
from npdsconv.ops.fused.block import (
    Activations,
    Statistics,
    Weights,
    check_activations,
    check_block,
    check_convolutions,
    check_fuses,
    check_statistics,
)
from npdsconv.shapes import Array, PaddingLike, Stride, check_floats, check_shape


def normed_block(
    x: Array,
    weights: Weights,
    known: Statistics,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    activations: Activations = ("relu", "relu"),
    eps: tuple[float, float] = (1e-5, 1e-5),
) -> Array:
    """:func:`npdsconv.separable_block` with given statistics: its y."""
    op = "normed_block"
    setting = check_block(op, x, weights, stride, padding, dilation, activations, eps, "numba")
    check_statistics(op, weights, known, 0)
    from npdsconv.kernels import block

    return block.forward(x, weights, known, setting.window, setting.bounds, setting.eps, keeping=False)[0]


def plain_block(
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
    """A block without batch norm in one pass: ``act(pointwise(act(depthwise(x) + bias1)) + bias2)``.

    Batch norm with known statistics can be folded into it: :func:`npdsconv.models.fold_batch_norm`.
    """
    op = "plain_block"
    arrays = {"bias1": bias1, "bias2": bias2}
    biases = {name: b for name, b in arrays.items() if b is not None}
    check_floats(op, x=x, depthwise=depthwise, pointwise=pointwise, **biases)
    window = check_convolutions(op, x, depthwise, pointwise, stride, padding, dilation)
    for name, b in biases.items():
        count = pointwise.shape[1 if name == "bias1" else 0]
        check_shape(op, name, b, (count,), "one for each channel")
    check_activations(op, activations)
    check_fuses(op, depthwise.shape, window, activations)
    from npdsconv.kernels import block

    first, second = (BOUNDS[activation] for activation in activations)
    return block.inference(x, depthwise, bias1, first, pointwise, bias2, second, window)
