"""Source code as a picture: functions side by side, with the lines that matter marked. Used by the notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from html import escape
from textwrap import dedent

from npdsconv.plots import WINDOW

_ROW = "display:flex;flex-wrap:wrap;gap:1em"
_COLUMN = "flex:1 1 40em;min-width:0;text-align:left"
_BLOCK = "font-size:80%;line-height:1.35;background:none;white-space:pre;overflow-x:auto;margin:0"


class SideBySide:
    """Columns of source code: side by side on a wide page, one below the other on a narrow one or in a terminal.

    Parameters
    ----------
    columns : title -> the functions of that column, compiled ones included; their source is read, not pasted
    marked : a line that contains one of these texts is set off, for instance where the multiplication happens

    Raises
    ------
    ValueError
        A text in `marked` that occurs nowhere: the code has changed, and what is said about it no longer holds.
    """

    def __init__(self, columns: Mapping[str, Sequence[Callable]], marked: Sequence[str] = ()) -> None:
        self.columns = {
            title: "\n\n".join(dedent(inspect.getsource(function)).rstrip() for function in functions)
            for title, functions in columns.items()
        }
        self.marked = tuple(marked)
        whole = "\n".join(self.columns.values())
        for text in self.marked:
            if text not in whole:
                raise ValueError(f"SideBySide: no line contains {text!r}")

    def _is_marked(self, line: str) -> bool:
        return any(text in line for text in self.marked)

    def _html_lines(self, code: str) -> str:
        on = f'<b style="background:{WINDOW}55">'
        return "\n".join(
            f"{on}{escape(line)}</b>" if self._is_marked(line) else escape(line) for line in code.split("\n")
        )

    def _repr_html_(self) -> str:
        columns = "".join(
            f'<div style="{_COLUMN}"><b>{escape(title)}</b><pre style="{_BLOCK}">{self._html_lines(code)}</pre></div>'
            for title, code in self.columns.items()
        )
        return f'<div style="{_ROW}">{columns}</div>'

    def __repr__(self) -> str:
        return "\n\n".join(
            "\n".join(
                [title, "-" * len(title)]
                + [("> " if self._is_marked(line) else "  ") + line for line in code.split("\n")]
            )
            for title, code in self.columns.items()
        )
