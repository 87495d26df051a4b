"""Layers between the convolutions: normalisation, activations, pooling, flattening, dropout."""

from typing import Any, final

import numpy as np

from npdsconv.layers.base import Backward, Buffer, Layer, Parameter, accumulate, check_counts, pullback
from npdsconv.ops import activations, norm, pooling, regularization
from npdsconv.shapes import Array, PaddingLike, Stride, check_choice


@final
class BatchNorm2d(Layer):
    """Batch normalisation of each channel, with running statistics for evaluation.

    As in PyTorch: ``running = (1 - momentum)·running + momentum·batch``, where the batch variance is the unbiased
    one. A frozen layer (``freeze()``) uses its running statistics in training too, and leaves them alone.

    Parameters
    ----------
    num_features : int, the number of channels
    eps, momentum : float
    impl : "numpy" or "numba"
    """

    def __init__(
        self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1, impl: str = "numba"
    ) -> None:
        check_counts("BatchNorm2d", num_features=num_features)
        check_choice("BatchNorm2d", "impl", impl, norm.IMPLS)
        self.eps, self.momentum, self.impl = eps, momentum, impl
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.running_mean = Buffer(np.zeros(num_features, np.float32))
        self.running_var = Buffer(np.ones(num_features, np.float32))

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to the same shape."""
        return self.activated(x, None, train=train)

    def activated(self, x: Array, activation: str | None, *, train: bool) -> tuple[Array, Backward]:
        """As forward, with an activation ("relu" or "relu6") of the result in the same pass over memory."""
        weight, bias = self.weight, self.bias
        how: dict[str, Any] = {"eps": self.eps, "impl": self.impl, "activation": activation}
        given = self.is_given(train)
        y, mean, var = norm.batch_norm2d(x, weight.value, bias.value, *self.statistics(given), **how)
        if not given:
            self.remember(mean, var, x.size // x.shape[1])
        beta = bias.value.copy()

        @pullback
        def backward(dy: Array) -> Array:
            needs = ("x", *(name for name, p in (("weight", weight), ("bias", bias)) if p.trainable))
            dx, *gradients = norm.batch_norm2d_backward(
                dy, x, weight.value, mean, var, bias=beta, given=given, needs=needs, **how
            )
            accumulate((weight, bias), gradients)
            return dx  # type: ignore[return-value]

        return y, backward

    def is_given(self, train: bool) -> bool:
        """Whether the statistics are the running ones, constants: in evaluation, and where the layer is frozen."""
        return not (train and self.weight.trainable)

    def statistics(self, given: bool) -> tuple[Array | None, Array | None]:
        """Copies of the running statistics if they are to be used, and nothing if the batch's are."""
        return (self.running_mean.value.copy(), self.running_var.value.copy()) if given else (None, None)

    def remember(self, mean: Array, var: Array, count: int) -> None:
        """Move the running statistics towards those of a batch with `count` values in each channel."""
        unbiased = var * (count / (count - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.value += self.momentum * (batch - running.value)


@final
class ReLU(Layer):
    """max(x, 0), for arrays of any shape."""

    def __init__(self, *, impl: str = "numba") -> None:
        check_choice("ReLU", "impl", impl, activations.IMPLS)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """Any shape to the same shape."""
        impl = self.impl
        return activations.relu(x, impl=impl), pullback(
            lambda dy: activations.relu_backward(dy, x, impl=impl)
        )


@final
class ReLU6(Layer):
    """min(max(x, 0), 6), for arrays of any shape."""

    def __init__(self, *, impl: str = "numba") -> None:
        check_choice("ReLU6", "impl", impl, activations.IMPLS)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """Any shape to the same shape."""
        impl = self.impl
        return activations.relu6(x, impl=impl), pullback(
            lambda dy: activations.relu6_backward(dy, x, impl=impl)
        )


ACTIVATIONS: dict[str, type[ReLU] | type[ReLU6]] = {"relu": ReLU, "relu6": ReLU6}


def activation_name(layer: Layer | None) -> str | None:
    """What the ops call an activation layer; None for anything else."""
    return next((name for name, kind in ACTIVATIONS.items() if isinstance(layer, kind)), None)


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
        check_choice("MaxPool2d", "impl", impl, pooling.MAX_IMPLS)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size = self.kernel_size
        how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "impl": self.impl}
        y = pooling.max_pool2d(x, size, **how)  # type: ignore[arg-type]
        return y, pullback(lambda dy: pooling.max_pool2d_backward(dy, x, size, **how))  # type: ignore[arg-type]


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
        check_choice("AvgPool2d", "impl", impl, pooling.AVG_IMPLS)
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
        y = pooling.avg_pool2d(x, size, **how)  # type: ignore[arg-type]
        return y, pullback(lambda dy: pooling.avg_pool2d_backward(dy, x, size, **how))  # type: ignore[arg-type]


@final
class GlobalAvgPool2d(Layer):
    """The mean of every channel: (N, C, H, W) to (N, C, 1, 1). `impl` is "numpy" or "numba"."""

    def __init__(self, *, impl: str = "numba") -> None:
        check_choice("GlobalAvgPool2d", "impl", impl, pooling.GLOBAL_IMPLS)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, C, 1, 1)."""
        impl = self.impl
        return pooling.global_avg_pool2d(x, impl=impl), pullback(
            lambda dy: pooling.global_avg_pool2d_backward(dy, x, impl=impl)
        )


@final
class Flatten(Layer):
    """(N, C, H, W) to (N, C·H·W), channels slowest, as in PyTorch."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, ...) to (N, product of the rest)."""
        shape = x.shape
        features = int(np.prod(shape[1:]))
        return x.reshape(len(x), features), pullback(lambda dy: dy.reshape(shape))


@final
class Dropout(Layer):
    """Drop each unit with probability `p` in training, scaling the others by 1/(1 - p).

    The mask is a function of a key, drawn once from `rng`, and of a counter that advances by one each training pass.
    Both are Buffers: a resumed run goes on with the same masks, and restoring them repeats a mask.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1), got {p}")
        self.p = p
        rng = np.random.default_rng(rng)
        self.key = Buffer(rng.integers(2**63, size=1, dtype=np.uint64))
        self.counter = Buffer(np.zeros(1, np.uint64))

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """Any shape to the same shape."""
        if not (train and self.p):
            return x, pullback(lambda dy: dy)
        mask, p = self._mask(x.shape), self.p
        self.counter.value += np.uint64(1)
        return regularization.dropout(x, mask, p), pullback(
            lambda dy: regularization.dropout_backward(dy, mask, p)
        )

    def _mask(self, shape: tuple[int, ...]) -> Array:
        """True where a unit is kept. For images it is drawn channels-last: a product keeps its operands' layout."""
        generator = np.random.Generator(
            np.random.Philox(key=int(self.key.value[0]), counter=[0, 0, 0, int(self.counter.value[0])])
        )
        if len(shape) == 4:
            n, c, h, w = shape
            return (generator.random((n, h, w, c), np.float32) >= self.p).transpose(0, 3, 1, 2)
        return generator.random(shape, np.float32) >= self.p
