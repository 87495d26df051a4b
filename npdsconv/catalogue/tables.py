"""The tables of ops in the pages, written from their rows.

``python -m npdsconv.catalogue.tables README.md docs/shapes.md`` writes each table between its two marks in these files.
A test compares, so that a table that is out of date is noticed.
"""

import re
import sys
from pathlib import Path

from npdsconv.catalogue.of_ops import OPS
from npdsconv.catalogue.rows import OpRow


def tiers() -> str:
    """Every op with what it can do, and its implementations."""
    rows = (f"| `{row.name}`{row.about and f': {row.about}'} | {_implementations(row)} |" for row in OPS)
    return "\n".join(["| op, each with its `..._backward` | tiers |", "|---|---|", *rows])


def _implementations(row: OpRow) -> str:
    """The names of the tiers; "numpy" for two that are one."""
    if row.impls is None:
        return "NumPy"
    names = list(row.impls)
    if row.impls["naive"] is row.impls["im2col"]:
        names[:2] = ["numpy"]
    return ", ".join(f"`{name}`" for name in names)


def shapes() -> str:
    """Every op with the shapes that it takes and gives, and a link to its file."""
    rows = (f"| [`{row.name}`](../{_file(row)}) | {row.takes} | {row.gives} |" for row in OPS)
    return "\n".join(["| op | takes | gives |", "|---|---|---|", *rows])


def _file(row: OpRow) -> str:
    return row.forward.__module__.replace(".", "/") + ".py"


TABLES = {"tiers": tiers, "shapes": shapes}
MARKED = re.compile(
    r"(<!-- table (\w+): written by python -m npdsconv\.catalogue\.tables -->\n\n).*?"
    r"(\n\n<!-- end of table \2 -->)",
    re.DOTALL,
)


def written(text: str) -> str:
    """The text with each marked table written anew.

    Raises
    ------
    ValueError
        No table is marked.
    """
    if not MARKED.search(text):
        raise ValueError("tables: no table stands between the marks of this program")
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main(names: list[str]) -> None:
    """Write the tables of these files."""
    for path in map(Path, names):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
