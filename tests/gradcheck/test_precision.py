"""Jumps, by hand: functions with grain and without along one line."""

import numpy as np
import pytest

from npdsconv.gradcheck import precision
from npdsconv.gradcheck.precision import first_move, grain, ignores_short_steps, reason


class Along:
    """What `precision` needs of a line: how the output changes. It remembers where it was asked."""

    def __init__(self, change, y=1.0):
        self.f, self.y, self.seen = change, np.array([y, 0.0]), []

    def change(self, t):
        self.seen.append(t)
        return np.array([0.0, self.f(t)])


GRAIN = 2.0**-9


def grained(t):
    return GRAIN * np.floor(t / GRAIN)


def test_the_grain_is_the_size_of_the_jumps():
    assert grain(Along(grained), 1.0) == GRAIN
    assert grain(Along(lambda t: -grained(t)), 1.0) == GRAIN
    assert grain(Along(lambda t: 3 * grained(t / 2)), 2.0) == 3 * GRAIN
    # Beside what is continuous, a jump is told up to what moves over the shortest stretch.
    np.testing.assert_allclose(grain(Along(lambda t: t + grained(t)), 1.0), GRAIN, rtol=1e-9)


@pytest.mark.parametrize(
    "f", [np.sin, abs, lambda t: max(0.0, t - 0.03), lambda t: 0.0], ids=["sin", "abs", "relu", "0"]
)
def test_what_is_continuous_has_no_grain(f):
    assert grain(Along(f), 1.0) == 0


@pytest.mark.parametrize("place", [0.01, 0.04, 0.07, 0.11])
def test_one_jump_is_no_grain(place):
    assert grain(Along(lambda t: t + (t > place)), 1.0) == 0


def test_four_stretches_up_to_an_eighth_of_the_size_are_looked_at():
    """A jump in each, of 1, 2, 3 and 4: the smallest counts. Without the last there is no grain."""
    places = [1 / 64, 3 / 64, 5 / 64, 7 / 64]

    def steps(count):
        return lambda t: sum((k + 1) * (t > 2 * place) for k, place in enumerate(places[:count]))

    line = Along(steps(4), y=0.0)
    assert grain(line, 2.0) == 1
    assert (min(line.seen), max(line.seen)) == (0, 2 / 8)
    assert grain(Along(steps(3)), 2.0) == 0


def test_the_largest_of_several_jumps_in_a_stretch_is_found():
    assert (
        precision._jump(
            Along(lambda t: (t > 0.1) + 3 * (t > 0.3)), 0.0, 1.0, 1.0, precision._where_it_moves_more
        )
        == 3
    )
    # Where it begins is another question.
    assert (
        precision._jump(Along(lambda t: (t > 0.1) + 3 * (t > 0.3)), 0.0, 1.0, 1.0, precision._where_it_begins)
        == 1
    )
    assert precision._jump(Along(lambda t: t < -0.3), 0.0, -1.0, 1.0, precision._where_it_begins) == 1


@pytest.mark.parametrize(("height", "found"), [(2.0**-37, 2.0**-37), (2.0**-39, 0)])
def test_a_jump_must_stand_out_from_the_rounding_of_the_output(height, found):
    """Of y, which is 4 here, or of y + change, whichever is larger."""

    def step(t):
        return height * (t > 0.3)

    for line in (Along(step, y=4.0), Along(lambda t: 4 * (t > 0) + step(t), y=0.0)):
        assert precision._jump(line, 2.0**-30, 1.0, 1.0, precision._where_it_moves_more) == found


def test_which_half_moves_more():
    a, b, c = (np.array([value, -2 * value]) for value in (0.0, 1.0, 2.0))
    assert precision._where_it_moves_more(a, b, c)
    assert precision._where_it_moves_more(a, c, b)
    assert not precision._where_it_moves_more(a, a + 0.5, c)
    assert precision._where_it_begins(a, b, c) is True
    assert precision._where_it_begins(b, a, c) is False


@pytest.mark.parametrize(
    ("f", "ignored"),
    [
        (lambda t: 3 * t, False),
        (lambda t: 3 * t * t, True),  # 2**-24 of what is expected
        (lambda t: float(t > 0.0001), True),
        (lambda t: 1.0, True),  # far too much
        (lambda t: 0.0, False),  # nothing is expected
        (lambda t: 1002 * t if t < 0.0001 else t, True),
        (lambda t: 998 * t if t < 0.0001 else t, False),
        (lambda t: t / 1002 if t < 0.0001 else t, True),
        (lambda t: t / 998 if t < 0.0001 else t, False),
    ],
)
def test_what_ignores_short_steps(f, ignored):
    line = Along(lambda t: f(t / 4))
    assert ignores_short_steps(line, 4.0) is ignored
    assert line.seen == [2.0**-32, 2.0**-8]


def test_the_first_move_is_looked_for_far_out_and_on_both_sides():
    still = Along(lambda t: 0.0)
    assert first_move(still, 2.0) == (False, 0)
    assert still.seen == [16, 2, -16, -2]
    outside = Along(lambda t: np.nan)
    assert first_move(outside, 2.0) == (False, 0)
    assert outside.seen == [16, 2, -16, -2]
    assert first_move(Along(lambda t: 5.0 * (t > 1)), 2.0) == (True, 5)
    assert first_move(Along(lambda t: np.nan if t > 0 else 5.0 * (t < -9)), 2.0) == (True, 5)
    assert first_move(Along(lambda t: max(0.0, t - 1)), 2.0) == (True, 0), (
        "it moves, and begins without a jump"
    )


def test_what_is_told_of_jumps():
    assert "jumps of about 2e-03 (5e-04 of its output)" in reason(0.002, np.array([1.0, -4.0]))
    assert "jumps of about 2e+00 (1e+00 of its output)" in reason(2.0, np.array([1.0, 0.5]))
    assert "jumps of about 2e+00 (1e+00 of its output)" in reason(2.0, np.array([]))


def test_lengths_are_powers_of_two_between_the_precisions():
    """So they are exact; and the finest is well below what float32 can follow, and above float64's rounding."""
    assert precision.LONG_STEPS == (1 / 8, 1 / 64, 1 / 256, 1 / 1024)
    assert np.finfo(np.float32).eps > 1000 * precision.FINEST > 1000 * 200 * np.finfo(np.float64).eps
    assert (precision.JUMP, precision.FAR, precision.FARTHEST) == (2.0**-40, 1 / 8, 8)
