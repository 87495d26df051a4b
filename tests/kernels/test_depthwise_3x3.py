"""The vector loops of depthwise 3×3: against im2col, for every way they walk an image and any number of channels."""

import itertools

import numpy as np
import pytest
from helpers import threaded

from npdsconv import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.kernels.machine import jit

STRIDES = [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3)]
DILATIONS = [(1, 1), (2, 1), (1, 2), (2, 2)]
PADDINGS = [0, 1, ((0, 1), (2, 0)), 3, "same"]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def assert_agree(found, expected, dtype, message):
    for name, a, e in zip(("y", "dx", "dw", "db"), found, expected, strict=True):
        bound = TOLERANCE[dtype] * max(1, np.abs(e).max())
        np.testing.assert_allclose(a, e, rtol=0, atol=bound, err_msg=f"{name}, {message}")


def both_tiers(rng, channels, size, dtype, **how):
    """(y, dx, dw, db) of the fast tier and of im2col."""
    x = rng.standard_normal((2, channels, *size)).astype(dtype)
    w = rng.standard_normal((channels, 1, 3, 3)).astype(dtype)
    b = rng.standard_normal(channels).astype(dtype)
    y = depthwise_conv2d(x, w, b, impl="im2col", **how)
    dy = rng.standard_normal(y.shape).astype(dtype)
    expected = (y, *depthwise_conv2d_backward(dy, x, w, impl="im2col", **how))
    return (depthwise_conv2d(x, w, b, **how), *depthwise_conv2d_backward(dy, x, w, **how)), expected


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("dilation", DILATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vector_loops_agree_with_im2col(stride, dilation, dtype):
    rng = np.random.default_rng((*stride, *dilation))
    for channels, padding in itertools.chain(
        zip((16, 24, 35, 16, 48), PADDINGS, strict=True), zip((13, 1, 8, 3, 15), PADDINGS, strict=True)
    ):
        how = {"stride": stride, "padding": padding, "dilation": dilation}
        found, expected = both_tiers(rng, channels, (7, 8), dtype, **how)
        assert_agree(found, expected, dtype, f"{channels} channels, padding {padding}")


@pytest.mark.parametrize("channels", [1, 3, 8, 13, 15, 16, 17, 26, 35])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(3, 3), (6, 5), (5, 6), (1, 1), (1, 7), (2, 4)])
def test_any_number_of_channels_and_any_size(channels, stride, size):
    rng = np.random.default_rng((channels, *size))
    found, expected = both_tiers(rng, channels, size, np.float32, stride=stride, padding=1)
    assert_agree(found, expected, np.float32, f"{channels} channels")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [1, 13, 26])
def test_a_value_that_is_not_finite_stays_in_its_windows(channels, stride):
    """A block of sixteen numbers may hold some of the next pixel, or of the next image: they must not mix."""
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((3, channels, 6, 7)).astype(np.float32)
    x[1, 0, 0, 0] = x[1, channels // 2, 3, 2] = x[1, -1, -1, -1] = np.nan
    w = rng.standard_normal((channels, 1, 3, 3)).astype(np.float32)
    how = {"stride": stride, "padding": 1}
    expected = depthwise_conv2d(x, w, impl="im2col", **how)
    assert 0 < np.isfinite(expected).sum() < expected.size
    np.testing.assert_allclose(depthwise_conv2d(x, w, **how), expected, rtol=0, atol=1e-5)
    dy = np.where(np.isnan(expected), np.float32(np.nan), np.float32(1))
    clean = rng.standard_normal(x.shape).astype(np.float32)
    dx, _, _ = depthwise_conv2d_backward(dy, clean, w, **how)
    wanted, _, _ = depthwise_conv2d_backward(dy, clean, w, impl="im2col", **how)
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 13, 16])
@pytest.mark.parametrize("stride", [1, 2])
@threaded
def test_results_do_not_depend_on_the_threads(channels, stride, monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, channels, 12, 11)).astype(np.float32)  # several partial sums
    w = rng.standard_normal((channels, 1, 3, 3)).astype(np.float32)
    how = {"stride": stride, "padding": 1}
    y = depthwise_conv2d(x, w, **how)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, dw, _ = depthwise_conv2d_backward(dy, x, w, **how)
    monkeypatch.setattr(jit, "_num_threads", 1)
    np.testing.assert_array_equal(depthwise_conv2d(x, w, **how), y)
    alone = depthwise_conv2d_backward(dy, x, w, **how)
    np.testing.assert_array_equal(alone[0], dx)
    np.testing.assert_array_equal(alone[1], dw)
