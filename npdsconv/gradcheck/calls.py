"""Calling the reader's functions so that nothing of theirs is changed, and telling when they try.

They are handed read-only views. Not everything that then stops has written: a compiled function with a signature
takes no read-only array at all. So a call that stops is repeated with copies, and only what is found changed in a
copy was written to.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LOCKED = re.compile("read-?only|writ(e)?able", re.IGNORECASE)


class Fault(Exception):
    """Something wrong with the subject itself: it becomes a row of the report.

    `seen` is False where the fault keeps the check from telling right from wrong.
    """

    def __init__(self, name: str, reason: str, seen: bool = True) -> None:
        super().__init__(reason)
        self.name, self.reason, self.seen = name, reason, seen


def call(function: Callable[..., Any], who: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Call with read-only arrays; a function that writes to one of them is a fault, and told by name."""
    try:
        return function(*map(_locked, arguments))
    except Fault:
        raise
    except Exception as error:
        if not _LOCKED.search(str(error)):
            raise
        copies = [_own(argument) for argument in arguments]
        try:
            result = function(*copies)
        except Exception:
            raise error from None  # it stops on arrays that may be written to, so that was not the reason
        pairs = zip(names, arguments, copies, strict=True)
        written = [name for name, before, after in pairs if not unchanged(before, after)]
        if not written:
            return result
        what = " and ".join(written)
        raise Fault(who, f"writes to {what}; arguments must stay as they are ({error})") from error


def unchanged(before: Any, after: Any) -> bool:
    """Whether two arrays hold the same bits; what is no array is not looked at."""
    return not isinstance(before, np.ndarray) or before.tobytes() == after.tobytes()


def read_only(array: Array) -> Array:
    """A view that cannot be written to."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def output(result: Any) -> Array:
    """The output out of what forward returned, as a copy that forward does not hold; float64 or complex."""
    y = np.array(result[0] if isinstance(result, tuple) else result)
    if y.dtype not in (np.float64, np.complex128):
        raise Fault("y", f"forward returned {y.dtype} from float64 arrays", seen=False)
    return y


def examined(
    names: list[str], arrays: list[Array], gradients: list[Any]
) -> tuple[list[Array], dict[str, str]]:
    """The gradients as arrays, and what disqualifies them before any number is compared."""
    faults = {}
    found = [np.array(gradient) for gradient in gradients]  # copies: backward may use its buffers again
    for name, array, gradient in zip(names, arrays, found, strict=True):
        if gradient.shape != array.shape:
            faults[name] = f"the gradient has shape {gradient.shape}, the array {array.shape}"
        elif gradient.dtype != np.float64:
            faults[name] = f"the gradient is {gradient.dtype}, not float64"
        elif not np.all(np.isfinite(gradient)):
            worst = np.unravel_index(int(np.argmin(np.isfinite(gradient))), gradient.shape)
            faults[name] = f"the gradient is {gradient[worst]} at {tuple(map(int, worst))}"
    return found, faults


def positional(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters that can be given by position; None where the function does not tell, or takes `*args`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some compiled functions have no signature
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _locked(argument: Any) -> Any:
    return read_only(argument) if isinstance(argument, np.ndarray) else _own(argument)


def _own(argument: Any) -> Any:
    """A copy, so that a dictionary of settings, say, is the same in every call."""
    if isinstance(argument, np.ndarray):
        return np.array(argument)
    with contextlib.suppress(Exception):  # what cannot be copied is handed through
        return copy.deepcopy(argument)
    return argument
