"""What is being checked, seen in one way: named float64 arrays, a value, and the gradients of `<value, dy>`.

Here is the protocol and the pair of functions; a layer is in `layer_subject`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from npdsconv.gradcheck.calls import Array, Fault, call, examined, output, positional, unchanged

Between = Callable[[], None] | None


class Subject(Protocol):
    """A function of named arrays together with its backward. It never changes what it was given.

    `names` and `arrays` are those that are differentiated, `every` has all of them in order, and
    `unchecked` says why some are not checked.
    """

    names: list[str]
    arrays: list[Array]
    every: dict[str, Array]
    unchecked: dict[str, str]

    def value(self, moved: Mapping[int, Array] | None = None) -> Array:
        """The output, with the arrays at some positions replaced."""

    def gradients(self, dy: Array, between: Between = None) -> tuple[list[Array], dict[str, str]]:
        """The gradients of `<value(), dy>`, and what is wrong with which of them.

        `between` is called after forward and before backward.
        """

    def again(self, dy: Array) -> list[Array]:
        """The gradients of one more call, to be held against the first."""

    def roots(self) -> dict[str, Any]:
        """The objects that forward and backward can reach, by name."""

    def accounted(self) -> list[Any]:
        """Objects among these whose gradients are looked at anyway."""


class PairSubject:
    """`forward(*arrays) -> y` and `backward(dy, *arrays) -> gradients`.

    Float arrays and float numbers are checked; what else there is (labels, masks, settings) is handed through as
    it is. A backward that takes fewer arrays than forward gets the first of them: it has no use for a bias. Where
    forward returns more than y and backward asks for it, as in `(out, cache)` and `backward(dout, cache)`, it gets
    it. Before each backward, forward runs at the same arrays, so that what it keeps is fresh.
    """

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], arrays: Sequence[Any]
    ) -> None:
        self._forward, self._backward = forward, backward
        self._arguments = [_prepared(argument) for argument in arrays]
        self._scalars = {i for i, a in enumerate(self._arguments) if isinstance(a, np.float64)}
        self._argument_names = _argument_names(forward, len(arrays))
        self._positions = [i for i, argument in enumerate(self._arguments) if _is_float(argument)]
        if not self._positions:
            raise ValueError(
                "check: no float array among the arguments: there is nothing to differentiate"
                + "".join(f"; {what}, give {name}.astype(float)" for name, what in self._whole_numbers())
            )
        self.names = [self._argument_names[i] for i in self._positions]
        self.arrays = [np.asarray(self._arguments[i]) for i in self._positions]
        self.every = dict(zip(self.names, self.arrays, strict=True))
        self.unchecked: dict[str, str] = {}

    def value(self, moved: Mapping[int, Array] | None = None) -> Array:
        """The output, with some of the float arrays replaced."""
        arguments = list(self._arguments)
        for position, array in (moved or {}).items():
            i = self._positions[position]
            arguments[i] = array[()] if i in self._scalars else np.asarray(array)
        return output(call(self._forward, "forward", self._argument_names, arguments))

    def gradients(self, dy: Array, between: Between = None) -> tuple[list[Array], dict[str, str]]:
        """One gradient per float array; those of other arrays may be None or left out."""
        claims = self._claims(dy, between)
        for i in [i for i in self._positions if claims[i] is None]:
            self.unchecked[self._argument_names[i]] = "backward returned None: not differentiated"
            k = self._positions.index(i)
            for each in (self.names, self.arrays, self._positions):
                del each[k]
        found, faults = examined(self.names, self.arrays, [claims[i] for i in self._positions])
        for i, argument in enumerate(self._arguments):
            if claims.get(i) is not None and not _is_float(argument):
                name = self._argument_names[i]
                self.every[name] = np.asarray(argument)
                faults[name] = (
                    f"is no float array but {_kind(argument)}, so the gradient that backward gives for it was not "
                    f"checked; give {name}.astype(float), or return None for it if it is a constant"
                )
        return found, faults

    def again(self, dy: Array) -> list[Array]:
        """The gradients of one more call."""
        claims = self._claims(dy)
        return [np.array(claims.get(i), dtype=np.float64) for i in self._positions]  # None becomes nan

    def roots(self) -> dict[str, Any]:
        """Both functions: what they can reach is found from them."""
        return {"forward": self._forward, "backward": self._backward}

    def accounted(self) -> list[Any]:
        """Nothing: a gradient counts if backward returns it."""
        return []

    def _claims(self, dy: Array, between: Between = None) -> dict[int, Any]:
        """What backward returns, by the position of the argument."""
        names, arguments = ["dy", *self._argument_names], [dy, *self._arguments]
        pristine = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
        run = functools.partial(self._forward_and_backward, between)
        result = call(run, "backward", names, arguments)
        for name, before, after in zip(names, pristine, arguments, strict=True):
            if not unchanged(before, after):
                raise Fault("backward", f"writes to {name}; arguments must stay as they are")
        found = list(result) if isinstance(result, tuple | list) else [result]
        if len(found) == len(self._arguments):
            return dict(enumerate(found))
        floats = [i for i, argument in enumerate(self._arguments) if _is_float(argument)]
        if len(found) == len(floats):
            return dict(zip(floats, found, strict=True))
        raise Fault(
            "backward",
            f"returned {len(found)} gradients for {len(self._arguments)} arrays: "
            f"{', '.join(self._argument_names)}; it has to return one for each, None for a constant",
        )

    def _forward_and_backward(self, between: Between, dy: Array, *arguments: Any) -> Any:
        result = self._forward(*arguments)
        if between:
            between()
        kept = result[1:] if isinstance(result, tuple) else ()
        given = _what_backward_asks_for(self._backward, self._argument_names, arguments, kept)
        try:
            return self._backward(dy, *given)
        except Exception as error:
            error.add_note(
                f"check called backward(dy, {', '.join(self._argument_names)}) or the part of it that backward "
                "takes; one that takes something else has to be wrapped in a function that takes these"
            )
            raise

    def _whole_numbers(self) -> list[tuple[str, str]]:
        pairs = zip(self._argument_names, self._arguments, strict=True)
        return [(name, f"{name} is {_kind(a)}") for name, a in pairs if isinstance(a, np.ndarray | int)]


def _what_backward_asks_for(
    backward: Callable[..., Any], names: Sequence[str], arguments: Sequence[Any], kept: Sequence[Any]
) -> Sequence[Any]:
    """The arguments of backward after dy.

    It gets what forward returned beside y if it must have as many things that forward does not take.
    """
    parameters = positional(backward)
    if parameters is None:
        return arguments
    parameters = parameters[1:]
    required = [p.name for p in parameters if p.default is p.empty]
    unknown = [name for name in required if name not in names]
    if kept and len(unknown) == len(kept) and required[len(required) - len(unknown) :] == unknown:
        known = required[: len(required) - len(unknown)]
        return [*(arguments[names.index(name)] for name in known), *kept]
    taken = 0
    for parameter, name in zip(parameters, names, strict=False):
        if parameter.default is not parameter.empty and parameter.name != name:
            break  # an option of backward, not one of the arrays
        taken += 1
    return arguments[:taken]


def _argument_names(forward: Callable[..., Any], count: int) -> list[str]:
    """The names of forward's positional parameters, where it tells them."""
    told = [p.name for p in positional(forward) or []]
    return [told[i] if i < len(told) else f"array {i}" for i in range(count)]


def _prepared(argument: Any) -> Any:
    """A copy that nobody else holds, float64 if it is of a float type; what is neither array nor number stays."""
    if isinstance(argument, float | np.floating):
        return np.float64(argument)
    if not isinstance(argument, np.ndarray | list | tuple):
        return argument
    array = np.array(argument)  # order="K": the memory layout is kept
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray | np.float64) and argument.dtype == np.float64


def _kind(argument: Any) -> str:
    return str(argument.dtype) if isinstance(argument, np.ndarray) else type(argument).__name__
