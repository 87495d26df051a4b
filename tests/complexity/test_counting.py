"""Proof by counting: loops over numbers that count themselves do as many multiplications as the formulas say."""

import numpy as np
import pytest
from small_models import MODELS

from npdsconv import complexity, conv2d
from npdsconv.complexity import count, counted, summary
from npdsconv.layers import (
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Linear,
    PointwiseConv2d,
)
from npdsconv.ops import standard
from npdsconv.shapes import resolve_window

RNG = np.random.default_rng(1)
CONVOLUTIONS = {
    "standard": (Conv2d(3, 4, (2, 3), rng=RNG), (3, 5, 6)),
    "standard, everything": (
        Conv2d(4, 6, (3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2, rng=RNG),
        (4, 5, 4),
    ),
    "transposed": (
        ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=((1, 0), (0, 1)), groups=2, rng=RNG),
        (4, 3, 4),
    ),
    "depthwise": (DepthwiseConv2d(3, (3, 2), stride=2, padding="same", rng=RNG), (3, 5, 4)),
    "depthwise, M = 2": (DepthwiseConv2d(2, (2, 3), depth_multiplier=2, dilation=2, rng=RNG), (2, 5, 6)),
    "sequence": (Conv1d(4, 6, 3, stride=2, padding=(2, 1), dilation=3, groups=2, rng=RNG), (4, 9)),
    "depthwise sequence": (DepthwiseConv1d(3, 4, depth_multiplier=2, padding="same", rng=RNG), (3, 7)),
    "pointwise": (PointwiseConv2d(5, 3, rng=RNG), (5, 4, 2)),
    "dense": (Linear(7, 4, rng=RNG), (7,)),
}


@pytest.mark.parametrize("contraction", ["forward", "dx", "dw"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_counted_multiplications_are_the_formula(name, contraction):
    layer, shape = CONVOLUTIONS[name]
    tally = count(layer, shape, contraction)
    assert tally.multiplications == tally.additions == summary(layer, shape).macs > 0


def test_counted_numbers_compute_the_same_result():
    rng = np.random.default_rng(2)
    x, w = rng.integers(-4, 5, (2, 3, 4, 5)).astype(float), rng.integers(-4, 5, (2, 3, 3, 2)).astype(float)
    tally = complexity.Tally()
    window = resolve_window("test", (4, 5), (3, 2), 1, 1, 1)
    y = standard.naive(counted(x, tally), counted(w, tally), None, window, 1)
    expected = conv2d(x, w, padding=1, impl="im2col")
    np.testing.assert_array_equal([number.value for number in y.ravel()], expected.ravel())
    assert tally.multiplications == 2 * complexity.conv_macs(3, 2, (3, 2), (4, 6))
    assert repr(tally) == "Tally(1,728 multiplications, 1,728 additions)"
    assert repr(y[0, 0, 0, 0]) == f"Counted({expected[0, 0, 0, 0]})"


@pytest.mark.parametrize("name", ["residual", "separable", "small"])
def test_counted_multiplications_of_whole_models(name):
    model, shape = MODELS[name]
    total = summary(model, shape)
    tallies = [count(row.layer, row.input).multiplications if row.macs else 0 for row in total.rows]
    assert tallies == [row.macs for row in total.rows]
    assert sum(tallies) == total.macs
