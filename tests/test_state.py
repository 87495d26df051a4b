"""Taking over a state: all of it, or an error that names the first entry that does not fit, and nothing changed."""

import datetime
import warnings

import numpy as np
import pytest
from helpers import assert_same_state

from npdsconv import layers, optim
from npdsconv.layers import Buffer, Parameter
from npdsconv.state import Slot, take_over


def network(seed=0):
    """Two layers with a batch norm between them, and dropout with its whole numbers."""
    rng = np.random.default_rng(seed)
    return layers.Sequential(
        layers.Conv2d(2, 3, (3, 2), rng=rng),
        layers.BatchNorm2d(3),
        layers.Dropout(0.5, rng=rng),
        layers.Conv2d(3, 5, (1, 2), rng=rng),
    )


def records(shape):
    return np.zeros(shape, [("a", "f4"), ("b", "i2")])


BAD = {
    "complex": (lambda v: v + 1j, TypeError, r"has dtype complex\d+, which does not fit float32"),
    "text": (lambda v: v.astype(str), TypeError, r"has dtype <U\d+, which does not fit float32"),
    "bytes": (lambda v: v.astype(bytes), TypeError, r"has dtype \|S\d+, which"),
    "dates": (lambda v: np.full(v.shape, "2020-01-01", "M8[D]"), TypeError, r"has dtype datetime64\[D\], wh"),
    "spans": (lambda v: np.zeros(v.shape, "m8[s]"), TypeError, r"has dtype timedelta64\[s\], which"),
    "records": (
        lambda v: records(v.shape),
        TypeError,
        r"has dtype \[\('a', '<f4'\), .*\], which does not fit",
    ),
    "objects": (lambda v: np.full(v.shape, datetime.date(2020, 1, 1)), TypeError, r"has dtype object, which"),
    "bool": (lambda v: v > 0, TypeError, r"has dtype bool, which does not fit float32"),
    "int8": (lambda v: np.ones(v.shape, np.int8), TypeError, r"has dtype int8, which does not fit float32"),
    "masked": (lambda v: np.ma.masked_less(v, v.max()), TypeError, r"has values that are masked out"),
    "ragged": (lambda v: [[1.0], [1.0, 2.0]], TypeError, r"list cannot be made an array: "),
    "none": (lambda v: None, ValueError, r"has shape \(\), not "),
    "shape": (lambda v: v[None], ValueError, r"has shape \(1, .*\), not "),
    "nan": (lambda v: np.where(v == v.max(), np.nan, v), ValueError, r"holds nan, as one of 1 values not"),
    "inf": (lambda v: np.where(v == v.max(), -np.inf, v), ValueError, r"holds -inf, as one of 1 values not"),
    "overflow": (lambda v: v + 1e300, ValueError, r"holds 1e\+300, out of the range of float32"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["0.weight", "1.running_mean", "3.bias"])
def test_an_entry_that_does_not_fit_is_named_and_nothing_changes(kind, name):
    """At the first entry, among the buffers, and at the last: what comes before it is not written either."""
    change, error, message = BAD[kind]
    model, state = network(1), network(2).state_dict()
    state["3.bias"] = state["3.bias"] + np.arange(5)
    before = model.state_dict()
    state[name] = change(state[name] + np.arange(state[name].size).reshape(state[name].shape))
    with pytest.raises(error, match=rf"^load_state_dict: {name}:? {message}"):
        model.load_state_dict(state)
    assert_same_state(model.state_dict(), before)


def test_the_first_of_several_entries_is_named():
    state = network(2).state_dict() | {"0.bias": np.full(3, np.nan), "3.bias": np.full(5, np.inf)}
    with pytest.raises(ValueError, match=r"load_state_dict: 0\.bias holds nan, as one of 3 values"):
        network(1).load_state_dict(state)


def test_a_running_variance_is_never_negative_and_a_running_mean_may_be():
    model, state = network(1), network(2).state_dict()
    state["1.running_mean"] = np.array([-1, 2, -3], np.float32)
    model.load_state_dict(state)
    assert_same_state(model.state_dict(), state)
    state["1.running_var"] = np.array([1, -0.25, 0], np.float32)
    with pytest.raises(ValueError, match=r"1\.running_var holds -0\.25, must be at least 0"):
        model.load_state_dict(state)
    state["1.running_var"][1] = 0
    model.load_state_dict(state)


def test_floating_point_of_any_width_and_lists_are_taken():
    model, state = network(1), network(2).state_dict()
    for given in (np.float16, np.float64, np.longdouble, ">f4", None):
        cast = {n: v if v.dtype == np.uint64 else v.tolist() if given is None else v.astype(given)
                for n, v in state.items()}  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.load_state_dict(cast)
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, np.asarray(cast[name]).astype(value.dtype))
    tiny = state["0.bias"].astype(np.float64) * 1e-300  # below the smallest number: zero, as rounding has it
    model.load_state_dict(state | {"0.bias": tiny})
    np.testing.assert_array_equal(model.state_dict()["0.bias"], 0)


def test_whole_numbers_have_to_be_whole_and_to_have_room():
    model, state = network(1), network(2).state_dict()
    counter = next(name for name in state if name.endswith("counter"))
    model.load_state_dict(state | {counter: np.array([7], np.int16)})
    assert model.state_dict()[counter] == 7
    for wrong, error in ((np.array([7.0]), TypeError), (np.array([-1]), ValueError)):
        with pytest.raises(error, match=counter.replace(".", r"\.")):
            model.load_state_dict(state | {counter: wrong})


def test_a_state_is_a_dict_of_arrays():
    with pytest.raises(TypeError, match="load_state_dict: the state must be a dict of arrays, got list"):
        network().load_state_dict(list(network().state_dict().items()))
    with pytest.raises(ValueError, match=r"missing '0\.weight', .* and \d+ more, unexpected 3: "):
        network().load_state_dict({3: np.ones(1)})


def test_what_cannot_be_written_is_told_before_anything_is():
    first, second = np.zeros(2), np.zeros(3)
    second.flags.writeable = False
    slots = {"a": Slot(first), "b": Slot(second)}
    with pytest.raises(ValueError, match="there: b cannot be written: the array in its place is read-only"):
        take_over("there", {"a": np.ones(2), "b": np.ones(3)}, slots, "another")
    np.testing.assert_array_equal(first, 0)


def test_a_buffer_of_ones_own_says_what_it_may_hold():
    class Counting(layers.Layer):
        def __init__(self):
            self.seen, self.mask = Buffer(np.zeros(2), least=-1), Buffer(np.zeros(2, bool))

        def forward(self, x, *, train):
            return x, layers.pullback(lambda dy: dy)

    layer = Counting()
    layer.load_state_dict({"seen": np.array([-1.0, 3]), "mask": np.array([True, False])})
    with pytest.raises(ValueError, match=r"seen holds -2\.0, must be at least -1"):
        layer.load_state_dict({"seen": np.array([-2.0, 3]), "mask": layer.mask.value})


# ---- optimisers ----


def adam(steps=3):
    parameters = [Parameter(np.ones((2, 3), np.float32)), Parameter(np.ones(4, np.float32))]
    optimizer = optim.Adam(parameters)
    for k in range(steps):
        for p in parameters:
            p.grad[...] = np.arange(p.grad.size).reshape(p.grad.shape) - k
        optimizer.step()
    return optimizer


OPTIMIZER_BAD = [
    ("steps", lambda v: np.array([3, -1]), ValueError, r"steps holds -1, must be at least 0"),
    ("steps", lambda v: v + 0.5, TypeError, r"steps has dtype float64, which does not fit int64"),
    (
        "steps",
        lambda v: np.array([3, 2**63], np.uint64),
        ValueError,
        r"steps holds 9223372036854775808, out of",
    ),
    ("steps", lambda v: v > 0, TypeError, r"steps has dtype bool"),
    ("m.0", lambda v: v * np.nan, ValueError, r"m\.0 holds nan, as one of 6"),
    ("v.1", lambda v: -1 - v, ValueError, r"v\.1 holds -.*, must be at least 0"),
    (
        "v.1",
        lambda v: v.astype(np.float64) * 1e300,
        ValueError,
        r"v\.1 holds .*, out of the range of float32",
    ),
    ("v.0", lambda v: v.T, ValueError, r"v\.0 has shape \(3, 2\), not \(2, 3\)"),
    ("v.0", lambda v: v.astype(complex), TypeError, r"v\.0 has dtype complex128"),
]


@pytest.mark.parametrize(("name", "change", "error", "message"), OPTIMIZER_BAD)
def test_a_state_of_an_optimiser_is_taken_whole_or_not_at_all(name, change, error, message):
    optimizer, state = adam(1), adam(4).state_dict()
    before = optimizer.state_dict()
    with pytest.raises(error, match=rf"^Adam\.load_state_dict: {message}"):
        optimizer.load_state_dict(state | {name: change(state[name])})
    assert_same_state(optimizer.state_dict(), before)
    optimizer.load_state_dict(state)
    assert_same_state(optimizer.state_dict(), state)


def test_a_first_moment_and_a_velocity_may_be_negative():
    optimizer, state = adam(1), adam(4).state_dict()
    optimizer.load_state_dict(state | {"m.0": -1 - abs(state["m.0"])})
    assert optimizer.state_dict()["m.0"].max() < 0


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.AdamW, {"weight_decay": "x"}, "AdamW: weight_decay must be a number, got 'x'"),
        (optim.Adam, {"lr": None}, "Adam: lr must be a number, got None"),
        (optim.Adam, {"eps": 1j}, "Adam: eps must be a number, got 1j"),
        (optim.Adam, {"betas": ("a", 0.9)}, "Adam: betas[0] must be a number, got 'a'"),
        (optim.SGD, {"lr": 1, "momentum": [0.9]}, "SGD: momentum must be a number, got [0.9]"),
    ],
)
def test_settings_of_an_optimiser_are_numbers(kind, options, message):
    with pytest.raises(TypeError) as caught:
        kind([Parameter(np.ones(2))], **options)
    assert str(caught.value) == message
