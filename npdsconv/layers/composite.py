"""Layers made of layers: the chain rule is reversing a list."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, final, overload

from npdsconv.layers.activations import ReLU, ReLU6, activation_name
from npdsconv.layers.base import Backward, Layer, pull_without_dx, pullback
from npdsconv.layers.convolution import Conv2d, PointwiseConv2d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.layers.steps import ActivatedBatchNorm, NormedConv2d
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import Array, check_choice


def chain(layers: list[Layer], x: Array, train: bool) -> tuple[Array, Backward]:
    """Run `layers` one after another; the backward of the chain runs theirs in reverse."""
    backwards: list[Backward] = []
    for layer in in_one_pass(layers):
        x, back = layer.forward(x, train=train)
        backwards.append(back)

    def backward(dy: Array, dx_too: bool = True) -> Array:
        while backwards:  # popping frees what each one remembers as soon as it is used
            back = backwards.pop()
            dy = back(dy) if backwards or dx_too else pull_without_dx(back, dy)
        return dy

    return x, pullback(backward, lambda dy: backward(dy, dx_too=False))


def in_one_pass(layers: list[Layer]) -> Iterator[Layer | ActivatedBatchNorm | NormedConv2d]:
    """The same layers, but a convolution, a batch norm and a ReLU in a row as one, where they are of the fast tier."""
    rest = list(_with_activations(layers, BatchNorm2d))
    while rest:
        layer, activation = rest.pop(0)
        if rest and _is_normed(layer, rest[0][0]):
            yield NormedConv2d(layer, *rest.pop(0))
        else:
            yield ActivatedBatchNorm(layer, activation) if activation else layer


def _is_normed(conv: Layer, after: Layer) -> bool:
    plain = isinstance(conv, Conv2d) and conv.bias is None and conv.impl == "numba"
    return plain and isinstance(after, BatchNorm2d) and after.impl == "numba"


def for_inference(layers: list[Layer]) -> Iterator[Callable[[Array], Array]]:
    """The same again, and a convolution and the ReLU after it as one too."""
    for layer, activation in _with_activations(layers, BatchNorm2d | Conv2d | PointwiseConv2d):
        if isinstance(layer, BatchNorm2d) and activation:
            yield ActivatedBatchNorm(layer, activation)
        else:
            yield partial(layer.activated, activation=activation) if activation else layer


def _with_activations(layers: list[Layer], kinds: Any) -> Iterator[tuple[Any, str | None]]:
    """Each layer with the name of the activation after it, where it is of these kinds and the two fuse."""
    rest = list(layers)
    while rest:
        layer = rest.pop(0)
        taken = bool(rest) and isinstance(layer, kinds) and fuses(layer, rest[0])
        yield layer, activation_name(rest.pop(0)) if taken else None


def fuses(layer: Layer, after: Layer) -> bool:
    """Whether these two of a chain are done in one pass over memory."""
    return isinstance(after, ReLU | ReLU6) and vars(layer).get("impl") == after.impl == "numba"


@final
class Sequential(Layer):
    """A chain of layers. Has ``len``, iteration, indexing and slices: ``model[:3](x)`` is a feature map."""

    def __init__(self, *layers: Layer) -> None:
        for k, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: item {k} must be a Layer, got {type(layer).__name__}")
        self.layers = list(layers)

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """Whatever the first layer takes, to whatever the last one gives."""
        return chain(self.layers, x, train)

    def __call__(self, x: Array) -> Array:
        """Inference: two activations are alive at a time, and one more for each level of nesting."""
        for step in for_inference(self.layers):
            x = step(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> Layer:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        lines = (f"  ({k}): {layer!r}".replace("\n", "\n  ") for k, layer in enumerate(self.layers))
        return "\n".join(["Sequential(", *lines, ")"])


@final
class Residual(Layer):
    """``y = shortcut(x) + body(x)``; without a shortcut layer, x itself.

    Its pullback is the same sum of gradients: ``dx = shortcut's + body's``.
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        if not isinstance(body, Layer) or not isinstance(shortcut, Layer | None):
            got = f"{type(body).__name__} and {type(shortcut).__name__}"
            raise TypeError(f"Residual: body and shortcut must be Layers, got {got}")
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """x to an array of the body's output shape, which the shortcut must share."""
        y, back = self.body.forward(x, train=train)
        if self.shortcut is None:
            return _add(x, y), pullback(lambda dy: dy + back(dy))
        z, back_shortcut = self.shortcut.forward(x, train=train)
        return _add(z, y), pullback(lambda dy: back_shortcut(dy) + back(dy))

    def __call__(self, x: Array) -> Array:
        """Inference: nothing is kept."""
        return _add(x if self.shortcut is None else self.shortcut(x), self.body(x))


def _add(shortcut: Array, y: Array) -> Array:
    if shortcut.shape != y.shape:
        raise ValueError(
            f"Residual: the body gives shape {y.shape}, the shortcut {shortcut.shape}: they must be equal"
        )
    return y + shortcut


def set_impl(model: Layer, impl: str) -> Layer:
    """Switch every layer of `model` to one tier: "naive", "im2col", "loops" or "numba". Returns the model.

    A layer has tiers if it has an attribute `impl`; a layer of your own too.
    """
    check_choice("set_impl", "impl", impl, TIERS)
    for layer in model.modules():
        if "impl" in vars(layer):
            layer.impl = impl  # type: ignore[attr-defined]
    return model
