"""Where a function has no derivative the checker says so, and a wrong gradient never hides there."""

import itertools

import numpy as np
import pytest
from helpers import relu, relu_backward

from npdsconv.gradcheck import check

RNG = np.random.default_rng(12)
X = RNG.standard_normal((2, 3, 5))


def test_a_kink_at_the_point_is_counted_and_left_out():
    x = X.copy()
    x[0, 1, 1] = x[1, 2, 4] = 0
    report = check(relu, relu_backward, x)
    assert report, report
    assert (report.kinks, report.checked) == (2, 28)
    assert report.max_error < 1e-12


def test_kinks_close_to_the_point_are_not_excluded_but_resolved():
    x = X.copy()
    x[0, 1, :] = [1e-3, -1e-4, 1e-5, -3e-6, 2e-3]
    report = check(relu, relu_backward, x)
    assert report, report
    assert (report.kinks, report.checked) == (0, 30)


@pytest.mark.parametrize("value", [0.0, 1e-4, -1e-4])
def test_a_wrong_gradient_next_to_kinks_still_fails(value):
    x = X.copy()
    x[0, 1, 1] = value

    def backward(dy, x):
        dx = relu_backward(dy, x)
        dx[0, 1, 2] += 1e-3
        dx[0, 1, 1] += 1e-2
        return dx

    report = check(relu, backward, x)
    assert not report.ok
    # At 0 the function itself has no derivative there; the other wrong element is found all the same.
    assert report.rows[0].index == ((0, 1, 2) if value == 0 else (0, 1, 1))
    assert report.kinks == (value == 0)


def test_a_smooth_function_never_has_kinks_however_wrong_the_gradient():
    report = check(np.sin, lambda dy, x: dy * RNG.standard_normal(x.shape), X)
    assert not report.ok
    assert (report.kinks, report.checked) == (0, 30)


def test_too_many_kinks_fail():
    x = X.copy()
    x[0] = 0
    report = check(relu, relu_backward, x)
    assert report.rows[0].ok
    assert not report.ok
    assert "15 of 30 probes lie on a kink" in str(report)
    nothing = check(relu, relu_backward, np.zeros((2, 3)))
    assert not nothing.rows[0].ok
    assert "every probe lies on a kink" in nothing.rows[0].reason


def test_ties_of_a_maximum_are_kinks():
    x = np.arange(30.0).reshape(2, 3, 5)
    x[1, 2, 3] = x[1, 2, 4]

    def backward(dy, x):
        dx = np.zeros_like(x)
        np.put_along_axis(dx, x.argmax(-1, keepdims=True), dy[..., None], -1)
        return dx

    report = check(lambda x: x.max(-1), backward, x)
    assert report, report
    assert report.kinks == 2


def test_a_jump_is_not_excused_as_a_kink():
    x = X.copy()
    x[0, 0, 0] = 0
    report = check(lambda x: x + np.sign(x), lambda dy, x: dy, x)
    assert not report.ok
    assert report.rows[0].index == (0, 0, 0)
    assert "do not settle" in report.rows[0].reason


def test_a_deep_relu_network_by_directions():
    widths = (13, 90, 80, 70, 60, 7)
    rng = np.random.default_rng(5)
    weights = [rng.standard_normal((a, b)) * np.sqrt(2 / a) for a, b in itertools.pairwise(widths)]

    def run(x, *weights):
        inputs = [x]
        for w in weights:
            inputs.append(np.maximum(inputs[-1] @ w, 0))
        return inputs

    def backward(dy, *arrays):
        inputs, gradients = run(*arrays), []
        for x, y, w in zip(inputs[-2::-1], inputs[::-1], arrays[:0:-1], strict=False):
            dy = dy * (y > 0)
            gradients.insert(0, x.T @ dy)
            dy = dy @ w.T
        return [dy, *gradients]

    def forward(*arrays):
        return run(*arrays)[-1]

    x = rng.standard_normal((6, 13))
    report = check(forward, backward, x, *weights)
    assert report, report
    assert [r.method for r in report.rows] == ["4 directions"] * 6
    assert report.rows[2].name == "array 2"
    scaled = check(forward, lambda dy, *a: [g * (1 + 1e-5) for g in backward(dy, *a)], x, *weights)
    assert not any(r.ok for r in scaled.rows)


def test_a_few_kinks_may_lie_in_a_small_array_but_not_more_than_other_elements():
    assert check(relu, relu_backward, np.array([-1.0, 0, 2]))
    most = check(relu, relu_backward, np.array([0.0, 0, 2]))
    assert most.verdict == "cannot say"
    assert "2 of 3 probes lie on a kink, more than half" in str(most)


def test_at_a_kink_the_report_names_the_element_and_what_is_allowed():
    x = X.copy()
    x[1, 0, 3] = 0
    report = check(relu, lambda dy, x: dy * (x > 0) + 3 * dy * (x == 0), x)
    row = report.rows[0]
    assert (report.verdict, row.index) == ("FAILED", (1, 0, 3))
    np.testing.assert_allclose(row.analytic, 3 * row.numeric)
    assert "lies on a kink, where the slopes allow" in row.reason


def test_two_orders_of_ties_are_right_and_two_counts_are_not():
    x = np.array([[4.0, 1, 4, 4], [2, 3, 0, 1]])

    def backward(weights):
        return lambda dy, x: dy[:, None] * np.where(x == 4, weights, x == 3)

    for weights in ([1, 0, 0, 0], [0, 0, 1, 0], [0.2, 0, 0.5, 0.3]):
        assert check(lambda x: x.max(1), backward(np.array(weights)), x)
    for weights in ([1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0], [0.2, 0, 0.2, 0.2]):
        report = check(lambda x: x.max(1), backward(np.array(weights)), x)
        assert report.verdict == "FAILED"
        assert "3 equal elements lie on a kink: (0, 0), (0, 2), (0, 3)" in report.rows[0].reason
