"""The history of a run: one row an epoch, as ``metrics.csv`` has it and as a checkpoint keeps it.

A table that was torn, by a kill or by an editor, gives its whole rows and nothing else.
"""

import math
from collections.abc import Iterable
from typing import Any

from npdsconv.train import EpochResult

COLUMNS = (
    "epoch",
    "steps",
    "train_loss",
    "train_accuracy",
    "lr",
    "seconds",
    "held_out_loss",
    "held_out_accuracy",
)
_WHOLE, _ALWAYS = 2, 6  # columns that are whole numbers, and that are never empty

Row = list[str]


def row(result: EpochResult) -> Row:
    """What is kept of an epoch, as text."""
    held = result.validation
    values = (*result[:6], *((held.loss, held.accuracy) if held else ("", "")))
    return [f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]


def column(rows: Iterable[Row], name: str) -> list[float]:
    """A quantity, such as "held_out_loss", of every epoch in which it was measured."""
    written = [cells[COLUMNS.index(name)] for cells in rows]
    return [float(cell) for cell in written if cell]


def as_csv(rows: Iterable[Row]) -> str:
    return "".join(",".join(cells) + "\n" for cells in (COLUMNS, *rows))


def from_csv(text: str) -> list[Row]:
    """The rows of epochs 1, 2, 3 … up to the first that is missing or not whole."""
    whole = text[: text.rfind("\n") + 1]  # a last line without its end may be cut in the middle of a number
    head, *rows = [line.split(",") for line in whole.split("\n")[:-1]] or [[]]
    return _leading(rows) if tuple(head) == COLUMNS else []


def kept(rows: Any, epoch: int) -> list[Row] | None:
    """What a checkpoint keeps under the name "rows", if it is the history of so many epochs, and None if it is not."""
    whole = _leading(rows) if isinstance(rows, list) else []
    return whole if isinstance(rows, list) and len(whole) == len(rows) == epoch else None


def _leading(rows: list[Any]) -> list[Row]:
    n = next((k for k, cells in enumerate(rows) if not _is_row(cells, k + 1)), len(rows))
    return rows[:n]


def _is_row(cells: Any, epoch: int) -> bool:
    if not (isinstance(cells, list) and len(cells) == len(COLUMNS)):
        return False
    if not all(isinstance(cell, str) and len(cell) < 40 for cell in cells):
        return False
    numbers = [cell for k, cell in enumerate(cells) if cell or k < _ALWAYS]
    try:
        whole = [int(cell) for cell in numbers[:_WHOLE]]
        return whole[0] == epoch and not any(math.isnan(float(cell)) for cell in numbers)
    except ValueError:
        return False
