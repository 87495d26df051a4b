"""The command line: ``npdsconv COMMAND``. Each command has a module of its own with `add` and `run`.

`run` prints for people and returns an `Outcome` for machines. None of the modules imports Numba or pyplot before it
runs, so that ``--help`` stays quick.
"""

import argparse
import errno
import importlib
import io
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from typing import Any, NamedTuple, NoReturn

from npdsconv import show_versions, signals, text
from npdsconv.shapes import did_you_mean

COMMANDS = {
    "train": "train a network on digits, or on pictures of your own",
    "finetune": "go on from a trained network, for other classes",
    "evaluate": "measure a trained network",
    "challenge": "check an entry: few parameters, full MNIST, five seeds",
    "predict": "recognise digits, or what was learned, in picture files",
    "gradcheck": "check every hand-written gradient",
    "complexity": "count parameters and multiply-adds of a model",
    "bench": "measure speed and memory, here and beside other libraries",
    "warmup": "compile everything now, so that nothing is compiled later",
    "data": "show, find or fetch the data sets, or look at your own",
}

EXAMPLES = """examples:
  npdsconv train                              learn 4,000 digits that come with the package, about a minute
  npdsconv train --dataset mnist              the full MNIST, ten epochs
  npdsconv train --folder PICTURES            your own pictures, a folder of them for each class
  npdsconv evaluate                           measure the latest run
  npdsconv predict photo.png --save seen/     recognise a digit, and keep the 28x28 picture the network saw
  npdsconv gradcheck all                      one table over every op, layer and model
  npdsconv complexity separable_cnn           costs, beside those of the standard-convolution twin
  npdsconv bench train --against torch        a training step, in turns with PyTorch
"""

FAILED, BAD_INPUT, PIPE_CLOSED = 1, 2, 141  # the last as shells count signals


class Outcome(NamedTuple):
    """What a command has found, which ``--json`` prints, and its exit code."""

    report: dict[str, Any]
    code: int = 0


class _Parser(argparse.ArgumentParser):
    """A mistake in the arguments is an error like any other: one line."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        raise ValueError(f"{command and f'{command}: '}{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's own check of a choice, and the names that look like what was given."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            words = f"invalid choice: {value!r}"
            near = did_you_mean(value, map(str, action.choices or ()))
            error.message = error.message.replace(words, f"{words}{near}", 1)
            raise


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0, or 1 (a check failed), 2 (bad input), 130 or 143 (interrupted, asked to end), 141 (whoever read the output has
    gone).
    """
    _never_fail(sys.stdout, sys.stderr)
    try:
        with signals.raised():
            try:
                return _main(argv)
            finally:
                if sys.stdout:
                    sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except MemoryError as error:
        return _failed(f"too little memory: {error}" if str(error) else "too little memory")
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # perhaps it was the output
            _discard_output()
        return _failed(error)
    except KeyboardInterrupt as interruption:
        print(signals.said(interruption), file=sys.stderr)
        return signals.code(interruption)


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if rest:
        near = did_you_mean(rest[0].partition("=")[0], _options(parser, args))
        parser.error(f"unrecognized arguments: {' '.join(rest)}{near}")
    if args.command is None:
        parser.print_help()
        return 0
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        outcome = _module(args.command).run(args)
    if args.json:
        print(json.dumps(_plain(outcome.report), allow_nan=False), flush=True)
    return outcome.code


def _failed(error: object) -> int:
    if (
        isinstance(error, OSError) and error.errno is not None and error.strerror
    ):  # the system's own, with its number
        error = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"npdsconv: error: {text.one_line(error)}", file=sys.stderr)
    return BAD_INPUT


def _never_fail(*streams: Any) -> None:
    """A terminal that has no sign for a character shows a question mark in its place: the one place that sees to it."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Send what Python flushes at its end nowhere."""
    with suppress(OSError, ValueError, AttributeError):  # it is no file of the system, or there is none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """The options of the command that was given, or those before it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and args.command:
            parser = action.choices[args.command]
            break
    return [name for action in parser._actions for name in action.option_strings]


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
