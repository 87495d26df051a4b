"""Models: published parameter counts, output shapes, scaling, and the standard twin."""

import numpy as np
import pytest

from npdsconv.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    LeakyReLU,
    Linear,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.models import mobilenet_v1, mobilenet_v2, separable_cnn, small_cnn, standard_twin

MODELS = (separable_cnn, small_cnn, mobilenet_v1, mobilenet_v2)
with_models = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def count(model):
    return sum(p.value.size for p in model.parameters())


def logits(model, x):
    """By NumPy, so that the test needs no compiler."""
    return set_impl(model, "im2col")(x)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (separable_cnn, 36_298),
        (lambda: standard_twin(separable_cnn()), 278_890),
        (small_cnn, 20_538),
        (mobilenet_v1, 4_231_976),
        (mobilenet_v2, 3_504_872),
    ],
    ids=["separable_cnn", "its twin", "small_cnn", "mobilenet_v1", "mobilenet_v2"],
)
def test_parameter_counts(make, parameters):
    assert count(make()) == parameters


@pytest.mark.parametrize(
    ("model", "shape", "classes"),
    [
        (separable_cnn(rng=0), (2, 1, 28, 28), 10),
        (separable_cnn(3, 7, width=0.5, dropout=0.2, rng=0), (2, 3, 13, 18), 7),
        (small_cnn(rng=0), (2, 1, 28, 28), 10),
        (small_cnn(2, 5, size=14, width=0.5, rng=0), (3, 2, 14, 14), 5),
        (mobilenet_v1(0.25, 1, 10, rng=0), (2, 1, 33, 38), 10),
        (mobilenet_v2(0.25, 4, 6, dropout=0.2, rng=0), (2, 4, 33, 38), 6),
    ],
    ids=lambda value: "",
)
def test_images_become_logits(model, shape, classes):
    y = logits(model, images(*shape))
    assert y.shape == (shape[0], classes)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.ptp(y, axis=0).min() > 0, "different images give different logits"


@with_models
def test_channels_and_classes(make):
    model = make(in_channels=5, classes=12)
    assert model[0].weight.value.shape[1] == 5
    assert model[-1].weight.value.shape[0] == model[-1].bias.value.size == 12


@with_models
def test_a_seed_makes_the_model(make):
    a, b, c, d = (make(width=0.25, rng=rng).state_dict() for rng in (3, np.random.default_rng(3), 4, None))
    weights = [name for name in a if name.endswith("weight") and a[name].ndim > 1]
    assert len(weights) >= 3
    assert a.keys() == b.keys() == c.keys() == d.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    for name in weights:
        assert not np.array_equal(a[name], c[name]), name
        assert not np.array_equal(a[name], d[name]), name


@pytest.mark.parametrize(
    ("width", "millions"), [(0.35, 1.66), (0.5, 1.95), (0.75, 2.61), (1.0, 3.47), (1.3, 5.34), (1.4, 6.06)]
)
def test_mobilenet_v2_has_the_published_sizes(width, millions):
    """The authors' table counts no parameters of batch norm: two for each channel."""
    model = mobilenet_v2(width)
    norms = sum(2 * len(layer.weight.value) for layer in model.modules() if isinstance(layer, BatchNorm2d))
    assert round((count(model) - norms) / 1e6, 2) == millions


def widths(model):
    """Output channels of each convolution of the chain, residuals entered."""
    found = []
    for layer in model.modules():
        if isinstance(layer, DepthwiseSeparableConv2d):
            found.append(len(layer.pointwise.weight.value))
        elif isinstance(layer, Conv2d):
            found.append(len(layer.weight.value))
    return found


def test_the_width_multiplier():
    assert widths(separable_cnn()) == [32, 64, 64, 128, 128]
    assert widths(separable_cnn(width=0.25)) == [8, 16, 16, 32, 32]
    assert widths(small_cnn(width=1.5)) == [24, 48]
    v1 = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert widths(mobilenet_v1()) == v1
    assert widths(mobilenet_v1(0.5)) == [c // 2 for c in v1]
    v2 = [32, 16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    assert widths(mobilenet_v2()) == v2
    assert widths(mobilenet_v2(0.5)) == [16, 8, *[12 // 8 * 8 + 8] * 2, *(c // 2 for c in v2[4:])]
    assert all(c % 8 == 0 for c in widths(mobilenet_v2(0.3)))
    assert min(widths(separable_cnn(width=0.001))) == 1


@pytest.mark.parametrize(("width", "last"), [(0.5, 1280), (1.0, 1280), (1.4, 1792)])
def test_mobilenet_v2_narrows_everything_but_its_last_layer(width, last):
    assert mobilenet_v2(width, classes=3)[-1].weight.value.shape == (3, last)


def test_mobilenet_v2_adds_where_shapes_allow():
    model = mobilenet_v2()
    assert sum(isinstance(layer, Residual) for layer in model) == 10
    strides = [l.stride for l in model.modules() if hasattr(l, "stride")]
    assert strides.count((2, 2)) == 5
    for block in (l for l in model.modules() if isinstance(l, DepthwiseSeparableConv2d)):
        assert isinstance(block.mid_activation, ReLU6)
        assert block.activation is None, "the bottleneck is linear"


def test_dropout_comes_before_the_dense_layer():
    for make in (separable_cnn, mobilenet_v1, mobilenet_v2):
        plain, dropping = make(width=0.25), make(width=0.25, dropout=0.35)
        assert not any(isinstance(layer, Dropout) for layer in plain)
        assert isinstance(dropping[-2], Dropout)
        assert dropping[-2].p == 0.35
        assert len(dropping) == len(plain) + 1


@with_models
def test_every_parameter_has_a_gradient(make):
    model = set_impl(make(width=0.25, in_channels=1, classes=4, rng=0), "im2col")
    x = images(3, 1, 28, 28)
    y, backward = model.forward(x, train=True)
    dx = backward(np.random.default_rng(1).standard_normal(y.shape, np.float32))
    assert dx.shape == x.shape
    for name, p in model.named_parameters():
        assert np.isfinite(p.grad).all(), name
        assert p.grad.any(), name


# ---- the twin ----


def test_the_twin_of_a_block():
    block = DepthwiseSeparableConv2d(
        3, 8, (3, 5), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), depth_multiplier=2,
        activation="relu6", impl="im2col",
    )  # fmt: skip
    block.bn2.running_mean.value[...] = np.arange(8)
    convolution, norm, activation = twin = standard_twin(Sequential(block), rng=0)
    assert convolution.weight.value.shape == (8, 3, 3, 5)
    assert convolution.bias is None
    assert convolution.impl == "im2col"
    np.testing.assert_array_equal(norm.running_mean.value, np.arange(8))
    assert norm.running_mean is not block.bn2.running_mean
    assert isinstance(activation, ReLU6)
    for x in (images(2, 3, 9, 12), images(1, 3, 4, 10)):
        assert logits(twin, x).shape == logits(block, x).shape


def test_the_twin_without_batch_norm():
    block = DepthwiseSeparableConv2d(3, 4, 3, batch_norm=False, activation=None)
    (convolution,) = standard_twin(Sequential(block))
    assert isinstance(convolution, Conv2d)
    assert convolution.bias.value.shape == (4,)


def test_the_twin_goes_into_residuals_and_keeps_the_rest():
    def block(stride):
        return DepthwiseSeparableConv2d(4, 4, 3, stride=stride, padding=1, rng=np.random.default_rng(0))

    model = Sequential(
        Conv2d(2, 4, 3, rng=np.random.default_rng(0)),
        ReLU(),
        Residual(Sequential(block(1), block(1))),
        Residual(block(2), Sequential(block(1), block(2))),
        PointwiseConv2d(4, 3, rng=np.random.default_rng(0)),
    )
    twin = standard_twin(model, rng=1)
    assert not any(isinstance(layer, DepthwiseSeparableConv2d) for layer in twin.modules())
    assert sum(isinstance(layer, Conv2d) for layer in twin.modules()) == 6
    assert [type(layer) for layer in twin] == [type(layer) for layer in model]
    for k in (0, 4):
        np.testing.assert_array_equal(twin[k].weight.value, model[k].weight.value)
        assert twin[k].weight is not model[k].weight
    x = images(2, 2, 9, 12)
    assert logits(twin, x).shape == logits(model, x).shape == (2, 3, 4, 5)


def test_the_twin_goes_into_branches():
    block = DepthwiseSeparableConv2d(2, 3, 3, padding=1, rng=0)
    plain = PointwiseConv2d(2, 4, rng=0)
    (twin,) = standard_twin(Sequential(Concat(block, Sequential(), plain)), rng=1)
    assert [[type(layer) for layer in branch] for branch in twin.branches] == [
        [Conv2d, BatchNorm2d, ReLU],
        [],
        [PointwiseConv2d],
    ]
    copied = twin.branches[2][0].weight
    np.testing.assert_array_equal(copied.value, plain.weight.value)
    assert copied is not plain.weight
    assert twin(np.ones((1, 2, 4, 5), np.float32)).shape == (1, 9, 4, 5)


def test_the_twin_of_the_default_model():
    model = separable_cnn(rng=0)
    before = model.state_dict()
    twin, same, other = (standard_twin(model, rng=seed) for seed in (1, 1, 2))
    assert widths(twin) == widths(model)
    x = images(2, 1, 28, 28)
    features, twin_features = logits(model[:-3], x), logits(twin[:-3], x)
    assert features.shape == twin_features.shape == (2, 128, 7, 7)
    np.testing.assert_array_equal(logits(twin, x), logits(same, x))
    assert not np.array_equal(logits(twin, x), logits(other, x))
    np.testing.assert_array_equal(twin[-1].weight.value, model[-1].weight.value)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg="the model itself is left alone")


def test_models_end_in_a_dense_layer_and_normalise_after_every_convolution():
    for make in MODELS:
        model = make(width=0.25)
        assert isinstance(model[-1], Linear)
        for layer, after in zip(model, list(model)[1:], strict=False):
            if isinstance(layer, Conv2d | PointwiseConv2d):
                assert layer.bias is None
                assert isinstance(after, BatchNorm2d)


@pytest.mark.parametrize("make", [mobilenet_v1, mobilenet_v2])
def test_mobilenets_can_be_those_of_another_framework(make):
    """Padding, eps, momentum and activation reach every layer, and no two places share an activation."""
    how = {"padding": "same", "eps": 1e-3, "momentum": 0.01, "activation": LeakyReLU(0.2)}
    model = make(0.25, classes=5, **how, rng=0)
    parts = list(model.modules())
    norms = [part for part in parts if isinstance(part, BatchNorm2d)]
    assert len(norms) > 20
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    convolutions = [part for part in parts if isinstance(part, Conv2d | DepthwiseConv2d)]
    assert {part.padding for part in convolutions} == {"same"}
    activations = [part for part in parts if isinstance(part, LeakyReLU)]
    assert len(set(map(id, activations))) == len(activations) > 20
    assert not any(isinstance(part, ReLU | ReLU6) for part in parts)
    assert count(model) == count(make(0.25, classes=5))
    assert logits(model, images(2, 3, 32, 32)).shape == (2, 5)
