"""What runs as one step: the one place that decides it.

A rule looks at the layers that a chain has still to run, and at the shape of what the first of them will get. It gives
a step and the number of layers that the step replaces, or None. The first rule of `RULES` that gives something wins;
where none does, the first layer runs as it is. So what no rule knows, a new activation, a bias before batch norm, a
layer of your own, needs no rule: it falls back to its parts by itself.

A rule is asked again for each call, since the shape, the tier and what is frozen may have changed. It costs a few
microseconds.
"""

from collections.abc import Callable, Sequence

from npdsconv.layers.activations import Activation
from npdsconv.layers.base import Layer
from npdsconv.layers.convolution import Conv2d, DepthwiseConv2d, PointwiseConv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.layers.steps import (
    ActivatedConv,
    ActivatedNorm,
    NormedConv,
    PlainBlock,
    SeparableBlock,
    Single,
    Step,
)
from npdsconv.ops.activations import BOUNDS
from npdsconv.ops.fused.block import can_fuse
from npdsconv.shapes import resolve_window

Shape = tuple[int, ...]
Rule = Callable[[Sequence[Layer], Shape, bool], tuple[Step, int] | None]


# ---- reading a chain --------------------------------------------------------------------------------------------


def is_fast(layer: Layer | None, kinds: type | tuple[type, ...]) -> bool:
    """Whether it is of one of these kinds, and of the fast tier."""
    return isinstance(layer, kinds) and vars(layer).get("impl") == "numba"


def is_cut(layer: Layer | None) -> bool:
    """Whether it is an activation of the fast tier that cuts to an interval: such a one can ride along."""
    return isinstance(layer, Activation) and layer.name in BOUNDS and layer.impl == "numba"


def match(layers: Sequence[Layer], *pattern: type | tuple[type, ...]) -> list | None:
    """The layers at the head of the chain, if they follow the pattern and are of the fast tier.

    ``Activation`` in a pattern stands for one that can ride along, or for none: then there is None in the list.
    """
    found: list[Layer | None] = []
    rest = iter(layers)
    layer = next(rest, None)
    for kind in pattern:
        if is_cut(layer) if kind is Activation else is_fast(layer, kind):
            found.append(layer)
            layer = next(rest, None)
        elif kind is Activation:
            found.append(None)
        else:
            return None
    return found


def taken(found: list) -> int:
    """How many layers of the chain these are."""
    return len(found) - found.count(None)


def fits(depthwise: DepthwiseConv2d, pointwise: PointwiseConv2d, shape: Shape) -> bool:
    """Whether the two can be one op for images of this shape. Where channels disagree, the layers will say so."""
    w = depthwise.weight.value
    if len(shape) != 4 or shape[1] != len(w) or pointwise.weight.value.shape[1] != w.shape[0] * w.shape[1]:
        return False
    window = resolve_window("depthwise_conv2d", (shape[2], shape[3]), w.shape[2:], **depthwise.geometry())
    return can_fuse(w.shape, window)


def follows(norm: BatchNorm2d, convolution: DepthwiseConv2d | PointwiseConv2d | Conv2d) -> bool:
    """Whether the convolution has no bias, which batch norm would cancel, and as many channels as the norm."""
    outputs = convolution.weight.value.shape[: 2 if isinstance(convolution, DepthwiseConv2d) else 1]
    channels = outputs[0] * outputs[1] if len(outputs) == 2 else outputs[0]
    return convolution.bias is None and norm.weight.value.size == channels


# ---- the rules --------------------------------------------------------------------------------------------------


def separable_block(layers: Sequence[Layer], shape: Shape, train: bool) -> tuple[Step, int] | None:
    """Depthwise, batch norm, activation, pointwise, batch norm, activation."""
    found = match(layers, DepthwiseConv2d, BatchNorm2d, Activation, PointwiseConv2d, BatchNorm2d, Activation)
    if found is None:
        return None
    depthwise, bn1, _, pointwise, bn2, _ = found
    if not (follows(bn1, depthwise) and follows(bn2, pointwise) and fits(depthwise, pointwise, shape)):
        return None
    return SeparableBlock(*found), taken(found)


def normed_conv(layers: Sequence[Layer], shape: Shape, train: bool) -> tuple[Step, int] | None:
    """Standard convolution, batch norm, activation."""
    found = match(layers, Conv2d, BatchNorm2d, Activation)
    if found is None or not follows(found[1], found[0]):
        return None
    return NormedConv(*found), taken(found)


def activated_norm(layers: Sequence[Layer], shape: Shape, train: bool) -> tuple[Step, int] | None:
    """Batch norm, activation."""
    found = match(layers, BatchNorm2d, Activation)
    return None if found is None or found[1] is None else (ActivatedNorm(*found), 2)


def plain_block(layers: Sequence[Layer], shape: Shape, train: bool) -> tuple[Step, int] | None:
    """Depthwise, activation, pointwise, activation, in inference: what folding batch norm leaves of a block."""
    found = None if train else match(layers, DepthwiseConv2d, Activation, PointwiseConv2d, Activation)
    if found is None or not fits(found[0], found[2], shape):
        return None
    return PlainBlock(*found), taken(found)


def activated_conv(layers: Sequence[Layer], shape: Shape, train: bool) -> tuple[Step, int] | None:
    """Standard or pointwise convolution, activation, in inference."""
    found = None if train else match(layers, (Conv2d, PointwiseConv2d), Activation)
    return None if found is None or found[1] is None else (ActivatedConv(*found), 2)


RULES: list[Rule] = [separable_block, normed_conv, activated_norm, plain_block, activated_conv]
"""In the order in which they are asked: the longer run of layers first."""


def fuse(layers: Sequence[Layer], shape: Shape, train: bool, fused: bool = True) -> tuple[Step, int]:
    """The next step of a chain.

    Parameters
    ----------
    layers : what is still to run; at least one
    shape : of the array that the first of them gets
    train : as for ``forward``; in inference more can be done at once
    fused : without it no rule is asked

    Returns
    -------
    step : Step
    count : how many of `layers` it replaces
    """
    for rule in RULES if fused else ():
        if found := rule(layers, shape, train):
            return found
    return Single(layers[0]), 1
