"""The gradient checker on layers: state is put back, grad has to accumulate, and the reader's layer stays as it was."""

import numpy as np
import pytest
from helpers import row

from npdsconv.gradcheck import check


class Value:
    def __init__(self, value, trainable=True):
        self.value, self.grad, self.trainable = value, np.zeros_like(value), trainable


class Layer:
    """x·weight, normalised over the batch, with dropout and a running mean: every kind of state."""

    def __init__(self, fault=None):
        rng = np.random.default_rng(8)
        self.weight = Value(rng.standard_normal(5).astype(np.float32))
        self.scale = Value(rng.standard_normal(5).astype(np.float32))
        self.mean = Value(np.zeros(5, np.float32))
        self.counter = Value(np.array(3, np.uint64))
        self.fault = fault
        self.seen = []

    def named_parameters(self):
        yield "weight", self.weight
        yield "norm.scale", self.scale

    def named_buffers(self):
        yield "mean", self.mean
        yield "counter", self.counter

    def astype(self, dtype):
        for value in (self.weight, self.scale, self.mean):
            value.value, value.grad = value.value.astype(dtype), value.grad.astype(dtype)
        return self

    def forward(self, x, *, train):
        u = x * self.weight.value
        mean = u.mean(0) if train else self.mean.value
        sigma = np.sqrt(((u - mean) ** 2).mean(0) + 1e-5) if train else np.ones(5)
        self.mean.value = 0.9 * self.mean.value + 0.1 * u.mean(0)
        keep = np.ones(x.shape)
        if train:
            keep = (np.random.default_rng(int(self.counter.value)).random(x.shape) > 0.3) / 0.7
            self.counter.value += np.uint64(1)
        xhat = (u - mean) / sigma
        y = xhat * self.scale.value * keep

        def backward(dy):
            if self.fault == "writes dy":
                dy *= keep
            d = dy * keep
            dscale = (d * xhat).sum(0)
            d = d * self.scale.value
            d = (d - d.mean(0) - xhat * (d * xhat).mean(0)) / sigma if train else d
            if self.fault == "assigns":
                self.scale.grad[...] = dscale
            elif self.fault == "drops":
                self.scale.grad = None
            elif self.fault == "shape":
                self.scale.grad = self.scale.grad[:, None] + dscale[:, None]
            elif self.fault == "rebinds" or self.scale.trainable or self.fault == "thaws":
                self.scale.grad = self.scale.grad + dscale
            self.weight.grad += (d * x).sum(0)
            return None if self.fault == "no dx" else d * self.weight.value

        if self.fault == "no pullback":
            return y
        return y, backward


LAYER_X = np.random.default_rng(2).standard_normal((7, 5)).astype(np.float32)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("method", ["elements", "directions"])
def test_a_layer_with_every_kind_of_state(train, method):
    report = check(Layer(), LAYER_X, train=train, method=method)
    assert report, report
    assert [r.name for r in report.rows] == ["x", "weight", "norm.scale"]
    assert report.title == "Layer"


def test_the_readers_layer_is_left_as_it_was():
    layer = Layer()
    layer.weight.grad += 5
    before = [v.value.copy() for v in (layer.weight, layer.scale, layer.mean, layer.counter)]
    x = LAYER_X.copy()
    assert check(layer, x)
    for value, old in zip((layer.weight, layer.scale, layer.mean, layer.counter), before, strict=True):
        assert value.value.dtype == old.dtype
        assert value.value.flags.writeable
        np.testing.assert_array_equal(value.value, old)
    np.testing.assert_array_equal(layer.weight.grad, np.full(5, 5, np.float32))
    np.testing.assert_array_equal(x, LAYER_X)


@pytest.mark.parametrize(
    ("fault", "name", "reason"),
    [
        ("assigns", "norm.scale", "it has to accumulate with \\+="),
        ("drops", "norm.scale", r"the gradient has shape \(0,\), the array \(5,\)"),
        ("shape", "norm.scale", r"the gradient has shape \(5, 1\), the array \(5,\)"),
        ("no dx", "x", "backward returned None instead of dx"),
        ("no pullback", "forward", r"did not return the pair \(y, backward\)"),
        ("writes dy", "backward", "writes to dy"),
    ],
)
def test_a_layer_that_breaks_the_contract(fault, name, reason):
    report = check(Layer(fault), LAYER_X)
    assert not report.ok
    assert not row(report, name).ok
    with pytest.raises(AssertionError, match=f"{name}: .*{reason}"):
        report.raise_if_failed()


def test_a_grad_that_is_bound_anew_still_accumulates():
    assert check(Layer("rebinds"), LAYER_X)


def test_frozen_parameters_are_listed_and_must_keep_their_grad():
    layer = Layer()
    layer.scale.trainable = False
    report = check(layer, LAYER_X)
    assert report, report
    frozen = row(report, "norm.scale")
    assert (frozen.checked, frozen.reason) == (0, "frozen")
    layer.fault = "thaws"
    report = check(layer, LAYER_X)
    assert row(report, "norm.scale").reason == "frozen, but backward changed its grad"


def test_labels_check_the_loss_of_a_model():
    labels = np.array([0, 4, 2, 2, 1, 3, 0])
    report = check(Layer(), LAYER_X, labels=labels)
    assert report, report
    assert not check(Layer("assigns"), LAYER_X, labels=labels)
    with pytest.raises(ValueError, match=r"labels need integers \(N,\) .* got int64 \(3,\) and \(7, 5\)"):
        check(Layer(), LAYER_X, labels=labels[:3])


def test_calls_that_make_no_sense():
    with pytest.raises(TypeError, match="a layer takes one input, got 2 arrays"):
        check(Layer(), LAYER_X, LAYER_X)
    with pytest.raises(
        TypeError, match="Forward is no layer, it has no named_parameters, named_buffers, astype"
    ):
        check(type("Forward", (), {"forward": None})(), LAYER_X)
