"""Convolutions and the linear layer: what their constructors refuse. The rest is in house/test_every_layer.py."""

import numpy as np
import pytest

from npdsconv.layers import Conv2d, ConvTranspose2d, DepthwiseConv2d, Linear, PointwiseConv2d


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d(0, 3, 3), ValueError, "Conv2d: in_channels must be an int of at least 1, got 0"),
        (lambda: Conv2d(3, 2.0, 3), ValueError, "Conv2d: out_channels must be an int of at least 1, got 2.0"),
        (lambda: Conv2d(4, 6, 3, groups=3), ValueError, "Conv2d: .*groups.* 3"),
        (lambda: Conv2d(4, 6, (3, 0)), ValueError, r"Conv2d: kernel_size must be at least 1, got \(3, 0\)"),
        (lambda: Conv2d(4, 6, "3"), ValueError, "Conv2d: kernel_size must be an int or a pair of ints"),
        (lambda: Conv2d(4, 6, 3, impl="cuda"), ValueError, "Conv2d: impl must be one of .*, got 'cuda'"),
        (lambda: ConvTranspose2d(0, 3, 3), ValueError, "ConvTranspose2d: in_channels must be .*, got 0"),
        (lambda: ConvTranspose2d(4, 6, 3, groups=3), ValueError, "ConvTranspose2d: groups 3 must divide"),
        (lambda: ConvTranspose2d(4, 6, "3"), ValueError, "ConvTranspose2d: kernel_size must be an int or"),
        (lambda: ConvTranspose2d(4, 6, 3, stride=0), ValueError, "ConvTranspose2d: stride must be .*, got 0"),
        (
            lambda: ConvTranspose2d(4, 6, 3, padding="a"),
            ValueError,
            "ConvTranspose2d: padding must be .* 'a'",
        ),
        (lambda: ConvTranspose2d(4, 6, 3, impl="x"), ValueError, "ConvTranspose2d: impl must be one of"),
        (lambda: DepthwiseConv2d(True, 3), ValueError, "DepthwiseConv2d: in_channels .* got True"),
        (
            lambda: DepthwiseConv2d(3, 3, depth_multiplier=0),
            ValueError,
            "DepthwiseConv2d: depth_multiplier must be an int of at least 1, got 0",
        ),
        (lambda: DepthwiseConv2d(3, 3, impl="x"), ValueError, "DepthwiseConv2d: impl must be one of"),
        (lambda: DepthwiseConv2d(3, (1, 2, 3)), ValueError, "DepthwiseConv2d: kernel_size must be"),
        (lambda: PointwiseConv2d(3, -1), ValueError, "PointwiseConv2d: out_channels must be .*, got -1"),
        (lambda: PointwiseConv2d(3, 4, impl="x"), ValueError, "PointwiseConv2d: impl must be one of"),
        (lambda: Linear(0, 4), ValueError, "Linear: in_features must be an int of at least 1, got 0"),
        (
            lambda: Linear(3, 4, impl="x"),
            ValueError,
            "Linear: impl must be one of naive, im2col, loops, numba",
        ),
        (lambda: Conv2d(4, 6, 3, stride=0), ValueError, "Conv2d: stride must be at least 1, got 0"),
        (lambda: Conv2d(4, 6, 3, dilation=(1, 0)), ValueError, r"Conv2d: dilation must be .*, got \(1, 0\)"),
        (lambda: Conv2d(4, 6, 3, padding="SAME"), ValueError, "Conv2d: padding must be .*, got 'SAME'"),
        (lambda: Conv2d(4, 6, 3, padding=((1, 2), 3)), ValueError, "Conv2d: padding must be an int, .*3"),
        (lambda: Conv2d(4, 6, 3, padding=-1), ValueError, "Conv2d: padding must be at least 0, got -1"),
        (lambda: DepthwiseConv2d(4, 3, stride=1.5), ValueError, "DepthwiseConv2d: stride must be .* got 1.5"),
        (lambda: DepthwiseConv2d(4, 3, dilation=0), ValueError, "DepthwiseConv2d: dilation must be .* got 0"),
        (
            lambda: DepthwiseConv2d(4, 3, padding="a"),
            ValueError,
            "DepthwiseConv2d: padding must be .* got 'a'",
        ),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_what_was_given_in_short_is_kept_in_full():
    """An attribute has one type, whatever form its argument had."""
    layer = Conv2d(2, 3, 5, stride=2, padding=(1, 2), dilation=[1, 3])
    assert (layer.kernel_size, layer.stride, layer.dilation) == ((5, 5), (2, 2), (1, 3))
    assert layer.padding == ((1, 1), (2, 2))
    assert DepthwiseConv2d(2, 3, padding="valid").padding == ((0, 0), (0, 0))
    assert DepthwiseConv2d(2, 3, padding=((0, 1), (2, 3)), stride=(2, 1)).padding == ((0, 1), (2, 3))
    assert Conv2d(2, 3, 3, padding="same").padding == "same", "this one depends on the image"
    assert "stride=(2, 2)" in repr(layer)


def test_the_first_weights_of_a_transposed_convolution_keep_the_size_of_the_signal():
    """He's factor of 2 is for the ReLU before it. A fan-in of C·KH·KW, without the stride, would give 2/4 here."""
    layer = ConvTranspose2d(64, 48, 4, stride=2, padding=1, rng=0, impl="im2col").astype(np.float64)
    x = np.random.default_rng(1).standard_normal((3, 64, 12, 10))
    np.testing.assert_allclose(np.mean(layer(x) ** 2), 2, rtol=0.1)


@pytest.mark.parametrize(
    ("layer", "variance"),
    [
        (Conv2d(16, 64, (3, 5), groups=2, rng=0), 2 / (8 * 15)),
        (ConvTranspose2d(16, 64, (4, 6), stride=(2, 3), groups=2, rng=0), 2 / (8 * 24 / 6)),
        (ConvTranspose2d(4, 64, 2, stride=(8, 2), rng=0), 2),  # fewer products than pixels: at least one
        (DepthwiseConv2d(64, (3, 5), depth_multiplier=4, rng=0), 2 / 15),
        (PointwiseConv2d(64, 40, rng=0), 2 / 64),
        (Linear(64, 40, rng=0), 1 / 64),
    ],
    ids=repr,
)
def test_the_variance_of_the_first_weights(layer, variance):
    np.testing.assert_allclose(layer.weight.value.var(), variance, rtol=0.12)
    assert not layer.bias.value.any()
    assert layer.weight.value.dtype == layer.bias.value.dtype == np.float32
