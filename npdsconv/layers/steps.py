"""Steps of a chain: one layer, or several that share passes over memory and so run as one.

A step owns nothing, so it is no layer. Like one it has ``forward``, which gives y and its pullback, and ``__call__``
for inference. Besides, `layers` are those it stands for, and `hidden` those of them whose output is never in memory.
Which layers become which step is decided in :mod:`fusion`, and nowhere else.
"""

from collections.abc import Sequence
from typing import Protocol, final

from npdsconv.layers.activations import Activation, activation_name
from npdsconv.layers.base import Layer, Pullback, accumulate, needed, pullback, reverse
from npdsconv.layers.convolution import Conv2d, DepthwiseConv2d, PointwiseConv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.ops import pointwise, standard
from npdsconv.ops.fused import block, inference, normed_conv
from npdsconv.shapes import Array


class Step(Protocol):
    """What a chain runs."""

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers it stands for, in the order in which they act."""

    @property
    def hidden(self) -> Sequence[Layer]:
        """Those of them whose output is never in memory."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """As of a layer."""

    def __call__(self, x: Array) -> Array:
        """Inference."""


def one_by_one(steps: Sequence[Layer], x: Array, train: bool) -> tuple[Array, Pullback]:
    """A chain in which nothing is fused."""
    backs = []
    for step in steps:
        x, back = step.forward(x, train=train)
        backs.append(pullback(back))
    return x, reverse(backs)


@final
class Single:
    """One layer as it is."""

    hidden = ()

    def __init__(self, layer: Layer) -> None:
        self.layers = [layer]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """The layer's own."""
        y, back = self.layers[0].forward(x, train=train)
        return y, pullback(back)

    def __call__(self, x: Array) -> Array:
        """The layer's own."""
        return self.layers[0](x)


@final
class ActivatedNorm:
    """A batch norm and the activation after it."""

    def __init__(self, norm: BatchNorm2d, activation: Activation) -> None:
        self.norm, self.activation = norm, activation
        self.layers, self.hidden = [norm, activation], [norm]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to the same shape."""
        return self.norm.activated(x, self.activation.name, train=train)

    def __call__(self, x: Array) -> Array:
        """Inference."""
        return self.forward(x, train=False)[0]


@final
class NormedConv:
    """A standard convolution without bias, the batch norm after it and the activation, if any, after that."""

    def __init__(self, conv: Conv2d, norm: BatchNorm2d, activation: Activation | None) -> None:
        self.conv, self.norm, self.activation = conv, norm, activation_name(activation)
        self.layers = [conv, norm, *([activation] if activation else [])]
        self.hidden = [norm] if activation else []

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        conv, norm, activation, how = self.conv, self.norm, self.activation, self.conv.geometry()
        owners = conv.weight, norm.weight, norm.bias
        w, weight, bias = (p.value for p in owners)
        eps, given = norm.eps, norm.is_given(train)
        y, saved = normed_conv.normed_conv2d(
            x, w, weight, bias, *norm.statistics(given), eps=eps, activation=activation, **how
        )
        if not given:
            norm.remember(saved.mean, saved.var, y.size // y.shape[1])
        shift = bias.copy()  # as in BatchNorm2d

        def backward(dy: Array, dx: bool) -> Array:
            needs = needed(dx, **dict(zip(normed_conv.ARRAYS[1:], owners, strict=True)))
            gradient, *of_parameters = normed_conv.normed_conv2d_backward(
                dy,
                x,
                saved,
                w,
                weight,
                shift,
                given=given,
                eps=eps,
                activation=activation,
                needs=needs,
                **how,
            )
            accumulate(owners, of_parameters)
            return gradient

        return y, Pullback(backward)

    def __call__(self, x: Array) -> Array:
        """Inference."""
        return self.forward(x, train=False)[0]


@final
class SeparableBlock:
    """Depthwise, batch norm, activation, pointwise, batch norm, activation: the whole block."""

    def __init__(
        self,
        depthwise: DepthwiseConv2d,
        bn1: BatchNorm2d,
        mid_activation: Activation | None,
        pointwise: PointwiseConv2d,
        bn2: BatchNorm2d,
        activation: Activation | None,
    ) -> None:
        self.depthwise, self.pointwise, self.norms = depthwise, pointwise, (bn1, bn2)
        self.parts = depthwise, bn1, mid_activation, pointwise, bn2, activation
        self.activations = activation_name(mid_activation), activation_name(activation)
        # In the order of block.Weights.
        self.owners = depthwise.weight, bn1.weight, bn1.bias, pointwise.weight, bn2.weight, bn2.bias
        self.eps = bn1.eps, bn2.eps

    @property
    def layers(self) -> list[Layer]:
        """Four to six of them."""
        return [layer for layer in self.parts if layer is not None]

    @property
    def hidden(self) -> list[Layer]:
        """All but the two convolutions and the last."""
        return [layer for layer in self.layers[:-1] if layer not in (self.depthwise, self.pointwise)]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """(N, C, H, W) to (N, O, OH, OW)."""
        norms, owners, acts, eps = self.norms, self.owners, self.activations, self.eps
        weights, how = [p.value for p in owners], self.depthwise.geometry()
        given = norms[0].is_given(train), norms[1].is_given(train)
        known = [
            s for n, fixed in zip(norms, given, strict=True) for s in n.statistics(fixed) or (None, None)
        ]
        y, saved = block.separable_block(x, *weights, *known, activations=acts, eps=eps, **how)
        for norm, fixed, mean, var in zip(norms, given, saved[2::2], saved[3::2], strict=True):
            if not fixed:
                norm.remember(mean, var, saved.p.size // saved.p.shape[1])

        def backward(dy: Array, dx: bool) -> Array:
            gradient, *of_parameters = block.separable_block_backward(
                dy,
                x,
                saved,
                *weights,
                given=given,
                activations=acts,
                eps=eps,
                needs=needed(dx, **dict(zip(block.ARRAYS[1:], owners, strict=True))),
                **how,
            )
            accumulate(owners, of_parameters)
            return gradient

        return y, Pullback(backward)

    def __call__(self, x: Array) -> Array:
        """Inference: the running statistics, and nothing is kept."""
        weights = block.Weights(*(p.value for p in self.owners))
        known = block.Statistics(*self.norms[0].statistics(True), *self.norms[1].statistics(True))
        how = self.depthwise.geometry()
        return inference.normed_block(x, weights, known, activations=self.activations, eps=self.eps, **how)


@final
class PlainBlock:
    """Depthwise, activation, pointwise, activation, where nothing has to be kept: in inference."""

    def __init__(
        self,
        depthwise: DepthwiseConv2d,
        mid_activation: Activation | None,
        pointwise: PointwiseConv2d,
        activation: Activation | None,
    ) -> None:
        self.depthwise, self.pointwise = depthwise, pointwise
        self.activations = activation_name(mid_activation), activation_name(activation)
        parts = [depthwise, mid_activation, pointwise, activation]
        self.layers = [layer for layer in parts if layer is not None]
        self.hidden = self.layers[:-1]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Layer by layer: backward needs what lies between them."""
        return one_by_one(self.layers, x, train)

    def __call__(self, x: Array) -> Array:
        """(N, C, H, W) to (N, O, OH, OW)."""
        step, mix = self.depthwise, self.pointwise
        bias1, bias2 = (layer.bias.value if layer.bias else None for layer in (step, mix))
        arrays = x, step.weight.value, bias1, mix.weight.value, bias2
        return inference.plain_block(*arrays, activations=self.activations, **step.geometry())


@final
class ActivatedConv:
    """A standard or pointwise convolution and the activation after it, where nothing has to be kept: in inference."""

    def __init__(self, conv: Conv2d | PointwiseConv2d, activation: Activation) -> None:
        self.conv, self.activation = conv, activation
        self.layers: list[Layer] = [conv, activation]
        self.hidden = [conv]

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Layer by layer: backward needs what lies between them."""
        return one_by_one(self.layers, x, train)

    def __call__(self, x: Array) -> Array:
        """(N, C, H, W) to (N, O, OH, OW)."""
        conv, name = self.conv, self.activation.name
        arrays = x, conv.weight.value, conv.bias.value if conv.bias else None
        if isinstance(conv, PointwiseConv2d):
            return pointwise.activated_pointwise_conv2d(*arrays, name)
        return standard.activated_conv2d(*arrays, name, **conv.geometry())
