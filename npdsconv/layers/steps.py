"""Steps of a chain in which a batch norm shares passes over memory with its neighbours.

They own nothing, so they are no layers.
"""

from npdsconv.layers.base import Backward, accumulate, pullback
from npdsconv.layers.convolution import Conv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.ops.fused import normed_conv
from npdsconv.shapes import Array


class ActivatedBatchNorm:
    """A batch norm and the activation after it."""

    def __init__(self, norm: BatchNorm2d, activation: str) -> None:
        self.norm, self.activation = norm, activation

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to the same shape."""
        return self.norm.activated(x, self.activation, train=train)

    def __call__(self, x: Array) -> Array:
        """Inference."""
        return self.forward(x, train=False)[0]


class NormedConv2d:
    """A standard convolution without bias, the batch norm after it and the activation, if any, after that."""

    def __init__(self, conv: Conv2d, norm: BatchNorm2d, activation: str | None) -> None:
        self.conv, self.norm, self.activation = conv, norm, activation

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        conv, norm = self.conv, self.norm
        how = {**conv.geometry(), "eps": norm.eps, "activation": self.activation}
        owners = conv.weight, norm.weight, norm.bias
        w, weight, bias = (p.value for p in owners)
        given = norm.is_given(train)
        y, saved = normed_conv.normed_conv2d(x, w, weight, bias, *norm.statistics(given), **how)
        if not given:
            norm.remember(saved.mean, saved.var, y.size // y.shape[1])
        beta = bias.copy()

        def backward(dy: Array, dx_too: bool = True) -> Array:
            needs = [name for name, p in zip(normed_conv.ARRAYS[1:], owners, strict=True) if p.trainable]
            dx, *gradients = normed_conv.normed_conv2d_backward(
                dy, x, saved, w, weight, beta, given=given, needs=("x",) * dx_too + tuple(needs), **how
            )
            accumulate(owners, gradients)
            return dx  # type: ignore[return-value]

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))
