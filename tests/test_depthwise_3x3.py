"""The vector loops of depthwise 3×3, which need 16 channels: against im2col, for every way they walk an image."""

import numpy as np
import pytest

from npdsconv import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.kernels import _jit, depthwise

STRIDES = [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3)]
DILATIONS = [(1, 1), (2, 1), (1, 2), (2, 2)]
PADDINGS = [0, 1, ((0, 1), (2, 0)), 3, "same"]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("dilation", DILATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vector_loops_agree_with_im2col(stride, dilation, dtype):
    rng = np.random.default_rng((*stride, *dilation))
    for channels, padding in zip((16, 24, 35, 16, 48), PADDINGS, strict=True):
        x = rng.standard_normal((2, channels, 7, 8)).astype(dtype)
        w = rng.standard_normal((channels, 1, 3, 3)).astype(dtype)
        b = rng.standard_normal(channels).astype(dtype)
        how = {"stride": stride, "padding": padding, "dilation": dilation}
        y = depthwise_conv2d(x, w, b, impl="im2col", **how)
        dy = rng.standard_normal(y.shape).astype(dtype)
        expected = (y, *depthwise_conv2d_backward(dy, x, w, impl="im2col", **how))
        found = (depthwise_conv2d(x, w, b, **how), *depthwise_conv2d_backward(dy, x, w, **how))
        for name, a, e in zip(("y", "dx", "dw", "db"), found, expected, strict=True):
            message = f"{name}, {channels} channels, padding {padding}"
            bound = TOLERANCE[dtype] * max(1, np.abs(e).max())
            np.testing.assert_allclose(a, e, rtol=0, atol=bound, err_msg=message)


@pytest.mark.parametrize(("channels", "multiplier", "size"), [(15, 1, 3), (16, 2, 3), (16, 1, 5)])
def test_other_shapes_take_the_general_loops(channels, multiplier, size, monkeypatch):
    def never(*args):
        raise AssertionError("a vector loop was called")

    monkeypatch.setattr(depthwise, "_correlate_3x3_all", never)
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, channels, 6, 7))
    w = rng.standard_normal((channels, multiplier, size, size))
    expected = depthwise_conv2d(x, w, padding=1, impl="im2col")
    np.testing.assert_allclose(depthwise_conv2d(x, w, padding=1), expected, rtol=0, atol=1e-12)


def test_a_gradient_for_many_images_does_not_depend_on_the_threads(monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 16, 12, 11)).astype(np.float32)  # several partial sums
    w = rng.standard_normal((16, 1, 3, 3)).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    _, dw, _ = depthwise_conv2d_backward(dy, x, w, padding=1)
    monkeypatch.setattr(_jit, "_num_threads", 1)
    _, alone, _ = depthwise_conv2d_backward(dy, x, w, padding=1)
    np.testing.assert_array_equal(dw, alone)
