"""Layers that own convolution weights, and the dense layer."""

from typing import Any, final

import numpy as np

from npdsconv import init
from npdsconv.layers.base import Backward, Layer, Parameter, accumulate, check_counts, pullback
from npdsconv.ops import dense, depthwise, pointwise, standard
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, PaddingLike, Stride, pair


def _zeros(n: int) -> Parameter:
    return Parameter(np.zeros(n, np.float32))


def _needs(weight: Parameter, bias: Parameter | None, dx: bool) -> tuple[str, ...]:
    """Which gradients backward has to compute; a frozen layer too lets the gradient through to x."""
    wanted = ["x"] if dx else []
    wanted += ["w"] if weight.trainable else []
    wanted += ["b"] if bias is not None and bias.trainable else []
    return tuple(wanted)


@final
class Conv2d(Layer):
    """Standard convolution of (N, C, H, W) images.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (height, width)
    padding : int, (height, width), ((top, bottom), (left, right)), "valid" or "same"
    groups : int, divides both channel counts
    bias : bool
    rng : np.random.Generator for the initial weights (He, fan-in C/groups·KH·KW); None draws a fresh one
    impl : "naive", "im2col" or "numba"
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
        rng: np.random.Generator | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("Conv2d", in_channels=in_channels, out_channels=out_channels)
        standard.check_groups("Conv2d", in_channels, out_channels, groups)
        tier("Conv2d", standard.IMPLS, impl)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.impl = impl
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in, _ = init.fans("standard", shape, groups)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = _zeros(out_channels) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        w, b, how = self.weight, self.bias, {**self.geometry(), "impl": self.impl}
        y = standard.conv2d(x, w.value, b.value if b else None, **how)

        def backward(dy: Array, dx_too: bool = True) -> Array:
            dx, dw, db = standard.conv2d_backward(dy, x, w.value, needs=_needs(w, b, dx_too), **how)
            accumulate((w, b), (dw, db))
            return dx

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))

    def activated(self, x: Array, activation: str) -> Array:
        """Inference, with the activation after this layer in the same pass over memory."""
        bias = self.bias.value if self.bias else None
        return standard.activated_conv2d(x, self.weight.value, bias, activation, **self.geometry())

    def geometry(self) -> dict[str, Any]:
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
        rng: np.random.Generator | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("DepthwiseConv2d", in_channels=in_channels, depth_multiplier=depth_multiplier)
        tier("DepthwiseConv2d", depthwise.IMPLS, impl)
        self.kernel_size = pair("DepthwiseConv2d", "kernel_size", kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.impl = impl
        shape = (in_channels, depth_multiplier, *self.kernel_size)
        fan_in, _ = init.fans("depthwise", shape)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = _zeros(in_channels * depth_multiplier) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C·M, OH, OW)."""
        w, b = self.weight, self.bias
        how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "impl": self.impl}
        y = depthwise.depthwise_conv2d(x, w.value, b.value if b else None, **how)  # type: ignore[arg-type]

        def backward(dy: Array, dx_too: bool = True) -> Array:
            dx, dw, db = depthwise.depthwise_conv2d_backward(
                dy,
                x,
                w.value,
                needs=_needs(w, b, dx_too),
                **how,  # type: ignore[arg-type]
            )
            accumulate((w, b), (dw, db))
            return dx

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))


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
        rng: np.random.Generator | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("PointwiseConv2d", in_channels=in_channels, out_channels=out_channels)
        tier("PointwiseConv2d", pointwise.IMPLS, impl)
        self.impl = impl
        self.weight = Parameter(
            init.he_normal((out_channels, in_channels), in_channels, np.random.default_rng(rng))
        )
        self.bias = _zeros(out_channels) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, O, H, W)."""
        w, b, impl = self.weight, self.bias, self.impl
        y = pointwise.pointwise_conv2d(x, w.value, b.value if b else None, impl=impl)

        def backward(dy: Array, dx_too: bool = True) -> Array:
            dx, dw, db = pointwise.pointwise_conv2d_backward(
                dy, x, w.value, impl=impl, needs=_needs(w, b, dx_too)
            )
            accumulate((w, b), (dw, db))
            return dx

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))

    def activated(self, x: Array, activation: str) -> Array:
        """Inference, with the activation after this layer in the same pass over memory."""
        bias = self.bias.value if self.bias else None
        return pointwise.activated_pointwise_conv2d(x, self.weight.value, bias, activation)


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
        rng: np.random.Generator | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("Linear", in_features=in_features, out_features=out_features)
        tier("Linear", dense.IMPLS, impl)
        self.impl = impl
        self.weight = Parameter(
            init.lecun_normal((out_features, in_features), in_features, np.random.default_rng(rng))
        )
        self.bias = _zeros(out_features) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C) to (N, O)."""
        w, b, impl = self.weight, self.bias, self.impl
        y = dense.linear(x, w.value, b.value if b else None, impl=impl)

        def backward(dy: Array, dx_too: bool = True) -> Array:
            dx, dw, db = dense.linear_backward(dy, x, w.value, impl=impl, needs=_needs(w, b, dx_too))
            accumulate((w, b), (dw, db))
            return dx

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))
