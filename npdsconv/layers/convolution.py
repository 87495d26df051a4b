"""Layers that own convolution weights, and the dense layer."""

from collections.abc import Callable
from typing import Any, final

import numpy as np

from npdsconv import init
from npdsconv.layers.base import Layer, Parameter, Pullback, accumulate, needed
from npdsconv.ops import dense, depthwise, pointwise, standard, transposed
from npdsconv.ops._tiers import tier
from npdsconv.shapes import (
    Array,
    Geometry,
    PaddingLike,
    Steps,
    Stride,
    check_counts,
    pair,
    parse_padding,
)


def _zeros(n: int) -> Parameter:
    return Parameter(np.zeros(n, np.float32))


def pulled_back(
    gradients: Callable[..., tuple[Any, ...]], x: Array, w: Parameter, b: Parameter | None, **how: Any
) -> Pullback:
    """The pullback of an op of x, a weight and perhaps a bias."""

    def backward(dy: Array, dx: bool) -> Array:
        gradient, dw, db = gradients(dy, x, w.value, needs=needed(dx, w=w, b=b), **how)
        accumulate((w, b), (dw, db))
        return gradient

    return Pullback(backward)


@final
class Conv2d(Layer):
    """Standard convolution of (N, C, H, W) images.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (height, width)
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    groups : int, divides both channel counts
    bias : bool
    rng : np.random.Generator or seed for the initial weights (He, fan-in C/groups·KH·KW); None draws a fresh one
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Stride,
        *,
        stride: Stride = 1,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        groups: int = 1,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("Conv2d", in_channels=in_channels, out_channels=out_channels)
        standard.check_groups("Conv2d", in_channels, out_channels, groups)
        tier("Conv2d", standard.IMPLS, impl)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride, self.dilation = pair("Conv2d", "stride", stride), pair("Conv2d", "dilation", dilation)
        self.padding = parse_padding("Conv2d", padding)
        self.groups, self.impl = groups, impl
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in, _ = init.fans("standard", shape, groups)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = _zeros(out_channels) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        w, b, impl, how = self.weight, self.bias, self.impl, self.geometry()
        y = standard.conv2d(x, w.value, b.value if b else None, impl=impl, **how)
        return y, pulled_back(standard.conv2d_backward, x, w, b, impl=impl, **how)

    def geometry(self) -> Geometry:
        """Stride, padding, dilation and groups, as the ops take them."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


@final
class ConvTranspose2d(Layer):
    """Transposed convolution of (N, C, H, W) images: makes them `stride` times larger.

    Parameters as for :class:`Conv2d`; padding is cut off the output. Initial weights: He, fan-in
    C/groups·KH·KW/(SH·SW), the number of products that meet in a pixel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Stride,
        *,
        stride: Stride = 1,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        groups: int = 1,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        op = "ConvTranspose2d"
        check_counts(op, in_channels=in_channels, out_channels=out_channels)
        standard.check_groups(op, in_channels, out_channels, groups)
        tier(op, transposed.IMPLS, impl)
        self.kernel_size = pair(op, "kernel_size", kernel_size)
        self.stride, self.dilation = pair(op, "stride", stride), pair(op, "dilation", dilation)
        self.padding = parse_padding(op, padding)
        self.groups, self.impl = groups, impl
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        _, products = init.fans("standard", shape, groups)  # of one pixel of x, which lie on `stride` of y
        fan_in = max(1, products // (self.stride[0] * self.stride[1]))
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = _zeros(out_channels) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        w, b, impl, how = self.weight, self.bias, self.impl, self.geometry()
        y = transposed.conv_transpose2d(x, w.value, b.value if b else None, impl=impl, **how)
        return y, pulled_back(transposed.conv_transpose2d_backward, x, w, b, impl=impl, **how)

    def geometry(self) -> Geometry:
        """Stride, padding, dilation and groups, as the ops take them."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


@final
class DepthwiseConv2d(Layer):
    """Depthwise convolution: `depth_multiplier` filters for each channel, each channel by itself.

    Parameters as for :class:`Conv2d`; the output has in_channels·depth_multiplier channels. Initial weights: He,
    fan-in KH·KW.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: Stride,
        *,
        depth_multiplier: int = 1,
        stride: Stride = 1,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("DepthwiseConv2d", in_channels=in_channels, depth_multiplier=depth_multiplier)
        tier("DepthwiseConv2d", depthwise.IMPLS, impl)
        self.kernel_size = pair("DepthwiseConv2d", "kernel_size", kernel_size)
        self.stride = pair("DepthwiseConv2d", "stride", stride)
        self.dilation = pair("DepthwiseConv2d", "dilation", dilation)
        self.padding = parse_padding("DepthwiseConv2d", padding)
        self.impl = impl
        shape = (in_channels, depth_multiplier, *self.kernel_size)
        fan_in, _ = init.fans("depthwise", shape)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = _zeros(in_channels * depth_multiplier) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C·M, OH, OW)."""
        w, b, impl, how = self.weight, self.bias, self.impl, self.geometry()
        y = depthwise.depthwise_conv2d(x, w.value, b.value if b else None, impl=impl, **how)
        return y, pulled_back(depthwise.depthwise_conv2d_backward, x, w, b, impl=impl, **how)

    def geometry(self) -> Steps:
        """Stride, padding and dilation, as the ops take them."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


@final
class PointwiseConv2d(Layer):
    """1×1 convolution: one out_channels × in_channels matrix for every pixel.

    Parameters as for :class:`Conv2d`. Initial weights: He, fan-in C.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("PointwiseConv2d", in_channels=in_channels, out_channels=out_channels)
        tier("PointwiseConv2d", pointwise.IMPLS, impl)
        self.impl = impl
        self.weight = Parameter(
            init.he_normal((out_channels, in_channels), in_channels, np.random.default_rng(rng))
        )
        self.bias = _zeros(out_channels) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, H, W)."""
        w, b, impl = self.weight, self.bias, self.impl
        y = pointwise.pointwise_conv2d(x, w.value, b.value if b else None, impl=impl)
        return y, pulled_back(pointwise.pointwise_conv2d_backward, x, w, b, impl=impl)


@final
class Linear(Layer):
    """Dense layer: ``y = x @ weight.T + bias`` for (N, in_features) arrays.

    Initial weights: LeCun (fan-in), since it usually feeds a softmax and no ReLU.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("Linear", in_features=in_features, out_features=out_features)
        tier("Linear", dense.IMPLS, impl)
        self.impl = impl
        self.weight = Parameter(
            init.lecun_normal((out_features, in_features), in_features, np.random.default_rng(rng))
        )
        self.bias = _zeros(out_features) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C) to (N, O)."""
        w, b, impl = self.weight, self.bias, self.impl
        y = dense.linear(x, w.value, b.value if b else None, impl=impl)
        return y, pulled_back(dense.linear_backward, x, w, b, impl=impl)
