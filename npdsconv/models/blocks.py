"""Building blocks that several models share."""

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    PointwiseConv2d,
)
from npdsconv.layers.activations import Choice, chosen
from npdsconv.shapes import PaddingLike


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: PaddingLike | None = None,
    batch_norm: bool = True,
    activation: Choice | None = "relu",
    eps: float = 1e-5,
    momentum: float = 0.1,
    rng: np.random.Generator,
) -> list[Layer]:
    """Standard convolution (padding kernel // 2 by default), batch norm or a bias, activation: the layers as a list."""
    padding = kernel // 2 if padding is None else padding
    layers: list[Layer] = [
        Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=not batch_norm, rng=rng),
        *([BatchNorm2d(outputs, eps=eps, momentum=momentum)] if batch_norm else []),
    ]
    return layers + ([] if activation is None else [chosen("conv_bn", "activation", own(activation))])


def pointwise_bn(
    inputs: int,
    outputs: int,
    *,
    activation: Choice,
    eps: float = 1e-5,
    momentum: float = 0.1,
    rng: np.random.Generator,
) -> list[Layer]:
    """Pointwise convolution without bias, batch norm, activation: the layers as a list."""
    return [
        PointwiseConv2d(inputs, outputs, bias=False, rng=rng),
        BatchNorm2d(outputs, eps=eps, momentum=momentum),
        chosen("pointwise_bn", "activation", own(activation)),
    ]


def own(activation: Choice) -> Choice:
    """An activation for one place of a network: of a layer a copy, so that no two places share what it learns."""
    return activation.copy() if isinstance(activation, Layer) else activation


def head(c: int, classes: int, dropout: float, rng: np.random.Generator) -> list[Layer]:
    """From `c` feature maps to logits: global average pooling, dropout (where wanted), a dense layer."""
    drop = [Dropout(dropout, rng=rng)] if dropout else []
    return [GlobalAvgPool2d(), Flatten(), *drop, Linear(c, classes, rng=rng)]


def flat_head(c: int, size: int, classes: int, rng: np.random.Generator) -> list[Layer]:
    """From `c` maps of size×size pixels to logits: a dense layer with a weight for every pixel."""
    return [Flatten(), Linear(c * size * size, classes, rng=rng)]


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """A generator as it is, a seed as a generator, None as a fresh one."""
    return np.random.default_rng(rng)


def channels(base: int, width: float, multiple: int = 1) -> int:
    """`base` channels scaled by `width` and rounded to a multiple, at least one.

    Where rounding down would take away more than a tenth, it is rounded up, as in the authors' code for MobileNet v2:
    its published sizes for the widths 0.35 and 0.75 need that.
    """
    wanted = base * width
    rounded = max(multiple, int(wanted / multiple + 0.5) * multiple)
    return rounded if rounded >= 0.9 * wanted else rounded + multiple
