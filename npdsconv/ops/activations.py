"""ReLU and ReLU6: cut to [0, ∞) and to [0, 6].

Both have kinks, where the derivative does not exist; we take 0 there, as PyTorch does.
"""

import numpy as np

from npdsconv.shapes import Array, check_choice, check_floats, check_shape

IMPLS = ("numpy", "numba")
# What each activation cuts its argument to; its derivative is 1 between the bounds and 0 elsewhere.
BOUNDS: dict[str | None, tuple[float, float]] = {
    None: (-np.inf, np.inf),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
}


def relu(x: Array, *, impl: str = "numba") -> Array:
    """``y = max(x, 0)``, for an array of any shape. A NaN stays a NaN.

    References
    ----------
    Nair and Hinton, *Rectified Linear Units Improve Restricted Boltzmann Machines*, ICML 2010.

    Examples
    --------
    >>> relu(np.array([-1.0, 0, 2]), impl="numpy")
    array([0., 0., 2.])
    """
    return _clamp("relu", x, np.inf, impl)


def relu_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where x > 0, else 0``."""
    return _clamp_backward("relu_backward", dy, x, np.inf, impl)


def relu6(x: Array, *, impl: str = "numba") -> Array:
    """``y = min(max(x, 0), 6)``: the ceiling keeps activations in the range of few-bit numbers.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861.
    """
    return _clamp("relu6", x, 6.0, impl)


def relu6_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where 0 < x < 6, else 0``."""
    return _clamp_backward("relu6_backward", dy, x, 6.0, impl)


def _clamp(op: str, x: Array, ceiling: float, impl: str) -> Array:
    check_choice(op, "impl", impl, IMPLS)
    check_floats(op, x=x)
    if impl == "numba":
        from npdsconv.kernels import elementwise

        return elementwise.clamp(x, ceiling)
    return np.clip(x, x.dtype.type(0), x.dtype.type(ceiling))


def _clamp_backward(op: str, dy: Array, x: Array, ceiling: float, impl: str) -> Array:
    check_choice(op, "impl", impl, IMPLS)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, x.shape, "the shape of x")
    if impl == "numba":
        from npdsconv.kernels import elementwise

        return elementwise.clamp_gradient(dy, x, ceiling)
    return dy * ((x > 0) & ((x < x.dtype.type(ceiling)) | (ceiling == np.inf)))
