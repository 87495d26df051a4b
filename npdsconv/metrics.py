"""Accuracy, confusion matrix, precision, recall and F1 for a classifier that gives each sample one class.

Everything is counted in the confusion matrix. A ratio whose denominator is zero is 0, as in scikit-learn: a
class that was never predicted has precision 0, a class without samples has recall 0.
"""

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Average = Literal["macro", "micro"]


def accuracy(labels: Ints, predictions: Ints) -> float:
    """The share of samples whose prediction is their label.

    Parameters
    ----------
    labels, predictions : (N,) integers
        True and predicted classes; N is at least 1.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    0.75
    """
    _check("accuracy", labels, predictions)
    if len(labels) == 0:
        raise ValueError("accuracy: 0 samples have no accuracy")
    return float(np.mean(labels == predictions))


def confusion_matrix(labels: Ints, predictions: Ints, classes: int | None = None) -> npt.NDArray[np.int64]:
    """Count samples by true class (row) and predicted class (column).

    Parameters
    ----------
    labels, predictions : (N,) integers
        True and predicted classes.
    classes : int, optional
        How many classes there are; otherwise one more than the largest that occurs.

    Returns
    -------
    (classes, classes) int64
        Entry [i, j] counts the samples of class i that were taken for class j.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    count = _check("confusion_matrix", labels, predictions, classes)
    cells = labels.astype(np.int64) * count + predictions.astype(np.int64)
    return np.bincount(cells, minlength=count * count).astype(np.int64).reshape(count, count)


@overload
def precision(labels: Ints, predictions: Ints, *, average: None, classes: int | None = None) -> Floats: ...
@overload
def precision(
    labels: Ints, predictions: Ints, *, average: Average = "macro", classes: int | None = None
) -> float: ...
def precision(
    labels: Ints, predictions: Ints, *, average: Average | None = "macro", classes: int | None = None
) -> Floats | float:
    """Of the samples predicted as a class, the share that belong to it: TP / (TP + FP).

    Parameters
    ----------
    labels, predictions : (N,) integers
        True and predicted classes.
    average : {"macro", "micro", None}
        "macro": the mean over all classes, each counting the same. "micro": TP, FP and FN are added up over
        the classes first; with one class for each sample this is the accuracy. None: one value for each
        class.
    classes : int, optional
        As in `confusion_matrix`. Classes that do not occur count as 0 in the macro average, as in
        scikit-learn with `labels=range(classes)`.

    Returns
    -------
    float, or (classes,) float64 when `average` is None
    """
    true, predicted, _ = _counts("precision", labels, predictions, average, classes)
    return _average(_ratio(true, predicted), average)


@overload
def recall(labels: Ints, predictions: Ints, *, average: None, classes: int | None = None) -> Floats: ...
@overload
def recall(
    labels: Ints, predictions: Ints, *, average: Average = "macro", classes: int | None = None
) -> float: ...
def recall(
    labels: Ints, predictions: Ints, *, average: Average | None = "macro", classes: int | None = None
) -> Floats | float:
    """Of the samples of a class, the share predicted as it: TP / (TP + FN). Parameters as in `precision`."""
    true, _, actual = _counts("recall", labels, predictions, average, classes)
    return _average(_ratio(true, actual), average)


@overload
def f1(labels: Ints, predictions: Ints, *, average: None, classes: int | None = None) -> Floats: ...
@overload
def f1(
    labels: Ints, predictions: Ints, *, average: Average = "macro", classes: int | None = None
) -> float: ...
def f1(
    labels: Ints, predictions: Ints, *, average: Average | None = "macro", classes: int | None = None
) -> Floats | float:
    """Harmonic mean of precision and recall: 2·TP / (2·TP + FP + FN). Parameters as in `precision`.

    The macro average is the mean of the classes' F1, not the F1 of the mean precision and recall.
    """
    true, predicted, actual = _counts("f1", labels, predictions, average, classes)
    return _average(_ratio(2 * true, predicted + actual), average)


def report(labels: Ints, predictions: Ints, names: Sequence[str] | None = None) -> str:
    """A table as text: precision, recall, F1 and support for each class, then macro averages and accuracy.

    Parameters
    ----------
    labels, predictions : (N,) integers
        True and predicted classes; N is at least 1.
    names : sequence of str, optional
        One for each class, and so also the number of classes; otherwise the classes are numbered.

    Examples
    --------
    >>> print(report(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), ["ant", "bee", "cat"]))
               precision  recall      f1  support
    ant            1.000   1.000   1.000        1
    bee            1.000   0.500   0.667        2
    cat            0.500   1.000   0.667        1
    macro          0.833   0.833   0.778        4
    accuracy       0.750                        4
    """
    matrix = confusion_matrix(labels, predictions, None if names is None else len(names))
    names = [str(i) for i in range(len(matrix))] if names is None else names
    true, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    columns = [_ratio(true, predicted), _ratio(true, actual), _ratio(2 * true, predicted + actual)]
    width = max(len(name) for name in (*names, "accuracy"))

    def row(name: str, values: Sequence[float], support: int) -> str:
        return f"{name:<{width}}  {values[0]:9.3f}  {values[1]:6.3f}  {values[2]:6.3f}  {support:7d}"

    rows = [f"{'':{width}}  precision  recall      f1  support"]
    rows += [row(name, [c[i] for c in columns], actual[i]) for i, name in enumerate(names)]
    rows.append(row("macro", [float(c.mean()) for c in columns], len(labels)))
    rows.append(f"{'accuracy':<{width}}  {accuracy(labels, predictions):9.3f}{'':16}  {len(labels):7d}")
    return "\n".join(rows)


def _counts(
    caller: str, labels: Ints, predictions: Ints, average: Average | None, classes: int | None
) -> tuple[Ints, Ints, Ints]:
    """True positives, predicted and actual samples of each class, or (micro) their sums as arrays of one."""
    if average not in (None, "macro", "micro"):
        raise ValueError(f"{caller}: average {average!r} is not None, 'macro' or 'micro'")
    matrix = confusion_matrix(labels, predictions, _check(caller, labels, predictions, classes))
    counts = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    if average == "micro":
        return counts[0].sum(keepdims=True), counts[1].sum(keepdims=True), counts[2].sum(keepdims=True)
    return counts


def _ratio(numerator: Ints, denominator: Ints) -> Floats:
    return numerator / np.maximum(denominator, 1)  # the numerator is 0 wherever the denominator is


def _average(values: Floats, average: Average | None) -> Floats | float:
    return values if average is None else float(values.mean())


def _check(caller: str, labels: Ints, predictions: Ints, classes: int | None = None) -> int:
    """Check the pair; return the number of classes."""
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not np.issubdtype(values.dtype, np.integer):
            raise TypeError(f"{caller}: {name} are {values.dtype}, not integers; take the argmax of logits")
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(
            f"{caller}: labels {labels.shape}, predictions {predictions.shape}: expected (N,) twice"
        )
    if len(labels) == 0:
        if classes is None:
            raise ValueError(f"{caller}: 0 samples do not say how many classes there are")
        return classes
    least, most = int(min(labels.min(), predictions.min())), int(max(labels.max(), predictions.max()))
    if least < 0 or (classes is not None and most >= classes):
        allowed = "0 or more" if classes is None else f"0 .. {classes - 1}"
        raise ValueError(f"{caller}: classes {least} .. {most} occur, allowed are {allowed}")
    return most + 1 if classes is None else classes
