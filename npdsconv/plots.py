"""Figures that users can reuse: each function returns a matplotlib Figure and touches no global state."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from npdsconv.complexity import ratio
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npdsconv.complexity import Comparison, Summary

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
        axis.plot(
            epochs,
            [float(row[f"train_{quantity}"]) for row in rows],
            color=INPUT,
            marker=".",
            label="training",
        )
        held = [
            (e, float(row[f"held_out_{quantity}"]))
            for e, row in zip(epochs, rows, strict=True)
            if row.get(f"held_out_{quantity}") not in ("", None)
        ]
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
    axis.set_title(
        f"{title}: {total - right} errors in {total:,}, {right / max(1, total):.2%} right", fontsize=10
    )
    return fig


def digits(images: Array, labels: Sequence[int] | Array, *, rows: int = 5, columns: int = 12) -> "Figure":
    """The first images as a grid, each with its label.

    Parameters
    ----------
    images : (N, 1, H, W)
    labels : (N,)
    """
    fig = _figure(columns * 0.7, rows * 0.85)
    for axis, image, label in zip(
        fig.subplots(rows, columns).flat,
        images[:: max(1, len(images) // (rows * columns))],
        labels[:: max(1, len(images) // (rows * columns))],
        strict=False,
    ):
        axis.imshow(image[0], cmap="gray_r")
        axis.set_title(str(label), fontsize=8)
    for axis in fig.axes:
        axis.axis("off")
    return fig


def ratio_curves(
    out_channels: Sequence[int], kernels: Sequence[int] = (3, 5, 7), multipliers: Sequence[int] = (1, 2)
) -> "Figure":
    """What a separable layer costs relative to a standard one, against C': M·(1/C' + 1/K²).

    Parameters
    ----------
    out_channels : the values of C' to draw
    kernels : K, one colour each
    multipliers : M, one kind of line each
    """
    fig = _figure(7, 4)
    axis = fig.subplots()
    colours = zip(kernels, (WINDOW, KERNEL, OUTPUT, INPUT), strict=False)
    lines = zip(multipliers, ("-", "--", ":"), strict=False)
    for (k, colour), (m, line) in product(colours, lines):
        values = [ratio(o, k, m) for o in out_channels]
        axis.loglog(out_channels, values, line, color=colour, marker=".", label=f"K = {k}, M = {m}")
    bottom, top = axis.get_ylim()
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if bottom < t < top]
    axis.set_xticks(out_channels, [str(o) for o in out_channels])
    axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.axhspan(1, max(1, top), color="0.9", zorder=0)
    axis.text(out_channels[-1], 1.05, "nothing saved", ha="right", va="bottom", fontsize=9)
    axis.set(xlabel="output channels C'", ylabel="separable / standard", ylim=(bottom, max(1, top)))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, ncols=2, fontsize=9)
    return fig


# class of a layer -> its word and colour in figures about cost
_KINDS = {
    "Conv2d": ("standard", "0.5"),
    "DepthwiseConv2d": ("depthwise", WINDOW),
    "PointwiseConv2d": ("pointwise", KERNEL),
    "Linear": ("dense", OUTPUT),
    "BatchNorm2d": ("batch norm", "0.7"),
    "ReLU": ("ReLU", "0.82"),
}


def shares(total: "Summary", bars: Mapping[str, Sequence[float]]) -> "Figure":
    """Which kinds of layer have which share of some quantities: one bar for each quantity.

    Parameters
    ----------
    total : the costs of a model
    bars : name of the quantity -> its amount in each row of `total`
    """
    fig = _figure(8, 0.7 + 0.6 * len(bars))
    axis = fig.subplots()
    words = [_KINDS.get(row.kind, ("others", "0.92")) for row in total.rows]
    amounts = np.array(list(bars.values()), float)
    amounts /= amounts.sum(axis=1, keepdims=True)
    left = np.zeros(len(bars))
    for word, colour in [*_KINDS.values(), ("others", "0.92")]:
        if (word, colour) in words:
            width = amounts[:, [w == (word, colour) for w in words]].sum(axis=1)
            axis.barh(list(bars), width, left=left, color=colour, edgecolor="white", label=word)
            left += width
    axis.set(xlim=(0, 1), xlabel="share of the whole")
    axis.invert_yaxis()
    fig.legend(loc="outside upper center", ncols=7, frameon=False, fontsize=9)
    return fig


def beside_twin(both: "Comparison") -> "Figure":
    """MACs and activation memory of a model beside its standard twin, stage by stage."""
    fig = _figure(9, 3.4)
    labels = [stage[0][0].name.removesuffix(".depthwise") for stage in both.stages]
    places = np.arange(len(labels))
    quantities = (("macs", "MACs"), ("activation_bytes", "activation bytes"))
    for axis, (quantity, unit) in zip(fig.subplots(1, 2), quantities, strict=True):
        for which, (label, colour) in enumerate((("separable", WINDOW), ("standard twin", "0.6"))):
            values = [sum(getattr(row, quantity) for row in stage[which]) for stage in both.stages]
            axis.bar(places + 0.4 * which - 0.2, values, 0.38, color=colour, label=label)
        axis.set(xticks=places, xticklabels=labels, xlabel="stage", ylabel=f"{unit} of one image")
        axis.grid(axis="y", alpha=0.3)
        axis.legend(frameon=False)
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
