"""Small programs for a second Python beside this one: ``python -m npdsconv.runs.processes.NAME ARGUMENT``."""

import os
import sys
import threading
from pathlib import Path

__all__ = ["command", "end_with_input", "environment"]


def command(name: str, argument: str) -> list[str]:
    """The command that runs one of the programs of this folder."""
    return [sys.executable, "-m", f"{__name__}.{name}", argument]


def environment() -> dict[str, str]:
    """The environment of this process, in which the second Python finds the very package that runs here."""
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def end_with_input() -> None:
    """For a program that is not to outlive its parent: end when the pipe that is standard input is closed.

    The system closes it when the parent ends, however that happens; nobody writes to it.
    """

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
