"""What is done to gradients between backward and the step: they are clipped, or a penalty is added."""

import math
from collections.abc import Iterable

import numpy as np

from npdsconv.layers import Parameter
from npdsconv.optim._checks import check_real, require
from npdsconv.optim.groups import unique_parameters


def clip_gradients(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients together, in place, so that their common length is at most ``max_norm``.

    Returns
    -------
    float
        The length before clipping, ``√Σ g²`` over all numbers of all parameters.
    """
    check_real("clip_gradients", max_norm=max_norm)
    require("clip_gradients", "max_norm", max_norm, max_norm > 0, "> 0")
    parameters = unique_parameters("clip_gradients", parameters)
    norm = math.sqrt(sum(float(np.sum(np.square(p.grad), dtype=np.float64)) for p in parameters))
    if norm > max_norm:
        for parameter in parameters:
            np.multiply(parameter.grad, max_norm / norm, out=parameter.grad)
    return norm


def add_l1(parameters: Iterable[Parameter], factor: float) -> float:
    """Add the gradient of ``factor·Σ|w|`` to what is there, and return that penalty: it drives weights to zero.

    Called with some of the parameters, such as all pointwise ones; between backward and the step: ``before_update``.

    Parameters
    ----------
    factor : float, at least 0
    """
    check_real("add_l1", factor=factor)
    require("add_l1", "factor", factor, factor >= 0, ">= 0")
    total = 0.0
    for parameter in unique_parameters("add_l1", parameters):
        parameter.grad += parameter.grad.dtype.type(factor) * np.sign(parameter.value)
        total += float(np.abs(parameter.value).sum(dtype=np.float64))
    return factor * total
