"""The static figures of the documentation's pages; what code can compute in them is computed."""

import ast
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle

import npdsconv
from npdsconv.complexity import summary
from npdsconv.lessons.pictures import INK, PALE
from npdsconv.models import standard_twin
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.runs.recipe import recipe
from npdsconv.shapes import resolve_window

PACKAGE = Path(npdsconv.__file__).parent

# room -> (x, y) of its box, and its colour: what computes, what learns, what serves
ROOMS = {
    "shapes": (4.0, 0, INPUT),
    "layout": (2.8, 1, INPUT),
    "init": (5.0, 1, KERNEL),
    "kernels": (2.8, 2, INPUT),
    "ops": (2.8, 3, INPUT),
    "versions": (1.1, 3, PALE),
    "layers": (3.8, 4, KERNEL),
    "text": (8.4, 0, PALE),
    "models": (2.4, 5, KERNEL),
    "complexity": (0.5, 5, PALE),
    "optim": (4.8, 5, KERNEL),
    "data": (6.6, 5, WINDOW),
    "metrics": (8.3, 5, WINDOW),
    "train": (5.8, 6, WINDOW),
    "gradcheck": (1.98, 6, PALE),
    "plots": (0.5, 7, PALE),
    "catalogue": (3.2, 7, PALE),
    "lessons": (0.5, 8, OUTPUT),
    "bench": (4.2, 9, OUTPUT),
    "checkpoint": (7.8, 6, OUTPUT),
    "runs": (6.6, 8, OUTPUT),
    "malloc": (4.9, 7, PALE),
    "cli": (4.2, 10, OUTPUT),
    "disk": (6.8, 1, PALE),
    "state": (6.8, 2, PALE),
    "environment": (8.4, 1, PALE),
    "signals": (8.3, 9, PALE),
}


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    return figure, axes


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1.2
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)


# ---- the house ------------------------------------------------------------------------------------------------


def uses() -> set[tuple[str, str]]:
    """(room, room it imports), read from the imports of every file."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("npdsconv"):
                parts = (node.module or "").split(".")
                names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
                found |= {(room, name) for name in names}
    return {(a, b) for a, b in found if a in ROOMS and b in ROOMS and a != b}


def direct(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without the arrows that longer ways already show."""
    reach = set(edges)
    for k, a, b in product(ROOMS, ROOMS, ROOMS):  # k outermost: Warshall's order
        if (a, k) in reach and (k, b) in reach:
            reach.add((a, b))
    return {(a, b) for a, b in edges if not any((a, k) in reach and (k, b) in reach for k in ROOMS)}


def house() -> Figure:
    """The rooms and their arrows. An arrow that a longer way implies is left out."""
    figure, ax = _canvas(8.6, 6.6)
    wide, high = 0.72, 0.29
    for a, b in sorted(direct(uses())):
        (xa, ya, _), (xb, yb, _) = ROOMS[a], ROOMS[b]
        _arrow(ax, (xa, ya - high), (xb, yb + high), "#777777")
    for name, (x, y, colour) in ROOMS.items():
        box = FancyBboxPatch(
            (x - wide, y - high), 2 * wide, 2 * high, boxstyle="round,pad=0,rounding_size=0.12"
        )
        box.set(facecolor="white", edgecolor=colour, linewidth=2, zorder=3)
        ax.add_patch(box)
        ax.text(x, y, name, ha="center", va="center", fontsize=11, color=INK, zorder=4)
    words = (
        (0.5, "rules of shape and place", INPUT),
        (3, "mathematics", INPUT),
        (4, "parameters, pullbacks", KERNEL),
        (6, "the loop", WINDOW),
        (8, "programs", OUTPUT),
    )
    for y, word, colour in words:
        ax.text(9.4, y, word, ha="left", va="center", fontsize=10, color=colour, style="italic")
    ax.text(
        0.5,
        9.3,
        "questions\nabout layers",
        ha="center",
        va="center",
        color=PALE,
        style="italic",
    )
    ax.set(xlim=(-0.9, 11.9), ylim=(-0.5, 10.6))
    return figure


# ---- one image forward, one gradient back ---------------------------------------------------------------------


def walk() -> Figure:
    """The recipe network as slabs: height and width of a picture, number of channels."""
    rows = summary(recipe("mnist5k").build_model((1, 28, 28), classes=10), (1, 28, 28)).rows
    ends = [r for r in rows if r.name == "2" or r.name.endswith(".activation") or r.name in ("7", "9")]
    names = ("stem", "block 3", "block 4", "block 5", "block 6", "mean", "logits")
    stages = [("image", rows[0].input), *zip(names, (r.output for r in ends), strict=True)]
    figure, ax = _canvas(10, 3.6)
    x = 0.0
    centres = []
    for k, (name, shape) in enumerate(stages):
        c, h = shape[0], shape[1] if len(shape) == 3 else 1
        depth, side = 0.25 + c / 90, 0.25 + h / 10
        slant = 0.35 * side
        colour = INPUT if k == 0 else OUTPUT if k == len(stages) - 1 else "#B8C4D6"
        front = [(x, -side / 2), (x + depth, -side / 2), (x + depth, side / 2), (x, side / 2)]
        top = [
            front[3],
            front[2],
            (front[2][0] + slant, front[2][1] + slant / 2),
            (x + slant, side / 2 + slant / 2),
        ]
        right = [front[1], (front[1][0] + slant, front[1][1] + slant / 2), top[2], front[2]]
        for points, alpha in ((front, 0.9), (top, 0.55), (right, 0.7)):
            ax.add_patch(Polygon(points, facecolor=colour, edgecolor="white", alpha=alpha, lw=1))
        middle = x + (depth + slant) / 2
        ax.text(middle, 2.75, name, ha="center", fontsize=10, color=INK)
        ax.text(middle, -2.15, "×".join(map(str, shape)), ha="center", fontsize=9.5, color=INK)
        centres.append(middle)
        x += depth + slant + 0.75
    for a, b in pairwise(centres):
        _arrow(ax, (a + 0.35, 2.45), (b - 0.35, 2.45), INPUT, 1.8)
        _arrow(ax, (b - 0.35, -2.45), (a + 0.35, -2.45), OUTPUT, 1.8)
    ax.text(centres[0] - 0.6, 2.45, "x →", ha="right", va="center", color=INPUT, fontsize=11)
    ax.text(centres[-1] + 0.6, -2.45, "← dy", ha="left", va="center", color=OUTPUT, fontsize=11)
    ax.set(xlim=(-1.2, x + 0.4), ylim=(-2.8, 3.2))
    return figure


# ---- the three contractions -----------------------------------------------------------------------------------


def three_contractions() -> Figure:
    """One sum of products of three numbers; leave one out."""
    figure, ax = _canvas(8, 2.9)
    ax.text(0, 0, "L  =  Σ  dy · w · x", ha="center", va="center", fontsize=17, color=INK)
    cases = (
        (-3.6, "leave out dy", "y  =  Σ  w · x", "forward", OUTPUT),
        (0.0, "leave out x", "dx  =  Σ  dy · w", "gradient for the input", INPUT),
        (3.6, "leave out w", "dw  =  Σ  dy · x", "gradient for the weights", KERNEL),
    )
    for x, how, formula, name, colour in cases:
        _arrow(ax, (x * 0.3, -0.35), (x * 0.85, -1.25), colour, 2)
        place = (x * 0.62 + 0.12, -0.8) if x >= 0 else (x * 0.62 - 0.12, -0.8)
        ax.text(*place, how, ha="left" if x >= 0 else "right", va="center", fontsize=10, color=colour)
        ax.text(x, -1.6, formula, ha="center", va="center", fontsize=14, color=INK)
        ax.text(x, -2.05, name, ha="center", va="center", fontsize=10, color=colour)
    ax.set(xlim=(-5.2, 5.2), ylim=(-2.3, 0.4))
    return figure


# ---- the output-size rule -------------------------------------------------------------------------------------


def output_size() -> Figure:
    """A row of ten pixels, a kernel of three taps with dilation 2, stride 2, padding 1."""
    h, pad = 10, 1
    window = resolve_window(
        "figure", (1, h), (1, 3), stride=(1, 2), padding=((0, 0), (pad, pad)), dilation=(1, 2)
    )
    (_, out), (_, s), (_, d), (_, span), total = (
        window.output,
        window.stride,
        window.dilation,
        window.span,
        h + 2 * pad,
    )
    figure, ax = _canvas(8, 3.4)
    for q in range(total):
        inside = pad <= q < h + pad
        style = (
            {"facecolor": INPUT, "alpha": 0.25}
            if inside
            else {"facecolor": "white", "hatch": "///", "alpha": 0.4}
        )
        ax.add_patch(Rectangle((q, 0), 1, 1, edgecolor="white" if inside else PALE, **style))
        ax.text(
            q + 0.5,
            0.5,
            str(q - pad) if inside else "0",
            ha="center",
            va="center",
            color=INK if inside else PALE,
        )
    for k in range(out):
        y = -0.9 - 0.8 * k
        ax.add_patch(Rectangle((k * s, y), span, 0.6, facecolor="none", edgecolor=WINDOW, lw=1.5))
        for u in range(window.kernel[1]):
            ax.add_patch(
                Rectangle((k * s + u * d, y), 1, 0.6, facecolor=WINDOW, alpha=0.85, edgecolor="white")
            )
        ax.text(total + 0.3, y + 0.3, f"output {k}", ha="left", va="center", color=OUTPUT)
    last = (out - 1) * s + span
    ax.add_patch(Rectangle((last, -0.1), total - last, 1.2, fill=False, edgecolor=OUTPUT, lw=1.5, ls="--"))
    ax.text(total + 0.3, 0.5, f"{total - last} not read", ha="left", va="center", color=OUTPUT)
    ax.text(span / 2, 1.35, f"span = {d}·({window.kernel[1]} − 1) + 1 = {span}", ha="center", color=WINDOW)
    ax.annotate("", (0, 1.2), (span, 1.2), arrowprops={"arrowstyle": "<->", "color": WINDOW})
    rule = f"⌊({h} + {pad} + {pad} − {span}) / {s}⌋ + 1 = {out}"
    ax.text(total, 1.35, rule, ha="right", color=INK)
    ax.set(xlim=(-0.2, total + 2), ylim=(-0.9 - 0.8 * out + 0.6, 1.8))
    return figure


# ---- memory order ---------------------------------------------------------------------------------------------


def memory_order() -> Figure:
    """Two channels of 2×3 pixels, in both orders; the addresses come from NumPy's strides."""
    shape = (1, 2, 2, 3)
    orders = {
        "C order: W fastest": np.empty(shape),
        "channels-last: C fastest": np.empty((1, 2, 3, 2)).transpose(0, 3, 1, 2),
    }
    figure, ax = _canvas(8, 2.5)
    colours = (INPUT, WINDOW)
    for k, (name, array) in enumerate(orders.items()):
        y = -1.7 * k
        ax.text(
            0, y + 1.12, f"{name}, strides {tuple(s // array.itemsize for s in array.strides[1:])}", color=INK
        )
        for c, i, j in np.ndindex(*shape[1:]):
            at = int(np.dot((c, i, j), array.strides[1:])) // array.itemsize
            ax.add_patch(Rectangle((at, y), 1, 1, facecolor=colours[c], alpha=0.75, edgecolor="white", lw=2))
            ax.text(at + 0.5, y + 0.5, f"{c},{i},{j}", ha="center", va="center", fontsize=10, color=INK)
    ax.text(12.3, 0.5, "channel 0", color=INPUT, va="center")
    ax.text(12.3, -1.2, "channel 1", color=WINDOW, va="center")
    ax.set(xlim=(-0.1, 14.2), ylim=(-1.9, 1.6))
    return figure


# ---- the roofline ---------------------------------------------------------------------------------------------


def roofline() -> Figure:
    """The roof, and the computed intensities of one block's steps and of the standard convolution in its place."""
    model = recipe("mnist5k").build_model((1, 28, 28), classes=10)
    both = [row for each in (model, standard_twin(model, rng=0)) for row in summary(each, (1, 28, 28)).rows]
    wanted = {
        "depthwise": next(r for r in both if r.name == "4.depthwise"),
        "pointwise": next(r for r in both if r.name == "4.pointwise"),
        "standard 3×3": next(r for r in both if r.kind == "Conv2d" and r.input == (64, 14, 14)),
    }
    figure = Figure(figsize=(6.6, 3.6), layout="constrained")
    ax = figure.subplots()
    ridge, reach = 5.0, np.array([0.4, 5.0, 60.0])
    ax.plot(reach, np.minimum(reach / ridge, 1), color=INK, lw=2)
    for (name, row), colour in zip(wanted.items(), (WINDOW, KERNEL, INPUT), strict=True):
        height = min(row.intensity / ridge, 1)
        ax.plot([row.intensity] * 2, [0.05, height], color=colour, lw=1.5, ls=":")
        ax.plot(row.intensity, height, "o", color=colour, ms=9)
        ax.text(
            row.intensity * 1.08, 0.06, f"{name}\n{row.intensity:.1f}", color=colour, fontsize=10, va="bottom"
        )
    ax.text(0.95, 0.34, "memory is the limit", rotation=33, ha="center", color=INK)
    ax.text(18, 1.1, "arithmetic is the limit", ha="center", color=INK)
    ax.set(xscale="log", yscale="log", xlim=(0.4, 60), ylim=(0.05, 1.6))
    ax.set(
        xlabel="arithmetic intensity, MACs a byte (block 4 of the recipe network)", ylabel="speed, at most"
    )
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_yticks([])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    return figure
