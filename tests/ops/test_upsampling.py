"""Upsampling: by hand, every tier against NumPy, against pooling and PyTorch; what it refuses."""

import numpy as np
import pytest
from geometries import LAYOUTS, laid_out
from helpers import assert_close, equal, is_channels_last, normal
from messages import F32, MASK, PAIR, X, assert_says, cases

import npdsconv
from npdsconv.ops._tiers import TIERS
from npdsconv.ops.upsampling import IMPLS

NUMPY = "impl must be one of naive, im2col, loops, numba, got 'numpy', did you mean 'numba'?"

with_every_tier = pytest.mark.parametrize("impl", TIERS)
# More channels than a vector holds, fewer, one; one factor 1; no image; more images than threads.
SIZES = [((2, 19, 3, 4), (2, 3)), ((9, 3, 1, 5), (3, 1)), ((1, 1, 4, 2), (1, 4)), ((0, 2, 3, 5), (2, 2))]


@with_every_tier
def test_by_hand(impl):
    x, dy = np.array([[[[1.0, 2], [3, 4]]]]), np.arange(24.0).reshape(1, 1, 4, 6)
    y = npdsconv.upsample2d(x, (2, 3), impl=impl)
    equal(y[0, 0], np.array([[1.0, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2))
    dx = npdsconv.upsample2d_backward(dy, x, (2, 3), impl=impl)
    equal(dx[0, 0], np.array([[24.0, 42], [96, 114]]))  # 0+1+2+6+7+8, 3+4+5+9+10+11, and 12 · 6 more each


@with_every_tier
@pytest.mark.parametrize("dtype", [F32, np.float64])
@pytest.mark.parametrize(("shape", "scale"), SIZES)
def test_each_tier_against_repeating(shape, scale, dtype, impl):
    x = normal(*shape, dtype=dtype)
    expected = x.repeat(scale[0], axis=2).repeat(scale[1], axis=3)
    dy = normal(*expected.shape, seed=1, dtype=dtype)
    n, c, h, w = shape
    sums = dy.astype(np.float64).reshape(n, c, h, scale[0], w, scale[1]).sum(axis=(3, 5)).astype(dtype)
    for layout in LAYOUTS:
        equal(npdsconv.upsample2d(laid_out(x, layout), scale, impl=impl), expected)
        dx = npdsconv.upsample2d_backward(laid_out(dy, layout), laid_out(x, layout), scale, impl=impl)
        assert_close(dx, sums, 2e-6 if dtype is F32 else 1e-14, layout)
        assert dx.dtype == dtype


@with_every_tier
def test_pooling_undoes_it(impl):
    """The mean of equal pixels, and the gradient of that mean, which is upsampling but for the factor."""
    x = normal(2, 3, 4, 5)
    assert_close(npdsconv.avg_pool2d(npdsconv.upsample2d(x, (2, 3), impl=impl), (2, 3)), x, 1e-15, "y")
    grown = npdsconv.avg_pool2d_backward(x, np.empty((2, 3, 8, 15)), (2, 3))
    assert_close(npdsconv.upsample2d(x, (2, 3), impl=impl), 6 * grown, 1e-15, "gradient")


def test_pytorch_finds_the_same_numbers(torch):
    x = torch.tensor(normal(2, 3, 4, 5), requires_grad=True)
    expected = torch.nn.functional.interpolate(x, scale_factor=(2, 3), mode="nearest")
    equal(npdsconv.upsample2d(x.detach().numpy(), (2, 3)), expected.detach().numpy())
    dy = normal(2, 3, 8, 15, seed=1)
    (theirs,) = torch.autograd.grad(expected, x, torch.tensor(dy))
    assert_close(npdsconv.upsample2d_backward(dy, x.detach().numpy(), (2, 3)), theirs.numpy(), 1e-14, "dx")


def test_the_fast_tier_returns_new_channels_last_memory():
    x = normal(2, 3, 4, 5)
    for y in (npdsconv.upsample2d(x, 1), npdsconv.upsample2d_backward(x, x, 1), npdsconv.upsample2d(x, 2)):
        assert is_channels_last(y)
        assert y.flags.writeable
        assert not np.shares_memory(x, y)


def test_the_tiers_are_those_of_the_contract():
    assert tuple(IMPLS) == TIERS


@cases(
    ((X, 0), {}, ValueError, "scale must be at least 1, got 0"),
    ((X, (2, 1.5)), {}, ValueError, f"scale {PAIR}(2, 1.5)"),
    (
        (X, 2),
        {"impl": "numpy"},
        ValueError,
        NUMPY,
    ),
    ((X[0], 2), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X[:, :, :0], 2), {}, ValueError, "x must have at least one pixel, got shape (2, 4, 0, 6)"),
    ((MASK, 2), {}, TypeError, "x has dtype bool, must be float32 or float64"),
)
def test_what_is_refused(arguments, options, error, message):
    assert_says(error, message, npdsconv.upsample2d, *arguments, **options)
    assert_says(error, message, npdsconv.upsample2d_backward, X, *arguments, **options)


def test_cotangents():
    backward = npdsconv.upsample2d_backward
    message = "dy has shape (2, 4, 7, 6), expected (2, 4, 14, 18) (N, C, H·sh, W·sw)"
    assert_says(ValueError, message, backward, X, X, (2, 3))
    mixed = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, mixed, backward, np.zeros((2, 4, 14, 18), F32), X, (2, 3))
