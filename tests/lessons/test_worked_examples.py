"""The examples worked out by hand, in every tier and both dtypes: integers, so equality is exact."""

import numpy as np
import pytest
from helpers import equal

from npdsconv import (
    col2im,
    conv2d,
    conv2d_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    im2col,
    pointwise_conv2d,
    pointwise_conv2d_backward,
    relu,
    relu_backward,
)
from npdsconv.layers import DepthwiseSeparableConv2d
from npdsconv.lessons import worked_examples
from npdsconv.lessons.worked_examples import Gradients, WorkedExample
from npdsconv.ops._tiers import TIERS

with_every_example = pytest.mark.parametrize("example", worked_examples.ALL, ids=lambda e: e.label)
with_gradients = pytest.mark.parametrize(
    "example", [e for e in worked_examples.ALL if e.gradients], ids=lambda e: e.label
)
with_every_impl = pytest.mark.parametrize("impl", TIERS)
with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def arrays_of(example):
    return {name: value for name, value in vars(example).items() if isinstance(value, np.ndarray)}


@with_every_example
def test_they_are_integers_that_nobody_can_change(example):
    parts = [example, example.gradients] if example.gradients else [example]
    for name, array in [item for part in parts for item in arrays_of(part).items()]:
        assert array.dtype == np.float64, name
        assert not array.flags.writeable, name
        equal(array, np.round(array))
    with pytest.raises(AttributeError):
        example.label = "another"


def test_all_lists_every_example_once():
    listed = [value for value in vars(worked_examples).values() if isinstance(value, WorkedExample)]
    assert list(worked_examples.ALL) == listed
    assert len({example.label for example in listed}) == len(listed) == 9


@with_both_dtypes
@with_every_impl
@with_every_example
def test_forward(example, impl, dtype):
    x, wd, wp, b = (a.astype(dtype) for a in (example.x, example.w_depthwise, example.w_pointwise, example.b))
    d = depthwise_conv2d(x, wd, padding=example.padding, impl=impl)
    p = pointwise_conv2d(d, wp, b, impl=impl)
    y = relu(p, impl=impl)
    for actual, expected in ((d, example.d), (p, example.p), (y, example.y)):
        equal(actual, expected.astype(dtype))


@with_both_dtypes
@with_every_impl
@with_gradients
def test_backward(example, impl, dtype):
    x, wd, wp, d, p = (
        getattr(example, name).astype(dtype) for name in ("x", "w_depthwise", "w_pointwise", "d", "p")
    )
    hand: Gradients = example.gradients
    dp = relu_backward(hand.dy.astype(dtype), p, impl=impl)
    dd, dwp, db = pointwise_conv2d_backward(dp, d, wp, impl=impl)
    dx, dwd, _ = depthwise_conv2d_backward(dd, x, wd, padding=example.padding, impl=impl)
    found = {"dp": dp, "dd": dd, "dw_pointwise": dwp, "db": db, "dw_depthwise": dwd, "dx": dx}
    assert {"dy", *found} == set(arrays_of(hand))
    for name, array in found.items():
        equal(array, getattr(hand, name).astype(dtype))


@with_every_impl
@with_every_example
def test_one_standard_convolution_does_the_same(example, impl):
    """p = conv2d(x, w) with w[o,c,u,v] = Σ_m w_pointwise[o, c·M + m] · w_depthwise[c, m, u, v]."""
    c, m = example.w_depthwise.shape[:2]
    w = np.einsum("ocm,cmuv->ocuv", example.w_pointwise.reshape(-1, c, m), example.w_depthwise)
    equal(conv2d(example.x, w, example.b, padding=example.padding, impl=impl), example.p)
    if example.gradients:
        dx, _, db = conv2d_backward(example.gradients.dp, example.x, w, padding=example.padding, impl=impl)
        equal(dx, example.gradients.dx)
        equal(db, example.gradients.db)


@with_every_impl
@with_every_example
def test_the_layer(example, impl):
    c, m, *kernel = example.w_depthwise.shape
    layer = DepthwiseSeparableConv2d(
        c, len(example.b), tuple(kernel), depth_multiplier=m, padding=example.padding,
        batch_norm=False, mid_activation=None, activation="relu", impl=impl,
    ).astype(np.float64)  # fmt: skip
    parameters = dict(layer.named_parameters())
    parameters["depthwise.weight"].value = example.w_depthwise
    parameters["depthwise.bias"].value = np.zeros(c * m)
    parameters["pointwise.weight"].value = example.w_pointwise
    parameters["pointwise.bias"].value = example.b
    y, backward = layer.forward(example.x, train=True)
    equal(y, example.y)
    if example.gradients:
        equal(backward(example.gradients.dy), example.gradients.dx)
        for name, grad in (("depthwise", "dw_depthwise"), ("pointwise", "dw_pointwise")):
            equal(parameters[f"{name}.weight"].grad, getattr(example.gradients, grad))
        equal(parameters["pointwise.bias"].grad, example.gradients.db)


def test_im2col_by_hand():
    """Rows are output pixels, columns are taps."""
    small, large = worked_examples.two_equal_filters.x, worked_examples.three_equal_channels.x[:, :1]
    equal(im2col(small, 2)[0].T, np.array([[1.0, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]))
    rows = [
        [1.0, 2, 5, 6], [2, 3, 6, 7], [3, 4, 7, 8],
        [5, 6, 9, 10], [6, 7, 10, 11], [7, 8, 11, 12],
        [9, 10, 13, 14], [10, 11, 14, 15], [11, 12, 15, 16],
    ]  # fmt: skip
    equal(im2col(large, 2)[0].T, np.array(rows))
    equal(np.array(rows) @ [0.0, 1, 1, 0], np.array([7.0, 9, 11, 15, 17, 19, 23, 25, 27]))
    # How many of the four windows hold each pixel, times the pixel.
    equal(col2im(im2col(small, 2), (3, 3), 2)[0, 0], np.array([[1.0, 4, 3], [8, 20, 12], [7, 16, 9]]))


@with_every_impl
@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "expected"),
    [
        ("valid", 2, 1, [[6]]),
        ("valid", 1, 2, [[10]]),
        ("same", 1, 1, [[6, 8, 6], [12, 14, 9], [8, 9, 0]]),
        (((1, 0), (1, 0)), 1, 1, [[0, 1, 2], [1, 6, 8], [4, 12, 14]]),
        (1, 1, 1, [[0, 1, 2, 3], [1, 6, 8, 6], [4, 12, 14, 9], [7, 8, 9, 0]]),
        (1, 2, 1, [[0, 2], [4, 14]]),
    ],
)
def test_the_first_example_under_other_options(padding, stride, dilation, expected, impl):
    example = worked_examples.one_filter_one_channel
    d = depthwise_conv2d(
        example.x, example.w_depthwise, padding=padding, stride=stride, dilation=dilation, impl=impl
    )
    equal(d[0, 0], np.array(expected, np.float64))


def test_flipped_kernels_would_keep_the_second_channel():
    """True convolution gives +4 where cross-correlation gives -4, so ReLU would not cut it off."""
    example = worked_examples.two_filters_one_channel
    flipped = depthwise_conv2d(example.x, example.w_depthwise[:, :, ::-1, ::-1], impl="naive")
    equal(flipped[0, 0], example.d[0, 0])  # the first filter cannot tell
    equal(flipped[0, 1], np.full((2, 2), 4.0))
    equal(example.d[0, 1], np.full((2, 2), -4.0))


def test_pytorch_agrees(torch):
    for example in worked_examples.ALL:
        x, wd, wp, b = (
            torch.tensor(np.array(a), requires_grad=True)
            for a in (example.x, example.w_depthwise, example.w_pointwise, example.b)
        )
        c, m, kh, kw = wd.shape
        right, below = (kw - 1, kh - 1) if example.padding == "same" else (0, 0)
        padded = torch.nn.functional.pad(x, (0, right, 0, below))
        d = torch.conv2d(padded, wd.reshape(c * m, 1, kh, kw), groups=c)
        p = torch.conv2d(d, wp[:, :, None, None], b)
        y = p.relu()
        for theirs, hand in ((d, example.d), (p, example.p), (y, example.y)):
            equal(theirs.detach().numpy(), hand)
        if example.gradients:
            dy = torch.tensor(np.array(example.gradients.dy))
            theirs = torch.autograd.grad(y, (p, d, x, wd, wp, b), dy)
            for name, gradient in zip(
                ("dp", "dd", "dx", "dw_depthwise", "dw_pointwise", "db"), theirs, strict=True
            ):
                equal(gradient.numpy(), getattr(example.gradients, name))
