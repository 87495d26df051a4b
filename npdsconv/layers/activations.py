"""Activations: functions of each number by itself."""

from typing import final

from npdsconv.layers.base import Backward, Layer, pullback
from npdsconv.ops import activations
from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array


@final
class ReLU(Layer):
    """max(x, 0), for arrays of any shape."""

    def __init__(self, *, impl: str = "numba") -> None:
        tier("ReLU", activations.IMPLS, impl)
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
        tier("ReLU6", activations.IMPLS, impl)
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
