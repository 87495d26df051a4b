"""A network beside its twin, the tables that are printed, and the figures."""

import numpy as np
import pytest
from small_models import MODELS

from npdsconv import complexity, plots
from npdsconv.complexity import compare, cost, summary
from npdsconv.layers import (
    Conv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Sequential,
)
from npdsconv.models import separable_cnn, standard_twin


def test_compare_pairs_each_block_with_one_convolution():
    model = separable_cnn(rng=0)
    both = compare(model, standard_twin(model, rng=0), (1, 28, 28))
    assert len(both.stages) == 6
    for outputs, (mine, theirs) in zip((64, 64, 128, 128), both.stages[1:5], strict=True):
        macs = [sum(row.macs for row in rows) for rows in (mine, theirs)]
        np.testing.assert_allclose(macs[0] / macs[1], complexity.ratio(outputs, 3), rtol=1e-14)
    for which in (0, 1):
        summed = sum(row.macs for stage in both.stages for row in stage[which])
        assert summed == (both.model, both.twin)[which].macs
    lines = str(both).splitlines()
    assert lines[0].split()[:4] == ["stage", "output", "params", "twin"]
    assert lines[3].split() == [
        *("3", "64×14×14", "2,528", "18,560", "0.136"),
        *("457,856", "3,612,672", "0.127", "225,792", "150,528", "1.500"),
    ]
    assert lines[-1].split()[:5] == ["total", "10", "36,298", "278,890", "0.130"]


@pytest.mark.parametrize("model", [MODELS["residual"], MODELS["v2"], MODELS["small"]])
def test_compare_keeps_the_totals(model):
    network, shape = model
    both = compare(network, standard_twin(network, rng=0), shape)
    assert (both.model.params, both.model.macs) == (
        summary(network, shape).params,
        summary(network, shape).macs,
    )
    assert sum(row.macs for _, theirs in both.stages for row in theirs) == both.twin.macs >= both.model.macs


def test_compare_of_a_single_block_and_of_layers_without_weights():
    block = DepthwiseSeparableConv2d(3, 4, 3, rng=np.random.default_rng(7))
    twin = standard_twin(Sequential(block), rng=0)
    assert len(compare(block, twin, (3, 5, 6)).stages) == 1
    assert " - " in str(compare(ReLU(), ReLU(), (3, 5, 6)))


def test_summary_prints_a_table():
    model = Sequential(Conv2d(1, 8, 3, bias=False), ReLU(), Flatten(), Linear(8 * 36, 10))
    assert str(summary(model, (1, 8, 8))).splitlines() == [
        "name   layer    output  params   MACs   FLOPs  activation bytes",
        "---------------------------------------------------------------",
        "0      Conv2d   8×6×6       72  2,592   5,184             1,152",
        "1      ReLU     8×6×6        0      0       0             1,152",
        "2      Flatten  288          0      0       0             1,152",
        "3      Linear   10       2,890  2,880   5,760                40",
        "---------------------------------------------------------------",
        "total           10       2,962  5,472  10,944             3,496",
        "one image of 1×8×8 in float32; FLOPs = 2·MACs of convolutions and dense layers; "
        "inference holds at most 2,560 bytes of activations",
    ]


def test_html_is_escaped():
    class Odd(Layer):
        def forward(self, x, *, train):
            return x, lambda dy: dy

    Odd.__name__ = "<Odd>"
    cost.register(Odd, lambda layer, shape: (shape, [complexity.Row(layer, shape, shape, macs=11)]))
    total = summary(Sequential(Odd(), ReLU()), (2, 3, 4))
    assert (total.macs, total.flops) == (11, 22)
    assert "&lt;Odd&gt;" in total._repr_html_()
    assert total._repr_html_().count("<tr>") == 4
    assert compare(ReLU(), ReLU(), (2, 3, 4))._repr_html_().startswith("<table>")


def test_ratio_curves_draw_the_ratio():
    (axis,) = plots.ratio_curves([1, 4, 64], kernels=(3, 5), multipliers=(1, 2)).axes
    drawn = {line.get_label(): line.get_ydata() for line in axis.lines}
    assert list(drawn) == ["K = 3, M = 1", "K = 3, M = 2", "K = 5, M = 1", "K = 5, M = 2"]
    np.testing.assert_allclose(drawn["K = 5, M = 2"], [complexity.ratio(o, 5, 2) for o in (1, 4, 64)])
    assert axis.get_ylim()[1] > 1 > axis.get_ylim()[0]


def test_shares_fill_each_bar():
    model, shape = MODELS["small"]
    total = summary(model, shape)
    macs = [row.macs for row in total.rows]
    (axis,) = plots.shares(total, {"MACs": macs, "bytes": [row.traffic_bytes for row in total.rows]}).axes
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axis.containers}
    assert list(widths) == ["standard", "dense", "batch norm", "ReLU", "others"]
    np.testing.assert_allclose(sum(np.array(width) for width in widths.values()), [1, 1])
    np.testing.assert_allclose(widths["standard"][0], (macs[0] + macs[4]) / total.macs)


def test_beside_twin_draws_both_sums():
    model, shape = MODELS["separable"]
    both = compare(model, standard_twin(model, rng=0), shape)
    for axis, quantity in zip(plots.beside_twin(both).axes, ("macs", "activation_bytes"), strict=True):
        heights = [sum(bar.get_height() for bar in bars) for bars in axis.containers]
        assert heights == [getattr(both.model, quantity), getattr(both.twin, quantity)]


def test_beside_twin_counts_in_thousands_and_millions():
    model = separable_cnn(rng=0)
    left, right = plots.beside_twin(compare(model, standard_twin(model, rng=0), (1, 28, 28))).axes
    for axis, texts in ((left, ("2M", "500k")), (right, ("2 MB", "500 kB"))):
        show = axis.yaxis.get_major_formatter()
        assert tuple(show(value) for value in (2e6, 5e5)) == texts
        show.set_locs(axis.get_yticks())
        assert show.get_offset() == "", "no 1e6 above the axis"
