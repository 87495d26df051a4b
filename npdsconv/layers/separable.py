"""The depthwise separable block as a layer."""

from typing import Any, final

import numpy as np

from npdsconv.layers.activations import ACTIVATIONS, activation_name
from npdsconv.layers.base import Backward, Layer, Parameter, accumulate, pullback
from npdsconv.layers.composite import chain, for_inference, set_impl
from npdsconv.layers.convolution import DepthwiseConv2d, PointwiseConv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.ops.fused import block
from npdsconv.shapes import Array, PaddingLike, Stride, check_choice, resolve_window


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
    mid_activation, activation : None, "relu" or "relu6"; after the first and after the second step
    bias : bool or None; None means: only without batch norm, which would cancel it
    rng : np.random.Generator for the initial weights
    impl : "naive", "im2col" or "numba"

    Notes
    -----
    Where ``npdsconv.ops.fused.block.can_fuse`` allows, all six steps run as one op, with the same children, state and
    results (to rounding).

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
        mid_activation: str | None = "relu",
        activation: str | None = "relu",
        bias: bool | None = None,
        rng: np.random.Generator | None = None,
        impl: str = "numba",
    ) -> None:
        for name, choice in (("mid_activation", mid_activation), ("activation", activation)):
            if choice is not None:
                check_choice("DepthwiseSeparableConv2d", name, choice, ACTIVATIONS)
        bias = not batch_norm if bias is None else bias
        rng = np.random.default_rng(rng)
        middle = in_channels * depth_multiplier
        self.depthwise = DepthwiseConv2d(
            in_channels,
            kernel_size,
            depth_multiplier=depth_multiplier,
            stride=stride,
            padding=padding,
            dilation=dilation,
            bias=bias,
            rng=rng,
            impl=impl,
        )
        self.bn1 = BatchNorm2d(middle) if batch_norm else None
        self.mid_activation = ACTIVATIONS[mid_activation]() if mid_activation else None
        self.pointwise = PointwiseConv2d(middle, out_channels, bias=bias, rng=rng, impl=impl)
        self.bn2 = BatchNorm2d(out_channels) if batch_norm else None
        self.activation = ACTIVATIONS[activation]() if activation else None
        set_impl(self, impl)

    def _steps(self) -> list[Layer]:
        steps = (
            self.depthwise,
            self.bn1,
            self.mid_activation,
            self.pointwise,
            self.bn2,
            self.activation,
        )
        return [step for step in steps if step is not None]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        return self._fused(x, train) if self.fuses(x.shape) else chain(self._steps(), x, train)

    def __call__(self, x: Array) -> Array:
        """Inference: nothing is kept."""
        if self.bn1 is None and self._is_fast() and self._fits(x.shape):
            return self._inferred(x)
        if self.fuses(x.shape):
            assert self.bn1 is not None
            assert self.bn2 is not None
            weights = block.Weights(*(p.value for p in self._owners()))
            known = (*self.bn1.statistics(True), *self.bn2.statistics(True))
            return block.evaluate(x, weights, known, **self._how())  # type: ignore[arg-type]
        for step in for_inference(self._steps()):
            x = step(x)
        return x

    def fuses(self, shape: tuple[int, ...]) -> bool:
        """Whether the block trains as one op on images of `shape` (N, C, H, W).

        It has to have batch norm and no biases, all its steps have to be of the fast tier, and the shape has to fit.
        """
        return self._is_fast() and self.bn1 is not None and self.depthwise.bias is None and self._fits(shape)

    def _is_fast(self) -> bool:
        return all(vars(step).get("impl") == "numba" for step in self._steps())

    def _fits(self, shape: tuple[int, ...]) -> bool:
        step, w = self.depthwise, self.depthwise.weight.value
        if len(shape) != 4 or shape[1] != len(w):
            return False  # the depthwise step will say what is wrong
        window = resolve_window(
            "depthwise_conv2d", shape[2:], w.shape[2:], step.stride, step.padding, step.dilation
        )
        return block.can_fuse(w.shape, window)

    def _inferred(self, x: Array) -> Array:
        step, mix = self.depthwise, self.pointwise
        bias1, bias2 = (layer.bias.value if layer.bias else None for layer in (step, mix))
        return block.infer(x, step.weight.value, bias1, mix.weight.value, bias2, **self._how())

    def _owners(self) -> tuple[Parameter, ...]:
        """The parameters in the order of ``block.Weights``."""
        bn1, bn2 = self.bn1, self.bn2
        assert bn1 is not None
        assert bn2 is not None
        return self.depthwise.weight, bn1.weight, bn1.bias, self.pointwise.weight, bn2.weight, bn2.bias

    def _how(self) -> dict[str, Any]:
        """What the ops want to know besides the arrays."""
        step = self.depthwise
        how: dict[str, Any] = {"stride": step.stride, "padding": step.padding, "dilation": step.dilation}
        how["activations"] = activation_name(self.mid_activation), activation_name(self.activation)
        if self.bn1 is not None and self.bn2 is not None:
            how["eps"] = self.bn1.eps, self.bn2.eps
        return how

    def _fused(self, x: Array, train: bool) -> tuple[Array, Backward]:
        bn1, bn2, owners, how = self.bn1, self.bn2, self._owners(), self._how()
        assert bn1 is not None
        assert bn2 is not None
        weights = [p.value for p in owners]
        given = bn1.is_given(train), bn2.is_given(train)
        known = [s for bn, fixed in zip((bn1, bn2), given, strict=True) for s in bn.statistics(fixed)]
        y, saved = block.separable_block(x, *weights, *known, **how)
        for bn, fixed, mean, var in ((bn1, given[0], *saved[2:4]), (bn2, given[1], *saved[4:])):
            if not fixed:
                bn.remember(mean, var, saved.p.size // saved.p.shape[1])

        def backward(dy: Array, dx_too: bool = True) -> Array:
            needs = [name for name, p in zip(block.ARRAYS[1:], owners, strict=True) if p.trainable]
            dx, *gradients = block.separable_block_backward(
                dy, x, saved, *weights, given=given, needs=("x",) * dx_too + tuple(needs), **how
            )
            accumulate(owners, gradients)
            return dx  # type: ignore[return-value]

        return y, pullback(backward, lambda dy: backward(dy, dx_too=False))

    def __repr__(self) -> str:
        steps = ", ".join(type(step).__name__ for step in self._steps())
        outputs = len(self.pointwise.weight.value)
        c, m = self.depthwise.weight.value.shape[:2]
        head = f"{c}, {outputs}, {self.depthwise.kernel_size}, depth_multiplier={m}"
        return f"DepthwiseSeparableConv2d({head}: {steps})"
