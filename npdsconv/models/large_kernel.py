"""Large depthwise kernels, in the style of ConvNeXt: 7×7 is cheap where channels do not mix."""

import numpy as np

from npdsconv.layers import BatchNorm2d, DepthwiseConv2d, HardSwish, PointwiseConv2d, Residual, Sequential
from npdsconv.models.blocks import channels, conv_bn, generator, head


def large_kernel_block(c: int, *, kernel: int = 7, expansion: int = 4, rng: np.random.Generator) -> Residual:
    """Depthwise K×K, batch norm, pointwise to more channels, hard-swish, pointwise back; plus the input.

    ConvNeXt has layer norm and GELU where this has batch norm and hard-swish.
    """
    return Residual(
        Sequential(
            DepthwiseConv2d(c, kernel, padding=kernel // 2, bias=False, rng=rng),
            BatchNorm2d(c),
            PointwiseConv2d(c, expansion * c, rng=rng),
            HardSwish(),
            PointwiseConv2d(expansion * c, c, rng=rng),
        )
    )


def large_kernel_cnn(
    in_channels: int = 1,
    classes: int = 10,
    *,
    kernel: int = 7,
    width: float = 1.0,
    dropout: float = 0.0,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """A standard stem with stride 2, two blocks of a large kernel, a standard convolution with stride 2, two more.

    Parameters
    ----------
    in_channels, classes : int
    kernel : odd size of the depthwise kernels
    width : factor on the channel counts 16 and 32
    dropout : probability before the dense layer
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, H, W) to logits (N, classes)

    References
    ----------
    Liu et al., *A ConvNet for the 2020s*, arXiv:2201.03545.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(
            f"large_kernel_cnn: kernel must be odd, so that the picture keeps its size, got {kernel}"
        )
    rng = generator(rng)
    c16, c32 = channels(16, width), channels(32, width)
    return Sequential(
        *conv_bn(in_channels, c16, stride=2, rng=rng),
        *(large_kernel_block(c16, kernel=kernel, rng=rng) for _ in range(2)),
        *conv_bn(c16, c32, stride=2, rng=rng),
        *(large_kernel_block(c32, kernel=kernel, rng=rng) for _ in range(2)),
        *head(c32, classes, dropout, rng),
    )
