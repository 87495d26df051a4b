"""Batch norm: by hand, its laws, given statistics, large means, both tiers; what it refuses."""

import numpy as np
import pytest
from geometries import LAYOUTS, laid_out
from helpers import assert_close, equal, is_channels_last, normal
from messages import F32, C, X, assert_says, cases

import npdsconv

with_every_impl = pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@with_every_impl
@with_both_dtypes
def test_batch_norm_by_hand(impl, dtype):
    """One channel holds 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9)/4. With eps = 1/2 the divisor is 2."""
    x = np.array([[1, 2, 3, 6], [2, 2, 2, 2]], dtype).T.reshape(2, 2, 1, 2).transpose(0, 3, 1, 2)
    weight, bias = np.array([4, 3], dtype), np.array([1, -1], dtype)
    y, mean, var = npdsconv.batch_norm2d(x, weight, bias, eps=0.5, impl=impl)
    equal(mean, np.array([3, 2], dtype))
    equal(var, np.array([3.5, 0], dtype))
    assert_close(y[:, 0].ravel(), np.array([-3, -1, 1, 7], dtype), 1e-6, "y")
    assert_close(
        y[:, 1].ravel(), np.array([-1, -1, -1, -1], dtype), 1e-6, "a constant channel gives its bias"
    )


@with_every_impl
def test_batch_norm_makes_mean_0_and_variance_1(impl):
    x = 7 * normal(9, 3, 14, 13) + np.array([5, -3, 0.1]).reshape(3, 1, 1)  # 1638 rows: four blocks
    y, mean, var = npdsconv.batch_norm2d(x, np.ones(3), np.zeros(3), eps=0.0, impl=impl)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var, x.var((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-12)
    z, *_ = npdsconv.batch_norm2d(-2 * x + 30, np.ones(3), np.zeros(3), eps=0.0, impl=impl)
    assert_close(z, -y, 1e-12, "shifting and stretching do not matter, up to the sign")


@with_every_impl
def test_given_statistics_are_used_and_returned(impl):
    x, weight, bias, mean = normal(2, 3, 4, 5), *normal(3, 3)
    var = np.random.default_rng(1).uniform(0.5, 2, 3)
    y, *used = npdsconv.batch_norm2d(x, weight, bias, mean, var, impl=impl)
    equal(used[0], mean)
    equal(used[1], var)
    mean, var, weight, bias = (a.reshape(3, 1, 1) for a in (mean, var, weight, bias))
    assert_close(y, weight * (x - mean) / np.sqrt(var + 1e-5) + bias, 1e-13, "y")


@with_every_impl
def test_given_statistics_accept_an_empty_batch_and_a_single_pixel(impl):
    weight, bias, mean, var = np.array([2.0, 1]), np.array([1.0, 0]), np.array([0.0, 1]), np.array([3.0, 0])
    for shape in ((0, 2, 3, 4), (1, 2, 1, 1)):
        x = np.ones(shape)
        y, *_ = npdsconv.batch_norm2d(x, weight, bias, mean, var, eps=1.0, impl=impl)
        equal(y, np.broadcast_to(np.array([2.0, 0]).reshape(2, 1, 1), shape).copy())
        dx, dweight, dbias = npdsconv.batch_norm2d_backward(
            x, x, weight, mean, var, given=True, eps=1.0, impl=impl
        )
        assert dx.shape == shape
        equal(dweight, np.array([0.5, 0]) * len(x))
        equal(dbias, np.array([1.0, 1]) * len(x))


@with_every_impl
def test_the_batch_norm_gradient_has_nothing_along_1_and_along_the_output(impl):
    x, dy, weight = normal(3, 2, 5, 4), normal(3, 2, 5, 4, seed=1), np.array([2.0, -0.3])
    xhat, mean, var = npdsconv.batch_norm2d(x, np.ones(2), np.zeros(2), eps=0.0, impl=impl)
    dx, dweight, dbias = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, eps=0.0, impl=impl)
    np.testing.assert_allclose(dx.sum((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose((dx * xhat).sum((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(dweight, (dy * xhat).sum((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dbias, dy.sum((0, 2, 3)), rtol=1e-12)
    fixed, *_ = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, given=True, eps=0.0, impl=impl)
    assert_close(fixed, dy * (weight / np.sqrt(var)).reshape(2, 1, 1), 1e-13, "dx with given statistics")


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_both_batch_norms_agree_in_any_layout(given, dtype, tolerance):
    x, dy = 3 * normal(3, 4, 15, 12) + 2, normal(3, 4, 15, 12, seed=1)
    weight, bias, mean = normal(3, 4)
    statistics = (mean, np.random.default_rng(1).uniform(0.5, 2, 4)) if given else ()
    expected, *used = npdsconv.batch_norm2d(x, weight, bias, *statistics, impl="numpy")
    gradients = npdsconv.batch_norm2d_backward(dy, x, weight, *used, given=given, impl="numpy")
    for layout in LAYOUTS:
        a, g, w, b, *s = (laid_out(v.astype(dtype), layout) for v in (x, dy, weight, bias, *statistics))
        y, *found = npdsconv.batch_norm2d(a, w, b, *s, impl="numba")
        assert_close(y, expected, tolerance, layout)
        assert is_channels_last(y)
        for actual, wanted in zip(found, used, strict=True):
            assert_close(actual, wanted, tolerance, layout)
        back = npdsconv.batch_norm2d_backward(g, a, w, *found, given=given, impl="numba")
        for name, actual, wanted in zip(("dx", "dweight", "dbias"), back, gradients, strict=True):
            assert actual.dtype == dtype
            assert_close(actual, wanted, tolerance, f"{name}, {layout}")


@with_every_impl
def test_a_large_mean_does_not_ruin_the_variance(impl):
    """E[x²] - E[x]² in float32 would leave nothing of a variance of 1 beside a mean of 10,000."""
    x = (normal(4, 2, 20, 30) + 1e4).astype(np.float32)
    _, mean, var = npdsconv.batch_norm2d(x, np.ones(2, x.dtype), np.zeros(2, x.dtype), impl=impl)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=1e-3)


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
def test_batch_norm_keeps_its_digits_where_the_mean_is_large(impl):
    rng = np.random.default_rng(7)
    x = (1000 + rng.standard_normal((16, 3, 9, 8))).astype(np.float32)
    weight, bias = rng.standard_normal((2, 3)).astype(np.float32)
    y, _, var = npdsconv.batch_norm2d(x, weight, bias, impl=impl)
    exact = npdsconv.batch_norm2d(*(a.astype(np.float64) for a in (x, weight, bias)), impl="numpy")
    np.testing.assert_allclose(y, exact[0], atol=2e-4)
    np.testing.assert_allclose(var, exact[2], rtol=1e-5)


def test_batch_norm_backward_names_missing_statistics():
    x, weight = np.zeros((2, 3, 4, 5)), np.ones(3)
    with pytest.raises(TypeError, match="mean and var must be what batch_norm2d returned"):
        npdsconv.batch_norm2d_backward(x, x, weight, None, None)


@cases(
    ((X, C, C), {"impl": "blas"}, ValueError, "impl must be one of naive, im2col, loops, numba, got 'blas'"),
    ((X, C, C), {"eps": -0.1}, ValueError, "eps must be a number in [0, inf), got -0.1"),
    ((X[0], C, C), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, C[:3], C), {}, ValueError, "weight has shape (3,), expected (4,) (C)"),
    ((X, C, C[:1]), {}, ValueError, "bias has shape (1,), expected (4,) (C)"),
    ((X, C, C, C[:2], C), {}, ValueError, "mean has shape (2,), expected (4,) (C)"),
    ((X, C, C, C, np.zeros((4, 1))), {}, ValueError, "var has shape (4, 1), expected (4,) (C)"),
    ((X, C, C, C), {}, ValueError, "give both mean and var, or neither"),
    ((X, C, C, None, C), {}, ValueError, "give both mean and var, or neither"),
    (
        (X[:1, :, :1, :1], C, C), {}, ValueError,
        "batch statistics need at least 2 values in a channel, got N·H·W = 1 from shape (1, 4, 1, 1)",
    ),
    (
        (X[:0], C, C), {}, ValueError,
        "batch statistics need at least 2 values in a channel, got N·H·W = 0 from shape (0, 4, 7, 6)",
    ),
    (
        (X, C, C.astype(F32)), {}, TypeError,
        "one dtype for all arrays, got x float64, weight float64, bias float32",
    ),
)  # fmt: skip
def test_batch_norm2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.batch_norm2d, *arguments, **options)


@cases(
    ((X, X, C, C, C), {"impl": "blas"}, ValueError, "impl must be one of naive, im2col, loops, numba, got 'blas'"),
    ((X, X, C, C, C), {"eps": -1e-5}, ValueError, "eps must be a number in [0, inf), got -1e-05"),
    ((X[1:], X, C, C, C), {}, ValueError, "dy has shape (1, 4, 7, 6), expected (2, 4, 7, 6) (N, C, H, W)"),
    ((X, X, C[1:], C, C), {}, ValueError, "weight has shape (3,), expected (4,) (C)"),
    ((X, X, C, C[1:], C), {}, ValueError, "mean has shape (3,), expected (4,) (C)"),
    (
        (X, X, C, C, C), {"needs": ("x", "w")}, ValueError,
        "needs must be a tuple of names among ('x', 'weight', 'bias'), got ('x', 'w')",
    ),
    ((X.astype(F32), X, C, C, C), {}, TypeError, "one dtype for all arrays, got dy float32, x float64"),
)  # fmt: skip
def test_batch_norm2d_backward(arguments, options, error, message):
    assert_says(error, message, npdsconv.batch_norm2d_backward, *arguments, **options)


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("channels", [1, 5, 16, 37])
def test_an_activated_batch_norm_is_the_two_ops(impl, activation, channels):
    x, dy = 4 * normal(3, channels, 5, 7), normal(3, channels, 5, 7, seed=1)
    weight, bias = normal(channels), normal(channels, seed=1)
    act = {"relu": npdsconv.relu, "relu6": npdsconv.relu6}[activation]
    back = {"relu": npdsconv.relu_backward, "relu6": npdsconv.relu6_backward}[activation]
    z, mean, var = npdsconv.batch_norm2d(x, weight, bias, impl="numpy")
    y, *found = npdsconv.batch_norm2d(x, weight, bias, activation=activation, impl=impl)
    np.testing.assert_allclose(y, act(z, impl="numpy"), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found, (mean, var), rtol=1e-12, atol=1e-12)
    expected = npdsconv.batch_norm2d_backward(back(dy, z, impl="numpy"), x, weight, mean, var, impl="numpy")
    how = {"bias": bias, "activation": activation, "impl": impl}
    gradients = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, **how)
    for name, a, e in zip(("x", "weight", "bias"), gradients, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-11, err_msg=name)


def test_an_activated_batch_norm_refuses_what_it_cannot_do():
    x, ones = normal(2, 3, 4, 5), np.ones(3)
    with pytest.raises(ValueError, match="batch_norm2d: activation must be one of relu, relu6, got 'tanh'"):
        npdsconv.batch_norm2d(x, ones, ones, activation="tanh")
    with pytest.raises(
        TypeError, match="activation 'relu' needs the bias that batch_norm2d was given, got None"
    ):
        npdsconv.batch_norm2d_backward(x, x, ones, ones, ones, activation="relu")


def test_statistics_keep_their_digits_far_from_zero():
    """A mean 10,000 times the deviation, over several blocks of rows; one long float32 sum would lose all of it."""
    x = (normal(8, 19, 15, 14) + 1e4).astype(np.float32)
    _, mean, var = npdsconv.batch_norm2d(x, np.ones(19, np.float32), np.zeros(19, np.float32))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-3)
