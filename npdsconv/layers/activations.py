"""Activations: functions of each number by itself, for arrays of any shape."""

from abc import ABC
from typing import Any, ClassVar, final

from npdsconv.layers.base import Layer, Pullback, pullback
from npdsconv.ops import activations
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, check_choice


class Activation(Layer, ABC):
    """Base of the activation layers: a name, and the op of that name.

    Parameters
    ----------
    impl : "naive", "im2col", "loops" or "numba"
    """

    name: ClassVar[str]

    def __init__(self, *, impl: str = "numba") -> None:
        tier(type(self).__name__, activations.IMPLS, impl)
        self.impl = impl

    @final
    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Any shape to the same shape."""
        (f, f_backward), how = activations.FUNCTIONS[self.name], {**self.options(), "impl": self.impl}
        return f(x, **how), pullback(lambda dy: f_backward(dy, x, **how))

    def options(self) -> dict[str, Any]:
        """What the op takes besides, where it takes anything."""
        return {}


@final
class ReLU(Activation):
    """max(x, 0)."""

    name = "relu"


@final
class ReLU6(Activation):
    """min(max(x, 0), 6)."""

    name = "relu6"


@final
class LeakyReLU(Activation):
    """x where x > 0, else negative_slope·x.

    Parameters
    ----------
    negative_slope : float; 0.01 as in PyTorch (Keras has 0.3, formerly 0.2)
    impl : "naive", "im2col", "loops" or "numba"
    """

    name = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01, *, impl: str = "numba") -> None:
        super().__init__(impl=impl)
        self.negative_slope = activations.check_slope("LeakyReLU", negative_slope)

    def options(self) -> dict[str, Any]:
        """The slope."""
        return {"negative_slope": self.negative_slope}


@final
class HardSwish(Activation):
    """x·min(max(x + 3, 0), 6)/6."""

    name = "hard_swish"


@final
class HardSigmoid(Activation):
    """min(max(x + 3, 0), 6)/6: the gate of MobileNetV3's squeeze-and-excite."""

    name = "hard_sigmoid"


@final
class Sigmoid(Activation):
    """1/(1 + exp(-x))."""

    name = "sigmoid"


ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        ReLU,
        ReLU6,
        LeakyReLU,
        HardSwish,
        HardSigmoid,
        Sigmoid,
    )
}


Choice = str | Layer
"""An activation as an argument: its name, or a layer, which may be one of your own."""


def chosen(op: str, argument: str, activation: Choice, impl: str = "numba") -> Layer:
    """The layer that `activation` stands for. A layer is taken as it is, with the tier it has.

    Raises
    ------
    ValueError
        A name that is unknown, or neither a name nor a layer.
    """
    if isinstance(activation, Layer):
        return activation
    check_choice(op, argument, activation, ACTIVATIONS)
    return ACTIVATIONS[activation](impl=impl)


def activation_name(layer: Layer | None) -> str | None:
    """What the ops call an activation layer; None for anything else."""
    return layer.name if isinstance(layer, Activation) else None
