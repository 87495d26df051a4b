"""Residual networks of depthwise separable blocks: the input is added to what a block gives."""

from collections.abc import Sequence

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
)
from npdsconv.models.blocks import generator
from npdsconv.shapes import check_counts


def separable_resnet(
    in_channels: int = 1,
    classes: int = 10,
    *,
    filters: Sequence[int] = (32, 64, 128, 256),
    blocks: int = 1,
    stride_twice: bool = False,
    relu_before_sum: bool = False,
    residual: bool = True,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Residual separable blocks with stride 2, a pointwise layer, and a map for each class, whose mean is its logit.

    Parameters
    ----------
    in_channels, classes : int
    filters : output channels of each stage, whose first block has stride 2
    blocks : in each stage; those behind the first keep the size, and their shortcut is the input as it is
    stride_twice : strides in the depthwise and in the pointwise step too, as one source has it
        Every block then halves the picture twice, and its shortcut has to follow: a 28×28 picture is one pixel after
        three blocks, and three quarters of what the depthwise step computes is thrown away.
    relu_before_sum : a ReLU behind the last batch norm of each body: it can then only add to the shortcut
    residual : False leaves the shortcuts out
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
        124,789 parameters and 903,428 multiply-adds on 28×28 pictures by default.

    References
    ----------
    He et al., *Deep Residual Learning for Image Recognition*, arXiv:1512.03385.
    """
    check_counts("separable_resnet", blocks=blocks, **{f"filters[{k}]": c for k, c in enumerate(filters)})
    rng = generator(rng)
    layers: list[Layer] = []
    c = in_channels
    for outputs in filters:
        body = _body(c, outputs, stride_twice, relu_before_sum, rng)
        around = [
            Conv2d(c, outputs, 1, stride=4 if stride_twice else 2, bias=False, rng=rng),
            BatchNorm2d(outputs),
        ]
        layers += [Residual(body, Sequential(*around)) if residual else body, ReLU()]
        for _ in range(blocks - 1):
            body = _block(outputs, outputs, 1, relu_before_sum, rng)
            layers += [Residual(body) if residual else body, ReLU()]
        c = outputs
    layers += [PointwiseConv2d(c, 128, bias=False, rng=rng), BatchNorm2d(128), ReLU()]
    return Sequential(*layers, PointwiseConv2d(128, classes, rng=rng), GlobalAvgPool2d(), Flatten())


def _body(inputs: int, outputs: int, stride_twice: bool, relu_last: bool, rng: np.random.Generator) -> Layer:
    """Depthwise with stride 2, batch norm, ReLU, pointwise, batch norm."""
    if not stride_twice:
        return _block(inputs, outputs, 2, relu_last, rng)
    return Sequential(
        DepthwiseConv2d(inputs, 3, stride=2, padding=1, bias=False, rng=rng),
        BatchNorm2d(inputs),
        ReLU(),
        Conv2d(inputs, outputs, 1, stride=2, bias=False, rng=rng),
        BatchNorm2d(outputs),
        *([ReLU()] if relu_last else []),
    )


def _block(inputs: int, outputs: int, stride: int, relu_last: bool, rng: np.random.Generator) -> Layer:
    last = "relu" if relu_last else None
    return DepthwiseSeparableConv2d(inputs, outputs, 3, stride=stride, padding=1, activation=last, rng=rng)
