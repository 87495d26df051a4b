"""Distillation: a small network learns what a large one believes, also about the classes that are wrong."""

import numpy as np

from npdsconv.ops.losses.softmax import log_of_softmax
from npdsconv.shapes import Array, check_floats, check_ndim, check_shape


def distillation_loss(logits: Array, teacher: Array, *, temperature: float = 4.0) -> float:
    """``T²·Σ_k q_k·(log q_k - log p_k)``, with q = softmax(teacher/T), p = softmax(logits/T): the mean over the batch.

    The factor T² keeps gradients as large as those of cross-entropy, whatever the temperature.

    Parameters
    ----------
    logits, teacher : (N, K) float32 or float64: what the learner and what the teacher says
    temperature : T, above 0; the higher, the more the teacher's doubts count

    References
    ----------
    Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

    Examples
    --------
    >>> z = np.array([[1.0, 2.0, 3.0]])
    >>> distillation_loss(z + 5, z)
    0.0
    """
    log_p, log_q = _both("distillation_loss", logits, teacher, temperature)
    terms = (np.exp(log_q) * (log_q - log_p)).sum(axis=1, dtype=np.float64)
    return abs(float(temperature**2 * terms.mean()))  # rounding may leave -0.0


def distillation_loss_backward(
    logits: Array, teacher: Array, *, dy: float | Array = 1.0, temperature: float = 4.0
) -> Array:
    """``T·(p - q)/N``: the gradient for the learner; the teacher has none."""
    log_p, log_q = _both("distillation_loss_backward", logits, teacher, temperature)
    return (np.exp(log_p) - np.exp(log_q)) * logits.dtype.type(temperature * float(dy) / len(logits))


def _both(op: str, logits: Array, teacher: Array, temperature: float) -> tuple[Array, Array]:
    """log p and log q."""
    check_floats(op, logits=logits, teacher=teacher)
    check_ndim(op, "logits", logits, "N, K")
    check_shape(op, "teacher", teacher, logits.shape, "that of logits")
    if not 0 < temperature < np.inf:
        raise ValueError(f"{op}: temperature must be above 0 and finite, got {temperature}")
    if not len(logits):
        raise ValueError(f"{op}: the mean over an empty batch does not exist")
    scale = logits.dtype.type(1 / temperature)
    return log_of_softmax(logits * scale, axis=1), log_of_softmax(teacher * scale, axis=1)
