"""Softmax and cross-entropy: by hand, far out, and their laws; what they refuse."""

import numpy as np
import pytest
from helpers import equal, normal
from messages import LABELS, LOGITS, X, assert_says, cases

import npdsconv

with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@with_both_dtypes
def test_cross_entropy_by_hand(dtype):
    """Odds 1 : 3 : 4 in one row and 1 : 1 : 2 in the other."""
    logits, labels = np.log(np.array([[1, 3, 4], [1, 1, 2]])).astype(dtype), np.array([1, 2])
    loss, p = npdsconv.softmax_cross_entropy(logits, labels)
    assert isinstance(loss, float)
    assert p.dtype == dtype
    np.testing.assert_allclose(loss, (np.log(8 / 3) + np.log(2)) / 2, rtol=1e-6)
    np.testing.assert_allclose(p, [[1 / 8, 3 / 8, 4 / 8], [1 / 4, 1 / 4, 2 / 4]], rtol=1e-6)
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, [[1 / 16, -5 / 16, 4 / 16], [1 / 8, 1 / 8, -2 / 8]], rtol=1e-6)
    np.testing.assert_allclose(npdsconv.softmax(logits), p, rtol=1e-6)


def test_label_smoothing_by_hand():
    """s = 0.3 and three classes: the target is 0.8 at the label and 0.1 elsewhere."""
    logits, labels = np.log([[1.0, 3, 4]]), [2]
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, label_smoothing=0.3)
    np.testing.assert_allclose(
        loss, -(0.1 * np.log(1 / 8) + 0.1 * np.log(3 / 8) + 0.8 * np.log(4 / 8)), rtol=1e-14
    )
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, label_smoothing=0.3)
    np.testing.assert_allclose(gradient, [[1 / 8 - 0.1, 3 / 8 - 0.1, 4 / 8 - 0.8]], rtol=1e-14)


@with_both_dtypes
def test_huge_logits_neither_overflow_nor_vanish(dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4 - 1, 1e4]], dtype)
    loss, p = npdsconv.softmax_cross_entropy(logits, np.array([1, 2]))
    assert loss == 5000.0
    equal(p, np.array([[1, 0, 0], [0, 0, 1]], dtype))
    equal(npdsconv.softmax_cross_entropy_backward(p, [1, 2]), np.array([[0.5, -0.5, 0], [0, 0, 0]], dtype))
    equal(npdsconv.softmax(logits), p)


@with_both_dtypes
def test_a_class_that_is_out_of_the_question(dtype):
    """A logit of -inf is a probability of 0, not NaN; nothing warns, and what is impossible costs infinity."""
    logits = np.array([[1, 2, -np.inf], [-np.inf, 0, np.log(3)]], dtype)
    loss, p = npdsconv.softmax_cross_entropy(logits, np.array([1, 2]))
    np.testing.assert_allclose(loss, (np.log(1 + np.exp(-1)) + np.log(4 / 3)) / 2, rtol=1e-6)
    np.testing.assert_allclose(p[:, [2, 0]], [[0, p[0, 0]], [0.75, 0]], rtol=1e-6)
    gradient = npdsconv.softmax_cross_entropy_backward(p, np.array([1, 2]))
    np.testing.assert_allclose(gradient[0], [p[0, 0] / 2, -p[0, 0] / 2, 0], rtol=1e-5)
    assert npdsconv.softmax_cross_entropy(logits, np.array([2, 2]))[0] == np.inf
    assert npdsconv.softmax_cross_entropy(logits, np.array([1, 2]), label_smoothing=0.1)[0] == np.inf
    weight = np.array([1, 1, 0], dtype)  # smoothing a class of weight 0 costs nothing
    assert np.isfinite(npdsconv.softmax_cross_entropy(logits[:1], [1], weight, label_smoothing=0.1)[0])


@with_both_dtypes
def test_logits_at_the_end_of_the_number_line(dtype):
    most = np.finfo(dtype).max
    loss, p = npdsconv.softmax_cross_entropy(np.array([[most, 0, -most]], dtype), np.array([1]))
    assert loss == most
    equal(p, np.array([[1, 0, 0]], dtype))
    equal(npdsconv.softmax(np.array([most, -most], dtype)), np.array([1, 0], dtype))
    equal(npdsconv.log_softmax(np.array([most, -most], dtype)), np.array([0, -np.inf], dtype))
    assert np.isnan(npdsconv.softmax(np.full(3, -np.inf, dtype))).all()  # no class is left


def test_weights_labels_to_ignore_and_reductions_by_hand():
    """Odds 1 : 3, 1 : 1, 3 : 1; weights 2 and 1; one label does not count."""
    logits = np.log(np.array([[1.0, 3], [1, 1], [3, 1], [1, 7]]))
    labels, weight = np.array([0, 1, 0, -100]), np.array([2.0, 1])
    how = {"ignore_index": -100}
    each, p = npdsconv.softmax_cross_entropy(logits, labels, weight, reduction="none", **how)
    expected = np.array([2 * np.log(4), np.log(2), 2 * np.log(4 / 3), 0])
    np.testing.assert_allclose(each, expected, rtol=1e-14)
    log_p = npdsconv.log_softmax(logits)
    for reduction, value, share in (("sum", expected.sum(), 1), ("mean", expected.sum() / 5, 5)):
        total, _ = npdsconv.softmax_cross_entropy(logits, labels, weight, reduction=reduction, **how)
        assert isinstance(total, float)
        np.testing.assert_allclose(total, value, rtol=1e-14)
        np.testing.assert_allclose(
            npdsconv.nll_loss(log_p, labels, weight, reduction=reduction, **how), value, rtol=1e-14
        )
        gradient = npdsconv.softmax_cross_entropy_backward(
            p, labels, weight, dy=3, reduction=reduction, **how
        )
        by_hand = 3 / share * np.array([[-1.5, 1.5], [0.5, -0.5], [-0.5, 0.5], [0, 0]])
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-14, atol=1e-15)
        of_log_p = npdsconv.nll_loss_backward(log_p, labels, weight, dy=3, reduction=reduction, **how)
        np.testing.assert_allclose(
            of_log_p, -3 / share * np.array([[2, 0], [0, 1], [2, 0], [0, 0]]), atol=1e-15
        )
        np.testing.assert_allclose(npdsconv.log_softmax_backward(of_log_p, logits), by_hand, atol=1e-15)
    dy = np.array([1.0, 10, 100, 1000])
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, weight, dy=dy, reduction="none", **how)
    np.testing.assert_allclose(gradient, [[-1.5, 1.5], [5, -5], [-50, 50], [0, 0]], rtol=1e-13)
    # What does not count may be anything.
    logits[3] = -np.inf
    again, p = npdsconv.softmax_cross_entropy(logits, labels, weight, reduction="sum", **how)
    np.testing.assert_allclose(again, expected.sum(), rtol=1e-14)
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, weight, **how)
    np.testing.assert_array_equal(gradient[3], 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_one_label_a_pixel_is_one_label_an_image(reduction, weighted):
    """Pixels as images: the same losses and gradients."""
    logits, labels = normal(2, 5, 3, 4), np.random.default_rng(2).integers(0, 5, (2, 3, 4))
    weight = np.random.default_rng(3).random(5) if weighted else None
    how = {"reduction": reduction, "label_smoothing": 0.2, "ignore_index": 3}
    rows = logits.transpose(0, 2, 3, 1).reshape(-1, 5)
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, weight, **how)
    expected, p_rows = npdsconv.softmax_cross_entropy(rows, labels.reshape(-1), weight, **how)
    np.testing.assert_allclose(np.ravel(loss), np.ravel(expected), rtol=1e-13)
    found = npdsconv.softmax_cross_entropy_backward(p, labels, weight, **how)
    expected = npdsconv.softmax_cross_entropy_backward(p_rows, labels.reshape(-1), weight, **how)
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1).reshape(-1, 5), expected, rtol=1e-12, atol=1e-15)


def test_a_gradient_for_a_loss_has_its_shape():
    p = np.full((3, 4), 0.25)
    with pytest.raises(ValueError, match=r"^nll_loss_backward: dy has shape \(3,\), expected \(\)"):
        npdsconv.nll_loss_backward(p, LABELS, dy=np.ones(3))
    with pytest.raises(
        ValueError, match=r"_backward: dy has shape \(4,\), expected \(3,\) \(that of the loss"
    ):
        npdsconv.softmax_cross_entropy_backward(p, LABELS, dy=np.ones(4), reduction="none")


def test_a_shift_of_all_logits_changes_nothing_and_the_gradient_sums_to_zero():
    logits, labels = normal(5, 7), np.random.default_rng(1).integers(0, 7, 5).astype(np.uint8)
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, label_smoothing=0.1)
    shifted, _ = npdsconv.softmax_cross_entropy(logits + 100, labels, label_smoothing=0.1)
    np.testing.assert_allclose(shifted, loss, rtol=1e-12)
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, label_smoothing=0.1)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(npdsconv.softmax(logits.reshape(5, 7, 1).swapaxes(1, 2))[:, 0], p, rtol=1e-12)


@pytest.mark.parametrize("op", ["softmax_cross_entropy", "softmax_cross_entropy_backward"])
@cases(
    ((LOGITS[0], LABELS), {}, ValueError, "logits must have axes (N, K, ...), K at least 1, got shape (4,)"),
    ((X, LABELS), {}, ValueError, "labels have shape (3,), expected (2, 7, 6) for logits (2, 4, 7, 6)"),
    ((LOGITS.astype(int), LABELS), {}, TypeError, "logits has dtype int64, must be float32 or float64"),
    ((LOGITS, LABELS + 1), {}, ValueError, "labels lie in 1 … 4, must be in 0 … 3"),
    ((LOGITS, LABELS - 1), {}, ValueError, "labels lie in -1 … 2, must be in 0 … 3"),
    ((LOGITS, LABELS * 1.0), {}, TypeError, "labels have dtype float64, must be integers"),
    ((LOGITS, LABELS > 0), {}, TypeError, "labels have dtype bool, must be integers"),
    ((LOGITS, LABELS[1:]), {}, ValueError, "labels have shape (2,), expected (3,) for logits (3, 4)"),
    (
        (LOGITS, np.eye(4, dtype=int)[LABELS]), {}, ValueError,
        "labels have shape (3, 4), expected (3,) for logits (3, 4)",
    ),
    ((LOGITS[:0], LABELS[:0]), {}, ValueError, "the mean over an empty batch does not exist"),
    (
        (LOGITS, LABELS * 0), {"ignore_index": 0}, ValueError,
        "the mean over labels of which none counts does not exist",
    ),
    ((LOGITS, LABELS), {"reduction": "max"}, ValueError, "reduction must be one of mean, sum, none, got 'max'"),
    ((LOGITS, LABELS, np.ones(3)), {}, ValueError, "weight has shape (3,), expected (4,) (one for each class)"),
    (
        (LOGITS, LABELS, np.array([1.0, -1, 1, 1])), {}, ValueError,
        "weight must be finite numbers of at least 0, got [1.0, -1.0, 1.0, 1.0]",
    ),
    ((LOGITS, LABELS), {"label_smoothing": 1}, ValueError, "label_smoothing must be in [0, 1), got 1"),
    ((LOGITS, LABELS), {"label_smoothing": -0.1}, ValueError, "label_smoothing must be in [0, 1), got -0.1"),
)  # fmt: skip
def test_softmax_cross_entropy(op, arguments, options, error, message):
    if op.endswith("backward"):
        message = message.replace("logits", "probabilities")
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)


def test_softmax():
    assert_says(TypeError, "logits has dtype int64, must be float32 or float64", npdsconv.softmax, LABELS)
