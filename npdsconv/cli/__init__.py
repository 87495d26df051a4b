"""The command line: ``npdsconv COMMAND``. Each command has a module of its own with `add` and `run`.

None of them imports Numba, SciPy or pyplot before it runs, so that ``--help`` stays quick.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from npdsconv import show_versions

COMMANDS = {
    "train": "train a network on digits",
    "evaluate": "measure a trained network",
    "predict": "recognise digits in picture files",
    "gradcheck": "check every hand-written gradient",
    "complexity": "count parameters and multiply-adds of a model",
    "bench": "measure speed and memory, here and beside other libraries",
    "warmup": "compile everything now, so that nothing is compiled later",
    "data": "show, find or fetch the data sets",
}

EXAMPLES = """examples:
  npdsconv train                              learn 4,000 digits that come with the package, about a minute
  npdsconv train --dataset mnist              the full MNIST, ten epochs
  npdsconv evaluate                           measure the latest run
  npdsconv predict photo.png --save seen/     recognise a digit, and keep the 28x28 picture the network saw
  npdsconv gradcheck all                      one table over every op, layer and model
  npdsconv complexity separable_cnn           costs, beside those of the standard-convolution twin
  npdsconv bench train --against torch        a training step, in turns with PyTorch
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 (a check failed), 2 (bad input) or 130 (interrupted)."""
    parser = argparse.ArgumentParser(
        prog="npdsconv",
        description="Depthwise separable convolution in NumPy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Versions, nargs=0, help="show versions and machine, and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        _module(name).add(command)
    args = parser.parse_args(argv)
    try:
        return _module(args.command).run(args)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"npdsconv: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("npdsconv: interrupted", file=sys.stderr)
        return 130


class _Versions(argparse.Action):
    """Asks when it is called: argparse's own action would need the text, and so Numba, for every command."""

    def __call__(self, parser, *_):  # type: ignore[no-untyped-def]
        show_versions()
        parser.exit()


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"npdsconv.cli.{command}")


def print_json(values: dict) -> None:
    """One machine-readable object, on one line."""
    print(json.dumps(values), flush=True)
