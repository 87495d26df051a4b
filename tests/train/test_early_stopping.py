"""Early stopping: when it says stop, and what it gives back."""

import numpy as np
import pytest

from npdsconv import layers
from npdsconv.train import EarlyStopping


def stopped_at(losses, **how):
    """The first call that says stop, from 1; None if none does."""
    stop = EarlyStopping(**how)
    return next((epoch for epoch, loss in enumerate(losses, 1) if stop(loss)), None)


@pytest.mark.parametrize(
    ("losses", "how", "expected"),
    [
        ([5, 4, 3, 2, 1], {"patience": 1}, None),
        ([5, 4, 4], {"patience": 1}, 3),  # the same is not less
        ([5, 6, 4, 7, 6, 5], {"patience": 2}, 5),
        ([5, 6, 4, 7, 6, 5], {"patience": 3}, 6),
        ([5.0, 4.9, 4.8, 4.7], {"patience": 2, "min_delta": 0.15}, None),  # slowly, but it adds up
        ([5.0, 4.9, 4.8, 4.7], {"patience": 2, "min_delta": 0.25}, 3),
        ([float("nan"), float("nan")], {"patience": 1}, 1),  # no number is not less
        ([float("nan"), 3, 2, float("nan"), 1], {"patience": 2}, None),
        ([3, 3, 3, 3, 3], {}, None),
        ([3, 3, 3, 3, 3, 3], {}, 6),
    ],
)
def test_when_it_stops(losses, how, expected):
    assert stopped_at(losses, **how) == expected


def test_the_best_weights_come_back():
    model = layers.Sequential(layers.Linear(3, 2, rng=0), layers.BatchNorm2d(4))
    stop = EarlyStopping(2, model=model)
    states = []
    for k, loss in enumerate([3.0, 1.0, 2.0, 1.5]):
        for parameter in model.parameters():
            parameter.value[...] = k + 1
        model[1].running_mean.value[...] = -k
        states.append(model.state_dict())
        assert stop(loss) == (k == 3)
    assert (stop.best, stop.best_epoch) == (1.0, 2)
    stop.restore()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"patience": 0}, "EarlyStopping: patience must be at least 1, got 0"),
        ({"min_delta": -0.1}, "EarlyStopping: min_delta must be at least 0 and finite, got -0.1"),
        ({"min_delta": float("nan")}, "EarlyStopping: min_delta must be at least 0"),
    ],
)
def test_settings_that_make_no_sense(how, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**how)


def test_without_a_model_nothing_can_come_back():
    with pytest.raises(ValueError, match=r"EarlyStopping: restore needs a model"):
        EarlyStopping().restore()
