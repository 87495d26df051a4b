"""Softmax and cross-entropy as one op: apart they overflow, together they are simple.

With z the logits, p = softmax(z) and t the target distribution, L = -Σ_k t_k log p_k, whose gradient is the
prettiest of the subject: dL/dz = p - t.
"""

import numpy as np

from npdsconv.shapes import Array, check_floats, check_ndim


def softmax_cross_entropy(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0
) -> tuple[float, Array]:
    """Mean cross-entropy of a batch, and the probabilities on the way.

    ``loss = -1/N Σ_n Σ_k t[n, k] log softmax(logits[n])[k]``, t = 1 - s + s/K at the label and s/K elsewhere.

    Parameters
    ----------
    logits : (N, K) float32 or float64
    labels : (N,) integers in 0 … K - 1
    label_smoothing : s, the share of the target spread evenly over all classes, 0 <= s < 1

    Returns
    -------
    loss : float, in nats
    probabilities : (N, K); backward takes them

    Raises
    ------
    TypeError
        Logits that are not float32 or float64, labels that are not integers.
    ValueError
        Shapes that do not fit, an empty batch, a label out of range.

    References
    ----------
    Szegedy et al., *Rethinking the Inception Architecture*, CVPR 2016 (label smoothing).

    Examples
    --------
    >>> loss, p = softmax_cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 6), p
    (1.386294, array([[0.25, 0.25, 0.25, 0.25]]))
    """
    targets = _targets("softmax_cross_entropy", "logits", logits, labels, label_smoothing)
    shifted = logits - logits.max(axis=1, keepdims=True)  # softmax does not see it, exp() does
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -(targets * log_p).sum(dtype=np.float64) / len(logits)
    return float(loss), np.exp(log_p)


def softmax_cross_entropy_backward(
    probabilities: Array, labels: Array, *, label_smoothing: float = 0.0
) -> Array:
    """``dlogits[n, k] = (p[n, k] - t[n, k]) / N``."""
    op = "softmax_cross_entropy_backward"
    targets = _targets(op, "probabilities", probabilities, labels, label_smoothing)
    return (probabilities - targets) / probabilities.dtype.type(len(labels))


def softmax(logits: Array) -> Array:
    """``softmax(z)[k] = exp(z[k]) / Σ_j exp(z[j])`` over the last axis."""
    check_floats("softmax", logits=logits)
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _targets(op: str, name: str, scores: Array, labels: Array, smoothing: float) -> Array:
    check_floats(op, **{name: scores})
    check_ndim(op, name, scores, "N, K")
    n, k = scores.shape
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: labels have dtype {labels.dtype}, must be integers")
    if labels.shape != (n,):
        raise ValueError(f"{op}: labels have shape {labels.shape}, expected ({n},) for {name} {scores.shape}")
    if n == 0:
        raise ValueError(f"{op}: the mean over an empty batch does not exist")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"{op}: labels lie in {labels.min()} … {labels.max()}, must be in 0 … {k - 1}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"{op}: label_smoothing must be in [0, 1), got {smoothing}")
    targets = np.full((n, k), smoothing / k, scores.dtype)
    targets[np.arange(n), labels] += 1 - smoothing
    return targets
