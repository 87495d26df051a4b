"""What the layers leave out: passes over memory that two steps can share, and the gradient for the images."""

import numpy as np
import pytest
from helpers import normal

import npdsconv
from npdsconv import optim, train
from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    Layer,
    Linear,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.layers.base import pull_without_dx, pullback
from npdsconv.layers.composite import for_inference, in_one_pass
from npdsconv.layers.steps import ActivatedBatchNorm, NormedConv2d
from npdsconv.models import separable_cnn

# ---- which layers share a pass ---------------------------------------------------------------------------------


def test_a_batch_norm_and_its_activation_are_one_step_of_a_chain():
    layers = [Conv2d(2, 3, 3), BatchNorm2d(3), ReLU(), BatchNorm2d(3), BatchNorm2d(3), ReLU6(), ReLU()]
    steps = list(in_one_pass(layers))
    assert [type(step).__name__ for step in steps] == [
        "Conv2d",
        "ActivatedBatchNorm",
        "BatchNorm2d",
        "ActivatedBatchNorm",
        "ReLU",
    ]
    assert [s.activation for s in steps if isinstance(s, ActivatedBatchNorm)] == ["relu", "relu6"]
    no_bias = [
        Conv2d(2, 3, 3, bias=False),
        BatchNorm2d(3),
        ReLU(),
        Conv2d(3, 3, 1, bias=False),
        BatchNorm2d(3),
    ]
    steps = list(in_one_pass([*no_bias, Conv2d(3, 3, 1, bias=False), ReLU(), Conv2d(3, 3, 1, bias=False)]))
    assert [type(step) for step in steps] == [NormedConv2d, NormedConv2d, Conv2d, ReLU, Conv2d]
    assert [s.activation for s in steps[:2]] == ["relu", None]
    no_bias[1].impl = "numpy"
    assert [type(step) for step in in_one_pass(no_bias)] == [Conv2d, BatchNorm2d, ReLU, NormedConv2d]
    layers[2].impl = layers[4].impl = "numpy"
    assert list(in_one_pass(layers)) == layers, "another tier runs step by step"
    assert len(list(for_inference([Conv2d(2, 3, 3), ReLU(), PointwiseConv2d(3, 3), ReLU6(), ReLU()]))) == 3
    depthwise = [DepthwiseConv2d(3, 3), ReLU()]
    assert list(for_inference(depthwise)) == depthwise


@pytest.mark.parametrize("train", [True, False])
def test_a_chain_is_the_same_in_fewer_passes(train):
    model = Sequential(
        Conv2d(2, 5, 3, groups=1, rng=0),
        ReLU6(),
        Conv2d(5, 5, 3, padding=1, bias=False, rng=3),
        BatchNorm2d(5),
        ReLU(),
        Residual(Sequential(PointwiseConv2d(5, 5, rng=1), ReLU(), BatchNorm2d(5), ReLU6())),
    ).astype(np.float64)
    plain = set_impl(model.copy(), "im2col")
    x, dy = 3 * normal(2, 2, 7, 6), normal(2, 5, 5, 4)
    results = []
    for m in (model, plain):
        y, backward = m.forward(x, train=train)
        results.append([y, backward(dy), m(x), *(p.grad for p in m.parameters()), *m.state_dict().values()])
    for a, e in zip(*results, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12)


# ---- the gradient for the images -------------------------------------------------------------------------------


class Scale(Layer):
    """A layer of one's own, whose backward is an ordinary function."""

    def __init__(self, log):
        self.log = [log]

    def forward(self, x, *, train):
        def backward(dy):
            self.log[0].append("pulled back")
            return 3 * dy

        return 3 * x, backward


def parameter_gradients(model, x, dy, pull):
    model.forward(x, train=True)  # running statistics do not matter
    for p in model.parameters():
        p.grad[...] = 0
    _, backward = model.forward(x, train=True)
    pull(backward, dy)
    return [p.grad.copy() for p in model.parameters()]


@pytest.mark.parametrize(
    "wrap", [lambda m: m, lambda m: Sequential(m), lambda m: Sequential(Sequential(m), ReLU())]
)
def test_parameters_learn_the_same_without_dx(wrap):
    first = {
        "conv2d": Conv2d(3, 4, 3, rng=0),
        "depthwise": DepthwiseConv2d(3, 3, rng=0),
        "pointwise": PointwiseConv2d(3, 4, rng=0),
        "separable": npdsconv.layers.DepthwiseSeparableConv2d(3, 4, 3, rng=0),
        "by steps": npdsconv.layers.DepthwiseSeparableConv2d(3, 4, (3, 2), rng=0),
        "batch norm": BatchNorm2d(3),
        "residual": Residual(PointwiseConv2d(3, 3, rng=0)),
    }
    for name, layer in first.items():
        model = wrap(layer.astype(np.float64))
        x = normal(2, 3, 6, 5)
        dy = normal(*model(x).shape)
        expected = parameter_gradients(model, x, dy, lambda backward, dy: backward(dy))
        for a, e in zip(parameter_gradients(model, x, dy, pull_without_dx), expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=0, atol=1e-12, err_msg=name)
            assert a.any()


def test_training_does_not_compute_the_gradient_for_the_images(monkeypatch):
    from npdsconv.layers import convolution, steps

    asked = []

    def watch(module, name):
        real = getattr(module, name)
        watched = lambda *a, needs, **k: asked.append((name, needs)) or real(*a, needs=needs, **k)  # noqa: E731
        monkeypatch.setattr(module, name, watched)

    watch(convolution.standard, "conv2d_backward")
    watch(steps.normed_conv, "normed_conv2d_backward")
    x, labels = normal(4, 1, 9, 8, dtype=np.float32), np.arange(4)
    first = {"normed_conv2d_backward": [], "conv2d_backward": [BatchNorm2d(4), ReLU()]}
    for name, between in first.items():
        rest = separable_cnn(width=0.25, rng=0).layers
        stem = [Conv2d(1, 4, 3, padding=1, rng=0), *between, Conv2d(4, 8, 3, padding=1, bias=False, rng=0)]
        model = Sequential(*(stem if between else rest[:1]), *rest[1:])
        asked.clear()
        train.train_step(model, x, labels, optim.Adam(model.parameters()))
        wanted = [("w", "b") if between else ("w", "weight", "bias")]
        assert [needs for op, needs in asked if op == name] == wanted
        _, backward = model.forward(x, train=True)
        assert backward(normal(4, 10, dtype=np.float32)).shape == x.shape
        assert [needs for op, needs in asked if op == name][-1] == ("x", *wanted[0])


def test_an_ordinary_backward_is_called_and_the_layers_before_it_learn():
    log = []
    model = Sequential(Linear(3, 4, rng=0), Scale(log)).astype(np.float64)
    assert all(g.any() for g in parameter_gradients(model, normal(5, 3), normal(5, 4), pull_without_dx))
    alone = Sequential(Scale(log), Linear(3, 4, rng=0)).astype(np.float64)
    assert all(g.any() for g in parameter_gradients(alone, normal(5, 3), normal(5, 4), pull_without_dx))
    assert log == ["pulled back"] * 2


def test_a_pullback_is_used_once_whichever_way():
    for first in (pull_without_dx, lambda backward, dy: backward(dy)):
        for second in (pull_without_dx, lambda backward, dy: backward(dy)):
            backward = pullback(lambda dy: dy)
            first(backward, normal(2))
            with pytest.raises(RuntimeError, match="backward was called a second time"):
                second(backward, normal(2))
