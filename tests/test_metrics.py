"""Metrics against numbers worked by hand, and scikit-learn where it is installed."""

import numpy as np
import pytest

from npdsconv.metrics import accuracy, confusion_matrix, f1, precision, recall, report

# True 0: three samples, taken for 0, 0, 1. True 1: two, taken for 1, 2. True 2: one, taken for 2. Class 3 is
# never true and once predicted for a true 2; class 4 does not occur.
LABELS = np.array([0, 2, 1, 0, 2, 1, 0])
PREDICTIONS = np.array([0, 2, 1, 1, 3, 2, 0])
MATRIX = [[2, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
PRECISION = [1, 1 / 2, 1 / 2, 0, 0]  # 2/2, 1/2, 1/2, 0/1, 0/0
RECALL = [2 / 3, 1 / 2, 1 / 2, 0, 0]  # 2/3, 1/2, 1/2, 0/0, 0/0
F1 = [4 / 5, 1 / 2, 1 / 2, 0, 0]  # 4/(3+2), 2/(2+2), 2/(2+2), 0/1, 0/0


def test_accuracy():
    assert accuracy(LABELS, PREDICTIONS) == 4 / 7


def test_confusion_matrix():
    found = confusion_matrix(LABELS, PREDICTIONS, 5)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, MATRIX)
    np.testing.assert_array_equal(confusion_matrix(LABELS, PREDICTIONS), np.array(MATRIX)[:4, :4])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_small_integers_do_not_overflow(dtype):
    labels = np.array([200, 100], np.int64).clip(0, np.iinfo(dtype).max).astype(dtype)
    found = confusion_matrix(labels, labels[::-1])
    assert found.shape == (201, 201)
    assert found[200, 100] == found[100, 200] == 1
    assert found.sum() == 2


@pytest.mark.parametrize(("metric", "each"), [(precision, PRECISION), (recall, RECALL), (f1, F1)])
def test_each_class_macro_and_micro(metric, each):
    np.testing.assert_allclose(metric(LABELS, PREDICTIONS, average=None, classes=5), each, rtol=1e-15)
    np.testing.assert_allclose(metric(LABELS, PREDICTIONS, classes=5), sum(each) / 5, rtol=1e-15)
    np.testing.assert_allclose(metric(LABELS, PREDICTIONS, average="macro"), sum(each) / 4, rtol=1e-15)
    np.testing.assert_allclose(metric(LABELS, PREDICTIONS, average="micro", classes=5), 4 / 7, rtol=1e-15)
    assert isinstance(metric(LABELS, PREDICTIONS), float)


@pytest.mark.parametrize("average", [None, "macro", "micro"])
@pytest.mark.parametrize("classes", [4, 7])
def test_agrees_with_scikit_learn(average, classes):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(classes)
    labels, predictions = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    settings = {"average": average, "labels": range(classes), "zero_division": 0}
    for ours, name in ((precision, "precision"), (recall, "recall"), (f1, "f1")):
        theirs = getattr(sklearn_metrics, f"{name}_score")(labels, predictions, **settings)
        np.testing.assert_allclose(
            ours(labels, predictions, average=average, classes=classes), theirs, rtol=1e-14
        )
    theirs = sklearn_metrics.confusion_matrix(labels, predictions, labels=range(classes))
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, classes), theirs)


def test_no_samples():
    none = np.zeros(0, np.int64)
    np.testing.assert_array_equal(confusion_matrix(none, none, 2), np.zeros((2, 2)))
    np.testing.assert_array_equal(recall(none, none, average=None, classes=2), [0, 0])
    assert precision(none, none, average="micro", classes=2) == 0
    with pytest.raises(
        ValueError, match=r"confusion_matrix: 0 samples do not say how many classes there are"
    ):
        confusion_matrix(none, none)
    with pytest.raises(ValueError, match=r"accuracy: 0 samples"):
        accuracy(none, none)


def test_report():
    lines = report(LABELS, PREDICTIONS, ["zero", "one", "two", "three", "a longer name"]).splitlines()
    assert lines[0].split() == ["precision", "recall", "f1", "support"]
    assert lines[1].split() == ["zero", "1.000", "0.667", "0.800", "3"]
    assert lines[4].split() == ["three", "0.000", "0.000", "0.000", "0"]
    assert lines[5].split()[-4:] == ["0.000", "0.000", "0.000", "0"]
    assert lines[6].split() == ["macro", "0.400", "0.333", "0.360", "7"]
    assert lines[7].split() == ["accuracy", "0.571", "7"]
    assert len({len(line) for line in lines}) == 1


def test_report_numbers_the_classes():
    lines = report(LABELS, PREDICTIONS).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2", "3", "macro", "accuracy"]


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix, precision, recall, f1, report])
def test_bad_input_is_one_clear_error(metric):
    name = "confusion_matrix" if metric is report else metric.__name__
    with pytest.raises(TypeError, match=rf"{name}: predictions are float64, not integers; take the argmax"):
        metric(LABELS, PREDICTIONS * 1.0)
    with pytest.raises(TypeError, match=rf"{name}: labels are bool, not integers"):
        metric(LABELS > 0, PREDICTIONS)
    with pytest.raises(
        ValueError, match=rf"{name}: labels \(7,\), predictions \(6,\): expected \(N,\) twice"
    ):
        metric(LABELS, PREDICTIONS[:-1])
    with pytest.raises(ValueError, match=rf"{name}: labels \(7, 1\), predictions \(7, 1\): expected"):
        metric(LABELS[:, None], PREDICTIONS[:, None])
    with pytest.raises(ValueError, match=rf"{name}: classes -1 \.\. 3 occur, allowed are 0 or more"):
        metric(LABELS, np.where(PREDICTIONS == 1, -1, PREDICTIONS))


@pytest.mark.parametrize("metric", [precision, recall, f1])
def test_classes_and_average_are_checked(metric):
    with pytest.raises(ValueError, match=rf"{metric.__name__}: classes 0 \.\. 3 occur, allowed are 0 \.\. 2"):
        metric(LABELS, PREDICTIONS, classes=3)
    with pytest.raises(
        ValueError, match=rf"{metric.__name__}: average 'weighted' is not None, 'macro' or 'micro'"
    ):
        metric(LABELS, PREDICTIONS, average="weighted")
    with pytest.raises(ValueError, match=r"confusion_matrix: classes 0 \.\. 3 occur, allowed are 0 \.\. 1"):
        report(LABELS, PREDICTIONS, ["a", "b"])
