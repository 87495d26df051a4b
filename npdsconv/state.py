"""Taking over a state, as `load_state_dict` of models and of optimisers does: everything is checked before anything is
written, so that either the whole state is taken over or nothing changes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from npdsconv.shapes import Array, likely_weights
from npdsconv.text import few

__all__ = ["Slot", "take_over"]


class Slot(NamedTuple):
    """An array that is to be filled, and the least value that makes sense in it."""

    array: Array
    least: float = -np.inf


def take_over(where: str, state: Mapping[str, Any], slots: Mapping[str, Slot], whose: str) -> None:
    """Copy every entry of a state into the slot of its name, if all of them fit.

    Numbers of floating point go into arrays of floating point, whole numbers into arrays of whole numbers. A weight
    that is a whole number is a quantised one whose scale is missing, and one that is NaN would spoil all others, so
    neither is guessed at.

    Parameters
    ----------
    where : the name of the function, for the errors
    whose : what a state with other names may be, for the errors: "another model"

    Raises
    ------
    TypeError
        The state is no dict, or an entry is of the wrong kind: complex, text, dates, records, whole numbers, objects.
    ValueError
        Names are missing or unknown, a shape differs, or a value is not finite, too large for the array's dtype, or
        below what makes sense. The first entry that does not fit is named. Nothing has been changed.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"{where}: the state must be a dict of arrays, got {type(state).__name__}")
    missing, unexpected = [n for n in slots if n not in state], [n for n in state if n not in slots]
    if missing or unexpected:
        raise ValueError(
            f"{where}: missing {few(missing)}, unexpected {few(unexpected)}: the state is that of {whose}"
        )
    values = {name: _fitted(f"{where}: {name}", state[name], slot) for name, slot in slots.items()}
    for name, slot in slots.items():
        slot.array[...] = values[name]


def _fitted(what: str, given: Any, slot: Slot) -> Array:
    """An entry as an array of the slot's shape and dtype."""
    value = _as_array(what, given)
    dtype = slot.array.dtype
    if value.shape != slot.array.shape:
        hint = likely_weights(value.shape, slot.array.shape)
        raise ValueError(f"{what} has shape {value.shape}, not {slot.array.shape}{hint}")
    if _kind(value.dtype) != _kind(dtype):
        raise TypeError(f"{what} has dtype {value.dtype}, which does not fit {dtype}")
    if not slot.array.flags.writeable:
        raise ValueError(f"{what} cannot be written: the array in its place is read-only")
    wrong = np.flatnonzero(~np.isfinite(value))
    if wrong.size:
        raise ValueError(f"{what} holds {value.flat[wrong[0]]}, as one of {wrong.size} values not finite")
    with np.errstate(over="ignore", under="ignore"):
        fitted = value.astype(dtype)
    lost = ~np.isfinite(fitted) if dtype.kind == "f" else fitted.astype(object) != value.astype(object)
    wrong = np.flatnonzero(lost)
    if wrong.size:
        raise ValueError(f"{what} holds {value.flat[wrong[0]]}, out of the range of {dtype}")
    if value.size and fitted.min() < slot.least:
        raise ValueError(f"{what} holds {fitted.min()}, must be at least {slot.least:g}")
    return fitted


def _as_array(what: str, given: Any) -> Array:
    if np.any(getattr(given, "mask", False)):  # as np.ma has it, whose import takes longer than all of this
        raise TypeError(f"{what} has values that are masked out")
    try:
        return np.asarray(given)
    except Exception as error:  # whatever the object of another library says
        raise TypeError(f"{what}: {type(given).__name__} cannot be made an array: {error}") from None


def _kind(dtype: np.dtype[Any]) -> str:
    """Numbers with and without a sign are one kind."""
    return "i" if dtype.kind == "u" else dtype.kind
