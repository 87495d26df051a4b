"""Pooling: the largest or the mean of windows, or of everything. And its transpose, upsampling."""

from typing import final

from npdsconv.layers.base import Layer, Pullback, pullback
from npdsconv.ops import avg_pooling, global_pooling, max_pooling, upsampling
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, PaddingLike, Pooling, Stride, pair, parse_padding


@final
class MaxPool2d(Layer):
    """The largest value of every window.

    Parameters
    ----------
    kernel_size, dilation : int or (height, width)
    stride : int or (height, width); None means the kernel size
    padding : int, (height, width), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    ceil_mode : whether the output-size rule rounds up
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(
        self,
        kernel_size: Stride,
        *,
        stride: Stride | None = None,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        ceil_mode: bool = False,
        impl: str = "numba",
    ) -> None:
        tier("MaxPool2d", max_pooling.IMPLS, impl)
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride)
        self.padding = parse_padding("MaxPool2d", padding)
        self.dilation = pair("MaxPool2d", "dilation", dilation)
        self.ceil_mode, self.impl = ceil_mode, impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size, impl, how = self.kernel_size, self.impl, self.geometry()
        y = max_pooling.max_pool2d(x, size, impl=impl, **how)
        return y, pullback(lambda dy: max_pooling.max_pool2d_backward(dy, x, size, impl=impl, **how))

    def geometry(self) -> Pooling:
        """Stride, padding, dilation and rounding, as the ops take them."""
        return _geometry(self)


@final
class AvgPool2d(Layer):
    """The mean of every window.

    Parameters as for :class:`MaxPool2d`, and `count_include_pad`: whether the zeros of the padding count too. None, as
    it is if nothing is said, means: not with padding "same" and "same_lower".
    """

    def __init__(
        self,
        kernel_size: Stride,
        *,
        stride: Stride | None = None,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        ceil_mode: bool = False,
        count_include_pad: bool | None = None,
        impl: str = "numba",
    ) -> None:
        tier("AvgPool2d", avg_pooling.IMPLS, impl)
        self.kernel_size = pair("AvgPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride)
        self.padding = parse_padding("AvgPool2d", padding)
        self.dilation = pair("AvgPool2d", "dilation", dilation)
        self.ceil_mode, self.count_include_pad, self.impl = ceil_mode, count_include_pad, impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size, impl, inside, how = self.kernel_size, self.impl, self.count_include_pad, self.geometry()
        y = avg_pooling.avg_pool2d(x, size, count_include_pad=inside, impl=impl, **how)
        return y, pullback(
            lambda dy: avg_pooling.avg_pool2d_backward(
                dy, x, size, count_include_pad=inside, impl=impl, **how
            )
        )

    def geometry(self) -> Pooling:
        """As of :class:`MaxPool2d`."""
        return _geometry(self)


@final
class GlobalMaxPool2d(Layer):
    """The largest number of every channel: (N, C, H, W) to (N, C, 1, 1).

    Parameters
    ----------
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(self, *, impl: str = "numba") -> None:
        tier("GlobalMaxPool2d", max_pooling.IMPLS, impl)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C, 1, 1)."""
        impl = self.impl
        return max_pooling.global_max_pool2d(x, impl=impl), pullback(
            lambda dy: max_pooling.global_max_pool2d_backward(dy, x, impl=impl)
        )


@final
class GlobalAvgPool2d(Layer):
    """The mean of every channel: (N, C, H, W) to (N, C, 1, 1).

    Parameters
    ----------
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(self, *, impl: str = "numba") -> None:
        tier("GlobalAvgPool2d", global_pooling.IMPLS, impl)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C, 1, 1)."""
        impl = self.impl
        return global_pooling.global_avg_pool2d(x, impl=impl), pullback(
            lambda dy: global_pooling.global_avg_pool2d_backward(dy, x, impl=impl)
        )


@final
class Upsample2d(Layer):
    """Every pixel becomes a rectangle of equal ones (nearest neighbour): (N, C, H, W) to (N, C, H·sh, W·sw).

    Parameters
    ----------
    scale : int or (height, width)
    impl : "naive", "im2col", "loops" or "numba"
    """

    def __init__(self, scale: Stride, *, impl: str = "numba") -> None:
        tier("Upsample2d", upsampling.IMPLS, impl)
        self.scale, self.impl = pair("Upsample2d", "scale", scale), impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, C, H·sh, W·sw)."""
        scale, impl = self.scale, self.impl
        return upsampling.upsample2d(x, scale, impl=impl), pullback(
            lambda dy: upsampling.upsample2d_backward(dy, x, scale, impl=impl)
        )


def _geometry(layer: MaxPool2d | AvgPool2d) -> Pooling:
    return {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "ceil_mode": layer.ceil_mode,
    }
