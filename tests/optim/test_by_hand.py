"""Optimisers by hand: one number, a few steps, and clipping."""

import math

import numpy as np
import pytest

from npdsconv import optim
from npdsconv.layers import Parameter


# --- by hand ------------------------------------------------------------------------------------------------
def run_by_hand(kind, gradients, **options):
    """Start one number at 1 and return where it stands after each gradient."""
    w = Parameter(np.array([1.0]))
    optimizer = kind([w], **options)
    seen = []
    for gradient in gradients:
        w.grad[...] = gradient
        optimizer.step()
        seen.append(w.value.item())
    return seen


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [-1.0, -2.0, -1.0]),
        ({"momentum": 0.5}, [-1.0, -3.0, -3.0]),  # v = 4, 4, 0
        ({"momentum": 0.5, "nesterov": True}, [-2.0, -4.0, -3.0]),  # g + v/2 = 6, 4, -2
        ({"weight_decay": 0.5}, [-1.25, -1.9375, -0.453125]),  # g + w/2 = 4.5, 1.375, -2.96875
    ],
)
def test_sgd_by_hand(options, expected):
    assert run_by_hand(optim.SGD, [4.0, 2.0, -2.0], lr=0.5, **options) == expected


def test_adam_by_hand():
    # m = 1, -1/2, -1/4;  v = 1, 7/4, 21/16;  m̂ = 2, -2/3, -2/7;  v̂ = 4, 4, 84/37
    seen = run_by_hand(optim.Adam, [2.0, -2.0, 0.0], lr=1.0, betas=(0.5, 0.75), eps=0.0)
    np.testing.assert_allclose(seen, [0.0, 1 / 3, 1 / 3 + 2 / 7 / math.sqrt(84 / 37)], rtol=1e-14, atol=1e-15)


def test_adamw_by_hand():
    # the value is halved before each of the steps above
    seen = run_by_hand(optim.AdamW, [2.0, -2.0], lr=1.0, betas=(0.5, 0.75), eps=0.0, weight_decay=0.5)
    np.testing.assert_allclose(seen, [-1 / 2, -1 / 4 + 1 / 3], rtol=1e-14)


def test_eps_is_added_to_the_corrected_root():
    # m̂ = 2, √v̂ = 2 whatever the betas: 2 / (2 + 2)
    np.testing.assert_allclose(run_by_hand(optim.Adam, [2.0], lr=1.0, eps=2.0), [0.5], rtol=1e-14)


def test_a_parameter_given_twice_moves_once():
    w = Parameter(np.array([1.0]))
    w.grad[...] = 1.0
    optim.SGD([w, w], lr=0.25).step()
    assert w.value.item() == 0.75


def test_lr_may_be_changed_at_any_time():
    w = Parameter(np.array([1.0]))
    optimizer = optim.SGD([w], lr=0.5)
    optimizer.lr = 0.25
    w.grad[...] = 2.0
    optimizer.step()
    assert w.value.item() == 0.5
    optimizer.step(factor=0.5)
    assert w.value.item() == 0.25
    assert optimizer.lr == 0.25


# --- clipping -----------------------------------------------------------------------------------------------
def test_clip_gradients_by_hand():
    a, b = Parameter(np.zeros(2)), Parameter(np.zeros((1, 1)))
    a.grad[...], b.grad[...] = [2.0, 4.0], 4.0
    gradient = a.grad
    assert optim.clip_gradients([a, b], max_norm=6.0) == 6.0
    np.testing.assert_array_equal(a.grad, [2.0, 4.0])
    assert optim.clip_gradients([a, b], max_norm=3.0) == 6.0
    np.testing.assert_array_equal(a.grad, [1.0, 2.0])
    np.testing.assert_array_equal(b.grad, [[2.0]])
    assert a.grad is gradient
    with pytest.raises(ValueError, match=r"clip_gradients: max_norm 0 must be > 0"):
        optim.clip_gradients([a], max_norm=0)
