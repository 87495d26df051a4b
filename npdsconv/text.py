"""Plain tables, as text and as HTML: words to the left, numbers to the right, the last row a total."""

import html
from collections.abc import Iterable, Sequence

Cell = str | int | float | None


def show(value: Cell) -> str:
    """A cell as text: whole numbers in groups of three digits, ratios with three decimals, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else value


def as_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The table in fixed width."""
    rows = list(rows)
    lines = [list(header), *([show(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = _words(rows)
    aligned = [
        "  ".join(
            cell.ljust(width) if at_left else cell.rjust(width)
            for cell, width, at_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([aligned[0], rule, *aligned[1:-1], rule, aligned[-1]])


def as_html(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The same table for a notebook."""
    rows = list(rows)
    sides = ["left" if at_left else "right" for at_left in _words(rows)]

    def line(tag: str, cells: Iterable[str]) -> str:
        return (
            "<tr>"
            + "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )
            + "</tr>"
        )

    body = [line("td", map(show, row)) for row in rows[:-1]]
    total = [line("th", map(show, row)) for row in rows[-1:]]
    return "\n".join(["<table>", line("th", header), *body, *total, "</table>"])


def _words(rows: list[Sequence[Cell]]) -> list[bool]:
    """For each column: whether every cell is text."""
    return [all(isinstance(cell, str) for cell in column) for column in zip(*rows, strict=True)]
