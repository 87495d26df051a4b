"""MobileNet, versions 1 and 2: the networks that made depthwise separable convolution famous."""

from typing import Any

import numpy as np

from npdsconv.layers import DepthwiseSeparableConv2d, Layer, Residual, Sequential
from npdsconv.layers.activations import Choice
from npdsconv.models.blocks import channels, conv_bn, generator, head, own, pointwise_bn
from npdsconv.shapes import PaddingLike

# Version 1: (output channels, stride) of each separable block; table 1 of the paper.
V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
# Version 2: (expansion t, output channels c, repeats n, stride s); table 2 of the paper.
V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v1(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 1000,
    *,
    dropout: float = 0.0,
    activation: Choice = "relu",
    padding: PaddingLike = 1,
    eps: float = 1e-5,
    momentum: float = 0.1,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """MobileNet v1: a standard stem and thirteen depthwise separable blocks.

    Parameters
    ----------
    width : the paper's α, a factor on all channel counts
    in_channels, classes : int
    dropout : probability before the dense layer
    activation : the name of an activation, or a layer, of which each place gets a copy
    padding : of every 3×3 step
    eps, momentum : of every batch norm
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 4,231,976 parameters by default

    Notes
    -----
    Keras' weights belong to ``activation="relu6", padding="same", eps=1e-3, momentum=0.01`` (its momentum is the other
    share, 0.99) and to images whose sides are multiples of 32. With stride 2 "same" pads an even size below and on the
    right alone, so that the windows stand one pixel off those of ``padding=1``, PyTorch's.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861.
    """
    rng = generator(rng)
    c = channels(32, width)
    how: dict[str, Any] = {"padding": padding, "eps": eps, "momentum": momentum, "rng": rng}
    model = conv_bn(in_channels, c, stride=2, activation=activation, **how)
    for base, stride in V1_BLOCKS:
        outputs = channels(base, width)
        acts: dict[str, Any] = {"mid_activation": own(activation), "activation": own(activation)}
        model.append(DepthwiseSeparableConv2d(c, outputs, 3, stride=stride, **acts, **how))
        c = outputs
    return Sequential(*model, *head(c, classes, dropout, rng))


def inverted_residual(
    inputs: int,
    outputs: int,
    *,
    stride: int,
    expansion: int,
    activation: Choice = "relu6",
    padding: PaddingLike = 1,
    eps: float = 1e-5,
    momentum: float = 0.1,
    rng: np.random.Generator,
) -> Layer:
    """Expand with a pointwise step, filter depthwise, project linearly; add the input where shapes allow."""
    middle = inputs * expansion
    how: dict[str, Any] = {"eps": eps, "momentum": momentum, "rng": rng}
    expand = pointwise_bn(inputs, middle, activation=activation, **how) if expansion > 1 else []
    filtered = DepthwiseSeparableConv2d(
        middle,
        outputs,
        3,
        stride=stride,
        padding=padding,
        mid_activation=own(activation),
        activation=None,
        **how,
    )
    body = Sequential(*expand, filtered)
    return Residual(body) if stride == 1 and inputs == outputs else body


def mobilenet_v2(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 1000,
    *,
    dropout: float = 0.0,
    activation: Choice = "relu6",
    padding: PaddingLike = 1,
    eps: float = 1e-5,
    momentum: float = 0.1,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """MobileNet v2: inverted residuals, that is narrow, wide, narrow, with linear bottlenecks.

    Parameters as for :func:`mobilenet_v1`; channel counts are rounded to multiples of 8. The default has
    3,504,872 parameters.

    References
    ----------
    Sandler et al., *MobileNetV2*, CVPR 2018, arXiv:1801.04381.
    """
    rng = generator(rng)
    c = channels(32, width, 8)
    norm: dict[str, Any] = {"eps": eps, "momentum": momentum, "rng": rng}
    how = {"activation": activation, "padding": padding, **norm}
    model = conv_bn(in_channels, c, stride=2, **how)
    for expansion, base, repeats, stride in V2_STAGES:
        outputs = channels(base, width, 8)
        for k in range(repeats):
            model.append(
                inverted_residual(c, outputs, stride=stride if k == 0 else 1, expansion=expansion, **how)
            )
            c = outputs
    last = channels(1280, max(1.0, width), 8)
    model += pointwise_bn(c, last, activation=activation, **norm)
    return Sequential(*model, *head(last, classes, dropout, rng))
