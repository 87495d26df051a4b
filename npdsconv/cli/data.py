"""``npdsconv data``: show, find or fetch the data sets."""

import argparse

import numpy as np

from npdsconv import data


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", choices=data.NAMES, help="load this one, fetching it if need be")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where MNIST's four IDX files are")
    parser.add_argument("--picture", metavar="FILE", help="save a picture of some of its images")


def run(args: argparse.Namespace) -> int:
    """Print what there is, or load one data set and print its sizes."""
    if args.name is None:
        print(
            "mnist5k   4,000 digits to train and 1,000 to test, inside the package; its score is the mini test"
        )
        print("mnist    60,000 and 10,000; from --data-dir, NPDSCONV_DATA_DIR, the cache, or fetched (11 MB)")
        print("\nnpdsconv data NAME loads one and counts its images")
        return 0
    dataset = data.load(args.name, args.data_dir)
    print(f"{'':6} {'images':>7}", *(f"{k:>6d}" for k in range(10)))
    for label, split in (("train", dataset.train), ("test", dataset.test)):
        print(f"{label:6} {len(split):7,}", *(f"{n:6,}" for n in np.bincount(split.labels, minlength=10)))
    if args.picture:
        from npdsconv import plots

        plots.save(plots.digits(dataset.train.images, dataset.train.labels), args.picture)
        print(f"picture: {args.picture}")
    return 0
