"""Sequential and Residual: a small network with everything in it, tiers, order; what they refuse."""

from typing import final

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, normal, settled
from small_models import network

from npdsconv.layers import (
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    pullback,
    set_impl,
)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("impl", ["naive", "loops", "numba"])
def test_all_tiers_give_the_same_model(impl, train):
    x, dy = normal(3, 2, 7, 6), normal(3, 3, seed=1)
    reference, other = network("im2col"), network(impl)
    state = reference.state_dict()
    expected, y = gradients(reference, x, dy, train), reference(x)
    assert min(np.abs(g).max() for g in expected[1].values()) > 1e-9
    assert_same_gradients(gradients(other, x, dy, train), expected, 1e-10, 1e-10)
    np.testing.assert_allclose(other(x), y, 1e-10)
    for name, value in reference.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[name], value, 1e-10, err_msg=name)
        moved = "running" in name or "counter" in name
        assert (train and moved) == (not np.array_equal(value, state[name])), name


def test_the_whole_gradient_against_central_differences():
    model, x, dy = network(), normal(3, 2, 7, 6), normal(3, 3, seed=1)
    state = model.state_dict()

    def loss(step):
        model.load_state_dict(state)  # restores dropout's counter: the same mask each time
        for (name, p), direction in zip(model.named_parameters(), directions, strict=True):
            p.value[...] = state[name] + step * direction
        return (model.forward(x + step * along_x, train=True)[0] * dy).sum()

    directions = [normal(*p.value.shape, seed=k) for k, p in enumerate(model.parameters())]
    along_x = normal(*x.shape, seed=99)
    dx, grads = gradients(model, x, dy)
    exact = (dx * along_x).sum() + sum((g * d).sum() for g, d in zip(grads.values(), directions, strict=True))
    np.testing.assert_allclose(exact, (loss(1e-6) - loss(-1e-6)) / 2e-6, 1e-6)


def test_set_impl_reaches_every_layer_and_checks_its_name():
    model = network("naive")
    tiers = {type(layer).__name__: layer.impl for layer in model.modules() if hasattr(layer, "impl")}
    assert set(tiers.values()) == {"naive"}
    assert set_impl(model, "numba") is model
    assert {layer.impl for layer in model.modules() if hasattr(layer, "impl")} == {"numba"}
    assert {"Conv2d", "DepthwiseConv2d", "PointwiseConv2d", "Linear", "BatchNorm2d"} <= tiers.keys()
    with pytest.raises(
        ValueError, match="set_impl: impl must be one of naive, im2col, loops, numba, got 'numpy'"
    ):
        set_impl(model, "numpy")


@final
class Halved(Layer):
    """A user's own layer, with tiers of its own."""

    def __init__(self):
        self.impl = "numba"

    def forward(self, x, *, train):
        return x / 2, pullback(lambda dy: dy / 2)


def test_set_impl_reaches_a_layer_of_your_own():
    own, bare = Halved(), Flatten()
    set_impl(Sequential(Residual(own), bare), "loops")
    assert own.impl == "loops"
    assert "impl" not in vars(bare)


def test_sequential_is_a_sequence():
    model = Sequential(Linear(2, 3, impl="numpy"), ReLU(impl="numpy"), Linear(3, 4, impl="numpy"))
    x = normal(5, 2).astype(np.float32)
    assert len(model) == 3
    assert list(model) == [model[0], model[1], model[2]] == model.layers
    assert model[-1] is model[2]
    head, tail = model[:2], model[2:]
    assert isinstance(head, Sequential)
    assert len(head) == 2
    assert head[0] is model[0]
    np.testing.assert_array_equal(head(x), np.maximum(model[0](x), 0))
    np.testing.assert_array_equal(tail(head(x)), model(x))
    with pytest.raises(IndexError):
        model[3]
    y, backward = Sequential().forward(x, train=True)
    assert y is x
    assert backward(x) is x


def test_sequential_shows_its_layers():
    model = Sequential(Linear(2, 3, impl="im2col"), Residual(Sequential(ReLU(impl="im2col"))), Dropout(0.25))
    assert repr(model) == "\n".join(
        [
            "Sequential(",
            "  (0): Linear(impl='im2col', weight=(3, 2), bias=(3,))",
            "  (1): Residual(body=Sequential(",
            "    (0): ReLU(impl='im2col')",
            "  ), shortcut=None)",
            "  (2): Dropout(p=0.25)",
            ")",
        ]
    )
    block = DepthwiseSeparableConv2d(3, 4, (5, 3), depth_multiplier=2, activation=None)
    steps = "DepthwiseConv2d, BatchNorm2d, ReLU, PointwiseConv2d, BatchNorm2d"
    assert repr(block) == f"DepthwiseSeparableConv2d(3, 4, (5, 3), depth_multiplier=2: {steps})"


def test_sequential_calls_the_layers_inference():
    x = normal(3, 2, 7, 6)
    model = network()
    np.testing.assert_allclose(model(x), model.forward(x, train=False)[0], 1e-12)
    assert np.abs(model(x) - model.forward(x, train=True)[0]).max() > 0.01


def test_residual_adds_its_input():
    body = settled(PointwiseConv2d(3, 3, impl="im2col"))
    x, dy = normal(2, 3, 4, 5), normal(2, 3, 4, 5, seed=1)
    y, backward = Residual(body).forward(x, train=True)
    np.testing.assert_allclose(y, x + body(x), 1e-12)
    np.testing.assert_allclose(backward(dy), dy + body.forward(x, train=True)[1](dy), 1e-12)
    np.testing.assert_allclose(Residual(body)(x), y, 1e-12)


def test_residual_adds_its_shortcut():
    body, shortcut = (settled(PointwiseConv2d(3, 4, impl="im2col"), seed) for seed in (1, 2))
    x, dy = normal(2, 3, 4, 5), normal(2, 4, 4, 5, seed=1)
    block = Residual(body, shortcut)
    y, backward = block.forward(x, train=True)
    np.testing.assert_allclose(y, body(x) + shortcut(x), 1e-12)
    expected = body.forward(x, train=True)[1](dy) + shortcut.forward(x, train=True)[1](dy)
    np.testing.assert_allclose(backward(dy), expected, 1e-12)
    np.testing.assert_allclose(block(x), y, 1e-12)
    names = [name for name, _ in block.named_parameters()]
    assert names == ["body.weight", "body.bias", "shortcut.weight", "shortcut.bias"]


@pytest.mark.parametrize("call", [lambda block, x: block(x), lambda block, x: block.forward(x, train=True)])
def test_residual_wants_equal_shapes(call):
    block = Residual(PointwiseConv2d(3, 4, impl="im2col").astype(np.float64))
    with pytest.raises(
        ValueError, match=r"Residual: the body gives shape \(2, 4, 5, 6\), the shortcut \(2, 3, 5, 6\)"
    ):
        call(block, normal(2, 3, 5, 6))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential(ReLU(), np.tanh), TypeError, "Sequential: item 1 must be a Layer, got ufunc"),
        (lambda: Sequential([ReLU()]), TypeError, "Sequential: item 0 must be a Layer, got list"),
        (lambda: Residual([ReLU()]), TypeError, "Residual: body and shortcut must be Layers, got list and"),
        (
            lambda: Residual(ReLU(), 1),
            TypeError,
            "Residual: body and shortcut must be Layers, got ReLU and int",
        ),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
