"""Batch normalisation, which remembers running statistics."""

from typing import Any, final

import numpy as np

from npdsconv.layers.base import Backward, Buffer, Layer, Parameter, accumulate, check_counts, pullback
from npdsconv.ops import norm
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array


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
        tier("BatchNorm2d", norm.IMPLS, impl)
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
            return dx

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
