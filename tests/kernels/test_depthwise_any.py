"""The vector loops for depthwise kernels of any size: against im2col, for all that may go wrong at an edge."""

import itertools

import numpy as np
import pytest
from helpers import INTERPRETED, compiled, threaded

from npdsconv import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.kernels import depthwise, depthwise_any
from npdsconv.kernels.machine import jit
from npdsconv.kernels.parts.frame import Frame

KERNELS = [(5, 5), (7, 7), (1, 1), (1, 3), (4, 2), (2, 5), (9, 1)]
STEPS = [
    ((1, 1), (1, 1)),
    ((2, 2), (1, 1)),
    ((1, 1), (2, 2)),
    ((3, 2), (1, 2)),
    ((2, 3), (2, 1)),
    ((1, 3), (1, 3)),
]
PADDINGS = [0, 2, ((0, 1), (3, 0)), "same", 5][: 2 if INTERPRETED else None]
CHANNELS = [1, 3, 8, 13, 15, 16, 17, 26, 35]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def assert_agrees_with_im2col(rng, channels, size, kernel, dtype, **how):
    x = rng.standard_normal((2, channels, *size)).astype(dtype)
    w = rng.standard_normal((channels, 1, *kernel)).astype(dtype)
    b = rng.standard_normal(channels).astype(dtype)
    y = depthwise_conv2d(x, w, b, impl="im2col", **how)
    dy = rng.standard_normal(y.shape).astype(dtype)
    expected = (y, *depthwise_conv2d_backward(dy, x, w, impl="im2col", **how))
    found = (depthwise_conv2d(x, w, b, **how), *depthwise_conv2d_backward(dy, x, w, **how))
    for name, a, e in zip(("y", "dx", "dw", "db"), found, expected, strict=True):
        bound = TOLERANCE[dtype] * max(1, np.abs(e).max())
        message = f"{name}, {channels} channels of {size}, {how}"
        np.testing.assert_allclose(a, e, rtol=0, atol=bound, err_msg=message)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("stride", "dilation"), STEPS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_any_kernel(kernel, stride, dilation, dtype):
    rng = np.random.default_rng((*kernel, *stride, *dilation))
    channels = itertools.cycle(CHANNELS[sum(kernel) % 5 :] + CHANNELS[: sum(kernel) % 5])
    for padding in PADDINGS:
        how = {"stride": stride, "padding": padding, "dilation": dilation}
        # Wide enough for two windows, and for seven pixels of y only where the stride is 1.
        size = [(k - 1) * d + 1 + 2 * s for k, d, s in zip(kernel, dilation, stride, strict=True)]
        assert_agrees_with_im2col(rng, next(channels), (size[0], size[1] + 3), kernel, dtype, **how)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("width", [1, 6, 7, 8, 16])
def test_any_number_of_channels_and_any_width(channels, width):
    rng = np.random.default_rng((channels, width))
    for stride in (1, 2):
        assert_agrees_with_im2col(rng, channels, (5, width), (5, 5), np.float32, stride=stride, padding=2)


@compiled
@pytest.mark.parametrize(("channels", "stride"), [(13, (1, 1)), (40, (2, 3)), (40, (1, 1))])
def test_an_image_in_bands(channels, stride):
    """So large that a tile does not hold all of its rows."""
    size, kernel = (90, 120), (2, 2)
    output = 90 // stride[0], 120 // stride[1]
    plan = depthwise_any.plan(120, channels, kernel, Frame(0, 0, *stride, 1, 1), (1, 1), output)
    assert 1 < plan.band < output[0]
    assert plan.band < plan.rows < 90
    rng = np.random.default_rng((channels, *stride))
    assert_agrees_with_im2col(rng, channels, size, kernel, np.float64, stride=stride, padding="same")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [1, 13, 26])
def test_a_value_that_is_not_finite_stays_in_its_windows(channels, stride):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((3, channels, 11, 12)).astype(np.float32)
    x[1, 0, 0, 0] = x[1, channels // 2, 3, 2] = x[1, -1, -1, -1] = np.nan
    w = rng.standard_normal((channels, 1, 5, 5)).astype(np.float32)
    how = {"stride": stride, "padding": 2}
    expected = depthwise_conv2d(x, w, impl="im2col", **how)
    assert 0 < np.isfinite(expected).sum() < expected.size
    np.testing.assert_allclose(depthwise_conv2d(x, w, **how), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("stride", [1, 2])
@threaded
def test_results_do_not_depend_on_the_threads(channels, stride, monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, channels, 9, 11)).astype(np.float32)  # several partial sums
    w = rng.standard_normal((channels, 1, 5, 5)).astype(np.float32)
    how = {"stride": stride, "padding": 2}
    y = depthwise_conv2d(x, w, **how)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, dw, _ = depthwise_conv2d_backward(dy, x, w, **how)
    monkeypatch.setattr(jit, "_num_threads", 1)
    np.testing.assert_array_equal(depthwise_conv2d(x, w, **how), y)
    alone = depthwise_conv2d_backward(dy, x, w, **how)
    np.testing.assert_array_equal(alone[0], dx)
    np.testing.assert_array_equal(alone[1], dw)


def test_depth_multipliers_take_the_general_loops(monkeypatch):
    def never(*args):
        raise AssertionError("a vector loop was called")

    for name in ("_correlate_3x3_all", "_correlate_transposed_3x3_all", "_correlate_any_all"):
        monkeypatch.setattr(depthwise, name, never)
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((3, 2, 3, 3))
    expected = depthwise_conv2d(x, w, padding=1, impl="im2col")
    np.testing.assert_allclose(depthwise_conv2d(x, w, padding=1), expected, rtol=0, atol=1e-12)
    with pytest.raises(AssertionError, match="a vector loop"):
        depthwise_conv2d(x, w[:, :1], padding=1)
