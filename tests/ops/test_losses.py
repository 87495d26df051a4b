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
    ((X, LABELS), {}, ValueError, "logits must have axes (N, K), got shape (2, 4, 7, 6)"),
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
    ((LOGITS, LABELS), {"label_smoothing": 1}, ValueError, "label_smoothing must be in [0, 1), got 1"),
    ((LOGITS, LABELS), {"label_smoothing": -0.1}, ValueError, "label_smoothing must be in [0, 1), got -0.1"),
)  # fmt: skip
def test_softmax_cross_entropy(op, arguments, options, error, message):
    if op.endswith("backward"):
        message = message.replace("logits", "probabilities")
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)


def test_softmax():
    assert_says(TypeError, "logits has dtype int64, must be float32 or float64", npdsconv.softmax, LABELS)
