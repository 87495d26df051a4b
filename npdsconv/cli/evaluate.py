"""``npdsconv evaluate``: measure a trained network."""

import argparse
from typing import Literal

from npdsconv import data, metrics, text, train
from npdsconv.cli import Outcome, which_run
from npdsconv.cli.names import file_name
from npdsconv.runs import load_model
from npdsconv.runs.job import chosen_classes, score_name
from npdsconv.runs.recipe import RECIPES

AVERAGES: tuple[Literal["macro", "micro"], ...] = ("macro", "micro")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which_run.add(parser)
    parser.add_argument("--dataset", choices=RECIPES, help="default: the one it was trained on")
    parser.add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print accuracy, precision, recall and F1 of each class, and the confusion matrix."""
    path = which_run.chosen("evaluate", args.place, args.run)
    model, recipe, saved = load_model(path)
    name = args.dataset or recipe.dataset
    if name == "mnist5k" and recipe.dataset == "mnist":
        raise ValueError(
            "evaluate: the test images of mnist5k are among the training images of mnist, on which this model was "
            "trained: the score would mean nothing"
        )
    chosen = chosen_classes(recipe, data.load(name, args.data_dir))
    test = chosen.test
    result = train.evaluate(model, test.images, test.labels)
    label = score_name(name)
    print(f"{path}: epoch {saved.meta['epoch']} of {recipe.epochs}, {label}, {len(test):,} images")
    print(f"accuracy {result.accuracy:.2%}   loss {result.loss:.4f}\n")
    print(metrics.report(test.labels, result.predictions))
    print("\nconfusion (rows: truth, columns: prediction)")
    names = chosen.names
    rows = [(k, *row) for k, row in zip(names, result.confusion.tolist(), strict=True)]
    print(text.as_text(("", *names), rows, total=False))
    return Outcome(
        {
            "scored_on": label,
            "accuracy": result.accuracy,
            "loss": result.loss,
            **{
                f"{measure.__name__}_{average}": measure(test.labels, result.predictions, average=average)
                for measure in (metrics.precision, metrics.recall, metrics.f1)
                for average in AVERAGES
            },
            "confusion": result.confusion.tolist(),
            "epoch": saved.meta["epoch"],
            "run": str(path),
        }
    )
