"""Parameters, shapes and bytes of each layer against real arrays; known totals; what does not fit."""

import tracemalloc
from itertools import pairwise

import numba
import numpy as np
import pytest
from small_models import MODELS

from npdsconv import complexity
from npdsconv.complexity import compare, count, summary
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.models import mobilenet_v1, mobilenet_v2, separable_cnn, small_cnn, standard_twin


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
        Concat(_pointwise(5, 6), Sequential(_pointwise(5, 9), _pointwise(9, 2)), _pointwise(5, 4)),
        Sequential(_pointwise(5, 6), Concat(_pointwise(6, 3), Sequential()), _pointwise(9, 2)),
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
        (MODELS["branches"][0], (2, 141, 122)),
        (small_cnn(1, 4, width=0.25, size=128, rng=0), (1, 128, 128)),
        (MODELS["v2"][0], (2, 180, 140)),
    ],
    ids=["by hand", "residual", "separable", "branches", "small", "v2"],
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
        (Conv1d(3, 4, 3), (3, 8, 8), r"Conv1d: takes \(C, L\) of one image, got shape \(3, 8, 8\)"),
        (Conv1d(3, 4, 3), (2, 8), r"Conv1d: takes 3 channels, got 2 in shape \(2, 8\)"),
        (
            DepthwiseConv1d(3, 5),
            (3, 4),
            "DepthwiseConv1d: kernel 5 with dilation 1 spans 5 > padded width 4: no output position",
        ),
        (ConvTranspose2d(3, 4, 3), (2, 8, 8), "ConvTranspose2d: takes 3 channels, got 2"),
        (
            ConvTranspose2d(3, 4, 1, padding=2),
            (3, 4, 8),
            "ConvTranspose2d: padding .* takes all of the output",
        ),
        (PointwiseConv2d(3, 4), (2, 8, 8), "PointwiseConv2d: takes 3 channels, got 2"),
        (Linear(12, 4), (3, 2, 2), r"Linear: takes \(C\) of one image, got shape \(3, 2, 2\)"),
        (Linear(12, 4), (13,), "Linear: takes 12 features, got 13"),
        (BatchNorm2d(3), (4, 2, 2), "BatchNorm2d: takes 3 channels, got 4"),
        (MaxPool2d(3), (2, 2, 5), "MaxPool2d: kernel 3 with dilation 1 spans 3 > padded height 2"),
        (AvgPool2d(2), (4,), r"AvgPool2d: takes \(C, H, W\)"),
        (GlobalAvgPool2d(), (4,), r"GlobalAvgPool2d: takes \(C, H, W\)"),
        (
            Concat(PointwiseConv2d(3, 4), Conv2d(3, 4, 2)),
            (3, 2, 3),
            r"Concat: branch 0 gives \(4, 2, 3\), branch 1 \(4, 1, 2\): only channels may differ",
        ),
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
