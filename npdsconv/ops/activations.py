"""ReLU and ReLU6: cut to [0, ∞) and to [0, 6].

Both have kinks, where the derivative does not exist; we take 0 there, as PyTorch does.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, check_choice, check_floats, check_shape

Bounds = tuple[float, float]

# What an activation cuts its argument to; its derivative is 1 between the bounds and 0 elsewhere. Those named here, and
# no others, ride along in kernels that have just computed their argument.
BOUNDS: dict[str | None, Bounds] = {
    None: (-np.inf, np.inf),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
}


def check_cut(op: str, activation: str | None, name: str = "activation") -> Bounds:
    """What `op` cuts its result to, if the activation it was given is one that can ride along, or None."""
    if activation is not None:
        check_choice(op, name, activation, [known for known in BOUNDS if known])
    return BOUNDS[activation]


class CutTier(NamedTuple):
    """One implementation of cutting to [0, ceiling]."""

    forward: Callable[[Array, float], Array]  # (x, ceiling) -> y
    backward: Callable[[Array, Array, float], Array]  # (dy, x, ceiling) -> dx


# ---- NumPy ----------------------------------------------------------------------------------------------------


def _numpy(x: Array, ceiling: float) -> Array:
    return np.clip(x, x.dtype.type(0), x.dtype.type(ceiling))


def _numpy_backward(dy: Array, x: Array, ceiling: float) -> Array:
    return dy * ((x > 0) & ((x < x.dtype.type(ceiling)) | (ceiling == np.inf)))


# ---- compiled -------------------------------------------------------------------------------------------------


def _loops(x: Array, ceiling: float) -> Array:
    from npdsconv.kernels.loops import elementwise

    return elementwise.clamp(x, ceiling)


def _loops_backward(dy: Array, x: Array, ceiling: float) -> Array:
    from npdsconv.kernels.loops import elementwise

    return elementwise.clamp_gradient(dy, x, ceiling)


def _numba(x: Array, ceiling: float) -> Array:
    from npdsconv.kernels import elementwise

    return elementwise.clamp(x, ceiling)


def _numba_backward(dy: Array, x: Array, ceiling: float) -> Array:
    from npdsconv.kernels import elementwise

    return elementwise.clamp_gradient(dy, x, ceiling)


# ---- the public pairs -----------------------------------------------------------------------------------------

_NUMPY = CutTier(_numpy, _numpy_backward)
IMPLS = {
    "naive": _NUMPY,
    "im2col": _NUMPY,
    "loops": CutTier(_loops, _loops_backward),
    "numba": CutTier(_numba, _numba_backward),
}


def relu(x: Array, *, impl: str = "numba") -> Array:
    """``y = max(x, 0)``, for an array of any shape. A NaN stays a NaN.

    `impl` is "naive", "im2col" or "numpy" (all three NumPy), "loops" (compiled, to be read) or "numba" (tuned).

    References
    ----------
    Nair and Hinton, *Rectified Linear Units Improve Restricted Boltzmann Machines*, ICML 2010.

    Examples
    --------
    >>> relu(np.array([-1.0, 0, 2]), impl="numpy")
    array([0., 0., 2.])
    """
    return _cut("relu", x, np.inf, impl)


def relu_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where x > 0, else 0``."""
    return _cut_backward("relu_backward", dy, x, np.inf, impl)


def relu6(x: Array, *, impl: str = "numba") -> Array:
    """``y = min(max(x, 0), 6)``: the ceiling keeps activations in the range of few-bit numbers.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861.
    """
    return _cut("relu6", x, 6.0, impl)


def relu6_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where 0 < x < 6, else 0``."""
    return _cut_backward("relu6_backward", dy, x, 6.0, impl)


class Function(NamedTuple):
    """An activation and its gradient."""

    forward: Callable[..., Array]  # (x, *, impl) -> y
    backward: Callable[..., Array]  # (dy, x, *, impl) -> dx


FUNCTIONS = {"relu": Function(relu, relu_backward), "relu6": Function(relu6, relu6_backward)}
"""Every activation by its name."""


def _cut(op: str, x: Array, ceiling: float, impl: str) -> Array:
    chosen = tier(op, IMPLS, impl)
    check_floats(op, x=x)
    return chosen.forward(x, ceiling)


def _cut_backward(op: str, dy: Array, x: Array, ceiling: float, impl: str) -> Array:
    chosen = tier(op, IMPLS, impl)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, x.shape, "the shape of x")
    return chosen.backward(dy, x, ceiling)
