"""Pictures of training: curves over epochs, several runs beside each other.

Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (INPUT, OUTPUT, KERNEL, WINDOW, "0.55", "0.75")


def curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    across: str = "epoch",
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Lines over epochs 1, 2, ...: a panel for each entry, and in it a line for each run.

    Parameters
    ----------
    panels : title of a panel -> name of a line -> its values; a name has one colour in all panels
    across : label of the horizontal axis; the other one begins at 0
    levels : name -> height of a dotted line in every panel
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9 if len(panels) > 1 else 7, 3), layout="constrained")
    names = dict.fromkeys(name for lines in panels.values() for name in lines)
    colours = dict(zip(names, COLOURS * len(names), strict=False))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, values in lines.items():
            ax.plot(range(1, len(values) + 1), values, color=colours[name], label=name)
        for name, height in (levels or {}).items():
            ax.axhline(height, color="0.5", linestyle=":", label=name)
        ax.set_ylim(bottom=0)
        ax.set_xlabel(across)
        ax.set_title(title, fontsize=9)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False, fontsize=8)
    return figure
