"""Pooling: the global average by hand and by its window, padding gets no gradient; what is refused."""

import numpy as np
import pytest
from geometries import LAYOUTS, laid_out
from helpers import assert_close, equal, is_channels_last, normal
from messages import F32, MASK, PADDING_FORMS, PAIR, X, assert_says, cases

import npdsconv
from npdsconv import ops

NUMPY = "impl must be one of naive, im2col, loops, numba, got 'numpy', did you mean 'numba'?"

with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize("impl", ["naive", "im2col", "numba"])
def test_max_pooling_never_sends_gradient_into_the_padding(impl):
    x, dy = np.full((1, 1, 2, 2), -np.inf), np.arange(1.0, 10).reshape(1, 1, 3, 3)
    dx = npdsconv.max_pool2d_backward(dy, x, 2, stride=1, padding=1, impl=impl)
    np.testing.assert_array_equal(dx[0, 0], [[12, 9], [15, 9]])


with_every_tier = pytest.mark.parametrize("impl", ["naive", "im2col", "loops", "numba"])


@with_every_tier
def test_which_zeros_count_in_a_mean(impl):
    """TensorFlow's "same" counts pixels only, PyTorch's numbers count zeros; either can be asked for."""
    ones, how = np.ones((1, 1, 4, 4)), {"stride": 2, "impl": impl}
    corner = np.array([[1, 2 / 3], [2 / 3, 4 / 9]])
    for padding, expected in (("same", 1), ("same_lower", 1), (((0, 1), (0, 1)), corner)):
        np.testing.assert_allclose(npdsconv.avg_pool2d(ones, 3, padding=padding, **how)[0, 0], expected)
    all_counted = npdsconv.avg_pool2d(ones, 3, padding="same", count_include_pad=True, **how)
    np.testing.assert_allclose(all_counted[0, 0], corner)
    lower = npdsconv.avg_pool2d(ones, 3, padding="same_lower", count_include_pad=True, **how)
    np.testing.assert_allclose(lower[0, 0], corner[::-1, ::-1])
    pixels = npdsconv.avg_pool2d(ones, 3, padding=((0, 1), (0, 1)), count_include_pad=False, **how)
    np.testing.assert_allclose(pixels[0, 0], 1)


@with_every_tier
def test_sizes_rounded_up_by_hand(impl):
    """Five pixels, windows of two in steps of two: the last one holds one pixel, and no zero."""
    x, how = np.arange(1.0, 6).reshape(1, 1, 1, 5), {"stride": (1, 2), "ceil_mode": True, "impl": impl}
    equal(npdsconv.max_pool2d(x, (1, 2), **how), np.array([[[[2.0, 4, 5]]]]))
    equal(npdsconv.avg_pool2d(x, (1, 2), **how), np.array([[[[1.5, 3.5, 5]]]]))
    dy = np.array([[[[10.0, 20, 30]]]])
    equal(npdsconv.max_pool2d_backward(dy, x, (1, 2), **how), np.array([[[[0.0, 10, 0, 20, 30]]]]))
    equal(npdsconv.avg_pool2d_backward(dy, x, (1, 2), **how), np.array([[[[5.0, 5, 10, 10, 30]]]]))
    # Zeros that were asked for count; what rounding up adds behind them does not.
    padded = npdsconv.avg_pool2d(x[..., :4], (1, 3), padding=((0, 0), (1, 0)), **how)
    np.testing.assert_allclose(padded, [[[[(0 + 1 + 2) / 3, (2 + 3 + 4) / 3]]]])
    # No window begins behind the picture: the third would, at 4.
    equal(npdsconv.max_pool2d(x[..., :4], (1, 1), **how), np.array([[[[1.0, 3]]]]))
    assert npdsconv.max_pool2d(x[..., :1], (1, 2), **how).shape == (1, 1, 1, 1)


@with_every_tier
def test_sizes_rounded_up_are_pytorchs(impl, torch):
    rng = np.random.default_rng(5)
    functions = torch.nn.functional
    for _ in range(40):
        k, s = rng.integers(1, 5, 2), rng.integers(1, 5, 2)
        p, size = [int(rng.integers(0, n // 2 + 1)) for n in k], rng.integers(1, 9, 2) + k // 2
        x = rng.standard_normal((1, 2, *size))
        how = {"stride": tuple(map(int, s)), "padding": tuple(p), "ceil_mode": True}
        kernel, tensor = tuple(map(int, k)), torch.tensor(x)
        expected = functions.max_pool2d(tensor, kernel, **how).numpy()
        assert_close(npdsconv.max_pool2d(x, kernel, **how, impl=impl), expected, 1e-14, f"{kernel} {how}")
        for counted in (True, False):
            expected = functions.avg_pool2d(tensor, kernel, **how, count_include_pad=counted).numpy()
            found = npdsconv.avg_pool2d(x, kernel, **how, count_include_pad=counted, impl=impl)
            assert_close(found, expected, 1e-14, f"{kernel} {how} {counted}")


@with_every_tier
def test_global_max_pooling(impl):
    x = np.array([[[[1, 7, 3], [4, 7, 5]], [[-1, -2, -3], [-4, -5, np.nan]]]])
    y = npdsconv.global_max_pool2d(x, impl=impl)
    equal(y, np.array([[[[7]], [[np.nan]]]]))
    dx = npdsconv.global_max_pool2d_backward(np.array([[[[12.0]], [[-3.0]]]]), x, impl=impl)
    equal(dx, np.array([[[[0, 12, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, -3.0]]]]))  # of equals the first wins


@pytest.mark.parametrize("layout", LAYOUTS)
@with_both_dtypes
def test_global_average_pooling(dtype, layout):
    x = np.array([[[[1, 2, 3], [4, 5, 9]], [[0, 0, 0], [0, 0, 3]]]], dtype)
    dy = np.array([[[[12]], [[-3]]]], dtype)
    equal(npdsconv.global_avg_pool2d(laid_out(x, layout)), np.array([[[[4]], [[0.5]]]], dtype))
    dx = npdsconv.global_avg_pool2d_backward(laid_out(dy, layout), laid_out(x, layout))
    equal(dx, np.broadcast_to(np.array([[[[2]], [[-0.5]]]], dtype), x.shape).copy())
    assert dx.flags.writeable
    assert is_channels_last(dx)


def test_global_average_pooling_is_average_pooling_with_the_largest_window():
    x, dy = normal(3, 2, 4, 5), normal(3, 2, 1, 1)
    assert_close(npdsconv.global_avg_pool2d(x), npdsconv.avg_pool2d(x, (4, 5)), 1e-14, "y")
    expected = npdsconv.avg_pool2d_backward(dy, x, (4, 5))
    assert_close(npdsconv.global_avg_pool2d_backward(dy, x), expected, 1e-14, "dx")
    assert npdsconv.global_avg_pool2d(x[:0]).shape == (0, 2, 1, 1)


@cases(
    ((X, 2), {"impl": "numpy"}, ValueError, NUMPY),
    ((X, 0), {}, ValueError, "kernel_size must be at least 1, got 0"),
    ((X, 2.0), {}, ValueError, f"kernel_size {PAIR}2.0"),
    ((X, 2), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ((X, 2), {"padding": "full"}, ValueError, f"{PADDING_FORMS}'full'"),
    ((X, (8, 1)), {}, ValueError, "kernel 8 with dilation 1 spans 8 > padded height 7: no output position"),
    ((X[0], 2), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X[:, :, :0], 2), {}, ValueError, "x must have at least one pixel, got shape (2, 4, 0, 6)"),
    ((X.astype(int), 2), {}, TypeError, "x has dtype int64, must be float32 or float64"),
    (
        (X, (3, 2)), {"padding": 2}, ValueError,
        "padding ((2, 2), (2, 2)) puts a window of kernel (3, 2) wholly into the padding "
        "(output columns [0, 4]): every window must meet the image",
    ),
    (
        (X, (2, 3)), {"padding": ((3, 0), (0, 0)), "stride": 1}, ValueError,
        "padding ((3, 0), (0, 0)) puts a window of kernel (2, 3) wholly into the padding "
        "(output rows [0, 1]): every window must meet the image",
    ),
    (
        # Before and behind the only pixel, never on it.
        (X[:, :, :1, :1], 2), {"padding": 1, "dilation": 2}, ValueError,
        "padding ((1, 1), (1, 1)) puts a window of kernel (2, 2) wholly into the padding "
        "(output rows [0]): every window must meet the image",
    ),
)  # fmt: skip
@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
def test_pooling(op, arguments, options, error, message):
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)
    assert_says(error, message, getattr(npdsconv, f"{op}_backward"), X, *arguments, **options)


@pytest.mark.parametrize("backward", [ops.max_pool2d_backward, ops.avg_pool2d_backward])
def test_cotangents_of_pooling(backward):
    assert_says(
        ValueError, f"dy has shape {X.shape}, expected (2, 4, 3, 3) (N, C, OH, OW)", backward, X, X, 2
    )
    mixed = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, mixed, backward, np.zeros((2, 4, 3, 3), F32), X, 2)


def test_global_pooling():
    forward, backward = npdsconv.global_avg_pool2d, npdsconv.global_avg_pool2d_backward
    for function, arguments in ((forward, ()), (backward, (np.zeros((2, 4, 1, 1)),))):
        message = "x must have at least one pixel, got shape (2, 4, 7, 0)"
        assert_says(ValueError, message, function, *arguments, X[..., :0])
        message = "x must have axes (N, C, H, W), got shape (2, 4)"
        assert_says(ValueError, message, function, *arguments, X[..., 0, 0])
    assert_says(TypeError, "x has dtype bool, must be float32 or float64", forward, MASK)
    message = "dy has shape (2, 4), expected (2, 4, 1, 1) (N, C, 1, 1)"
    assert_says(ValueError, message, backward, np.zeros((2, 4)), X)
    message = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, message, backward, np.zeros((2, 4, 1, 1), F32), X)
