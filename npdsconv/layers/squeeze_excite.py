"""Squeeze-and-excite: the whole image says how much each of its channels counts."""

from typing import final

import numpy as np

from npdsconv.layers.activations import Choice, chosen
from npdsconv.layers.base import Layer, Pullback
from npdsconv.layers.composite import chain, infer
from npdsconv.layers.convolution import PointwiseConv2d
from npdsconv.layers.pooling import GlobalAvgPool2d
from npdsconv.ops import scaling
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, check_counts


@final
class SqueezeExcite(Layer):
    """``y = x · s(x)``: a number s for each channel of each image, computed from the means of all its channels.

    Squeeze: the global mean. Excite: pointwise, activation, pointwise, gate. The children are ``pool``, ``reduce``,
    ``activation``, ``expand`` and ``gate``.

    Parameters
    ----------
    channels : int
    squeezed : int, the channels between the two pointwise steps; commonly a quarter to a sixteenth of `channels`
    activation, gate : the name of an activation, of ``npdsconv.layers.activations.ACTIVATIONS``, or a layer
    rng : np.random.Generator or seed for the initial weights
    impl : "naive", "im2col", "loops" or "numba"

    Notes
    -----
    2·channels·squeezed multiply-adds, since both products see one pixel; and the image is read once more.

    References
    ----------
    Hu, Shen, Sun, *Squeeze-and-Excitation Networks*, arXiv:1709.01507.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        activation: Choice = "relu",
        gate: Choice = "sigmoid",
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
    ) -> None:
        op = "SqueezeExcite"
        check_counts(op, channels=channels, squeezed=squeezed)
        tier(op, scaling.IMPLS, impl)
        rng = np.random.default_rng(rng)
        self.pool = GlobalAvgPool2d(impl=impl)
        self.reduce = PointwiseConv2d(channels, squeezed, rng=rng, impl=impl)
        self.activation = chosen(op, "activation", activation, impl)
        self.expand = PointwiseConv2d(squeezed, channels, rng=rng, impl=impl)
        self.gate = chosen(op, "gate", gate, impl)
        self.impl = impl

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to the same shape."""
        impl = self.impl
        s, excite = chain(self.steps(), x, train)
        y = scaling.scale_channels(x, s, impl=impl)

        def backward(dy: Array, dx: bool) -> Array:
            """x counts twice: as what is scaled, and in the scale."""
            needs = ("x", "s") if dx else ("s",)
            straight, ds = scaling.scale_channels_backward(dy, x, s, impl=impl, needs=needs)
            around = excite(ds, dx=dx)
            return straight + around if dx else dy

        return y, Pullback(backward)

    def __call__(self, x: Array) -> Array:
        """Inference: nothing is kept."""
        return scaling.scale_channels(x, infer(self.steps(), x), impl=self.impl)

    def steps(self) -> list[Layer]:
        """The layers that compute the scale, in the order in which they act."""
        return [self.pool, self.reduce, self.activation, self.expand, self.gate]
