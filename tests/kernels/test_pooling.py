"""The pooling kernels where they take another path: few, many and ragged channels, NaN, ties, gaps, overlaps."""

import numpy as np
import pytest
from geometries import LAYOUTS, TOLERANCE, laid_out
from helpers import assert_close, is_channels_last

import npdsconv
from npdsconv.ops import pooling
from npdsconv.shapes import resolve_window

RNG = np.random.default_rng(60)
CHANNELS = (1, 3, 13, 16, 17, 35)
with_both_dtypes = pytest.mark.parametrize("dtype", TOLERANCE)
with_channels = pytest.mark.parametrize("channels", CHANNELS)
WINDOWS = [
    (2, {}),  # side by side; a row and no column is left over
    ((3, 2), {"stride": (3, 4)}),  # gaps between columns
    (2, {"stride": 3, "dilation": (1, 2)}),  # gaps within windows
    (3, {"stride": 2, "padding": 1}),  # overlaps
    ((2, 3), {"stride": 1, "padding": ((1, 0), (2, 1)), "dilation": (3, 1)}),
    ((3, 4), {"padding": ((1, 1), (3, 0))}),  # side by side, cut off by the border
    ((7, 8), {}),  # one window
]
with_windows = pytest.mark.parametrize(("kernel", "options"), WINDOWS)


def numbers(channels, dtype, ties=True):
    """Small integers, with many ties; or anything."""
    shape = (3, channels, 7, 8)
    x = RNG.integers(-3, 3, shape) if ties else RNG.standard_normal(shape)
    return x.astype(dtype)


def agree(op, x, kernel, options, tolerance):
    forward, backward = getattr(npdsconv, op), getattr(npdsconv, f"{op}_backward")
    expected = forward(x, kernel, **options, impl="im2col")
    dy = RNG.standard_normal(expected.shape).astype(x.dtype)
    assert_close(forward(x, kernel, **options), expected, tolerance, "y")
    dx = backward(dy, x, kernel, **options)
    assert dx.dtype == x.dtype
    assert_close(dx, backward(dy, x, kernel, **options, impl="im2col"), tolerance, "dx")


@with_windows
@with_channels
@with_both_dtypes
def test_max_pooling_of_many_channels(dtype, channels, kernel, options):
    agree("max_pool2d", numbers(channels, dtype), kernel, options, 1e-6)


@with_windows
@with_channels
@with_both_dtypes
def test_average_pooling_of_many_channels(dtype, channels, kernel, options):
    for counted in (True, False):
        how = {**options, "count_include_pad": counted}
        agree("avg_pool2d", numbers(channels, dtype, ties=False), kernel, how, TOLERANCE[dtype])


@with_windows
@with_channels
def test_a_nan_beats_infinity_and_of_several_the_first_gets_the_gradient(channels, kernel, options):
    x = numbers(channels, np.float64)
    where = RNG.random(x.shape)
    x[where < 0.2], x[where > 0.8], x[(where > 0.4) & (where < 0.5)] = np.nan, np.inf, -np.inf
    y, expected = (npdsconv.max_pool2d(x, kernel, **options, impl=impl) for impl in ("numba", "naive"))
    np.testing.assert_array_equal(y, expected)
    assert np.isnan(y).any()
    dy = RNG.standard_normal(y.shape)
    dx, expected = (
        npdsconv.max_pool2d_backward(dy, x, kernel, **options, impl=impl) for impl in ("numba", "naive")
    )
    assert_close(dx, expected, 1e-15, "dx")


@with_channels
@pytest.mark.parametrize("options", [{}, {"stride": 1}])
def test_a_gradient_that_is_not_finite_goes_to_the_winner_alone(options, channels):
    x = numbers(channels, np.float32)
    dy = np.full_like(npdsconv.max_pool2d(x, 2, **options), np.inf)
    dx = npdsconv.max_pool2d_backward(dy, x, 2, **options)
    counts = npdsconv.max_pool2d_backward(np.ones_like(dy), x, 2, **options, impl="im2col")
    np.testing.assert_array_equal(dx, np.where(counts > 0, np.inf, 0))


# ---- the mean of everything -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7), (16, 9), (33, 40)])
@pytest.mark.parametrize("channels", [*CHANNELS, 128, 130])
@with_both_dtypes
def test_global_average_pooling_in_both_tiers(dtype, channels, size):
    """33·40 pixels are more than one piece of the sum, for few channels and for many."""
    x = RNG.standard_normal((2, channels, *size)).astype(dtype)
    dy = RNG.standard_normal((2, channels, 1, 1)).astype(dtype)
    y = npdsconv.global_avg_pool2d(x, impl="numba")
    expected = x.mean(axis=(2, 3), dtype=np.float64, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE[dtype] / 10)
    np.testing.assert_allclose(npdsconv.global_avg_pool2d(x, impl="numpy"), expected, atol=TOLERANCE[dtype])
    assert y.dtype == dtype
    dx = npdsconv.global_avg_pool2d_backward(dy, x, impl="numba")
    assert dx.flags.writeable
    np.testing.assert_array_equal(dx, npdsconv.global_avg_pool2d_backward(dy, x, impl="numpy"))
    np.testing.assert_array_equal(dx, np.broadcast_to(dy / dtype(size[0] * size[1]), x.shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
def test_global_average_pooling_in_any_memory_layout(layout, impl):
    x, dy = RNG.standard_normal((2, 18, 5, 4)), RNG.standard_normal((2, 18, 1, 1))
    y = npdsconv.global_avg_pool2d(laid_out(x, layout), impl=impl)
    assert_close(y, x.mean(axis=(2, 3), keepdims=True), 1e-14, "y")
    dx = npdsconv.global_avg_pool2d_backward(laid_out(dy, layout), laid_out(x, layout), impl=impl)
    np.testing.assert_array_equal(dx, np.broadcast_to(dy / 20, x.shape))
    assert is_channels_last(dx)


def test_a_long_sum_keeps_its_digits():
    """Added one after the other, 40,000 numbers near 1000 would lose two digits more."""
    x = (1000 + RNG.random((1, 16, 200, 200))).astype(np.float32)
    expected = x.mean(axis=(2, 3), dtype=np.float64)
    np.testing.assert_allclose(npdsconv.global_avg_pool2d(x, impl="numba")[..., 0, 0], expected, rtol=1e-6)


def test_nothing_to_pool():
    x = np.zeros((0, 17, 3, 4))
    assert npdsconv.global_avg_pool2d(x, impl="numba").shape == (0, 17, 1, 1)
    for op in ("max_pool2d", "avg_pool2d"):
        y = getattr(npdsconv, op)(x, 2)
        assert y.shape == (0, 17, 1, 2)
        assert getattr(npdsconv, f"{op}_backward")(y, x, 2).shape == x.shape


def test_images_without_channels_are_no_images():
    x = np.zeros((2, 0, 3, 4))
    for call in (
        npdsconv.global_avg_pool2d,
        lambda x: npdsconv.max_pool2d(x, 2),
        lambda x: npdsconv.avg_pool2d(x, 2),
    ):
        with pytest.raises(ValueError, match=r"has shape \(2, 0, 3, 4\), C must be at least 1"):
            call(x)


def test_windows_that_plainly_meet_the_image_need_no_counting():
    """The short check never says yes where counting says no."""
    yes = 0
    for _ in range(3000):
        size = tuple(RNG.integers(1, 6, 2))
        kernel, stride, dilation = (tuple(map(int, RNG.integers(1, 4, 2))) for _ in range(3))
        padding = tuple(tuple(map(int, RNG.integers(0, 5, 2))) for _ in range(2))
        try:
            window = resolve_window("op", size, kernel, stride, padding, dilation)
        except ValueError:
            continue
        if pooling.always_inside(size, window):
            yes += 1
            assert min(counts.min() for counts in pooling.taps_inside(size, window)) > 0, (size, window)
    assert yes > 100


def test_errors():
    x = np.zeros((2, 3, 4, 5))
    message = "impl must be one of naive, im2col, loops, numba, got 'cuda'"
    with pytest.raises(ValueError, match=f"^global_avg_pool2d: {message}"):
        npdsconv.global_avg_pool2d(x, impl="cuda")
    with pytest.raises(ValueError, match=f"^global_avg_pool2d_backward: {message}"):
        npdsconv.global_avg_pool2d_backward(x[:, :, :1, :1], x, impl="cuda")
