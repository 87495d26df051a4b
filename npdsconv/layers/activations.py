"""Activations: functions of each number by itself, for arrays of any shape."""

from abc import ABC
from typing import ClassVar, final

from npdsconv.layers.base import Layer, Pullback, pullback
from npdsconv.ops import activations
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array


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
        (f, f_backward), impl = activations.FUNCTIONS[self.name], self.impl
        return f(x, impl=impl), pullback(lambda dy: f_backward(dy, x, impl=impl))


@final
class ReLU(Activation):
    """max(x, 0)."""

    name = "relu"


@final
class ReLU6(Activation):
    """min(max(x, 0), 6)."""

    name = "relu6"


@final
class HardSwish(Activation):
    """x·min(max(x + 3, 0), 6)/6."""

    name = "hard_swish"


@final
class Sigmoid(Activation):
    """1/(1 + exp(-x))."""

    name = "sigmoid"


ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        ReLU,
        ReLU6,
        HardSwish,
        Sigmoid,
    )
}


def activation_name(layer: Layer | None) -> str | None:
    """What the ops call an activation layer; None for anything else."""
    return layer.name if isinstance(layer, Activation) else None
