"""The separable block: as one op, composed, written out by hand, and as a layer, it is the same function."""

import numpy as np
import pytest
from drawing import few
from helpers import assert_close, settled
from hypothesis import given
from hypothesis import strategies as st

import npdsconv
from npdsconv.layers import DepthwiseSeparableConv2d
from npdsconv.ops.fused import block, normed_conv

TOLERANCE = 1e-10  # batch norm divides by a deviation
CUTS = (None, "relu", "relu6")


@st.composite
def blocks(draw):
    """Sizes, settings and a seed for a block that the fast tier takes."""
    n, c, o = draw(st.integers(2, 5)), draw(st.integers(1, 35)), draw(st.integers(1, 35))
    size, stride = (draw(st.integers(5, 9)), draw(st.integers(6, 10))), draw(st.integers(1, 2))
    dilation = 1 if stride == 2 else draw(st.integers(1, 2))
    how = {"stride": stride, "padding": draw(st.sampled_from([0, 1, (2, 1), "same"])), "dilation": dilation}
    how["activations"] = draw(st.sampled_from(CUTS)), draw(st.sampled_from(CUTS))
    return (n, c, o, size), how, draw(st.integers(0, 10**6))


@few
@given(drawn=blocks(), given_statistics=st.booleans())
def test_fused_is_composed(drawn, given_statistics):
    (n, c, o, size), how, seed = drawn
    rng = np.random.default_rng(seed)
    x, depthwise, pointwise = (rng.standard_normal(s) for s in ((n, c, *size), (c, 1, 3, 3), (o, c)))
    weights = depthwise, *rng.standard_normal((2, c)), pointwise, *rng.standard_normal((2, o))
    known = (*(rng.random((2, c)) + 0.5), *(rng.random((2, o)) + 0.5)) if given_statistics else ()
    y, saved = npdsconv.separable_block(x, *weights, *known, **how, impl="im2col")
    found, of_fused = npdsconv.separable_block(x, *weights, *known, **how)
    assert_close(found, y, TOLERANCE, "y", least=1)
    for name in saved._fields:
        assert_close(getattr(of_fused, name), getattr(saved, name), TOLERANCE, name, least=1)
    back = {**how, "given": (given_statistics, given_statistics)}
    dy = rng.standard_normal(y.shape)
    expected = npdsconv.separable_block_backward(dy, x, saved, *weights, **back, impl="im2col")
    gradients = npdsconv.separable_block_backward(dy, x, of_fused, *weights, **back)
    for name, one, right in zip(block.ARRAYS, gradients, expected, strict=True):
        assert_close(one, right, TOLERANCE, name, least=10)


@few
@given(drawn=blocks(), groups=st.integers(1, 2), k=st.integers(1, 3), needs_x=st.booleans())
def test_a_convolution_with_batch_norm_is_the_two_of_them(drawn, groups, k, needs_x):
    (n, c, o, size), how, seed = drawn
    how = {**how, "groups": groups, "activation": how["activations"][0]}
    how.pop("activations")
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, groups * c, *size)), rng.standard_normal((groups * o, c, k, k))
    weights = w, *rng.standard_normal((2, groups * o))
    y, saved = normed_conv.normed_conv2d(x, *weights, **how, impl="im2col")
    found, of_fused = normed_conv.normed_conv2d(x, *weights, **how)
    assert_close(found, y, TOLERANCE, "y", least=1)
    dy, needs = rng.standard_normal(y.shape), ("x", "w", "weight", "bias")[0 if needs_x else 1 :]
    expected = normed_conv.normed_conv2d_backward(dy, x, saved, *weights, **how, needs=needs, impl="im2col")
    gradients = normed_conv.normed_conv2d_backward(dy, x, of_fused, *weights, **how, needs=needs)
    for name, one, right in zip(normed_conv.ARRAYS, gradients, expected, strict=True):
        if name in needs:
            assert_close(one, right, TOLERANCE, name, least=10)
        else:
            assert one is right is None


AXES, COLUMN = (0, 2, 3), (slice(None), None, None)


def normed(norm, activation, y):
    """Batch norm and activation by their formulas; and from the gradient of what comes out, that of y."""
    deviation = np.sqrt(y.var(axis=AXES) + norm.eps)[COLUMN]
    scale = norm.weight.value[COLUMN] / deviation
    normal = (y - y.mean(axis=AXES)[COLUMN]) / deviation
    z = normal * norm.weight.value[COLUMN] + norm.bias.value[COLUMN]
    low, high = {None: (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]

    def backward(dy):
        g = dy * ((z > low) & (z < high))
        along = (g * normal).mean(axis=AXES)[COLUMN]
        return scale * (g - g.mean(axis=AXES)[COLUMN] - normal * along)

    return np.clip(z, low, high), backward


@pytest.mark.parametrize("fused", [True, False])
@few
@given(drawn=blocks())
def test_the_layer_is_what_one_writes_by_hand(fused, drawn):
    (n, c, o, size), how, seed = drawn
    names = dict(zip(("mid_activation", "activation"), how["activations"], strict=True))
    steps = {name: value for name, value in how.items() if name != "activations"}
    layer = settled(DepthwiseSeparableConv2d(c, o, 3, **steps, **names, rng=seed, fused=fused))
    x = np.random.default_rng(seed).standard_normal((n, c, *size))
    y, back = layer.forward(x, train=True)

    wd, wp = layer.depthwise.weight.value, layer.pointwise.weight.value
    d = npdsconv.depthwise_conv2d(x, wd, **steps, impl="im2col")
    a, back1 = normed(layer.bn1, how["activations"][0], d)
    expected, back2 = normed(layer.bn2, how["activations"][1], np.einsum("oc,nchw->nohw", wp, a))
    assert_close(y, expected, TOLERANCE, "y", least=1)
    dy = np.random.default_rng(seed + 1).standard_normal(y.shape)
    dp = back2(dy)
    dd = back1(np.einsum("oc,nohw->nchw", wp, dp))
    dx, dwd, _ = npdsconv.depthwise_conv2d_backward(dd, x, wd, **steps, impl="im2col")
    assert_close(back(dy), dx, TOLERANCE, "dx", least=10)
    assert_close(layer.depthwise.weight.grad, dwd, TOLERANCE, "depthwise dw", least=10)
    dwp = np.einsum("nohw,nchw->oc", dp, a)
    assert_close(layer.pointwise.weight.grad, dwp, TOLERANCE, "pointwise dw", least=10)
