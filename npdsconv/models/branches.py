"""Parallel branches: one picture through separable blocks of several dilations at once, joined along the channels."""

from collections.abc import Sequence

import numpy as np

from npdsconv.layers import Concat, DepthwiseSeparableConv2d, Sequential
from npdsconv.models.blocks import channels, conv_bn, generator, head
from npdsconv.shapes import check_counts


def parallel_separable(
    in_channels: int = 1,
    classes: int = 10,
    *,
    dilations: Sequence[int] = (1, 2, 4),
    width: float = 1.0,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem with stride 2, one branch for each dilation, and a separable block over all that they found.

    Parameters
    ----------
    in_channels, classes : int
    dilations : of the branches
    width : factor on the channel counts: 16 behind the stem and of each branch, 32 at the end
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)

    References
    ----------
    Chen et al., *Rethinking Atrous Convolution for Semantic Image Segmentation*, arXiv:1706.05587 (the pattern).
    """
    check_counts("parallel_separable", **{f"dilations[{k}]": d for k, d in enumerate(dilations)})
    rng = generator(rng)
    c16, c32 = channels(16, width), channels(32, width)
    branches = [
        Sequential(DepthwiseSeparableConv2d(c16, c16, 3, padding=d, dilation=d, rng=rng)) for d in dilations
    ]
    return Sequential(
        *conv_bn(in_channels, c16, stride=2, rng=rng),
        Concat(*branches),
        DepthwiseSeparableConv2d(len(branches) * c16, c32, 3, stride=2, padding=1, rng=rng),
        *head(c32, classes, dropout, rng),
    )
