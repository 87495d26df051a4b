"""Small programs for a second Python beside this one: ``python -m npdsconv.runs.processes.NAME ARGUMENT``."""

import os
import sys
import threading
from pathlib import Path

__all__ = ["command", "end_with_parent", "environment"]


UNTIL_INPUT_ENDS = "--until-input-ends"


def command(name: str, argument: str, *, with_parent: bool = False) -> list[str]:
    """The command that runs one of the programs of this folder.

    Parameters
    ----------
    with_parent : whether it ends when the pipe that is its standard input is closed. The system closes it when the
        process at the other end is no more, however that came.
    """
    return [
        sys.executable,
        "-m",
        f"{__name__}.{name}",
        argument,
        *([UNTIL_INPUT_ENDS] if with_parent else []),
    ]


def environment() -> dict[str, str]:
    """The environment of this process, in which the second Python finds the very package that runs here."""
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def end_with_parent() -> None:
    """For these programs: end when the parent ends, if it asked for that."""

    def wait() -> None:
        sys.stdin.buffer.read()  # nobody writes to it
        os._exit(1)

    if UNTIL_INPUT_ENDS in sys.argv:
        threading.Thread(target=wait, daemon=True).start()
