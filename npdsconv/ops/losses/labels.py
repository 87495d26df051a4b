"""What the losses that take labels share: what each label counts, and how the losses of all places become one number.

Scores are (N, K) with labels (N,), or one label a pixel: (N, K, H, W) with (N, H, W), and the like. The axis of the
classes is kept, with length 1, so that all arrays fit each other.
"""

from typing import Literal, NamedTuple

import numpy as np

from npdsconv.shapes import Array, check_choice, check_floats, check_shape

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = ("mean", "sum", "none")


class Labels(NamedTuple):
    """Labels, checked."""

    classes: Array  # (N, 1, ...) integers; 0 where the label is ignored
    share: Array  # (N, 1, ...) the weight of the label's class; 0 where it is ignored
    counted: Array  # (N, 1, ...) bool: whether it is not
    reduction: str

    @property
    def total(self) -> float:
        """What a mean divides by."""
        return float(self.share.sum(dtype=np.float64))


def read_labels(
    op: str,
    name: str,
    scores: Array,
    labels: Array,
    weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> Labels:
    """The labels of `scores`, if all arguments fit together; `name` is what the caller calls the scores."""
    given = {name: scores} if weight is None else {name: scores, "weight": weight}
    check_floats(op, **given)
    check_choice(op, "reduction", reduction, REDUCTIONS)
    if scores.ndim < 2 or scores.shape[1] < 1:
        raise ValueError(f"{op}: {name} must have axes (N, K, ...), K at least 1, got shape {scores.shape}")
    labels, k = np.asarray(labels), scores.shape[1]
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: labels have dtype {labels.dtype}, must be integers")
    places = scores.shape[0], *scores.shape[2:]
    if labels.shape != places:
        flat = f", one a pixel; one an image needs (N, K) {name}: is a Flatten missing?"
        raise ValueError(
            f"{op}: labels have shape {labels.shape}, expected {places} for {name} {scores.shape}"
            f"{flat if labels.shape == places[:1] else ''}"
        )
    counted = np.ones(places, bool) if ignore_index is None else labels != ignore_index
    classes = np.where(counted, labels, 0)
    if classes.size and (classes.min() < 0 or classes.max() >= k):
        raise ValueError(f"{op}: labels lie in {classes.min()} … {classes.max()}, must be in 0 … {k - 1}")
    share = counted.astype(scores.dtype)
    if weight is not None:
        check_shape(op, "weight", weight, (k,), "one for each class")
        if not (np.isfinite(weight) & (weight >= 0)).all():
            raise ValueError(f"{op}: weight must be finite numbers of at least 0, got {weight.tolist()}")
        share *= weight[classes]
    classes, share, counted = (np.expand_dims(array, 1) for array in (classes, share, counted))
    found = Labels(classes, share, counted, reduction)
    if reduction == "mean" and found.total == 0:
        what = "labels of which none counts" if labels.size else "an empty batch"
        raise ValueError(f"{op}: the mean over {what} does not exist")
    return found


def reduced(losses: Array, labels: Labels) -> float | Array:
    """The loss, from numbers (N, 1 or K, ...) that add up to it."""
    if labels.reduction == "none":
        return losses.sum(axis=1)
    total = float(losses.sum(dtype=np.float64))
    return total / labels.total if labels.reduction == "mean" else total


def spread(op: str, gradient: Array, dy: float | Array, labels: Labels) -> Array:
    """The way back: `gradient`, that of the sum, times what each place gets of dy. It is written to."""
    if isinstance(dy, np.ndarray) and dy.ndim:
        check_floats(op, dy=dy, gradient=gradient)
        places = (len(gradient), *gradient.shape[2:]) if labels.reduction == "none" else ()
        check_shape(op, "dy", dy, places, "that of the loss")
        gradient *= np.expand_dims(dy, 1)
    elif dy != 1:
        gradient *= gradient.dtype.type(dy)
    if labels.reduction == "mean":
        gradient /= gradient.dtype.type(labels.total)
    return gradient
