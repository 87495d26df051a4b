"""Pooling: the largest or the mean of windows, or of everything."""

from typing import final

from npdsconv.layers.base import Backward, Layer, pullback
from npdsconv.ops import avg_pooling, global_pooling, max_pooling
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, PaddingLike, Stride


@final
class MaxPool2d(Layer):
    """The largest value of every window. `stride` defaults to the kernel size."""

    def __init__(
        self,
        kernel_size: Stride,
        *,
        stride: Stride | None = None,
        padding: PaddingLike = 0,
        dilation: Stride = 1,
        impl: str = "numba",
    ) -> None:
        tier("MaxPool2d", max_pooling.IMPLS, impl)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size = self.kernel_size
        how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "impl": self.impl}
        y = max_pooling.max_pool2d(x, size, **how)  # type: ignore[arg-type]
        return y, pullback(lambda dy: max_pooling.max_pool2d_backward(dy, x, size, **how))  # type: ignore[arg-type]


@final
class AvgPool2d(Layer):
    """The mean of every window. `stride` defaults to the kernel size."""

    def __init__(
        self,
        kernel_size: Stride,
        *,
        stride: Stride | None = None,
        padding: PaddingLike = 0,
        count_include_pad: bool = True,
        impl: str = "numba",
    ) -> None:
        tier("AvgPool2d", avg_pooling.IMPLS, impl)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.count_include_pad, self.impl = count_include_pad, impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size = self.kernel_size
        how = {
            "stride": self.stride,
            "padding": self.padding,
            "count_include_pad": self.count_include_pad,
            "impl": self.impl,
        }
        y = avg_pooling.avg_pool2d(x, size, **how)  # type: ignore[arg-type]
        return y, pullback(lambda dy: avg_pooling.avg_pool2d_backward(dy, x, size, **how))  # type: ignore[arg-type]


@final
class GlobalAvgPool2d(Layer):
    """The mean of every channel: (N, C, H, W) to (N, C, 1, 1). `impl` is "numpy" or "numba"."""

    def __init__(self, *, impl: str = "numba") -> None:
        tier("GlobalAvgPool2d", global_pooling.IMPLS, impl)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C, 1, 1)."""
        impl = self.impl
        return global_pooling.global_avg_pool2d(x, impl=impl), pullback(
            lambda dy: global_pooling.global_avg_pool2d_backward(dy, x, impl=impl)
        )
