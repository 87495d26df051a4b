"""Xception: 36 convolutions, 34 of them separable, in residual blocks; and its block alone in a small network."""

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseSeparableConv2d,
    Layer,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from npdsconv.models.blocks import channels, conv_bn, generator, head

ENTRY = (128, 256, 728)  # output channels of the blocks that halve the picture
MIDDLE = 8  # blocks of three separable convolutions at 728 channels
EXIT = (1024, 1536, 2048)


def separable(inputs: int, outputs: int, rng: np.random.Generator) -> list[Layer]:
    """Xception's separable convolution: nothing between the two steps, batch norm after them."""
    step = DepthwiseSeparableConv2d(
        inputs,
        outputs,
        3,
        padding=1,
        batch_norm=False,
        bias=False,
        mid_activation=None,
        activation=None,
        rng=rng,
    )
    return [step, BatchNorm2d(outputs)]


def xception_block(
    inputs: int, outputs: int, *, middle: int | None = None, relu_first: bool = True, rng: np.random.Generator
) -> Residual:
    """ReLU, separable, ReLU, separable, 3×3 max pooling with stride 2; beside it a 1×1 convolution with stride 2.

    Parameters
    ----------
    inputs, outputs : channels
    middle : channels between the two separable convolutions; `outputs` by default
    relu_first : False for the first block of a network, whose input has just been through a ReLU
    """
    middle = outputs if middle is None else middle
    body = [
        *([ReLU()] if relu_first else []),
        *separable(inputs, middle, rng),
        ReLU(),
        *separable(middle, outputs, rng),
        MaxPool2d(3, stride=2, padding=1),
    ]
    around = [Conv2d(inputs, outputs, 1, stride=2, bias=False, rng=rng), BatchNorm2d(outputs)]
    return Residual(Sequential(*body), Sequential(*around))


def xception(
    in_channels: int = 3,
    classes: int = 1000,
    *,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Xception as published, for pictures of about 299×299.

    Parameters
    ----------
    in_channels, classes : int
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 22,855,952 parameters by default

    References
    ----------
    Chollet, *Xception: Deep Learning with Depthwise Separable Convolutions*, arXiv:1610.02357, figure 5.
    """
    rng = generator(rng)
    layers: list[Layer] = [
        Conv2d(in_channels, 32, 3, stride=2, bias=False, rng=rng),
        BatchNorm2d(32),
        ReLU(),
        Conv2d(32, 64, 3, bias=False, rng=rng),
        BatchNorm2d(64),
        ReLU(),
    ]
    c = 64
    for k, outputs in enumerate(ENTRY):
        layers.append(xception_block(c, outputs, relu_first=k > 0, rng=rng))
        c = outputs
    for _ in range(MIDDLE):
        layers.append(
            Residual(Sequential(*(step for _ in range(3) for step in (ReLU(), *separable(c, c, rng)))))
        )
    wide, wider, widest = EXIT
    layers.append(xception_block(c, wide, middle=c, rng=rng))
    layers += [*separable(wide, wider, rng), ReLU(), *separable(wider, widest, rng), ReLU()]
    return Sequential(*layers, *head(widest, classes, dropout, rng))


def xception_mini(
    in_channels: int = 1,
    classes: int = 10,
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem and two of Xception's blocks, for small pictures.

    Parameters
    ----------
    in_channels, classes : int
    width : factor on the channel counts 16, 32, 64
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
    """
    rng = generator(rng)
    c16, c32, c64 = (channels(base, width) for base in (16, 32, 64))
    return Sequential(
        *conv_bn(in_channels, c16, rng=rng),
        xception_block(c16, c32, relu_first=False, rng=rng),
        xception_block(c32, c64, rng=rng),
        ReLU(),
        *head(c64, classes, dropout, rng),
    )
