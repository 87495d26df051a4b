"""Pictures of whole models: where their costs are, what their filters and feature maps look like.

The colours are those of `npdsconv.plots`. Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from npdsconv.complexity import Row
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#222222"

# class of a layer -> its word and its colour; all other layers are "others"
_PARTS = {
    "Conv2d": ("standard", INPUT),
    "DepthwiseConv2d": ("depthwise", WINDOW),
    "PointwiseConv2d": ("pointwise", KERNEL),
    "Linear": ("dense", OUTPUT),
}
_OTHERS = ("others", "0.8")


def by_stage(stages: Mapping[str, Sequence[Row]], quantities: Mapping[str, str]) -> Figure:
    """Costs along a network: a bar for each stage, its colours the kinds of layer; one panel for each quantity.

    Parameters
    ----------
    stages : name of a stage -> its rows of a complexity summary
    quantities : title of a panel -> attribute of a Row, such as ``"macs"``; shown in millions
    """
    figure = _figure(9, 1.9 * len(quantities))
    panels = figure.subplots(len(quantities), 1, sharex=True, squeeze=False)[:, 0]
    places = np.arange(len(stages))
    used = set()
    for ax, (title, attribute) in zip(panels, quantities.items(), strict=True):
        below = np.zeros(len(stages))
        for word, colour in [*_PARTS.values(), _OTHERS]:
            height = np.array(
                [
                    sum(getattr(row, attribute) for row in rows if _PARTS.get(row.kind, _OTHERS)[0] == word)
                    for rows in stages.values()
                ],
                float,
            )
            if height.any():
                label = None if word in used else word
                used.add(word)
                ax.bar(places, height / 1e6, 0.8, bottom=below / 1e6, color=colour, label=label)
                below += height
        ax.set_ylim(0, 1.08e-6 * below.max())
        ax.set_ylabel(title, fontsize=9)
        ax.grid(axis="y", alpha=0.3)
        ax.set_axisbelow(True)
    panels[-1].set_xticks(places, list(stages), fontsize=8)
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=9)
    return figure


def gallery(
    images: Array | Sequence[Array],
    titles: Sequence[str] = (),
    *,
    columns: int = 8,
    size: float = 1.0,
    signed: bool = False,
    colour: str = INK,
) -> Figure:
    """Small pictures in a grid, each scaled by itself: dark is much; of signed ones, green is plus, pink minus.

    Parameters
    ----------
    images : sequence of (H, W)
    titles : one for each image, or none at all
    columns : images in a row
    size : inches for each image
    signed : whether the sign matters: the scale is symmetric about 0 then
    colour : of the titles
    """
    rows = -(-len(images) // columns)
    figure = _figure(
        columns * size, rows * (size + 0.28 * max((t.count("\n") + 1 for t in titles), default=0))
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for k, image in enumerate(images):
        picture(axes[k], image, titles[k] if len(titles) else "", signed=signed, colour=colour)
    return figure


def picture(ax: Axes, image: Array, title: str = "", *, signed: bool = False, colour: str = INK) -> None:
    """Draw one image without axes, as in :func:`gallery`."""
    most = float(np.abs(image).max()) or 1.0
    if signed:
        ax.imshow(image, cmap="PiYG", vmin=-most, vmax=most)
    else:
        ax.imshow(image, cmap="gray_r", vmin=min(0.0, float(image.min())), vmax=most)
    ax.set_title(title, fontsize=8, color=colour)
    ax.axis("off")


def guesses(images: Array, labels: Array, probabilities: Array, *, columns: int = 6) -> Figure:
    """Images, each beside its class probabilities: green is the true class, red a wrong first choice.

    Parameters
    ----------
    images : (N, 1, H, W)
    labels : (N,) the true classes; -1 where nobody knows
    probabilities : (N, K)
    columns : pairs of image and bars in a row
    """
    rows = -(-len(images) // columns)
    figure = _figure(columns * 1.9, rows * 1.35)
    axes = figure.subplots(rows, 2 * columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    classes = np.arange(probabilities.shape[1])
    for k, (image, label, p) in enumerate(zip(images, labels, probabilities, strict=True)):
        left, right = axes[k // columns, 2 * (k % columns) : 2 * (k % columns) + 2]
        picture(left, image[0], f"true {label}" if label >= 0 else "")
        left.set_anchor("N")  # its title is then level with that of the bars
        choice = int(p.argmax())
        colours = ["0.7"] * len(classes)
        colours[choice] = OUTPUT if label >= 0 else INPUT
        if label >= 0:
            colours[label] = KERNEL
        right.axis("on")
        right.barh(classes, p, color=colours)
        right.set(xlim=(0, 1), ylim=(len(classes) - 0.4, -0.6), xticks=[])
        right.set_yticks(classes, [str(c) for c in classes], fontsize=6)
        right.tick_params(length=0, pad=1)
        right.set_title(f"read as {choice}: {p[choice]:.0%}", fontsize=8, color=INK)
        for side in ("top", "right", "bottom"):
            right.spines[side].set_visible(False)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
