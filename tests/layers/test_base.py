"""What every layer inherits: pullbacks in any order, shared and frozen parameters, state, dtype, copies."""

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, normal, settled
from small_models import network

from npdsconv.layers import DepthwiseSeparableConv2d, Layer, Linear, ReLU, ReLU6, Sequential


@pytest.mark.parametrize("train", [True, False])
def test_passes_in_between_do_no_harm(train):
    x, other, dy = normal(3, 2, 7, 6), normal(2, 2, 7, 6, seed=1), normal(3, 3, seed=2)
    expected = gradients(network(), x, dy)
    model = network()
    _, backward = model.forward(x, train=True)
    model(other)
    model.forward(other, train=train)
    dx = backward(dy)
    assert_same_gradients((dx, {name: p.grad for name, p in model.named_parameters()}), expected)


def test_two_passes_may_be_pulled_back_in_any_order():
    xs, dys = normal(2, 3, 2, 7, 6), normal(2, 3, 3, seed=1)
    model = network()
    first, second = (model.forward(x, train=True)[1] for x in xs)
    dx_second, dx_first = second(dys[1]), first(dys[0])
    total = {name: p.grad.copy() for name, p in model.named_parameters()}
    fresh = network()
    one = gradients(fresh, xs[0], dys[0])
    two = gradients(fresh, xs[1], dys[1])
    assert_same_gradients((dx_first, total), (one[0], {n: g + two[1][n] for n, g in one[1].items()}))
    np.testing.assert_allclose(dx_second, two[0], 1e-12)


def test_a_layer_used_twice_has_the_summed_gradient():
    x, dy = normal(2, 4, 5, 6), normal(2, 4, 5, 6, seed=1)
    shared = settled(DepthwiseSeparableConv2d(4, 4, 3, padding=1, batch_norm=False, impl="im2col"))
    dx, grads = gradients(Sequential(shared, ReLU6(impl="numpy"), shared), x, dy)
    twins = shared.copy(), shared.copy()
    dx_twins = gradients(Sequential(twins[0], ReLU6(impl="numpy"), twins[1]), x, dy)[0]
    np.testing.assert_allclose(dx, dx_twins, 1e-12)
    for (name, p), a, b in zip(
        shared.named_parameters(), twins[0].parameters(), twins[1].parameters(), strict=True
    ):
        assert np.abs(a.grad).max() > 0.01
        np.testing.assert_allclose(p.grad, a.grad + b.grad, 1e-12)
        np.testing.assert_array_equal(grads[f"0.{name}"], grads[f"2.{name}"])


def test_a_layer_used_twice_is_one_set_of_parameters():
    shared = Linear(3, 3)
    model = Sequential(shared, ReLU(), shared)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model.parameters() == [shared.weight, shared.bias]
    copy = model.copy()
    assert copy[0] is copy[2]
    assert copy[0] is not shared


def test_freezing_a_part_changes_no_other_gradient():
    x, dy = normal(3, 2, 7, 6), normal(3, 3, seed=1)
    dx, expected = gradients(network(), x, dy)
    model = network()
    for part in (model[0], model[3].depthwise, model[6], model[9]):
        part.freeze()
    frozen = {name for name, p in model.named_parameters() if not p.trainable}
    assert frozen == {
        "0.weight",
        "3.depthwise.weight",
        "6.shortcut.1.weight",
        "6.shortcut.1.bias",
        "9.weight",
        "9.bias",
    }
    wanted = {n: np.zeros_like(g) if n in frozen else g for n, g in expected.items()}
    assert_same_gradients(gradients(model, x, dy), (dx, wanted))
    model.unfreeze()
    model.load_state_dict(network().state_dict())
    assert_same_gradients(gradients(model, x, dy), (dx, expected))


def test_only_the_bias_frozen():
    layer, x, dy = settled(Linear(4, 3, impl="numpy")), normal(5, 4), normal(5, 3, seed=1)
    layer.bias.trainable = False
    layer.forward(x, train=True)[1](dy)
    np.testing.assert_allclose(layer.weight.grad, dy.T @ x, 1e-12)
    assert not layer.bias.grad.any()


def test_state_has_dotted_names():
    names = list(network().state_dict())
    assert len(names) == len(set(names))
    assert {
        "0.weight",
        "1.running_mean",
        "3.depthwise.weight",
        "3.bn1.running_mean",
        "3.pointwise.weight",
        "3.bn2.bias",
        "4.body.0.bn2.running_var",
        "5.key",
        "5.counter",
        "6.shortcut.1.weight",
        "9.bias",
    } <= set(names)


class Branches(Layer):
    """A layer of one's own that keeps its parts in every kind of container."""

    def __init__(self):
        self.pair = (Linear(3, 2, rng=1), ReLU())
        self.named = {"left": Linear(3, 2, rng=2), "right": [Linear(3, 2, rng=3, bias=False)]}
        self.sizes = (3, 2)

    def forward(self, x, *, train):
        raise NotImplementedError


def test_parts_in_tuples_dicts_and_nested_lists_are_found():
    layer = Branches()
    names = ["pair.0.weight", "pair.0.bias", "named.left.weight", "named.left.bias", "named.right.0.weight"]
    assert [name for name, _ in layer.named_parameters()] == names
    assert [type(m).__name__ for m in layer.modules()] == ["Branches", "Linear", "ReLU", "Linear", "Linear"]
    state = {name: value + 1 for name, value in layer.state_dict().items()}
    layer.load_state_dict(state)
    np.testing.assert_array_equal(layer.named["right"][0].weight.value, state["named.right.0.weight"])
    assert not any(p.trainable for p in layer.freeze().parameters())
    assert layer.astype("float64").named["left"].bias.value.dtype == np.float64


def test_state_makes_the_round_trip():
    x, dy = normal(3, 2, 7, 6), normal(3, 3, seed=1)
    source, target = network(seed=1), network(seed=2)
    source.forward(x, train=True)
    state = source.state_dict()
    assert np.abs(source(x) - target(x)).max() > 0.01
    target.load_state_dict(state)
    np.testing.assert_array_equal(target(x), source(x))
    np.testing.assert_array_equal(
        target.forward(x, train=True)[0], source.forward(x, train=True)[0], err_msg="dropout's mask"
    )
    for value in state.values():
        value[...] = 0
    assert np.abs(source(x)).max() > 0.01, "state_dict shares memory with the model"
    assert np.abs(target(x)).max() > 0.01, "load_state_dict shares memory with the state"
    assert np.abs(gradients(target, x, dy)[0]).max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("9.bias"), r"load_state_dict: missing '9\.bias', unexpected nothing"),
        (
            lambda s: s.update(extra=s["9.bias"]),
            r"load_state_dict: missing nothing, unexpected 'extra'",
        ),
        (
            lambda s: s.update({"9.bias": np.zeros(4)}),
            r"load_state_dict: 9\.bias has shape \(4,\), not \(3,\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    model, state = network(seed=1), network(seed=2).state_dict()
    before = model.state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_astype_casts_all_that_is_a_float():
    model = network()
    assert model.astype(np.float32) is model
    for p in model.parameters():
        assert p.value.dtype == p.grad.dtype == np.float32
    dtypes = {name: b.value.dtype for name, b in model.named_buffers()}
    assert dtypes.pop("5.key") == dtypes.pop("5.counter") == np.uint64
    assert set(dtypes.values()) == {np.dtype(np.float32)}
    x = normal(3, 2, 7, 6).astype(np.float32)
    y, backward = model.forward(x, train=True)
    assert y.dtype == backward(y).dtype == np.float32
    with pytest.raises(TypeError, match="astype: dtype must be float32 or float64, got float16"):
        model.astype(np.float16)


def test_a_copy_shares_nothing():
    model, x = network(), normal(3, 2, 7, 6)
    copy = model.copy()
    before = model(x)
    for slot in (*copy.parameters(), *(b for _, b in copy.named_buffers())):
        slot.value[...] = 1
    np.testing.assert_array_equal(model(x), before)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Layer, TypeError, "abstract"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
