"""Source code as a picture: functions side by side, with the lines that matter marked. Used by the notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import zip_longest
from textwrap import dedent

from npdsconv.plots import WINDOW

_BLOCK = "text-align:left;font-size:80%;line-height:1.35;background:none;white-space:pre-wrap;margin:0"


class SideBySide:
    """Columns of source code: a table in a notebook, plain text in a terminal.

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
        heads = "".join(f'<th style="text-align:left">{escape(title)}</th>' for title in self.columns)
        cells = "".join(
            f'<td style="vertical-align:top;text-align:left"><pre style="{_BLOCK}">{self._html_lines(code)}</pre>'
            "</td>"
            for code in self.columns.values()
        )
        table = (
            '<table style="table-layout:fixed;width:100%">'  # long lines wrap, and the columns stay beside
        )
        return f"{table}<tr>{heads}</tr><tr>{cells}</tr></table>"

    def __repr__(self) -> str:
        blocks = []
        for title, code in self.columns.items():
            lines = [title, "-" * len(title)]
            lines += [("> " if self._is_marked(line) else "  ") + line for line in code.split("\n")]
            width = max(map(len, lines))
            blocks.append([line.ljust(width) for line in lines])
        widths = [len(block[0]) for block in blocks]
        rows = (
            "   ".join(
                line if line is not None else " " * width for line, width in zip(row, widths, strict=True)
            )
            for row in zip_longest(*blocks)
        )
        return "\n".join(row.rstrip() for row in rows)
