"""The triplet loss: of three pictures, two of one person must lie closer together than two of different ones."""

import numpy as np

from npdsconv.shapes import Array, check_floats, check_ndim, check_shape


def triplet_loss(anchor: Array, positive: Array, negative: Array, *, margin: float = 0.2) -> float:
    """``mean of max(0, ‖a - p‖² - ‖a - n‖² + margin)`` over the batch.

    Parameters
    ----------
    anchor, positive, negative : (N, D) float32 or float64, usually of length 1 each
    margin : above 0; how much closer is close enough

    References
    ----------
    Schroff, Kalenichenko, Philbin, *FaceNet*, arXiv:1503.03832.

    Examples
    --------
    >>> a, p, n = np.array([[1.0, 0]]), np.array([[0.0, 1]]), np.array([[-1.0, 0]])
    >>> triplet_loss(a, p, n), triplet_loss(a, n, p)
    (0.0, 2.2)
    """
    return float(np.maximum(_excess("triplet_loss", anchor, positive, negative, margin), 0).mean())


def triplet_loss_backward(
    anchor: Array, positive: Array, negative: Array, *, dy: float | Array = 1.0, margin: float = 0.2
) -> tuple[Array, Array, Array]:
    """``da = 2·(n - p)/N``, ``dp = 2·(p - a)/N``, ``dn = 2·(a - n)/N`` where the triplet still counts, else 0."""
    excess = _excess("triplet_loss_backward", anchor, positive, negative, margin)
    counts = (excess > 0).astype(anchor.dtype)[:, None] * anchor.dtype.type(2 * float(dy) / len(anchor))
    return (negative - positive) * counts, (positive - anchor) * counts, (anchor - negative) * counts


def _excess(op: str, anchor: Array, positive: Array, negative: Array, margin: float) -> Array:
    """(N,): how far each triplet is from what is wanted; below 0 it is there."""
    check_floats(op, anchor=anchor, positive=positive, negative=negative)
    check_ndim(op, "anchor", anchor, "N, D")
    check_shape(op, "positive", positive, anchor.shape, "that of anchor")
    check_shape(op, "negative", negative, anchor.shape, "that of anchor")
    if not 0 < margin < np.inf:
        raise ValueError(f"{op}: margin must be above 0 and finite, got {margin}")
    if not len(anchor):
        raise ValueError(f"{op}: the mean over an empty batch does not exist")
    near, far = (np.square(anchor - other).sum(axis=1) for other in (positive, negative))
    return np.asarray(near - far + anchor.dtype.type(margin))
