"""Training: one step, the loop around it, and measuring what was learned.

    optimizer = Adam(model.parameters(), lr=3e-3)
    for result in epochs(model, dataset.train, optimizer, epochs=5, batch_size=128, seed=0):
        print(result.epoch, result.train_loss, result.train_accuracy)
    print(evaluate(model, dataset.test.images, dataset.test.labels).accuracy)

`epochs` is a generator. Stopping early, plotting, logging, saving: all of it is ordinary code in the body
of the caller's loop, so there are no callbacks. Between two epochs nothing is held but the arguments.

Order, augmentation and learning rate are functions of (seed, epoch, step), and all other state is in the
model and the optimiser. So a run resumes, to the last bit, from a checkpoint and the number of its epoch.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from npdsconv.data import Augment, Split, batches, steps_per_epoch, to_float
from npdsconv.layers import Layer, Parameter, pullback
from npdsconv.metrics import confusion_matrix
from npdsconv.ops.losses import softmax, softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.optim import Optimizer, Schedule, constant
from npdsconv.shapes import Array, check_ndim
from npdsconv.text import few

__all__ = [
    "EpochResult",
    "Evaluation",
    "epochs",
    "evaluate",
    "fit",
    "predict",
    "train_step",
]


def train_step(
    model: Layer,
    x: Array,
    labels: Array,
    optimizer: Optimizer,
    *,
    label_smoothing: float = 0.0,
    lr_factor: float = 1.0,
) -> float:
    """Learn from one batch.

    Everything that backward needs lives in this call and is freed when it returns. In a bare loop the
    closures of one batch would stay alive through the forward pass of the next.

    Parameters
    ----------
    model : Layer
        Maps images to logits (N, classes).
    x : (N,C,H,W) uint8, or float32 or float64
        uint8 is scaled to [0, 1]; all is cast to the model's dtype.
    labels : (N,) integers
    optimizer : SGD, Adam or AdamW
        Moves the parameters it was given.
    label_smoothing : float
        Share of the target spread evenly over all classes.
    lr_factor : float
        Multiplies the optimiser's learning rate, for this step: what a schedule returns.

    Returns
    -------
    float
        The mean loss over the batch, before the step.

    Raises
    ------
    FloatingPointError
        If the loss is not finite. The parameters have not been moved.
    TypeError, ValueError
        If images and labels do not fit together or do not fit the model; if the optimiser moves parameters that are
        not the model's.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(
            f"train_step: labels have shape {labels.shape}, expected ({len(x)},), one for each image"
        )
    dtype = _check_optimizer("train_step", model, optimizer)
    x = to_float(x).astype(dtype, copy=False)
    return _step(model, x, labels, optimizer, label_smoothing, lr_factor, "train_step")[0]


def _check_optimizer(where: str, model: Layer, optimizer: Optimizer) -> np.dtype[Any]:
    """Refuse an optimiser that was made before a layer was replaced, or for another model; the model's dtype.

    It would move nothing, and say nothing.
    """
    own = {p: name for name, p in model.named_parameters()}
    if strangers := sum(p not in own for p in optimizer.parameters):
        theirs = set(optimizer.parameters)
        missed = [name for p, name in own.items() if p not in theirs]
        raise ValueError(
            f"{where}: {strangers} of the optimiser's {len(theirs)} parameters are not the model's, and it does not "
            f"move {few(missed)}: after a layer was replaced make the optimiser anew, from model.parameters()"
        )
    return _dtype(own)


def _check_batch_of_one(model: Layer, split: Split, batch_size: int) -> None:
    """A last batch of one image may be too little for batch norm: better known now than at the end of an epoch."""

    def learn(images: int) -> ValueError | None:
        x = to_float(split.images[:images]).astype(_dtype(model.parameters()), copy=False)
        try:
            model.copy().forward(x, train=True)
        except ValueError as error:
            return error
        return None

    if (error := learn(1)) and not learn(2):
        raise ValueError(
            f"epochs: {len(split)} images in batches of {batch_size} leave a last batch of one, and the model cannot "
            f"learn from one image ({error}): leave that batch out with drop_last=True, or take another batch size"
        )


# A run that diverges ends with one clear error, not with a flood of NumPy's warnings.
@np.errstate(over="ignore", invalid="ignore")
def _step(
    model: Layer,
    x: Array,
    labels: Array,
    optimizer: Optimizer,
    label_smoothing: float,
    lr_factor: float,
    where: str,
) -> tuple[float, int]:
    """One step: the mean loss, and how many images were classified correctly, both before the update."""
    optimizer.zero_grad()
    logits, back = model.forward(x, train=True)
    loss, probabilities = softmax_cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if not math.isfinite(loss):
        lr = optimizer.lr * lr_factor
        raise FloatingPointError(f"{where}: the loss is {loss} at learning rate {lr:g}: use a lower one")
    dlogits = softmax_cross_entropy_backward(probabilities, labels, label_smoothing=label_smoothing)
    pullback(back)(dlogits, dx=False)  # nobody learns from the gradient for the images
    optimizer.step(lr_factor)
    return loss, int(np.count_nonzero(probabilities.argmax(axis=1) == labels))


class Evaluation(NamedTuple):
    """What `evaluate` measures."""

    accuracy: float  # share of images classified correctly
    loss: float  # mean cross-entropy in nats, without label smoothing
    predictions: Array  # (N,) int64, the most probable class
    probabilities: Array  # (N, classes)
    confusion: Array  # (classes, classes) int64: row = true class, column = predicted class


class EpochResult(NamedTuple):
    """What `epochs` yields after each epoch."""

    epoch: int  # epochs finished so far: 1 after the first. It is the `start_epoch` of a resumed run
    steps: int  # optimiser steps so far, since epoch 0
    train_loss: float  # mean over the epoch's images, each measured just before the step that learned from it
    train_accuracy: float  # likewise
    lr: float  # learning rate of the last step
    seconds: float  # time spent on training, without validation
    validation: Evaluation | None


def epochs(
    model: Layer,
    split: Split,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int = 128,
    seed: int = 0,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    label_smoothing: float = 0.0,
    drop_last: bool = False,
    validation: Split | None = None,
    start_epoch: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
) -> Generator[EpochResult, None, None]:
    """Train, one epoch per iteration.

    Parameters
    ----------
    model : Layer
        Maps images to logits (N, classes).
    split : Split
        Images and labels to learn from: ``dataset.train``, or ``Split(images, labels)``.
    optimizer : SGD, Adam or AdamW
    epochs : int
        Epochs in the whole run, those before `start_epoch` included.
    batch_size, seed, augment, drop_last
        As in `npdsconv.data.batches`.
    schedule : function step -> factor, optional
        Multiplies ``optimizer.lr``. Steps are counted from 0 over the whole run; see `steps_per_epoch`.
    label_smoothing : float
        Share of the target spread evenly over all classes.
    validation : Split, optional
        Evaluated after each epoch.
    start_epoch : int
        Epochs that are already done. With model and optimiser restored to the end of that epoch and the other
        arguments unchanged, the run continues as if it had never stopped, to the last bit.
    progress : callable, optional
        Wrapped around the range of step numbers of each epoch: ``progress=tqdm`` draws a bar.

    Yields
    ------
    EpochResult

    Raises
    ------
    FloatingPointError
        If the loss is not finite; it says where. The parameters are those after the last good step.
    TypeError, ValueError
        At the call: settings or data that cannot work. Within an epoch: labels the model has no output for.

    Notes
    -----
    An exception, Ctrl-C included, goes straight to the caller. Ctrl-C may come in the middle of a step, so
    what is worth keeping is the end of the last whole epoch: save a checkpoint in the loop's body.

    Examples
    --------
    Stop when the validation loss has risen::

        best = float("inf")
        for result in epochs(model, train, optimizer, epochs=50, validation=held):
            if result.validation.loss > best:
                break
            best = result.validation.loss
    """
    steps = steps_per_epoch(len(split), batch_size, drop_last=drop_last)
    if not 0 <= start_epoch <= epochs:
        raise ValueError(f"epochs: start_epoch {start_epoch} must lie in 0 … {epochs}, the number of epochs")
    if steps == 0:
        raise ValueError(f"epochs: {len(split)} images give no batch of {batch_size}")
    _check_optimizer("epochs", model, optimizer)
    factor = schedule or constant()

    def stream(epoch: int) -> Iterator[tuple[Array, Array]]:
        return batches(
            split.images,
            split.labels,
            batch_size,
            seed=seed,
            epoch=epoch,
            augment=augment,
            drop_last=drop_last,
        )

    def run(epoch: int) -> EpochResult:
        loss, right, seen = 0.0, 0, 0
        began, dtype = time.perf_counter(), _dtype(model.parameters())
        numbers = range(epoch * steps, (epoch + 1) * steps)
        for step, (x, labels) in zip(progress(numbers) if progress else numbers, stream(epoch), strict=True):
            where = f"epochs: epoch {epoch + 1}, step {step - numbers.start + 1} of {steps}"
            x = x.astype(dtype, copy=False)
            mean, correct = _step(model, x, labels, optimizer, label_smoothing, factor(step), where)
            loss, right, seen = loss + mean * len(x), right + correct, seen + len(x)
        seconds = time.perf_counter() - began
        measured = None if validation is None else evaluate(model, validation.images, validation.labels)
        lr = optimizer.lr * factor(numbers[-1])
        return EpochResult(epoch + 1, numbers.stop, loss / seen, right / seen, lr, seconds, measured)

    stream(start_epoch)  # raises at the call what it would raise in the first epoch
    if len(split) % batch_size == 1 and not drop_last and start_epoch < epochs:
        _check_batch_of_one(model, split, batch_size)
    return (run(epoch) for epoch in range(start_epoch, epochs))


def fit(model: Layer, split: Split, optimizer: Optimizer, **settings: Any) -> list[EpochResult]:
    """Run `epochs`, with the same arguments, to the end and return all its results."""
    return list(epochs(model, split, optimizer, **settings))


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


def _logits(where: str, model: Layer, images: Array, batch_size: int) -> Array:
    if batch_size < 1:
        raise ValueError(f"{where}: batch size {batch_size} is below 1")
    starts = range(0, max(len(images), 1), batch_size)  # no images: one empty batch, which gives (0, classes)
    dtype = _dtype(model.parameters())
    logits = [model(to_float(images[i : i + batch_size]).astype(dtype, copy=False)) for i in starts]
    check_ndim(where, "the model's output", logits[0], "N, classes")
    return np.concatenate(logits)


def _dtype(parameters: Iterable[Parameter]) -> np.dtype[Any]:
    return next((parameter.value.dtype for parameter in parameters), np.dtype(np.float32))
