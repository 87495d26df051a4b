"""Sequential, Residual and Concat: a small network with everything in it, tiers, order; what they refuse."""

from typing import final

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, is_channels_last, normal, settled
from small_models import network

from npdsconv.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    PointwiseConv2d,
    Pullback,
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


def branches(impl="im2col"):
    """Three branches of 4, 5 and 3 channels, the last of them the input itself."""
    return set_impl(
        settled(
            Concat(
                Conv2d(3, 4, (3, 2), padding="same", rng=1),
                Sequential(PointwiseConv2d(3, 5, bias=False, rng=2), BatchNorm2d(5), ReLU()),
                Sequential(),
            )
        ),
        impl,
    )


def test_concat_puts_its_branches_side_by_side_and_adds_their_gradients():
    layer, x, dy = branches(), normal(2, 3, 4, 5), normal(2, 12, 4, 5, seed=1)
    first, second, _ = layer.branches
    y = layer.forward(x, train=True)[0]
    expected = [branch.forward(x, train=True)[0] for branch in layer.branches]
    np.testing.assert_array_equal(y, np.concatenate(expected, axis=1))
    dx, grads = gradients(layer, x, dy)
    parts = [
        gradients(first, x, dy[:, :4]),
        gradients(second, x, dy[:, 4:9]),
        (dy[:, 9:], {}),
    ]
    np.testing.assert_allclose(dx, sum(part[0] for part in parts), 1e-12)
    assert list(grads) == ["branches.0.weight", "branches.0.bias"] + [
        f"branches.1.{name}" for name in ("0.weight", "1.weight", "1.bias")
    ]
    assert_same_gradients(
        (dx, grads),
        (dx, {f"branches.{k}.{name}": g for k, part in enumerate(parts) for name, g in part[1].items()}),
    )
    np.testing.assert_allclose(layer(x), layer.forward(x, train=False)[0], 1e-12)


@pytest.mark.parametrize("impl", ["loops", "numba"])
def test_concat_in_all_tiers(impl):
    x, dy = normal(2, 3, 4, 5), normal(2, 12, 4, 5, seed=1)
    reference, other = branches(), branches(impl)
    expected = gradients(reference, x, dy)
    found = gradients(other, x, dy)
    assert_same_gradients(found, expected, 1e-10, 1e-10)
    np.testing.assert_allclose(other(x), reference(x), 1e-10)
    for array in (other(x), found[0]):
        assert is_channels_last(array)


def test_concat_without_dx_asks_its_branches_for_none():
    asked = []

    @final
    class Asked(Layer):
        def forward(self, x, *, train):
            def backward(dy, dx):
                asked.append((dy.copy(), dx))
                return dy

            return 2 * x, Pullback(backward)

    x, dy = normal(2, 3, 4, 5), normal(2, 6, 4, 5, seed=1)
    for dx in (True, False):
        _, back = Concat(Asked(), Asked()).forward(x, train=True)
        back(dy, dx=dx)
    assert [wanted for _, wanted in asked] == [True, True, False, False]
    np.testing.assert_array_equal(asked[2][0], dy[:, :3])
    np.testing.assert_array_equal(asked[3][0], dy[:, 3:])


def test_concat_takes_rows_too():
    x = normal(5, 2).astype(np.float32)
    layer = Concat(Linear(2, 3, impl="numpy"), Sequential(), Linear(2, 4, impl="numpy"))
    y, back = layer.forward(x, train=True)
    np.testing.assert_array_equal(y[:, 3:5], x)
    dy = normal(5, 9, seed=1).astype(np.float32)
    weights = layer.branches[0].weight.value, layer.branches[2].weight.value
    np.testing.assert_allclose(
        back(dy), dy[:, :3] @ weights[0] + dy[:, 3:5] + dy[:, 5:] @ weights[1], 1e-4, 1e-5
    )


def test_concat_shows_its_branches():
    assert repr(Concat(ReLU(impl="im2col"), Sequential(Dropout(0.25)))) == "\n".join(
        [
            "Concat(",
            "  (0): ReLU(impl='im2col')",
            "  (1): Sequential(",
            "    (0): Dropout(p=0.25)",
            "  )",
            ")",
        ]
    )


@pytest.mark.parametrize("call", [lambda layer, x: layer(x), lambda layer, x: layer.forward(x, train=True)])
def test_concat_wants_equal_images(call):
    layer = Concat(PointwiseConv2d(3, 4), Conv2d(3, 5, 2)).astype(np.float64)
    message = (
        r"Concat: branch 0 gives shape \(2, 4, 5, 6\), branch 1 \(2, 5, 4, 5\): only channels may differ"
    )
    with pytest.raises(ValueError, match=message):
        call(set_impl(layer, "im2col"), normal(2, 3, 5, 6))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Concat(), ValueError, "Concat: at least one branch is needed"),
        (lambda: Concat(ReLU(), None), TypeError, "Concat: branch 1 must be a Layer, got NoneType"),
        (lambda: Concat([ReLU()]), TypeError, "Concat: branch 0 must be a Layer, got list"),
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
