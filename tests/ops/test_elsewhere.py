"""Weights as other frameworks lay them out: named, with what to do, wherever that can be known."""

import re

import numpy as np
import pytest

import npdsconv
from npdsconv import layers

RGB, GRAY, MANY = np.zeros((1, 3, 40, 40)), np.zeros((1, 1, 9, 9)), np.zeros((1, 5, 9, 9))
ROWS = np.zeros((2, 5))
TO_STANDARD, TO_DEPTHWISE = "w.transpose(3, 2, 0, 1)", "w.transpose(2, 3, 0, 1)"


@pytest.mark.parametrize(
    ("op", "x", "shape", "layout", "todo"),
    [
        ("conv2d", GRAY, (3, 3, 1, 8), "Keras' (KH, KW, C, O)", TO_STANDARD),
        ("conv2d", MANY, (3, 3, 5, 8), "Keras' (KH, KW, C, O)", TO_STANDARD),
        ("conv2d", RGB, (3, 3, 3, 32), "Keras' (KH, KW, C, O)", TO_STANDARD),  # three channels: it would fit
        ("conv2d", RGB[..., :9, :9], (3, 3, 3, 16), "Keras' (KH, KW, C, O)", TO_STANDARD),
        ("conv_transpose2d", MANY, (3, 3, 8, 5), "Keras' (KH, KW, O, C)", TO_STANDARD),
        ("depthwise_conv2d", MANY, (3, 3, 5, 1), "Keras' (KH, KW, C, M)", TO_DEPTHWISE),
        ("depthwise_conv2d", RGB, (3, 3, 3, 8), "Keras' (KH, KW, C, M)", TO_DEPTHWISE),
        ("depthwise_conv2d", MANY, (10, 1, 3, 2), "PyTorch's (C·M, 1, KH, KW)", "w.reshape(5, -1, 3, 2)"),
        ("pointwise_conv2d", MANY, (1, 1, 5, 8), "Keras' (1, 1, C, O)", "w[0, 0].T"),
        ("pointwise_conv2d", MANY, (8, 5, 1, 1), "PyTorch's (O, C, 1, 1)", "w[:, :, 0, 0]"),
        ("pointwise_conv2d", MANY, (5, 8), "Keras' (C, O)", "w.T"),
        ("linear", ROWS, (5, 8), "Keras' (C, O)", "w.T"),
    ],
)
def test_an_op_names_the_layout_and_what_to_do(op, x, shape, layout, todo):
    w = np.random.default_rng(0).standard_normal(shape)
    with pytest.raises(ValueError, match=re.escape(f"looks like {layout}: {todo}")) as caught:
        getattr(npdsconv, op)(x, w, impl="im2col")
    assert str(caught.value).startswith(f"{op}: ")
    # And that is true: so the weights fit.
    getattr(npdsconv, op)(x, eval(todo, {"w": w}), impl="im2col")


@pytest.mark.parametrize(
    ("op", "x", "shape"),
    [
        ("conv2d", RGB, (3, 3, 3, 7)),  # a kernel of 3 × 7, and of 1 × 9: there are such
        ("conv2d", GRAY, (1, 1, 1, 9)),
        ("depthwise_conv2d", RGB, (3, 3, 3, 1)),
        ("linear", ROWS, (5, 5)),
    ],
)
def test_what_can_be_meant_is_taken_as_it_is(op, x, shape):
    getattr(npdsconv, op)(x, np.zeros(shape), impl="im2col")


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (layers.Conv2d(1, 8, 3), (3, 3, 1, 8), "the layout of Keras: transpose(3, 2, 0, 1)"),
        (layers.DepthwiseConv2d(3, 3), (3, 3, 3, 1), "the layout of Keras: transpose(2, 3, 0, 1)"),
        (layers.DepthwiseConv2d(3, 3, depth_multiplier=2), (6, 1, 3, 3), "PyTorch: reshape(3, 2, 3, 3)"),
        (layers.PointwiseConv2d(5, 8), (1, 1, 5, 8), "the layout of Keras: [0, 0].T"),
        (layers.PointwiseConv2d(5, 8), (8, 5, 1, 1), "the layout of PyTorch: [:, :, 0, 0]"),
        (layers.Linear(5, 8), (5, 8), "the layout of Keras: transpose(1, 0)"),
        (layers.Linear(5, 8), (4, 8), ""),
    ],
)
def test_a_parameter_keeps_its_shape(layer, shape, said):
    """A layer knows its kernel's size, so what an op has to take as it is, it can refuse."""
    before = layer.weight.value
    with pytest.raises(ValueError, match=rf"^Parameter: value has shape .*{re.escape(said)}$"):
        layer.weight.value = np.zeros(shape, np.float32)
    assert layer.weight.value is before
    state = {**layer.state_dict(), "weight": np.zeros(shape, np.float32)}
    with pytest.raises(ValueError, match=rf"^load_state_dict: weight has shape .*{re.escape(said[-20:])}$"):
        layer.load_state_dict(state)


@pytest.mark.parametrize(
    ("op", "shape", "options"),
    [
        ("conv2d", (6, 4, 3, 3), {}),
        ("conv2d", (6, 2, 3, 3), {"groups": 2}),
        ("conv2d", (8, 1, 3, 3), {"groups": 4}),
        ("depthwise_conv2d", (4, 2, 3, 3), {}),
        ("pointwise_conv2d", (5, 4), {}),
    ],
)
def test_images_with_their_channels_last_are_named(op, shape, options):
    """As many as w reads, all groups together, and fewer than there are rows and columns."""
    x = np.zeros((2, 8, 6, 4))
    with pytest.raises(ValueError, match=re.escape("looks like channels last: x.transpose(0, 3, 1, 2)")):
        getattr(npdsconv, op)(x, np.zeros(shape), impl="im2col", **options)
    getattr(npdsconv, op)(x.transpose(0, 3, 1, 2), np.zeros(shape), impl="im2col", **options)
    with pytest.raises(ValueError, match=op) as caught:
        getattr(npdsconv, op)(np.zeros((2, 8, 6, 3)), np.zeros(shape), impl="im2col", **options)
    assert "channels last" not in str(caught.value)
