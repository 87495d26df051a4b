"""Ctrl-C and requests to end, for programs: exit code 130 or 143, one line, no traceback, nothing left half done.

While a command works they are raised as an exception, so that files are swept and second processes ended on the way
out. Before that, while the package is being imported, and after it, nothing has to be cleared away: then the process
ends on the spot. A signal that is ignored stays so: that is how ``nohup`` and a shell's ``&`` ask for it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Ended", "code", "in_commands_at_once", "raised", "said"]

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated: the terminal has gone"}
_SIGNALS = [getattr(signal, name) for name in _WORDS if hasattr(signal, name)]


class Ended(KeyboardInterrupt):
    """The process was asked to end. As with Ctrl-C, which it is a kind of, no ``except Exception`` stops it."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


_came: list[int] = []  # since `raised` began


def in_commands_at_once() -> None:
    """In our own commands, not in programs that import the package: from now on signals end the process on the spot.

    While Python looks for the module that ``python -m`` names, and so imports the package around it, it writes "-m" in
    place of the name of the program.
    """
    program = os.path.basename((getattr(sys, "argv", None) or [""])[0])
    if program in ("-m", "npdsconv"):
        _handle(_leave)


@contextmanager
def raised() -> Iterator[None]:
    """Within, these signals raise `Ended`; afterwards all is as before.

    Where an exception cannot be passed on, as in a finaliser or in what C calls back, Python would print it and go on:
    then it is raised anew. And where a library makes another exception of it, the first one is what counts.
    """
    before, hook = _handle(_raise), sys.unraisablehook

    def again(lost: Any) -> None:
        if isinstance(lost.exc_value, Ended):
            threading.Timer(
                0.01, os.kill, (os.getpid(), lost.exc_value.number)
            ).start()  # not here, where it is lost
        else:
            hook(lost)

    sys.unraisablehook = again
    _came.clear()
    try:
        yield
    except Exception:
        if _came:
            raise Ended(_came[0]) from None
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def code(error: KeyboardInterrupt) -> int:
    """The exit code, as shells count signals: 130 for Ctrl-C, 143 for a request to end."""
    return 128 + int(getattr(error, "number", signal.SIGINT))


def said(error: KeyboardInterrupt) -> str:
    """What to tell the user: one line."""
    return _line(getattr(error, "number", signal.SIGINT))


def _line(number: int) -> str:
    return f"npdsconv: {_WORDS[signal.Signals(number).name]}"


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Any]:
    """Set it for every signal that is not ignored; the handlers before. Only the main thread can."""
    before: dict[signal.Signals, Any] = {}
    for number in _SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # in another thread
                break
    return before


def _leave(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, f"{_line(number)}\n".encode())
    finally:
        os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    raise Ended(number)
