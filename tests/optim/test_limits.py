"""Settings at the very end of their range are taken, and mean what they say; Adagrad by hand."""

import numpy as np
import pytest

from npdsconv import optim
from npdsconv.layers import Parameter


def moved(make, *gradients, start=1.0):
    """Where a number stands after these gradients."""
    w = Parameter(np.array([[start]]))
    optimizer = make([w])
    for gradient in gradients:
        w.grad[...] = gradient
        optimizer.step()
    return w.value.item()


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda p: optim.SGD(p, lr=0.0), 1),
        (lambda p: optim.SGD(p, lr=0.5, momentum=0.0, weight_decay=0.0), 0),
        (lambda p: optim.SGD(p, lr=0.5, weight_decay=0.5), -0.25),
        (lambda p: optim.Adam(p, lr=0.25, betas=(0, 0), eps=0), 0.75),  # g/|g|
        (lambda p: optim.Adam(p, lr=0, betas=(0.5, 0.5)), 1),
        (lambda p: optim.AdamW(p, lr=0.25, betas=(0, 0), eps=0, weight_decay=0), 0.75),
        (lambda p: optim.AdamW(p, lr=0.25, betas=(0, 0), eps=2, weight_decay=1), 0.75 - 0.25 * 2 / 4),
        (lambda p: optim.Adagrad(p, lr=0.25, eps=0, lr_decay=0, initial_accumulator_value=0), 0.75),
        (lambda p: optim.Adagrad(p, lr=0.25, eps=2), 1 - 0.25 * 2 / 4),
        (lambda p: optim.Adagrad(p, lr=3, eps=0, initial_accumulator_value=12), 1 - 3 * 2 / 4),
    ],
)
def test_a_step_with_the_gradient_2(make, value):
    np.testing.assert_allclose(moved(make, 2.0), value, rtol=1e-15)


def test_adagrad_by_hand():
    """Gradients 3, 4 and 12: roots 3, 5 and 13; the rate falls to 1/2 and 1/3."""
    expected = 1 - (3 / 3 + 4 / 5 / 2 + 12 / 13 / 3)
    found = moved(lambda p: optim.Adagrad(p, lr=1, lr_decay=1, eps=0), 3, 4, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"eps": -1e-12}, "eps -1e-12 must be >= 0 and finite"),
        ({"lr_decay": -0.5}, "lr_decay -0.5 must be >= 0 and finite"),
        ({"initial_accumulator_value": -1}, "initial_accumulator_value -1 must be >= 0 and finite"),
        ({"lr": np.inf}, "lr inf must be >= 0 and finite"),
    ],
)
def test_what_adagrad_refuses(setting, said):
    with pytest.raises(ValueError, match=f"^Adagrad: {said}$"):
        optim.Adagrad([Parameter(np.ones(2))], **setting)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (optim.step_decay(1, gamma=0.5), [1, 0.5, 0.25]),
        (optim.step_decay(2, gamma=3), [1, 1, 3]),
        (optim.exponential(3), [1, 3, 9]),
        (optim.exponential(0.25, every=2), [1, 0.5, 0.25]),
        (optim.cosine(1), [1, 0, 0]),
        (optim.cosine(1, final=0), [1, 0, 0]),
        (optim.cosine(2, final=3), [1, 2, 3]),
        (optim.cosine_restarts(1), [1, 1, 1]),
        (optim.cosine_restarts(2, growth=1, final=0), [1, 0.5, 1]),
        (optim.cosine_restarts(2, growth=2), [1, 0.5, 1, (1 + 0.5**0.5) / 2, 0.5]),
        (optim.one_cycle(2, warm=0, start=0, final=0), [1, 0, 0]),
        (optim.one_cycle(2, warm=0.5, start=0.25, final=0.5), [1, 0.5]),
        (optim.one_cycle(4, warm=0.75, start=0.5, final=0), [0.5, 0.75, 1, 0]),
        (optim.warm_up(optim.constant(), 1), [1, 1]),
        (optim.warm_up(optim.constant(), 2), [0.5, 1, 1]),
    ],
)
def test_schedules_at_their_limits(schedule, expected):
    np.testing.assert_allclose([schedule(step) for step in range(len(expected))], expected, atol=1e-15)


def test_what_one_cycle_does_if_nothing_is_said():
    """30 % of 20 steps: the peak is at step 5."""
    factor = optim.one_cycle(20)
    np.testing.assert_allclose([factor(0), factor(5), factor(19)], [1 / 25, 1, 1e-4], rtol=1e-12)


@pytest.mark.parametrize(("decay", "first"), [(0.0, 5), (0.1, 0.1 + 0.9 * 5), (0.99, (2 + 9 * 5) / 11)])
def test_the_first_step_of_an_average(decay, first):
    """The decay is at most 2/11."""
    w = Parameter(np.array([1.0]))
    average = optim.Average([w], decay=decay)
    w.value[...] = 5
    average.update()
    np.testing.assert_allclose(average.values[0], first, rtol=1e-14)
    for wrong in (-0.1, 1.0, 1):
        with pytest.raises(ValueError, match=rf"Average: decay {wrong} must be in \[0, 1\)"):
            optim.Average([w], decay=wrong)


def test_a_penalty_of_nothing_and_gradients_exactly_as_long_as_allowed():
    w = Parameter(np.array([3.0, -4.0, 0.0]))
    w.grad[...] = w.value
    assert optim.clip_gradients([w], 5) == 5
    np.testing.assert_array_equal(w.grad, w.value)
    assert optim.add_l1([w], 0) == 0
    np.testing.assert_array_equal(w.grad, w.value)
    assert optim.add_l1([w], 0.5) == 3.5
    np.testing.assert_array_equal(w.grad, [3.5, -4.5, 0])
    with pytest.raises(ValueError, match="add_l1: factor -1 must be >= 0"):
        optim.add_l1([w], -1)
    assert optim.clip_gradients([w], 1e-300) > 5
