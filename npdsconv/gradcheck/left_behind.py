"""Gradients that backward does not return but leaves somewhere, as `self.dW` or `grads["W"]`.

A checker that looks only at what is returned would call such a layer right and never have seen its weights. So it
looks at the objects that the two functions can reach. A float array there that has changed after backward, and has
the shape of another one that forward depends on and that is no argument, is a gradient that nobody checks.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from npdsconv.gradcheck.calls import Array

MOST_OBJECTS = 10_000
DEEPEST = 6
_LIBRARIES = ("builtins", "numba", "llvmlite", "numpy", "torch")
"""Objects of these hold nothing of the reader's, and much of their own."""
_NO_STATE = (types.ModuleType, type, str, bytes, int, float, complex, np.generic, np.random.Generator)


class Numbers(NamedTuple):
    """An array, a number or a list of numbers at one moment; a number has no owner, for it cannot change."""

    owner: Any
    content: int
    size: int
    array: Array | None


Snapshot = dict[str, Numbers]


def snapshot(roots: dict[str, Any], accounted: Sequence[Any] = ()) -> Snapshot:
    """All float numbers that can be reached, by the way to them, as they are at this moment.

    What is accounted for, such as the declared parameters of a layer, is left out.
    """
    found: Snapshot = {}
    for path, numbers in _walk(roots, accounted):
        while path in found:  # two layers of one type
            path += "'"
        found[path] = numbers
    return found


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
            path in moment and moment[path].owner is first.owner and moment[path].content == first.content
            for moment in moments
        )

    parameters = {path: held for path, held in here.items() if same(path, elsewhere, here, after)}
    found = []
    for path, gradient in after.items():
        kept = path in elsewhere and not same(path, elsewhere, here)
        if gradient.size and not kept and not same(path, here, after):
            fitting = (name for name, held in parameters.items() if _fits(path, gradient, name, held))
            found += [(path, name) for name in fitting if _matters(forward, parameters[name].array)][:1]
    return found


def last_name(path: str) -> str:
    """`W` out of `Dense.W` or `params['W']`."""
    return re.findall(r"\w+", path)[-1]


def how_to_wrap(names: Sequence[tuple[str, str]]) -> str:
    """What to write so that the parameters of a layer that keeps its gradients become arguments.

    `names` are pairs of a parameter and its gradient, as attributes of the layer.
    """
    names = names or [("W", "dW")]
    given = ", ".join(p for p, _ in names)
    set_them = "; ".join(f"layer.{p} = {p}" for p, _ in names)
    found = ", ".join(f"layer.{gradient}" for _, gradient in names)
    return (
        f"wrap it in two functions to which its parameters are arguments, such as {given}:\n"
        f"    def forward(x, {given}): {set_them}; return layer.forward(x)\n"
        f"    def backward(dy, x, {given}): forward(x, {given}); dx = layer.backward(dy); return dx, {found}\n"
        f"    check(forward, backward, x, {', '.join(f'layer.{p}' for p, _ in names)})"
    )


def parameters_of(layer: Any) -> list[tuple[str, str]]:
    """Pairs of a parameter and its gradient, as far as their names or the attributes tell."""
    names = [last_name(path) for path, _ in _walk({"layer": layer})]
    pairs = [(name, f"d{name}") for name in names if f"d{name}" in names]
    return pairs or [(name, f"d{name}") for name in names[:2]]


def _fits(gradient_path: str, gradient: Numbers, path: str, parameter: Numbers) -> bool:
    """Whether this may be the gradient of that: of the same shape, or of the same size and of a like name."""
    arrays = gradient.array, parameter.array
    if arrays[0] is not None and arrays[1] is not None and arrays[0].shape == arrays[1].shape:
        return True
    return gradient.size == parameter.size and last_name(path).lower() in last_name(gradient_path).lower()


def _matters(forward: Callable[[], Array], array: Array | None) -> bool:
    """Whether forward gives something else when this array is changed for a moment."""
    if array is None or not array.flags.writeable:
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


def _walk(roots: dict[str, Any], accounted: Sequence[Any] = ()) -> Iterator[tuple[str, Numbers]]:
    """Walk through attributes, items and what functions hold."""
    seen = {id(each) for each in accounted}
    waiting = [(name, value, 0) for name, value in roots.items()]
    while waiting and len(seen) < MOST_OBJECTS:
        path, value, depth = waiting.pop(0)
        numbers = _numbers(value)
        if numbers and numbers.owner is None:
            yield path, numbers
        elif id(value) not in seen:
            seen.add(id(value))
            if numbers:
                yield path, numbers
            elif depth < DEEPEST and value is not None and not isinstance(value, _NO_STATE):
                waiting += [(name, each, depth + 1) for name, each in _held(path, value)]


def _numbers(value: Any) -> Numbers | None:
    if isinstance(value, float | np.floating):
        return Numbers(None, hash(value), 1, None)
    if isinstance(value, np.ndarray):
        return Numbers(value, hash(value.tobytes()), value.size, value) if value.dtype.kind == "f" else None
    first = value
    for _ in range(DEEPEST):  # a list may hold itself
        if isinstance(first, list) and first:
            first = first[0]
    if not isinstance(value, list) or not isinstance(first, float):
        return None
    try:
        array = np.array(value)
    except ValueError:  # the rows differ in length
        return None
    return Numbers(value, hash(array.tobytes()), array.size, None) if array.dtype.kind == "f" else None


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
            held.append((name, cell.cell_contents))
        except ValueError:  # a variable that has no value yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            held.append((name, function.__globals__[name]))
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    held += [("a default", each) for each in defaults]
    held += [("__wrapped__", function.__wrapped__)] if hasattr(function, "__wrapped__") else []
    return held
