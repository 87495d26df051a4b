"""Layers: they plumb every argument to the op, remember by closure, accumulate, freeze, and forget."""

import tracemalloc
import weakref
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

from npdsconv import layers, ops
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
    pullback,
    set_impl,
)


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def settled(layer, seed=1):
    """The layer in float64, with every parameter and statistic moved off its initial value."""
    rng = np.random.default_rng(seed)
    layer.astype(np.float64)
    for _, slot in [*layer.named_parameters(), *layer.named_buffers()]:
        if slot.value.dtype == np.float64:
            slot.value += 0.3 * rng.random(slot.value.shape)
    return layer


def gradients(layer, x, dy, train=True):
    """(dx, {name: gradient}) of one pass, from zero."""
    for p in layer.parameters():
        p.grad[...] = 0
    dx = layer.forward(x, train=train)[1](dy)
    return dx, {name: p.grad.copy() for name, p in layer.named_parameters()}


def assert_same_gradients(actual, expected, rtol=1e-12, atol=1e-12):
    np.testing.assert_allclose(actual[0], expected[0], rtol, atol, err_msg="dx")
    assert actual[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        np.testing.assert_allclose(actual[1][name], gradient, rtol, atol, err_msg=name)


# ---- every layer is its op ----


class Case(NamedTuple):
    """A layer with no argument at its default, the shape it takes, and its op by hand."""

    make: object
    shape: tuple
    forward: object  # (layer, x) -> y
    backward: object  # (layer, dy, x) -> (dx, *gradients in the order of the parameters)


WINDOW = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "impl": "im2col"}
POOL = {"stride": (1, 2), "padding": (1, 0), "impl": "im2col"}


def _statistics(layer, x):
    return ops.batch_norm2d(x, layer.weight.value, layer.bias.value, eps=1e-3, impl="numpy")[1:]


def _keep(layer, x, passes=0):
    """The mask of a given training pass."""
    counter = int(layer.counter.value[0])
    layer.counter.value[...] = passes
    mask = layer._mask(x.shape)
    layer.counter.value[...] = counter
    return mask


CASES = {
    "conv2d": Case(
        lambda: Conv2d(4, 6, (3, 2), groups=2, rng=np.random.default_rng(0), **WINDOW),
        (3, 4, 6, 5),
        lambda l, x: ops.conv2d(x, l.weight.value, l.bias.value, groups=2, **WINDOW),
        lambda l, dy, x: ops.conv2d_backward(dy, x, l.weight.value, groups=2, **WINDOW),
    ),
    "depthwise_conv2d": Case(
        lambda: DepthwiseConv2d(3, (2, 3), depth_multiplier=2, rng=np.random.default_rng(0), **WINDOW),
        (2, 3, 6, 5),
        lambda l, x: ops.depthwise_conv2d(x, l.weight.value, l.bias.value, **WINDOW),
        lambda l, dy, x: ops.depthwise_conv2d_backward(dy, x, l.weight.value, **WINDOW),
    ),
    "pointwise_conv2d": Case(
        lambda: PointwiseConv2d(3, 4, rng=np.random.default_rng(0), impl="im2col"),
        (2, 3, 6, 5),
        lambda l, x: ops.pointwise_conv2d(x, l.weight.value, l.bias.value, impl="im2col"),
        lambda l, dy, x: ops.pointwise_conv2d_backward(dy, x, l.weight.value, impl="im2col"),
    ),
    "linear": Case(
        lambda: Linear(6, 4, rng=np.random.default_rng(0), impl="numpy"),
        (3, 6),
        lambda l, x: ops.linear(x, l.weight.value, l.bias.value, impl="numpy"),
        lambda l, dy, x: ops.linear_backward(dy, x, l.weight.value, impl="numpy"),
    ),
    "batch_norm2d": Case(
        lambda: BatchNorm2d(3, eps=1e-3, momentum=0.3, impl="numpy"),
        (2, 3, 6, 5),
        lambda l, x: ops.batch_norm2d(x, l.weight.value, l.bias.value, eps=1e-3, impl="numpy")[0],
        lambda l, dy, x: ops.batch_norm2d_backward(
            dy, x, l.weight.value, *_statistics(l, x), eps=1e-3, impl="numpy"
        ),
    ),
    "relu": Case(
        lambda: ReLU(impl="numpy"),
        (2, 3, 6, 5),
        lambda l, x: ops.relu(x, impl="numpy"),
        lambda l, dy, x: (ops.relu_backward(dy, x, impl="numpy"),),
    ),
    "relu6": Case(
        lambda: ReLU6(impl="numpy"),
        (2, 3, 6, 5),
        lambda l, x: ops.relu6(x, impl="numpy"),
        lambda l, dy, x: (ops.relu6_backward(dy, x, impl="numpy"),),
    ),
    "max_pool2d": Case(
        lambda: MaxPool2d((3, 2), dilation=(1, 2), **POOL),
        (2, 3, 6, 5),
        lambda l, x: ops.max_pool2d(x, (3, 2), dilation=(1, 2), **POOL),
        lambda l, dy, x: (ops.max_pool2d_backward(dy, x, (3, 2), dilation=(1, 2), **POOL),),
    ),
    "avg_pool2d": Case(
        lambda: AvgPool2d((3, 2), count_include_pad=False, **POOL),
        (2, 3, 6, 5),
        lambda l, x: ops.avg_pool2d(x, (3, 2), count_include_pad=False, **POOL),
        lambda l, dy, x: (ops.avg_pool2d_backward(dy, x, (3, 2), count_include_pad=False, **POOL),),
    ),
    "global_avg_pool2d": Case(
        GlobalAvgPool2d,
        (2, 3, 6, 5),
        lambda l, x: ops.global_avg_pool2d(x),
        lambda l, dy, x: (ops.global_avg_pool2d_backward(dy, x),),
    ),
    "flatten": Case(
        Flatten,
        (2, 3, 6, 5),
        lambda l, x: x.reshape(2, 90),
        lambda l, dy, x: (dy.reshape(2, 3, 6, 5),),
    ),
    "dropout": Case(
        lambda: Dropout(0.4, rng=np.random.default_rng(0)),
        (2, 3, 6, 5),
        lambda l, x: ops.dropout(x, _keep(l, x), 0.4),
        lambda l, dy, x: (ops.dropout_backward(dy, _keep(l, x), 0.4),),
    ),
}
with_cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@with_cases
def test_a_layer_is_its_op(case):
    layer, x = settled(case.make()), 4 * normal(*case.shape)
    y, backward = layer.forward(x, train=True)
    np.testing.assert_array_equal(y, case.forward(layer, x))
    dy = normal(*y.shape, seed=2)
    dx = backward(dy)
    expected = case.backward(layer, dy, x)
    np.testing.assert_array_equal(dx, expected[0])
    for p, gradient in zip(layer.parameters(), expected[1:], strict=True):
        assert np.abs(gradient).max() > 0.01
        np.testing.assert_array_equal(p.grad, gradient)


@with_cases
def test_gradients_add_to_what_is_there(case):
    layer, x = settled(case.make()), normal(*case.shape)
    y, _ = layer.forward(x, train=True)
    dys = normal(2, *y.shape, seed=3)
    first, second = (gradients(layer, x, dy)[1] for dy in dys)
    grads = [p.grad for p in layer.parameters()]
    for grad in grads:
        grad[...] = 7
    for dy in dys:
        layer.forward(x, train=True)[1](dy)
    for (name, p), grad in zip(layer.named_parameters(), grads, strict=True):
        np.testing.assert_allclose(p.grad, 7 + first[name] + second[name], 1e-12)
        assert p.grad is grad, "the array itself is added to: others may hold it"


@with_cases
def test_a_pullback_is_used_once_and_lets_go(case):
    layer, x = case.make().astype(np.float64), normal(*case.shape)
    alive = weakref.ref(x)
    y, backward = layer.forward(x, train=True)
    dy = normal(*y.shape, seed=4)
    del x, y
    backward(dy)
    assert alive() is None, "backward still holds the layer's input"
    with pytest.raises(RuntimeError, match="backward was called a second time: a pullback is used once"):
        backward(dy)


@with_cases
def test_nothing_is_written_to_arguments(case):
    layer, x = settled(case.make()), normal(*case.shape)
    x.flags.writeable = False
    y, backward = layer.forward(x, train=True)
    dy = normal(*y.shape, seed=5)
    dy.flags.writeable = False
    backward(dy)
    layer(x)


@with_cases
def test_outside_training_there_is_a_pullback_too(case):
    """Checked against central differences: y is a function of x alone, statistics and masks are constants."""
    layer, x = settled(case.make()), normal(*case.shape)
    state = layer.state_dict()
    y, backward = layer.forward(x, train=False)
    dy, direction = normal(*y.shape, seed=6), normal(*x.shape, seed=7)
    numeric = ((layer(x + 1e-6 * direction) - layer(x - 1e-6 * direction)) * dy).sum() / 2e-6
    np.testing.assert_allclose((backward(dy) * direction).sum(), numeric, 1e-6)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, state[name], err_msg=f"evaluation changed {name}")


# ---- a small network with everything in it ----


def network(impl="im2col", seed=0):
    """Float64; input (N, 2, 7, 6), output (N, 3)."""
    rng = np.random.default_rng(seed)
    model = Sequential(
        Conv2d(2, 4, (3, 2), padding=1, bias=False, rng=rng),
        BatchNorm2d(4),
        ReLU(),
        DepthwiseSeparableConv2d(4, 5, (2, 3), stride=(2, 1), padding=1, depth_multiplier=2, rng=rng),
        Residual(
            Sequential(
                DepthwiseSeparableConv2d(5, 5, 3, padding=1, activation=None, mid_activation="relu6", rng=rng)
            )
        ),
        Dropout(0.3, rng=rng),
        Residual(MaxPool2d(2), Sequential(AvgPool2d(2), PointwiseConv2d(5, 5, rng=rng), ReLU6())),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(5, 3, rng=rng),
    )
    return set_impl(settled(model), impl)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("impl", ["naive", "numba"])
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
    assert set(tiers.values()) == {"naive", "numpy"}
    assert set_impl(model, "numba") is model
    assert {layer.impl for layer in model.modules() if hasattr(layer, "impl")} == {"numba"}
    assert {"Conv2d", "DepthwiseConv2d", "PointwiseConv2d", "Linear", "BatchNorm2d"} <= tiers.keys()
    with pytest.raises(ValueError, match="set_impl: impl must be one of naive, im2col, numba, got 'numpy'"):
        set_impl(model, "numpy")


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


# ---- freezing ----


@with_cases
def test_a_frozen_layer_lets_the_gradient_through(case):
    layer, x = settled(case.make()), normal(*case.shape)
    assert layer.freeze() is layer
    before = {name: p.value.copy() for name, p in layer.named_parameters()}
    y, backward = layer.forward(x, train=True)
    dx = backward(normal(*y.shape, seed=8))
    assert np.abs(dx).max() > 0
    for name, p in layer.named_parameters():
        assert not p.trainable
        assert not p.grad.any(), name
        np.testing.assert_array_equal(p.value, before[name])


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


def test_frozen_batch_norm_uses_its_running_statistics_and_keeps_them():
    x, dy = normal(4, 3, 2, 5), normal(4, 3, 2, 5, seed=1)
    layer = settled(BatchNorm2d(3, impl="numpy")).freeze()
    state = layer.state_dict()
    y, backward = layer.forward(x, train=True)
    mean, var = (layer.running_mean.value, layer.running_var.value)
    scale = layer.weight.value / np.sqrt(var + 1e-5)
    column = partial(np.reshape, shape=(3, 1, 1))
    np.testing.assert_allclose(y, (x - column(mean)) * column(scale) + column(layer.bias.value), 1e-12)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)
    layer.unfreeze().forward(5 * x + 3, train=True)  # moves the statistics, which the pullback must not see
    np.testing.assert_allclose(backward(dy), dy * column(scale), 1e-12)


# ---- batch norm's running statistics ----


def test_running_statistics_by_hand():
    """Channel 0: 1 2 3 6, mean 3, unbiased variance 14/3. Channel 1: 0 0 4 4, mean 2 and 16/3."""
    layer = BatchNorm2d(2, momentum=0.1, impl="numpy").astype(np.float64)
    x = np.array([[1.0, 0], [2, 0], [3, 4], [6, 4]]).reshape(4, 2, 1, 1)
    layer.forward(x, train=True)
    np.testing.assert_allclose(layer.running_mean.value, [0.3, 0.2], 1e-12)
    np.testing.assert_allclose(layer.running_var.value, [0.9 + 1.4 / 3, 0.9 + 1.6 / 3], 1e-12)
    layer.forward(-x, train=True)
    np.testing.assert_allclose(layer.running_mean.value, [0.27 - 0.3, 0.18 - 0.2], 1e-12)
    np.testing.assert_allclose(layer.running_var.value, [0.81 + 0.19 * 14 / 3, 0.81 + 0.19 * 16 / 3], 1e-12)
    expected = (x[:, 0] + 0.03) / np.sqrt(0.81 + 0.19 * 14 / 3 + 1e-5)
    np.testing.assert_allclose(layer(x)[:, 0], expected, 1e-12)


@pytest.mark.parametrize("impl", ["numpy", "numba"])
def test_batch_norm_is_pytorchs(impl):
    torch = pytest.importorskip("torch")
    ours = settled(BatchNorm2d(3, eps=1e-3, momentum=0.3, impl=impl))
    theirs = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.3).double()
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state | {"num_batches_tracked": torch.tensor(0)})
    for seed in range(3):
        x, dy = 2 + 3 * normal(4, 3, 2, 5, seed=seed), normal(4, 3, 2, 5, seed=seed + 10)
        tx = torch.tensor(x, requires_grad=True)
        ty = theirs(tx)
        theirs.zero_grad()
        ty.backward(torch.tensor(dy))
        dx, grads = gradients(ours, x, dy)
        expected = {"weight": theirs.weight.grad.numpy(), "bias": theirs.bias.grad.numpy()}
        assert_same_gradients((dx, grads), (tx.grad.numpy(), expected), 1e-9, 1e-9)
        np.testing.assert_allclose(ours.running_mean.value, theirs.running_mean.numpy(), 1e-12)
        np.testing.assert_allclose(ours.running_var.value, theirs.running_var.numpy(), 1e-12)
    x = torch.tensor(normal(4, 3, 2, 5, seed=20))
    np.testing.assert_allclose(ours(x.numpy()), theirs.eval()(x).detach().numpy(), 1e-9)


# ---- dropout ----


@pytest.mark.parametrize("shape", [(40, 250), (10, 8, 5, 25)])
def test_dropout_drops_its_share_and_scales_the_rest(shape):
    layer, x = Dropout(0.3, rng=np.random.default_rng(0)), normal(*shape)
    y, backward = layer.forward(x, train=True)
    dropped = y == 0
    assert abs(dropped.mean() - 0.3) < 0.02  # 4.4 standard deviations of 10,000 draws
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.7, 1e-12)
    dy = normal(*shape, seed=1)
    np.testing.assert_allclose(backward(dy), np.where(dropped, 0, dy / 0.7), 1e-12)
    for axis in range(len(shape)):  # no axis along which the mask repeats
        assert dropped.any(axis).any()
        assert not dropped.all(axis).any() or shape[axis] < 10


def test_dropouts_mask_is_a_function_of_key_and_counter():
    x = np.ones((6, 50), np.float32)
    layer = Dropout(0.5, rng=np.random.default_rng(1))
    start = layer.state_dict()
    masks = [layer.forward(x, train=True)[0] for _ in range(3)]
    assert int(layer.counter.value[0]) == 3
    assert not any(np.array_equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    twin = Dropout(0.5, rng=np.random.default_rng(2))
    assert not np.array_equal(twin.forward(x, train=True)[0], masks[0])
    twin.load_state_dict(start)
    for mask in masks:
        np.testing.assert_array_equal(twin.forward(x, train=True)[0], mask)
    layer.load_state_dict(start)
    layer.counter.value[0] = 2
    np.testing.assert_array_equal(layer.forward(x, train=True)[0], masks[2])


def test_dropout_is_off_in_evaluation_and_for_p_zero():
    x, dy = normal(3, 4), normal(3, 4, seed=1)
    for layer, train in ((Dropout(0.9), False), (Dropout(0.0), True)):
        y, backward = layer.forward(x, train=train)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(backward(dy), dy)
        assert layer.counter.value[0] == 0


# ---- sequential, residual ----


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
    model = Sequential(Linear(2, 3, impl="numpy"), Residual(Sequential(ReLU(impl="numpy"))), Dropout(0.25))
    assert repr(model) == "\n".join(
        [
            "Sequential(",
            "  (0): Linear(impl='numpy', weight=(3, 2), bias=(3,))",
            "  (1): Residual(body=Sequential(",
            "    (0): ReLU(impl='numpy')",
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


# ---- state ----


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
        (lambda s: s.pop("9.bias"), r"load_state_dict: 1 names missing \['9.bias'\], 0 unknown"),
        (
            lambda s: s.update(extra=s["9.bias"]),
            r"load_state_dict: 0 names missing \[\], 1 unknown \['extra'\]",
        ),
        (
            lambda s: s.update({"9.bias": np.zeros(4)}),
            r"load_state_dict: 9.bias has shape \(4,\), the model's is \(3,\)",
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


# ---- what is kept in memory ----


class Probe(Layer):
    """y = 2x; notes how many of all the outputs before are still alive when it runs, forward and backward."""

    def __init__(self, log):
        self.log = [log]  # in a list, so that it is not taken for a child

    def forward(self, x, *, train):
        log = self.log[0]
        log.note()
        y = 2 * x
        log.outputs.append(weakref.ref(y))

        @pullback
        def backward(dy):
            log.note()
            return dy + 0 * x

        return y, backward


class Log:
    def __init__(self):
        self.outputs, self.alive = [], []

    def note(self):
        self.alive.append(sum(output() is not None for output in self.outputs))


def test_inference_holds_two_activations():
    """Each probe sees its own input alive and nothing else: with its output that makes two."""
    log = Log()
    y = Sequential(*(Probe(log) for _ in range(6)))(normal(3, 4))
    assert log.alive == [0, 1, 1, 1, 1, 1]
    assert [output() is y for output in log.outputs] == [False] * 5 + [True]


def test_inference_through_blocks_holds_a_blocks_input_besides():
    log = Log()
    body = Sequential(Probe(log), Probe(log), Probe(log))
    Sequential(Probe(log), Residual(body, Sequential(Probe(log), Probe(log))), Probe(log), body)(normal(3, 4))
    assert max(log.alive) == 3
    log = Log()
    block = DepthwiseSeparableConv2d(3, 4, 3)
    for name in ("depthwise", "bn1", "mid_activation", "pointwise", "bn2", "activation"):
        setattr(block, name, Probe(log))
    Sequential(Probe(log), block)(normal(3, 4))
    assert log.alive == [0, 1, 2, 2, 2, 2, 2]


def test_training_holds_all_until_the_pullbacks_let_go_one_by_one():
    log = Log()
    model = Sequential(Probe(log), Probe(log), Residual(Sequential(Probe(log), Probe(log))), Probe(log))
    y, backward = model.forward(normal(3, 4), train=True)
    dy = normal(*y.shape, seed=1)
    del y
    assert log.alive == [0, 1, 2, 3, 3]  # a body's last output is not kept once it is added
    log.alive.clear()
    backward(dy)
    assert log.alive == [3, 3, 2, 1, 0]


def test_inference_by_the_allocator():
    """Eight outputs of a megabyte each: two at a time in inference, all eight where a pullback waits."""
    model = Sequential(*(ReLU(impl="numpy") for _ in range(8)))
    x = normal(1 << 17)

    def peak(run):
        tracemalloc.start()
        try:
            kept = run()
            return tracemalloc.get_traced_memory()[1] / x.nbytes, kept
        finally:
            tracemalloc.stop()

    assert peak(lambda: model(x))[0] < 2.1
    assert peak(lambda: model.forward(x, train=False))[0] > 7.9


# ---- the separable block ----


def test_the_blocks_steps():
    block = DepthwiseSeparableConv2d(3, 4, 3)
    assert [type(step) for step in block._steps()] == [
        DepthwiseConv2d,
        BatchNorm2d,
        ReLU,
        PointwiseConv2d,
        BatchNorm2d,
        ReLU,
    ]
    assert block.depthwise.bias is block.pointwise.bias is None
    plain = DepthwiseSeparableConv2d(3, 4, 3, batch_norm=False, mid_activation=None, activation="relu6")
    assert [type(step) for step in plain._steps()] == [DepthwiseConv2d, PointwiseConv2d, ReLU6]
    assert plain.depthwise.bias.value.shape == (3,)
    assert plain.pointwise.bias.value.shape == (4,)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_blocks_bias_can_be_chosen(batch_norm, bias):
    block = DepthwiseSeparableConv2d(3, 4, 3, batch_norm=batch_norm, bias=bias)
    assert (block.depthwise.bias is not None) == (block.pointwise.bias is not None) == bias


@pytest.mark.parametrize("impl", ["im2col", "numba"])
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("mid_activation", [None, "relu", "relu6"])
def test_the_block_is_its_ops(mid_activation, activation, impl):
    cut = {None: lambda x: x, "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6)}
    how = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}
    block = settled(
        DepthwiseSeparableConv2d(
            3,
            4,
            (3, 2),
            depth_multiplier=2,
            batch_norm=False,
            mid_activation=mid_activation,
            activation=activation,
            impl=impl,
            **how,
        )
    )
    x = 9 * normal(2, 3, 6, 5)
    first, second = block.depthwise, block.pointwise
    d = ops.depthwise_conv2d(x, first.weight.value, first.bias.value, impl="im2col", **how)
    assert d.shape == (2, 6, 3, 6)
    p = np.einsum("oc,ncij->noij", second.weight.value, cut[mid_activation](d))
    p += second.bias.value.reshape(4, 1, 1)
    np.testing.assert_allclose(block(x), cut[activation](p), 1e-10, 1e-10)


@pytest.mark.parametrize("train", [True, False])
def test_the_block_is_pytorchs(train):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
    ours = settled(DepthwiseSeparableConv2d(3, 4, (3, 2), depth_multiplier=2, impl="im2col", **how))
    theirs = nn.Sequential(
        nn.Conv2d(3, 6, (3, 2), groups=3, bias=False, **how),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
    ).double()
    theirs.train(train)
    matches = (
        (ours.depthwise, theirs[0]),
        (ours.bn1, theirs[1]),
        (ours.pointwise, theirs[3]),
        (ours.bn2, theirs[4]),
    )
    for mine, other in matches:
        for name, value in mine.state_dict().items():
            tensor = getattr(other, name).data
            tensor.copy_(torch.tensor(value).reshape(tensor.shape))
    x = normal(3, 3, 7, 6)
    tx = torch.tensor(x, requires_grad=True)
    ty = theirs(tx)
    dy = normal(*ty.shape, seed=1)
    ty.backward(torch.tensor(dy))
    y, backward = ours.forward(x, train=train)
    np.testing.assert_allclose(y, ty.detach().numpy(), 1e-9, 1e-9)
    np.testing.assert_allclose(backward(dy), tx.grad.numpy(), 1e-9, 1e-9)
    for mine, other in matches:
        for name, p in mine.named_parameters():
            gradient = getattr(other, name).grad.numpy()
            np.testing.assert_allclose(p.grad, gradient.reshape(p.grad.shape), 1e-9, 1e-9)
        for name, b in mine.named_buffers():
            np.testing.assert_allclose(b.value, getattr(other, name).numpy(), 1e-9, 1e-9)


# ---- constructor errors ----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d(0, 3, 3), ValueError, "Conv2d: in_channels must be an int of at least 1, got 0"),
        (lambda: Conv2d(3, 2.0, 3), ValueError, "Conv2d: out_channels must be an int of at least 1, got 2.0"),
        (lambda: Conv2d(4, 6, 3, groups=3), ValueError, "Conv2d: .*groups.* 3"),
        (lambda: Conv2d(4, 6, (3, 0)), ValueError, r"Conv2d: kernel_size must be at least 1, got \(3, 0\)"),
        (lambda: Conv2d(4, 6, "3"), ValueError, "Conv2d: kernel_size must be an int or a pair of ints"),
        (lambda: Conv2d(4, 6, 3, impl="cuda"), ValueError, "Conv2d: impl must be one of .*, got 'cuda'"),
        (lambda: DepthwiseConv2d(True, 3), ValueError, "DepthwiseConv2d: in_channels .* got True"),
        (
            lambda: DepthwiseConv2d(3, 3, depth_multiplier=0),
            ValueError,
            "DepthwiseConv2d: depth_multiplier must be an int of at least 1, got 0",
        ),
        (lambda: DepthwiseConv2d(3, 3, impl="x"), ValueError, "DepthwiseConv2d: impl must be one of"),
        (lambda: DepthwiseConv2d(3, (1, 2, 3)), ValueError, "DepthwiseConv2d: kernel_size must be"),
        (lambda: PointwiseConv2d(3, -1), ValueError, "PointwiseConv2d: out_channels must be .*, got -1"),
        (lambda: PointwiseConv2d(3, 4, impl="x"), ValueError, "PointwiseConv2d: impl must be one of"),
        (lambda: Linear(0, 4), ValueError, "Linear: in_features must be an int of at least 1, got 0"),
        (lambda: Linear(3, 4, impl="im2col"), ValueError, "Linear: impl must be one of numpy, numba"),
        (lambda: BatchNorm2d(-2), ValueError, "BatchNorm2d: num_features must be .*, got -2"),
        (lambda: BatchNorm2d(2, impl="x"), ValueError, "BatchNorm2d: impl must be one of numpy, numba"),
        (lambda: ReLU(impl="x"), ValueError, "ReLU: impl must be one of numpy, numba, got 'x'"),
        (lambda: ReLU6(impl="x"), ValueError, "ReLU6: impl must be one of numpy, numba, got 'x'"),
        (lambda: MaxPool2d(2, impl="x"), ValueError, "MaxPool2d: impl must be one of"),
        (lambda: AvgPool2d(2, impl="x"), ValueError, "AvgPool2d: impl must be one of"),
        (lambda: Dropout(1.0), ValueError, r"Dropout: p must be in \[0, 1\), got 1.0"),
        (lambda: Dropout(-0.1), ValueError, r"Dropout: p must be in \[0, 1\), got -0.1"),
        (lambda: Dropout(float("nan")), ValueError, r"Dropout: p must be in \[0, 1\), got nan"),
        (lambda: Sequential(ReLU(), np.tanh), TypeError, "Sequential: item 1 must be a Layer, got ufunc"),
        (lambda: Sequential([ReLU()]), TypeError, "Sequential: item 0 must be a Layer, got list"),
        (lambda: Residual([ReLU()]), TypeError, "Residual: body and shortcut must be Layers, got list and"),
        (
            lambda: Residual(ReLU(), 1),
            TypeError,
            "Residual: body and shortcut must be Layers, got ReLU and int",
        ),
        (
            lambda: DepthwiseSeparableConv2d(3, 4, 3, mid_activation="gelu"),
            ValueError,
            "DepthwiseSeparableConv2d: mid_activation must be one of relu, relu6, got 'gelu'",
        ),
        (
            lambda: DepthwiseSeparableConv2d(3, 4, 3, activation=""),
            ValueError,
            "DepthwiseSeparableConv2d: activation must be one of relu, relu6, got ''",
        ),
        (lambda: DepthwiseSeparableConv2d(3, 0, 3), ValueError, "PointwiseConv2d: out_channels must be"),
        (lambda: DepthwiseSeparableConv2d(3, 4, 3, impl="x"), ValueError, "impl must be one of"),
        (Layer, TypeError, "abstract"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_layers_are_made_the_same_from_the_same_generator():
    for make in (
        lambda rng: Conv2d(2, 3, 3, rng=rng),
        lambda rng: DepthwiseConv2d(2, 3, rng=rng),
        lambda rng: PointwiseConv2d(2, 3, rng=rng),
        lambda rng: Linear(2, 3, rng=rng),
        lambda rng: DepthwiseSeparableConv2d(2, 3, 3, rng=rng),
        lambda rng: Dropout(0.5, rng=rng),
    ):
        a, b, c = (make(np.random.default_rng(seed)).state_dict() for seed in (1, 1, 2))
        assert all(np.array_equal(a[name], b[name]) for name in a)
        assert not all(np.array_equal(a[name], c[name]) for name in a)
    fresh = [Linear(2, 3).weight.value for _ in range(2)]
    assert not np.array_equal(*fresh), "without a generator every layer draws for itself"


def test_every_layer_is_exported():
    final = {cls.__name__ for cls in Layer.__subclasses__() if cls.__module__.startswith("npdsconv.")}
    assert final <= set(layers.__all__)
    assert len(final) == 15
