"""What every layer promises: each test runs over all rows of the catalogue and all their settings.

A layer is its op: it plumbs every argument, adds to gradients, remembers by closure, and forgets.
"""

import inspect
import weakref

import numpy as np
import pytest
from helpers import gradients, normal, settled

from npdsconv import complexity
from npdsconv.catalogue import LAYERS, OPS, Example
from npdsconv.layers import Layer, set_impl

OP_ROWS = {row.forward: row for row in OPS}
WITH_OP = [row for row in LAYERS if row.op]


def all_settings(rows):
    cases = [(row, setting) for row in rows for setting in row.examples]
    names = [f"{row.name} {setting.label}".rstrip() for row, setting in cases]
    return pytest.mark.parametrize(("row", "setting"), cases, ids=names)


with_every_layer = all_settings(LAYERS)


def make(row, setting):
    """The layer in NumPy and float64, with its parameters and statistics moved off their initial values."""
    return settled(set_impl(row.build(setting, np.random.default_rng(0)), "im2col"))


@pytest.mark.parametrize("row", WITH_OP, ids=lambda row: row.name)
def test_a_layer_is_its_op(row):
    """Called by hand with the parameters, in their order, and with those arguments that the op has too."""
    op = OP_ROWS[row.op]
    taken = inspect.signature(row.op).parameters
    for setting in row.examples:
        if setting.build:
            continue  # something is done to the layer besides
        layer, x = make(row, setting), 4 * normal(*setting.shape)
        names = [name for name in taken if name not in setting.arguments]
        arrays = dict(zip(names, [x, *(p.value for p in layer.parameters())], strict=False))
        how = {name: value for name, value in setting.arguments.items() if name in taken and name != "bias"}
        example = Example(setting.label, arrays, {**how, "impl": "im2col"})
        y, backward = layer.forward(x, train=True)
        np.testing.assert_array_equal(y, op.value(example))
        dy = normal(*y.shape, seed=2)
        dx, *of_parameters = op.gradients(dy, example).values()
        np.testing.assert_array_equal(backward(dy), dx)
        for p, gradient in zip(layer.parameters(), of_parameters, strict=False):
            assert np.abs(gradient).max() > 0.01
            np.testing.assert_array_equal(p.grad, gradient)


def test_every_layer_whose_name_an_op_has_is_compared_with_it():
    """The others are made of other layers, or have no op, or need a mask; those have tests of their own."""
    alike = {row.name.lower(): row.name for row in LAYERS}
    of_ops = {alike[name] for row in OPS if (name := row.name.replace("_", "")) in alike}
    assert len(of_ops) > 8
    assert of_ops - {row.name for row in WITH_OP} == {"Dropout"}


@with_every_layer
def test_gradients_add_to_what_is_there(row, setting):
    layer, x = make(row, setting), normal(*setting.shape)
    state = layer.state_dict()
    y, _ = layer.forward(x, train=True)

    def again():
        layer.load_state_dict(state)  # the same masks
        return layer

    dys = normal(2, *y.shape, seed=3)
    first, second = (gradients(again(), x, dy)[1] for dy in dys)
    grads = {name: p.grad for name, p in layer.named_parameters()}
    for grad in grads.values():
        grad[...] = 7
    for dy in dys:
        again().forward(x, train=True)[1](dy)
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(p.grad, 7 + first[name] + second[name], 1e-12)
        assert p.grad is grads[name], "the array itself is added to: others may hold it"


@with_every_layer
def test_a_pullback_is_used_once_and_lets_go(row, setting):
    layer, x = make(row, setting), normal(*setting.shape)
    alive = weakref.ref(x)
    y, backward = layer.forward(x, train=True)
    dy = normal(*y.shape, seed=4)
    del x, y
    backward(dy)
    assert alive() is None, "backward still holds the layer's input"
    with pytest.raises(RuntimeError, match="backward was called a second time: a pullback is used once"):
        backward(dy)


@with_every_layer
def test_nothing_is_written_to_arguments(row, setting):
    layer, x = make(row, setting), normal(*setting.shape)
    x.flags.writeable = False
    y, backward = layer.forward(x, train=True)
    dy = normal(*y.shape, seed=5)
    dy.flags.writeable = False
    backward(dy)
    layer(x)


@with_every_layer
def test_outside_training_there_is_a_pullback_too(row, setting):
    """Checked against central differences: y is a function of x alone, statistics and masks are constants."""
    layer, x = make(row, setting), normal(*setting.shape)
    state = layer.state_dict()
    y, backward = layer.forward(x, train=False)
    dy, direction = normal(*y.shape, seed=6), normal(*x.shape, seed=7)
    numeric = ((layer(x + 1e-6 * direction) - layer(x - 1e-6 * direction)) * dy).sum() / 2e-6
    np.testing.assert_allclose((backward(dy) * direction).sum(), numeric, 1e-6)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, state[name], err_msg=f"evaluation changed {name}")


@with_every_layer
def test_a_frozen_layer_lets_the_gradient_through(row, setting):
    layer, x = make(row, setting), normal(*setting.shape)
    assert layer.freeze() is layer
    before = {name: p.value.copy() for name, p in layer.named_parameters()}
    y, backward = layer.forward(x, train=True)
    dx = backward(normal(*y.shape, seed=8))
    assert np.abs(dx).max() > 0
    for name, p in layer.named_parameters():
        assert not p.trainable
        assert not p.grad.any(), name
        np.testing.assert_array_equal(p.value, before[name])


@with_every_layer
def test_a_layer_is_made_the_same_from_the_same_generator(row, setting):
    """And another one from another generator, if it is random at all: if its constructor takes one."""
    a, b, c = (row.build(setting, np.random.default_rng(seed)).state_dict() for seed in (1, 1, 2))
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name])
    if "rng" in inspect.signature(row.kind).parameters:
        assert not all(np.array_equal(a[name], c[name]) for name in a)
        fresh = [row.kind(**setting.arguments).state_dict() for _ in range(2)]
        assert not all(np.array_equal(fresh[0][name], fresh[1][name]) for name in a), "it draws for itself"


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
def test_an_unknown_tier_is_refused_when_a_layer_is_built(row):
    parameters = inspect.signature(row.kind).parameters
    setting = row.examples[0]
    if "impl" not in parameters:
        assert "impl" not in vars(make(row, setting)), "a tier that nobody can choose"
        return
    assert parameters["impl"].default == "numba"
    row.kind(**setting.arguments, impl="loops")
    with pytest.raises(ValueError, match=rf"^{row.name}: impl must be one of .*, got 'cuda'$"):
        row.kind(**setting.arguments, impl="cuda")


@with_every_layer
def test_tiers_are_switched_all_through_a_layer(row, setting):
    layer = set_impl(row.build(setting, np.random.default_rng(0)), "loops")
    assert {part.impl for part in layer.modules() if hasattr(part, "impl")} <= {"loops"}
    assert isinstance(layer, Layer)


@with_every_layer
def test_every_layer_has_its_cost(row, setting):
    """The formulas know its parameters and its output; multiply-adds have tests of their own."""
    layer = make(row, setting)
    total = complexity.summary(layer, setting.shape[1:])
    assert total.output == layer(normal(*setting.shape)).shape[1:]
    assert total.params == sum(p.value.size for p in layer.parameters())
