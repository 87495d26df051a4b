"""The standard-convolution twin of a separable model: what it would be without the trick."""

import numpy as np

from npdsconv.layers import Concat, Conv2d, DepthwiseSeparableConv2d, Layer, Residual, Sequential
from npdsconv.models.blocks import generator


def standard_twin(model: Sequential, rng: np.random.Generator | int | None = None) -> Sequential:
    """A copy of `model` in which each depthwise separable block is one standard convolution.

    The convolution has the block's kernel, stride, padding, dilation and channels, and keeps what followed its
    pointwise step (batch norm, activation). All other layers are copied with their weights.

    Parameters
    ----------
    model : Sequential, possibly with Residual, Concat and Sequential inside
    rng : generator or seed for the new convolutions' weights
    """
    return Sequential(*_twins(model, generator(rng)))


def _twins(layer: Layer, rng: np.random.Generator) -> list[Layer]:
    if isinstance(layer, Sequential):
        return [twin for child in layer for twin in _twins(child, rng)]
    if isinstance(layer, Residual):
        shortcut = None if layer.shortcut is None else Sequential(*_twins(layer.shortcut, rng))
        return [Residual(Sequential(*_twins(layer.body, rng)), shortcut)]
    if isinstance(layer, Concat):
        return [Concat(*(Sequential(*_twins(branch, rng)) for branch in layer.branches))]
    if not isinstance(layer, DepthwiseSeparableConv2d):
        return [layer.copy()]
    step = layer.depthwise
    outputs = len(layer.pointwise.weight.value)
    convolution = Conv2d(
        len(step.weight.value),
        outputs,
        step.kernel_size,
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
        bias=layer.pointwise.bias is not None,
        rng=rng,
        impl=step.impl,
    )
    after = [child.copy() for child in (layer.bn2, layer.activation) if child is not None]
    return [convolution, *after]
