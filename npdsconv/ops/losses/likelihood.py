"""Negative log-likelihood: minus the logarithm of the probability that the label was given."""

from typing import Literal, overload

import numpy as np

from npdsconv.ops.losses.labels import Labels, Reduction, read_labels, reduced, spread
from npdsconv.shapes import Array


@overload
def nll_loss(
    log_probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> float: ...


@overload
def nll_loss(
    log_probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none"],
) -> Array: ...


def nll_loss(
    log_probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> float | Array:
    """``loss[n] = -weight[t] · log p[n, t]`` at the label t = labels[n]; their mean, their sum, or all of them.

    After :func:`log_softmax` it is :func:`softmax_cross_entropy`.

    Parameters
    ----------
    log_probabilities : (N, K, ...) float32 or float64
    labels, weight, ignore_index, reduction : as for :func:`softmax_cross_entropy`

    Returns
    -------
    loss : float, or an array of the shape of `labels` with reduction "none"

    Examples
    --------
    >>> nll_loss(np.log(np.array([[0.25, 0.75], [0.5, 0.5]])), np.array([1, 0]), reduction="none").round(4)
    array([0.2877, 0.6931])
    """
    op = "nll_loss"
    read = read_labels(op, "log_probabilities", log_probabilities, labels, weight, ignore_index, reduction)
    picked = np.take_along_axis(log_probabilities, read.classes, axis=1)
    losses = np.zeros(picked.shape, picked.dtype)
    np.multiply(
        picked, -read.share, out=losses, where=read.share != 0
    )  # of what does not count, not even -inf
    return reduced(losses, read)


def nll_loss_backward(
    log_probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    dy: float | Array = 1.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """``dlog_p[n, t] = -weight[t]`` at the label, 0 elsewhere; divided by the sum of these weights for the mean.

    Of `log_probabilities` only the shape is read. `dy` is the gradient for the loss: a number, or with reduction
    "none" an array of the shape of `labels`.
    """
    op = "nll_loss_backward"
    read = read_labels(op, "log_probabilities", log_probabilities, labels, weight, ignore_index, reduction)
    return spread(op, -at_labels(read, log_probabilities.shape), dy, read)


def at_labels(labels: Labels, shape: tuple[int, ...]) -> Array:
    """The share of each label at its class, 0 elsewhere."""
    targets = np.zeros(shape, labels.share.dtype)
    np.put_along_axis(targets, labels.classes, labels.share, axis=1)
    return targets
