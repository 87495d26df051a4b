"""A recipe on its data: all that a run needs, built and checked before anything is written."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from npdsconv import data, models, train
from npdsconv.checkpoint import Checkpoint
from npdsconv.data import Dataset, Split
from npdsconv.layers import Sequential
from npdsconv.optim import Optimizer
from npdsconv.runs import history, source, start, stopping
from npdsconv.runs.recipe import OWN, Recipe
from npdsconv.runs.words import parse_classes
from npdsconv.train import EpochResult, Evaluation


@dataclasses.dataclass(frozen=True)
class Job:
    """A network about to be trained; made by `prepare`. Whoever goes through `results` trains it.

    Attributes
    ----------
    recipe : its settings
    shape, classes : (C, H, W) of one image, and how many classes there are
    learn : what it learns from
    score : what it is measured with at the end; `scored_on` is the name for that
    model, optimizer : as they are before the next epoch
    results : an `EpochResult` after each epoch
    start : epochs that are done already
    names : of the classes, by label
    data : the fingerprint of data of one's own, by which they are known again; otherwise None
    """

    recipe: Recipe
    shape: tuple[int, int, int]
    classes: int
    learn: Split
    score: Split
    scored_on: str
    model: Sequential
    optimizer: Optimizer
    results: Iterator[EpochResult]
    start: int
    names: tuple[str, ...]
    data: dict[str, Any] | None

    def measure(self) -> Evaluation:
        """The score of the model as it is now."""
        return train.evaluate(self.model, self.score.images, self.score.labels)


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    saved: Checkpoint | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
) -> Job:
    """Build everything that a recipe asks for; nothing is learned and nothing is written.

    Parameters
    ----------
    saved : where to go on from; None: from the first epoch
    progress : as for `npdsconv.train.epochs`

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit each other or the data.
    """
    whole, dataset = dataset, as_seen(recipe, dataset)
    learn = dataset.train
    if recipe.labels:
        learn = data.few(learn, recipe.labels, seed=recipe.seed)
    model = recipe.build_model(dataset.shape, dataset.classes)
    if saved is None:
        start.begin(model, recipe)
    models.learn_only(model, recipe.learn)
    optimizer = recipe.build_optimizer(model)
    if saved is not None:
        model.load_state_dict(saved.state)
        optimizer.load_state_dict(saved.optimizer)
    done = 0 if saved is None else saved.meta["epoch"]
    settings: dict[str, Any] = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "drop_last": recipe.drop_last,
        "seed": recipe.seed,
        "schedule": recipe.build_schedule(len(learn)),
        "augment": recipe.build_augment(),
        "label_smoothing": recipe.label_smoothing,
        "micro_batches": recipe.micro_batches,
        "before_update": recipe.build_before_update(model),
        "validation": dataset.test if recipe.hold_out else None,
        "start_epoch": done,
        "progress": progress,
    }
    results: Iterator[EpochResult] = train.epochs(model, learn, optimizer, **settings)
    if recipe.patience:
        rows = (saved and history.kept(saved.meta.get("rows"), done)) or []
        results = stopping.until_patience_ends(results, recipe.patience, rows)
    return Job(
        recipe=recipe,
        shape=dataset.shape,
        classes=dataset.classes,
        learn=learn,
        score=dataset.test,
        scored_on="held-out training images" if recipe.hold_out else score_name(recipe.dataset),
        model=model,
        optimizer=optimizer,
        results=results,
        start=done,
        names=dataset.names,
        data=source.fingerprint(whole) if recipe.dataset == OWN else None,
    )


def as_seen(recipe: Recipe, dataset: Dataset) -> Dataset:
    """A data set as a recipe sees it: its classes, and held-out training images, if it has any, for test images.

    Images are held out before classes are chosen. So runs with one seed and one number hold out the same images,
    whatever their classes are: what one run is measured with, no other has learned from.
    """
    if recipe.hold_out:
        learn, held = data.holdout(dataset.train, recipe.hold_out, seed=recipe.seed)
        dataset = Dataset(dataset.name, learn, held, dataset.names)
    return chosen_classes(recipe, dataset)


def chosen_classes(recipe: Recipe, dataset: Dataset) -> Dataset:
    """The classes of a data set that a recipe is about."""
    if not recipe.classes:
        return dataset
    return data.choose(dataset, parse_classes(recipe.classes, dataset.names))


def score_name(dataset: str) -> str:
    """What a score on the test images of a data set is called: those of mnist5k come from MNIST's training set."""
    return "mini test" if dataset == "mnist5k" else "test"
