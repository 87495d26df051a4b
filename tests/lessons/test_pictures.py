"""Pictures for the lessons write the numbers they stand for."""

from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.figure import Figure

from npdsconv.lessons import pictures
from npdsconv.lessons.pictures import INPUT, KERNEL, OUTPUT, memory, models, reach, separable, training


def texts_of(figure):
    return [text.get_text() for ax in figure.axes for text in (ax.title, *ax.texts)]


def test_pictures_write_the_numbers_they_stand_for_and_leave_no_open_figure():
    matplotlib.use("Agg")
    image, kernel = np.arange(1.0, 13).reshape(3, 4), np.array([[0.0, -2, 1]])
    assert "0·1 − 2·2 + 1·3 = −1" in texts_of(pictures.sliding(image, kernel))
    assert "x (3, 4) → y (2, 2)" in texts_of(pictures.geometries(image, (1, 3), {"s": {"stride": (2, 1)}}))[0]
    assert {"cols  (3, 6)", "F"} <= set(texts_of(pictures.im2col_matrix(image, kernel)))
    assert "depthwise\nK×K on every line\n6 lines" in texts_of(pictures.wiring(3, 4, multiplier=2))
    assert "−14" in texts_of(pictures.scatter(np.array([[7.0, 0]] * 3), kernel, (3, 4)))
    assert texts_of(pictures.counts({"reads": image}))[-1] == "12"
    assert not matplotlib.pyplot.get_fignums()


def everything_in(figure):
    """All that is written in a figure, the marks on its axes too."""
    found = texts_of(figure) + [ax.get_title(loc="left") for ax in figure.axes]
    ticks = [
        label.get_text() for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())
    ]
    return found + ticks


def test_pictures_of_separable_convolution():
    x, y = np.arange(6.0).reshape(1, 2, 3), np.arange(8.0, 16).reshape(2, 2, 2)
    product = separable.equation(
        [("a", x[0], INPUT), ("b", x[0].T, KERNEL), ("ab", x[0] @ x[0].T, OUTPUT)], "·="
    )
    assert {"a  (2, 3)", "·", "=", "14", "50"} <= set(everything_in(product))
    with pytest.raises(ValueError, match="shorter"):
        separable.equation([("a", x[0], INPUT), ("b", x[0].T, KERNEL), ("c", x[0], OUTPUT)], "·")
    row = separable.chain([("x", x, INPUT), ("y", y, OUTPUT)], ["a step"])
    assert {"x (1, 2, 3)", "y (2, 2, 2)", "a step", "5", "15"} <= set(everything_in(row))
    changes = separable.reached({"depthwise": y * [[[0]], [[1]]], "standard": y})
    assert len(changes.axes) == 4
    assert any(
        "depthwise" in ax.get_ylabel() or "depthwise" in " ".join(texts_of(changes)) for ax in changes.axes
    )


def test_pictures_of_networks():
    twin = {
        "first": [models_row("Conv2d", 3)],
        "second": [models_row("DepthwiseConv2d", 5), models_row("ReLU", 1)],
    }
    bars = models.by_stage(twin, {"multiply-adds": "macs"})
    assert {"first", "second"} <= set(everything_in(bars))
    assert [p.get_height() for p in bars.axes[0].patches] == [3, 0, 0, 5, 0, 1]
    images = np.arange(12.0).reshape(3, 2, 2) - 4
    for signed in (False, True):
        grid = models.gallery(images, ["one", "two\nlines", "three"], columns=2, signed=signed)
        assert [ax.get_title() for ax in grid.axes] == ["one", "two\nlines", "three", ""]
    p = np.array([[0.1, 0.9], [0.75, 0.25], [0.3, 0.7]])
    read = models.guesses(images[:, None], np.array([1, 1, -1]), p, columns=2)
    assert {"true 1", "read as 1: 90%", "read as 0: 75%", "read as 1: 70%"} <= set(everything_in(read))


def test_curves_draw_every_line_over_its_epochs_and_keep_a_colour_for_a_name():
    lines = {"loss": {"a": [3.0, 1.0], "b": [2.0]}, "share": {"b": [0.5, 0.25, 0.75]}}
    figure = training.curves(lines, levels={"goal": 0.125})
    first, second = figure.axes
    drawn = [(line.get_label(), *map(list, line.get_data())) for line in first.lines]
    assert drawn[:2] == [("a", [1, 2], [3, 1]), ("b", [1], [2])]
    assert list(second.lines[0].get_xdata()) == [1, 2, 3]
    assert second.lines[0].get_color() == first.lines[1].get_color() != first.lines[0].get_color()
    assert [ax.lines[-1].get_ydata()[0] for ax in figure.axes] == [0.125, 0.125]
    assert [(ax.get_title(), ax.get_xlabel()) for ax in figure.axes] == [
        ("loss", "epoch"),
        ("share", "epoch"),
    ]


def models_row(kind, millions):
    return SimpleNamespace(kind=kind, macs=millions * 10**6)


def test_pictures_of_receptive_fields():
    image = np.zeros((5, 6))
    image[1:3, 2:6] = [[1, 0, 1, 4], [0, 1, 0, 0]]
    assert "a\nx (5, 6), spans 2×4" in texts_of(reach.reach({"a": image, "b": image.T}, columns=1))
    trees = reach.tree({"dense": [(3, 1, 1), (3, 2, 1)], "with holes": [(3, 1, 1), (3, 1, 2)]})
    said = texts_of(trees)
    assert "dense: spans 5 pixels, reads 5 of them" in said
    assert "with holes: spans 7 pixels, reads 7 of them" in said
    assert {"input x", "after layer 1", "output y"} <= set(said)


def test_pictures_of_memory():
    colours = memory.pixel_colours((3, 4))
    axes = Figure().subplots(3)
    memory.coloured(axes[0], np.arange(12.0).reshape(3, 4), colours, "x", rows="abc", columns="defg")
    memory.zeros_and_ones(axes[1], np.array([[0, 1, 2, 0]] * 3), "A", colours, every=2)
    memory.strip(axes[2], ["red"] * 31, [str(n) for n in range(31)], "in memory", strong=[3])
    said = everything_in(axes[0].figure)
    assert {"x  (3, 4)", "A  (3, 4)", "11", "a", "g", "in memory", "30"} <= set(said)
    assert [t.get_text() for t in axes[1].texts] == ["2", "2", "2"]
