"""Dropout: switch off units at random while training, and scale the others up to keep the mean."""

import numpy as np

from npdsconv.shapes import Array, check_floats, check_plain, check_shape


def dropout(x: Array, mask: Array, p: float) -> Array:
    """``y = x · mask / (1 - p)``: "inverted" dropout, so that evaluation needs no scaling.

    Parameters
    ----------
    x : array of any shape, float32 or float64
    mask : bool array of the same shape, True where a unit is kept
    p : the probability with which a unit was dropped, 0 <= p < 1

    References
    ----------
    Srivastava et al., *Dropout*, JMLR 15, 2014.

    Examples
    --------
    >>> dropout(np.array([1.0, 2, 3]), np.array([True, False, True]), 0.5)
    array([2., 0., 6.])
    """
    return _apply("dropout", x, mask, p)


def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """``dx = dy · mask / (1 - p)``: the operator is its own transpose."""
    return _apply("dropout_backward", dy, mask, p)


def _apply(op: str, x: Array, mask: Array, p: float) -> Array:
    check_floats(op, x=x)
    check_plain(op, "mask", mask)
    check_shape(op, "mask", mask, x.shape, "the shape of x")
    if mask.dtype != np.bool_:
        raise TypeError(f"{op}: mask has dtype {mask.dtype}, must be bool")
    if not 0 <= p < 1:
        raise ValueError(f"{op}: p must be in [0, 1), got {p}")
    return x * mask * x.dtype.type(1 / (1 - p))
