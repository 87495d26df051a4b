"""What is being checked, seen in one way: named float64 arrays, a value, and the gradients of `<value, dy>`.

A subject never changes what it was given. The function sees read-only arrays, a layer is copied, and its
buffers are put back before every evaluation, so that the function stays one and the same.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
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


class Fault(Exception):
    """Something wrong with the subject itself: it becomes a row of the report."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name, self.reason = name, reason


class Subject(Protocol):
    """A function of named arrays together with its backward.

    `names` and `arrays` are those that are differentiated, `every` has all of them in order, and
    `unchecked` says why some are not checked.
    """

    names: list[str]
    arrays: list[Array]
    every: dict[str, Array]
    unchecked: dict[str, str]

    def value(self, position: int | None = None, array: Array | None = None) -> Array:
        """The output, with the array at `position` replaced by `array`."""

    def gradients(self, dy: Array) -> tuple[list[Array], dict[str, str]]:
        """The gradients of `<value(), dy>`, and what is wrong with which of them."""


class PairSubject:
    """`forward(*arrays) -> y` and `backward(dy, *arrays) -> gradients`.

    Float arrays are checked; others (labels, masks) are handed through as they are. A backward that takes
    fewer arrays than forward gets the first of them: it has no use for a bias.
    """

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], arrays: Sequence[Any]
    ) -> None:
        self._forward, self._backward = forward, backward
        self._arguments = [_prepared(array) for array in arrays]
        self._argument_names = _argument_names(forward, len(arrays))
        self._used = _positional_count(backward, 1 + len(arrays))
        self._positions = [i for i, array in enumerate(self._arguments) if array.dtype == np.float64]
        if not self._positions:
            raise ValueError("check: no float array among the arguments: there is nothing to differentiate")
        self.names = [self._argument_names[i] for i in self._positions]
        self.arrays = [self._arguments[i] for i in self._positions]
        self.every = dict(zip(self.names, self.arrays, strict=True))
        self.unchecked: dict[str, str] = {}

    def value(self, position: int | None = None, array: Array | None = None) -> Array:
        """The output, with the float array number `position` replaced."""
        arguments = list(self._arguments)
        if position is not None and array is not None:
            arguments[self._positions[position]] = array
        return _output(_call(self._forward, "forward", self._argument_names, arguments))

    def gradients(self, dy: Array) -> tuple[list[Array], dict[str, str]]:
        """One gradient per float array; those of other arrays may be None or left out."""
        names, arguments = ["dy", *self._argument_names], [dy, *self._arguments]
        result = _call(self._backward, "backward", names[: self._used], arguments[: self._used])
        found = list(result) if isinstance(result, tuple | list) else [result]
        if len(found) == len(self._arguments):
            found = [found[i] for i in self._positions]
        elif len(found) != len(self._positions):
            raise Fault(
                "backward",
                f"returned {len(found)} gradients for {len(self._arguments)} arrays: {', '.join(names[1:])}",
            )
        for position in reversed(range(len(found))):
            if found[position] is None:
                self.unchecked[self.names[position]] = "backward returned None: not differentiated"
                for each in (found, self.names, self.arrays, self._positions):
                    del each[position]
        return _examined(self.names, self.arrays, found)


class LayerSubject:
    """A float64 copy of a layer as a function of its input and of its trainable parameters.

    With `labels`, the value is the mean softmax cross-entropy of the layer's output. It is written out here
    again, so that the check does not lean on the code it checks.
    """

    def __init__(self, layer: LayerLike, x: Any, labels: Any, train: bool) -> None:
        needed = ("forward", "named_parameters", "named_buffers", "astype")
        missing = [name for name in needed if not hasattr(layer, name)]
        if missing:
            raise TypeError(f"check: {type(layer).__name__} is no layer, it has no {', '.join(missing)}")
        self._layer = copy.deepcopy(layer).astype(np.float64)
        self._train = train
        self._labels = None if labels is None else np.asarray(labels)
        named = list({id(p): (name, p) for name, p in self._layer.named_parameters()}.values())
        for _, parameter in named:
            parameter.value = _read_only(parameter.value)
        self._learned = [(name, p) for name, p in named if p.trainable]
        self._frozen = [(name, p) for name, p in named if not p.trainable]
        self._buffers = [(b, np.array(b.value)) for _, b in self._layer.named_buffers()]
        x_name = "input x" if "x" in dict(named) else "x"
        self.names = [x_name, *(name for name, _ in self._learned)]
        self.arrays = [_prepared(x).astype(np.float64, copy=False), *(p.value for _, p in self._learned)]
        self.every = {x_name: self.arrays[0], **{name: p.value for name, p in named}}
        self.unchecked = {name: "frozen" for name, _ in self._frozen}

    def value(self, position: int | None = None, array: Array | None = None) -> Array:
        """The output, with the input (0) or the parameter number `position` replaced."""
        if position is None or array is None:
            y, _ = self._run(self.arrays[0])
        elif position == 0:
            y, _ = self._run(array)
        else:
            parameter = self._learned[position - 1][1]
            parameter.value = _read_only(array)
            try:
                y, _ = self._run(self.arrays[0])
            finally:
                parameter.value = self.arrays[position]
        return y if self._labels is None else _cross_entropy(y, self._labels)[0]

    def gradients(self, dy: Array) -> tuple[list[Array], dict[str, str]]:
        """The input's gradient and what one backward pass adds to `grad`; a second pass must add as much."""
        for _, parameter in self._learned + self._frozen:
            parameter.grad = np.zeros(parameter.value.shape)
        dx = self._backward(dy)
        once = [_copied(p.grad) for _, p in self._learned]
        if dx is None:
            raise Fault(self.names[0], "backward returned None instead of dx")
        gradients, faults = _examined(self.names, self.arrays, [dx, *once])
        self._backward(dy)
        for (name, parameter), first in zip(self._learned, once, strict=True):
            if name not in faults and not _same(parameter.grad, 2 * first):
                faults[name] = "a second backward pass did not add to grad: it has to accumulate with +="
        for name, parameter in self._frozen:
            if np.any(parameter.grad):
                faults[name] = "frozen, but backward changed its grad"
        return gradients, faults

    def _run(self, x: Array) -> tuple[Array, Pullback]:
        for buffer, saved in self._buffers:
            buffer.value = saved.copy()
        result = _call(lambda x: self._layer.forward(x, train=self._train), "forward", ["x"], [x])
        if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
            raise Fault("forward", "did not return the pair (y, backward)")
        return _output(result[0]), result[1]

    def _backward(self, dy: Array) -> Array:
        y, backward = self._run(self.arrays[0])
        if self._labels is not None:
            dy = dy * _cross_entropy(y, self._labels)[1]
        return _call(backward, "backward", ["dy"], [dy])


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


def _call(function: Callable[..., Any], who: str, names: Sequence[str], arrays: Sequence[Array]) -> Any:
    """Call with read-only arrays; a function that writes to one of them is a fault, and told by name."""
    try:
        return function(*map(_read_only, arrays))
    except Exception as error:
        if not re.search("read-?only", str(error), re.IGNORECASE):
            raise
        copies = [np.array(array) for array in arrays]
        with contextlib.suppress(Exception):
            function(*copies)
        pairs = zip(names, arrays, copies, strict=True)
        written = [name for name, before, after in pairs if not np.array_equal(before, after)]
        what = " and ".join(written) or "an array that is not its own"
        raise Fault(who, f"writes to {what}; arguments must stay as they are ({error})") from error


def _output(y: Any) -> Array:
    y = np.array(y[0] if isinstance(y, tuple) else y)
    if y.dtype not in (np.float64, np.complex128):
        raise Fault("y", f"forward returned {y.dtype} from float64 arrays")
    return y


def _examined(
    names: list[str], arrays: list[Array], gradients: list[Any]
) -> tuple[list[Array], dict[str, str]]:
    """The gradients as arrays, and what disqualifies them before any number is compared."""
    faults = {}
    found = [np.asarray(gradient) for gradient in gradients]
    for name, array, gradient in zip(names, arrays, found, strict=True):
        if gradient.shape != array.shape:
            faults[name] = f"the gradient has shape {gradient.shape}, the array {array.shape}"
        elif gradient.dtype != np.float64:
            faults[name] = f"the gradient is {gradient.dtype}, not float64"
        elif not np.all(np.isfinite(gradient)):
            worst = np.unravel_index(int(np.argmin(np.isfinite(gradient))), gradient.shape)
            faults[name] = f"the gradient is {gradient[worst]} at {tuple(map(int, worst))}"
    return found, faults


def _prepared(array: Any) -> Array:
    """A copy that nobody else holds, float64 if it is of a float type."""
    array = np.array(array)  # order="K": the memory layout is kept
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _read_only(array: Array) -> Array:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _copied(array: Array | None) -> Array:
    # A parameter whose grad was set to None has an empty gradient, of the wrong shape: that is reported.
    return np.array([]) if array is None else np.array(array)


def _same(a: Array | None, b: Array) -> bool:
    size = np.max(np.abs(b), initial=0.0)
    return a is not None and a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=1e-9 * size))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some compiled functions have no signature
        return []


def _argument_names(forward: Callable[..., Any], count: int) -> list[str]:
    """The names of forward's positional parameters, where it tells them."""
    positional = [
        p.name for p in _parameters(forward) if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return [positional[i] if i < len(positional) else f"array {i}" for i in range(count)]


def _positional_count(backward: Callable[..., Any], most: int) -> int:
    """How many positional arguments backward takes, at most `most`."""
    kinds = [p.kind for p in _parameters(backward)]
    if not kinds or inspect.Parameter.VAR_POSITIONAL in kinds:
        return most
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(most, sum(kind in positional for kind in kinds))
