"""Flatten; dropout: its share, its mask as a function of key and counter, off in evaluation; what it refuses."""

import numpy as np
import pytest
from helpers import normal

from npdsconv.layers import Dropout, Flatten


def test_flatten_has_the_channels_slowest():
    x = normal(2, 3, 4, 5).transpose(0, 1, 3, 2)
    y, backward = Flatten().forward(x, train=True)
    np.testing.assert_array_equal(y, x.reshape(2, 60))
    np.testing.assert_array_equal(backward(y), x)


@pytest.mark.parametrize("shape", [(40, 250), (10, 8, 5, 25)])
def test_dropout_drops_its_share_and_scales_the_rest(shape):
    layer, x = Dropout(0.3, rng=np.random.default_rng(0)), normal(*shape)
    y, backward = layer.forward(x, train=True)
    dropped = y == 0
    assert abs(dropped.mean() - 0.3) < 0.02  # 4.4 standard deviations of 10,000 draws
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.7, 1e-12)
    dy = normal(*shape, seed=1)
    np.testing.assert_allclose(backward(dy), np.where(dropped, 0, dy / 0.7), 1e-12)
    for axis in range(len(shape)):  # no axis along which the mask repeats
        assert dropped.any(axis).any()
        assert not dropped.all(axis).any() or shape[axis] < 10


def test_dropouts_mask_is_a_function_of_key_and_counter():
    x = np.ones((6, 50), np.float32)
    layer = Dropout(0.5, rng=np.random.default_rng(1))
    start = layer.state_dict()
    masks = [layer.forward(x, train=True)[0] for _ in range(3)]
    assert int(layer.counter.value[0]) == 3
    assert not any(np.array_equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    twin = Dropout(0.5, rng=np.random.default_rng(2))
    assert not np.array_equal(twin.forward(x, train=True)[0], masks[0])
    twin.load_state_dict(start)
    for mask in masks:
        np.testing.assert_array_equal(twin.forward(x, train=True)[0], mask)
    layer.load_state_dict(start)
    layer.counter.value[0] = 2
    np.testing.assert_array_equal(layer.forward(x, train=True)[0], masks[2])


def test_dropouts_key_is_any_of_63_bits():
    keys = [int(Dropout(rng=seed).key.value[0]) for seed in range(40)]
    assert len(set(keys)) == 40
    assert 2**62 < max(keys) < 2**63
    assert min(keys) < 2**60
    assert Dropout().p == 0.5


def test_dropouts_mask_is_the_same_in_every_version():
    """A generator of bits never changes; 4 by 8 units, dropped where the 32 bits are below p."""
    layer = Dropout(0.25, rng=0)
    layer.key.value[0], layer.counter.value[0] = 5, 7
    mask = layer.forward(np.ones((4, 9)), train=True)[0] > 0
    bits = np.random.Philox(key=5, counter=[0, 0, 0, 7]).random_raw(18)
    halves = np.stack([bits & np.uint64(2**32 - 1), bits >> np.uint64(32)], axis=1).ravel()
    np.testing.assert_array_equal(mask.ravel(), halves >= 2**30)
    assert layer.counter.value[0] == 8


def test_dropout_is_off_in_evaluation_and_for_p_zero():
    x, dy = normal(3, 4), normal(3, 4, seed=1)
    for layer, train in ((Dropout(0.9), False), (Dropout(0.0), True)):
        y, backward = layer.forward(x, train=train)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(backward(dy), dy)
        assert layer.counter.value[0] == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dropout(1.0), ValueError, r"Dropout: p must be a number in \[0, 1\), got 1.0"),
        (lambda: Dropout(-0.1), ValueError, r"Dropout: p must be a number in \[0, 1\), got -0.1"),
        (lambda: Dropout(float("nan")), ValueError, r"Dropout: p must be a number in \[0, 1\), got nan"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
