"""One step of learning: a loss, its gradient, and what is checked before."""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from npdsconv.data import to_float
from npdsconv.layers import Layer, Parameter, pullback
from npdsconv.ops.losses import softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.optim import Optimizer
from npdsconv.shapes import Array
from npdsconv.text import few

Loss = Callable[[Array, Array], tuple[float, Array]]
"""(output, labels) -> (the loss of the batch, its gradient for the output): what a step makes small."""


def cross_entropy(
    *, label_smoothing: float = 0.0, weight: Array | None = None, ignore_index: int | None = None
) -> Loss:
    """Softmax cross-entropy as a `Loss`; arguments as of `softmax_cross_entropy`.

    Any other loss is a function of the same form::

        def squared(output, labels):
            target = np.eye(10, dtype=output.dtype)[labels]
            return mse_loss(output, target), mse_loss_backward(output, target)
    """
    how: dict[str, Any] = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}

    def loss(logits: Array, labels: Array) -> tuple[float, Array]:
        weights = None if weight is None else weight.astype(logits.dtype, copy=False)
        value, probabilities = softmax_cross_entropy(logits, labels, weights, **how)
        return value, softmax_cross_entropy_backward(probabilities, labels, weights, **how)

    return loss


def train_step(
    model: Layer,
    x: Array,
    labels: Array,
    optimizer: Optimizer,
    *,
    loss: Loss | None = None,
    label_smoothing: float = 0.0,
    lr_factor: float = 1.0,
    micro_batches: int = 1,
    before_update: Callable[[], object] | None = None,
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
    loss : Loss, optional
        ``cross_entropy()`` by default, where `labels` are (N,) integers. Another loss may take other labels.
    label_smoothing : float
        Share of the target spread evenly over all classes; short for ``loss=cross_entropy(label_smoothing=...)``.
    lr_factor : float
        Multiplies the optimiser's learning rate, for this step: what a schedule returns.
    micro_batches : int
        Parts in which the batch goes through the model, to save memory; their gradients are added up, and without batch
        norm the step is the same.
    before_update : function without arguments, optional
        Called when the gradients are complete, before the optimiser reads them: to clip them, or to add a penalty.

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
    if labels.shape[:1] != (len(x),) or (loss is None and labels.ndim != 1):
        raise ValueError(
            f"train_step: labels have shape {labels.shape}, expected ({len(x)},), one for each image"
        )
    dtype = check_optimizer("train_step", model, optimizer)
    x = to_float(x).astype(dtype, copy=False)
    step = step_of("train_step", model, optimizer, loss, label_smoothing, micro_batches, before_update)
    return step(x, labels, lr_factor, "train_step")[0]


def check_optimizer(where: str, model: Layer, optimizer: Optimizer) -> np.dtype[Any]:
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
    return dtype_of(own)


class Step(NamedTuple):
    """One step of learning, on batches that are checked already."""

    model: Layer
    optimizer: Optimizer
    loss: Loss
    micro_batches: int
    before_update: Callable[[], object] | None

    # A run that diverges ends with one clear error, not with a flood of NumPy's warnings.
    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, x: Array, labels: Array, lr_factor: float, where: str) -> tuple[float, int]:
        """The mean loss, and how many images were classified correctly, both before the update."""
        self.optimizer.zero_grad()
        loss, correct, n = 0.0, 0, len(x)
        for first, last in _parts(n, self.micro_batches):
            output, back = self.model.forward(x[first:last], train=True)
            value, gradient = self.loss(output, labels[first:last])
            loss += value * ((last - first) / n)
            if not math.isfinite(loss):
                lr = self.optimizer.lr * lr_factor
                raise FloatingPointError(
                    f"{where}: the loss is {loss} at learning rate {lr:g}: use a lower one"
                )
            if last - first < n:
                gradient = gradient * gradient.dtype.type((last - first) / n)
            correct += _right(output, labels[first:last])
            pullback(back)(gradient, dx=False)  # nobody learns from the gradient for the images
        if self.before_update:
            self.before_update()
        self.optimizer.step(lr_factor)
        return loss, correct


def step_of(
    where: str,
    model: Layer,
    optimizer: Optimizer,
    loss: Loss | None,
    label_smoothing: float,
    micro_batches: int,
    before_update: Callable[[], object] | None,
) -> Step:
    """The step that is asked for, if its settings fit each other."""
    if micro_batches < 1:
        raise ValueError(f"{where}: micro_batches must be at least 1, got {micro_batches}")
    if loss is not None and label_smoothing:
        raise ValueError(f"{where}: give loss or label_smoothing: label_smoothing is of cross_entropy")
    loss = loss or cross_entropy(label_smoothing=label_smoothing)
    return Step(model, optimizer, loss, micro_batches, before_update)


def _parts(n: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` parts of n images begins and ends; no part is empty, unless there are no images."""
    count = max(1, min(count, n))
    return list(pairwise(n * k // count for k in range(count + 1)))


def _right(output: Array, labels: Array) -> int:
    """How many labels are that of the largest output; 0 where labels are of another kind."""
    if output.ndim != 2 or labels.shape != output.shape[:1] or labels.dtype.kind not in "iu":
        return 0
    return int(np.count_nonzero(output.argmax(axis=1) == labels))


def dtype_of(parameters: Iterable[Parameter]) -> np.dtype[Any]:
    return next((parameter.value.dtype for parameter in parameters), np.dtype(np.float32))
