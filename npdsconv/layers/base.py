"""The layer contract: a differentiable function is a value together with its pullback.

``y, back = layer.forward(x, train=True)`` runs the layer and returns its pullback; ``dx = back(dy)`` pulls the gradient
of the loss back through it and adds the parameters' share to their ``.grad``. What has to be remembered is simply what
the pullback closes over: there is no cache that could be stale.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, final

import numpy as np

from npdsconv.shapes import FLOATS, Array, likely_weights
from npdsconv.state import Slot, take_over


class Parameter:
    """An array that is learned, and the gradient of the loss for it.

    Attributes
    ----------
    value, grad : arrays of one shape, always; gradients accumulate until an optimiser's ``zero_grad``
    trainable : bool; optimisers skip a parameter that is not, and layers do not compute its gradient

    Raises
    ------
    ValueError
        `value` is set to an array of another shape.
    """

    def __init__(self, value: Array, trainable: bool = True) -> None:
        self._value = value
        self.grad = np.zeros_like(value)
        self.trainable = trainable

    @property
    def value(self) -> Array:
        """The array."""
        return self._value

    @value.setter
    def value(self, value: Array) -> None:
        if np.shape(value) != self._value.shape:
            raise ValueError(
                f"Parameter: value has shape {self._value.shape}, got {np.shape(value)}"
                f"{likely_weights(np.shape(value), self._value.shape)}"
            )
        self._value = value

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", frozen"
        return f"Parameter(shape={self.value.shape}, dtype={self.value.dtype}{frozen})"


class Buffer:
    """An array that is remembered but not learned, such as running statistics.

    Attributes
    ----------
    value : the array
    least : the least number that makes sense in it; a state that holds a smaller one is refused
    """

    def __init__(self, value: Array, least: float = -np.inf) -> None:
        self.value = value
        self.least = least

    def __repr__(self) -> str:
        return f"Buffer(shape={self.value.shape}, dtype={self.value.dtype})"


def accumulate(owners: Iterable[Parameter | None], gradients: Iterable[Array | None]) -> None:
    """Add each gradient to the `.grad` of its parameter, where there is one and it was asked for."""
    for parameter, gradient in zip(owners, gradients, strict=True):
        if parameter is not None and gradient is not None:
            parameter.grad += gradient


def needed(dx: bool, **parameters: Parameter | None) -> tuple[str, ...]:
    """What backward has to compute: "x" if wanted, and the parameters that learn. A frozen layer lets dx through."""
    learning = (name for name, p in parameters.items() if p is not None and p.trainable)
    return (*(("x",) if dx else ()), *learning)


@final
class Pullback:
    """The way back through one call of a layer: ``dx = back(dy)``. Usable once, since it releases what it holds.

    ``back(dy, dx=False)`` does the same for the parameters alone, and saves the work for dx where that can be saved:
    nobody learns from the gradient for an image. What it returns then is for nobody.

    Parameters
    ----------
    backward : (dy, whether dx is wanted) -> dx; adds the parameters' share to their ``.grad``

    Raises
    ------
    RuntimeError
        It is called a second time.
    """

    def __init__(self, backward: Callable[[Array, bool], Array]) -> None:
        self._backward: Callable[[Array, bool], Array] | None = backward

    def __call__(self, dy: Array, dx: bool = True) -> Array:
        backward, self._backward = self._backward, None
        if backward is None:
            raise RuntimeError(
                "backward was called a second time: a pullback is used once, run forward again"
            )
        return backward(dy, dx)


def pullback(backward: Callable[[Array], Array]) -> Pullback:
    """Make a :class:`Pullback` of a function that takes dy to dx. One that is a pullback already stays as it is.

    Examples
    --------
    >>> back = pullback(lambda dy: 2 * dy)
    >>> float(back(np.array(3.0)))
    6.0
    """
    return backward if isinstance(backward, Pullback) else Pullback(lambda dy, dx: backward(dy))


def reverse(backs: list[Pullback]) -> Pullback:
    """The pullback of a chain, from those of its steps: the chain rule. It takes them out of the list as it goes."""

    def backward(dy: Array, dx: bool) -> Array:
        while backs:  # popping frees what each one remembers as soon as it is used
            back = backs.pop()
            dy = back(dy, dx=dx or bool(backs))
        return dy

    return Pullback(backward)


class Layer(ABC):
    """Base of every layer; subclasses are final and define :meth:`forward`."""

    @abstractmethod
    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Run the layer.

        Parameters
        ----------
        x : array; the layer says which shape
        train : whether batch statistics and dropout are in force

        Returns
        -------
        y : the output
        back : Pullback, dy -> dx; adds to the ``.grad`` of trainable parameters
        """

    def __call__(self, x: Array) -> Array:
        """Inference: the output alone, and nothing is kept."""
        return self.forward(x, train=False)[0]

    def children(self) -> Iterator[tuple[str, "Layer"]]:
        """Direct sublayers with their names, in the order in which they were assigned."""
        return _found(Layer, self)

    def modules(self) -> Iterator["Layer"]:
        """This layer and all layers below it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted path, for instance ``3.depthwise.weight``."""
        return _found(Parameter, self)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer with its dotted path, for instance ``3.bn1.running_mean``."""
        return _found(Buffer, self)

    def parameters(self) -> list[Parameter]:
        """Every parameter, once, even where a layer is used twice."""
        return list(dict.fromkeys(p for _, p in self.named_parameters()))

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers, by dotted path."""
        return {name: slot.value.copy() for name, slot in self._state()}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Copy `state` into the parameters and buffers: all of it, or nothing where something does not fit.

        Raises
        ------
        TypeError
            An entry is of the wrong kind: a parameter takes numbers of floating point alone.
        ValueError
            If names are missing or unknown, a shape differs, a number is not finite or too large for the parameter's
            dtype, or a running variance is negative.
        """
        slots = {
            name: Slot(slot.value, slot.least if isinstance(slot, Buffer) else -np.inf)
            for name, slot in self._state()
        }
        take_over("load_state_dict", state, slots, "another model")

    def _state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        yield from self.named_parameters()
        yield from self.named_buffers()

    def freeze(self) -> Self:
        """Stop learning: gradients still flow through to the input. Returns the layer."""
        return self._set_trainable(False)

    def unfreeze(self) -> Self:
        """Learn again. Returns the layer."""
        return self._set_trainable(True)

    def _set_trainable(self, trainable: bool) -> Self:
        for p in self.parameters():
            p.trainable = trainable
        return self

    def astype(self, dtype: Any) -> Self:
        """Cast parameters, gradients and floating buffers to float32 or float64, in place. Returns the layer."""
        if np.dtype(dtype) not in FLOATS:
            raise TypeError(f"astype: dtype must be float32 or float64, got {np.dtype(dtype)}")
        for p in self.parameters():
            p.value, p.grad = p.value.astype(dtype), p.grad.astype(dtype)
        for _, b in self.named_buffers():
            if b.value.dtype in FLOATS:
                b.value = b.value.astype(dtype)
        return self

    def copy(self) -> Self:
        """An independent copy: same values, nothing shared."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        """Settings, the shapes of the parameters, and the layers inside."""
        settings = int | float | str | tuple | Layer | None
        shown = (
            f"{name}={value.value.shape if isinstance(value, Parameter) else value!r}"
            for name, value in vars(self).items()
            if isinstance(value, Parameter | settings)
        )
        return f"{type(self).__name__}({', '.join(shown)})"


_SETTINGS = frozenset({int, float, str, bool, type(None)})
"""Types of most attributes, passed over at once: a training step looks for all parameters."""


def _find(kind: type, within: Layer | list | tuple | dict, prefix: str, found: list[tuple[str, Any]]) -> None:
    """Collect what is of a kind, named by its path: attributes in order, and what lists, tuples, dicts and layers hold.

    What lies within something of that kind is not looked for. In the `layers` of a chain the name is the position
    alone: "3.weight", not "layers.3.weight".
    """
    items: Iterable[tuple[Any, Any]]
    if isinstance(within, Layer):
        items = vars(within).items()
    else:
        items = within.items() if isinstance(within, dict) else enumerate(within)
    for name, value in items:
        if type(value) in _SETTINGS:
            continue
        if isinstance(value, kind):
            found.append((f"{prefix}{name}", value))
        elif isinstance(value, list | tuple | dict | Layer):
            chain = name == "layers" and isinstance(within, Layer) and isinstance(value, list)
            _find(kind, value, prefix if chain else f"{prefix}{name}.", found)


def _found(kind: type, layer: Layer) -> Iterator[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    _find(kind, layer, "", found)
    return iter(found)
