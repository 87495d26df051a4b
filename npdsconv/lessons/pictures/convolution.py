"""Pictures of small convolutions: numbers in coloured cells. Used by the notebooks.

One visual language: the input is blue, a window orange, the kernel green, the output red. Every array carries
its name and its shape. Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.shapes import Array, Pair, resolve_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE = "#222222", "#9A9A9A"
SERIES = (WINDOW, "#B279A2", "#72B7B2", "#EECA3B")
"""Colours for several windows at once; letters say the same without colour."""

Cells = Iterable[Pair]


def show(name: str, array: Array) -> None:
    """Print an array with its name and shape: whole numbers without a point, matrices side by side.

    >>> show("d", np.arange(12.0).reshape(3, 2, 2))
    d  (3, 2, 2)
      [[0 1]   [[4 5]   [[ 8  9]
       [2 3]]   [6 7]]   [10 11]]
    <BLANKLINE>
    """
    whole = array.astype(np.int64) if np.array_equal(array, np.round(array)) else array
    matrices = whole.reshape(-1, *whole.shape[-2:]) if whole.ndim > 2 else whole[None]
    blocks = [str(matrix).split("\n") for matrix in matrices]
    widths = [max(map(len, block)) for block in blocks]
    print(f"{name}  {array.shape}")
    for lines in zip(*blocks, strict=True):
        print("  " + "  ".join(line.ljust(w) for line, w in zip(lines, widths, strict=True)).rstrip())
    print()


def number(value: float | Array) -> str:
    """A number as short as it can be: whole numbers without a point, a true minus sign."""
    return f"{float(value):g}".replace("-", "−")


def sum_of_products(weights: Array, values: Array) -> str:
    """Two rows of numbers multiplied and added up, in writing.

    >>> sum_of_products(np.array([-2.0, 0, 3]), np.array([5.0, 1, 4]))
    '−2·5 + 0·1 + 3·4 = 2'
    """
    terms = [
        f"{'−' if w < 0 else '+'} {number(abs(w))}·{number(v)}" for w, v in zip(weights, values, strict=True)
    ]
    total = number(np.sum(weights * values))
    if not terms:
        return total
    written = " ".join(terms).removeprefix("+ ")
    return f"{'−' + written[2:] if written.startswith('− ') else written} = {total}"


def tensor(
    ax: Axes,
    values: Array,
    name: str,
    colour: str,
    *,
    strong: Cells = (),
    empty: Cells = (),
    border: int = 0,
    small: dict[Pair, str] | None = None,
    room: Pair | None = None,
) -> None:
    """Draw a matrix as numbered cells under its name and shape.

    Parameters
    ----------
    ax : axes to draw on; its frame is switched off
    values : (rows, columns)
    name, colour : what it is called and what it is
    strong : cells in the full colour instead of its tint
    empty : cells whose number is not written
    border : rows and columns of padding on every side, drawn pale
    small : little green numbers in the corner of cells: the weights that meet them
    room : (rows, columns) that the axes span, so that cells of neighbouring pictures have one size
    """
    from matplotlib.patches import Rectangle

    write = partial(ax.text, ha="center", va="center", fontsize=11)
    rows, columns = values.shape
    full, blank, corner = set(strong), set(empty), small or {}
    for r, c in np.ndindex(rows, columns):
        inside = border <= r < rows - border and border <= c < columns - border
        face = colour if inside else "white"
        alpha = 0.85 if (r, c) in full else 0.16
        ax.add_patch(Rectangle((c, r), 1, 1, facecolor=face, alpha=alpha if inside else 1.0, linewidth=0))
        ax.add_patch(Rectangle((c, r), 1, 1, fill=False, edgecolor="white" if inside else PALE, linewidth=1))
        if (r, c) not in blank:
            ink = "white" if (r, c) in full else INK if inside else PALE
            write(c + 0.5, r + 0.5, number(values[r, c]), color=ink)
        if (r, c) in corner:
            write(c + 0.82, r + 0.8, corner[r, c], color=KERNEL, fontsize=7, weight="bold")
    spare = [(all_ - own) / 2 + 0.1 for all_, own in zip(room or values.shape, values.shape, strict=True)]
    ax.set(xlim=(-spare[1], columns + spare[1]), ylim=(rows + spare[0], -spare[0]), aspect="equal")
    ax.set_title(f"{name}  {tuple(n - 2 * border for n in values.shape)}", fontsize=10, color=INK)
    ax.axis("off")


def outline(ax: Axes, at: Pair, size: Pair, colour: str = WINDOW, inset: float = 0.0) -> None:
    """Draw the frame of a window of `size` whose first cell is `at`."""
    from matplotlib.patches import Rectangle

    (r, c), (h, w) = at, size
    place = (c + inset, r + inset), w - 2 * inset, h - 2 * inset
    ax.add_patch(Rectangle(*place, fill=False, edgecolor=colour, linewidth=2.5, joinstyle="round"))


def _panels(widths: Sequence[float], rows: int = 1, height: float = 2.2) -> tuple[Figure, Array]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows,
        len(widths),
        figsize=(sum(widths), height * rows),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    plt.close(figure)  # or a notebook shows it twice: as the cell's value and as an open figure
    return figure, axes


def sliding(x: Array, w: Array) -> Figure:
    """A kernel slides over an image: one column for each output pixel, with its sum of products."""
    window = resolve_window("sliding", x.shape, w.shape)
    (kh, kw), (oh, ow) = window.kernel, window.output
    y = np.array([[np.sum(x[i : i + kh, j : j + kw] * w) for j in range(ow)] for i in range(oh)])
    steps = list(np.ndindex(oh, ow))
    figure, axes = _panels([2.2, *[2.4] * len(steps)], rows=2)
    tensor(axes[0, 0], w, "w", KERNEL, room=x.shape)
    axes[1, 0].axis("off")
    for k, (i, j) in enumerate(steps):
        top, bottom = axes[:, k + 1]
        taps = {(i + u, j + v): number(w[u, v]) for u, v in np.ndindex(kh, kw)}
        tensor(top, x, "x", INPUT, small=taps)
        outline(top, (i, j), (kh, kw))
        total = sum_of_products(w.ravel(), x[i : i + kh, j : j + kw].ravel())
        top.text(x.shape[1] / 2, x.shape[0] + 0.2, total, ha="center", va="top", fontsize=8.5)
        tensor(bottom, y, "y", OUTPUT, strong=[(i, j)], empty=steps[k + 1 :], room=(oh, x.shape[1]))
    return figure


def geometries(x: Array, kernel: Pair, settings: dict[str, dict[str, Any]]) -> Figure:
    """Where windows land: frames around the taps of the first one, a dot at the first tap of every one.

    `settings` maps a title to the keyword arguments of a convolution; padding is a single number there.
    """
    border = {title: options.get("padding", 0) for title, options in settings.items()}
    room = x.shape[0] + 2 * max(border.values()), x.shape[1] + 2 * max(border.values())
    figure, axes = _panels([2.5] * len(settings), height=3.0)
    for ax, (title, options) in zip(axes[0], settings.items(), strict=True):
        window = resolve_window("geometries", x.shape, kernel, **options)
        (sh, sw), (dh, dw) = window.stride, window.dilation
        tensor(ax, np.pad(x, border[title]), "x", INPUT, border=border[title], room=room)
        for u, v in np.ndindex(*kernel):
            outline(ax, (u * dh, v * dw), (1, 1), inset=0.06)
        for i, j in np.ndindex(*window.output):
            ax.plot(j * sw + 0.2, i * sh + 0.2, "o", color=WINDOW, markersize=4.5)
        ax.set_title(f"{title}\nx {x.shape} → y {window.output}", fontsize=10, color=INK)
    return figure


def _lettered(window_count: int) -> Iterator[tuple[str, str]]:
    for k in range(window_count):
        yield "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[k % 26], SERIES[k % len(SERIES)]


def im2col_matrix(x: Array, w: Array) -> Figure:
    """The windows of an image as the columns of a matrix, the kernel as a row, and their product."""
    window = resolve_window("im2col_matrix", x.shape, w.shape)
    (kh, kw), positions = window.kernel, list(np.ndindex(*window.output))
    cols = np.array([x[i : i + kh, j : j + kw].ravel() for i, j in positions]).T
    flat = w.reshape(1, -1)
    figure, axes = _panels([3.0, kh * kw * 0.62, len(positions) * 0.62, len(positions) * 0.62], height=3.0)
    image, kernel, matrix, product = axes[0]
    tensor(image, x, "x", INPUT)
    tensor(kernel, flat, "w as a row", KERNEL)
    tensor(matrix, cols, "cols", INPUT)
    tensor(product, flat @ cols, "w · cols", OUTPUT)
    for k, ((i, j), (letter, colour)) in enumerate(zip(positions, _lettered(len(positions)), strict=True)):
        outline(image, (i, j), (kh, kw), colour, inset=0.05 + 0.05 * k)
        outline(matrix, (0, k), (kh * kw, 1), colour, inset=0.06)
        outline(product, (0, k), (1, 1), colour, inset=0.06)
        margin = 0.2 + 0.05 * k
        corner = (j + margin if j == 0 else j + kw - margin, i + margin if i == 0 else i + kh - margin)
        for ax, place in ((image, corner), (matrix, (k + 0.5, kh * kw + 0.3)), (product, (k + 0.5, 1.3))):
            ax.text(*place, letter, ha="center", va="center", color=colour, fontsize=10, weight="bold")
    matrix.set_ylim(kh * kw + 0.6, -0.1)
    product.set_ylim(1.6, -0.1)
    return figure


def wiring(inputs: int, outputs: int, multiplier: int = 1) -> Figure:
    """Which channel reads which: standard, depthwise and pointwise convolution side by side."""
    middle = inputs * multiplier
    panels = {
        "standard\nK×K on every line": (inputs, outputs, list(np.ndindex(inputs, outputs))),
        "depthwise\nK×K on every line": (inputs, middle, [(q // multiplier, q) for q in range(middle)]),
        "pointwise\n1×1 on every line": (middle, outputs, list(np.ndindex(middle, outputs))),
    }
    figure, axes = _panels([2.8] * len(panels), height=3.2)
    tallest = max(middle, outputs)
    for ax, (title, (left, right, lines)) in zip(axes[0], panels.items(), strict=True):
        start, end = (tallest - left) / 2, (tallest - right) / 2
        thick = 1.2 if title.startswith("pointwise") else 2.8
        for a, b in lines:
            ax.plot([0, 1], [start + a, end + b], color=KERNEL, linewidth=thick, alpha=0.75, zorder=1)
        ax.scatter([0] * left, start + np.arange(left), s=260, color=INPUT, marker="s", zorder=2)
        ax.scatter([1] * right, end + np.arange(right), s=260, color=OUTPUT, marker="s", zorder=2)
        for k in range(left):
            ax.text(0, start + k, str(k), ha="center", va="center", color="white", fontsize=10)
        for k in range(right):
            ax.text(1, end + k, str(k), ha="center", va="center", color="white", fontsize=10)
        ax.set(xlim=(-0.3, 1.3), ylim=(tallest - 0.4, -0.6))
        ax.set_title(f"{title}\n{len(lines)} lines", fontsize=10, color=INK)
        ax.axis("off")
    return figure


def scatter(dy: Array, w: Array, size: Pair) -> Figure:
    """The backward pass: every output pixel lays `dy·w` on its window, and the image adds up what it gets."""
    window = resolve_window("scatter", size, w.shape)
    (kh, kw), positions = window.kernel, list(np.ndindex(*window.output))
    figure, axes = _panels([2.2, *[2.4] * (len(positions) + 1)])
    tensor(axes[0, 0], dy, "dy", OUTPUT)
    total = np.zeros(size)
    for ax, (i, j) in zip(axes[0, 1:-1], positions, strict=True):
        part = np.zeros(size)
        part[i : i + kh, j : j + kw] = dy[i, j] * w
        covered = {(i + u, j + v) for u, v in np.ndindex(kh, kw)}
        tensor(ax, part, f"dy[{i},{j}] · w", INPUT, empty=set(np.ndindex(*size)) - covered)
        outline(ax, (i, j), (kh, kw))
        total += part
    tensor(axes[0, -1], total, "dx = their sum", INPUT, strong=np.ndindex(*size))
    return figure


def counts(images: dict[str, Array]) -> Figure:
    """How often each pixel is read, one image for each title; the darker the more often."""
    from matplotlib.patches import Rectangle

    figure, axes = _panels([2.4] * len(images), height=2.6)
    most = max(float(image.max()) for image in images.values())
    for ax, (title, image) in zip(axes[0], images.items(), strict=True):
        tensor(ax, image, title, INPUT, empty=np.ndindex(*image.shape))
        for r, c in np.ndindex(*image.shape):
            share = image[r, c] / most
            ax.add_patch(Rectangle((c, r), 1, 1, facecolor=INPUT, alpha=share, edgecolor="white"))
            ink = "white" if share > 0.5 else INK
            ax.text(c + 0.5, r + 0.5, number(image[r, c]), ha="center", va="center", color=ink, fontsize=11)
    return figure
