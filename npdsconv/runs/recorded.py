"""What the recipes gave when they were measured: ``recorded.json``, written by ``benchmarks/accuracy.py``."""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from npdsconv.runs.recipe import RECIPES, Recipe

FILE = Path(__file__).with_name("recorded.json")


class Recorded(NamedTuple):
    """The accuracy of a recipe over its seeds."""

    mean: float
    spread: float  # sample standard deviation; 0 for a single seed
    seeds: int


def runs() -> list[dict[str, Any]]:
    """Every recorded run: data set, seed, standard, scored_on, accuracy, loss, train_seconds, model …"""
    return json.loads(FILE.read_text()) if FILE.exists() else []


def accuracy(recipe: Recipe) -> Recorded | None:
    """The recorded accuracy of a recipe, whatever its seed; None unless it is the data set's own, unchanged."""
    if recipe.dataset not in RECIPES:
        return None
    own = dataclasses.replace(
        RECIPES[recipe.dataset], seed=recipe.seed, standard=recipe.standard, impl=recipe.impl
    )
    found = [
        r["accuracy"] for r in runs() if (r["dataset"], r["standard"]) == (recipe.dataset, recipe.standard)
    ]
    if recipe != own or not found:
        return None
    return Recorded(statistics.mean(found), statistics.stdev(found) if len(found) > 1 else 0.0, len(found))
