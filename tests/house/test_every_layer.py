"""Every layer is its op: it plumbs every argument, adds to gradients, remembers by closure, and forgets."""

import inspect
import weakref
from abc import ABC
from typing import NamedTuple

import numpy as np
import pytest
from helpers import gradients, normal, settled

from npdsconv import layers, ops
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
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
    SqueezeExcite,
    Upsample2d,
)


class Case(NamedTuple):
    """A layer with no argument at its default, the shape it takes, and its op by hand."""

    make: object
    shape: tuple
    forward: object  # (layer, x) -> y
    backward: object  # (layer, dy, x) -> (dx, *gradients in the order of the parameters)


WINDOW = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "impl": "im2col"}
ROW = {"stride": 2, "padding": (2, 1), "dilation": 3, "impl": "im2col"}
IMAGE = {"stride": (1, 2), "padding": ((0, 0), (2, 1)), "dilation": (1, 3), "impl": "im2col"}
POOL = {"stride": (1, 2), "padding": (1, 0), "impl": "im2col"}


def _row(x):
    return x[:, :, None]


def _lines(gradients):
    dx, dw, db = gradients
    return dx[:, :, 0], dw[:, :, 0], db


def _statistics(layer, x):
    return ops.batch_norm2d(x, layer.weight.value, layer.bias.value, eps=1e-3, impl="numpy")[1:]


def _keep(layer, x, passes=0):
    """The mask of a given training pass."""
    counter = int(layer.counter.value[0])
    layer.counter.value[...] = passes
    mask = layer._mask(x.shape)
    layer.counter.value[...] = counter
    return mask


def _excitation(layer, x):
    """The numbers of the channels, and all that lies before them."""
    weights, how = (layer.reduce, layer.expand), {"impl": "im2col"}
    z = ops.global_avg_pool2d(x, **how)
    u = ops.pointwise_conv2d(z, weights[0].weight.value, weights[0].bias.value, **how)
    a = ops.hard_swish(u, **how)
    v = ops.pointwise_conv2d(a, weights[1].weight.value, weights[1].bias.value, **how)
    return z, u, a, v, ops.sigmoid(v, **how)


def _excitation_backward(layer, dy, x):
    (z, u, a, v, s), how = _excitation(layer, x), {"impl": "im2col"}
    straight, ds = ops.scale_channels_backward(dy, x, s, **how)
    dv = ops.sigmoid_backward(ds, v, **how)
    da, dw2, db2 = ops.pointwise_conv2d_backward(dv, a, layer.expand.weight.value, **how)
    du = ops.hard_swish_backward(da, u, **how)
    dz, dw1, db1 = ops.pointwise_conv2d_backward(du, z, layer.reduce.weight.value, **how)
    return straight + ops.global_avg_pool2d_backward(dz, x, **how), dw1, db1, dw2, db2


CASES = {
    "conv2d": Case(
        lambda: Conv2d(4, 6, (3, 2), groups=2, rng=np.random.default_rng(0), **WINDOW),
        (3, 4, 6, 5),
        lambda l, x: ops.conv2d(x, l.weight.value, l.bias.value, groups=2, **WINDOW),
        lambda l, dy, x: ops.conv2d_backward(dy, x, l.weight.value, groups=2, **WINDOW),
    ),
    "conv_transpose2d": Case(
        lambda: ConvTranspose2d(4, 6, (3, 2), groups=2, rng=np.random.default_rng(0), **WINDOW),
        (3, 4, 6, 5),
        lambda l, x: ops.conv_transpose2d(x, l.weight.value, l.bias.value, groups=2, **WINDOW),
        lambda l, dy, x: ops.conv_transpose2d_backward(dy, x, l.weight.value, groups=2, **WINDOW),
    ),
    "depthwise_conv2d": Case(
        lambda: DepthwiseConv2d(3, (2, 3), depth_multiplier=2, rng=np.random.default_rng(0), **WINDOW),
        (2, 3, 6, 5),
        lambda l, x: ops.depthwise_conv2d(x, l.weight.value, l.bias.value, **WINDOW),
        lambda l, dy, x: ops.depthwise_conv2d_backward(dy, x, l.weight.value, **WINDOW),
    ),
    "conv1d": Case(
        lambda: Conv1d(4, 6, 3, groups=2, rng=0, **ROW),
        (3, 4, 9),
        lambda l, x: ops.conv2d(_row(x), _row(l.weight.value), l.bias.value, groups=2, **IMAGE)[:, :, 0],
        lambda l, dy, x: _lines(
            ops.conv2d_backward(_row(dy), _row(x), _row(l.weight.value), groups=2, **IMAGE)
        ),
    ),
    "depthwise_conv1d": Case(
        lambda: DepthwiseConv1d(3, 3, depth_multiplier=2, rng=0, **ROW),
        (2, 3, 9),
        lambda l, x: ops.depthwise_conv2d(_row(x), _row(l.weight.value), l.bias.value, **IMAGE)[:, :, 0],
        lambda l, dy, x: _lines(
            ops.depthwise_conv2d_backward(_row(dy), _row(x), _row(l.weight.value), **IMAGE)
        ),
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
    "upsample2d": Case(
        lambda: Upsample2d((2, 3), impl="im2col"),
        (2, 3, 4, 5),
        lambda l, x: ops.upsample2d(x, (2, 3), impl="im2col"),
        lambda l, dy, x: (ops.upsample2d_backward(dy, x, (2, 3), impl="im2col"),),
    ),
    "global_avg_pool2d": Case(
        GlobalAvgPool2d,
        (2, 3, 6, 5),
        lambda l, x: ops.global_avg_pool2d(x),
        lambda l, dy, x: (ops.global_avg_pool2d_backward(dy, x),),
    ),
    "squeeze_excite": Case(
        lambda: SqueezeExcite(3, 2, activation="hard_swish", gate="sigmoid", rng=0, impl="im2col"),
        (2, 3, 6, 5),
        lambda l, x: ops.scale_channels(x, _excitation(l, x)[-1], impl="im2col"),
        lambda l, dy, x: _excitation_backward(l, dy, x),
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


def test_layers_are_made_the_same_from_the_same_generator():
    for make in (
        lambda rng: Conv2d(2, 3, 3, rng=rng),
        lambda rng: ConvTranspose2d(2, 3, 3, rng=rng),
        lambda rng: DepthwiseConv2d(2, 3, rng=rng),
        lambda rng: PointwiseConv2d(2, 3, rng=rng),
        lambda rng: Conv1d(2, 3, 3, rng=rng),
        lambda rng: DepthwiseConv1d(2, 3, rng=rng),
        lambda rng: Linear(2, 3, rng=rng),
        lambda rng: DepthwiseSeparableConv2d(2, 3, 3, rng=rng),
        lambda rng: SqueezeExcite(3, 2, rng=rng),
        lambda rng: Dropout(0.5, rng=rng),
    ):
        a, b, c = (make(np.random.default_rng(seed)).state_dict() for seed in (1, 1, 2))
        assert all(np.array_equal(a[name], b[name]) for name in a)
        assert not all(np.array_equal(a[name], c[name]) for name in a)
    fresh = [Linear(2, 3).weight.value for _ in range(2)]
    assert not np.array_equal(*fresh), "without a generator every layer draws for itself"


def test_every_layer_is_exported():
    below = [*Layer.__subclasses__(), *layers.activations.Activation.__subclasses__()]
    own = [cls for cls in below if cls.__module__.startswith("npdsconv.")]
    final = {cls.__name__ for cls in own if not inspect.isabstract(cls) and ABC not in cls.__bases__}
    assert final <= set(layers.__all__)
    assert len(final) > 15
