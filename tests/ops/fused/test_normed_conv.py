"""A convolution and the batch norm after it as one op: the two ops, in every form; what it refuses."""

import numpy as np
import pytest
from helpers import normal

import npdsconv
from npdsconv.ops.fused.normed_conv import ARRAYS, normed_conv2d, normed_conv2d_backward

GEOMETRIES = [
    (3, 1, 5, (9, 8), (3, 3), {"padding": 1}),
    (5, 4, 18, (7, 10), (3, 2), {"stride": (2, 1), "padding": ((0, 1), (2, 0)), "groups": 2}),
    (9, 3, 40, (8, 6), (2, 3), {"dilation": (1, 2)}),
]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_a_normed_convolution_is_the_two_ops(geometry, activation, given):
    n, c, o, size, kernel, how = geometry
    x, w = 2 * normal(n, c, *size), normal(o, c // how.get("groups", 1), *kernel)
    weight, bias, shift = normal(3, o)
    known = (shift, 0.5 + shift**2) if given else (None, None)
    p = npdsconv.conv2d(x, w, impl="im2col", **how)
    y, mean, var = npdsconv.batch_norm2d(p, weight, bias, *known, activation=activation, impl="numpy")
    found, saved = normed_conv2d(x, w, weight, bias, *known, activation=activation, **how)
    for name, a, e in zip(("y", "p", "mean", "var"), (found, *saved), (y, p, mean, var), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12 * max(1, np.abs(e).max()), err_msg=name)

    dy = normal(*y.shape, seed=1)
    of_norm = {"bias": bias, "given": given, "activation": activation, "impl": "numpy"}
    dp, dweight, dbias = npdsconv.batch_norm2d_backward(dy, p, weight, mean, var, **of_norm)
    dx, dw, _ = npdsconv.conv2d_backward(dp, x, w, impl="im2col", **how)
    expected = dict(zip(ARRAYS, (dx, dw, dweight, dbias), strict=True))
    for needs in (ARRAYS, ARRAYS[1:], ("w",), ("x", "bias"), ("weight",), ()):
        back = {"given": given, "activation": activation, "needs": needs, **how}
        gradients = normed_conv2d_backward(dy, x, saved, w, weight, bias, **back)
        for name, a in zip(ARRAYS, gradients, strict=True):
            if name in needs:
                atol = 1e-11 * max(1, np.abs(expected[name]).max())
                np.testing.assert_allclose(
                    a, expected[name], rtol=0, atol=atol, err_msg=f"d{name} of {needs}"
                )
            else:
                assert a is None


def test_a_normed_convolution_says_what_is_wrong():
    x, w, ones = normal(2, 3, 4, 5), normal(6, 3, 2, 2), np.ones(6)
    with pytest.raises(ValueError, match="normed_conv2d: x has 2 channels, w reads 3"):
        normed_conv2d(x[:, 1:], w, ones, ones)
    with pytest.raises(ValueError, match=r"normed_conv2d: weight has shape \(5,\), expected \(6,\)"):
        normed_conv2d(x, w, ones[1:], ones)
    with pytest.raises(ValueError, match="normed_conv2d: give both mean and var, or neither"):
        normed_conv2d(x, w, ones, ones, ones)
    _, saved = normed_conv2d(x, w, ones, ones)
    with pytest.raises(ValueError, match="normed_conv2d_backward: dy has shape"):
        normed_conv2d_backward(x, x, saved, w, ones, ones)
    with pytest.raises(TypeError, match="saved must be what normed_conv2d returned, got tuple"):
        normed_conv2d_backward(dy(saved), x, saved[:2], w, ones, ones)
    with pytest.raises(ValueError, match=r"saved.p has shape .*forward was called with other arguments"):
        normed_conv2d_backward(dy(saved), x, saved._replace(p=saved.p[:, 1:]), w, ones, ones)
    with pytest.raises(ValueError, match=r"mean has shape \(5,\), expected \(6,\)"):
        normed_conv2d_backward(dy(saved), x, saved._replace(mean=ones[1:]), w, ones, ones)
    with pytest.raises(ValueError, match="normed_conv2d_backward: dy has shape"):
        normed_conv2d_backward(dy(saved), x, saved, w, ones, ones, stride=2)
    with pytest.raises(ValueError, match="normed_conv2d: impl must be one of naive, im2col, loops, numba"):
        normed_conv2d(x, w, ones, ones, impl="fast")
    with pytest.raises(TypeError, match="normed_conv2d: unknown arguments strides; stride, padding"):
        normed_conv2d(x, w, ones, ones, strides=2)


def dy(saved):
    return normal(*saved.p.shape, seed=5)


@pytest.mark.parametrize("impl", ["naive", "im2col", "loops"])
def test_every_tier_is_the_fused_one(impl):
    x, w, weight, bias = 2 * normal(3, 4, 7, 5), normal(6, 2, 3, 2), normal(6), normal(6, seed=1)
    how = {"stride": (2, 1), "padding": 1, "groups": 2, "activation": "relu6"}
    (y, saved), (expected, theirs) = (
        normed_conv2d(x, w, weight, bias, impl=tier, **how) for tier in (impl, "numba")
    )
    back = [
        normed_conv2d_backward(dy(saved), x, s, w, weight, bias, impl=tier, **how)
        for tier, s in ((impl, saved), ("numba", theirs))
    ]
    for a, e in zip((y, *saved, *back[0]), (expected, *theirs, *back[1]), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-11)
