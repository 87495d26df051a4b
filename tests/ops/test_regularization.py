"""Dropout: by hand, and what it keeps of the mean; what it refuses."""

import numpy as np
import pytest
from geometries import laid_out
from helpers import equal, is_channels_last, normal
from messages import MASK, X, assert_says, cases

import npdsconv

with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@with_both_dtypes
def test_dropout_by_hand(dtype):
    x, mask = np.array([[1, 2, 3], [4, 5, 6]], dtype), np.array([[True, False, True], [False, True, True]])
    equal(npdsconv.dropout(x, mask, 0.75), np.array([[4, 0, 12], [0, 20, 24]], dtype))
    equal(npdsconv.dropout_backward(x, mask, 0.75), np.array([[4, 0, 12], [0, 20, 24]], dtype))
    equal(npdsconv.dropout(x, np.ones_like(mask), 0.0), x)
    equal(npdsconv.dropout(x[:0], mask[:0], 0.5), x[:0])


def test_dropout_keeps_the_mean_and_the_layout():
    x = laid_out(1 + 0.1 * normal(20, 3, 40, 30), "channels-last")
    mask = laid_out(np.random.default_rng(1).random(x.shape) >= 0.3, "channels-last")
    y = npdsconv.dropout(x, mask, 0.3)
    np.testing.assert_allclose(y.mean(), x.mean(), rtol=0.02)
    np.testing.assert_allclose((y == 0).mean(), 0.3, atol=0.02)
    assert is_channels_last(y)
    dy = normal(*x.shape, seed=1)
    np.testing.assert_allclose(
        np.vdot(y, dy), np.vdot(x, npdsconv.dropout_backward(dy, mask, 0.3)), rtol=1e-12
    )


@pytest.mark.parametrize("op", ["dropout", "dropout_backward"])
@cases(
    ((X, MASK[0], 0.5), {}, ValueError, "mask has shape (4, 7, 6), expected (2, 4, 7, 6) (the shape of x)"),
    ((X, X, 0.5), {}, TypeError, "mask has dtype float64, must be bool"),
    ((X, True, 0.5), {}, TypeError, "mask must be a NumPy array, got bool"),
    ((X, MASK, 1.0), {}, ValueError, "p must be in [0, 1), got 1.0"),
    ((X, MASK, -0.1), {}, ValueError, "p must be in [0, 1), got -0.1"),
    ((X, MASK, np.nan), {}, ValueError, "p must be in [0, 1), got nan"),
    ((MASK, MASK, 0.5), {}, TypeError, "x has dtype bool, must be float32 or float64"),
)
def test_dropout(op, arguments, options, error, message):
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)
