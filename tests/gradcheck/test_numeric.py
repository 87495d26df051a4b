"""The pieces of the numeric derivative, each by hand: quotients, steps, the settling, kinks, sizes, halving."""

import math

import numpy as np
import pytest

from npdsconv.gradcheck import numeric
from npdsconv.gradcheck.numeric import (
    Line,
    Quotient,
    complex_slope,
    locate,
    quotient,
    root_mean_square,
    settle,
    steps_for,
    typical_size,
)
from npdsconv.gradcheck.subjects import PairSubject


class Phi:
    """A function of one number in the place of a line; it remembers where it was called."""

    def __init__(self, f, y=(0.0,), dy=(1.0,)):
        self.f, self.y, self.dy, self.seen = f, np.array(y), np.array(dy), []

    def __call__(self, t):
        self.seen.append(t)
        return self.f(t)


def test_the_steps_are_powers_of_two_from_a_thousandth_down():
    assert tuple(2.0**-k for k in range(10, 31, 4)) == numeric.STEPS
    assert sorted(numeric.SHORT_FIRST, reverse=True) == [2.0**-k for k in (10, 12, *range(14, 31, 2))]
    assert numeric.SHORT_FIRST[0] == 2.0**-18


def test_a_quotient_takes_six_values():
    phi = Phi(lambda t: t)
    quotient(phi, 0.5)
    assert sorted(phi.seen) == [-2, -1, -0.5, 0.5, 1, 2]


def test_a_quotient_is_exact_for_polynomials_of_degree_five():
    """Odd parts (φ(t) - φ(-t))/2t = 3 + 5t² + 7t⁴: each of the two estimates is off by 28·h⁴ and 28·(2h)⁴."""
    found = quotient(Phi(lambda t: 3 * t + 2 * t**2 + 5 * t**3 - 6 * t**4 + 7 * t**5), 1.0)
    assert (found.value, found.spread, found.jump) == (3, 28 * 15, 0)
    half = quotient(Phi(lambda t: 3 * t + 2 * t**2 + 5 * t**3 - 6 * t**4 + 7 * t**5), 0.5)
    assert (half.value, half.spread, half.jump) == (3, 28 * 15 / 16, 0)


def test_a_quotient_sees_a_kink():
    """Slope 5 to the right and 1 to the left: 3 in the middle, and they differ by 4, whatever the curvature."""
    found = quotient(Phi(lambda t: 3 * t + 2 * abs(t) + t**2), 2.0)
    assert found == (3, 0, 4)
    assert found.doubt == 4


@pytest.mark.parametrize(
    ("found", "doubt"),
    [
        (Quotient(1.0, -3.0, 2.0), 3),
        (Quotient(1.0, 2.0, -3.0), 3),
        (Quotient(math.nan, 0.0, 0.0), math.inf),
        (Quotient(math.inf, 0.0, 0.0), math.inf),
        (Quotient(0.0, math.nan, 1.0), math.inf),
    ],
)
def test_doubt(found, doubt):
    assert found.doubt == doubt


def settled(f, steps, tolerance, **how):
    phi = Phi(f, **how)
    slope = settle(phi, steps, tolerance, quotient(phi, steps[0]))
    return slope, len(phi.seen) // 6


def test_the_first_smooth_stretch_is_enough():
    slope, tried = settled(lambda t: 3 * t, [1.0, 0.5, 0.25], 1e-9)
    assert slope == (3, 0, True, 0, 1.0, 3)
    assert tried == 1


def test_a_doubt_as_large_as_the_tolerance_is_settled():
    """Two kinks at ±1/2: the stretch of ±1/2 is the first that does not cross them."""

    def f(t):
        return t + 8 * max(0, t - 0.5)

    slope, tried = settled(f, [1.0, 0.125, 0.0625], 0.0)
    assert slope[:5] == (1, 0, True, 0, 0.125)
    assert slope.farthest == quotient(Phi(f), 1.0).value != 1
    assert tried == 2


def test_among_equal_doubts_the_longer_step_is_taken_for_rounding():
    noise = {"y": (3.0, 4.0), "dy": (1.0, 1.0)}
    slope, tried = settled(lambda t: t + 2 * abs(t), [1.0, 0.5, 0.25], 1e-9, **noise)
    assert (slope.settled, slope.step, slope.doubt, tried) == (False, 1.0, 4, 3)
    # Rounding of 5e200·eps over a step of 1/4 is more than the doubt of the longer one.
    huge = {"y": (3e17, 4e17), "dy": (1.0, 1.0)}
    slope, _ = settled(
        lambda t: t + 2 * abs(t) + (0.5 * abs(t) if abs(t) > 1 else 0), [0.25, 1.0], 1e-9, **huge
    )
    assert slope.step == 1.0


def test_a_kink_is_steady_over_three_steps_sixteen_times_apart():
    steps = [1.0, 1 / 16, 1 / 256]
    slope, tried = settled(lambda t: t + 2 * abs(t), steps, 1e-9)
    assert (slope.kink, slope.settled, tried) == (1 / 16, False, 3)
    assert settled(lambda t: t + 2 * abs(t), steps, 5.0)[0].kink == 0  # settled: the tolerance allows it
    assert settled(lambda t: t + 2 * abs(t), steps[:2], 1e-9)[0].kink == 0
    assert settled(lambda t: t + 2 * abs(t), [1.0, 1 / 8, 1 / 64], 1e-9)[0].kink == 0


@pytest.mark.parametrize(
    ("jumps", "kink"),
    [
        ((4.0, 4.0, 4.0), 0.5),
        ((4.0, 4.3, 4.6), 0.5),
        ((4.0, 4.5, 4.5), 0),
        ((4.0, 4.0, 4.5), 0),
        ((-4.0, -4.0, -4.0), 0.5),
        ((4.0, -4.0, 4.0), 0),
        ((1.0, 1.0, 1.0), 0),  # as large as the tolerance: rounding
        ((1.01, 1.01, 1.01), 0.5),
        ((math.nan, 4.0, 4.0), 0),
    ],
)
def test_which_jumps_are_steady(jumps, kink):
    tried = {0.5 * 16**k: Quotient(0.0, 0.0, jump) for k, jump in zip((-1, 0, 1), jumps, strict=True)}
    assert numeric._steady_jump(tried, 1.0) == kink


def test_sizes():
    assert root_mean_square(np.array([[3.0, -5.0]])) == pytest.approx(math.sqrt(17), rel=1e-15)
    assert root_mean_square(np.array([3e-200, 4e-200])) == pytest.approx(math.sqrt(12.5) * 1e-200, rel=1e-15)
    assert root_mean_square(np.zeros((2, 3))) == root_mean_square(np.zeros((0, 3))) == 0
    assert typical_size(np.array([3.0, -5.0])) == 4
    assert typical_size(np.array([2.9])) == 4
    assert typical_size(np.array([2.8])) == 2
    assert typical_size(np.zeros(3)) == typical_size(np.full(2, 1e-9)) == 1 / 16


def test_steps_are_for_the_size_of_the_array_and_of_a_number_much_smaller():
    relative = [0.5, 0.25]
    assert steps_for(np.array([4.0, -4.0]), relative) == [2, 1]
    assert steps_for(np.array([4.0, -4.0]), relative, -0.0624) == [2, 1, 1 / 32, 1 / 64]
    assert steps_for(np.array([4.0, -4.0]), relative, 1 / 16) == [2, 1], "a 64th is not much smaller"
    assert steps_for(np.array([4.0, -4.0]), relative, 0.0) == [2, 1]
    # An array of tiny numbers, all of it: the floor of a 16th comes first.
    assert steps_for(np.full(3, 2.0**-20), relative) == [1 / 32, 1 / 64, 2.0**-21, 2.0**-22]
    # Only what is shorter than all before.
    assert steps_for(np.array([4.0]), [0.5, 1 / 512], 1 / 32) == [2, 1 / 128, 2.0**-14]


def subject():
    x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])
    return PairSubject(lambda x, w: x * x @ w, lambda dy, x, w: None, [x, w])


def test_a_line_moves_one_array_or_several():
    both = subject()
    y, dy = both.value(), np.array([1.0, 10.0])
    np.testing.assert_array_equal(y, [29, 141])
    one = Line(both, {0: np.array([[1.0, 0], [0, 0]])}, y, dy)
    np.testing.assert_array_equal(one.change(2.0), [8 * 5, 0])
    assert one(2.0) == 40
    two = Line(both, {0: np.array([[0.0, 0], [0, 1]]), 1: np.array([1.0, 0])}, y, dy)
    np.testing.assert_array_equal(two.change(1.0), [1, 9 + 9 * 6])
    assert two(1.0) == 631
    np.testing.assert_array_equal(both.arrays[1], [5, 6])


def test_the_complex_step_by_hand():
    direction = np.array([[1.0, 0], [0, 1]])
    slope = complex_slope(subject(), 0, direction, np.array([1.0, 10.0]))
    np.testing.assert_allclose(slope, 2 * 1 * 5 + 10 * 2 * 4 * 6, rtol=1e-14)


def test_halving_finds_the_wrong_element():
    """φ has the slope <true, v>; the gradient differs in two places, and the larger one is named."""
    true = np.arange(15.0).reshape(3, 5)
    gradient = true.copy()
    gradient[1, 3] += 5
    gradient[2, 4] -= 0.5
    seen = []

    def slope(direction):
        seen.append(np.count_nonzero(direction))
        return float(np.vdot(true, direction))

    index, analytic, found = locate(slope, np.full((3, 5), 2.0), gradient)
    assert (index, analytic, found) == ((1, 3), 13, 8)
    assert all(isinstance(i, int) for i in index)
    assert seen == [8, 7, 4, 3, 2, 2, 1, 1, 1]
