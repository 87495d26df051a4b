"""The adjoint identity and the real step beside the complex one, with directions that are chosen."""

import numpy as np
import pytest

from npdsconv.gradcheck import Row
from npdsconv.gradcheck.identities import with_adjoint, with_real_step
from npdsconv.gradcheck.probes import Point
from npdsconv.gradcheck.subjects import PairSubject


class Chosen:
    """A generator that draws these numbers."""

    def __init__(self, *numbers):
        self.numbers = np.array(numbers)

    def standard_normal(self, shape):
        return self.numbers.reshape(shape)


def point(forward, x, dy, drawn, threshold=1e-7):
    subject = PairSubject(forward, lambda dy, x: dy, [np.array(x)])
    return Point(subject, subject.value(), np.array(dy), "elements", 1, threshold, Chosen(*drawn))


def identity(x):
    return 1.0 * x


@pytest.mark.parametrize(
    ("off", "error"),
    [
        (1e-6, 1e-3),  # <a, v> is 1e-6 and ought to be 0: beside ‖a‖·‖v‖/1000
        (1e-2, 1.0),  # beside itself
        (0.0, 0.0),
    ],
)
def test_an_identity_in_which_both_sides_cancel_is_weighed_by_the_norms(off, error):
    """x is at right angles to dy; the direction that is drawn, to x."""
    row = with_adjoint(Row("x", (2,)), point(identity, [1.0, 0], [0.0, 1], [0, 3.0]), 0, np.array([off, 1.0]))
    np.testing.assert_allclose(row.error, error, rtol=1e-4)
    assert row.ok is (error == 0)
    assert row.method == "- + adjoint"
    if error:
        assert (row.index, row.analytic, row.numeric) == ("adjoint", off, 0)


def test_the_drawn_direction_is_looked_at_too_and_has_the_size_of_the_array():
    """8 in the array, so 8·3 along the second axis: <a, v> = 24·1.5 where 24 is right."""
    row = with_adjoint(
        Row("x", (2,)), point(identity, [8.0, 8 * 0], [0.0, 1], [0, 3.0]), 0, np.array([0.0, 1.5])
    )
    np.testing.assert_allclose(row.error, 1 / 3)
    assert row.numeric in (12, 24)
    assert row.analytic == 1.5 * row.numeric


def test_what_was_found_before_stays_if_it_is_worse():
    before = Row("x", (2,), error=0.5, index=(1,), ok=True)
    row = with_adjoint(before, point(identity, [1.0, 0], [0.0, 1], [0, 3.0]), 0, np.array([0.0, 1.5]))
    assert (row.error, row.index, row.ok) == (0.5, (1,), False)
    failed = Row("x", (2,), ok=False)
    assert with_adjoint(failed, point(identity, [1.0, 0], [0.0, 1], [0, 3.0]), 0, np.zeros(2)) is failed


@pytest.mark.parametrize(("threshold", "ok"), [(1 / 3 + 1e-9, True), (1 / 3 - 1e-9, False)])
def test_the_threshold(threshold, ok):
    at = point(identity, [1.0, 0], [0.0, 1], [0, 3.0], threshold)
    assert with_adjoint(Row("x", (2,)), at, 0, np.array([0.0, 1.5])).ok is ok


@pytest.mark.parametrize(("bend", "linear"), [(0.0, True), (1e-11, True), (1e-7, False)])
def test_forward_has_to_be_linear(bend, linear):
    """A constant besides is allowed: all is measured from f(0)."""
    at = point(lambda x: 5 + x + bend * x**2, [1.0, 2.0], [0.5, 1], [2.0, 3.0])
    row = with_adjoint(Row("x", (2,)), at, 0, np.array([0.5, 1]))
    assert row.ok is linear
    assert row.reason == ("" if linear else "bilinear=True, but forward is not linear in x")
    assert np.isinf(row.error) is not linear or row.error < 1e-9


def test_the_complex_step_and_a_real_one_agree_or_it_is_said():
    row = Row("x", (2,))
    assert with_real_step(row, point(lambda x: x**3, [1.0, 2.0], [0.5, 1], [2.0, 3.0]), 0) is row
    dropped = with_real_step(row, point(lambda x: x + 2 * x.real, [1.0, 2.0], [0.5, 1], [2.0, 3.0]), 0)
    assert (dropped.ok, dropped.seen) == (False, False)
    assert dropped.reason.startswith("the complex step says 4 along a direction where a real one says 12: ")
    # 1e-5 of the slope may be missing.
    assert with_real_step(row, point(lambda x: x + 9e-6 * x.real, [1.0, 2.0], [0.5, 1], [2.0, 3.0]), 0) is row
    assert not with_real_step(row, point(lambda x: x + 2e-5 * x.real, [1.0, 2.0], [0.5, 1], [2.0, 3.0]), 0).ok
