"""Which trained network: `evaluate` and `predict` take a run in the same way."""

import argparse
from pathlib import Path

from npdsconv.runs.folder import latest_folder

HELP = "run folder or checkpoint; RUN and --run RUN mean the same (default: the latest run)"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare RUN and --run RUN."""
    parser.add_argument("place", nargs="?", metavar="RUN", help=HELP)
    parser.add_argument("--run", metavar="RUN", help="the same as RUN")


def chosen(command: str, place: str | None, option: str | None) -> Path:
    """The run that was named in one of the two ways, or else the latest with an epoch behind it.

    Raises
    ------
    ValueError
        Two different ones are named.
    FileNotFoundError
        None is named, and there is none.
    """
    if place and option and place != option:
        raise ValueError(f"{command}: one run at a time, got {place} and --run {option}")
    named = place or option
    return Path(named) if named else latest_folder(trained=True)
