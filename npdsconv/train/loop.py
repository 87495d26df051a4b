"""The loop around the step: epochs, one per iteration."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from npdsconv.data import Augment, Split, batches, steps_per_epoch, to_float
from npdsconv.layers import Layer, Linear, Sequential
from npdsconv.models.transfer import head_of
from npdsconv.optim import Average, Optimizer, Schedule, constant
from npdsconv.shapes import Array
from npdsconv.train.evaluation import Evaluation, evaluate
from npdsconv.train.steps import Loss, check_optimizer, dtype_of, step_of


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
    loss: Loss | None = None,
    label_smoothing: float = 0.0,
    micro_batches: int = 1,
    before_update: Callable[[], object] | None = None,
    average: Average | None = None,
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
    loss, label_smoothing, micro_batches, before_update
        As of `train_step`.
    average : Average, optional
        Updated after each step.
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
        At the call: settings or data that cannot work, labels the model has no output for among them.

    Notes
    -----
    An exception, Ctrl-C included, goes straight to the caller. Ctrl-C may come in the middle of a step, so
    what is worth keeping is the end of the last whole epoch: save a checkpoint in the loop's body.

    Examples
    --------
    Stop when the held-out loss has not fallen for five epochs::

        stop = EarlyStopping(patience=5)
        for result in epochs(model, train, optimizer, epochs=50, validation=held):
            if stop(result.validation.loss):
                break
    """
    steps = steps_per_epoch(len(split), batch_size, drop_last=drop_last)
    if not 0 <= start_epoch <= epochs:
        raise ValueError(f"epochs: start_epoch {start_epoch} must lie in 0 … {epochs}, the number of epochs")
    if steps == 0:
        raise ValueError(f"epochs: {len(split)} images give no batch of {batch_size}")
    check_optimizer("epochs", model, optimizer)
    if loss is None:
        _check_labels(model, split)
    factor = schedule or constant()
    learn = step_of("epochs", model, optimizer, loss, label_smoothing, micro_batches, before_update)

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
        total, right, seen = 0.0, 0, 0
        began, dtype = time.perf_counter(), dtype_of(model.parameters())
        numbers = range(epoch * steps, (epoch + 1) * steps)
        for step, (x, labels) in zip(progress(numbers) if progress else numbers, stream(epoch), strict=True):
            where = f"epochs: epoch {epoch + 1}, step {step - numbers.start + 1} of {steps}"
            x = x.astype(dtype, copy=False)
            mean, correct = learn(x, labels, factor(step), where)
            total, right, seen = total + mean * len(x), right + correct, seen + len(x)
            if average:
                average.update()
        seconds = time.perf_counter() - began
        measured = None if validation is None else evaluate(model, validation.images, validation.labels)
        lr = optimizer.lr * factor(numbers[-1])
        return EpochResult(epoch + 1, numbers.stop, total / seen, right / seen, lr, seconds, measured)

    stream(start_epoch)  # raises at the call what it would raise in the first epoch
    if len(split) % batch_size == 1 and not drop_last and start_epoch < epochs:
        _check_batch_of_one(model, split, batch_size)
    return (run(epoch) for epoch in range(start_epoch, epochs))


def fit(model: Layer, split: Split, optimizer: Optimizer, **settings: Any) -> list[EpochResult]:
    """Run `epochs`, with the same arguments, to the end and return all its results."""
    return list(epochs(model, split, optimizer, **settings))


def _check_labels(model: Layer, split: Split) -> None:
    """Labels that no output answers for, where a dense head says how many there are: better known before an epoch."""
    try:
        head = head_of(model)[1] if isinstance(model, Sequential) else None
    except ValueError:  # another layer makes the logits
        return
    if not isinstance(head, Linear):  # after maps of classes, it depends on the picture
        return
    outputs, low, high = len(head.weight.value), split.labels.min(), split.labels.max()
    if not 0 <= low <= high < outputs:
        raise ValueError(
            f"epochs: labels are from {low} to {high}, and the model has {outputs} outputs, for 0 to {outputs - 1}"
        )


def _check_batch_of_one(model: Layer, split: Split, batch_size: int) -> None:
    """A last batch of one image may be too little for batch norm: better known now than at the end of an epoch."""

    def learn(images: int) -> ValueError | None:
        x = to_float(split.images[:images]).astype(dtype_of(model.parameters()), copy=False)
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
