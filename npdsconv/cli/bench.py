"""``npdsconv bench``: how fast, here and beside other libraries."""

import argparse

from npdsconv.cli import Outcome
from npdsconv.cli.names import file_name
from npdsconv.ops._tiers import TIERS

WHAT = {
    "ops": "one op at a time",
    "train": "a training step of whole networks, Adam included, and its peak memory",
    "inference": "trained networks on one image and on many",
    "roofline": "what each op attains beside this machine's ceilings, which are measured too",
    "scaling": "time against channels, resolution, batch and kernel size, standard against separable",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "what is measured:\n" + "\n".join(f"  {name:10} {text}" for name, text in WHAT.items())
    parser.add_argument(
        "what", nargs="?", choices=(*WHAT, "all"), default="all", help="default: all, one by one"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        choices=("torch", "onnxruntime"),
        help="libraries to take turns with (ops, train, inference; onnxruntime: inference only)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        metavar="N",
        help="one number of threads or several in turn (default: all cores)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="X",
        help="time for each row, all libraries together (default 2)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    parser.add_argument(
        "--impl",
        nargs="+",
        choices=(*TIERS, "composed"),
        default=["numba"],
        help="tiers; the first is compared with the others, so 'loops numba im2col' shows what each step of the ladder "
        "brings; composed: numba, but separable blocks step by step (default numba)",
    )
    parser.add_argument(
        "--malloc",
        choices=("kept", "default"),
        default="kept",
        help="whether freed memory is kept for the next call, in all processes, as npdsconv train does (default kept)",
    )
    parser.add_argument("--epoch", action="store_true", help="train: also a whole epoch of 60,000 images")
    parser.add_argument(
        "--out", type=file_name, metavar="FOLDER", help="write bench.json and the figures there"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Measure, print a table row by row, write what was asked for."""
    from npdsconv.bench import running

    command = running.Run(
        against=args.against,
        threads=args.threads,
        seconds=args.seconds,
        only=args.only,
        impls=args.impl,
        epoch=args.epoch,
        keep=args.malloc == "kept",
    )
    report = command.run(list(WHAT) if args.what == "all" else [args.what])
    if args.out:
        for path in running.write(report, args.out):
            print(f"written: {path}")
    return Outcome(report)
