"""For guard_pages.py: what may be done to arguments, so that they need not fit."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from guard_kinds import Arrays, Generator, Kind, Options, normal, pick

from npdsconv.shapes import Array

SETTINGS: tuple[Any, ...] = (
    0,
    -1,
    1,
    2,
    3,
    9,
    10**5,
    2**31,
    2**40,
    2**70,
    1.5,
    -1e-3,
    float("nan"),
    True,
    None,
)
SETTINGS += ("x", "same", "valid", "relu6", ("relu", None), (True, False), [2, 1], (1, 2), (2, 1, 1))
SETTINGS += (((1, 0), (0, 2)), ((9, 9), (9, 9)))
DTYPES = ("f4", "f8", "f2", ">f4", "i8", "c16", "?", "O")


def changed(rng: Generator, kind: Kind, dtype: np.dtype, arrays: Arrays, how: Options) -> str:
    """Change one thing, in place; what was done, in words."""
    if how and rng.random() < 0.3:
        name = pick(rng, *how)
        how[name] = SETTINGS[rng.integers(len(SETTINGS))]
        return f"{name}={how[name]!r}"
    name, what = pick(rng, *arrays), pick(rng, *CHANGES)
    array = arrays[name]
    if not isinstance(array, np.ndarray):
        return "nothing"
    if what == "stolen":
        others, _ = kind.make(rng, dtype)
        for one in arrays if rng.random() < 0.3 else (name,):
            if one.split(".")[0] == name.split(".")[0]:
                arrays[one] = others[one]
        return f"{name} {what}"
    with suppress(TypeError, ValueError):  # a second change may not be possible after the first
        arrays[name] = CHANGES[what](rng, array)
    return f"{name} {what}"


def resized(rng: Generator, array: Array) -> Array:
    if not array.ndim:
        return array
    shape, axis = list(array.shape), rng.integers(array.ndim)
    shape[axis] = max(0, pick(rng, 0, 1, shape[axis] - 1, shape[axis] + 1, 2 * shape[axis], shape[axis] + 15))
    return normal(rng, array.dtype, *shape) if array.dtype.kind == "f" else np.ones(shape, array.dtype)


def sliced(rng: Generator, array: Array) -> Array:
    wide = np.full([2 * n + 1 for n in array.shape], np.nan, array.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def reversed_(rng: Generator, array: Array) -> Array:
    backwards = (slice(None, None, -1),) * array.ndim
    return array[backwards].copy()[backwards]


def unaligned(rng: Generator, array: Array) -> Array:
    view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def repeated(rng: Generator, array: Array) -> Array:
    return np.broadcast_to(array[:1], array.shape) if array.ndim and len(array) else array


def not_finite(rng: Generator, array: Array) -> Array:
    with_faults = array.astype(float)
    with_faults[rng.random(array.shape) < 0.1] = pick(rng, np.nan, np.inf)
    return with_faults.astype(array.dtype)


CHANGES: dict[str, Callable[[Generator, Array], Any]] = {
    "stolen": lambda rng, array: array,
    "resized": resized,
    "one axis more": lambda rng, array: array[..., None],
    "one axis less": lambda rng, array: array[..., 0] if array.ndim and array.shape[-1] else array,
    "transposed": lambda rng, array: array.T,
    "in another dtype": lambda rng, array: array.astype(pick(rng, *DTYPES)),
    "missing": lambda rng, array: None,
    "masked": lambda rng, array: np.ma.masked_array(array),
    "a list": lambda rng, array: array.tolist(),
    "not finite": not_finite,
    "negative": lambda rng, array: -abs(array),
    "sliced": sliced,
    "reversed": reversed_,
    "unaligned": unaligned,
    "repeated": repeated,
    "read-only": lambda rng, array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
}
"""What may be done to an array, by what it is called."""
