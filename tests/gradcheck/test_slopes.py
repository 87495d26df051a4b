"""Kinks by hand: one-sided slopes, the interval between them, ties."""

import numpy as np
import pytest

from npdsconv.gradcheck import kinks
from npdsconv.gradcheck.kinks import Element


class Along:
    """Outputs as functions of one number, and their weights."""

    def __init__(self, dy, *outputs):
        self.dy, self.outputs, self.y = np.array(dy), outputs, np.zeros(len(dy))

    def change(self, t):
        return np.array([f(t) for f in self.outputs], float)

    def __call__(self, t):
        return float(self.dy @ self.change(t))


def test_one_sided_slopes_are_exact_for_cubes():
    """(8·φ(h)/h - 6·φ(2h)/2h + φ(4h)/4h)/3 takes out the square and the cube."""
    line = Along([1.0, 1.0], lambda t: 3 * t + 5 * t**2 + 7 * t**3, lambda t: 2 * t if t > 0 else -4 * t)
    np.testing.assert_allclose(kinks._one_sided(line, 0.5), [3, 2], rtol=1e-12)
    np.testing.assert_allclose(kinks._one_sided(line, -0.5), [3, -4], rtol=1e-12)


def test_the_interval_is_summed_output_by_output():
    """Slopes 2 and -4 with weight 10: -40 to 20. Slopes 0 and 1 with weight -3: -3 to 0."""
    line = Along([10.0, -3.0], lambda t: 2 * t if t > 0 else -4 * t, lambda t: min(t, 0))
    np.testing.assert_allclose(kinks.slopes(line, 0.25), [-43, 20])


@pytest.mark.parametrize(
    ("gradient", "numeric"),
    [(0.0, None), (3.0, None), (1.5, None), (3.00002, None), (-0.00002, None), (3.1, 3), (6.0, 3), (-1.0, 0)],
)
def test_one_element(gradient, numeric):
    """ReLU at zero, with a weight of 3: anything from 0 to 3, and a hundred-thousandth more."""
    found = kinks.alone(Element(1, (2, 3), 0.0, gradient), Along([3.0], lambda t: max(t, 0)), 0.5)
    if numeric is None:
        assert found is None
        return
    assert (found.array, found.index, found.analytic) == (1, (2, 3), gradient)
    np.testing.assert_allclose(found.numeric, numeric, atol=1e-12)
    np.testing.assert_allclose(found.error, abs(gradient - numeric) / max(abs(gradient), 3))
    assert found.reason == f"lies on a kink, where the slopes allow 0 to 3, but backward says {gradient:.6g}"
    assert found.for_row().keys() == {"index", "analytic", "numeric", "error", "reason"}


def test_ties_are_equal_numbers_wherever_they_are_the_largest_groups_first():
    a, b, c, d, e = (Element(k % 2, (k,), value, 0.0) for k, value in enumerate((1.0, 2.0, 1.0, 2.0, 2.0)))
    assert kinks.ties([a, b, c, d, e, Element(0, (9,), 7.0, 0.0)]) == [[b, d, e], [a, c]]
    many = [Element(0, (k,), float(k // 2), 0.0) for k in range(2 * kinks.MOST_GROUPS + 2)]
    assert len(kinks.ties(many)) == kinks.MOST_GROUPS == 64


def group(*gradients):
    return [Element(0, (k,), 4.0, gradient) for k, gradient in enumerate(gradients)]


@pytest.mark.parametrize("gradients", [(3.0, 0.0), (1.5, 1.5), (-1.0, 4.0)])
def test_ties_that_share(gradients):
    """Moved together the maximum follows, with its weight of 3."""
    assert kinks.together(group(*gradients), Along([3.0], lambda t: t), 1.0, 1e-9) is None


def test_ties_that_do_not_share():
    found = kinks.together(group(3.0, -4.0, 3.0, 1.0, 2.0), Along([3.0], lambda t: t), 1.0, 1e-9)
    assert (found.array, found.index, found.analytic) == (0, (1,), 5)
    np.testing.assert_allclose([found.numeric, found.error], [3, 2 / 5])
    assert found.reason.startswith(
        "5 equal elements lie on a kink: (0,), (1,), (2,), (3,), .... Moved together they change the output by 3 per "
        "step, but their gradients add up to 5: "
    )
    four = kinks.together(group(3.0, 3.0, 0.0, 0.0), Along([3.0], lambda t: t), 1.0, 1e-9)
    assert four.reason.startswith("4 equal elements lie on a kink: (0,), (1,), (2,), (3,). Moved")


def test_ties_on_a_kink_of_their_own_have_an_interval():
    line = Along([3.0], lambda t: max(t, 0))
    assert kinks.together(group(1.0, 1.0), line, 1.0, 1e-9) is None
    assert kinks.together(group(2.0, 2.0), line, 1.0, 1e-9).numeric == pytest.approx(3)
    noise = np.random.default_rng(0)
    unsettled = Along([3.0], lambda t: noise.standard_normal())
    assert kinks.together(group(9.0, 9.0), unsettled, 1.0, 1e-9) is None, "nobody can say"


@pytest.mark.parametrize(
    ("analytic", "low", "high", "least", "nearest", "error"),
    [
        (2.0, 1.0, 3.0, 0.0, 2, 0),
        (4.0, 1.0, 3.0, 0.0, 3, 1 / 4),
        (-1.0, 1.0, 3.0, 0.0, 1, 2 / 3),
        (-5.0, -4.0, 3.0, 0.0, -4, 1 / 5),
        (-5.0, -4.0, 3.0, 10.0, -4, 1 / 10),
        (1.0, -8.0, 0.5, 0.0, 0.5, 0.5 / 8),
        (0.0, 0.0, 0.0, 0.0, 0, 0),
    ],
)
def test_distance(analytic, low, high, least, nearest, error):
    found = kinks._distance(analytic, low, high, least)
    np.testing.assert_allclose(found, (nearest, error))
