"""Softmax and its logarithm: numbers of any size as probabilities."""

import numpy as np

from npdsconv.shapes import Array, check_floats, check_shape


def log_of_softmax(logits: Array, axis: int) -> Array:
    """The formula of :func:`log_softmax`. Softmax does not see what is taken off all logits, exp() does.

    A logit of -inf is a probability of 0. Where no probabilities exist, at +inf or with -inf alone, all are NaN, and
    NumPy need not warn of that.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = logits - logits.max(axis=axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def softmax(logits: Array, *, axis: int = -1) -> Array:
    """``y[k] = exp(x[k]) / Σ_j exp(x[j])`` along an axis, without overflow. A logit of -inf gets 0.

    Parameters
    ----------
    logits : float32 or float64, of any shape but a single number
    axis : int, the axis along which the results add up to 1

    Examples
    --------
    >>> softmax(np.log(np.array([1.0, 3, 4])))
    array([0.125, 0.375, 0.5  ])
    """
    _check("softmax", logits, axis)
    return _softmax(logits, axis)


def softmax_backward(dy: Array, logits: Array, *, axis: int = -1) -> Array:
    """``dx[k] = y[k] · (dy[k] - Σ_j dy[j]·y[j])``, with y = softmax(x)."""
    _check_backward("softmax_backward", dy, logits, axis)
    y = _softmax(logits, axis)
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """``y[k] = x[k] - log Σ_j exp(x[j])`` along an axis: the logarithm of :func:`softmax`, exact far out too.

    Examples
    --------
    >>> log_softmax(np.array([0.0, -1000]))
    array([    0., -1000.])
    """
    _check("log_softmax", logits, axis)
    return log_of_softmax(logits, axis)


def log_softmax_backward(dy: Array, logits: Array, *, axis: int = -1) -> Array:
    """``dx[k] = dy[k] - softmax(x)[k] · Σ_j dy[j]``."""
    _check_backward("log_softmax_backward", dy, logits, axis)
    return dy - _softmax(logits, axis) * dy.sum(axis=axis, keepdims=True)


def _softmax(logits: Array, axis: int) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(logits - logits.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)


def _check(op: str, logits: Array, axis: int) -> None:
    check_floats(op, logits=logits)
    if not -logits.ndim <= axis < logits.ndim or logits.shape[axis] < 1:
        raise ValueError(
            f"{op}: logits have no axis {axis} with at least one number, got shape {logits.shape}"
        )


def _check_backward(op: str, dy: Array, logits: Array, axis: int) -> None:
    _check(op, logits, axis)
    check_floats(op, dy=dy, logits=logits)
    check_shape(op, "dy", dy, logits.shape, "the shape of logits")
