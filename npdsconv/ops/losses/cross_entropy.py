"""Softmax and cross-entropy as one op: apart they overflow, together they are simple.

With z the logits, p = softmax(z) and t the target distribution, L = -Σ_k t_k log p_k, whose gradient is the
prettiest of the subject: dL/dz = p - t.
"""

from typing import Literal, overload

import numpy as np

from npdsconv.ops.losses.labels import Labels, Reduction, read_labels, reduced, spread
from npdsconv.ops.losses.likelihood import at_labels
from npdsconv.ops.losses.softmax import log_of_softmax
from npdsconv.shapes import Array


@overload
def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> tuple[float, Array]: ...


@overload
def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Literal["none"],
) -> tuple[Array, Array]: ...


def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> tuple[float | Array, Array]:
    """Cross-entropy of a batch, and the probabilities on the way.

    ``loss[n] = -Σ_k t[n, k] log softmax(logits[n])[k]``, t = 1 - s + s/K at the label and s/K elsewhere, each t[n, k]
    times weight[k] where classes have weights. The loss is their mean.

    Parameters
    ----------
    logits : (N, K, ...) float32 or float64; -inf for a class that is out of the question
    labels : (N, ...) integers in 0 … K - 1: one for each image, or for each pixel
    weight : (K,) or None, how much each class counts
    label_smoothing : s, the share of the target spread evenly over all classes, 0 <= s < 1
    ignore_index : int or None; labels of this value do not count
    reduction : "mean", "sum" or "none" for the loss of each label by itself
        The mean divides by the sum of the labels' weights, those that do not count left out.

    Returns
    -------
    loss : float, in nats, or an array of the shape of `labels` with reduction "none"
    probabilities : (N, K, ...); backward takes them

    Raises
    ------
    TypeError
        Logits that are not float32 or float64, labels that are not integers.
    ValueError
        Shapes that do not fit, a label or an option out of range, a mean over nothing.

    References
    ----------
    Szegedy et al., *Rethinking the Inception Architecture*, CVPR 2016 (label smoothing).

    Examples
    --------
    >>> loss, p = softmax_cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 6), p
    (1.386294, array([[0.25, 0.25, 0.25, 0.25]]))
    """
    op = "softmax_cross_entropy"
    read = read_labels(op, "logits", logits, labels, weight, ignore_index, reduction)
    targets = _targets(op, read, logits.shape, weight, label_smoothing)
    log_p = log_of_softmax(logits, axis=1)
    terms = np.zeros(logits.shape, logits.dtype)
    np.multiply(targets, -log_p, out=terms, where=targets != 0)  # 0 · log 0 is 0 here
    return reduced(terms, read), np.exp(log_p)


def softmax_cross_entropy_backward(
    probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    dy: float | Array = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """``dlogits[n, k] = (p[n, k]·Σ_j t[n, j] - t[n, k]) / N``: (p - t)/N without weights, whose targets add up to 1.

    Options as of forward; with weights N is their sum over the labels. `dy` is the gradient for the loss: a number, or
    with reduction "none" an array of the shape of `labels`.
    """
    op = "softmax_cross_entropy_backward"
    read = read_labels(op, "probabilities", probabilities, labels, weight, ignore_index, reduction)
    targets = _targets(op, read, probabilities.shape, weight, label_smoothing)
    if weight is None and ignore_index is None:
        return spread(op, probabilities - targets, dy, read)
    mass = targets.sum(axis=1, keepdims=True)
    gradient = np.zeros(probabilities.shape, probabilities.dtype)
    np.multiply(probabilities, mass, out=gradient, where=mass != 0)
    return spread(op, gradient - targets, dy, read)


def _targets(
    op: str, labels: Labels, shape: tuple[int, ...], weight: Array | None, smoothing: float
) -> Array:
    """(N, K, ...): what each class counts at each place."""
    if not 0 <= smoothing < 1:
        raise ValueError(f"{op}: label_smoothing must be in [0, 1), got {smoothing}")
    targets = at_labels(labels, shape)
    if smoothing == 0:
        return targets
    each = np.full(shape[1], smoothing / shape[1], targets.dtype)
    if weight is not None:
        each *= weight
    everywhere = each.reshape(-1, *(1,) * (len(shape) - 2)) * labels.counted
    return everywhere + targets * targets.dtype.type(1 - smoothing)
