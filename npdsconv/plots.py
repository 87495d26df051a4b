"""Figures that users can reuse: each function returns a matplotlib Figure and touches no global state."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npdsconv import disk
from npdsconv.complexity import ratio
from npdsconv.shapes import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from npdsconv.complexity import Comparison, Summary
    from npdsconv.train import RangeTest

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


def range_test(found: "RangeTest") -> "Figure":
    """The loss against the learning rate, from `npdsconv.train.range_test`, with the rate that it suggests."""
    fig = _figure(6.4, 3.6)
    axis = fig.subplots()
    axis.plot(found.rates, found.losses, color=INPUT, alpha=0.35, label="each batch")
    axis.plot(found.rates, found.smooth, color=INPUT, label="smoothed")
    axis.axvline(found.suggestion, color=OUTPUT, linestyle="--", label=f"suggested: {found.suggestion:.1e}")
    axis.set(xscale="log", xlabel="learning rate", ylabel="loss (nats)", ylim=(0, 1.6 * found.smooth[0]))
    axis.set_title("Learning-rate range test: the rate grows from step to step", fontsize=10)
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    return fig


def confusion(matrix: Array, *, title: str = "", names: Sequence[str] = ()) -> "Figure":
    """A confusion matrix, rows truth and columns prediction; the diagonal is left pale so that errors stand out.

    Parameters
    ----------
    matrix : (K, K) counts
    title : what was measured
    names : of the classes; none: they are numbered
    """
    k = len(matrix)
    side = min(max(5, 0.35 * k), 14)
    fig = _figure(side + 0.2, side)
    axis = fig.subplots()
    errors = np.where(np.eye(k, dtype=bool), 0, matrix)
    shown = axis.imshow(errors, cmap="Oranges", vmax=max(1, errors.max()))
    for i, j in np.argwhere(matrix > 0):
        colour = "0.4" if i == j else _ink(shown.to_rgba(errors[i, j]))
        axis.text(j, i, matrix[i, j], ha="center", va="center", fontsize=8, color=colour)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    axis.set(xticks=range(k), yticks=range(k), xlabel="prediction", ylabel="truth")
    if any(not name.isdecimal() for name in names):
        turned = 90 if max(map(len, names)) > 3 else 0
        axis.set_xticks(range(k), names, rotation=turned, parse_math=False)  # a name may have dollars in it
        axis.set_yticks(range(k), names, parse_math=False)
    axis.set_title(
        f"{title}: {total - right} errors in {total:,}, {right / max(1, total):.2%} right", fontsize=10
    )
    return fig


def digits(
    images: Array, labels: Sequence[int | str] | Array, *, rows: int = 5, columns: int = 12
) -> "Figure":
    """The first images as a grid, each with its label.

    Parameters
    ----------
    images : (N, C, H, W), dark ink for C = 1, colours for C = 3
    labels : (N,) classes, or their names
    """
    fig = _figure(columns * 0.7, rows * 0.85)
    for axis, image, label in zip(
        fig.subplots(rows, columns).flat,
        images[:: max(1, len(images) // (rows * columns))],
        labels[:: max(1, len(images) // (rows * columns))],
        strict=False,
    ):
        axis.imshow(image[0] if len(image) == 1 else image.transpose(1, 2, 0), cmap="gray_r")
        axis.set_title(str(label), fontsize=8, parse_math=False)
    for axis in fig.axes:
        axis.axis("off")
    return fig


def ratio_curves(
    out_channels: Sequence[int], kernels: Sequence[int] = (3, 5, 7), multipliers: Sequence[int] = (1, 2)
) -> "Figure":
    """What a separable layer costs relative to a standard one, against O: M·(1/O + 1/K²).

    Parameters
    ----------
    out_channels : the values of O to draw
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
    axis.set(xlabel="output channels O", ylabel="separable / standard", ylim=(bottom, max(1, top)))
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
    from matplotlib.ticker import EngFormatter

    fig = _figure(9, 3.4)
    labels = [stage[0][0].name.removesuffix(".depthwise") for stage in both.stages]
    places = np.arange(len(labels))
    quantities = (("macs", "multiply-adds (MACs)", ""), ("activation_bytes", "activations", "B"))
    for axis, (quantity, what, unit) in zip(fig.subplots(1, 2), quantities, strict=True):
        for which, (label, colour) in enumerate((("separable", WINDOW), ("standard twin", "0.6"))):
            values = [sum(getattr(row, quantity) for row in stage[which]) for stage in both.stages]
            axis.bar(places + 0.4 * which - 0.2, values, 0.38, color=colour, label=label)
        axis.set(xticks=places, xticklabels=labels, xlabel="stage", ylabel=f"{what} of one image")
        axis.yaxis.set_major_formatter(EngFormatter(unit, sep="" if not unit else " "))
        axis.grid(axis="y", alpha=0.3)
        axis.legend(frameon=False)
    return fig


def measured(path: str | PathLike[str]) -> dict[str, Any]:
    """Results of ``npdsconv bench --out FOLDER`` (``bench.json``) or of ``benchmarks/performance.py``.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"plots.measured: there is no file {path}: npdsconv bench --out FOLDER writes one"
        )
    try:
        report = json.loads(path.read_text())
    except ValueError:
        report = None
    if not isinstance(report, dict) or "machine" not in report:
        raise ValueError(f"plots.measured: {path} does not hold results of npdsconv bench")
    return report


# word in the name of a workload -> colour
_OPS = (("separable", OUTPUT), ("standard", "0.4"), ("pointwise", KERNEL), ("depthwise", WINDOW))


def roofline(report: Mapping[str, Any], *, threads: int | None = None) -> "Figure":
    """Attained GFLOP/s of each op against its FLOPs per byte, under this machine's two measured ceilings.

    Parameters
    ----------
    report : what `measured` returns, with the section "roofline"
    threads : which of the measured numbers of threads; None: the first
    """
    section = _section("roofline", report)
    ceiling = next((c for c in section["ceilings"] if threads in (None, c["threads"])), None)
    if ceiling is None:
        raise ValueError(f"plots.roofline: nothing was measured on {threads} threads")
    rows = [row for row in section["rows"] if row["threads"] == ceiling["threads"]]
    peak, bandwidth = ceiling["flops_per_second"] / 1e9, ceiling["bytes_per_second"] / 1e9
    fig = _figure(10, 4.6)
    axis = fig.subplots()
    at = [row["attained"]["intensity"] for row in rows]
    x = np.geomspace(min([*at, peak / bandwidth]) / 2, max([*at, peak / bandwidth]) * 2, 200)
    axis.loglog(x, np.minimum(peak, bandwidth * x), base=2, color="0", lw=1.5)
    axis.text(x[-1], peak, f"{peak:.0f} GFLOP/s, matrix product ", ha="right", va="bottom", fontsize=9)
    axis.annotate(
        f"{bandwidth:.1f} GB/s, copy",
        (peak / bandwidth / 2, peak / 2),
        xytext=(-8, 0),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    for k, row in enumerate(rows, 1):
        colour = next((c for word, c in _OPS if word in row["workload"]), INPUT)
        point = (row["attained"]["intensity"], row["attained"]["flops_per_second"] / 1e9)
        axis.plot(*point, "o", color=colour, ms=5, label=f"{k}  {row['workload']}")
        axis.annotate(str(k), point, xytext=(4, 3), textcoords="offset points", fontsize=8)
    axis.set(xlabel="FLOPs per byte that has to be moved", ylabel="GFLOP/s")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_title(_where(report, ceiling["threads"]), fontsize=9)
    axis.grid(alpha=0.3)
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    return fig


def scaling(report: Mapping[str, Any], *, threads: int | None = None) -> "Figure":
    """Time against each size, standard against separable convolution; a dot and a line mark where they are equal.

    Below, the ratio of the times beside the ratio of the multiply-adds.

    Parameters
    ----------
    report : what `measured` returns, with the section "scaling"
    threads : which of the measured numbers of threads; None: the first
    """
    sweeps = _section("scaling", report)["sweeps"]
    threads = next((sweep["threads"] for sweep in sweeps), 0) if threads is None else threads
    sweeps = [sweep for sweep in sweeps if sweep["threads"] == threads]
    if not sweeps:
        raise ValueError(f"plots.scaling: nothing was measured on {threads} threads")
    fig = _figure(3.1 * len(sweeps), 5)
    grid = fig.subplots(2, len(sweeps), sharex="col", sharey="row", squeeze=False)
    for (above, below), found in zip(grid.T, sweeps, strict=True):
        values, points = [p["value"] for p in found["points"]], found["points"]
        for kind, colour in (("standard", "0.4"), ("separable", WINDOW)):
            quartiles = np.array([[p[kind][q] * 1e3 for q in ("q1", "median", "q3")] for p in points])
            above.loglog(values, quartiles[:, 1], color=colour, marker=".", label=kind)
            above.fill_between(values, quartiles[:, 0], quartiles[:, 2], color=colour, alpha=0.25, lw=0)
        times = [p["separable"]["median"] / p["standard"]["median"] for p in points]
        counts = [p["separable"]["flops"] / p["standard"]["flops"] for p in points]
        below.loglog(values, times, color=OUTPUT, marker=".", label="time")
        below.loglog(values, counts, "--", color=INPUT, label="multiply-adds")
        below.axhline(1, color="0.6", lw=0.8)
        if found["crossover"] is not None:
            for axis in (above, below):
                axis.axvline(found["crossover"], color=OUTPUT, lw=0.8, ls=":")
            below.plot(found["crossover"], 1, "o", color=OUTPUT)
            below.annotate(
                f"equal at {found['crossover']:.2g}",
                (found["crossover"], 1),
                xytext=(4, 5),
                textcoords="offset points",
                fontsize=8,
            )
        below.yaxis.set_major_formatter("{x:g}")
        above.yaxis.set_major_formatter("{x:g}")
        below.set_xlabel(found["quantity"])
        below.set_xticks(values, [str(v) for v in values], fontsize=8)
        below.minorticks_off()
        base = ", ".join(f"{name} {size}" for name, size in found["base"].items())
        above.set_title(base, fontsize=8)
        for axis in (above, below):
            axis.grid(alpha=0.3)
    grid[0, 0].set_ylabel("ms, forward and all gradients")
    grid[1, 0].set_ylabel("separable / standard")
    grid[0, 0].legend(frameon=False, fontsize=9)
    grid[1, 0].legend(frameon=False, fontsize=9)
    fig.suptitle(_where(report, threads), fontsize=9)
    return fig


def _section(name: str, report: Mapping[str, Any]) -> Mapping[str, Any]:
    if name not in report:
        raise ValueError(
            f"plots.{name}: the results have no section {name!r}: npdsconv bench {name} measures it"
        )
    return report[name]


def _where(report: Mapping[str, Any], threads: int) -> str:
    return f"{report['machine']['processor']}, {threads} thread{'s' if threads > 1 else ''}, float32"


def save(figure: "Figure", path: str | PathLike[str]) -> None:
    """Write a figure as PNG, whole or not at all, and without the date, so that equal figures are equal files."""
    try:
        with disk.replacing(Path(path)) as file, warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Glyph .* missing"
            )  # of names in a script that no font here has
            figure.savefig(file, dpi=120, format=Path(path).suffix[1:] or "png", metadata={"Software": None})
    except OSError as error:
        raise type(error)(f"plots.save: cannot write {path}: {error.strerror or error}") from None


def _ink(colour: Sequence[float] | Array) -> str:
    """Black or white, whichever stands out more from an RGB colour.

    The contrast of two colours is (L + 0.05) / (l + 0.05), where L is the relative luminance of the lighter one; black
    and white are level at L = 0.179. WCAG 2.1, success criterion 1.4.3.
    """
    rgb = np.array(colour[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "white" if linear @ (0.2126, 0.7152, 0.0722) < 0.179 else "black"


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
