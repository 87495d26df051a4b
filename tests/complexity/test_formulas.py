"""The formulas of costs, worked by hand."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from npdsconv import complexity
from npdsconv.complexity import summary
from npdsconv.layers import (
    Conv2d,
    DepthwiseSeparableConv2d,
)


def test_macs_of_each_formula():
    assert complexity.conv_macs(3, 5, (2, 4), (7, 6)) == 5 * 3 * 2 * 4 * 7 * 6 == 5040
    assert complexity.conv_macs(6, 4, 3, (5, 2), groups=2) == 4 * 3 * 9 * 10 == 1080
    assert complexity.depthwise_macs(3, (2, 4), (7, 6), multiplier=5) == 3 * 5 * 8 * 42 == 5040
    assert complexity.pointwise_macs(3, 5, (7, 6)) == 630
    assert complexity.separable_macs(3, 5, 3, (7, 6), multiplier=2) == 6 * 9 * 42 + 5 * 6 * 42 == 3528
    assert complexity.linear_macs(11, 7) == 77


# C, C', K, weights of the standard and of the separable layer, MACs of both at 28×28
TABLE = (
    (3, 32, 3, 864, 123, 677_376, 96_432),
    (32, 64, 3, 18_432, 2_336, 14_450_688, 1_831_424),
    (128, 256, 3, 294_912, 33_920, 231_211_008, 26_593_280),
    (3, 128, 5, 9_600, 459, 7_526_400, 359_856),
    (64, 64, 5, 102_400, 5_696, 80_281_600, 4_465_664),
    (64, 32, 7, 100_352, 5_184, 78_675_968, 4_064_256),
    (32, 256, 7, 401_408, 9_760, 314_703_872, 7_651_840),
)


@pytest.mark.parametrize(("c", "o", "k", "params", "sep_params", "macs", "sep_macs"), TABLE)
def test_standard_beside_separable(c, o, k, params, sep_params, macs, sep_macs):
    how = {"padding": k // 2, "bias": False, "rng": np.random.default_rng(0)}
    standard_layer = summary(Conv2d(c, o, k, **how), (c, 28, 28))
    separable = summary(DepthwiseSeparableConv2d(c, o, k, batch_norm=False, **how), (c, 28, 28))
    assert (standard_layer.params, standard_layer.macs) == (params, macs)
    assert (separable.params, separable.macs) == (sep_params, sep_macs)
    assert separable.flops == 2 * sep_macs
    np.testing.assert_allclose([sep_params / params, sep_macs / macs], complexity.ratio(o, k), rtol=1e-14)


RATIOS = {  # kernel, multiplier -> ratio for C' = 1, 2, 4, 10, 32, 64, 128, 256
    (1, 1): (2.0000, 1.5000, 1.2500, 1.1000, 1.0312, 1.0156, 1.0078, 1.0039),
    (2, 1): (1.2500, 0.7500, 0.5000, 0.3500, 0.2812, 0.2656, 0.2578, 0.2539),
    (3, 1): (1.1111, 0.6111, 0.3611, 0.2111, 0.1424, 0.1267, 0.1189, 0.1150),
    (5, 1): (1.0400, 0.5400, 0.2900, 0.1400, 0.0713, 0.0556, 0.0478, 0.0439),
    (7, 1): (1.0204, 0.5204, 0.2704, 0.1204, 0.0517, 0.0360, 0.0282, 0.0243),
    (3, 2): (2.2222, 1.2222, 0.7222, 0.4222, 0.2847, 0.2535, 0.2378, 0.2300),
    (3, 9): (10.0000, 5.5000, 3.2500, 1.9000, 1.2812, 1.1406, 1.0703, 1.0352),
}


@pytest.mark.parametrize(("kernel", "multiplier"), RATIOS)
def test_ratio_table(kernel, multiplier):
    got = [complexity.ratio(o, kernel, multiplier) for o in (1, 2, 4, 10, 32, 64, 128, 256)]
    np.testing.assert_allclose(got, RATIOS[kernel, multiplier], atol=0.500001e-4, rtol=0)


@pytest.mark.parametrize(("o", "k", "m"), list(product((1, 2, 5, 64), (1, 2, (1, 3), 3), (1, 2, 3, 4, 9))))
def test_where_nothing_is_saved(o, k, m):
    taps = k * k if isinstance(k, int) else k[0] * k[1]
    exact = m * (Fraction(1, o) + Fraction(1, taps))
    np.testing.assert_allclose(complexity.ratio(o, k, m), float(exact), rtol=1e-15)
    if o == 1 or taps == 1 or m >= taps:
        assert exact > 1


def test_ratio_at_the_break_even_points():
    assert complexity.ratio(2, (1, 2)) == 1
    assert complexity.ratio(4, 2, 2) == 1
    assert complexity.ratio(4, 2) == 0.5
    assert complexity.ratio(2, 2, 2) == 1.5
