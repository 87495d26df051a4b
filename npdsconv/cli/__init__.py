"""The command line: ``npdsconv COMMAND``. Each command has a module of its own with `add` and `run`.

`run` prints for people and returns an `Outcome` for machines. None of the modules imports Numba or pyplot before it
runs, so that ``--help`` stays quick.
"""

import argparse
import importlib
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any, NamedTuple, NoReturn

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

FAILED, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141  # the last two as shells count signals


class Outcome(NamedTuple):
    """What a command has found, which ``--json`` prints, and its exit code."""

    report: dict[str, Any]
    code: int = 0


class _Parser(argparse.ArgumentParser):
    """A mistake in the arguments is an error like any other: one line."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        raise ValueError(f"{command and f'{command}: '}{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0, or 1 (a check failed), 2 (bad input), 130 (interrupted), 141 (whoever read the output has gone).
    """
    try:
        try:
            return _main(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python flushes at its end
        return PIPE_CLOSED


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        args = parser.parse_args(argv)
        if args.command is None:
            parser.print_help()
            return 0
        with redirect_stdout(sys.stderr) if args.json else nullcontext():
            outcome = _module(args.command).run(args)
        if args.json:
            print(json.dumps(_plain(outcome.report), allow_nan=False), flush=True)
        return outcome.code
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"npdsconv: error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("npdsconv: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="npdsconv",
        description="Depthwise separable convolution in NumPy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Versions, nargs=0, help="show versions and machine, and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        _module(name).add(command)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object, and all else on standard error"
        )
    return parser


class _Versions(argparse.Action):
    """Asks when it is called: argparse's own action would need the text, and so Numba, for every command."""

    def __call__(self, parser, *_):  # type: ignore[no-untyped-def]
        show_versions()
        parser.exit()


def _module(command: str) -> Any:
    return importlib.import_module(f"npdsconv.cli.{command}")


def _plain(value: Any) -> Any:
    """As JSON can hold it, which knows neither infinity nor NaN: null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
