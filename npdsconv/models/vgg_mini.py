"""An all-standard network in the style of VGG: what fine-tuning is usually shown on, small enough for a laptop."""

import numpy as np

from npdsconv.layers import Layer, MaxPool2d, Sequential
from npdsconv.models.blocks import channels, conv_bn, flat_head, generator, head
from npdsconv.models.first_blocks import ENDINGS
from npdsconv.shapes import check_choice


def vgg_mini(
    in_channels: int = 1,
    classes: int = 10,
    *,
    width: float = 1.0,
    ending: str = "average",
    size: int = 28,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Pairs of standard 3×3 convolutions and 2×2 max pooling, three times.

    Parameters
    ----------
    in_channels, classes : int
    width : factor on the channel counts 16, 32, 64
    ending : "average" (a dense layer on the mean of each map) or "flatten" (on all their pixels, as in VGG)
    size : height and width of the images; only "flatten" needs it
    dropout : probability before the dense layer; not with "flatten"
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)

    References
    ----------
    Simonyan and Zisserman, *Very Deep Convolutional Networks*, arXiv:1409.1556 (the pattern).
    """
    check_choice("vgg_mini", "ending", ending, ENDINGS)
    rng = generator(rng)
    layers: list[Layer] = []
    c = in_channels
    for base in (16, 32, 64):
        outputs = channels(base, width)
        layers += [*conv_bn(c, outputs, rng=rng), *conv_bn(outputs, outputs, rng=rng), MaxPool2d(2)]
        c = outputs
    if ending == "flatten":
        return Sequential(*layers, *flat_head(c, size // 8, classes, rng))
    return Sequential(*layers, *head(c, classes, dropout, rng))
