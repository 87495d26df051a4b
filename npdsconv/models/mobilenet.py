"""MobileNet, versions 1 and 2: the networks that made depthwise separable convolution famous."""

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    DepthwiseSeparableConv2d,
    Layer,
    PointwiseConv2d,
    ReLU6,
    Residual,
    Sequential,
)
from npdsconv.models.blocks import channels, conv_bn, generator, head

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
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """MobileNet v1: a standard stem and thirteen depthwise separable blocks.

    Parameters
    ----------
    width : the paper's α, a factor on all channel counts
    in_channels, classes : int
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 4,231,976 parameters by default

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861.
    """
    rng = generator(rng)
    c = channels(32, width)
    model = conv_bn(in_channels, c, stride=2, rng=rng)
    for base, stride in V1_BLOCKS:
        outputs = channels(base, width)
        model.append(DepthwiseSeparableConv2d(c, outputs, 3, stride=stride, padding=1, rng=rng))
        c = outputs
    return Sequential(*model, *head(c, classes, dropout, rng))


def inverted_residual(
    inputs: int, outputs: int, *, stride: int, expansion: int, rng: np.random.Generator
) -> Layer:
    """Expand with a pointwise step, filter depthwise, project linearly; add the input where shapes allow."""
    middle = inputs * expansion
    expand = [PointwiseConv2d(inputs, middle, bias=False, rng=rng), BatchNorm2d(middle), ReLU6()]
    body = Sequential(
        *(expand if expansion > 1 else []),
        DepthwiseSeparableConv2d(
            middle,
            outputs,
            3,
            stride=stride,
            padding=1,
            mid_activation="relu6",
            activation=None,
            rng=rng,
        ),
    )
    return Residual(body) if stride == 1 and inputs == outputs else body


def mobilenet_v2(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 1000,
    *,
    dropout: float = 0.0,
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
    model = conv_bn(in_channels, c, stride=2, activation="relu6", rng=rng)
    for expansion, base, repeats, stride in V2_STAGES:
        outputs = channels(base, width, 8)
        for k in range(repeats):
            model.append(
                inverted_residual(c, outputs, stride=stride if k == 0 else 1, expansion=expansion, rng=rng)
            )
            c = outputs
    last = channels(1280, max(1.0, width), 8)
    model += [PointwiseConv2d(c, last, bias=False, rng=rng), BatchNorm2d(last), ReLU6()]
    return Sequential(*model, *head(last, classes, dropout, rng))
