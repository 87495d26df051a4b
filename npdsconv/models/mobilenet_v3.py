"""MobileNet, version 3: blocks that a search has chosen, with squeeze-and-excite and hard-swish."""

from typing import Any, NamedTuple

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSwish,
    Layer,
    Linear,
    PointwiseConv2d,
    Residual,
    Sequential,
    SqueezeExcite,
)
from npdsconv.layers.activations import chosen
from npdsconv.models.blocks import channels, conv_bn, generator, pointwise_bn


class Bottleneck(NamedTuple):
    """One row of the paper's table 2."""

    kernel: int
    expanded: int  # channels of the depthwise step
    outputs: int
    squeeze: bool  # squeeze-and-excite between the depthwise and the last pointwise step
    activation: str
    stride: int


RE, HS = "relu", "hard_swish"
SMALL = (
    Bottleneck(3, 16, 16, True, RE, 2),
    Bottleneck(3, 72, 24, False, RE, 2),
    Bottleneck(3, 88, 24, False, RE, 1),
    Bottleneck(5, 96, 40, True, HS, 2),
    Bottleneck(5, 240, 40, True, HS, 1),
    Bottleneck(5, 240, 40, True, HS, 1),
    Bottleneck(5, 120, 48, True, HS, 1),
    Bottleneck(5, 144, 48, True, HS, 1),
    Bottleneck(5, 288, 96, True, HS, 2),
    Bottleneck(5, 576, 96, True, HS, 1),
    Bottleneck(5, 576, 96, True, HS, 1),
)


def mobilenet_v3_small(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 1000,
    *,
    dropout: float = 0.0,
    eps: float = 1e-3,
    momentum: float = 0.01,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """MobileNet v3 small: inverted residuals, most of them with squeeze-and-excite and hard-swish.

    Parameters
    ----------
    width : a factor on all channel counts, which are rounded to multiples of 8
    in_channels, classes : int
    dropout : probability before the last dense layer; the paper has 0.2
    eps, momentum : of every batch norm; the paper's by default
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 2,542,856 parameters by default

    References
    ----------
    Howard et al., *Searching for MobileNetV3*, ICCV 2019, arXiv:1905.02244, table 2.
    """
    rng = generator(rng)
    how: dict[str, Any] = {"eps": eps, "momentum": momentum, "rng": rng}
    c = channels(16, width, 8)
    model = conv_bn(in_channels, c, stride=2, activation=HS, **how)
    for row in SMALL:
        expanded, outputs = channels(row.expanded, width, 8), channels(row.outputs, width, 8)
        model.append(_bottleneck(c, row._replace(expanded=expanded, outputs=outputs), **how))
        c = outputs
    last, hidden = 6 * c, channels(1024, width, 8)
    model += pointwise_bn(c, last, activation=HS, **how)
    model += [GlobalAvgPool2d(), Flatten(), Linear(last, hidden, rng=rng), HardSwish()]
    model += [Dropout(dropout, rng=rng)] if dropout else []
    return Sequential(*model, Linear(hidden, classes, rng=rng))


def _bottleneck(inputs: int, row: Bottleneck, *, rng: np.random.Generator, **norm: Any) -> Layer:
    """Expand, filter, weigh the channels, project; add the input where shapes allow."""
    how: dict[str, Any] = {"stride": row.stride, "padding": row.kernel // 2}
    body: list[Layer] = []
    if row.expanded != inputs:
        body += pointwise_bn(inputs, row.expanded, activation=row.activation, rng=rng, **norm)
    if row.squeeze:
        body += [
            DepthwiseConv2d(row.expanded, row.kernel, bias=False, rng=rng, **how),
            BatchNorm2d(row.expanded, **norm),
            chosen("mobilenet_v3_small", "activation", row.activation),
            SqueezeExcite(row.expanded, channels(row.expanded, 1 / 4, 8), gate="hard_sigmoid", rng=rng),
            PointwiseConv2d(row.expanded, row.outputs, bias=False, rng=rng),
            BatchNorm2d(row.outputs, **norm),
        ]
    else:
        how |= {"mid_activation": row.activation, "activation": None, "rng": rng, **norm}
        body.append(DepthwiseSeparableConv2d(row.expanded, row.outputs, row.kernel, **how))
    return Residual(Sequential(*body)) if row.stride == 1 and inputs == row.outputs else Sequential(*body)
