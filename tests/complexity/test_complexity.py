"""Costs: formulas against hand-worked numbers, real arrays, and loops that count themselves."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise, product

import numba
import numpy as np
import pytest

from npdsconv import complexity, conv2d, plots
from npdsconv.complexity import compare, cost, count, counted, summary
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.models import mobilenet_v1, mobilenet_v2, separable_cnn, small_cnn, standard_twin
from npdsconv.ops import standard
from npdsconv.shapes import resolve_window

# ---- the formulas, worked by hand -------------------------------------------------------------------------


def test_macs_of_each_formula():
    assert complexity.conv_macs(3, 5, (2, 4), (7, 6)) == 5 * 3 * 2 * 4 * 7 * 6 == 5040
    assert complexity.conv_macs(6, 4, 3, (5, 2), groups=2) == 4 * 3 * 9 * 10 == 1080
    assert complexity.depthwise_macs(3, (2, 4), (7, 6), multiplier=5) == 3 * 5 * 8 * 42 == 5040
    assert complexity.pointwise_macs(3, 5, (7, 6)) == 630
    assert complexity.separable_macs(3, 5, 3, (7, 6), multiplier=2) == 6 * 9 * 42 + 5 * 6 * 42 == 3528
    assert complexity.linear_macs(11, 7) == 77


# C, C', K, weights of the standard and of the separable layer, MACs of both at 28×28
TABLE = (
    (3, 32, 3, 864, 123, 677_376, 96_432),
    (32, 64, 3, 18_432, 2_336, 14_450_688, 1_831_424),
    (128, 256, 3, 294_912, 33_920, 231_211_008, 26_593_280),
    (3, 128, 5, 9_600, 459, 7_526_400, 359_856),
    (64, 64, 5, 102_400, 5_696, 80_281_600, 4_465_664),
    (64, 32, 7, 100_352, 5_184, 78_675_968, 4_064_256),
    (32, 256, 7, 401_408, 9_760, 314_703_872, 7_651_840),
)


@pytest.mark.parametrize(("c", "o", "k", "params", "sep_params", "macs", "sep_macs"), TABLE)
def test_standard_beside_separable(c, o, k, params, sep_params, macs, sep_macs):
    how = {"padding": k // 2, "bias": False, "rng": np.random.default_rng(0)}
    standard_layer = summary(Conv2d(c, o, k, **how), (c, 28, 28))
    separable = summary(DepthwiseSeparableConv2d(c, o, k, batch_norm=False, **how), (c, 28, 28))
    assert (standard_layer.params, standard_layer.macs) == (params, macs)
    assert (separable.params, separable.macs) == (sep_params, sep_macs)
    assert separable.flops == 2 * sep_macs
    np.testing.assert_allclose([sep_params / params, sep_macs / macs], complexity.ratio(o, k), rtol=1e-14)


RATIOS = {  # kernel, multiplier -> ratio for C' = 1, 2, 4, 10, 32, 64, 128, 256
    (1, 1): (2.0000, 1.5000, 1.2500, 1.1000, 1.0312, 1.0156, 1.0078, 1.0039),
    (2, 1): (1.2500, 0.7500, 0.5000, 0.3500, 0.2812, 0.2656, 0.2578, 0.2539),
    (3, 1): (1.1111, 0.6111, 0.3611, 0.2111, 0.1424, 0.1267, 0.1189, 0.1150),
    (5, 1): (1.0400, 0.5400, 0.2900, 0.1400, 0.0713, 0.0556, 0.0478, 0.0439),
    (7, 1): (1.0204, 0.5204, 0.2704, 0.1204, 0.0517, 0.0360, 0.0282, 0.0243),
    (3, 2): (2.2222, 1.2222, 0.7222, 0.4222, 0.2847, 0.2535, 0.2378, 0.2300),
    (3, 9): (10.0000, 5.5000, 3.2500, 1.9000, 1.2812, 1.1406, 1.0703, 1.0352),
}


@pytest.mark.parametrize(("kernel", "multiplier"), RATIOS)
def test_ratio_table(kernel, multiplier):
    got = [complexity.ratio(o, kernel, multiplier) for o in (1, 2, 4, 10, 32, 64, 128, 256)]
    np.testing.assert_allclose(got, RATIOS[kernel, multiplier], atol=0.500001e-4, rtol=0)


@pytest.mark.parametrize(("o", "k", "m"), list(product((1, 2, 5, 64), (1, 2, (1, 3), 3), (1, 2, 3, 4, 9))))
def test_where_nothing_is_saved(o, k, m):
    taps = k * k if isinstance(k, int) else k[0] * k[1]
    exact = m * (Fraction(1, o) + Fraction(1, taps))
    np.testing.assert_allclose(complexity.ratio(o, k, m), float(exact), rtol=1e-15)
    if o == 1 or taps == 1 or m >= taps:
        assert exact > 1


def test_ratio_at_the_break_even_points():
    assert complexity.ratio(2, (1, 2)) == 1
    assert complexity.ratio(4, 2, 2) == 1
    assert complexity.ratio(4, 2) == 0.5
    assert complexity.ratio(2, 2, 2) == 1.5


# ---- proof by counting ------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
CONVOLUTIONS = {
    "standard": (Conv2d(3, 4, (2, 3), rng=RNG), (3, 5, 6)),
    "standard, everything": (
        Conv2d(4, 6, (3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2, rng=RNG),
        (4, 5, 4),
    ),
    "depthwise": (DepthwiseConv2d(3, (3, 2), stride=2, padding="same", rng=RNG), (3, 5, 4)),
    "depthwise, M = 2": (DepthwiseConv2d(2, (2, 3), depth_multiplier=2, dilation=2, rng=RNG), (2, 5, 6)),
    "pointwise": (PointwiseConv2d(5, 3, rng=RNG), (5, 4, 2)),
    "dense": (Linear(7, 4, rng=RNG), (7,)),
}


@pytest.mark.parametrize("contraction", ["forward", "dx", "dw"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_counted_multiplications_are_the_formula(name, contraction):
    layer, shape = CONVOLUTIONS[name]
    tally = count(layer, shape, contraction)
    assert tally.multiplications == tally.additions == summary(layer, shape).macs > 0


def test_counted_numbers_compute_the_same_result():
    rng = np.random.default_rng(2)
    x, w = rng.integers(-4, 5, (2, 3, 4, 5)).astype(float), rng.integers(-4, 5, (2, 3, 3, 2)).astype(float)
    tally = complexity.Tally()
    window = resolve_window("test", (4, 5), (3, 2), 1, 1, 1)
    y = standard.naive(counted(x, tally), counted(w, tally), None, window, 1)
    expected = conv2d(x, w, padding=1, impl="im2col")
    np.testing.assert_array_equal([number.value for number in y.ravel()], expected.ravel())
    assert tally.multiplications == 2 * complexity.conv_macs(3, 2, (3, 2), (4, 6))
    assert repr(tally) == "Tally(1,728 multiplications, 1,728 additions)"
    assert repr(y[0, 0, 0, 0]) == f"Counted({expected[0, 0, 0, 0]})"


def _models():
    rng = np.random.default_rng(3)
    body = Sequential(
        DepthwiseSeparableConv2d(4, 4, (3, 2), padding="same", depth_multiplier=2, rng=rng), ReLU6()
    )
    residual = Sequential(
        Conv2d(2, 4, (2, 3), stride=2, rng=rng),
        Residual(body),
        Residual(PointwiseConv2d(4, 3, rng=rng), Sequential(Conv2d(4, 3, 1, rng=rng), BatchNorm2d(3))),
        AvgPool2d((1, 2)),
        MaxPool2d(2, stride=1, padding=1, dilation=2),
        Dropout(0.3, rng=rng),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(3, 5, bias=False, rng=rng),
    )
    return {
        "residual": (residual, (2, 9, 10)),
        "separable": (separable_cnn(2, 3, width=0.125, dropout=0.1, rng=rng), (2, 7, 6)),
        "small": (small_cnn(1, 4, width=0.25, size=8, rng=rng), (1, 8, 8)),
        "v2": (mobilenet_v2(0.1, 2, 3, rng=rng), (2, 9, 7)),
    }


MODELS = _models()


@pytest.mark.parametrize("name", ["residual", "separable", "small"])
def test_counted_multiplications_of_whole_models(name):
    model, shape = MODELS[name]
    total = summary(model, shape)
    tallies = [count(row.layer, row.input).multiplications if row.macs else 0 for row in total.rows]
    assert tallies == [row.macs for row in total.rows]
    assert sum(tallies) == total.macs


# ---- parameters, shapes and bytes against real arrays -----------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_arrays(name):
    model, shape = MODELS[name]
    total = summary(model, shape)
    by_layer: dict[str, int] = {}
    for path, p in model.named_parameters():
        layer, _, _ = path.rpartition(".")
        by_layer[layer] = by_layer.get(layer, 0) + p.value.size
    assert {row.name: row.params for row in total.rows if row.params} == by_layer
    assert total.params == sum(p.value.size for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_arrays(name):
    model, shape = MODELS[name]
    set_impl(model, "im2col")
    rng = np.random.default_rng(4)
    total = summary(model, shape)
    for row in total.rows:
        if not isinstance(row.layer, Residual):
            y = row.layer(rng.standard_normal((1, *row.input)).astype(np.float32))
            assert (y.shape[1:], y.nbytes) == (row.output, row.activation_bytes), row.name
    y = model(rng.standard_normal((1, *shape)).astype(np.float32))
    assert total.output == total.rows[-1].output == y.shape[1:]
    assert total.activation_bytes == sum(row.activation_bytes for row in total.rows)


def test_rows_follow_one_another():
    rows = summary(*MODELS["separable"]).rows
    assert all(later.input == earlier.output for earlier, later in pairwise(rows))


def test_rows_of_a_residual():
    rows = summary(*MODELS["residual"]).rows
    assert [row.name for row in rows if row.name.startswith("2")] == [
        "2.body",
        "2.shortcut.0",
        "2.shortcut.1",
        "2",
    ]
    added = next(row for row in rows if row.name == "2")
    assert (added.kind, added.params, added.macs, added.input, added.output) == (
        "Residual",
        0,
        0,
        (3, 4, 4),
        (3, 4, 4),
    )


def _pointwise(inputs, outputs):
    """A layer whose forward allocates its output and nothing else."""
    return PointwiseConv2d(inputs, outputs, bias=False, rng=np.random.default_rng(5), impl="im2col")


def _allocated(run):
    """Bytes alive after `run`, and the most alive during it, above what was there before; and its result."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = run()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before, result


@pytest.mark.parametrize(
    "model",
    [
        Sequential(_pointwise(5, 2), _pointwise(2, 7), _pointwise(7, 3)),
        Sequential(_pointwise(5, 9), Sequential(_pointwise(9, 2), _pointwise(2, 7), _pointwise(7, 4))),
        Sequential(Sequential(_pointwise(5, 9), _pointwise(9, 8)), _pointwise(8, 1)),
        Sequential(_pointwise(5, 6), Residual(Sequential(_pointwise(6, 9), _pointwise(9, 6)))),
        Sequential(_pointwise(5, 3), Residual(_pointwise(3, 8), _pointwise(3, 8))),
        Sequential(_pointwise(5, 6), Residual(_pointwise(6, 6))),
        Sequential(
            _pointwise(5, 3), Residual(Sequential(_pointwise(3, 20), _pointwise(20, 8)), _pointwise(3, 8))
        ),
        Residual(Residual(Sequential(_pointwise(5, 6), _pointwise(6, 8), _pointwise(8, 5)))),
    ],
)
def test_peak_of_inference_is_measured(model):
    x = np.zeros((1, 5, 160, 140), np.float32)
    _, peak, _ = _allocated(lambda: model(x))
    assert peak + x.nbytes == pytest.approx(summary(model, x.shape[1:]).peak_bytes, rel=0.01)


def test_memory_of_a_training_step_is_measured():
    model = Sequential(_pointwise(5, 8), Sequential(_pointwise(8, 2), ReLU(impl="numpy")), _pointwise(2, 3))
    x = np.zeros((1, 5, 160, 140), np.float32)
    kept, _, result = _allocated(lambda: model.forward(x, train=True))
    assert kept == pytest.approx(summary(model, x.shape[1:]).activation_bytes, rel=0.02)
    assert result[0].shape == (1, 3, 160, 140)


def _small_step_model():
    """Each of the kinds of layer whose output, or input, backward does not read."""
    return Sequential(
        _pointwise(2, 3),
        Residual(Sequential(_pointwise(3, 4), _pointwise(4, 3))),
        Residual(_pointwise(3, 5), _pointwise(3, 5)),
        Dropout(0.3),
        Dropout(0.0),
        Flatten(),
        Linear(5 * 6 * 7, 2, impl="numpy"),
    )


def test_a_training_step_counted_by_hand():
    """Numbers of 4 bytes: what backward reads of each layer's output, and the logits, which the loss reads."""
    pixels = 6 * 7
    read = [
        3 * pixels,  # by the body of the first residual
        4 * pixels,  # by the second layer of that body
        3 * pixels,  # the first sum, by both branches of the second residual
        5 * pixels,  # the second sum, scaled by Dropout, by Linear
        2,  # the logits
    ]
    mask = 5 * pixels  # bytes
    total = summary(_small_step_model(), (2, 6, 7))
    assert total.training_bytes(1) == 4 * sum(read) + mask
    assert total.training_bytes(9) == 9 * total.training_bytes(1)
    chain = Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Linear(4 * 36, 5))
    assert summary(chain, (1, 8, 8)).training_bytes(10) == 10 * 4 * (2 * 4 * 36 + 5), (
        "batch norm and ReLU as one"
    )
    set_impl(chain, "im2col")
    assert summary(chain, (1, 8, 8)).training_bytes(10) == 10 * 4 * (3 * 4 * 36 + 5)
    for batch in (0, -1, 2.0, True):
        with pytest.raises(
            ValueError, match=f"^training_bytes: batch must be an int of at least 1, got {batch}"
        ):
            total.training_bytes(batch)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (_small_step_model(), (2, 6, 7)),
        (MODELS["residual"][0], (2, 190, 160)),
        (MODELS["separable"][0], (2, 140, 120)),
        (small_cnn(1, 4, width=0.25, size=128, rng=0), (1, 128, 128)),
        (MODELS["v2"][0], (2, 180, 140)),
    ],
    ids=["by hand", "residual", "separable", "small", "v2"],
)
@pytest.mark.parametrize("impl", ["im2col", "numba"])
def test_a_training_step_keeps_what_is_counted(model, shape, impl):
    if impl == "numba" and numba.config.DISABLE_JIT:
        pytest.skip("a large batch, number by number")
    model = set_impl(model.copy(), impl)
    batch = 2 if shape[1] > 100 else 2000
    x = np.random.default_rng(0).random((batch, *shape), np.float32)
    model.forward(x, train=True)  # compiles
    kept, _, result = _allocated(lambda: model.forward(x, train=True))
    assert kept == pytest.approx(summary(model, shape).training_bytes(batch), rel=0.02)
    assert len(result[0]) == batch


def test_intensity():
    (row,) = summary(PointwiseConv2d(3, 5, bias=False), (3, 2, 4)).rows
    assert row.traffic_bytes == 4 * (24 + 15 + 40)
    assert row.intensity == 120 / row.traffic_bytes


# ---- known totals -----------------------------------------------------------------------------------------


def test_mobilenet_v1_and_its_twin():
    model = mobilenet_v1(rng=0)
    total = summary(model, (3, 224, 224))
    assert (total.params, total.macs, total.flops) == (4_231_976, 568_740_352, 1_137_480_704)
    pointwise = sum(row.macs for row in total.rows if row.kind == "PointwiseConv2d")
    assert round(100 * pointwise / total.macs, 2) == 94.86
    twin = summary(standard_twin(model, rng=0), (3, 224, 224))
    assert (twin.params, twin.macs) == (29_294_088, 4_867_293_184)


def test_default_models():
    assert summary(separable_cnn(rng=0), (1, 28, 28)).params == 36_298
    assert summary(small_cnn(rng=0), (1, 28, 28)).params == 20_538
    assert summary(mobilenet_v2(rng=0), (3, 224, 224)).params == 3_504_872


def test_a_layer_used_twice_is_stored_once_and_works_twice():
    layer = PointwiseConv2d(3, 3, rng=np.random.default_rng(6))
    total = summary(Sequential(layer, ReLU(), layer), (3, 2, 5))
    assert (total.params, total.macs) == (12, 2 * 90)


# ---- the twin ---------------------------------------------------------------------------------------------


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


# ---- how it looks -----------------------------------------------------------------------------------------


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


# ---- figures ----------------------------------------------------------------------------------------------


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


# ---- errors -----------------------------------------------------------------------------------------------


class Unknown(Layer):
    def forward(self, x, *, train):
        return x, lambda dy: dy


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(3, 4, 3), (28, 28), r"Conv2d: takes \(C, H, W\) of one image, got shape \(28, 28\)"),
        (Conv2d(4, 4, 3, groups=2), (3, 8, 8), r"Conv2d: takes 4 channels, got 3 in shape \(3, 8, 8\)"),
        (Conv2d(3, 4, 3), (1, 3, 8, 8), r"Conv2d: takes \(C, H, W\) of one image, got shape \(1, 3, 8, 8\)"),
        (DepthwiseConv2d(3, 3), (5, 8, 8), r"DepthwiseConv2d: takes 3 channels, got 5"),
        (
            DepthwiseConv2d(3, 5, dilation=2),
            (3, 7, 12),
            "DepthwiseConv2d: kernel 5 with dilation 2 spans 9 > padded height 7: no output position",
        ),
        (PointwiseConv2d(3, 4), (2, 8, 8), "PointwiseConv2d: takes 3 channels, got 2"),
        (Linear(12, 4), (3, 2, 2), r"Linear: takes \(C\) of one image, got shape \(3, 2, 2\)"),
        (Linear(12, 4), (13,), "Linear: takes 12 features, got 13"),
        (BatchNorm2d(3), (4, 2, 2), "BatchNorm2d: takes 3 channels, got 4"),
        (MaxPool2d(3), (2, 2, 5), "MaxPool2d: kernel 3 with dilation 1 spans 3 > padded height 2"),
        (AvgPool2d(2), (4,), r"AvgPool2d: takes \(C, H, W\)"),
        (GlobalAvgPool2d(), (4,), r"GlobalAvgPool2d: takes \(C, H, W\)"),
        (
            Residual(PointwiseConv2d(3, 4)),
            (3, 2, 2),
            r"Residual: the body gives \(4, 2, 2\), the shortcut \(3, 2, 2\)",
        ),
        (ReLU(), (), r"summary: shape must be \(C, H, W\), ints of at least 1, got \(\)"),
        (ReLU(), (3, 0, 2), r"summary: shape must be .* got \(3, 0, 2\)"),
        (ReLU(), (3, 2.0, 2), r"summary: shape must be .* got \(3, 2.0, 2\)"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        summary(Sequential(layer), shape)


def test_a_layer_without_a_formula():
    with pytest.raises(TypeError, match=r"cost: no formula for Unknown: register one with @cost.register"):
        summary(Sequential(ReLU(), Unknown()), (3, 2, 2))


def test_errors_of_the_others():
    with pytest.raises(TypeError, match="count: ReLU has no multiply-adds"):
        count(ReLU(), (3, 2, 2))
    with pytest.raises(ValueError, match="count: contraction must be one of forward, dx, dw, got 'db'"):
        count(Linear(3, 2), (3,), "db")
    with pytest.raises(ValueError, match="conv_macs: groups 2 must divide input channels 3"):
        complexity.conv_macs(3, 4, 3, (5, 5), groups=2)
    with pytest.raises(ValueError, match="ratio: out_channels must be at least 1, got 0"):
        complexity.ratio(0, 3)
    with pytest.raises(ValueError, match=r"compare: not a twin: 6 stages .* the twin has 3 "):
        compare(separable_cnn(rng=0), small_cnn(rng=0), (1, 28, 28))
