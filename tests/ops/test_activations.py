"""Activations: by hand, at the ends of the number line, in any shape and memory layout; what they refuse."""

import re

import numpy as np
import pytest
from helpers import equal, normal

import npdsconv

with_every_impl = pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@with_every_impl
@with_both_dtypes
def test_activations_by_hand(impl, dtype):
    x, dy = (
        np.array([[-2, -0.5, 0, 1], [5.5, 6, 7, 100]], dtype),
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype),
    )
    equal(npdsconv.relu(x, impl=impl), np.array([[0, 0, 0, 1], [5.5, 6, 7, 100]], dtype))
    equal(npdsconv.relu_backward(dy, x, impl=impl), np.array([[0, 0, 0, 4], [5, 6, 7, 8]], dtype))
    equal(npdsconv.relu6(x, impl=impl), np.array([[0, 0, 0, 1], [5.5, 6, 6, 6]], dtype))
    equal(npdsconv.relu6_backward(dy, x, impl=impl), np.array([[0, 0, 0, 4], [5, 0, 0, 0]], dtype))


@with_every_impl
@with_both_dtypes
def test_leaky_relu_by_hand(impl, dtype):
    x = np.array([-np.inf, -8, -0.5, 0, 0.5, 6, np.inf, np.nan], dtype)
    dy = np.array([7, 6, 5, 4, 3, 2, 1, 8], dtype)
    steep = {"negative_slope": 0.25, "impl": impl}
    equal(npdsconv.leaky_relu(x, **steep), np.array([-np.inf, -2, -0.125, 0, 0.5, 6, np.inf, np.nan], dtype))
    dx = npdsconv.leaky_relu_backward(dy, x, **steep)
    equal(dx[:-1], np.array([1.75, 1.5, 1.25, 1, 3, 2, 1], dtype))  # 0 is a kink: the slope of the left there
    np.testing.assert_allclose(npdsconv.leaky_relu(x[1:2], impl=impl), [-0.08], rtol=1e-6)


@pytest.mark.parametrize("slope", [np.nan, np.inf, "0.2", None, True])
def test_a_slope_is_a_finite_number(slope):
    message = f"leaky_relu: negative_slope must be a number in (-inf, inf), got {slope!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        npdsconv.leaky_relu(np.ones(2), negative_slope=slope)
    with pytest.raises(ValueError, match=r"^LeakyReLU: negative_slope must be"):
        npdsconv.layers.LeakyReLU(slope)


@with_every_impl
@with_both_dtypes
def test_hard_swish_by_hand(impl, dtype):
    x = np.array([-np.inf, -4, -3, -1.5, 0, 1.5, 3, 4, np.inf, np.nan], dtype)
    dy = np.array([7, 6, 5, 4, 3, 2, 1, 8, 9, 1], dtype)
    y = npdsconv.hard_swish(x, impl=impl)
    equal(y, np.array([0, 0, 0, -0.375, 0, 1.125, 3, 4, np.inf, np.nan], dtype))
    dx = npdsconv.hard_swish_backward(dy, x, impl=impl)
    equal(dx, np.array([0, 0, 0, 0, 1.5, 2, 1, 8, 9, np.nan], dtype))


@with_every_impl
@with_both_dtypes
def test_hard_sigmoid_by_hand(impl, dtype):
    x = np.array([-np.inf, -4, -3, -1.5, 0, 1.5, 3, 4, np.inf, np.nan], dtype)
    dy = np.array([7, 6, 5, 12, 3, -24, 1, 8, 9, 1], dtype)
    y = npdsconv.hard_sigmoid(x, impl=impl)
    np.testing.assert_allclose(y, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, np.nan], rtol=1e-6)
    dx = npdsconv.hard_sigmoid_backward(dy, x, impl=impl)
    np.testing.assert_allclose(dx[:-1], [0, 0, 0, 2, 0.5, -4, 0, 0, 0], rtol=1e-6)
    assert y.dtype == dx.dtype == dtype


@with_every_impl
@with_both_dtypes
def test_sigmoid_by_hand(impl, dtype):
    x = np.array([-np.inf, -1000, 0, np.log(3), -np.log(3), 1000, np.inf, np.nan], dtype)
    dy = np.array([7, 6, 4, 16, 32, 3, 2, 1], dtype)
    close = {"rtol": 1e-6, "atol": 0}
    np.testing.assert_allclose(npdsconv.sigmoid(x, impl=impl), [0, 0, 0.5, 0.75, 0.25, 1, 1, np.nan], **close)
    dx = npdsconv.sigmoid_backward(dy, x, impl=impl)
    np.testing.assert_allclose(dx, [0, 0, 1, 3, 6, 0, 0, np.nan], **close)
    assert dx.dtype == dtype
    if dtype == np.float64:  # far from 0 nothing is lost where there is room for it
        tail = npdsconv.sigmoid(np.array([-40.0]), impl=impl)
        np.testing.assert_allclose(tail, [4.248354255291589e-18], rtol=1e-14)


@with_every_impl
def test_activations_pass_a_nan_on_and_infinities_are_cut(impl):
    x = np.array([np.nan, np.inf, -np.inf])
    equal(npdsconv.relu(x, impl=impl), np.array([np.nan, np.inf, 0]))
    equal(npdsconv.relu6(x, impl=impl), np.array([np.nan, 6, 0]))
    equal(npdsconv.relu6_backward(np.ones(3), x, impl=impl)[1:], np.zeros(2))


@with_every_impl
@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (3, 4), (2, 0, 3, 4), (2, 3, 5, 4), (2, 1, 3, 2, 2), (40_000,)]
)
@pytest.mark.parametrize("ceiling", [6, np.inf])
def test_activations_of_any_shape(ceiling, shape, impl):
    """40,000 numbers are three pieces of work for the kernel."""
    x, dy = 5 * normal(*shape), np.asarray(normal(*shape, seed=1))
    x = np.asarray(x)
    forward, backward = (
        (npdsconv.relu, npdsconv.relu_backward)
        if ceiling == np.inf
        else (npdsconv.relu6, npdsconv.relu6_backward)
    )
    equal(np.asarray(forward(x, impl=impl)), np.minimum(np.maximum(x, 0), ceiling))
    equal(np.asarray(backward(dy, x, impl=impl)), np.where((x > 0) & (x < ceiling), dy, 0))


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
def test_relu_passes_the_gradient_of_infinity(impl):
    dy = np.array([3.0, 5.0, 7.0])
    dx = npdsconv.relu_backward(dy, np.array([np.inf, -np.inf, 1.0]), impl=impl)
    np.testing.assert_array_equal(dx, [3.0, 0.0, 7.0])
