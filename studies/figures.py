"""Figures of the studies: means with bars of one sample standard deviation."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.runs.recorded import Recorded

COLOURS = (INPUT, OUTPUT, KERNEL, WINDOW, "#72569C", "#555555")
MARKERS = "osD^vP"


def panels(count: int, width: float = 4.6, height: float = 3.6, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels beside one another."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False, **options)[0])


def line(
    axis: Axes, xs: Sequence[float], values: Sequence[Recorded], k: int, label: str, **style: Any
) -> None:
    """Errors in per cent over a quantity, series number `k`: lower is better."""
    axis.errorbar(
        xs,
        [100 * (1 - v.mean) for v in values],
        yerr=[100 * v.spread for v in values],
        label=label,
        color=COLOURS[k],
        marker=MARKERS[k],
        capsize=3,
        **style,
    )


def bars(axis: Axes, names: Sequence[str], values: Sequence[Recorded], k: int = 0) -> None:
    """Errors in per cent, a lying bar each, the first on top."""
    axis.barh(
        names,
        [100 * (1 - v.mean) for v in values],
        xerr=[100 * v.spread for v in values],
        color=COLOURS[k],
        capsize=3,
    )
    axis.invert_yaxis()
    axis.set_xlabel("errors on held-out images (%)")
    finish(axis, legend=False)


def ticks(axis: Axes, numbers: Sequence[float]) -> None:
    """Only these numbers on the lower axis."""
    axis.set_xticks(numbers, [f"{n:g}" for n in numbers])
    axis.set_xticks([], minor=True)


class _Plain(LogFormatter):
    """0.6 and not 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def finish(axis: Axes, *, legend: bool = True) -> None:
    """A faint grid, plain numbers on logarithmic axes, and the names of the series."""
    for one in (axis.xaxis, axis.yaxis):
        if one.get_scale() == "log":
            one.set_major_formatter("{x:g}")
            one.set_minor_formatter(_Plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if legend:
        axis.legend(frameon=False, fontsize=8)
