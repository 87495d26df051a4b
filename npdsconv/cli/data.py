"""``npdsconv data``: show, find or fetch the data sets, or look at one's own."""

import argparse

import numpy as np

from npdsconv import data, text
from npdsconv.cli import Outcome, settings
from npdsconv.cli.names import file_name
from npdsconv.cli.train import about
from npdsconv.runs import source
from npdsconv.runs.recipe import OWN, recipe

SETS = {
    "mnist5k": "4,000 digits to train and 1,000 to test, inside the package; its score is the mini test",
    "mnist": "60,000 and 10,000; from --data-dir, NPDSCONV_DATA_DIR, the cache, or fetched (11 MB)",
    "own": "pictures of your own, with --folder: a folder for each class; or .npz, IDX or CIFAR files",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", choices=data.NAMES, help="load this one, fetching it if need be")
    settings.add(parser, "folder", "size", "channels", "test_share", "test_seed", "skip_bad")
    parser.add_argument(
        "--data-dir", type=file_name, metavar="FOLDER", help="where MNIST's four IDX files are"
    )
    parser.add_argument(
        "--picture", type=file_name, metavar="FILE", help="save a picture of some of its images"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print what there is, or load one data set and print its sizes."""
    given = settings.given(args)
    if args.name is None and not given:
        for name, what in SETS.items():
            print(text.line((name, what), ("<7", "")))
        print("\nnpdsconv data NAME, or --folder PICTURES, loads one and counts its images")
        return Outcome({"sets": SETS})
    chosen = recipe(args.name or OWN, **given)
    dataset = source.load(chosen, args.data_dir)
    if chosen.dataset == OWN:
        print(about(dataset))
    rows, report = [], {"name": dataset.name, "shape": dataset.shape, "classes": dataset.classes}
    for half, split in (("train", dataset.train), ("test", dataset.test)):
        counts = np.bincount(split.labels, minlength=dataset.classes).tolist()
        rows.append((half, len(split), *counts))
        report[half] = counts
    print(text.as_text(("", "images", *dataset.names), rows, total=False))
    if args.picture:
        from npdsconv import plots

        plots.save(
            plots.digits(dataset.train.images, [dataset.names[k] for k in dataset.train.labels]), args.picture
        )
        print(f"picture: {args.picture}")
    return Outcome(report)
