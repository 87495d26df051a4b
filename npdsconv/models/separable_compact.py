"""Separable networks of a few thousand weights and less: narrow, deep, residual."""

from collections.abc import Sequence

import numpy as np

from npdsconv.layers import DepthwiseSeparableConv2d, Layer, Residual, Sequential
from npdsconv.layers.activations import Choice
from npdsconv.models.blocks import conv_bn, generator, head, own
from npdsconv.shapes import check_counts


def separable_compact(
    in_channels: int = 1,
    classes: int = 10,
    *,
    stem: int = 12,
    filters: Sequence[int] = (24, 32),
    repeats: Sequence[int] = (3, 2),
    stem_repeats: int = 0,
    kernel: int = 3,
    activation: Choice = "hard_swish",
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem, then stages: a separable block with stride 2, and residual ones that keep the size.

    Few weights are best spent on depth: a residual block of 24 channels has 888, so that five of them, with hard-swish
    in place of ReLU, make up most of the network.

    Parameters
    ----------
    in_channels, classes : int
    stem : channels of the standard 3×3 convolution in front
    filters, repeats : of each stage, its channels and how many residual blocks follow the one with stride 2
    stem_repeats : residual blocks before the first stage
    kernel : odd size of the depthwise kernels
    activation : the name of an activation, or a layer, of which each place gets a copy
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 7,570 parameters by default

    References
    ----------
    He et al., *Deep Residual Learning for Image Recognition*, arXiv:1512.03385; Howard et al., *MobileNets*,
    arXiv:1704.04861.
    """
    where = "separable_compact"
    check_counts(where, stem=stem, **{f"filters[{k}]": c for k, c in enumerate(filters)})
    if len(filters) != len(repeats):
        raise ValueError(f"{where}: {len(filters)} stages of filters, but {len(repeats)} of repeats")
    if min(*repeats, stem_repeats) < 0:
        raise ValueError(f"{where}: repeats must be at least 0, got {list(repeats)}, stem {stem_repeats}")
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"{where}: kernel must be odd, so that the picture keeps its size, got {kernel}")
    rng = generator(rng)

    def block(inputs: int, outputs: int, stride: int = 1) -> Layer:
        return DepthwiseSeparableConv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            mid_activation=own(activation),
            activation=own(activation),
            rng=rng,
        )

    layers = conv_bn(in_channels, stem, activation=activation, rng=rng)
    layers += [Residual(block(stem, stem)) for _ in range(stem_repeats)]
    c = stem
    for outputs, count in zip(filters, repeats, strict=True):
        layers.append(block(c, outputs, 2))
        layers += [Residual(block(outputs, outputs)) for _ in range(count)]
        c = outputs
    return Sequential(*layers, *head(c, classes, dropout, rng))
