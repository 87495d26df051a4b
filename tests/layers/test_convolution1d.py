"""Convolution of sequences: by hand, tiers, PyTorch, no copies; what is refused. Its op: house/test_every_layer.py."""

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, normal, settled

from npdsconv import layout
from npdsconv.layers import Conv1d, DepthwiseConv1d, Sequential, set_impl
from npdsconv.ops._tiers import TIERS

SETTINGS = [
    {},
    {"stride": 2, "padding": (2, 1), "dilation": 3},
    {"padding": 2},
    {"stride": 2, "padding": "same"},
    {"padding": "valid", "bias": False},
]


@pytest.mark.parametrize("impl", TIERS)
def test_by_hand(impl):
    x = np.array([[[1.0, 2, 3, 4], [5, 6, 7, 8]]])
    layer = Conv1d(2, 1, 2, padding=(0, 1), impl=impl).astype(np.float64)
    layer.weight.value[...] = [[[1, 10], [100, 1000]]]
    layer.bias.value[...] = 3
    np.testing.assert_array_equal(layer(x), [[[6524, 7635, 8746, 807]]])
    depthwise = DepthwiseConv1d(2, 2, stride=2, bias=False, impl=impl).astype(np.float64)
    depthwise.weight.value[...] = [[[1, 10]], [[100, 1000]]]
    np.testing.assert_array_equal(depthwise(x), [[[21, 43], [6500, 8700]]])


def made(kind, **options):
    return settled(
        Conv1d(4, 6, 3, groups=2, rng=0, **options)
        if kind == "conv"
        else DepthwiseConv1d(4, 3, depth_multiplier=2, rng=0, **options)
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_pytorch_finds_the_same_numbers_and_so_do_all_tiers(kind, settings, torch):
    layer, x = set_impl(made(kind, **settings), "naive"), normal(2, 4, 11)
    image, *arrays = (torch.tensor(array, requires_grad=True) for array in (x, *layer.state_dict().values()))
    w = arrays[0] if kind == "conv" else arrays[0].reshape(8, 1, 3)
    span = layer.dilation * 2 + 1
    rest = max((-(-11 // layer.stride) - 1) * layer.stride + span - 11, 0)
    sides = (rest // 2, rest - rest // 2) if layer.padding == "same" else layer.padding
    y = torch.conv1d(
        torch.nn.functional.pad(image, sides),
        w,
        arrays[1] if len(arrays) > 1 else None,
        layer.stride,
        dilation=layer.dilation,
        groups=2 if kind == "conv" else 4,
    )
    np.testing.assert_allclose(layer(x), y.detach().numpy(), 1e-12, 1e-12)
    dy = normal(*y.shape, seed=1)
    dx, *rest = (g.numpy() for g in torch.autograd.grad(y, [image, *arrays], torch.tensor(dy)))
    theirs = dx, dict(zip(layer.state_dict(), rest, strict=True))
    for impl in TIERS:
        assert_same_gradients(gradients(set_impl(layer, impl), x, dy), theirs)


def test_a_chain_copies_nothing(monkeypatch):
    """What one layer returns, the next reads as it lies; only the first input and dy are brought in order."""
    copies = []
    original = layout.nhwc

    def watched(x):
        result = original(x)
        copies.append(not np.shares_memory(result, x))
        return result

    model = Sequential(Conv1d(3, 8, 3), DepthwiseConv1d(8, 3), Conv1d(8, 5, 1))
    x = normal(2, 3, 11, dtype=np.float32)
    monkeypatch.setattr(layout, "nhwc", watched)
    y, back = model.forward(x, train=True)
    assert copies == [True, False, False]
    copies.clear()
    back(y)
    assert len(copies) > 5
    assert sum(copies) == 1, "x, for the first dw"
    assert y.strides == (7 * 5 * 4, 4, 5 * 4), "channels last"


@pytest.mark.parametrize("layer", [Conv1d(3, 4, 2), DepthwiseConv1d(3, 2)])
def test_what_is_refused_when_it_runs(layer):
    kind = type(layer).__name__
    with pytest.raises(
        ValueError, match=rf"^{kind}: x must have axes \(N, C, L\), got shape \(2, 3, 4, 5\)$"
    ):
        layer(normal(2, 3, 4, 5, dtype=np.float32))
    with pytest.raises(TypeError, match=f"^{kind}: x must be a NumPy array, got list$"):
        layer([[[1.0]]])
    with pytest.raises(ValueError, match="kernel 2 with dilation 1 spans 2 > padded width 1: no output"):
        layer(normal(2, 3, 1, dtype=np.float32))
    with pytest.raises(ValueError, match="x has 4 channels"):
        layer(normal(2, 4, 5, dtype=np.float32))


SIDES = r'padding must be an int, \(left, right\), "valid", "same" or "same_lower", got '


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv1d(0, 3, 3), "Conv1d: in_channels must be an int of at least 1, got 0"),
        (lambda: Conv1d(4, 6, (3,)), r"Conv1d: kernel_size must be an int of at least 1, got \(3,\)"),
        (lambda: Conv1d(4, 6, 3, groups=3), "Conv1d: groups 3 must divide input channels 4"),
        (lambda: Conv1d(4, 6, 3, stride=0), "Conv1d: stride must be an int of at least 1, got 0"),
        (lambda: Conv1d(4, 6, 3, dilation=(1, 2)), r"Conv1d: dilation must be an int .*, got \(1, 2\)"),
        (lambda: Conv1d(4, 6, 3, padding="SAME"), f"Conv1d: {SIDES}'SAME'"),
        (lambda: Conv1d(4, 6, 3, padding=((0, 1), (1, 0))), rf"Conv1d: {SIDES}\(\(0, 1\), \(1, 0\)\)"),
        (lambda: Conv1d(4, 6, 3, padding=True), f"Conv1d: {SIDES}True"),
        (lambda: Conv1d(4, 6, 3, padding=(0, -1)), r"Conv1d: padding must be at least 0, got \(0, -1\)"),
        (lambda: Conv1d(4, 6, 3, impl="x"), "Conv1d: impl must be one of naive, im2col, loops, numba"),
        (lambda: DepthwiseConv1d(4, 0), "DepthwiseConv1d: kernel_size must be an int of at least 1, got 0"),
        (lambda: DepthwiseConv1d(4, 3, depth_multiplier=0), "DepthwiseConv1d: depth_multiplier must be"),
        (lambda: DepthwiseConv1d(4, 3, padding=1.5), f"DepthwiseConv1d: {SIDES}1.5"),
        (lambda: DepthwiseConv1d(4, 3, impl="x"), "DepthwiseConv1d: impl must be one of"),
    ],
)
def test_constructors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_what_was_given_in_short_is_kept_in_full():
    assert Conv1d(2, 3, 3, padding=2).padding == (2, 2)
    assert Conv1d(2, 3, 3, padding=[1, 0]).padding == (1, 0)
    assert DepthwiseConv1d(2, 3, padding="valid").padding == (0, 0)
    assert DepthwiseConv1d(2, 3, padding="same").padding == "same"


@pytest.mark.parametrize("kind", [Conv1d, DepthwiseConv1d])
def test_the_geometry_is_that_of_an_image_of_one_row(kind):
    sizes = (2, 3, 3) if kind is Conv1d else (2, 3)
    groups = {"groups": 1} if kind is Conv1d else {}
    layer = kind(*sizes, stride=2, padding=(3, 4), dilation=5)
    assert layer.geometry() == {"stride": (1, 2), "padding": ((0, 0), (3, 4)), "dilation": (1, 5), **groups}
    assert kind(*sizes, padding="same").geometry()["padding"] == "same"


def test_the_first_weights_are_hes():
    """Fan-in C/groups·K: 2/(8·5) for a standard one with two groups, 2/5 for a depthwise one."""
    weight = Conv1d(16, 64, 5, groups=2, rng=0).weight.value
    assert weight.shape == (64, 8, 5)
    np.testing.assert_allclose(weight.var(), 2 / 40, rtol=0.1)
    weight = DepthwiseConv1d(64, 5, depth_multiplier=8, rng=0).weight.value
    assert weight.shape == (64, 8, 5)
    np.testing.assert_allclose(weight.var(), 2 / 5, rtol=0.1)
