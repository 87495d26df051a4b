"""What the checkpoint of a run says of itself, believed only after a look: a file may lie, by damage or on purpose."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from npdsconv import checkpoint, models
from npdsconv.checkpoint import Checkpoint
from npdsconv.data.dataset import is_class_name
from npdsconv.layers import Sequential
from npdsconv.runs.recipe import Recipe
from npdsconv.runs.source import is_fingerprint

_SMALL, _DOUBLINGS = 10**7, 32  # numbers; of a width or a size, from what is usual
_SHOWN = 400  # characters of what is wrong in a file: it may hold a text of any length
# shape and classes, where a checkpoint says neither: the first ones were all of digits
DIGITS: dict[str, Any] = {"shape": [1, 28, 28], "classes": 10}


def read(file: Path) -> tuple[Recipe, Checkpoint]:
    """The recipe of a run and its checkpoint, whose ``meta`` has an epoch, a shape and classes that make sense.

    Raises
    ------
    ValueError
        It carries no recipe, or what it says cannot be.
    """
    saved = checkpoint.load(file)
    recipe = _recipe(file, saved)
    meta = DIGITS | saved.meta
    epoch: Any = meta.get("epoch")
    shape, classes = meta["shape"], meta["classes"]
    if not (_count(epoch, 0) and epoch <= recipe.epochs):
        raise ValueError(f"{file} is damaged: it says epoch {epoch!r:.40} of {recipe.epochs}")
    if not (isinstance(shape, list) and len(shape) == 3 and all(_count(n) for n in (*shape, classes))):
        raise ValueError(f"{file} is damaged: it says images of {shape!r:.40} in {classes!r:.40} classes")
    sides = {n for array in saved.state.values() if array.size for n in array.shape}
    if not {shape[0], classes} <= sides:
        raise ValueError(
            f"{file} is damaged: the state has nothing of {shape[0]} channels and {classes} classes"
        )
    if not _names(meta.get("names"), classes):
        meta["names"] = [str(k) for k in range(classes)]
    if not is_fingerprint(meta.get("data")):
        meta["data"] = None
    return recipe, saved._replace(meta=meta)


def build(file: Path, recipe: Recipe, saved: Checkpoint) -> Sequential:
    """The network of a run, with the state that was saved.

    Raises
    ------
    TypeError, ValueError
        The state does not fit the recipe; the file is named.
    """
    shape, classes = tuple(saved.meta["shape"]), saved.meta["classes"]
    try:
        model = _built(recipe, shape, classes, saved)
        model.load_state_dict(saved.state)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{file}: {str(error)[:_SHOWN]}") from None
    return model


def load_model(path: str | os.PathLike[str]) -> tuple[Sequential, Recipe, Checkpoint]:
    """Rebuild the model of a run folder or of a checkpoint file."""
    path = Path(path)
    file = path / "checkpoint.npz" if path.is_dir() else path
    recipe, saved = read(file)
    return build(file, recipe, saved), recipe, saved


def _recipe(file: Path, saved: Checkpoint) -> Recipe:
    settings = saved.meta.get("recipe")
    known = {field.name for field in dataclasses.fields(Recipe)}
    if not isinstance(settings, dict) or not settings.keys() <= known:
        raise ValueError(f"{file} carries no recipe of this version: it was not written by `npdsconv train`")
    try:
        return Recipe(**settings)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{file}: {str(error)[:_SHOWN]}") from None


def _built(recipe: Recipe, shape: tuple[int, ...], classes: int, saved: Checkpoint) -> Sequential:
    """The network, built from smaller ones up, so that a width that is a lie costs no more memory than the state."""
    numbers = sum(array.size for array in saved.state.values())
    most = max(numbers, _SMALL)  # of a small one that does not fit, more can be said
    options = models.parse_options(recipe.model, recipe.options)
    if any(isinstance(value, tuple) and len(value) > len(saved.state) for value in options.values()):
        raise ValueError(f"the state has {len(saved.state)} arrays, too few for the options of its recipe")
    asked = {
        "width": recipe.width,
        "size": tuple(shape[1:]),
        **{f"option {n}": v for n, v in options.items()},
    }
    for growth in range(_DOUBLINGS):
        now = {name: _at_most(value, growth) for name, value in asked.items()}
        words = " ".join(f"{name}={_word(now[f'option {name}'])}" for name in options)
        smaller = dataclasses.replace(recipe, width=now["width"], options=words)
        model = smaller.build_model((shape[0], *now["size"]), classes)
        if sum(p.value.size for p in model.parameters()) > most:
            raise ValueError(f"the state has {numbers:,} numbers, too few for the network that it names")
        if now == asked:
            return model
    raise ValueError("its recipe has numbers too large for a network")


def _at_most(value: Any, growth: int) -> Any:
    """A number of a recipe, or all of several, cut to what is usual, doubled so many times."""
    if isinstance(value, tuple):
        return tuple(_at_most(part, growth) for part in value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        return min(value, 2.0**growth)
    return min(value, 64 << growth | value & 1)  # some have to be odd


def _word(value: Any) -> str:
    """As `parse_options` reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _names(names: object, classes: int) -> bool:
    """Whether these can be names of classes."""
    return isinstance(names, list) and len(names) == classes and all(map(is_class_name, names))


def _count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 31
