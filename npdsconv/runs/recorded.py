"""Every run that a page or a lesson speaks of: ``recorded.jsonl``, a line each, written by ``python -m studies run``.

recorded.over_seeds("widths", "separable ×1")                     mean, sample standard deviation, number of seeds
recorded.over_seeds("finetuning", "5-9, head, 20 labels", "source_after")
"""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from npdsconv.runs.recipe import RECIPES, Recipe
from npdsconv.shapes import check_choice

FILE = Path(__file__).with_name("recorded.jsonl")
RECIPES_STUDY = "recipes"
"""The study whose arms are the package's own recipes, scored on test images."""


class Recorded(NamedTuple):
    """What was measured of an arm, over its seeds."""

    mean: float
    spread: float  # sample standard deviation; 0 for a single seed
    seeds: int


def runs(study: str | None = None) -> list[dict[str, Any]]:
    """Every recorded run, or those of a study, in the order of the file.

    Returns
    -------
    list of dict
        study, arm, seed; settings (what differs from the data set's recipe), command, commit, threads; scored_on,
        accuracy, loss, epochs, params, macs, seconds; and what a study measured besides.
    """
    if not FILE.exists():
        return []
    found = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [run for run in found if study in (None, run["study"])]


def arms(study: str) -> dict[str, list[dict[str, Any]]]:
    """The runs of a study by arm, each arm's by seed.

    Raises
    ------
    ValueError
        No run of such a study is recorded.
    """
    check_choice("recorded", "a study", study, sorted({run["study"] for run in runs()}))
    found: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(runs(study), key=lambda run: run["seed"]):
        found.setdefault(run["arm"], []).append(run)
    return found


def over_seeds(study: str, arm: str, what: str = "accuracy") -> Recorded:
    """Mean and spread of something that was measured in each run of an arm.

    Raises
    ------
    ValueError
        No such study or arm, or nothing of that name was measured.
    """
    found = arms(study)
    check_choice("recorded", f"an arm of {study}", arm, found)
    numbers = [name for name, value in found[arm][0].items() if isinstance(value, int | float)]
    check_choice("recorded", f"a number of {study}", what, numbers)
    return spread([run[what] for run in found[arm]])


def spread(values: list[float]) -> Recorded:
    """Mean, sample standard deviation and number of some values."""
    return Recorded(
        statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values)
    )


def accuracy(recipe: Recipe) -> Recorded | None:
    """The recorded accuracy of a recipe, whatever its seed; None unless it is the data set's own, unchanged."""
    if recipe.dataset not in RECIPES:
        return None
    own = dataclasses.replace(
        RECIPES[recipe.dataset], seed=recipe.seed, standard=recipe.standard, impl=recipe.impl
    )
    wanted = {"dataset": recipe.dataset, "standard": recipe.standard}
    found = [
        run["accuracy"] for run in runs(RECIPES_STUDY) if {"standard": False} | run["settings"] == wanted
    ]
    return spread(found) if found and recipe == own else None
