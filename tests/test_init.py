"""Initialisation: the right fans, and that ten layers later there is still a signal."""

import numpy as np
import pytest

from npdsconv import init
from npdsconv.layers import Conv2d, DepthwiseConv2d, Linear, PointwiseConv2d
from npdsconv.ops import depthwise_conv2d, pointwise_conv2d, relu


@pytest.mark.parametrize(
    ("kind", "shape", "groups", "expected"),
    [
        ("standard", (12, 5, 3, 2), 1, (30, 72)),
        ("standard", (12, 5, 3, 2), 4, (30, 18)),
        ("depthwise", (7, 1, 3, 5), 1, (15, 15)),
        ("depthwise", (7, 2, 3, 5), 1, (15, 30)),
        ("pointwise", (12, 5), 1, (5, 12)),
        ("dense", (12, 5), 1, (5, 12)),
    ],
)
def test_fans(kind, shape, groups, expected):
    assert init.fans(kind, shape, groups) == expected


def test_fans_of_an_unknown_kind():
    with pytest.raises(
        ValueError, match="fans: kind must be standard, depthwise, pointwise or dense, got 'conv'"
    ):
        init.fans("conv", (3, 3))


@pytest.mark.parametrize(
    ("draw", "variance"),
    [
        (lambda shape, rng: init.he_normal(shape, 8, rng), 2 / 8),
        (lambda shape, rng: init.lecun_normal(shape, 8, rng), 1 / 8),
        (lambda shape, rng: init.xavier_normal(shape, 8, 12, rng), 2 / 20),
    ],
    ids=["he", "lecun", "xavier"],
)
def test_the_variance_of_the_draw(draw, variance):
    w = draw((60, 50, 4, 5), np.random.default_rng(0))
    assert w.shape == (60, 50, 4, 5)
    assert w.dtype == np.float32
    np.testing.assert_allclose(w.var(), variance, 0.03)  # 5 standard deviations of 60,000 draws
    np.testing.assert_allclose(w.mean(), 0, atol=5 * np.sqrt(variance / w.size))
    np.testing.assert_array_equal(w, draw((60, 50, 4, 5), np.random.default_rng(0)))
    assert not np.array_equal(w, draw((60, 50, 4, 5), np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("make", "variance"),
    [
        (lambda rng: Conv2d(40, 60, (3, 2), rng=rng), 2 / (40 * 6)),
        (lambda rng: Conv2d(40, 160, (3, 2), groups=4, rng=rng), 2 / (10 * 6)),
        (lambda rng: DepthwiseConv2d(600, (5, 3), rng=rng), 2 / 15),
        (lambda rng: DepthwiseConv2d(300, (5, 3), depth_multiplier=2, rng=rng), 2 / 15),
        (lambda rng: PointwiseConv2d(90, 110, rng=rng), 2 / 90),
        (lambda rng: Linear(90, 110, rng=rng), 1 / 90),
    ],
    ids=["standard", "groups", "depthwise", "multiplier", "pointwise", "dense"],
)
def test_the_layers_use_their_own_fan(make, variance):
    layer = make(np.random.default_rng(0))
    np.testing.assert_allclose(layer.weight.value.var(), variance, 0.08)
    assert not layer.bias.value.any()


def through_ten_blocks(draw_depthwise, seed=0, c=64):
    """Root mean square after ten blocks DW-ReLU-PW-ReLU, from 1; the border wraps, so nothing is lost."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, c, 8, 8), np.float32)
    for _ in range(10):
        wrapped = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap")
        x = relu(depthwise_conv2d(wrapped, draw_depthwise(c, rng), impl="im2col"), impl="numpy")
        x = relu(
            pointwise_conv2d(x, PointwiseConv2d(c, c, rng=rng).weight.value, impl="im2col"), impl="numpy"
        )
    return float(np.sqrt(np.square(x, dtype=np.float64).mean()))


@pytest.mark.parametrize("seed", range(3))
def test_the_signal_survives_ten_blocks(seed):
    assert 0.1 < through_ten_blocks(lambda c, rng: DepthwiseConv2d(c, 3, rng=rng).weight.value, seed) < 3


def test_the_signal_dies_with_the_fan_read_off_the_shape():
    """Fan-in C·KH·KW, as frameworks have it: each block shrinks the signal by √C = 8."""
    c, shape = 64, (64, 1, 3, 3)
    assert through_ten_blocks(lambda _, rng: init.he_normal(shape, c * 9, rng)) < 1e-6


@pytest.mark.parametrize("scheme", init.SCHEMES)
def test_a_scheme_has_its_variance_and_its_distribution(scheme):
    name, _, distribution = scheme.partition("_")
    variance = {"he": 2 / 30, "lecun": 1 / 30, "xavier": 2 / 80}[name]
    w = init.draw(scheme, (300, 40, 5), 30, 50, np.random.default_rng(3))
    assert w.dtype == np.float32
    assert abs(w.mean()) < 0.01
    np.testing.assert_allclose(w.var(), variance, rtol=0.02)
    if distribution == "uniform":
        np.testing.assert_allclose(np.abs(w).max(), np.sqrt(3 * variance), rtol=0.001)
    else:
        assert np.abs(w).max() > np.sqrt(9 * variance)
