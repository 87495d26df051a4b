"""Scaling channels: by hand, every tier and layout, PyTorch; what it refuses."""

import numpy as np
import pytest
from geometries import LAYOUTS, laid_out
from helpers import assert_close, equal, is_channels_last, normal
from messages import F32, MASK, X, assert_says, cases

import npdsconv
from npdsconv.ops._tiers import TIERS
from npdsconv.ops.scaling import IMPLS

S = np.zeros((2, 4, 1, 1))
with_every_tier = pytest.mark.parametrize("impl", [*TIERS, "numpy"])


@with_every_tier
@pytest.mark.parametrize("dtype", [F32, np.float64])
def test_by_hand(dtype, impl):
    x = np.array([[[[1, 2, 3]], [[4, 5, 6]]]], dtype)
    s, dy = np.array([[[[10]], [[-1]]]], dtype), np.array([[[[1, 0, 2]], [[0, 3, 1]]]], dtype)
    equal(npdsconv.scale_channels(x, s, impl=impl), np.array([[[[10, 20, 30]], [[-4, -5, -6]]]], dtype))
    dx, ds = npdsconv.scale_channels_backward(dy, x, s, impl=impl)
    equal(dx, np.array([[[[10, 0, 20]], [[0, -3, -1]]]], dtype))
    equal(ds, np.array([[[[7]], [[21]]]], dtype))


@with_every_tier
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (9, 17, 1, 2), (0, 2, 3, 4)])
def test_each_tier_against_broadcasting(shape, layout, impl):
    x, dy, s = normal(*shape), normal(*shape, seed=1), normal(*shape[:2], 1, 1)
    given = [laid_out(array, layout) for array in (dy, x, s)]
    y = npdsconv.scale_channels(*given[1:], impl=impl)
    dx, ds = npdsconv.scale_channels_backward(*given, impl=impl)
    equal(y, x * s)
    equal(dx, dy * s)
    assert_close(ds, np.einsum("ncij,ncij->nc", dy, x).reshape(s.shape), 1e-14, "ds")
    for array in (y, dx):
        assert is_channels_last(array)
        assert array.flags.writeable


def test_pytorch_finds_the_same_numbers(torch):
    dy, *arrays = normal(2, 3, 4, 5, seed=1), normal(2, 3, 4, 5), normal(2, 3, 1, 1)
    x, s = (torch.tensor(array, requires_grad=True) for array in arrays)
    theirs = torch.autograd.grad(x * s, (x, s), torch.tensor(dy))
    for ours, tensor in zip(npdsconv.scale_channels_backward(dy, *arrays), theirs, strict=True):
        assert_close(ours, tensor.numpy(), 1e-14, "gradient")


@with_every_tier
def test_gradients_that_are_not_needed_are_none(impl):
    dy, x, s = normal(2, 3, 4, 5, seed=1), normal(2, 3, 4, 5), normal(2, 3, 1, 1)
    both = npdsconv.scale_channels_backward(dy, x, s, impl=impl)
    for needs in ((), ("x",), ("s",)):
        found = npdsconv.scale_channels_backward(dy, x, s, impl=impl, needs=needs)
        for name, array, expected in zip(("x", "s"), found, both, strict=True):
            if name in needs:
                equal(array, expected)
            else:
                assert array is None


def test_the_tiers_are_those_of_the_contract():
    assert tuple(IMPLS) == TIERS


@cases(
    ((X[0], S), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, S[:, :3]), {}, ValueError, "s has shape (2, 3, 1, 1), expected (2, 4, 1, 1) (N, C, 1, 1)"),
    ((X, S[:, :, 0, 0]), {}, ValueError, "s has shape (2, 4), expected (2, 4, 1, 1) (N, C, 1, 1)"),
    ((X, S), {"impl": "cuda"}, ValueError, "impl must be one of naive, im2col, loops, numba, got 'cuda'"),
    ((MASK, S), {}, TypeError, "x has dtype bool, must be float32 or float64"),
    ((X, S.astype(F32)), {}, TypeError, "one dtype for all arrays, got x float64, s float32"),
)
def test_what_is_refused(arguments, options, error, message):
    assert_says(error, message, npdsconv.scale_channels, *arguments, **options)
    assert_says(error, message, npdsconv.scale_channels_backward, X, *arguments, **options)


def test_cotangents():
    backward = npdsconv.scale_channels_backward
    message = "dy has shape (2, 4, 1, 1), expected (2, 4, 7, 6) (the shape of x)"
    assert_says(ValueError, message, backward, S, X, S)
    known = "needs must be a tuple of names among ('x', 's'), got ('w',)"
    assert_says(ValueError, known, backward, X, X, S, needs=("w",))
