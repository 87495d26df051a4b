"""The probes of one array: their sizes and limits by hand, and what they cannot settle."""

import numpy as np
import pytest

from npdsconv.gradcheck import check, probes
from npdsconv.gradcheck.numeric import STEPS, Line, Slope
from npdsconv.gradcheck.probes import Point, Probes
from npdsconv.gradcheck.subjects import PairSubject

EPS = 2.0**-52


def made(forward, x, dy, gradient, method="elements", directions=3, threshold=1e-7):
    subject = PairSubject(forward, lambda dy, x: dy, [np.array(x)])
    rng = np.random.default_rng(5)
    return Probes(
        Point(subject, subject.value(), np.array(dy), method, directions, threshold, rng),
        0,
        np.array(gradient),
    )


def test_elements_are_the_axes_and_the_first_quotient_of_each_is_known():
    each = made(lambda x: 3 * x, [[3.0, -5.0]], [[2.0, -7.0]], [[6.0, -21.0]])
    np.testing.assert_array_equal(list(each), [[[1, 0]], [[0, 1]]])
    np.testing.assert_allclose([q.value for q in each.first], [6, -21], rtol=1e-12)
    np.testing.assert_allclose([each.largest, each.size, each.scale], [21, 17**0.5, 21], rtol=1e-12)
    row = each.compare(21 * each.size)
    assert (row.ok, row.checked, row.kinks, row.method, row.name) == (True, 2, 0, "elements", "x")
    # Each a thousandth of the largest gradient, units cancelled; 0.3 of what is allowed.
    np.testing.assert_allclose([each.floor, each.tolerance], [0.021, 0.3 * 1e-7 * 21], rtol=1e-12)


def test_the_smallest_gradient_that_stands_out_from_rounding():
    """4·eps·‖y·dy‖ over the longest step, here 4/1024, and over the threshold."""
    each = made(lambda x: 3 * x, [[3.0, -5.0]], [[2.0, -7.0]], [[6.0, -21.0]], threshold=1e-3)
    expected = 4 * EPS * np.hypot(9 * 2, 15 * 7) / (4 * STEPS[0]) / 1e-3
    np.testing.assert_allclose(each._visible(), expected, rtol=1e-12)
    assert made(lambda x: 3 * x, [1.0], [1.0], [3.0], method="complex")._visible() == 0


def test_an_array_of_zeros_has_a_size():
    assert made(lambda x: 3 * x, [0.0, 0], [1.0, 1], [3.0, 3]).size == 1 / 16


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_direction_moves_equal_elements_together(tied):
    each = made(lambda x: x, [1.0, 2, 1, 3, 2, 5], np.ones(6), np.ones(6))
    direction = each._draw(tied).tolist()
    assert (direction[0] == direction[2]) is (direction[1] == direction[4]) is tied
    assert len(set(direction)) == (4 if tied else 6)
    for few in ([1.0, 1, 2, 2], [3.0, 3, 3, 3]):  # half as many numbers would leave too little to chance
        assert len(set(made(lambda x: x, few, np.ones(4), np.ones(4))._draw(tied))) == 4


def test_labels():
    each = made(lambda x: x, np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)))
    assert [each._label(k) for k in (0, 2, 3)] == [(0, 0), (0, 2), (1, 0)]
    by_directions = made(lambda x: x, np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), method="directions")
    assert by_directions._label(2) == "direction 2"
    assert len(by_directions.random) == 3


def test_a_row_says_how_many_directions():
    each = made(lambda x: 3 * x, [1.0, 2, 3], [1.0, 1, 1], [3.0, 3, 3], method="directions")
    row = each.compare(3.0)
    assert (row.method, row.checked, row.ok) == ("3 directions", 3, True)


def test_what_is_empty_is_said_to_be():
    each = made(lambda x: x, np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)))
    assert each.compare(1.0).reason == "empty: nothing to check"


def test_agreement_by_symmetry_is_none():
    """The difference quotient of sqrt|x| at 0 is 0 by symmetry, and grows without end on either side."""
    report = check(
        lambda x: np.sqrt(np.abs(x)),
        lambda dy, x: dy * np.sign(x) / np.sqrt(np.abs(x) + (x == 0)) / 2,
        np.array([0.0, 1.0, 2.0]),
    )
    assert report.verdict == "cannot say"
    assert "do not settle" in report.rows[0].reason


def test_the_row_has_the_worst_element_and_its_error_relative_to_the_largest():
    each = made(lambda x: 3 * x, [1.0, 2, 4], [1.0, 2, -4], [3.0, 6.5, -12])
    row = each.compare(12.0)
    assert (row.ok, row.seen, row.index, row.analytic) == (False, True, (1,), 6.5)
    np.testing.assert_allclose([row.error, row.numeric], [0.5 / 12, 6], rtol=1e-9)


def test_the_size_of_a_gradient_where_the_first_step_leaves_the_domain():
    """log at 1/1000 beside 1: the longest steps are too long for both when the size is 64 times that."""
    each = made(np.log, [2.0**-12], [1.0], [2.0**12])
    assert each.largest == pytest.approx(4096, rel=1e-3)


def certain(f, h, slope, difference, y=1.0):
    subject = PairSubject(f, lambda dy, x: dy, [np.array([0.0])])
    line = Line(subject, {0: np.array([1.0])}, np.array([f(np.zeros(1))[0]]) * y, np.array([1.0]))
    return probes._certain(line, h, Slope(slope, 0.0, True, 0.0, h, slope), difference)


def test_a_difference_is_certain_if_two_other_steps_see_the_same_slope():
    assert certain(lambda x: 2 * x, 0.25, 2.0, 0.5)
    assert not certain(lambda x: 2 * x, 0.25, 2.1, 0.5), (
        "a slope that is a twentieth of the difference away and more"
    )
    assert certain(lambda x: 2 * x, 0.25, 2.02, 0.5)
    assert not certain(lambda x: 2 * x + np.abs(x), 0.25, 2.0, 0.5), "a kink blurs it"
    assert not certain(lambda x: 1 + 1e-11 * x, 0.25, 1e-11, 1e-11), "rounding inside may be as large"
    assert certain(lambda x: 1 + 1e-8 * x, 0.25, 1e-8, 1e-8)
