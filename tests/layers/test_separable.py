"""The separable block: its steps and biases, against its ops and PyTorch; what its constructor refuses."""

import numpy as np
import pytest
from helpers import normal, settled

from npdsconv import ops
from npdsconv.layers import (
    BatchNorm2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    PointwiseConv2d,
    ReLU,
    ReLU6,
)


def test_the_blocks_steps():
    block = DepthwiseSeparableConv2d(3, 4, 3)
    assert [type(step) for step in block.steps()] == [
        DepthwiseConv2d,
        BatchNorm2d,
        ReLU,
        PointwiseConv2d,
        BatchNorm2d,
        ReLU,
    ]
    assert block.depthwise.bias is block.pointwise.bias is None
    plain = DepthwiseSeparableConv2d(3, 4, 3, batch_norm=False, mid_activation=None, activation="relu6")
    assert [type(step) for step in plain.steps()] == [DepthwiseConv2d, PointwiseConv2d, ReLU6]
    assert plain.depthwise.bias.value.shape == (3,)
    assert plain.pointwise.bias.value.shape == (4,)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_blocks_bias_can_be_chosen(batch_norm, bias):
    block = DepthwiseSeparableConv2d(3, 4, 3, batch_norm=batch_norm, bias=bias)
    assert (block.depthwise.bias is not None) == (block.pointwise.bias is not None) == bias


@pytest.mark.parametrize("impl", ["im2col", "numba"])
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("mid_activation", [None, "relu", "relu6"])
def test_the_block_is_its_ops(mid_activation, activation, impl):
    cut = {None: lambda x: x, "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6)}
    how = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}
    block = settled(
        DepthwiseSeparableConv2d(
            3,
            4,
            (3, 2),
            depth_multiplier=2,
            batch_norm=False,
            mid_activation=mid_activation,
            activation=activation,
            impl=impl,
            **how,
        )
    )
    x = 9 * normal(2, 3, 6, 5)
    first, second = block.depthwise, block.pointwise
    d = ops.depthwise_conv2d(x, first.weight.value, first.bias.value, impl="im2col", **how)
    assert d.shape == (2, 6, 3, 6)
    p = np.einsum("oc,ncij->noij", second.weight.value, cut[mid_activation](d))
    p += second.bias.value.reshape(4, 1, 1)
    np.testing.assert_allclose(block(x), cut[activation](p), 1e-10, 1e-10)


@pytest.mark.parametrize("train", [True, False])
def test_the_block_is_pytorchs(train):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
    ours = settled(DepthwiseSeparableConv2d(3, 4, (3, 2), depth_multiplier=2, impl="im2col", **how))
    theirs = nn.Sequential(
        nn.Conv2d(3, 6, (3, 2), groups=3, bias=False, **how),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
    ).double()
    theirs.train(train)
    matches = (
        (ours.depthwise, theirs[0]),
        (ours.bn1, theirs[1]),
        (ours.pointwise, theirs[3]),
        (ours.bn2, theirs[4]),
    )
    for mine, other in matches:
        for name, value in mine.state_dict().items():
            tensor = getattr(other, name).data
            tensor.copy_(torch.tensor(value).reshape(tensor.shape))
    x = normal(3, 3, 7, 6)
    tx = torch.tensor(x, requires_grad=True)
    ty = theirs(tx)
    dy = normal(*ty.shape, seed=1)
    ty.backward(torch.tensor(dy))
    y, backward = ours.forward(x, train=train)
    np.testing.assert_allclose(y, ty.detach().numpy(), 1e-9, 1e-9)
    np.testing.assert_allclose(backward(dy), tx.grad.numpy(), 1e-9, 1e-9)
    for mine, other in matches:
        for name, p in mine.named_parameters():
            gradient = getattr(other, name).grad.numpy()
            np.testing.assert_allclose(p.grad, gradient.reshape(p.grad.shape), 1e-9, 1e-9)
        for name, b in mine.named_buffers():
            np.testing.assert_allclose(b.value, getattr(other, name).numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: DepthwiseSeparableConv2d(3, 4, 3, mid_activation="gelu"),
            ValueError,
            "DepthwiseSeparableConv2d: mid_activation must be one of relu, relu6.*, got 'gelu'",
        ),
        (
            lambda: DepthwiseSeparableConv2d(3, 4, 3, activation=""),
            ValueError,
            "DepthwiseSeparableConv2d: activation must be one of relu, relu6.*, got ''",
        ),
        (
            lambda: DepthwiseSeparableConv2d(3, 0, 3),
            ValueError,
            "DepthwiseSeparableConv2d: out_channels must be",
        ),
        (lambda: DepthwiseSeparableConv2d(3, 4, 3, impl="x"), ValueError, "impl must be one of"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
