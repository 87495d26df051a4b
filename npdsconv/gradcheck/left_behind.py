"""Gradients that backward does not return but leaves somewhere, as `self.dW` or `grads["W"]`.

A checker that looks only at what is returned would call such a layer right and never have seen its weights. So it
looks at the objects that the two functions can reach. A float array there that has changed after backward, and has
the shape of another one that forward depends on and that is no argument, is a gradient that nobody checks.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from npdsconv.gradcheck.calls import Array

MOST_OBJECTS = 10_000
DEEPEST = 6
_LIBRARIES = ("builtins", "numba", "llvmlite", "numpy", "torch")
"""Objects of these hold nothing of the reader's, and much of their own."""
_NO_STATE = (types.ModuleType, type, str, bytes, int, float, complex, np.generic, np.random.Generator)

Snapshot = dict[str, tuple[Array, int]]


def snapshot(roots: dict[str, Any], accounted: Sequence[Any] = ()) -> Snapshot:
    """Every float array that can be reached, by the way to it, with its content at this moment.

    What is accounted for, such as the declared parameters of a layer, is left out.
    """
    return {path: (array, hash(array.tobytes())) for path, array in _arrays(roots, accounted)}


def unchecked_gradients(
    forward: Callable[[], Array], elsewhere: Snapshot, here: Snapshot, after: Snapshot
) -> list[tuple[str, str]]:
    """Pairs of what backward left and the array whose gradient that seems to be.

    The three moments are after forward somewhere else, after forward here, and after backward here. What differs
    between the first two is something that forward keeps for backward, no parameter and no gradient.
    """

    def same(path: str, *moments: Snapshot) -> bool:
        first = moments[0].get(path)
        return first is not None and all(
            path in moment and moment[path][0] is first[0] and moment[path][1] == first[1]
            for moment in moments
        )

    parameters = {path: array for path, (array, _) in here.items() if same(path, elsewhere, here, after)}
    found = []
    for path, (gradient, _) in after.items():
        kept = path in elsewhere and not same(path, elsewhere, here)
        if gradient.size and not kept and not same(path, here, after):
            shaped = (name for name, array in parameters.items() if array.shape == gradient.shape)
            found += [(path, name) for name in shaped if _matters(forward, parameters[name])][:1]
    return found


def how_to_wrap(layer: Any, parameter: str | None = None, gradient: str | None = None) -> str:
    """What to write so that the parameters of a layer that keeps its gradients become arguments."""
    if parameter is None or gradient is None:
        names = [path.split(".")[-1] for path, _ in _arrays({"": layer})]
        parameter = next((name for name in names if f"d{name}" in names), names[0] if names else "W")
        gradient = f"d{parameter}"
    p = parameter
    return (
        f"wrap it in two functions to which its parameters are arguments, such as {p}:\n"
        f"    def forward(x, {p}): layer.{p} = {p}; return layer.forward(x)\n"
        f"    def backward(dy, x, {p}): forward(x, {p}); dx = layer.backward(dy); return dx, layer.{gradient}\n"
        f"    check(forward, backward, x, layer.{p})"
    )


def _matters(forward: Callable[[], Array], array: Array) -> bool:
    """Whether forward gives something else when this array is changed for a moment."""
    if not array.flags.writeable:
        return True
    y, kept = forward(), array.copy()
    try:
        array += 0.37 * (1 + np.abs(kept))
        moved = forward()
    except Exception:
        return True  # it does depend on it, if only by refusing it
    finally:
        array[...] = kept
    return not np.array_equal(y, moved, equal_nan=True)


def _arrays(roots: dict[str, Any], accounted: Sequence[Any] = ()) -> Iterator[tuple[str, Array]]:
    """Walk through attributes, items and what functions hold."""
    seen = {id(each) for each in accounted}
    waiting = [(name, value, 0) for name, value in roots.items()]
    while waiting and len(seen) < MOST_OBJECTS:
        path, value, depth = waiting.pop(0)
        if id(value) in seen or isinstance(value, _NO_STATE) or value is None:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "f":
                yield path, value
        elif depth < DEEPEST:
            waiting += [(name, each, depth + 1) for name, each in _held(path, value)]


def _held(path: str, value: Any) -> list[tuple[str, Any]]:
    """What an object holds, with the way to it."""
    if isinstance(value, dict):
        return [(f"{path}[{key!r}]", each) for key, each in list(value.items())]
    if isinstance(value, list | tuple):
        return [(f"{path}[{i}]", each) for i, each in enumerate(value)]
    if isinstance(value, functools.partial):
        return [(path, value.func), *((path, each) for each in (*value.args, *value.keywords.values()))]
    if isinstance(value, types.MethodType):
        return [(type(value.__self__).__name__, value.__self__), (path, value.__func__)]
    if isinstance(value, types.FunctionType):
        return _held_by_function(value)
    if type(value).__module__.partition(".")[0] in _LIBRARIES:
        return []
    attributes = inspect.getattr_static(value, "__dict__", None)
    attributes = vars(value) if attributes is not None else {}
    slots = [s for kind in type(value).__mro__ for s in kind.__dict__.get("__slots__", ())]
    held = {**attributes, **{name: getattr(value, name) for name in slots if hasattr(value, name)}}
    return [(f"{path}.{name}", each) for name, each in held.items()]


def _held_by_function(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Variables of the functions around it, globals that it names, and its defaults."""
    code = function.__code__
    held: list[tuple[str, Any]] = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            held.append((_named(name, cell.cell_contents), cell.cell_contents))
        except ValueError:  # a variable that has no value yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            held.append((_named(name, function.__globals__[name]), function.__globals__[name]))
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    held += [("a default", each) for each in defaults]
    held += [("__wrapped__", function.__wrapped__)] if hasattr(function, "__wrapped__") else []
    return held


def _named(name: str, value: Any) -> str:
    """A layer by its type, which says more than the reader's variable; anything else by its name."""
    return type(value).__name__ if hasattr(value, "forward") else name
