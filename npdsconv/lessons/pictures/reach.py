"""Pictures of receptive fields: which input pixels one output pixel reads, through several layers.

The colours are those of `npdsconv.lessons.pictures`: input blue, window orange, kernel green, output red. Matplotlib is
imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from npdsconv.lessons.pictures.convolution import INK, PALE
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW, _figure
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Steps = Sequence[tuple[int, int, int]]
"""Layers along one axis, first layer first: (kernel, stride, dilation)."""


def reach(images: Mapping[str, Array], *, columns: int = 5, side: float = 2.4) -> Figure:
    """Input pixels, the bluer the more one output pixel depends on them; those it never reads stay white.

    An orange frame surrounds all that is read; a red dot marks its middle.

    Parameters
    ----------
    images : title -> (H, W), not negative: a count of paths, or the size of a gradient
    columns, side : panels in a row, and the size of one in inches
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    shades = LinearSegmentedColormap.from_list("input", ["#DCE6F1", INPUT]).with_extremes(bad="white")
    rows = -(-len(images) // columns)
    across = min(columns, len(images))
    fig = _figure(side * across, (side + 0.4) * rows)
    axes = fig.subplots(rows, across, squeeze=False)
    for ax, (title, image) in zip(axes.flat, images.items(), strict=False):
        h, w = image.shape
        shown = np.sqrt(np.where(image > 0, image, np.nan))  # the root, or a few large counts hide the rest
        ax.imshow(shown, cmap=shades, vmin=0, extent=(0, w, h, 0), interpolation="nearest")
        ax.hlines(range(h + 1), 0, w, color=PALE, linewidth=0.3)
        ax.vlines(range(w + 1), 0, h, color=PALE, linewidth=0.3)
        read = np.argwhere(image > 0)
        (top, left), (bottom, right) = read.min(axis=0), read.max(axis=0) + 1
        ax.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=WINDOW, linewidth=2)
        )
        ax.plot((left + right) / 2, (top + bottom) / 2, "o", color=OUTPUT, markersize=4)
        ax.set_title(f"{title}\nx {image.shape}, spans {bottom - top}×{right - left}", fontsize=9, color=INK)
    for ax in axes.flat:
        ax.axis("off")
    return fig


def read_by(steps: Steps) -> list[set[int]]:
    """Positions that one output reads along one axis: in the input, after the first layer, ..., in the output.

    >>> read_by([(3, 1, 1), (3, 1, 2)])
    [{0, 1, 2, 3, 4, 5, 6}, {0, 2, 4}, {0}]
    """
    levels = [{0}]
    for kernel, stride, dilation in reversed(steps):
        levels.insert(0, {stride * i + dilation * u for i in levels[0] for u in range(kernel)})
    return levels


def tree(stacks: Mapping[str, Steps], *, height: float = 1.9) -> Figure:
    """What one output reads, layer by layer, along one axis: one panel for each stack of layers.

    Parameters
    ----------
    stacks : title -> layers, each (kernel, stride, dilation), first layer first
    height : of a panel, in inches
    """
    widest = max(max(read_by(steps)[0]) for steps in stacks.values()) + 1
    fig = _figure(9, height * len(stacks))
    for ax, (title, steps) in zip(np.atleast_1d(fig.subplots(len(stacks))), stacks.items(), strict=True):
        levels, jumps, starts = read_by(steps), [1], [0.0]
        for kernel, stride, dilation in steps:  # where a level's position 0 lies, in pixels of the input
            starts.append(starts[-1] + jumps[-1] * dilation * (kernel - 1) / 2)
            jumps.append(jumps[-1] * stride)
        shift = (widest - 1 - max(levels[0])) / 2
        for level, positions in enumerate(levels):
            last = max(positions)
            places = {i: shift + starts[level] + jumps[level] * i for i in range(last + 1)}
            colour = INPUT if level == 0 else OUTPUT if level == len(steps) else PALE
            for i, place in places.items():
                ax.plot(
                    place,
                    level,
                    "o",
                    markersize=6,
                    color=colour if i in positions else "white",
                    markeredgecolor=colour,
                    zorder=2,
                )
            if level:
                kernel, stride, dilation = steps[level - 1]
                for i in positions:
                    for u in range(kernel):
                        below = shift + starts[level - 1] + jumps[level - 1] * (stride * i + dilation * u)
                        ax.plot([below, places[i]], [level - 1, level], color=KERNEL, linewidth=1, zorder=1)
            name = "input x" if level == 0 else "output y" if level == len(steps) else f"after layer {level}"
            ax.text(-0.7, level, name, ha="right", va="center", fontsize=9, color=INK)
        read, span = len(levels[0]), max(levels[0]) + 1
        ax.set(xlim=(-2.7, widest - 0.3), ylim=(-0.4, len(steps) + 0.4))
        ax.set_title(f"{title}: spans {span} pixels, reads {read} of them", fontsize=10, color=INK)
        ax.axis("off")
    return fig
