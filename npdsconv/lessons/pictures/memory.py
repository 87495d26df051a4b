"""Pictures of matrices and of memory: coloured cells, 0/1 matrices, memory as a strip. Used by the notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from npdsconv.lessons.pictures.convolution import INK, PALE, SERIES, number
from npdsconv.plots import INPUT
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANNELS = (*SERIES[1:], "#9D755D")
"""A colour for each of four channels; none of them means input, window, kernel or output."""


def pixel_colours(size: tuple[int, int]) -> Array:
    """One colour for each pixel of an image: (H, W, 3), a hue for each row, paler to the left.

    >>> pixel_colours((2, 3)).shape
    (2, 3, 3)
    """
    from matplotlib.colors import to_rgb

    height, width = size
    names = (INPUT, *SERIES[1:])  # not the orange of windows, which are framed on top
    hues = np.array([to_rgb(names[row % len(names)]) for row in range(height)])
    strength = np.linspace(0.25, 1, width)[:, None]
    return hues[:, None] * strength + (1 - strength)


def coloured(
    ax: Axes,
    values: Array,
    colours: Array,
    name: str,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> None:
    """Draw a matrix as numbered cells, each in a colour of its own.

    Parameters
    ----------
    ax : axes to draw on; its frame is switched off
    values : (rows, columns)
    colours : (rows, columns, 3), red, green and blue from 0 to 1
    name : what it is called; its shape is written beside it
    rows, columns : labels for each row (to its left) and for each column (below it)
    """
    ax.imshow(colours)
    for r, c in np.ndindex(*values.shape):
        ink = "white" if colours[r, c] @ (0.3, 0.6, 0.1) < 0.5 else INK
        ax.text(c, r, number(values[r, c]), ha="center", va="center", fontsize=10, color=ink)
    _grid(ax, values.shape, "white")
    ax.set(
        xlim=(-0.56, values.shape[1] - 0.44), ylim=(len(values) - 0.44, -0.56)
    )  # room for frames at the edge
    ax.set_title(f"{name}  {values.shape}", fontsize=10, color=INK)
    _labels(ax, rows, columns)


def zeros_and_ones(ax: Axes, matrix: Array, name: str, colours: Array, *, every: int = 1) -> None:
    """Draw a matrix that is mostly zero: empty cells for zeros, coloured cells for the others.

    A number is written where it is not 1.

    Parameters
    ----------
    matrix : (rows, columns)
    colours : (rows, columns, 3), used where the matrix is not zero
    every : a stronger line after so many rows
    """
    ax.imshow(np.where(matrix[..., None] != 0, colours, 1.0))
    for r, c in zip(*np.nonzero(matrix * (matrix != 1)), strict=True):
        ax.text(c, r, number(matrix[r, c]), ha="center", va="center", fontsize=9, color=INK)
    _grid(ax, matrix.shape, "0.88")
    for r in range(0, len(matrix) + 1, every if every > 1 else len(matrix)):
        ax.axhline(r - 0.5, color=PALE, linewidth=1)
    ax.set_title(f"{name}  {matrix.shape}", fontsize=10, color=INK)
    _labels(ax, (), ())


def strip(
    ax: Axes, colours: Sequence[str], labels: Sequence[str], name: str, strong: Sequence[int] = ()
) -> None:
    """Draw memory as a strip of cells in the order of their addresses.

    Parameters
    ----------
    colours, labels : one for each cell; the address is written below it
    name : written above the strip
    strong : addresses that are read, drawn in full colour and framed; if there are none, all are drawn so
    """
    from matplotlib.patches import Rectangle

    chosen = set(strong) or set(range(len(colours)))
    step = 1 if len(colours) <= 30 else 10
    for address, (colour, label) in enumerate(zip(colours, labels, strict=True)):
        alpha = 0.9 if address in chosen else 0.22
        ax.add_patch(Rectangle((address, 0), 1, 1, facecolor=colour, alpha=alpha, edgecolor="white"))
        if address in strong:
            ax.add_patch(Rectangle((address, 0), 1, 1, fill=False, edgecolor=INK, linewidth=1.5))
        ax.text(address + 0.5, 0.5, label, ha="center", va="center", fontsize=9, color=INK)
        if address % step == 0:
            ax.text(address + 0.5, -0.12, str(address), ha="center", va="top", fontsize=7, color="0.45")
    ax.set(xlim=(0, len(colours)), ylim=(-0.5, 1.05))
    ax.set_title(name, fontsize=10, color=INK, loc="left")
    ax.axis("off")


def _grid(ax: Axes, shape: tuple[int, ...], colour: str) -> None:
    ax.set_xticks(np.arange(shape[1] + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(shape[0] + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=colour, linewidth=1)
    ax.set_axisbelow(True)


def _labels(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    ax.set_xticks(range(len(columns)), columns, fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.tick_params(which="both", length=0)
    for side in ax.spines.values():
        side.set_visible(False)
