"""``npdsconv evaluate``: measure a trained network."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from npdsconv import data, metrics, text, train
from npdsconv.checkpoint import Checkpoint
from npdsconv.cli import Outcome, which_run
from npdsconv.cli.names import file_name
from npdsconv.data import Dataset
from npdsconv.runs import load_model, source
from npdsconv.runs.job import chosen_classes, score_name
from npdsconv.runs.recipe import Recipe, recipe

_MOST = 20  # classes of which the whole confusion matrix is shown

AVERAGES: tuple[Literal["macro", "micro"], ...] = ("macro", "micro")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which_run.add(parser)
    parser.add_argument("--dataset", choices=data.NAMES, help="default: the one it was trained on")
    parser.add_argument(
        "--folder", type=file_name, metavar="PICTURES", help="where those that it was trained on are now"
    )
    parser.add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print accuracy, precision, recall and F1 of each class, and the confusion matrix."""
    path = which_run.chosen("evaluate", args.place, args.run)
    model, trained_by, saved = load_model(path)
    dataset = _data(args, trained_by, saved)
    test, names = dataset.test, dataset.names
    result = train.evaluate(model, test.images, test.labels)
    label = score_name(args.dataset or trained_by.dataset)
    print(f"{path}: epoch {saved.meta['epoch']} of {trained_by.epochs}, {label}, {len(test):,} images")
    print(f"accuracy {result.accuracy:.2%}   loss {result.loss:.4f}\n")
    print(metrics.report(test.labels, result.predictions, names))
    print(f"\n{_confusion(result.confusion, names)}")
    return Outcome(
        {
            "scored_on": label,
            "accuracy": result.accuracy,
            "loss": result.loss,
            **{
                f"{measure.__name__}_{average}": measure(
                    test.labels, result.predictions, average=average, classes=len(names)
                )
                for measure in (metrics.precision, metrics.recall, metrics.f1)
                for average in AVERAGES
            },
            "confusion": result.confusion.tolist(),
            "names": list(names),
            "epoch": saved.meta["epoch"],
            "run": str(path),
        }
    )


def _data(args: argparse.Namespace, trained_by: Recipe, saved: Checkpoint) -> Dataset:
    """What to measure on: the data of the run, or the set that was named, if the network can take it."""
    name = args.dataset or trained_by.dataset
    if name == "mnist5k" and trained_by.dataset == "mnist":
        raise ValueError(
            "evaluate: the test images of mnist5k are among the training images of mnist, on which this model was "
            "trained: the score would mean nothing"
        )
    if args.folder:
        trained_by = dataclasses.replace(trained_by, folder=recipe(folder=args.folder).folder)
    if name == trained_by.dataset:
        dataset = source.load(trained_by, args.data_dir, saved)
    else:
        dataset = data.load(name, args.data_dir)
    dataset = chosen_classes(trained_by, dataset)
    shape, classes = tuple(saved.meta["shape"]), saved.meta["classes"]
    if (dataset.shape, dataset.classes) != (shape, classes):
        raise ValueError(
            f"evaluate: the network takes images of {shape} in {classes} classes; those of {dataset.name} are "
            f"{dataset.shape} in {dataset.classes}"
        )
    return dataset


def _confusion(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The whole matrix, or of a large one the entries that are the most errors."""
    if len(names) <= _MOST:
        rows = [(name, *row) for name, row in zip(names, matrix.tolist(), strict=True)]
        return (
            f"confusion (rows: truth, columns: prediction)\n{text.as_text(('', *names), rows, total=False)}"
        )
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    worst = np.argsort(-errors, axis=None, kind="stable")[:_MOST]
    pairs = [np.unravel_index(place, errors.shape) for place in worst if errors.flat[place]]
    rows = [(names[i], names[j], int(errors[i, j])) for i, j in pairs]
    return f"most frequent errors\n{text.as_text(('truth', 'prediction', 'images'), rows, total=False)}"
