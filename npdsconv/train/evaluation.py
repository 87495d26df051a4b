"""What a model has learned: predictions, and how good they are."""

from typing import NamedTuple

import numpy as np

from npdsconv.data import Split, to_float
from npdsconv.layers import Layer, Sequential
from npdsconv.metrics import confusion_matrix
from npdsconv.models.transfer import head_of
from npdsconv.ops.losses import softmax, softmax_cross_entropy
from npdsconv.shapes import Array, check_ndim
from npdsconv.train.steps import dtype_of


class Evaluation(NamedTuple):
    """What `evaluate` measures."""

    accuracy: float  # share of images classified correctly
    loss: float  # mean cross-entropy in nats, without label smoothing
    predictions: Array  # (N,) int64, the most probable class
    probabilities: Array  # (N, classes)
    confusion: Array  # (classes, classes) int64: row = true class, column = predicted class


def evaluate(model: Layer, images: Array, labels: Array, *, batch_size: int = 256) -> Evaluation:
    """Measure a model. Nothing is changed, not even the running statistics.

    Parameters
    ----------
    model : Layer
        Maps images to logits (N, classes).
    images : (N,C,H,W) uint8, or float32 or float64
        As for `train_step`.
    labels : (N,) integers
    batch_size : int
        Images at a time; it bounds the memory.

    Raises
    ------
    TypeError, ValueError
        If there are no images, or images, labels and model do not fit together.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"evaluate: labels have shape {labels.shape}, expected ({len(images)},), one for each image"
        )
    loss, probabilities = softmax_cross_entropy(_logits("evaluate", model, images, batch_size), labels)
    predictions = probabilities.argmax(axis=1)
    accuracy = float(np.mean(predictions == labels))
    confusion = confusion_matrix(labels, predictions, probabilities.shape[1])
    return Evaluation(accuracy, loss, predictions, probabilities, confusion)


def predict(model: Layer, images: Array, *, batch_size: int = 256) -> Array:
    """The model's probabilities (N, classes) for images (N,C,H,W), as in `evaluate`."""
    return softmax(_logits("predict", model, images, batch_size))


def nearest_class_mean(model: Sequential, known: Split, images: Array, *, batch_size: int = 256) -> Array:
    """Classify without any learning: by the class whose mean is nearest, in the features of a network as it is.

    Parameters
    ----------
    model : Sequential that ends in a dense or pointwise head; the head is left out
    known : Split
        Images whose labels are known. Each class is the mean of the features of its images, each made of length 1.
    images : (N,C,H,W)
        What is to be classified.

    Returns
    -------
    (N,) int64, labels of `known`
    """
    body = model[: head_of(model)[0]]

    def features(x: Array) -> Array:
        flat = _outputs("nearest_class_mean", body, x, batch_size).reshape(len(x), -1)
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12))

    classes, of_known = np.unique(known.labels), features(known.images)
    means = np.stack([of_known[known.labels == c].mean(axis=0) for c in classes])
    distances = np.square(features(images)[:, None] - means).sum(axis=2)
    return np.asarray(classes[distances.argmin(axis=1)])


def _logits(where: str, model: Layer, images: Array, batch_size: int) -> Array:
    logits = _outputs(where, model, images, batch_size)
    check_ndim(where, "the model's output", logits, "N, classes")
    return logits


def _outputs(where: str, model: Layer, images: Array, batch_size: int) -> Array:
    """What the model gives for all images, batch by batch."""
    if batch_size < 1:
        raise ValueError(f"{where}: batch size {batch_size} is below 1")
    starts = range(0, max(len(images), 1), batch_size)  # no images: one empty batch, which gives (0, classes)
    dtype = dtype_of(model.parameters())
    return np.concatenate(
        [model(to_float(images[i : i + batch_size]).astype(dtype, copy=False)) for i in starts]
    )
