"""A layer or a model as a function of its input and of its trainable parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from npdsconv.gradcheck.calls import Array, Fault, call, examined, output, read_only
from npdsconv.gradcheck.left_behind import how_to_wrap, parameters_of
from npdsconv.gradcheck.subjects import Between

Pullback = Callable[[Array], Any]


class LayerLike(Protocol):
    """What the check needs of a layer; `npdsconv.layers.Layer` has it."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
        """Return the output and its pullback."""

    def named_parameters(self) -> Any:
        """Pairs of a name and an object with `value`, `grad` and `trainable`."""

    def named_buffers(self) -> Any:
        """Pairs of a name and an object with `value`."""

    def astype(self, dtype: Any) -> Any:
        """Cast the parameters and the float buffers in place."""


class LayerSubject:
    """A float64 copy of a layer, with its buffers put back before every evaluation, so that it stays one function.

    With `labels`, the value is the mean softmax cross-entropy of the layer's output. It is written out here
    again, so that the check does not lean on the code it checks.
    """

    def __init__(self, layer: LayerLike, x: Any, labels: Any, train: bool) -> None:
        needed = ("forward", "named_parameters", "named_buffers", "astype")
        missing = [name for name in needed if not hasattr(layer, name)]
        if missing:
            raise TypeError(
                f"check: {type(layer).__name__} is no layer, it has no {', '.join(missing)}; "
                f"{how_to_wrap(parameters_of(layer))}"
            )
        self._layer = copy.deepcopy(layer).astype(np.float64)
        self._train = train
        self._labels = None if labels is None else np.asarray(labels)
        named = list({id(p): (name, p) for name, p in self._layer.named_parameters()}.values())
        for _, parameter in named:
            parameter.value = read_only(parameter.value)
        self._learned = [(name, p) for name, p in named if p.trainable]
        self._frozen = [(name, p) for name, p in named if not p.trainable]
        self._buffers = [(b, np.array(b.value)) for _, b in self._layer.named_buffers()]
        x_name = "input x" if "x" in dict(named) else "x"
        self.names = [x_name, *(name for name, _ in self._learned)]
        self.arrays = [np.array(x).astype(np.float64), *(p.value for _, p in self._learned)]
        self.every = {x_name: self.arrays[0], **{name: p.value for name, p in named}}
        self.unchecked = {name: "frozen" for name, _ in self._frozen}

    def value(self, moved: Mapping[int, Array] | None = None) -> Array:
        """The output, with the input (0) or some parameters replaced."""
        arrays = [(moved or {}).get(k, array) for k, array in enumerate(self.arrays)]
        y = output(call(self._forward, "forward", self.names, arrays)[0])
        return y if self._labels is None else _cross_entropy(y, self._labels)[0]

    def gradients(self, dy: Array, between: Between = None) -> tuple[list[Array], dict[str, str]]:
        """The input's gradient and what one backward pass adds to `grad`; a second pass must add as much."""
        first = self._pass(dy, clear=True, between=between)
        gradients, faults = examined(self.names, self.arrays, first)
        frozen = [name for name, parameter in self._frozen if np.any(parameter.grad)]
        second = self._pass(dy, clear=False)
        for name, once, twice in zip(self.names[1:], first[1:], second[1:], strict=True):
            if name not in faults and not _same(twice, 2 * once):
                faults[name] = "a second backward pass did not add to grad: it has to accumulate with +="
        faults |= dict.fromkeys(frozen, "frozen, but backward changed its grad")
        return gradients, faults

    def again(self, dy: Array) -> list[Array]:
        """The gradients of one more pass, from zero."""
        return self._pass(dy, clear=True)

    def roots(self) -> dict[str, Any]:
        """The layer."""
        return {type(self._layer).__name__: self._layer}

    def accounted(self) -> list[Any]:
        """The declared parameters."""
        return [p for _, p in self._learned + self._frozen]

    def _pass(self, dy: Array, clear: bool, between: Between = None) -> list[Array]:
        """Forward, then backward: dx, and what `grad` then holds."""
        if clear:
            for _, parameter in self._learned + self._frozen:
                parameter.grad = np.zeros(parameter.value.shape)
        before = [p.grad for _, p in self._learned + self._frozen]
        kept = [None if grad is None else np.array(grad) for grad in before]

        def both(dy: Array, *arrays: Array) -> Any:
            # Where this is called a second time, with copies, the first call must have added nothing.
            for (_, parameter), grad in zip(self._learned + self._frozen, kept, strict=True):
                parameter.grad = None if grad is None else np.array(grad)
            y, backward = self._forward(*arrays)
            if between:
                between()
            if self._labels is not None:
                dy = dy * _cross_entropy(output(y), self._labels)[1]
            return backward(dy)

        dx = call(both, "backward", ["dy", *self.names], [dy, *self.arrays])
        if dx is None:
            raise Fault(self.names[0], "backward returned None instead of dx")
        return [np.array(dx), *(_copied(p.grad) for _, p in self._learned)]

    def _forward(self, x: Array, *values: Array) -> tuple[Any, Pullback]:
        for buffer, saved in self._buffers:
            buffer.value = saved.copy()
        for (_, parameter), value in zip(self._learned, values, strict=True):
            parameter.value = value
        result = self._layer.forward(x, train=self._train)
        if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
            raise Fault("forward", "did not return the pair (y, backward)")
        return result


def _cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Mean cross-entropy of logits (N, K) for labels (N,), and its gradient."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"check: labels need integers (N,) and an output (N, classes), "
            f"got {labels.dtype} {labels.shape} and {logits.shape}"
        )
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True).real
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[rows, labels] -= 1
    return np.asarray(-log_p[rows, labels].mean()), gradient / len(labels)


def _copied(array: Array | None) -> Array:
    # A parameter whose grad was set to None has an empty gradient, of the wrong shape: that is reported.
    return np.array([]) if array is None else np.array(array)


def _same(a: Array, b: Array) -> bool:
    size = np.max(np.abs(b), initial=0.0)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-9 * size))
