"""Batch norm folded into convolutions: the same outputs, and what can and cannot be folded."""

import numpy as np
import pytest
from helpers import compiled

from npdsconv import checkpoint, gradcheck
from npdsconv.complexity import summary
from npdsconv.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Layer,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.models import (
    fold_batch_norm,
    mobilenet_v1,
    mobilenet_v2,
    separable_cnn,
    small_cnn,
    standard_twin,
)


def shaken(model, seed=0, dtype=np.float64):
    """The model with random running statistics, batch norm weights and biases, none of them near their defaults."""
    rng = np.random.default_rng(seed)
    for layer in model.modules():
        if isinstance(layer, BatchNorm2d):
            c = layer.weight.value.size
            layer.weight.value = rng.uniform(0.5, 1.5, c) * rng.choice([-1, 1], c)
            layer.bias.value, layer.running_mean.value = rng.normal(0, 0.5, (2, c))
            layer.running_var.value = rng.uniform(0.3, 2, c)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.value = rng.normal(0, 0.5, layer.bias.value.shape)
    return set_impl(model.astype(dtype), "im2col")


def norms(model):
    return sum(isinstance(layer, BatchNorm2d) for layer in model.modules())


def close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def conv(*sizes, **options):
    return Conv2d(*sizes, rng=np.random.default_rng(7), **options)


def depthwise(*sizes, **options):
    return DepthwiseConv2d(*sizes, rng=np.random.default_rng(8), **options)


@pytest.mark.parametrize(
    "model",
    [
        separable_cnn(2, 5, width=0.5, dropout=0.3, rng=0),
        small_cnn(2, 5, width=0.5, size=12, rng=0),
        mobilenet_v1(0.25, 2, 5, rng=0),
        mobilenet_v2(0.35, 2, 5, rng=0),
        standard_twin(mobilenet_v2(0.35, 2, 5, rng=0), rng=1),
    ],
    ids=["separable_cnn", "small_cnn", "mobilenet_v1", "mobilenet_v2", "twin"],
)
def test_folding_leaves_the_outputs_alone(model):
    shaken(model)
    x = np.random.default_rng(1).standard_normal((3, 2, 12, 12))
    before, y = model.state_dict(), model(x)
    folded = fold_batch_norm(model)
    assert norms(model) > 0
    assert norms(folded) == 0
    assert isinstance(folded, Sequential)
    assert np.ptp(y, axis=0).min() > 0
    close(folded(x), y)
    for p in folded.parameters():
        p.value += 1
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg="the model itself is left alone")
    np.testing.assert_array_equal(model(x), y)


@pytest.mark.parametrize(
    "first",
    [
        conv(4, 6, (3, 2), stride=2, padding=((1, 0), (2, 1)), groups=2),
        conv(4, 6, 3, padding="same", bias=False),
        depthwise(4, 3, depth_multiplier=3, padding=1, dilation=2),
        depthwise(4, (2, 3), depth_multiplier=2, bias=False),
        PointwiseConv2d(4, 5, rng=np.random.default_rng(9)),
        DepthwiseSeparableConv2d(4, 5, 3, depth_multiplier=2, batch_norm=False, activation=None, padding=1),
    ],
    ids=["grouped", "no bias", "M = 3", "M = 2, no bias", "pointwise", "linear block"],
)
def test_folding_into_every_kind_of_convolution(first):
    x = np.random.default_rng(2).standard_normal((2, 4, 9, 8))
    c = shaken(first.copy())(x).shape[1]
    for chain in (
        Sequential(first.copy(), BatchNorm2d(c, eps=0.1), BatchNorm2d(c), ReLU()),
        Sequential(Sequential(first.copy()), Sequential(BatchNorm2d(c, eps=0.1), Sequential(ReLU()))),
    ):
        shaken(chain)
        folded = fold_batch_norm(chain)
        assert [type(layer) for layer in folded] == [type(first), ReLU]
        close(folded(x), chain(x))


@pytest.mark.parametrize("impl", ["im2col", "naive"])
def test_a_folded_block_is_an_ordinary_block_with_biases(impl):
    settings = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "depth_multiplier": 2}
    settings |= {"mid_activation": "relu6", "activation": None}
    block = shaken(DepthwiseSeparableConv2d(3, 8, (3, 5), **settings))
    folded = fold_batch_norm(set_impl(block, impl))
    assert type(folded) is DepthwiseSeparableConv2d
    plain = DepthwiseSeparableConv2d(3, 8, (3, 5), batch_norm=False, bias=True, impl=impl, **settings)
    plain.astype(np.float64).load_state_dict(folded.state_dict())
    assert repr(plain) == repr(folded)
    assert [vars(step).get("impl") for step in plain.steps()] == [
        vars(step).get("impl") for step in folded.steps()
    ]
    x = np.random.default_rng(3).standard_normal((2, 3, 6, 9))
    np.testing.assert_array_equal(plain(x), folded(x))
    close(folded(x), block(x))


class Shift(Layer):
    """Somebody's own layer, with a batch norm inside."""

    def __init__(self):
        self.inner = Sequential(conv(3, 3, 1), BatchNorm2d(3))

    def forward(self, x, *, train):
        y, backward = self.inner.forward(x, train=train)
        return y + 1, backward


@pytest.mark.parametrize("outputs", [5, 70, 135])
def test_an_image_alone_is_computed_in_pieces_to_the_same_bits(outputs):
    block = DepthwiseSeparableConv2d(
        13, outputs, 3, padding=1, mid_activation="relu6", rng=np.random.default_rng(0)
    )
    x = np.random.default_rng(1).standard_normal((6, 13, 7, 6))
    block = shaken(block)
    folded = fold_batch_norm(block)
    whole = folded(x)
    close(whole, block(x))
    for count in (1, 2, 3, 4, 5):
        np.testing.assert_array_equal(folded(x[:count]), whole[:count])


def test_what_follows_no_convolution_stays():
    model = shaken(
        Sequential(
            BatchNorm2d(2),
            conv(2, 3, 3, padding=1),
            ReLU(),
            BatchNorm2d(3),
            Shift(),
            BatchNorm2d(3),
            Residual(Sequential(BatchNorm2d(3), conv(3, 3, 1))),
            BatchNorm2d(3),
            Residual(Sequential(conv(3, 3, 1), BatchNorm2d(3)), Sequential(conv(3, 3, 1), BatchNorm2d(3))),
        )
    )
    folded = fold_batch_norm(model)
    kinds = [BatchNorm2d, Conv2d, ReLU, BatchNorm2d, Shift, BatchNorm2d, Residual, BatchNorm2d, Residual]
    assert [type(layer) for layer in folded] == kinds
    assert norms(model) == norms(folded) + 2
    assert isinstance(folded[8].body, Conv2d)
    assert isinstance(folded[8].shortcut, Conv2d)
    assert folded[4].inner is not model[4].inner
    x = np.random.default_rng(4).standard_normal((2, 2, 5, 6))
    close(folded(x), model(x))
    assert isinstance(fold_batch_norm(BatchNorm2d(3)), BatchNorm2d)


def test_folding_looks_into_branches():
    model = shaken(
        Sequential(
            Concat(
                Sequential(conv(2, 3, 3, padding=1), BatchNorm2d(3), ReLU()),
                Concat(Sequential(conv(2, 2, 1), BatchNorm2d(2)), Sequential()),
                DepthwiseSeparableConv2d(2, 4, 3, padding=1, rng=0),
            ),
            BatchNorm2d(11),
        )
    )
    folded = fold_batch_norm(model)
    assert norms(model) == 5
    assert norms(folded) == 1, "the one that follows no convolution"
    assert isinstance(folded[0].branches[1].branches[0], Conv2d)
    x = np.random.default_rng(8).standard_normal((2, 2, 5, 6))
    close(folded(x), model(x))


def test_an_activation_lies_between_a_block_and_what_follows_it():
    model = shaken(Sequential(DepthwiseSeparableConv2d(2, 3, 3, padding=1), BatchNorm2d(3)))
    folded = fold_batch_norm(model)
    assert norms(folded) == 1
    x = np.random.default_rng(7).standard_normal((2, 2, 5, 6))
    close(folded(x), model(x))


def test_a_layer_used_twice_is_folded_twice():
    shared = conv(3, 3, 1)
    model = shaken(Sequential(shared, BatchNorm2d(3), shared, BatchNorm2d(3), shared))
    x = np.random.default_rng(5).standard_normal((2, 3, 4, 5))
    folded = fold_batch_norm(model)
    assert len(folded) == 3
    close(folded(x), model(x))


def test_a_folded_model_is_an_ordinary_one(tmp_path):
    model = shaken(separable_cnn(width=0.125, rng=0), dtype=np.float32)
    folded = fold_batch_norm(model)
    assert all(p.trainable and p.grad.shape == p.value.shape for p in folded.parameters())
    assert {p.value.dtype for p in folded.parameters()} == {np.dtype(np.float32)}
    assert dict(folded.named_buffers()) == {}
    x = np.random.default_rng(6).random((2, 1, 9, 8), np.float32)
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-4, atol=1e-4)
    checkpoint.save(tmp_path / "folded.npz", model=folded)
    other = set_impl(fold_batch_norm(separable_cnn(width=0.125, rng=1)), "im2col")
    other.load_state_dict(checkpoint.load(tmp_path / "folded.npz").state)
    np.testing.assert_array_equal(other(x), folded(x))
    both = [summary(m, (1, 28, 28)) for m in (model, folded)]
    assert both[0].macs == both[1].macs
    assert both[1].params == both[0].params - count_of_norms(model)


@compiled
def test_a_folded_model_has_right_gradients():
    x = np.random.default_rng(6).random((2, 1, 9, 8))
    report = gradcheck.check(fold_batch_norm(shaken(separable_cnn(width=0.125, rng=0))), x)
    assert report.ok, report


def count_of_norms(model):
    """A batch norm has two numbers for each channel, the bias that takes their place one."""
    return sum(layer.weight.value.size for layer in model.modules() if isinstance(layer, BatchNorm2d))


def test_a_frozen_convolution_stays_frozen():
    folded = fold_batch_norm(Sequential(conv(2, 3, 3).freeze(), BatchNorm2d(3), conv(3, 2, 3)))
    assert [p.trainable for p in folded.parameters()] == [False, False, True, True]


def test_what_cannot_be_folded_is_told():
    with pytest.raises(TypeError, match=r"^fold_batch_norm: model must be a Layer, got list"):
        fold_batch_norm([conv(2, 3, 3)])
    with pytest.raises(
        ValueError,
        match=r"^fold_batch_norm: a batch norm of 4 channels follows a DepthwiseConv2d that gives 6",
    ):
        fold_batch_norm(Sequential(depthwise(3, 3, depth_multiplier=2), BatchNorm2d(4)))
