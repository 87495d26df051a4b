"""The separable block: its steps and biases, against its ops and PyTorch; what its constructor refuses."""

import numpy as np
import pytest
from helpers import normal, settled

from npdsconv import complexity, ops
from npdsconv.layers import (
    BatchNorm2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Layer,
    LeakyReLU,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Sequential,
    pullback,
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


def test_one_bias_is_enough_where_nothing_stands_between_the_steps():
    """Keras' SeparableConv2D(100, 5) on ten channels: 10·25 + 10·100 + 100 numbers."""
    plain = {"batch_norm": False, "mid_activation": None}

    def count(**how):
        return sum(p.value.size for p in DepthwiseSeparableConv2d(10, 100, 5, **how).parameters())

    assert count(bias=True, **plain) == count(bias="pointwise", **plain) == 1350
    assert count(bias=True, batch_norm=False) == count(bias=None, **plain) == 1360
    assert count(bias="pointwise", batch_norm=False) == 1350
    assert count(bias=False, **plain) == 1250
    with pytest.raises(ValueError, match=r'bias must be True, False, None or "pointwise", got .both.$'):
        count(bias="both")


class Cube(Layer):
    """A user's own activation."""

    def forward(self, x, *, train):
        return x**3, pullback(lambda dy: 3 * x**2 * dy)


@pytest.mark.parametrize("impl", ["im2col", "numba"])
def test_an_activation_can_be_a_layer_ones_own_too(impl):
    own = Cube()
    block = DepthwiseSeparableConv2d(
        3, 4, 3, mid_activation=own, activation=LeakyReLU(0.2, impl=impl), rng=1, impl=impl
    )
    settled(block)
    assert block.mid_activation is own
    parts = Sequential(*block.steps(), fused=False)
    x, dy = normal(2, 3, 6, 5), normal(2, 4, 4, 3, seed=1)
    (y, back), (expected, back_of_parts) = (layer.forward(x, train=True) for layer in (block, parts))
    assert y.min() < 0
    np.testing.assert_allclose(y, expected, 1e-12, 1e-12)
    np.testing.assert_allclose(back(dy), back_of_parts(dy), 1e-10, 1e-12)
    assert complexity.summary(DepthwiseSeparableConv2d(3, 4, 3, activation="leaky_relu"), (3, 6, 5)).macs > 0


def test_eps_and_momentum_are_those_of_both_norms():
    block = DepthwiseSeparableConv2d(3, 4, 3, eps=1e-3, momentum=0.01)
    assert {(norm.eps, norm.momentum) for norm in (block.bn1, block.bn2)} == {(1e-3, 0.01)}


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
