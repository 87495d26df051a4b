"""Losses between two arrays of one shape: what a network says and what is wanted, number by number.

Each is the mean over all numbers, or their sum. Backward gives the gradient for the first array alone; `dy`, the
gradient for the loss, is 1 where the loss itself is what is made small.
"""

from typing import Literal

import numpy as np

from npdsconv.shapes import Array, check_choice, check_floats, check_shape

Total = Literal["mean", "sum"]


def mse_loss(y: Array, target: Array, *, reduction: Total = "mean") -> float:
    """Mean squared error: ``mean of (y - target)²``, over all numbers.

    Parameters
    ----------
    y, target : arrays of one shape, float32 or float64
    reduction : "mean" or "sum"

    Raises
    ------
    TypeError, ValueError
        Other dtypes or shapes, an unknown reduction, a mean over nothing.

    Examples
    --------
    >>> mse_loss(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    2.0
    """
    share = _share("mse_loss", y, target, reduction)
    return float(np.square(y - target).sum(dtype=np.float64)) * share


def mse_loss_backward(
    y: Array, target: Array, *, dy: float | Array = 1.0, reduction: Total = "mean"
) -> Array:
    """``2·(y - target)/n``."""
    share = _share("mse_loss_backward", y, target, reduction)
    return (y - target) * y.dtype.type(2 * share * float(dy))


def l1_loss(y: Array, target: Array, *, reduction: Total = "mean") -> float:
    """Mean absolute error: ``mean of |y - target|``, over all numbers. Arguments as of :func:`mse_loss`.

    Examples
    --------
    >>> l1_loss(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    1.0
    """
    share = _share("l1_loss", y, target, reduction)
    return float(np.abs(y - target).sum(dtype=np.float64)) * share


def l1_loss_backward(y: Array, target: Array, *, dy: float | Array = 1.0, reduction: Total = "mean") -> Array:
    """``sign(y - target)/n``, and 0 where they are equal."""
    share = _share("l1_loss_backward", y, target, reduction)
    return np.sign(y - target) * y.dtype.type(share * float(dy))


def bce_with_logits_loss(logits: Array, target: Array, *, reduction: Total = "mean") -> float:
    """Binary cross-entropy: for each number a yes or no, ``-t·log σ(z) - (1 - t)·log(1 - σ(z))``.

    Written as ``max(z, 0) - z·t + log(1 + exp(-|z|))``, which overflows nowhere.

    Parameters
    ----------
    logits, target : arrays of one shape, float32 or float64; targets in [0, 1]
    reduction : "mean" or "sum"

    Examples
    --------
    >>> round(bce_with_logits_loss(np.array([0.0, 800.0]), np.array([1.0, 1.0])), 6)
    0.346574
    """
    share = _share("bce_with_logits_loss", logits, target, reduction, "logits")
    losses = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
    return float(losses.sum(dtype=np.float64)) * share


def bce_with_logits_loss_backward(
    logits: Array, target: Array, *, dy: float | Array = 1.0, reduction: Total = "mean"
) -> Array:
    """``(σ(z) - t)/n``."""
    share = _share("bce_with_logits_loss_backward", logits, target, reduction, "logits")
    e = np.exp(-np.abs(logits))
    probability = np.where(logits >= 0, 1, e) / (1 + e)
    return (probability - target) * logits.dtype.type(share * float(dy))


def dice_loss(probabilities: Array, target: Array, *, smooth: float = 1.0) -> float:
    """One minus the overlap of two masks, ``1 - (2·Σ p·t + s)/(Σ p + Σ t + s)``: the mean over the batch.

    Parameters
    ----------
    probabilities, target : (N, ...) arrays of one shape, float32 or float64, in [0, 1]; the sums are over all but N
    smooth : s, above 0: keeps empty masks apart from a division by zero

    References
    ----------
    Milletari, Navab, Ahmadi, *V-Net*, arXiv:1606.04797 (there with squares in the denominator).

    Examples
    --------
    >>> dice_loss(np.array([[1.0, 0, 0, 1]]), np.array([[1.0, 1, 0, 0]]))
    0.4
    """
    both, either = _overlap("dice_loss", probabilities, target, smooth)
    return 1 - float(np.mean((2 * both + smooth) / (either + smooth)))


def dice_loss_backward(
    probabilities: Array, target: Array, *, dy: float | Array = 1.0, smooth: float = 1.0
) -> Array:
    """By the rule for quotients: ``(overlap - 2·t)/(Σ p + Σ t + s)/N``, where overlap is the fraction above."""
    both, either = _overlap("dice_loss_backward", probabilities, target, smooth)
    below = (either + smooth).reshape(-1, *(1,) * (probabilities.ndim - 1))
    overlap = (2 * both + smooth).reshape(below.shape) / below
    gradient = (overlap - 2 * target) / below * (float(dy) / len(probabilities))
    return gradient.astype(probabilities.dtype)


def _share(op: str, y: Array, target: Array, reduction: str, name: str = "y") -> float:
    """What each number counts, if the arguments fit together."""
    check_floats(op, **{name: y}, target=target)
    check_choice(op, "reduction", reduction, ("mean", "sum"))
    check_shape(op, "target", target, y.shape, f"that of {name}")
    if reduction == "sum":
        return 1.0
    if y.size == 0:
        raise ValueError(f"{op}: the mean over an empty batch does not exist")
    return 1 / y.size


def _overlap(op: str, probabilities: Array, target: Array, smooth: float) -> tuple[Array, Array]:
    """Σ p·t and Σ p + Σ t of each image, in float64."""
    _share(op, probabilities, target, "mean", "probabilities")
    if not 0 < smooth < np.inf:
        raise ValueError(f"{op}: smooth must be above 0 and finite, got {smooth}")
    p, t = (array.reshape(len(array), -1).astype(np.float64) for array in (probabilities, target))
    return (p * t).sum(axis=1), p.sum(axis=1) + t.sum(axis=1)
