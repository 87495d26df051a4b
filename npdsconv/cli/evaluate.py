"""``npdsconv evaluate``: measure a trained network."""

import argparse
from typing import Literal

from npdsconv import data, metrics, train
from npdsconv.cli import print_json
from npdsconv.runs.folder import latest_folder, load_model
from npdsconv.runs.recipe import RECIPES

AVERAGES: tuple[Literal["macro", "micro"], ...] = ("macro", "micro")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="run folder or checkpoint (default: the latest run)"
    )
    parser.add_argument("--dataset", choices=RECIPES, help="default: the one it was trained on")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where MNIST's four IDX files are")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Print accuracy, precision, recall and F1 of each class, and the confusion matrix."""
    path = args.run or latest_folder()
    model, recipe, saved = load_model(path)
    name = args.dataset or recipe.dataset
    if name == "mnist5k" and recipe.dataset == "mnist":
        raise ValueError(
            "evaluate: the test images of mnist5k are among the training images of mnist, on which this model was "
            "trained: the score would mean nothing"
        )
    test = data.load(name, args.data_dir).test
    result = train.evaluate(model, test.images, test.labels)
    label = "mini test" if name == "mnist5k" else "test"
    print(f"{path}: epoch {saved.meta['epoch']} of {recipe.epochs}, {label}, {len(test):,} images")
    print(f"accuracy {result.accuracy:.2%}   loss {result.loss:.4f}\n")
    print(metrics.report(test.labels, result.predictions))
    print("\nconfusion (rows: truth, columns: prediction)")
    print("\n".join(" ".join(f"{n:5d}" for n in row) for row in result.confusion))
    if args.json:
        print_json(
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
    return 0
