"""Which trained network: `evaluate` and `predict` take a run in the same way."""

import argparse
from pathlib import Path

from npdsconv.cli.names import file_name
from npdsconv.runs.folder import latest_folder

HELP = "run folder or checkpoint; RUN and --run RUN mean the same (default: {})"


def add(parser: argparse.ArgumentParser, default: str = "the latest run") -> None:
    """Declare RUN and --run RUN; `default` says what is taken where neither is given."""
    parser.add_argument("place", type=file_name, nargs="?", metavar="RUN", help=HELP.format(default))
    parser.add_argument("--run", type=file_name, metavar="RUN", help="the same as RUN")


def chosen(command: str, place: str | None, option: str | None) -> Path:
    """The run that was named in one of the two ways, or else the latest with an epoch behind it.

    Raises
    ------
    ValueError
        Two different ones are named.
    FileNotFoundError
        None is named, and there is none.
    """
    return named(command, place, option) or latest_folder(trained=True)


def named(command: str, place: str | None, option: str | None) -> Path | None:
    """The run that was named in one of the two ways; None if none was.

    Raises
    ------
    ValueError
        Two different ones are named.
    """
    if place and option and place != option:
        raise ValueError(f"{command}: one run at a time, got {place} and --run {option}")
    path = place or option
    return Path(path) if path else None
