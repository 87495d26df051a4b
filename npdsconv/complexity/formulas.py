"""The formulas: multiply-adds (MACs) for one image. `output` is (OH, OW), never the input's size."""

from npdsconv import shapes
from npdsconv.ops.standard import check_groups
from npdsconv.shapes import Pair, Stride


def conv_macs(in_channels: int, out_channels: int, kernel: Stride, output: Pair, groups: int = 1) -> int:
    """``O·(C/groups)·KH·KW·OH·OW``: every output number is a sum over a window in C/groups channels."""
    check_groups("conv_macs", in_channels, out_channels, groups)
    return out_channels * (in_channels // groups) * _area(kernel) * _area(output)


def depthwise_macs(in_channels: int, kernel: Stride, output: Pair, multiplier: int = 1) -> int:
    """``C·M·KH·KW·OH·OW``: no sum over channels, so the number of channels enters once."""
    return in_channels * multiplier * _area(kernel) * _area(output)


def pointwise_macs(in_channels: int, out_channels: int, output: Pair) -> int:
    """``O·C·OH·OW``: one O×C matrix for every pixel."""
    return out_channels * in_channels * _area(output)


def separable_macs(
    in_channels: int, out_channels: int, kernel: Stride, output: Pair, multiplier: int = 1
) -> int:
    """``C·M·(KH·KW + O)·OH·OW``: depthwise, then pointwise on its C·M channels."""
    depthwise = depthwise_macs(in_channels, kernel, output, multiplier)
    return depthwise + pointwise_macs(in_channels * multiplier, out_channels, output)


def linear_macs(in_features: int, out_features: int) -> int:
    """``O·C``: every weight is used once."""
    return in_features * out_features


def ratio(out_channels: int, kernel: Stride, multiplier: int = 1) -> float:
    """Separable over standard: ``M·(1/O + 1/(KH·KW))``, for weights and for MACs alike.

    Input channels and image size cancel. The ratio is above 1, so that nothing is saved, whenever O = 1,
    KH·KW = 1 or M >= KH·KW.

    >>> round(ratio(64, 3), 4), ratio(4, 2), ratio(2, 2, multiplier=2)
    (0.1267, 0.5, 1.5)
    """
    for name, value in (("out_channels", out_channels), ("kernel", kernel), ("multiplier", multiplier)):
        shapes.pair("ratio", name, value)
    return multiplier * (1 / out_channels + 1 / _area(kernel))


def _area(size: Stride) -> int:
    height, width = (size, size) if isinstance(size, int) else size
    return height * width
