"""The depthwise separable block as a layer."""

from typing import Literal, final

import numpy as np

from npdsconv.layers.activations import Choice, chosen
from npdsconv.layers.base import Layer, Pullback
from npdsconv.layers.composite import chain, infer
from npdsconv.layers.convolution import DepthwiseConv2d, PointwiseConv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import Array, PaddingLike, Stride, check_choice, check_counts


@final
class DepthwiseSeparableConv2d(Layer):
    """Depthwise, then pointwise: space first, then channels.

    With batch norm: depthwise, BN, activation, pointwise, BN, activation (MobileNet). Without: depthwise,
    activation, pointwise, activation. The children are ``depthwise``, ``bn1``, ``pointwise`` and ``bn2``.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation, depth_multiplier : of the depthwise step
    batch_norm : bool
    mid_activation, activation : None, the name of an activation, or a layer; after the first and after the second step
        Names are "relu", "relu6" and the others of ``npdsconv.layers.activations.ACTIVATIONS``. A layer is taken as it
        is, ``LeakyReLU(0.2)`` for instance or one of your own.
    bias : None, bool or "pointwise"
        None: one after each step without batch norm, which would cancel it, and none with it. True: one wherever it
        says something of its own. Where neither batch norm nor an activation stands between the two steps that is
        after the pointwise step alone, as in Keras' ``SeparableConv2D``. "pointwise": there alone in any case.
    eps, momentum : of both batch norms
    rng : np.random.Generator or seed for the initial weights
    impl : "naive", "im2col", "loops" or "numba"
    fused : bool
        Whether steps may share passes over memory. Where :mod:`npdsconv.layers.fusion` knows how, all six then run as
        one op, with the same children, state and results (to rounding).

    Notes
    -----

    M·(1/O + 1/(KH·KW)) of the weights and multiply-adds of a standard convolution.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861; Chollet, *Xception*, arXiv:1610.02357.
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
        depth_multiplier: int = 1,
        batch_norm: bool = True,
        mid_activation: Choice | None = "relu",
        activation: Choice | None = "relu",
        bias: bool | Literal["pointwise"] | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        rng: np.random.Generator | int | None = None,
        impl: str = "numba",
        fused: bool = True,
    ) -> None:
        op = "DepthwiseSeparableConv2d"
        check_counts(
            op, in_channels=in_channels, out_channels=out_channels, depth_multiplier=depth_multiplier
        )
        check_choice(op, "impl", impl, TIERS)
        bias1, bias2 = _biases(bias, batch_norm, mid_activation is not None)
        norm = {"eps": eps, "momentum": momentum}
        rng = np.random.default_rng(rng)
        middle = in_channels * depth_multiplier

        def act(name: str, choice: Choice | None) -> Layer | None:
            return None if choice is None else chosen(op, name, choice, impl)

        self.depthwise = DepthwiseConv2d(
            in_channels,
            kernel_size,
            depth_multiplier=depth_multiplier,
            stride=stride,
            padding=padding,
            dilation=dilation,
            bias=bias1,
            rng=rng,
            impl=impl,
        )
        self.bn1 = BatchNorm2d(middle, impl=impl, **norm) if batch_norm else None
        self.mid_activation = act("mid_activation", mid_activation)
        self.pointwise = PointwiseConv2d(middle, out_channels, bias=bias2, rng=rng, impl=impl)
        self.bn2 = BatchNorm2d(out_channels, impl=impl, **norm) if batch_norm else None
        self.activation = act("activation", activation)
        self.fused = fused

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        return chain(self.steps(), x, train, self.fused)

    def __call__(self, x: Array) -> Array:
        """Inference: nothing is kept."""
        return infer(self.steps(), x, self.fused)

    def steps(self) -> list[Layer]:
        """The layers inside, in the order in which they act."""
        steps = (
            self.depthwise,
            self.bn1,
            self.mid_activation,
            self.pointwise,
            self.bn2,
            self.activation,
        )
        return [step for step in steps if step is not None]

    def __repr__(self) -> str:
        step, (c, m) = self.depthwise, self.depthwise.weight.value.shape[:2]
        plain = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "depth_multiplier": 1}
        chosen = {**step.geometry(), "depth_multiplier": m}
        how = "".join(f", {name}={value}" for name, value in chosen.items() if value != plain[name])
        steps = ", ".join(type(layer).__name__ for layer in self.steps())
        outputs = len(self.pointwise.weight.value)
        return f"DepthwiseSeparableConv2d({c}, {outputs}, {step.kernel_size}{how}: {steps})"


def _biases(bias: bool | str | None, batch_norm: bool, mid_activation: bool) -> tuple[bool, bool]:
    """Whether the depthwise and the pointwise step have a bias; the rule stands at the argument."""
    if bias is None:
        return not batch_norm, not batch_norm
    if bias == "pointwise":
        return False, True
    if not isinstance(bias, bool):
        raise ValueError(
            f'DepthwiseSeparableConv2d: bias must be True, False, None or "pointwise", got {bias!r}'
        )
    return bias and (batch_norm or mid_activation), bias
