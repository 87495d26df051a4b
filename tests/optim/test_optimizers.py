"""Optimisers: against plain formulas and PyTorch, what a step touches, state, what is refused."""

import copy
import math

import numpy as np
import pytest
from helpers import compiled

from npdsconv import optim
from npdsconv.layers import Parameter
from npdsconv.optim import optimizers

SHAPES = [(4, 3), (4,), (2, 1, 3, 5), (2,), (7, 2)]
RECIPES = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
    "sgd+decay": (optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "adam": (optim.Adam, {"lr": 0.01}),
    "adam+decay": (optim.Adam, {"lr": 0.01, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adamw": (optim.AdamW, {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.3}),
    "adamw default": (optim.AdamW, {}),
    "adagrad": (
        optim.Adagrad,
        {"lr": 0.1, "lr_decay": 0.3, "eps": 1e-3, "weight_decay": 0.1, "initial_accumulator_value": 0.5},
    ),
    "adagrad default": (optim.Adagrad, {}),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES)


def make_parameters(dtype=np.float64, seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def make(recipe, parameters, **changes):
    kind, options = RECIPES[recipe]
    return kind(parameters, **{**options, **changes})


def set_gradients(parameters, step, seed=100):
    rng = np.random.default_rng((seed, step))
    for parameter in parameters:
        parameter.grad[...] = rng.standard_normal(parameter.value.shape)


def values(parameters):
    return [parameter.value.copy() for parameter in parameters]


def assert_all_equal(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# --- against formulas and PyTorch ---------------------------------------------------------------------------
def textbook(recipe, w, gradients, factors):
    """One parameter on its own, written as in the papers."""
    kind, options = RECIPES[recipe]
    o = {"momentum": 0, "nesterov": False, "betas": (0.9, 0.999), "eps": 1e-8, "lr": 1e-3, "weight_decay": 0}
    if kind is optim.AdamW:
        o["weight_decay"] = 0.01
    if kind is optim.Adagrad:
        o.update(lr=1e-2, eps=1e-10, lr_decay=0)
    o.update(options)
    m, v = 0.0, o.get("initial_accumulator_value", 0.0)
    for t, (g, factor) in enumerate(zip(gradients, factors, strict=True), start=1):
        lr = o["lr"] * factor
        if kind is optim.AdamW:
            w = w - lr * o["weight_decay"] * w
        else:
            g = g + o["weight_decay"] * w
        if kind is optim.SGD:
            v = o["momentum"] * v + g
            w = w - lr * (g + o["momentum"] * v if o["nesterov"] else v)
        elif kind is optim.Adagrad:
            v = v + g**2
            w = w - lr / (1 + (t - 1) * o["lr_decay"]) * g / (np.sqrt(v) + o["eps"])
        else:
            m = o["betas"][0] * m + (1 - o["betas"][0]) * g
            v = o["betas"][1] * v + (1 - o["betas"][1]) * g**2
            m_hat, v_hat = m / (1 - o["betas"][0] ** t), v / (1 - o["betas"][1] ** t)
            w = w - lr * m_hat / (np.sqrt(v_hat) + o["eps"])
    return w


@every_recipe
def test_all_parameters_follow_the_textbook(recipe):
    parameters = make_parameters()
    starts, history, factors = values(parameters), [], [1.0, 0.5, 0.25, 2.0, 1.0]
    optimizer = make(recipe, parameters)
    for step, factor in enumerate(factors):
        set_gradients(parameters, step)
        history.append([p.grad.copy() for p in parameters])
        optimizer.step(factor)
    for i, (parameter, start) in enumerate(zip(parameters, starts, strict=True)):
        expected = textbook(recipe, start, [gradients[i] for gradients in history], factors)
        np.testing.assert_allclose(parameter.value, expected, rtol=1e-11, atol=1e-14)


@every_recipe
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_pytorch(recipe, dtype):
    torch = pytest.importorskip("torch")
    kind, options = RECIPES[recipe]
    parameters = make_parameters(dtype)
    tensors = [torch.tensor(p.value, requires_grad=True) for p in parameters]
    optimizer, theirs = make(recipe, parameters), getattr(torch.optim, kind.__name__)(tensors, **options)
    for step in range(12):
        set_gradients(parameters, step)
        for parameter, tensor in zip(parameters, tensors, strict=True):
            tensor.grad = torch.tensor(parameter.grad)
        optimizer.step()
        theirs.step()
        tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype is np.float64 else {"rtol": 2e-5, "atol": 2e-6}
        for parameter, tensor in zip(parameters, tensors, strict=True):
            assert parameter.value.dtype == dtype
            np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), **tolerance)


@every_recipe
def test_thawing_late_equals_pytorch(recipe):
    """A parameter that joins late starts its own bias correction; PyTorch skips what has no gradient."""
    torch = pytest.importorskip("torch")
    kind, options = RECIPES[recipe]
    parameters = make_parameters()
    tensors = [torch.tensor(p.value, requires_grad=True) for p in parameters]
    optimizer, theirs = make(recipe, parameters), getattr(torch.optim, kind.__name__)(tensors, **options)
    for step in range(9):
        frozen = {0: {0, 3}, 1: set(), 2: {2}}[step // 3]
        set_gradients(parameters, step)
        for i, (parameter, tensor) in enumerate(zip(parameters, tensors, strict=True)):
            parameter.trainable = i not in frozen
            tensor.grad = torch.tensor(parameter.grad) if parameter.trainable else None
        optimizer.step()
        theirs.step()
        for parameter, tensor in zip(parameters, tensors, strict=True):
            np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), rtol=1e-12, atol=1e-14)


# --- what a step touches ------------------------------------------------------------------------------------
@every_recipe
def test_values_are_updated_in_place_and_gradients_are_left_alone(recipe):
    parameters = make_parameters(np.float32)
    arrays, starts = [p.value for p in parameters], values(parameters)
    set_gradients(parameters, 0)
    gradients = [p.grad.copy() for p in parameters]
    make(recipe, parameters).step()
    for parameter, array, start, gradient in zip(parameters, arrays, starts, gradients, strict=True):
        assert parameter.value is array
        assert (array != start).all()
        np.testing.assert_array_equal(parameter.grad, gradient)


@every_recipe
def test_frozen_parameters_keep_their_bits_and_disturb_nobody(recipe):
    parameters, alone = make_parameters(np.float32), make_parameters(np.float32)
    start = parameters[2].value.copy()
    parameters[2].trainable = False
    optimizer, smaller = make(recipe, parameters), make(recipe, alone[:2] + alone[3:])
    for step in range(3):
        set_gradients(parameters, step)
        set_gradients(alone, step)
        optimizer.step()
        smaller.step()
    np.testing.assert_array_equal(parameters[2].value, start)
    assert_all_equal(values(parameters[:2] + parameters[3:]), values(alone[:2] + alone[3:]))


def test_freezing_everything_is_allowed():
    parameters = make_parameters()
    starts = values(parameters)
    optimizer = optim.Adam(parameters)
    for parameter in parameters:
        parameter.trainable = False
    optimizer.step()
    assert_all_equal(values(parameters), starts)


def test_arrays_that_were_replaced_are_the_ones_that_move():
    parameters = make_parameters()
    optimizer = optim.SGD(parameters, lr=1.0)
    set_gradients(parameters, 0)
    optimizer.step()
    old, new = parameters[1].value, np.ones(4)
    kept = old.copy()
    parameters[1].value, parameters[1].grad = new, np.array([1.0, 2.0, 3.0, 4.0])
    optimizer.step()
    np.testing.assert_array_equal(new, [0.0, -1.0, -2.0, -3.0])
    np.testing.assert_array_equal(old, kept)


@every_recipe
def test_casting_the_model_between_steps(recipe):
    parameters, reference = make_parameters(np.float32), make_parameters(np.float32)
    optimizer, other = make(recipe, parameters), make(recipe, reference)
    for step in range(2):
        for p, o in ((parameters, optimizer), (reference, other)):
            set_gradients(p, step)
            o.step()
    for parameter in parameters:
        parameter.value, parameter.grad = (
            parameter.value.astype(np.float64),
            parameter.grad.astype(np.float64),
        )
    for p, o in ((parameters, optimizer), (reference, other)):
        set_gradients(p, 2)
        o.step()
    for parameter, expected in zip(parameters, reference, strict=True):
        assert parameter.value.dtype == np.float64
        np.testing.assert_allclose(parameter.value, expected.value, rtol=1e-5, atol=1e-6)
    assert all(array.dtype == np.float64 for name, array in optimizer.state_dict().items() if name != "steps")


@every_recipe
def test_mixed_dtypes_and_any_memory_layout(recipe):
    shapes = [(5, 3), (4, 2)]
    plain = make_parameters(np.float64, shapes=shapes)
    mixed = make_parameters(np.float64, shapes=shapes)
    mixed[0].value = np.asfortranarray(mixed[0].value)
    mixed[1].value, mixed[1].grad = mixed[1].value.astype(np.float32), np.zeros((4, 2), np.float32)
    for parameters in (plain, mixed):
        optimizer = make(recipe, parameters)
        for step in range(3):
            set_gradients(parameters, step)
            optimizer.step()
    np.testing.assert_array_equal(mixed[0].value, plain[0].value)
    np.testing.assert_allclose(mixed[1].value, plain[1].value, rtol=1e-5, atol=1e-6)


@every_recipe
def test_the_block_length_does_not_change_a_bit(recipe, monkeypatch):
    results = []
    for block in (optimizers.BLOCK, 7):
        monkeypatch.setattr(optimizers, "BLOCK", block)
        parameters = make_parameters(np.float32)
        optimizer = make(recipe, parameters)
        for step in range(3):
            set_gradients(parameters, step)
            optimizer.step()
        results.append(values(parameters))
    assert_all_equal(*results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name.startswith("adam")])
def test_the_compiled_rule_is_the_same_to_the_bit(recipe, dtype, monkeypatch):
    results = []
    for numbers in (1, 1 << 40):
        monkeypatch.setattr(optimizers, "COMPILED", numbers)
        parameters = make_parameters(dtype, shapes=[(90, 101), (7,)])
        optimizer = make(recipe, parameters)
        for step in range(3):
            set_gradients(parameters, step)
            optimizer.step()
        results.append([*values(parameters), *optimizer.state_dict().values()])
    assert_all_equal(*results)


@compiled
@every_recipe
def test_a_step_allocates_next_to_nothing(recipe):
    import tracemalloc

    parameters = make_parameters(np.float32, shapes=[(300, 400), (500,), (90, 1000)])
    optimizer = make(recipe, parameters)
    set_gradients(parameters, 0)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000  # the parameters take 842,000 bytes


def test_zero_grad_is_in_place_and_complete():
    parameters = make_parameters()
    parameters[1].trainable = False
    set_gradients(parameters, 0)
    gradients = [p.grad for p in parameters]
    optim.Adam(parameters).zero_grad()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert parameter.grad is gradient
        np.testing.assert_array_equal(gradient, np.zeros(parameter.value.shape))


@pytest.mark.parametrize("recipe", ["sgd+decay", "adamw"])
def test_decay_1d_false_spares_vectors_only(recipe):
    always, selective = make_parameters(), make_parameters()
    make(recipe, always).step()  # all gradients are zero: only the decay moves anything
    make(recipe, selective, decay_1d=False).step()
    for full, sparing, start in zip(always, selective, make_parameters(), strict=True):
        assert (full.value != start.value).all()
        np.testing.assert_array_equal(sparing.value, start.value if start.value.ndim == 1 else full.value)


def test_an_iterator_of_parameters_will_do():
    parameters = make_parameters()
    assert optim.Adam(iter(parameters)).parameters == parameters


# --- state --------------------------------------------------------------------------------------------------
@every_recipe
@pytest.mark.parametrize("stop", range(5))
def test_resuming_from_the_state_is_bit_identical(recipe, stop):
    parameters = make_parameters(np.float32)
    optimizer = make(recipe, parameters)
    for step in range(5):
        if step == stop:
            state = copy.deepcopy(optimizer.state_dict())
            resumed = [Parameter(p.value.copy(), trainable=p.trainable) for p in parameters]
        parameters[0].trainable = step >= 2  # so that the step counts differ
        set_gradients(parameters, step)
        optimizer.step()
    other = make(recipe, resumed)
    set_gradients(resumed, 99)
    other.load_state_dict(state)
    for step in range(stop, 5):
        resumed[0].trainable = step >= 2
        set_gradients(resumed, step)
        other.step()
    assert_all_equal(values(resumed), values(parameters))
    mine, theirs = other.state_dict(), optimizer.state_dict()
    assert mine.keys() == theirs.keys()
    assert_all_equal(mine.values(), theirs.values())


@every_recipe
def test_loading_into_an_optimizer_that_has_already_stepped(recipe):
    first, second = make_parameters(seed=1), make_parameters(seed=2)
    a, b = make(recipe, first), make(recipe, second)
    for step in range(3):
        first[1].trainable = step > 0  # the loaded step counts differ, those they replace were all the same
        set_gradients(first, step)
        a.step()
    set_gradients(second, 50)
    b.step()
    b.load_state_dict(a.state_dict())
    for parameter, source in zip(second, first, strict=True):
        parameter.value[...] = source.value
    for parameters, optimizer in ((first, a), (second, b)):
        set_gradients(parameters, 3)
        optimizer.step()
    assert_all_equal(values(second), values(first))


def test_the_state_is_a_copy_in_both_directions():
    parameters = make_parameters()
    optimizer = optim.Adam(parameters)
    set_gradients(parameters, 0)
    optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.step()
    assert_all_equal(state.values(), kept.values())
    optimizer.load_state_dict(state)
    optimizer.step()
    assert_all_equal(state.values(), kept.values())


def test_the_state_names_what_it_holds():
    parameters = make_parameters(shapes=[(2, 3), (4,)])
    assert list(optim.SGD(parameters, lr=1).state_dict()) == ["steps"]
    assert list(optim.SGD(parameters, lr=1, momentum=0.5).state_dict()) == [
        "steps",
        "velocity.0",
        "velocity.1",
    ]
    optimizer = optim.Adam(parameters)
    optimizer.step()
    optimizer.step()
    assert list(optimizer.state_dict()) == ["steps", "m.0", "m.1", "v.0", "v.1"]
    np.testing.assert_array_equal(optimizer.state_dict()["steps"], [2, 2])


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    parameters = make_parameters()
    optimizer = optim.Adam(parameters)
    set_gradients(parameters, 0)
    optimizer.step()
    before = optimizer.state_dict()
    sgd = optim.SGD(parameters, lr=1, momentum=0.5).state_dict()
    with pytest.raises(
        ValueError,
        match=r"Adam\.load_state_dict: missing 'm\.0', 'm\.1', 'm\.2' and 7 more, "
        r"unexpected 'velocity\.0', .* and 2 more: the state is that of another optimiser or of another",
    ):
        optimizer.load_state_dict(sgd)
    with pytest.raises(ValueError, match=r"missing nothing, unexpected 'extra':"):
        optimizer.load_state_dict({**before, "extra": np.zeros(1)})
    wrong = {**{name: array + 1 for name, array in before.items()}, "v.2": np.zeros((2, 1, 5, 3))}
    with pytest.raises(ValueError, match=r"v\.2 has shape \(2, 1, 5, 3\), not \(2, 1, 3, 5\)"):
        optimizer.load_state_dict(wrong)
    assert_all_equal(optimizer.state_dict().values(), before.values())


# --- bad input ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.SGD, {"lr": -0.1}, r"SGD: lr -0\.1 must be >= 0 and finite"),
        (optim.SGD, {"lr": math.nan}, r"SGD: lr nan must be"),
        (optim.SGD, {"lr": math.inf}, r"SGD: lr inf must be"),
        (optim.SGD, {"lr": 0.1, "momentum": 1.0}, r"SGD: momentum 1\.0 must be in \[0, 1\)"),
        (optim.SGD, {"lr": 0.1, "momentum": -0.5}, r"SGD: momentum -0\.5 must be in \[0, 1\)"),
        (optim.SGD, {"lr": 0.1, "nesterov": True}, r"SGD: nesterov=True needs momentum > 0"),
        (optim.SGD, {"lr": 0.1, "weight_decay": -1}, r"SGD: weight_decay -1 must be >= 0"),
        (optim.Adam, {"lr": -1.0}, r"Adam: lr -1\.0 must be >= 0"),
        (optim.Adam, {"betas": (1.0, 0.9)}, r"Adam: betas\[0\] 1\.0 must be in \[0, 1\)"),
        (optim.Adam, {"betas": (0.9, -0.1)}, r"Adam: betas\[1\] -0\.1 must be in \[0, 1\)"),
        (optim.AdamW, {"eps": -1e-8}, r"AdamW: eps -1e-08 must be >= 0"),
        (optim.AdamW, {"weight_decay": math.nan}, r"AdamW: weight_decay nan must be >= 0"),
    ],
)
def test_hyper_parameters_out_of_range(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(make_parameters(), **options)


def test_things_that_are_not_parameters():
    with pytest.raises(ValueError, match=r"SGD: no parameters \(was an iterator used up"):
        optim.SGD([], lr=0.1)
    with pytest.raises(TypeError, match=r"Adam: parameters holds a tuple: pass model\.parameters\(\)"):
        optim.Adam([("0.weight", p) for p in make_parameters()])
    with pytest.raises(TypeError, match=r"Adam: parameters holds a ndarray"):
        optim.Adam([p.value for p in make_parameters()])
