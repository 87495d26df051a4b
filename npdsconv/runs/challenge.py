"""The rules of the challenge: full MNIST, few parameters, separable convolutions, several seeds, an honest choice."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from npdsconv.complexity import summary
from npdsconv.data import Dataset
from npdsconv.layers import DepthwiseConv2d, Sequential
from npdsconv.runs import history
from npdsconv.runs.recipe import Recipe
from npdsconv.runs.recorded import spread
from npdsconv.runs.saved import load_model
from npdsconv.train import evaluate

SEEDS = 5
"""As many runs make an entry: a single one may be lucky."""

DECLARATIONS = ("held-out", "test", "unknown")
"""On which images the settings were chosen; only the first is an honest choice."""


class Class(NamedTuple):
    """Which networks compete, and what the mean of their runs has to reach."""

    name: str
    params: int  # at most
    epochs: int | None  # at most; None: any number
    goal: float  # accuracy on the 10,000 test images, mean over the seeds


CLASSES = (
    Class("a thousand", 1_000, None, 0.990),
    Class("eight thousand", 8_000, 15, 0.994),
    Class("fifty thousand", 50_000, None, 0.996),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained network of an entry, as its checkpoint says it is."""

    place: str
    model: Sequential
    recipe: Recipe
    epoch: int
    seconds: float


class Check(NamedTuple):
    """A rule, and whether the entry keeps it."""

    rule: str
    kept: bool
    found: str


def load(place: str | Path) -> Run:
    """A run folder or a checkpoint file.

    Raises
    ------
    ValueError, OSError
        It is no run of this package.
    """
    model, recipe, saved = load_model(place)
    rows = history.kept(saved.meta.get("rows"), saved.meta["epoch"]) or []
    return Run(str(place), model, recipe, saved.meta["epoch"], sum(history.column(rows, "seconds")))


def class_of(params: int, epochs: int) -> Class | None:
    """The smallest class that such a network may enter; None if it is too large, or was trained too long, for all."""
    return next((c for c in CLASSES if params <= c.params and epochs <= (c.epochs or epochs)), None)


def checks(runs: Sequence[Run], declared: str | None) -> list[Check]:
    """Every rule that does not need the test images."""
    recipes = [run.recipe for run in runs]
    first, seeds = recipes[0], sorted(recipe.seed for recipe in recipes)
    data = {
        f"{r.dataset}{f', classes {r.classes}' if r.classes else ''}{f', start {r.start}' if r.start else ''}"
        for r in recipes
    }
    held = max(recipe.hold_out for recipe in recipes)
    ended = [f"{run.epoch} of {run.recipe.epochs}" for run in runs if run.epoch != run.recipe.epochs]
    same = all(dataclasses.replace(r, seed=0) == dataclasses.replace(first, seed=0) for r in recipes)
    separable = all(any(isinstance(m, DepthwiseConv2d) for m in run.model.modules()) for run in runs)
    return [
        Check("full MNIST, all classes, from scratch", data == {"mnist"}, "; ".join(sorted(data))),
        Check("no image held out of the last training", held == 0, f"{held:,} held out"),
        Check("trained to the last epoch", not ended, ", ".join(ended) or f"{first.epochs} epochs"),
        Check(f"{SEEDS} seeds or more, all different", len(set(seeds)) == len(seeds) >= SEEDS, str(seeds)),
        Check("one recipe for all seeds", same, "the same" if same else "they differ"),
        Check("separable: there are depthwise steps", separable, first.model),
        Check("settings chosen on held-out images", declared == "held-out", declared or "not declared"),
    ]


def measure(runs: Sequence[Run], dataset: Dataset) -> dict[str, Any]:
    """Counts, and the accuracy of each run on the test images."""
    counted = summary(runs[0].model, dataset.shape)
    scores = [evaluate(run.model, dataset.test.images, dataset.test.labels).accuracy for run in runs]
    over_seeds = spread(scores)
    return {
        "params": counted.params,
        "macs": counted.macs,
        "bytes": sum(array.nbytes for array in runs[0].model.state_dict().values()),
        "seconds": statistics.mean(run.seconds for run in runs),
        "accuracies": scores,
        "mean": over_seeds.mean,
        "sd": over_seeds.spread,
    }
