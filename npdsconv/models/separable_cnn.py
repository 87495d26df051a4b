"""The network that this package trains by default: one standard convolution, then depthwise separable blocks."""

import numpy as np

from npdsconv.layers import DepthwiseSeparableConv2d, Sequential
from npdsconv.models.blocks import channels, conv_bn, generator, head

# (output channels, stride) of each separable block
BLOCKS = ((64, 2), (64, 1), (128, 2), (128, 1))


def separable_cnn(
    in_channels: int = 1,
    classes: int = 10,
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    stem_stride: int = 1,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard 3×3 stem and four depthwise separable blocks, global average pooling and a dense layer.

    The stem is a standard convolution for a reason: with one input channel, a depthwise layer has a single filter,
    and everything after it could only see scaled copies of one picture.

    Parameters
    ----------
    in_channels, classes : int
    width : factor on the channel counts 32, 64, 64, 128, 128
    dropout : probability before the dense layer
    stem_stride : 1, or 2 to halve the picture in the stem already and not in the first block
        The parameters are as many, the work at full size (three quarters of all activations) is gone.
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes); 36,298 parameters by default

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861 (the block and the pattern).
    """
    if stem_stride not in (1, 2):
        raise ValueError(f"separable_cnn: stem_stride must be 1 or 2, got {stem_stride!r}")
    rng = generator(rng)
    c = channels(32, width)
    model = conv_bn(in_channels, c, stride=stem_stride, rng=rng)
    for k, (base, stride) in enumerate(BLOCKS):
        outputs = channels(base, width)
        stride = 1 if k == 0 and stem_stride == 2 else stride
        model.append(DepthwiseSeparableConv2d(c, outputs, 3, stride=stride, padding=1, rng=rng))
        c = outputs
    return Sequential(*model, *head(c, classes, dropout, rng))
