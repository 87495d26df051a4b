"""The first networks that one builds of depthwise separable convolutions, as introductions draw them.

They have one or two blocks, right on the picture. On pictures with one channel that is a poor start, which is why they
are here: a depthwise step sees a single filter for each channel, so what follows has little to mix. Beside
:func:`npdsconv.models.separable_mini`, which begins with a standard convolution, they show what the stem is for.
"""

from typing import Any

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    ReLU,
    Sequential,
)
from npdsconv.models.blocks import flat_head, generator, head
from npdsconv.shapes import check_choice, check_counts

ENDINGS = ("average", "flatten")
ORDERS = ("depthwise_first", "pointwise_first", "standard")


def one_block(
    in_channels: int = 1,
    classes: int = 10,
    *,
    ending: str = "average",
    size: int = 28,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Depthwise 3×3, ReLU, pointwise, ReLU, and a dense layer.

    Parameters
    ----------
    in_channels, classes : int
    ending : "average" (over the picture, before the dense layer) or "flatten" (a weight for each pixel)
    size : height and width of the images; only "flatten" needs it
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
        140 parameters; with "flatten" 78,440 on 28×28 pictures and 102,440 on 32×32: a memory, not a classifier.
    """
    check_choice("one_block", "ending", ending, ENDINGS)
    rng = generator(rng)
    block = DepthwiseSeparableConv2d(in_channels, 10, 3, padding=1, batch_norm=False, rng=rng)
    if ending == "flatten":
        return Sequential(block, *flat_head(10, size, classes, rng))
    return Sequential(block, *head(10, classes, 0.0, rng))


def two_blocks(
    in_channels: int = 1,
    classes: int = 10,
    *,
    order: str = "depthwise_first",
    batch_norm: bool = False,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Two blocks to 32 and to 64 channels at full size, global average pooling and a dense layer.

    Parameters
    ----------
    in_channels, classes : int
    order : what a block is
        "depthwise_first" is a depthwise separable block: 3,156 parameters.
        "pointwise_first" is a standard 3×3 convolution and then a depthwise one, as one source has it: 20,426, more
        than without the trick.
        "standard" is a plain 3×3 convolution: 19,466.
    batch_norm : between each convolution and its ReLU (in place of its bias, where the block has one)
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)
    """
    check_choice("two_blocks", "order", order, ORDERS)
    rng = generator(rng)
    layers: list[Layer] = []
    for inputs, outputs in ((in_channels, 32), (32, 64)):
        common: dict[str, Any] = {"padding": 1, "rng": rng}
        if order == "depthwise_first":
            layers.append(DepthwiseSeparableConv2d(inputs, outputs, 3, batch_norm=batch_norm, **common))
            continue
        common["bias"] = not batch_norm
        steps: list[Layer] = [Conv2d(inputs, outputs, 3, **common)]
        if order == "pointwise_first":
            steps.append(DepthwiseConv2d(outputs, 3, **common))
        for step in steps:
            layers += [step, *([BatchNorm2d(outputs)] if batch_norm else []), ReLU()]
    return Sequential(*layers, *head(64, classes, 0.0, rng))


def multiplied(
    in_channels: int = 1,
    classes: int = 10,
    *,
    multiplier: int = 8,
    features: int = 32,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A depthwise step with several filters for each channel, ReLU, pointwise, ReLU, global average pooling, dense.

    Parameters
    ----------
    in_channels, classes : int
    multiplier : filters for each input channel
    features : maps behind the pointwise step
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 698 parameters by default
    """
    rng = generator(rng)
    block = DepthwiseSeparableConv2d(
        in_channels, features, 3, padding=1, depth_multiplier=multiplier, batch_norm=False, rng=rng
    )
    return Sequential(block, *head(features, classes, 0.0, rng))


def class_maps(
    in_channels: int = 1,
    classes: int = 10,
    *,
    multiplier: int = 32,
    batch_norm: bool = False,
    blocks: int = 1,
    ending: str = "average",
    size: int = 28,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A depthwise step with many filters, then a map for each class, whose mean is its logit: no dense layer.

    Parameters
    ----------
    in_channels, classes : int
    multiplier : filters for each input channel
    batch_norm : after both steps of each block, in place of biases
    blocks : int; those after the first are depthwise separable blocks of as many channels as the first has filters
    ending : "average", or "flatten" for a dense layer on all pixels of the maps, as in :func:`one_block`
    size : height and width of the images; only "flatten" needs it
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 650 parameters by default
    """
    check_choice("class_maps", "ending", ending, ENDINGS)
    check_counts("class_maps", blocks=blocks, multiplier=multiplier)
    rng = generator(rng)
    filters = in_channels * multiplier
    layers: list[Layer] = []
    for k in range(blocks):
        first, last = k == 0, k == blocks - 1
        layers.append(
            DepthwiseSeparableConv2d(
                in_channels if first else filters,
                classes if last else filters,
                3,
                padding=1,
                depth_multiplier=multiplier if first else 1,
                batch_norm=batch_norm,
                activation=None if last else "relu",
                rng=rng,
            )
        )
    if ending == "flatten":
        return Sequential(*layers, *flat_head(classes, size, classes, rng))
    return Sequential(*layers, GlobalAvgPool2d(), Flatten())
