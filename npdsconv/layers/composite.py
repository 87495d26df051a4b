"""Layers made of layers: the chain rule is reversing a list."""

from collections.abc import Iterator, Sequence
from typing import final, overload

import numpy as np

from npdsconv import layout
from npdsconv.layers.base import Layer, Pullback, pullback, reverse
from npdsconv.layers.fusion import fuse
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import Array, check_choice


def chain(layers: Sequence[Layer], x: Array, train: bool, fused: bool = True) -> tuple[Array, Pullback]:
    """Run `layers` one after another; the pullback of the chain is theirs in reverse."""
    backs: list[Pullback] = []
    rest = list(layers)
    while rest:
        step, count = fuse(rest, x.shape, train, fused)
        x, back = step.forward(x, train=train)
        backs.append(back)
        del rest[:count]
    return x, reverse(backs)


def infer(layers: Sequence[Layer], x: Array, fused: bool = True) -> Array:
    """Run `layers` one after another, and keep nothing."""
    rest = list(layers)
    while rest:
        step, count = fuse(rest, x.shape, False, fused)
        x = step(x)
        del rest[:count]
    return x


@final
class Sequential(Layer):
    """A chain of layers. Has ``len``, iteration, indexing and slices: ``model[:3](x)`` is a feature map.

    Parameters
    ----------
    layers : Layer
    fused : bool
        Whether layers that can share passes over memory run as one step (:mod:`npdsconv.layers.fusion`); the results
        are the same, up to rounding.
    """

    def __init__(self, *layers: Layer, fused: bool = True) -> None:
        for k, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: item {k} must be a Layer, got {type(layer).__name__}")
        self.layers = list(layers)
        self.fused = fused

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Whatever the first layer takes, to whatever the last one gives."""
        return chain(self.layers, x, train, self.fused)

    def __call__(self, x: Array) -> Array:
        """Inference: two activations are alive at a time, and one more for each level of nesting."""
        return infer(self.layers, x, self.fused)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> Layer:
        if isinstance(index, slice):
            return Sequential(*self.layers[index], fused=self.fused)
        return self.layers[index]

    def __repr__(self) -> str:
        return _listing("Sequential", self.layers)


def _listing(kind: str, layers: Sequence[Layer]) -> str:
    lines = (f"  ({k}): {layer!r}".replace("\n", "\n  ") for k, layer in enumerate(layers))
    return "\n".join([f"{kind}(", *lines, ")"])


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

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """x to an array of the body's output shape, which the shortcut must share."""
        y, back = self.body.forward(x, train=train)
        through = pullback(back)
        around = None
        if self.shortcut is not None:
            x, back = self.shortcut.forward(x, train=train)
            around = pullback(back)

        def backward(dy: Array, dx: bool) -> Array:
            straight = dy if around is None else around(dy, dx=dx)
            bent = through(dy, dx=dx)
            return straight + bent if dx else dy

        return _add(x, y), Pullback(backward)

    def __call__(self, x: Array) -> Array:
        """Inference: nothing is kept."""
        return _add(x if self.shortcut is None else self.shortcut(x), self.body(x))


def _add(shortcut: Array, y: Array) -> Array:
    if shortcut.shape != y.shape:
        raise ValueError(
            f"Residual: the body gives shape {y.shape}, the shortcut {shortcut.shape}: they must be equal"
        )
    return y + shortcut


@final
class Concat(Layer):
    """Branches over the same input, their outputs side by side: channels add up, all else must be equal.

    Its pullback gives each branch its share of dy, and adds what they make of it. An empty ``Sequential()`` is a branch
    that passes its input on.

    Parameters
    ----------
    branches : Layer, at least one
    """

    def __init__(self, *branches: Layer) -> None:
        if not branches:
            raise ValueError("Concat: at least one branch is needed")
        for k, branch in enumerate(branches):
            if not isinstance(branch, Layer):
                raise TypeError(f"Concat: branch {k} must be a Layer, got {type(branch).__name__}")
        self.branches = list(branches)

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """x to (N, sum of the branches' channels, ...)."""
        parts, backs = [], []
        for branch in self.branches:
            part, back = branch.forward(x, train=train)
            parts.append(part)
            backs.append(pullback(back))
        counts = [part.shape[1] for part in parts]

        def backward(dy: Array, dx: bool) -> Array:
            total = None
            for share in _split(dy, counts):
                part = backs.pop(0)(share, dx=dx)  # popping frees what each one remembers
                if dx:
                    total = part if total is None else total + part
            return dy if total is None else total

        return _join(parts), Pullback(backward)

    def __call__(self, x: Array) -> Array:
        """Inference: the branches' outputs are kept until all of them are there."""
        return _join([branch(x) for branch in self.branches])

    def __repr__(self) -> str:
        return _listing("Concat", self.branches)


def _join(parts: Sequence[Array]) -> Array:
    """All channels in one array; that of images is channels-last in memory, as every op has them."""
    first = parts[0].shape
    for k, part in enumerate(parts):
        if (part.shape[:1], part.shape[2:]) != (first[:1], first[2:]):
            raise ValueError(
                f"Concat: branch 0 gives shape {first}, branch {k} {part.shape}: only channels may differ"
            )
    if len(first) != 4:
        return np.concatenate(parts, axis=1)
    n, _, h, w = first
    y = layout.empty_nchw((n, sum(part.shape[1] for part in parts), h, w), parts[0].dtype)
    return np.concatenate(parts, axis=1, out=y)


def _split(dy: Array, counts: Sequence[int]) -> Iterator[Array]:
    """Each branch's channels, channels-last again: else every op of the branch that reads them would copy them."""
    for last, count in zip(np.cumsum(counts), counts, strict=True):
        share = dy[:, last - count : last]
        if dy.ndim == 4:
            n, _, h, w = dy.shape
            share, part = layout.empty_nchw((n, count, h, w), dy.dtype), share
            share[...] = part
        yield share


def set_impl(model: Layer, impl: str) -> Layer:
    """Switch every layer of `model` that has tiers, your own included, to one of them. Returns the model.

    Parameters
    ----------
    model : Layer
    impl : "naive", "im2col", "loops" or "numba"
        What the attribute ``impl`` becomes, wherever a layer has it.
    """
    check_choice("set_impl", "impl", impl, TIERS)
    for layer in model.modules():
        if "impl" in vars(layer):
            layer.impl = impl  # type: ignore[attr-defined]
    return model
