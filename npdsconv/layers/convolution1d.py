"""Convolution of sequences. One of (C, L) is an image of one row: the ops of images serve it, on views alone."""

from collections.abc import Callable
from typing import Any, final

import numpy as np

from npdsconv import init
from npdsconv.layers.base import Layer, Parameter, Pullback
from npdsconv.layers.convolution import pulled_back
from npdsconv.ops import depthwise, standard
from npdsconv.ops._tiers import Gradient, tier
from npdsconv.shapes import (
    Array,
    Geometry,
    SidesLike,
    Steps,
    check_counts,
    check_floats,
    check_ndim,
    parse_sides,
)


def _row(op: str, x: Array) -> Array:
    """(N, C, L) as (N, C, 1, L)."""
    check_floats(op, x=x)
    check_ndim(op, "x", x, "N, C, L")
    return x[:, :, None]


def _line(x: Gradient) -> Gradient:
    """The way back, for what there is."""
    return None if x is None else x[:, :, 0]


def _of_lines(gradients: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The backward of an op of images, for dy and w of sequences; x is already an image of one row."""

    def of_lines(dy: Array, row: Array, w: Array, **how: Any) -> tuple[Any, ...]:
        dx, dw, db = gradients(dy[:, :, None], row, w[:, :, None], **how)
        return _line(dx), _line(dw), db

    return of_lines


@final
class Conv1d(Layer):
    """Standard convolution of (N, C, L) sequences: :class:`Conv2d` on images of one row.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation : int
    padding : int, (left, right), "valid", "same" or "same_lower"
    groups : int, divides both channel counts
    bias : bool
    rng : np.random.Generator or seed for the initial weights (He, fan-in C/groups·K); None draws a fresh one
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: SidesLike = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("Conv1d", in_channels=in_channels, out_channels=out_channels)
        check_counts("Conv1d", kernel_size=kernel_size, stride=stride, dilation=dilation)
        standard.check_groups("Conv1d", in_channels, out_channels, groups)
        tier("Conv1d", standard.IMPLS, impl)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding = parse_sides("Conv1d", padding)
        self.groups, self.impl = groups, impl
        shape = (out_channels, in_channels // groups, kernel_size)
        fan_in, _ = init.fans("standard", shape, groups)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, L) to (N, O, OL)."""
        w, b, impl, how, row = self.weight, self.bias, self.impl, self.geometry(), _row("Conv1d", x)
        y = standard.conv2d(row, w.value[:, :, None], b.value if b else None, impl=impl, **how)
        return _line(y), pulled_back(_of_lines(standard.conv2d_backward), row, w, b, impl=impl, **how)

    def geometry(self) -> Geometry:
        """Stride, padding, dilation and groups of the image of one row, as the ops take them."""
        return {
            "stride": (1, self.stride),
            "padding": self.padding if isinstance(self.padding, str) else ((0, 0), self.padding),
            "dilation": (1, self.dilation),
            "groups": self.groups,
        }


@final
class DepthwiseConv1d(Layer):
    """Depthwise convolution of (N, C, L) sequences: `depth_multiplier` filters for each channel, each by itself.

    Parameters as for :class:`Conv1d`; the output has in_channels·depth_multiplier channels. Initial weights: He,
    fan-in K.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int,
        *,
        depth_multiplier: int = 1,
        stride: int = 1,
        padding: SidesLike = 0,
        dilation: int = 1,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        check_counts("DepthwiseConv1d", in_channels=in_channels, depth_multiplier=depth_multiplier)
        check_counts("DepthwiseConv1d", kernel_size=kernel_size, stride=stride, dilation=dilation)
        tier("DepthwiseConv1d", depthwise.IMPLS, impl)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding = parse_sides("DepthwiseConv1d", padding)
        self.impl = impl
        shape = (in_channels, depth_multiplier, kernel_size)
        fan_in, _ = init.fans("depthwise", shape)
        self.weight = Parameter(init.he_normal(shape, fan_in, np.random.default_rng(rng)))
        self.bias = Parameter(np.zeros(in_channels * depth_multiplier, np.float32)) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, L) to (N, C·M, OL)."""
        w, b, impl, how, row = self.weight, self.bias, self.impl, self.geometry(), _row("DepthwiseConv1d", x)
        y = depthwise.depthwise_conv2d(row, w.value[:, :, None], b.value if b else None, impl=impl, **how)
        return _line(y), pulled_back(
            _of_lines(depthwise.depthwise_conv2d_backward), row, w, b, impl=impl, **how
        )

    def geometry(self) -> Steps:
        """Stride, padding and dilation of the image of one row, as the ops take them."""
        return {
            "stride": (1, self.stride),
            "padding": self.padding if isinstance(self.padding, str) else ((0, 0), self.padding),
            "dilation": (1, self.dilation),
        }
