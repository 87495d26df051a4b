"""The range test: its rates, where it ends, and that nothing is left of it."""

import re

import numpy as np
import pytest
from helpers import assert_same_state
from training import make_linear, make_split

from npdsconv import data, layers, optim, plots, train

SPLIT = make_split(20)


def network():
    net = layers.Sequential(
        layers.Conv2d(1, 2, 3, rng=0), layers.BatchNorm2d(2), layers.Flatten(), layers.Linear(24, 3, rng=1)
    )
    return layers.set_impl(net, "im2col")


def test_rates_grow_by_a_constant_factor_and_losses_are_those_of_a_training():
    model = make_linear(dtype=np.float64)
    found = train.range_test(
        model, SPLIT, optim.SGD(model.parameters(), lr=0.2), low=0.01, high=0.16, steps=5, batch_size=7
    )
    np.testing.assert_allclose(found.rates, [0.01, 0.02, 0.04, 0.08, 0.16])
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    batches = [
        batch
        for epoch in range(2)
        for batch in data.batches(SPLIT.images, SPLIT.labels, 7, seed=0, epoch=epoch)
    ]
    expected = [
        train.train_step(model, *batch, optimizer, lr_factor=rate / 0.5)
        for batch, rate in zip(batches, found.rates, strict=False)
    ]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-9)
    weights = 0.9 ** np.array([2, 1, 0])
    np.testing.assert_allclose(found.smooth[:3][-1], weights @ expected[:3] / weights.sum(), rtol=1e-9)


def test_model_and_optimiser_are_as_before():
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    train.train_step(model, SPLIT.images, SPLIT.labels, optimizer)
    before, moments = model.state_dict(), optimizer.state_dict()
    found = train.range_test(model, SPLIT, optimizer, steps=7, batch_size=6)
    assert len(found.losses) == 7
    assert_same_state(model.state_dict(), before)
    assert_same_state(optimizer.state_dict(), moments)


def test_it_ends_where_nothing_is_learned_any_more():
    model = make_linear()
    state = model.state_dict()
    found = train.range_test(
        model, SPLIT, optim.SGD(model.parameters(), lr=1.0), low=0.01, high=1e30, steps=90
    )
    assert len(found.rates) == len(found.losses) == len(found.smooth) < 90
    assert found.smooth[-1] > 4 * found.smooth.min()
    assert np.isfinite(found.losses).all()
    assert found.suggestion == found.rates[np.argmin(found.smooth)] / 10
    assert_same_state(model.state_dict(), state)


def test_a_loss_without_end_is_no_error_but_a_model_without_a_loss_is():
    model = make_linear()
    model[1].weight.value[0, :2] = np.float32(3e38)  # their sum is beyond float32
    with pytest.raises(FloatingPointError, match="range_test: the loss is"):
        train.range_test(
            model, data.Split(SPLIT.images | 255, SPLIT.labels), optim.SGD(model.parameters(), lr=1)
        )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": 1}, "range_test: steps must be at least 2, got 1"),
        ({"low": 0.1, "high": 0.1}, "range_test: low and high must be 0 < low < high, got 0.1 and 0.1"),
        ({"low": 0.0}, "range_test: low and high must be 0 < low < high, got 0.0 and 1.0"),
    ],
)
def test_settings_that_make_no_sense(how, message):
    model = make_linear()
    with pytest.raises(ValueError, match=re.escape(message)):
        train.range_test(model, SPLIT, optim.SGD(model.parameters(), lr=1), **how)


def test_a_rate_of_zero_never_grows():
    model = make_linear()
    with pytest.raises(ValueError, match="range_test: the optimiser's learning rate is 0"):
        train.range_test(model, SPLIT, optim.SGD(model.parameters(), lr=0))


def test_its_picture():
    found = train.RangeTest(np.array([0.1, 1.0, 10.0]), np.array([3.0, 1, 2]), np.array([3.0, 2, 2.5]))
    axis = plots.range_test(found).axes[0]
    each, smoothed, suggested = axis.get_lines()
    np.testing.assert_array_equal(each.get_ydata(), found.losses)
    np.testing.assert_array_equal(smoothed.get_ydata(), found.smooth)
    assert suggested.get_xdata()[0] == pytest.approx(0.1)
    assert axis.get_xscale() == "log"
