"""What every backward must do, whatever its formula: what is said of one that does not, word for word."""

import numpy as np
import pytest

from npdsconv.gradcheck.conduct import FACTORS, complaints

DY = np.array([3.0, -4.0])
LINEAR = "backward is not linear in dy: "
CUT = "the gradient does not scale with it. Is something cut off or clipped?"


class Backward:
    """A subject whose gradients are a function of dy and of how often it was called."""

    def __init__(self, *functions):
        self.functions, self.asked = functions, []

    def again(self, dy):
        self.asked.append(dy)
        return [np.array(f(dy, len(self.asked))) for f in self.functions]


def complained(*functions, scales=None, threshold=1e-7):
    subject = Backward(*functions)
    first = [np.array(f(DY, 0)) for f in functions]
    scales = dict.fromkeys(range(len(functions)), 10.0) if scales is None else scales
    return complaints(subject, DY, first, scales, threshold, np.random.default_rng(0)), subject


def test_a_right_backward_is_asked_five_times():
    found, subject = complained(lambda dy, n: 2 * dy, lambda dy, n: dy.sum())
    assert found == {}
    same, larger, smaller, other, together = subject.asked
    np.testing.assert_array_equal(same, DY)
    np.testing.assert_array_equal(larger, -1024 * DY)
    np.testing.assert_array_equal(smaller, DY / 2**20)
    np.testing.assert_array_equal(together, DY + other)
    assert FACTORS == {"larger": -1024, "smaller": 2.0**-20}


@pytest.mark.parametrize(
    ("f", "error", "reason"),
    [
        (
            lambda dy, n: 2 * dy + 0.5 * n,
            0.05,
            "backward is not the same twice: it draws random numbers, or adds to something it kept (off by 5.0e-02)",
        ),
        (
            lambda dy, n: np.clip(2 * dy, -1024, 1024),
            0.7,  # 8 is 1 after the clipping
            f"{LINEAR}for one that is 1e+03 times larger {CUT} (off by 7.0e-01)",
        ),
        (
            lambda dy, n: np.where(abs(dy) < 1e-3, 0, dy),
            0.4,
            f"{LINEAR}for one that is 1e+06 times smaller {CUT} (off by 4.0e-01)",
        ),
        (
            lambda dy, n: dy if n < 5 else dy + 1,
            0.1,
            f"{LINEAR}the gradient of a sum is not the sum of the gradients (off by",
        ),
        (
            lambda dy, n: dy if n != 1 else dy[:1],
            np.inf,
            "backward is not the same twice: it draws random numbers, or adds to something it kept: "
            "the shape changed to (1,)",
        ),
        (
            lambda dy, n: dy * (1 if n != 2 else np.nan),
            np.inf,
            f"{LINEAR}for one that is 1e+03 times larger {CUT} (off by nan)",
        ),
    ],
)
def test_what_is_complained_of(f, error, reason):
    found, _ = complained(lambda dy, n: dy, f)
    assert list(found) == [1]
    assert found[1][1].startswith(reason)
    if "sum" not in reason:
        np.testing.assert_allclose(found[1][0], error)


def test_errors_are_relative_to_the_scale_and_may_be_as_large_as_the_threshold():
    def off(dy, n):
        return dy + (n == 1)

    assert complained(off, threshold=0.1)[0] == {}
    assert list(complained(off, threshold=0.099)[0]) == [0]
    assert complained(off, scales={0: 20.0}, threshold=0.05)[0] == {}
    assert complained(off, scales={0: 0.0}, threshold=1.0)[0] == {}, "without a scale, the number itself"
    assert list(complained(off, scales={0: 0.0}, threshold=0.99)[0]) == [0]
    assert complained(off, off, scales={1: 1.0}, threshold=0.5)[0].keys() == {1}, "the other has no row"
