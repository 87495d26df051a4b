"""Figures that users can reuse: each function returns a matplotlib Figure and touches no global state."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# One colour for each kind of thing, in every figure of the project.
INPUT, WINDOW, KERNEL, OUTPUT = "#4C78A8", "#F58518", "#54A24B", "#E45756"


def learning_curve(rows: Iterable[Mapping[str, str | float]]) -> "Figure":
    """Loss and accuracy by epoch, from the rows of a run's ``metrics.csv``.

    Parameters
    ----------
    rows : mappings with epoch, train_loss, train_accuracy and, possibly, held_out_loss and held_out_accuracy
    """
    rows = list(rows)
    fig = _figure(9, 3.4)
    epochs = [int(row["epoch"]) for row in rows]
    for axis, quantity, unit in zip(fig.subplots(1, 2), ("loss", "accuracy"), ("nats", "share"), strict=True):
        axis.plot(epochs, [float(row[f"train_{quantity}"]) for row in rows], color=INPUT, marker=".", label="training")
        held = [(e, float(row[f"held_out_{quantity}"])) for e, row in zip(epochs, rows, strict=True)
                if row.get(f"held_out_{quantity}") not in ("", None)]
        if held:
            axis.plot(*zip(*held, strict=True), color=OUTPUT, marker=".", label="held out")
        axis.set(xlabel="epoch", ylabel=f"{quantity} ({unit})")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    fig.suptitle("Learning curve (training images are augmented, the others are not)", fontsize=10)
    return fig


def confusion(matrix: Array, *, title: str = "") -> "Figure":
    """A confusion matrix, rows truth and columns prediction; the diagonal is left pale so that errors stand out.

    Parameters
    ----------
    matrix : (K, K) counts
    title : what was measured
    """
    k = len(matrix)
    fig = _figure(5.2, 5)
    axis = fig.subplots()
    errors = np.where(np.eye(k, dtype=bool), 0, matrix)
    axis.imshow(errors, cmap="Oranges", vmax=max(1, errors.max()))
    for i, j in np.argwhere(matrix > 0):
        axis.text(j, i, matrix[i, j], ha="center", va="center", fontsize=8, color="0.5" if i == j else "0")
    right, total = int(np.trace(matrix)), int(matrix.sum())
    axis.set(xticks=range(k), yticks=range(k), xlabel="prediction", ylabel="truth")
    axis.set_title(f"{title}: {total - right} errors in {total:,}, {right / max(1, total):.2%} right", fontsize=10)
    return fig


def digits(images: Array, labels: Sequence[int] | Array, *, rows: int = 5, columns: int = 12) -> "Figure":
    """The first images as a grid, each with its label.

    Parameters
    ----------
    images : (N, 1, H, W)
    labels : (N,)
    """
    fig = _figure(columns * 0.7, rows * 0.85)
    for axis, image, label in zip(fig.subplots(rows, columns).flat, images[:: max(1, len(images) // (rows * columns))],
                                  labels[:: max(1, len(images) // (rows * columns))], strict=False):
        axis.imshow(image[0], cmap="gray_r")
        axis.set_title(str(label), fontsize=8)
    for axis in fig.axes:
        axis.axis("off")
    return fig


def save(figure: "Figure", path: str | PathLike[str]) -> None:
    """Write a figure as PNG, without the date, so that equal figures are equal files."""
    try:
        figure.savefig(path, dpi=120, metadata={"Software": None})
    except OSError as error:
        raise type(error)(f"plots.save: cannot write {path}: {error.strerror or error}") from None


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
