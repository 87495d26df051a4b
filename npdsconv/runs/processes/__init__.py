"""Small programs for a second Python beside this one: ``python -m npdsconv.runs.processes.NAME ARGUMENT``."""

import os
import sys
import threading
from pathlib import Path

__all__ = ["command", "end_with_parent", "environment"]


WITH_PARENT = "NPDSCONV_ENDS_WITH_PARENT"  # in the environment of a program that does


def command(name: str, argument: str) -> list[str]:
    """The command that runs one of the programs of this folder."""
    return [sys.executable, "-m", f"{__name__}.{name}", argument]


def environment(*, with_parent: bool = False) -> dict[str, str]:
    """The environment of this process, in which the second Python finds the very package that runs here.

    Parameters
    ----------
    with_parent : whether the program ends when the pipe that is its standard input is closed. The system closes it when
        the process at the other end is no more, however that came.
    """
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | ({WITH_PARENT: "1"} if with_parent else {})


def end_with_parent() -> None:
    """For these programs: end when the parent ends, if it asked for that."""

    def wait() -> None:
        sys.stdin.buffer.read()  # nobody writes to it
        os._exit(1)

    if WITH_PARENT in os.environ:
        threading.Thread(target=wait, daemon=True).start()
