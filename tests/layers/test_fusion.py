"""What the layers leave out: passes over memory that two steps can share, and the gradient for the images."""

import numpy as np
import pytest
from helpers import normal

import npdsconv
from npdsconv import complexity, optim, train
from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Layer,
    Linear,
    MaxPool2d,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    fusion,
    pullback,
    set_impl,
    steps,
)
from npdsconv.models import fold_batch_norm, separable_cnn


def plan(layers, shape, training):
    """Every step that a chain would take, with the names of its layers; shapes are those of the parts."""
    rest, x, found = list(layers), np.zeros(shape, np.float32), []
    while rest:
        step, count = fusion.fuse(rest, x.shape, training)
        assert step.layers == rest[:count]
        assert [layer for layer in step.layers if layer in step.hidden] == list(step.hidden)
        for layer in rest[:count]:
            x = set_impl(layer.copy(), "im2col")(x)
        found.append((type(step), [type(layer).__name__ for layer in step.layers]))
        del rest[:count]
    return found


def kinds(layers, shape, training=True):
    return [kind for kind, _ in plan(layers, shape, training)]


def separable(bias=False, middle=ReLU, last=ReLU6, **options):
    """A block written by hand."""
    return [
        DepthwiseConv2d(5, 3, bias=bias, padding=1, rng=1, **options),
        BatchNorm2d(5),
        *([middle()] if middle else []),
        PointwiseConv2d(5, 7, bias=False, rng=2),
        BatchNorm2d(7),
        *([last()] if last else []),
    ]


class Own(Layer):
    """A layer that no rule knows."""

    def forward(self, x, *, train):
        return 2 * x, lambda dy: 2 * dy


# ---- the plan ---------------------------------------------------------------------------------------------------

IMAGE = (2, 5, 8, 7)


def test_a_batch_norm_and_its_activation_are_one_step():
    layers = [Conv2d(5, 3, 3), BatchNorm2d(3), ReLU(), BatchNorm2d(3), BatchNorm2d(3), ReLU6(), ReLU()]
    assert plan(layers, IMAGE, True) == [
        (steps.Single, ["Conv2d"]),
        (steps.ActivatedNorm, ["BatchNorm2d", "ReLU"]),
        (steps.Single, ["BatchNorm2d"]),
        (steps.ActivatedNorm, ["BatchNorm2d", "ReLU6"]),
        (steps.Single, ["ReLU"]),
    ]


def test_a_convolution_without_bias_takes_its_batch_norm_along():
    conv = [Conv2d(5, 3, 3, bias=False), BatchNorm2d(3), ReLU(), Conv2d(3, 3, 1, bias=False), BatchNorm2d(3)]
    assert kinds([*conv, MaxPool2d(2)], IMAGE) == [steps.NormedConv, steps.NormedConv, steps.Single]
    assert kinds([Conv2d(5, 3, 3, bias=False), ReLU()], IMAGE) == [steps.Single] * 2
    assert kinds([Conv2d(5, 3, 3, bias=False), ReLU()], IMAGE, False) == [steps.ActivatedConv]
    assert kinds([PointwiseConv2d(5, 3), ReLU6(), ReLU()], IMAGE, False) == [
        steps.ActivatedConv,
        steps.Single,
    ]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("middle", "last"), [(ReLU, ReLU6), (None, ReLU), (ReLU6, None), (None, None)])
def test_a_block_written_by_hand_is_one_step(middle, last, training):
    layers = separable(middle=middle, last=last)
    assert kinds([*layers, Own()], IMAGE, training) == [steps.SeparableBlock, steps.Single]
    step, _ = fusion.fuse(layers, IMAGE, training)
    assert step.hidden == [layer for layer in layers[1:-1] if not isinstance(layer, PointwiseConv2d)]


@pytest.mark.parametrize(
    "layers",
    [
        separable(bias=True),
        separable(depth_multiplier=2)[:1] + separable()[1:],
        separable(stride=3),
        separable(middle=Own),
        separable()[:3] + separable(middle=Own)[2:],
        [set_impl(layer, "im2col") if k == 4 else layer for k, layer in enumerate(separable())],
    ],
    ids=["bias", "multiplier", "stride", "own activation", "own layer between", "another tier"],
)
def test_what_no_rule_knows_falls_back_to_its_parts(layers):
    assert steps.SeparableBlock not in {type(fusion.fuse(layers, IMAGE, t)[0]) for t in (True, False)}


def test_only_in_inference_a_block_without_batch_norm_is_one_step():
    layers = [separable()[0], ReLU(), PointwiseConv2d(5, 7, rng=2), ReLU6()]
    assert kinds(layers, IMAGE) == [steps.Single] * 4
    assert kinds(layers, IMAGE, False) == [steps.PlainBlock]


def test_without_fusion_every_layer_runs_alone():
    assert kinds(separable(), IMAGE) == [steps.SeparableBlock]
    step, count = fusion.fuse(separable(), IMAGE, True, fused=False)
    assert (type(step), count) == (steps.Single, 1)
    model = Sequential(*separable(), fused=False)
    assert not model.fused
    assert not model[1:].fused
    assert Sequential(*separable())[1:].fused


def test_the_plan_has_one_home():
    """Nothing else asks which layers go together: a rule that is taken away is gone everywhere."""
    rules = list(fusion.RULES)
    model = Sequential(*separable())
    try:
        fusion.RULES.remove(fusion.separable_block)
        assert type(fusion.fuse(model.layers, IMAGE, True)[0]) is steps.Single
        before = complexity.summary(model, IMAGE[1:])
    finally:
        fusion.RULES[:] = rules
    assert [row.fused for row in before.rows] == [False, True, False, False, True, False]
    after = complexity.summary(model, IMAGE[1:])
    assert [row.fused for row in after.rows] == [False, True, True, False, True, False]


# ---- the same numbers -------------------------------------------------------------------------------------------


def outcome(model, x, dy, training):
    """y, dx, y in inference, gradients and state, in float64."""
    model = model.copy().astype(np.float64)
    y, back = model.forward(x, train=training)
    dx = back(dy)
    return [y, dx, model(x), *(p.grad for p in model.parameters()), *model.state_dict().values()]


MODELS = {
    "by hand": Sequential(*separable()),
    "strided": Sequential(*separable(stride=2, last=None)),
    "bias": Sequential(*separable(bias=True)),
    "own activation": Sequential(*separable(middle=Own)),
    "stem": Sequential(Conv2d(5, 6, 3, bias=False, rng=3), BatchNorm2d(6), ReLU(), BatchNorm2d(6), ReLU6()),
    "plain": Sequential(separable()[0], ReLU(), PointwiseConv2d(5, 7, rng=2), ReLU6(), MaxPool2d(2)),
    "layer": DepthwiseSeparableConv2d(5, 4, 3, stride=2, padding=1, rng=4),
    "layer without batch norm": DepthwiseSeparableConv2d(5, 4, 3, batch_norm=False, rng=4),
    "folded": fold_batch_norm(Sequential(*separable(), Conv2d(7, 3, 2, rng=5), ReLU())),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_fused_unfused_and_another_tier_give_the_same(name, training):
    x = 2 * normal(*IMAGE)
    dy = normal(*MODELS[name].copy().astype(np.float64)(x).shape, seed=1)
    fused, unfused, slow = (MODELS[name].copy() for _ in range(3))
    for layer in unfused.modules():
        if "fused" in vars(layer):
            layer.fused = False
    expected = outcome(set_impl(slow, "im2col"), x, dy, training)
    for model in (fused, unfused):
        for a, e in zip(outcome(model, x, dy, training), expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=0, atol=1e-11)


def test_a_block_written_by_hand_gives_the_bits_of_the_layer():
    x, dy = normal(*IMAGE, dtype=np.float32), normal(2, 7, 8, 7, dtype=np.float32)
    layer = DepthwiseSeparableConv2d(5, 7, 3, padding=1, rng=1, activation="relu6")
    by_hand = Sequential(*layer.copy().steps())
    for a, e in zip(results(by_hand, x, dy), results(layer, x, dy), strict=True):
        np.testing.assert_array_equal(a, e)


def results(model, x, dy):
    y, back = model.forward(x, train=True)
    return [y, back(dy), *(p.grad for p in model.parameters()), *(b.value for _, b in model.named_buffers())]


# ---- the gradient for the images --------------------------------------------------------------------------------


class Scale(Layer):
    """A layer of one's own, whose backward is an ordinary function."""

    def __init__(self, log):
        self.log = [log]

    def forward(self, x, *, train):
        def backward(dy):
            self.log[0].append("pulled back")
            return 3 * dy

        return 3 * x, backward


def without_dx(back, dy):
    return pullback(back)(dy, dx=False)


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
        for a, e in zip(parameter_gradients(model, x, dy, without_dx), expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=0, atol=1e-12, err_msg=name)
            assert a.any()


def test_training_does_not_compute_the_gradient_for_the_images(monkeypatch):
    from npdsconv.layers import convolution

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
    assert all(g.any() for g in parameter_gradients(model, normal(5, 3), normal(5, 4), without_dx))
    alone = Sequential(Scale(log), Linear(3, 4, rng=0)).astype(np.float64)
    assert all(g.any() for g in parameter_gradients(alone, normal(5, 3), normal(5, 4), without_dx))
    assert log == ["pulled back"] * 2


def test_a_pullback_is_used_once_whichever_way():
    for first in (without_dx, lambda backward, dy: backward(dy)):
        for second in (without_dx, lambda backward, dy: backward(dy)):
            backward = pullback(lambda dy: dy)
            first(backward, normal(2))
            with pytest.raises(RuntimeError, match="backward was called a second time"):
                second(backward, normal(2))
