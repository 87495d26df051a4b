"""Pictures of kernels that are products: factors and their product, and a chain of tensors with channels.

Drawn with the numbered cells of `npdsconv.lessons.pictures`. Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from npdsconv.lessons.pictures.convolution import INK, tensor
from npdsconv.plots import OUTPUT
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.42
"""Inches for one cell."""


def equation(parts: Sequence[tuple[str, Array, str]], signs: str) -> Figure:
    """Matrices in a row with a sign between neighbours, for instance A · B = C.

    Parameters
    ----------
    parts : (name, matrix, colour) from left to right
    signs : one character for each gap; fewer than gaps is an error
    """
    import matplotlib.pyplot as plt

    tallest = max(matrix.shape[0] for _, matrix, _ in parts)
    widths: list[float] = []
    for _, matrix, _ in parts:
        widths += [CELL * max(matrix.shape[1], 2.6), 0.35]
    widths.pop()
    figure, axes = plt.subplots(
        1, len(widths), figsize=(sum(widths), CELL * tallest + 0.5), width_ratios=widths, squeeze=False
    )
    plt.close(figure)
    figure.subplots_adjust(left=0, right=1, bottom=0.02, top=1 - 0.45 / (CELL * tallest + 0.5), wspace=0)
    for ax, (name, matrix, colour) in zip(axes[0, ::2], parts, strict=True):
        tensor(ax, matrix, name, colour, room=(tallest, matrix.shape[1]))
    for ax, sign in zip(axes[0, 1::2], signs, strict=True):
        ax.text(0.5, 0.5, sign, ha="center", va="center", fontsize=15, color=INK, transform=ax.transAxes)
        ax.axis("off")
    return figure


def chain(tensors: Sequence[tuple[str, Array, str]], steps: Sequence[str]) -> Figure:
    """Tensors (C, H, W) from left to right, a channel below the other, and the steps between them.

    Parameters
    ----------
    tensors : (name, array (C, H, W), colour)
    steps : what is written on the arrow to the next tensor
    """
    import matplotlib.pyplot as plt

    most = max(len(array) for _, array, _ in tensors)
    room = max(array.shape[1] for _, array, _ in tensors), max(array.shape[2] for _, array, _ in tensors)
    widths: list[float] = []
    for _ in tensors:
        widths += [CELL * room[1] + 0.15, 1.15]
    widths.pop()
    height, halfway = CELL * room[0] + 0.15, (most - 1) // 2
    figure, axes = plt.subplots(
        most,
        len(widths),
        figsize=(sum(widths), most * height + 0.35),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    plt.close(figure)
    for ax in axes.flat:
        ax.axis("off")
    for column, (name, array, colour) in zip(axes.T[::2], tensors, strict=True):
        for k, channel in enumerate(array):
            tensor(column[k], channel, name, colour, room=room)
            column[k].set_title(f"{name} {array.shape}" if k == 0 else "", fontsize=10, color=INK)
            column[k].text(
                -0.12, channel.shape[0] / 2, str(k), ha="right", va="center", fontsize=8, color=INK
            )
    for column, step in zip(axes.T[1::2], steps, strict=True):
        arrow = {"arrowstyle": "-|>", "color": INK}
        ax = column[halfway]
        ax.annotate("", (0.95, 0.5), (0.05, 0.5), xycoords="axes fraction", arrowprops=arrow)
        ax.text(0.5, 0.56, step, ha="center", fontsize=9, color=INK, transform=ax.transAxes)
    return figure


def reached(changes: Mapping[str, Array]) -> Figure:
    """Which outputs change when one input number changes: a row for each operator, a panel for each channel.

    Parameters
    ----------
    changes : name of the operator -> (C, H, W), what the output changes by
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    most = max(len(change) for change in changes.values())
    figure, axes = plt.subplots(
        len(changes),
        most,
        figsize=(1.5 * most + 1.2, 1.55 * len(changes)),
        squeeze=False,
        layout="constrained",
    )
    plt.close(figure)
    for row, (name, change) in zip(axes, changes.items(), strict=True):
        for k, ax in enumerate(row):
            ax.set(xticks=[], yticks=[], aspect="equal")
            ax.spines[:].set_visible(False)
            if k >= len(change):
                continue
            rows, columns = change[k].shape
            for r in range(rows):
                for c in range(columns):
                    alpha = 0.85 if change[k, r, c] else 0.14
                    ax.add_patch(Rectangle((c, r), 1, 1, facecolor=OUTPUT, alpha=alpha, edgecolor="white"))
            ax.set(xlim=(0, columns), ylim=(rows, 0))
            ax.set_title(f"channel {k}", fontsize=8, color=INK)
        row[0].set_ylabel(f"{name}\n{change.shape}", rotation=0, ha="right", va="center", fontsize=10)
    return figure
