"""Batch normalisation, which remembers running statistics."""

from typing import final

import numpy as np

from npdsconv.layers.base import Buffer, Layer, Parameter, Pullback, accumulate, needed
from npdsconv.ops import norm
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, check_counts, check_number


@final
class BatchNorm2d(Layer):
    """Batch normalisation of each channel, with running statistics for evaluation.

    As in PyTorch: ``running = (1 - momentum)·running + momentum·batch``, where the batch variance is the unbiased
    one. A frozen layer (``freeze()``) uses its running statistics in training too, and leaves them alone.

    Parameters
    ----------
    num_features : int, the number of channels
    eps : float, above 0
    momentum : float in [0, 1]
    impl : "naive", "im2col", "loops" or "numba"

    Raises
    ------
    ValueError
        A number out of its range, or an unknown tier.
    """

    def __init__(
        self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1, impl: str = "numba"
    ) -> None:
        check_counts("BatchNorm2d", num_features=num_features)
        tier("BatchNorm2d", norm.IMPLS, impl)
        self.eps = check_number("BatchNorm2d", "eps", eps, 0, open_low=True)
        self.momentum = check_number("BatchNorm2d", "momentum", momentum, 0, 1)
        self.impl = impl
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.running_mean = Buffer(np.zeros(num_features, np.float32))
        self.running_var = Buffer(np.ones(num_features, np.float32), least=0)

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to the same shape."""
        return self.activated(x, None, train=train)

    def activated(self, x: Array, activation: str | None, *, train: bool) -> tuple[Array, Pullback]:
        """As forward, with "relu" or "relu6" of the result in the same pass over memory."""
        weight, bias, eps, impl, given = self.weight, self.bias, self.eps, self.impl, self.is_given(train)
        y, mean, var = norm.batch_norm2d(
            x, weight.value, bias.value, *self.statistics(given), eps=eps, activation=activation, impl=impl
        )
        if not given:
            self.remember(mean, var, x.size // x.shape[1])
        shift = (
            bias.value.copy()
        )  # where the activation cuts: an optimiser's step may move the bias before backward

        def backward(dy: Array, dx: bool) -> Array:
            gradient, *of_parameters = norm.batch_norm2d_backward(
                dy,
                x,
                weight.value,
                mean,
                var,
                given=given,
                eps=eps,
                activation=activation,
                bias=shift,
                impl=impl,
                needs=needed(dx, weight=weight, bias=bias),
            )
            accumulate((weight, bias), of_parameters)
            return gradient

        return y, Pullback(backward)

    def is_given(self, train: bool) -> bool:
        """Whether the statistics are the running ones, constants: in evaluation, and where the layer is frozen."""
        return not (train and self.weight.trainable)

    def statistics(self, given: bool) -> tuple[Array, ...]:
        """Copies of the running statistics if they are to be used, and nothing if the batch's are."""
        return (self.running_mean.value.copy(), self.running_var.value.copy()) if given else ()

    def remember(self, mean: Array, var: Array, count: int) -> None:
        """Move the running statistics towards those of a batch with `count` values in each channel."""
        unbiased = var * (count / (count - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.value += self.momentum * (batch - running.value)
