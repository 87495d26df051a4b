"""im2col and col2im: what they hold, that one is the transpose of the other; what they refuse."""

import numpy as np
import pytest
from geometries import LAYOUTS, laid_out
from helpers import equal, normal
from messages import PAIR, X, assert_says

import npdsconv
from npdsconv.ops.windows import crop, pad

WINDOWS = [
    ((2, 3), {}),
    ((3, 2), {"stride": (2, 3), "padding": ((1, 0), (2, 3)), "dilation": (1, 2)}),
    (2, {"stride": 3, "padding": "same"}),
    ((1, 4), {"padding": (0, 2), "dilation": 2}),
]


@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_im2col_holds_what_a_convolution_with_one_tap_sees(kernel, options, layout):
    x = normal(2, 3, 7, 8)
    cols = npdsconv.im2col(laid_out(x, layout), kernel, **options)
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    taps = np.eye(3 * kh * kw).reshape(-1, 3, kh, kw)
    seen = npdsconv.conv2d(x, taps, **options, impl="naive")
    equal(cols.reshape(seen.shape), seen)


@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
def test_col2im_is_the_transpose_of_im2col(kernel, options):
    x = normal(2, 3, 7, 8)
    cols = npdsconv.im2col(x, kernel, **options)
    other = normal(*cols.shape)
    image = npdsconv.col2im(laid_out(other, "reversed"), (7, 8), kernel, **options)
    assert image.shape == x.shape
    np.testing.assert_allclose(np.vdot(cols, other), np.vdot(x, image), rtol=1e-12)


def test_col2im_counts_the_windows_of_each_pixel():
    """A 2×2 kernel with stride 1 on 3×4 pixels, as the product of the counts 1, 2, 1 and 1, 2, 2, 1."""
    counts = npdsconv.col2im(np.ones((1, 4, 6), np.float32), (3, 4), 2)
    equal(counts[0, 0], np.array([[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]], np.float32))


def test_im2col_of_an_empty_batch():
    cols = npdsconv.im2col(np.zeros((0, 3, 5, 4)), (2, 3))
    assert cols.shape == (0, 18, 8)
    assert npdsconv.col2im(cols, (5, 4), (2, 3)).shape == (0, 3, 5, 4)


def test_crop_takes_off_what_pad_put_on():
    x, sides = normal(2, 3, 4), ((1, 0), (2, 3))
    padded = pad(x, sides, -np.inf)
    assert padded.shape == (2, 4, 9)
    assert np.isinf(padded).sum() == padded.size - x.size
    equal(crop(padded, sides), x)
    assert np.shares_memory(crop(padded, sides), padded)


def test_im2col_and_col2im():
    assert_says(ValueError, "kernel_size must be at least 1, got (2, 0)", npdsconv.im2col, X, (2, 0))
    assert_says(ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)", npdsconv.im2col, X[0], 2)
    message = "kernel 8 with dilation 1 spans 8 > padded height 7: no output position"
    assert_says(ValueError, message, npdsconv.im2col, X, 8)
    assert_says(TypeError, "x must be a NumPy array, got list", npdsconv.im2col, [1.0], 2)
    cols = npdsconv.im2col(X, (3, 2))
    message = "cols has shape (2, 23, 25), expected (2, 18, 25) (KH·KW = 6, OH·OW = 25)"
    assert_says(ValueError, message, npdsconv.col2im, cols[:, 1:], (7, 6), (3, 2))
    message = "cols has shape (2, 24, 25), expected (2, 24, 30) (KH·KW = 6, OH·OW = 30)"
    assert_says(ValueError, message, npdsconv.col2im, cols, (8, 6), (3, 2))
    message = "cols must have axes (N, C·KH·KW, OH·OW), got shape (24, 25)"
    assert_says(ValueError, message, npdsconv.col2im, cols[0], (7, 6), (3, 2))
    assert_says(ValueError, f"size {PAIR}(7, 6, 1)", npdsconv.col2im, cols, (7, 6, 1), (3, 2))
    message = "kernel 3 with dilation 1 spans 3 > padded height 2: no output position"
    assert_says(ValueError, message, npdsconv.col2im, cols, (2, 6), (3, 2))
