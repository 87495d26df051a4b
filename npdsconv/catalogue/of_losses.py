"""The rows of the losses, and of the functions that they are made of."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdsconv import ops
from npdsconv.catalogue.rows import ANY, SAME, SIZE, Example, OpRow, normal
from npdsconv.shapes import Array

# ---- examples ---------------------------------------------------------------------------------------------------


def _labelled(scores: str, **smoothed: float) -> tuple[Example, ...]:
    """One label an image, and one a pixel; of `scores`, as the op calls them."""
    rng = np.random.default_rng(11)
    few = {**normal(**{scores: (6, 7)}), "labels": rng.integers(0, 7, 6)}
    dense = {**normal(**{scores: (2, 4, 5, 3)}), "labels": rng.integers(0, 4, (2, 5, 3))}
    dense["weight"] = np.array([0.5, 2, 1, 0.25])
    return (
        Example("plain", few),
        Example("dense", dense, {**smoothed, "ignore_index": 2}),
        Example("sum", dense, {**smoothed, "reduction": "sum"}),
        Example("each", dense, {**smoothed, "reduction": "none", "ignore_index": 2}),
        *(Example("smoothed", few, smoothed) for _ in smoothed),
    )


def _pair() -> tuple[Example, ...]:
    arrays = normal(y=(5, 3, 4), target=(5, 3, 4))
    return Example("", arrays), Example("sum", arrays, {"reduction": "sum"})


def _masks(name: str) -> tuple[Example, ...]:
    """Yes or no for each pixel, and how sure a network is of it."""
    arrays = normal(**{name: (5, 3, 4), "target": (5, 3, 4)})
    masks = {name: abs(arrays[name]) % 1, "target": (arrays["target"] > 0).astype(np.float64)}
    if name == "logits":
        return Example("", arrays | {"target": masks["target"]}), Example("sum", arrays, {"reduction": "sum"})
    return Example("", masks), Example("smoother", masks, {"smooth": 7.5})


def _teacher() -> tuple[Example, ...]:
    arrays = normal(logits=(5, 4), teacher=(5, 4))
    return Example("", arrays), Example("cold", arrays, {"temperature": 0.7})


def _triplet() -> tuple[Example, ...]:
    arrays = normal(anchor=(5, 3), positive=(5, 3), negative=(5, 3))
    return (Example("", arrays, {"margin": 1.5}),)


def _softmax() -> tuple[Example, ...]:
    return Example("", normal(logits=SIZE)), Example("channels", normal(logits=SIZE), {"axis": 1})


# ---- their gradients, from dy -------------------------------------------------------------------------------------


def _of_first(backward: Callable[..., Array]) -> Callable[..., Any]:
    """The backward of a loss of which the first array alone has a gradient: the others say what is wanted."""
    return lambda dy, y, *wanted, **how: (backward(y, *wanted, dy=dy, **how), *(None for _ in wanted))


def _cross_entropy_backward(logits: Array, *labels: Array, **how: Any) -> Array:
    forward = {name: value for name, value in how.items() if name != "dy"}
    _, probabilities = ops.softmax_cross_entropy(logits, *labels, **forward)
    return ops.softmax_cross_entropy_backward(probabilities, *labels, **how)


# ---- the rows -----------------------------------------------------------------------------------------------------


def _between(
    forward: Callable[..., float], backward: Callable[..., Array], examples: tuple[Example, ...], about: str
) -> OpRow:
    """The row of a loss between two arrays of one shape."""
    takes, gives = "two arrays of one shape", "one number"
    return OpRow(forward, backward, None, takes, gives, examples, about, pull=_of_first(backward))


LOSSES: tuple[OpRow, ...] = (
    OpRow(
        ops.softmax_cross_entropy,
        ops.softmax_cross_entropy_backward,
        None,
        "logits $(N,K,\\dots)$, labels $(N,\\dots)$, weights $(K)$",
        "one number, probabilities $(N,K,\\dots)$",
        _labelled("logits", label_smoothing=0.1),
        about="with label smoothing, class weights, labels to ignore, one label a pixel",
        pull=_of_first(_cross_entropy_backward),
    ),
    OpRow(
        ops.nll_loss,
        ops.nll_loss_backward,
        None,
        "$\\log p\\; (N,K,\\dots)$, labels $(N,\\dots)$, weights $(K)$",
        "one number",
        _labelled("log_probabilities"),
        about="negative log-likelihood, the same without smoothing",
        pull=_of_first(ops.nll_loss_backward),
    ),
    _between(ops.mse_loss, ops.mse_loss_backward, _pair(), "squared error"),
    _between(ops.l1_loss, ops.l1_loss_backward, _pair(), "absolute error"),
    _between(
        ops.bce_with_logits_loss, ops.bce_with_logits_loss_backward, _masks("logits"), "binary cross-entropy"
    ),
    _between(ops.dice_loss, ops.dice_loss_backward, _masks("probabilities"), "overlap of masks"),
    OpRow(
        ops.triplet_loss,
        ops.triplet_loss_backward,
        None,
        "three arrays $(N, D)$",
        "one number",
        _triplet(),
        about="nearer to one's own kind than to others",
        pull=lambda dy, *arrays, **how: ops.triplet_loss_backward(*arrays, dy=dy, **how),
    ),
    OpRow(
        ops.distillation_loss,
        ops.distillation_loss_backward,
        None,
        "two arrays $(N, K)$",
        "one number",
        _teacher(),
        about="to believe what another network believes",
        pull=_of_first(ops.distillation_loss_backward),
    ),
    OpRow(ops.softmax, ops.softmax_backward, None, ANY, SAME, _softmax()),
    OpRow(ops.log_softmax, ops.log_softmax_backward, None, ANY, SAME, _softmax()),
)
