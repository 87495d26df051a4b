"""``npdsconv bench``: how fast, here and beside other libraries."""

import argparse
from typing import Any

from npdsconv.cli import print_json

WHAT = {
    "ops": "one op at a time",
    "train": "a training step of whole networks, and its peak memory",
    "inference": "trained networks on one image and on many",
}
KINDS = {"ops": "op", "train": "train", "inference": "inference"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=(*WHAT, "all"),
        default="all",
        help="; ".join(f"{k}: {v}" for k, v in WHAT.items()),
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        choices=("torch", "onnxruntime"),
        help="other libraries to measure in turns with this one; onnxruntime for inference",
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        metavar="N",
        help="one or more numbers of threads (default: all cores)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=4.0,
        metavar="X",
        help="time for each row, all libraries together (default 4)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    parser.add_argument(
        "--impl", nargs="+", choices=("numba", "im2col"), default=["numba"], help="tiers (default numba)"
    )
    parser.add_argument("--epoch", action="store_true", help="train: also a whole epoch of 60,000 images")
    parser.add_argument("--out", metavar="FOLDER", help="write the results and figures there")
    parser.add_argument(
        "--json", action="store_true", help="print the results as one JSON object, as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print a table row by row, write what was asked for."""
    from npdsconv.bench import running

    chosen = list(WHAT) if args.what == "all" else [args.what]
    report: dict[str, Any] = running.run(
        chosen,
        against=args.against,
        threads=args.threads,
        seconds=args.seconds,
        only=args.only,
        impls=args.impl,
        epoch=args.epoch,
    )
    if args.out:
        for path in running.write(report, args.out):
            print(f"written: {path}")
    if args.json:
        print_json(report)
    return 0
