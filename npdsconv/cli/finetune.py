"""``npdsconv finetune``: go on from a trained network, for other classes or with few labels."""

import argparse
import dataclasses
from typing import Any

import numpy as np

from npdsconv import text
from npdsconv.checkpoint import Checkpoint
from npdsconv.cli import Outcome, settings, which_run
from npdsconv.cli.names import file_name
from npdsconv.cli.train import trained
from npdsconv.data import Dataset
from npdsconv.malloc import keep_freed_memory
from npdsconv.models import PARTS, load_matching
from npdsconv.models.transfer import without_head
from npdsconv.runs import shipped, source, start
from npdsconv.runs.folder import RunFolder, fresh_folder
from npdsconv.runs.job import Job, as_seen
from npdsconv.runs.recipe import FROM_START, Recipe, recipe
from npdsconv.train import evaluate, nearest_class_mean

EXAMPLES = """examples:
  npdsconv train --classes 0-4 --out early                        a network that knows half of the digits
  npdsconv finetune early --classes 5-9 --labels 100              learns the others from 20 images of each
  npdsconv finetune early --classes 5-9 --labels 100 --train head all that it has learned stays as it is
"""
OF_DATA = ("dataset", "folder", "size", "channels", "test_share", "test_seed", "skip_bad")
OF_NETWORK = [field.name for field in dataclasses.fields(Recipe) if field.metadata["group"] == "network"]
DEFAULTS: dict[str, Any] = {"init": "pretrained", "epochs": 30, "batch_size": 16, "lr": 0.01}
"""What differs from training from the beginning: small batches, for there are few images. Chosen on held-out images."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    which_run.add(parser, "the network that comes with the package")
    parser.add_argument("--train", choices=PARTS, default="all", help="what goes on learning (default all)")
    settings.add(parser, "dataset", "folder", "test_share", "test_seed", "skip_bad", "classes", "labels")
    settings.add(parser, "hold_out", "schedule", "weight_decay", "seed", **DEFAULTS)
    parser.add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )
    parser.add_argument(
        "--out", type=file_name, metavar="FOLDER", help="run folder (default a new one under runs/)"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Train from the weights of a run, and measure what was won and what was forgotten."""
    keep_freed_memory()
    place = which_run.named("finetune", args.place, args.run)
    origin = str(place) if place else shipped.NAMES[0]
    old, theirs, saved = start.source(origin)
    network = {name: getattr(theirs, name) for name in OF_NETWORK}
    network |= {"start": origin if args.init in FROM_START else "", "learn": args.train}
    chosen = recipe(**{**_its_data(args, theirs, saved), **network, **settings.given(args)})
    same = all(getattr(theirs, name) == getattr(chosen, name) for name in OF_DATA)
    dataset = source.load(chosen, args.data_dir, saved if same else None)
    if dataset.shape != tuple(saved.meta["shape"]):
        raise ValueError(
            f"finetune: {origin} takes images of {tuple(saved.meta['shape'])}, not {dataset.shape}"
        )
    folder = RunFolder(args.out or fresh_folder(chosen))
    job, report = trained(folder, chosen, dataset, None)
    guess = nearest_class_mean(old, job.learn, job.score.images)
    report["without_learning"] = float(np.mean(guess == job.score.labels))
    report["source"] = _source(job, theirs, dataset if same else None)
    print(_table(report, job, theirs))
    return Outcome(report)


def _its_data(args: argparse.Namespace, theirs: Recipe, saved: Checkpoint) -> dict[str, Any]:
    """The data that the old network learned from, if no others are named; others take the form that it knows."""
    if args.folder:
        channels, height, width = saved.meta["shape"]
        return {"size": f"{height}x{width}", "channels": channels}
    if args.dataset:
        return {}
    return {name: getattr(theirs, name) for name in OF_DATA}


def _source(job: Job, theirs: Recipe, dataset: Dataset | None) -> dict[str, float] | None:
    """The accuracy on what the old network had learned, before and after: the old head on the new network's features.

    With images held out it is those of the old classes, if the old run has held out the same ones. None where there is
    nothing to measure it on.
    """
    held = {name: getattr(job.recipe, name) for name in ("hold_out", "seed")}
    apart = not job.recipe.hold_out or all(getattr(theirs, name) == value for name, value in held.items())
    if dataset is None or not apart or job.recipe.init not in FROM_START:
        return None
    old, _, _ = start.source(job.recipe.start)
    test = as_seen(dataclasses.replace(theirs, **held), dataset).test
    before = evaluate(old, test.images, test.labels).accuracy
    load_matching(old, without_head(job.model))
    return {"before": before, "after": evaluate(old, test.images, test.labels).accuracy}


def _table(report: dict[str, Any], job: Job, theirs: Recipe) -> str:
    """What is known of the old classes and of the new ones, before and after."""
    source = report["source"] or {"before": None, "after": None}
    rows = [
        ("before", _share(source["before"]), f"{_share(report['without_learning'])} *"),
        ("after", _share(source["after"]), f"{_share(report['accuracy'])}  "),
    ]
    old = f"{theirs.data_name} {theirs.classes or 'all'}"
    new = f"{job.recipe.data_name} {job.recipe.classes or 'all'}, {report['scored_on']}"
    return (
        f"\n{text.as_text(('', f'old task ({old})', f'new task ({new})'), rows, total=False)}\n"
        f"* without any learning: the class whose mean is nearest, of {len(job.learn):,} images\n\n"
        f"trained in {report['train_seconds']:.1f} s; the run is in {report['out']}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
