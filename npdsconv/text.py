"""Plain tables, as text and as HTML: words to the left, numbers to the right; and lists of names in messages."""

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


def line(cells: Iterable[Cell], columns: Sequence[str]) -> str:
    """One line of a table that is printed row by row; `as_text` knows all rows, and finds the columns itself.

    Parameters
    ----------
    cells : one for each column
    columns : side and width of each, as in format strings: ``"<12"`` for words, ``">7"`` for numbers

    >>> line(("mnist", 60000, 0.5, None), ("<8", ">7", ">6", ">4"))
    'mnist      60,000   0.500     -'
    """
    return "  ".join(format(show(cell), column) for cell, column in zip(cells, columns, strict=True)).rstrip()


def few(names: Sequence[str]) -> str:
    """Names for a message: the first three, and how many there are besides.

    >>> few(["stem", "head"]), few([])
    ("'stem', 'head'", 'nothing')
    """
    return (
        str(list(names[:3]))[1:-1] + f" and {len(names) - 3} more" * (len(names) > 3) if names else "nothing"
    )


def as_text(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, total: bool = True) -> str:
    """The table in fixed width; with `total`, a rule sets the last row apart.

    >>> print(as_text(("digit", "images"), [("one", 7), ("two", 12)], total=False))
    digit  images
    -------------
    one         7
    two        12
    """
    rows = list(rows)
    lines = [list(header), *([show(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    columns = [f"{'<' if left else '>'}{width}" for left, width in zip(_words(rows), widths, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    head, *body = [line(cells, columns) for cells in lines]
    return "\n".join([head, rule, *body[:-1], *([rule] if total else []), *body[-1:]])


def one_line(message: object) -> str:
    """A message as one line that a terminal cannot take for a command: other characters than printable ones as code.

    >>> print(one_line("no file a\\nb\\x1b[2J"))
    no file a b\\x1b[2J
    """
    words = " ".join(str(message).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words)


def reason(error: Exception) -> str:
    """What another library's error says, on one line that ends somewhere; its type where it says nothing.

    >>> reason(ValueError("bad\\nmagic")), reason(KeyError())
    ('bad magic', 'KeyError')
    """
    return one_line(str(error)[:300]) or type(error).__name__


def as_html(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The same table for a notebook; the last row is a total."""
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
