"""The data of a run: found by its recipe and, where the run was saved, the same as then to the last pixel."""

import hashlib
from typing import Any

from npdsconv import data
from npdsconv.checkpoint import Checkpoint
from npdsconv.data import Dataset
from npdsconv.runs.recipe import OWN, Recipe
from npdsconv.runs.words import parse_size


def load(recipe: Recipe, data_dir: str | None = None, saved: Checkpoint | None = None) -> Dataset:
    """The data set that a recipe is about.

    Parameters
    ----------
    data_dir : where MNIST's files are
    saved : a checkpoint of the run; data of one's own that have changed since are refused

    Raises
    ------
    FileNotFoundError, OSError, ValueError, TypeError
        There are none, they cannot be read, or they are not those of the run.
    """
    if recipe.dataset != OWN:
        return data.load(recipe.dataset, data_dir)
    if data_dir is not None:
        raise ValueError(f"load: data_dir {data_dir!r} is for mnist, and has no use for {recipe.folder}")
    dataset = data.from_path(
        recipe.folder,
        size=parse_size(recipe.size),
        channels=recipe.channels or None,
        test=recipe.test_share,
        seed=recipe.test_seed,
        skip_bad=recipe.skip_bad,
    )
    if saved and saved.meta["data"]:
        _check_same(recipe.folder, fingerprint(dataset), saved.meta["data"])
    return dataset


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from any other: how many images are in either half, and a digest of all there is."""
    digest = hashlib.sha256(repr((dataset.names, dataset.shape)).encode())
    for half in (dataset.train, dataset.test):
        digest.update(half.labels.astype("<i8").tobytes())
        digest.update(half.images.tobytes())
    return {"train": len(dataset.train), "test": len(dataset.test), "sha256": digest.hexdigest()}


def is_fingerprint(value: object) -> bool:
    """Whether this can be one: files may say anything."""
    kinds = {"train": int, "test": int, "sha256": str}
    return isinstance(value, dict) and {name: type(v) for name, v in value.items()} == kinds


def _check_same(place: str, now: dict[str, Any], then: dict[str, Any]) -> None:
    if now == then:
        return
    counts = [f"{of['train']:,} to learn from and {of['test']:,} to measure with" for of in (then, now)]
    what = f"{counts[0]} then, {counts[1]} now" if counts[0] != counts[1] else "as many, but not the same"
    raise ValueError(
        f"load: what is in {place} is not what the run was trained on: {what}; "
        f"train anew, or name the place where it is now with --folder"
    )
