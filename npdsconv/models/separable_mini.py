"""MobileNet in small: the smallest network of separable blocks that reads digits well; and its dilated sister."""

from collections.abc import Sequence

import numpy as np

from npdsconv.layers import DepthwiseSeparableConv2d, Sequential
from npdsconv.models.blocks import channels, conv_bn, generator, head
from npdsconv.shapes import check_counts


def separable_mini(
    in_channels: int = 1,
    classes: int = 10,
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    batch_norm: bool = True,
    mid_activation: bool = True,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem with stride 2, two separable blocks, the second with stride 2, and a dense layer.

    Parameters
    ----------
    in_channels, classes : int
    width : factor on the channel counts 16, 32, 64
    dropout : probability before the dense layer
    batch_norm : behind each convolution; False: biases in their place
    mid_activation : a ReLU between the depthwise and the pointwise step
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
        4,106 parameters and 271,904 multiply-adds on 28×28 pictures by default.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861 (the pattern, and the width multiplier).
    """
    rng = generator(rng)
    c16, c32, c64 = (channels(base, width) for base in (16, 32, 64))
    middle = "relu" if mid_activation else None

    def block(inputs: int, outputs: int, stride: int) -> DepthwiseSeparableConv2d:
        return DepthwiseSeparableConv2d(
            inputs,
            outputs,
            3,
            stride=stride,
            padding=1,
            batch_norm=batch_norm,
            mid_activation=middle,
            rng=rng,
        )

    return Sequential(
        *conv_bn(in_channels, c16, stride=2, batch_norm=batch_norm, rng=rng),
        block(c16, c32, 1),
        block(c32, c64, 2),
        *head(c64, classes, dropout, rng),
    )


def dilated_separable(
    in_channels: int = 1,
    classes: int = 10,
    *,
    dilations: Sequence[int] = (1, 2, 4),
    width: float = 1.0,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem with stride 2, then separable blocks whose windows grow by dilation and not by stride.

    Parameters
    ----------
    in_channels, classes : int
    dilations : one for each block; the padding equals it, so the picture keeps its size
        (1, 2, 4) sees 31 pixels of the input in each direction, (1, 1, 1) sees 15; (2, 2, 2) sees only every other one.
    width : factor on the channel counts 16 and 32
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
        4,138 parameters and 671,424 multiply-adds on 28×28 pictures by default.

    References
    ----------
    Yu and Koltun, *Multi-Scale Context Aggregation by Dilated Convolutions*, arXiv:1511.07122.
    """
    check_counts("dilated_separable", **{f"dilations[{k}]": d for k, d in enumerate(dilations)})
    rng = generator(rng)
    c, outputs = channels(16, width), channels(32, width)
    model = conv_bn(in_channels, c, stride=2, rng=rng)
    for d in dilations:
        model.append(DepthwiseSeparableConv2d(c, outputs, 3, padding=d, dilation=d, rng=rng))
        c = outputs
    return Sequential(*model, *head(c, classes, dropout, rng))
