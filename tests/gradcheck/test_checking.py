"""The gradient checker has to pass what is right and to catch what is wrong, by name."""

import functools
import json

import numpy as np
import pytest
from helpers import relu, relu_backward, row

import npdsconv
from npdsconv.gradcheck import Row, check
from npdsconv.gradcheck.identities import with_adjoint
from npdsconv.gradcheck.probes import Point
from npdsconv.gradcheck.subjects import PairSubject

RNG = np.random.default_rng(11)
X = RNG.standard_normal((2, 3, 5))
W = RNG.standard_normal((5, 4))
B = RNG.standard_normal(4)


def affine(x, w, b):
    return x @ w + b


def affine_backward(dy, x, w, b):
    return dy @ w.T, np.einsum("ncw,nco->wo", x, dy), dy.sum((0, 1))


def normalise(x, weight):
    return weight * (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def normalise_backward(dy, x, weight):
    sigma = np.sqrt(x.var() + 1e-5)
    xhat = (x - x.mean()) / sigma
    g = dy * weight
    return (g - g.mean() - xhat * (g * xhat).mean()) / sigma, (dy * xhat).sum()


# --- what is right passes ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "elements", "directions"])
def test_a_right_pair_passes_far_below_the_threshold(method):
    report = check(affine, affine_backward, X, W, B, method=method, bilinear=True)
    assert report, report
    assert report.max_error < 1e-10
    assert [(r.name, r.shape) for r in report.rows] == [("x", (2, 3, 5)), ("w", (5, 4)), ("b", (4,))]
    assert [r.checked for r in report.rows] == ([4, 4, 4] if method == "directions" else [30, 20, 4])


@pytest.mark.parametrize(
    ("forward", "backward", "x"),
    [
        (np.sin, lambda dy, x: dy * np.cos(x), X),
        (np.exp, lambda dy, x: dy * np.exp(x), 3 * X),
        (np.tanh, lambda dy, x: dy / np.cosh(x) ** 2, 30 * X),
        (lambda x: 1 / x, lambda dy, x: -dy / x**2, X + 0.02 * np.sign(X)),
        (lambda x: (x**3).sum(), lambda dy, x: dy * 3 * x**2, X),
    ],
)
def test_curved_functions_are_resolved(forward, backward, x):
    report = check(forward, backward, x)
    assert report, report
    assert report.max_error < 1e-9


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (1e3, 0), (1, 100)])
def test_batch_statistics_at_any_scale(scale, shift):
    report = check(normalise, normalise_backward, scale * X + shift, np.array(1.7))
    assert report, report
    assert report.max_error < 1e-9
    assert row(report, "weight").index == ()


def test_a_gradient_that_is_truly_zero_is_not_compared_with_rounding():
    def forward(x, bias):
        return normalise(x + bias, 1.3)

    def backward(dy, x, bias):
        dx = normalise_backward(dy, x + bias, 1.3)[0]
        return dx, dx.sum() + 1e-16

    report = check(forward, backward, X, np.zeros(()))
    assert report, report
    # Alone, with no larger gradient to lean on, only the rounding of forward tells that it is nothing.
    alone = check(lambda bias: forward(X, bias), lambda dy, bias: backward(dy, X, bias)[1], np.zeros(()))
    assert alone, alone


def test_dy_is_random_and_not_the_readers_x():
    seen = []

    def backward(dy, x):
        seen.append(dy.copy())
        return 2 * dy

    x = np.random.default_rng(0).standard_normal(X.shape)
    assert check(lambda x: 2 * x, backward, x)
    assert check(lambda x: 2 * x, backward, x)
    assert check(lambda x: 2 * x, backward, x, seed=1)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert np.all(seen[0] != seen[2])
    assert np.all(seen[0] != x)
    assert np.ptp(seen[0]) > 1


def test_arrays_that_are_not_floats_are_handed_through():
    labels = np.array([2, 0, 4])
    logits = RNG.standard_normal((3, 5)).astype(np.float32)

    def backward(dy, logits, labels):
        _, p = npdsconv.softmax_cross_entropy(logits, labels)
        return dy * npdsconv.softmax_cross_entropy_backward(p, labels), None

    report = check(npdsconv.softmax_cross_entropy, backward, logits, labels)
    assert report, report
    assert [r.name for r in report.rows] == ["logits"]


def test_a_backward_may_leave_out_arrays_it_does_not_need_and_gradients_it_does_not_give():
    forward = functools.partial(npdsconv.linear, impl="numpy")
    report = check(
        forward, functools.partial(npdsconv.linear_backward, impl="numpy"), X[0], W.T, B, bilinear=True
    )
    assert report, report
    assert [r.name for r in report.rows] == ["x", "w", "b"]
    some = functools.partial(npdsconv.linear_backward, impl="numpy", needs=("w",))
    report = check(forward, some, X[0], W.T, B)
    assert report, report
    assert [(r.name, r.checked) for r in report.rows] == [("x", 0), ("w", 20), ("b", 0)]
    assert "not differentiated" in row(report, "x").reason


def test_a_check_that_compares_nothing_does_not_pass():
    report = check(relu, lambda dy, x: None, X)
    assert not report.ok
    assert "nothing was compared" in str(report)


def test_complex_step_is_exact():
    report = check(np.sin, lambda dy, x: dy * np.cos(x), X, method="complex")
    assert report, report
    assert report.max_error < 1e-15
    assert report.rows[0].method == "complex step"
    wrong = check(np.sin, lambda dy, x: dy * np.cos(x) * (1 + 1e-12), X, method="complex", threshold=1e-14)
    assert not wrong


def test_complex_step_needs_a_complex_output():
    with pytest.raises(ValueError, match="real output for complex input"):
        check(lambda x: x.real, lambda dy, x: dy, X, method="complex")


# --- what is wrong is caught, and named ----------------------------------------------------------------


def with_dx(change):
    def backward(dy, x, w, b):
        dx, dw, db = affine_backward(dy, x, w, b)
        return change(dx), dw, db

    return backward


def missing_channel(dx):
    dx[:, 1] = 0
    return dx


WRONG = {
    "factor 2": lambda dx: 2 * dx,
    "sign": lambda dx: -dx,
    "zero": lambda dx: 0 * dx,
    "flipped": lambda dx: dx[:, :, ::-1],
    "a missing channel": missing_channel,
    "one part in a million": lambda dx: dx * (1 + 1e-6),
    "ones instead of dy": lambda dx: np.broadcast_to(W.sum(1), dx.shape).copy(),
}


@pytest.mark.parametrize("method", ["elements", "directions"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_caught(name, method):
    report = check(affine, with_dx(WRONG[name]), X, W, B, method=method)
    assert not report.ok
    assert [r.ok for r in report.rows] == [False, True, True]
    assert report.rows[0].error > 5e-7


@pytest.mark.parametrize(("change", "ok"), [(lambda dx: dx, True), (lambda dx: dx * (1 + 1e-6), False)])
def test_the_adjoint_identity_catches_it_without_any_difference_quotient(change, ok):
    subject = PairSubject(affine, with_dx(change), [X, W, B])
    y, dy = subject.value(), RNG.standard_normal((2, 3, 4))
    gradients, _ = subject.gradients(dy)
    point = Point(subject, y, dy, "elements", 1, 1e-7, np.random.default_rng(1))
    found = with_adjoint(Row("x", X.shape), point, 0, gradients[0])
    assert found.ok is ok
    assert (found.error < 1e-13) is ok
    assert found.index == "adjoint"
    assert with_adjoint(Row("b", B.shape), point, 2, gradients[2]).ok


def test_a_transposed_gradient_is_caught():
    square = RNG.standard_normal((5, 5))
    report = check(lambda x, w: x @ w, lambda dy, x, w: (dy @ w, x.T @ dy), X[0], square)
    assert [r.ok for r in report.rows] == [False, True]


@pytest.mark.parametrize(("method", "size"), [("elements", 1e-5), ("directions", 1e-3)])
def test_a_single_wrong_element_is_named_with_both_values(method, size):
    def change(dx):
        dx[1, 2, 3] += size
        return dx

    report = check(affine, with_dx(change), X, W, B, method=method)
    assert not report.ok
    worst = row(report, "x")
    assert worst.index == (1, 2, 3)
    np.testing.assert_allclose(worst.analytic - worst.numeric, size, rtol=1e-5)


def test_a_single_wrong_element_of_a_large_array_is_found_by_halving():
    x, w = RNG.standard_normal((37, 61)), RNG.standard_normal((61, 43))

    def backward(dy, x, w):
        dw = x.T @ dy
        dw[29, 31] *= 1.01
        return dy @ w.T, dw

    report = check(lambda x, w: x @ w, backward, x, w)
    assert [r.ok for r in report.rows] == [True, False]
    assert row(report, "w").method == "4 directions"
    assert row(report, "w").index == (29, 31)


def test_a_product_that_is_not_linear_in_one_array_refutes_the_claim():
    report = check(
        lambda x, w: x * w**2, lambda dy, x, w: (dy * w**2, 2 * dy * x * w), X, X + 1, bilinear=True
    )
    assert [r.ok for r in report.rows] == [True, False]
    assert row(report, "w").reason == "bilinear=True, but forward is not linear in w"


def test_writing_to_an_argument_is_caught_and_the_argument_named():
    def relu_in_place(dy, x):
        dy[x <= 0] = 0
        return dy

    def forward_in_place(x):
        x *= 2
        return x

    report = check(relu, relu_in_place, X)
    assert not report.ok
    assert row(report, "backward").reason.startswith("writes to dy; arguments must stay")
    report = check(forward_in_place, lambda dy, x: 2 * dy, X)
    assert row(report, "forward").reason.startswith("writes to x;")


@pytest.mark.parametrize(
    ("backward", "name", "reason"),
    [
        (lambda dy, x: 2 * dy[0], "x", r"the gradient has shape \(3, 5\), the array \(2, 3, 5\)"),
        (lambda dy, x: (2 * dy).astype(np.float32), "x", "the gradient is float32, not float64"),
        (lambda dy, x: np.where(x == x[1, 0, 2], np.nan, 2 * dy), "x", r"the gradient is nan at \(1, 0, 2\)"),
        (lambda dy, x: (dy, dy), "backward", "returned 2 gradients for 1 arrays: x"),
    ],
)
def test_gradients_that_cannot_be_compared(backward, name, reason):
    report = check(lambda x: 2 * x, backward, X)
    assert not report.ok
    assert report.max_error == np.inf
    with pytest.raises(AssertionError, match=reason):
        report.raise_if_failed()
    assert row(report, name).reason


def test_a_forward_that_cannot_be_checked():
    rng = np.random.default_rng(3)
    report = check(lambda x: x + rng.standard_normal(x.shape), lambda dy, x: dy, X)
    assert row(report, "y").reason.startswith("forward is not the same twice")
    report = check(lambda x: x.astype(np.float32), lambda dy, x: dy, X)
    assert row(report, "y").reason == "forward returned float32 from float64 arrays"
    report = check(lambda x: np.where(x == x[0, 1, 2], np.inf, x), lambda dy, x: dy, X)
    assert row(report, "y").reason == "forward returned inf at (0, 1, 2)"


def test_forward_is_run_nearby_first():
    """By a 64th of the typical size, here 8 and 1/16: so near that the domain seldom ends in between."""
    seen = []

    def forward(x, b):
        seen.append((x.copy(), b.copy()))
        return x + b

    x = 8 * np.ones((40, 3))
    assert check(forward, lambda dy, x, b: (dy, dy.sum(0)), x, np.zeros(3))
    near, b = seen[0]
    assert 0.5 < (near - x).std() / (8 / 64) < 1.5
    assert 0 < np.abs(b).max() < 4 / 16 / 64
    np.testing.assert_array_equal(seen[1][0], x)


def test_exceptions_of_the_readers_functions_come_through():
    def broken(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        check(broken, relu_backward, X)


# --- the report ----------------------------------------------------------------------------------------


def test_the_report_reads_well():
    def change(dx):
        dx[1, 0, 2] += 0.5
        return dx

    report = check(affine, with_dx(change), X, W, B)
    text = str(report)
    assert text.splitlines()[0].startswith("affine: FAILED, largest error ")
    assert "(limit 1e-07), 54 checked, 0 on kinks" in text
    assert text == repr(report)
    line = next(line for line in report.table().splitlines() if "(2, 3, 5)" in line)
    assert line.split()[:2] == ["FAIL", "x"]
    assert "(1, 0, 2)" in line
    assert f"{report.rows[0].analytic:.10g}" in line
    assert f"{report.rows[0].numeric:.10g}" in line
    assert max(map(len, text.splitlines())) < 130
    with pytest.raises(AssertionError, match="affine: FAILED"):
        report.raise_if_failed()
    page = check(lambda x: x, lambda dy, x: dy, X)._repr_html_()
    assert "&lt;lambda&gt;: ok" in page
    assert page.count("<tr>") == 2


def test_a_report_is_true_when_all_is_well_and_can_be_named():
    report = check(affine, affine_backward, X, W, B, title="my layer")
    assert report.raise_if_failed() is report
    assert str(report).startswith("my layer: ok")
    assert bool(report) is report.ok is True
    assert not check(affine, with_dx(np.zeros_like), X, W, B)


def test_the_report_as_json():
    report = check(lambda x: 2 * x, lambda dy, x: (dy, dy), X)
    plain = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert plain["ok"] is False
    assert plain["max_error"] is None
    good = json.loads(json.dumps(check(affine, affine_backward, X, W, B).as_dict(), allow_nan=False))
    assert good["rows"][1]["shape"] == [5, 4]
    assert good["rows"][1]["checked"] == 20
    assert good["max_error"] == max(r["error"] for r in good["rows"])


def test_rows_without_numbers_print():
    assert Row("x", (2,), reason="frozen").cells() == ("ok", "x", "(2,)", "-", "-", "-", "-", "-", "0", "0")


# --- calls that make no sense --------------------------------------------------------------------------


def test_calls_that_make_no_sense():
    with pytest.raises(
        ValueError, match="method must be one of auto, elements, directions, complex, got 'fast'"
    ):
        check(relu, relu_backward, X, method="fast")
    with pytest.raises(ValueError, match="directions must be at least 1, got 0"):
        check(relu, relu_backward, X, directions=0)
    with pytest.raises(TypeError, match="labels are for a layer"):
        check(relu, relu_backward, X, labels=[1])
    with pytest.raises(TypeError, match="give a layer and its input, or forward, backward"):
        check(relu, X)
    with pytest.raises(ValueError, match="no float array among the arguments"):
        check(relu, relu_backward, np.arange(3))
    with pytest.raises(ValueError, match=r"forward returned an empty array \(0, 3\)"):
        check(relu, relu_backward, np.zeros((0, 3)))


def test_an_error_in_backward_tells_what_it_was_given():
    with pytest.raises(TypeError) as caught:
        check(lambda x, w: x * w, lambda dy, a, b, c: dy, X, X)
    assert "check called backward(dy, x, w)" in caught.value.__notes__[0]


def test_an_error_that_only_sounds_like_writing_comes_through():
    def forward(x):
        raise OSError(30, "Read-only file system")

    with pytest.raises(OSError, match="Read-only file system"):
        check(forward, relu_backward, X)


def test_integers_alone_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"nothing to differentiate; x is int64, give x.astype\(float\)"):
        check(relu, relu_backward, np.arange(6))
