"""Activations: functions of each number by itself, for arrays of any shape.

ReLU and ReLU6 cut to an interval, so they can ride along in kernels that have just computed their argument. The others
have ops and layers of their own. Where there is a kink the derivative does not exist: ReLU and ReLU6 take 0 there, as
PyTorch does, and the hard functions that of the side where they are straight.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npdsconv.ops._tiers import tier
from npdsconv.shapes import Array, check_choice, check_floats, check_number, check_shape

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


# ---- NumPy: each as a value and a slope --------------------------------------------------------------------------


class Formula(NamedTuple):
    """An activation in NumPy; `numbers` are its own, such as the slope of leaky ReLU. Most have none."""

    value: Callable[..., Array]  # (x, *numbers) -> y
    slope: Callable[..., Array]  # (x, *numbers) -> its derivative


def _cut(low: float, high: float) -> Formula:
    """Cut to [low, high]."""
    return Formula(
        lambda x: np.clip(x, x.dtype.type(low), x.dtype.type(high)),
        lambda x: (x > low) & ((x < x.dtype.type(high)) | (high == np.inf)),
    )


def _leaky_relu(x: Array, slope: float) -> Array:
    return np.where(x > 0, x, x * x.dtype.type(slope))


def _leaky_relu_slope(x: Array, slope: float) -> Array:
    return np.where(x > 0, 1, slope).astype(x.dtype)


def _hard_swish(x: Array) -> Array:
    return np.maximum(x, -3) * np.clip(x + 3, 0, 6) / 6  # of -inf too: -3 · 0, not -inf · 0


def _hard_swish_slope(x: Array) -> Array:
    return np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6)).astype(x.dtype)


def _hard_sigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) / 6


def _hard_sigmoid_slope(x: Array) -> Array:
    return ((x > -3) & (x < 3)).astype(x.dtype) / 6


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))  # exp of a negative number cannot overflow
    return np.where(x >= 0, 1, e) / (1 + e)


def _sigmoid_slope(x: Array) -> Array:
    return _sigmoid(x) * _sigmoid(-x)


FORMULAS = {
    "relu": _cut(*BOUNDS["relu"]),
    "relu6": _cut(*BOUNDS["relu6"]),
    "leaky_relu": Formula(_leaky_relu, _leaky_relu_slope),
    "hard_swish": Formula(_hard_swish, _hard_swish_slope),
    "hard_sigmoid": Formula(_hard_sigmoid, _hard_sigmoid_slope),
    "sigmoid": Formula(_sigmoid, _sigmoid_slope),
}


# ---- the tiers ---------------------------------------------------------------------------------------------------


class ActivationTier(NamedTuple):
    """One implementation of all activations."""

    forward: Callable[..., Array]  # (name, x, *numbers) -> y
    backward: Callable[..., Array]  # (name, dy, x, *numbers) -> dx


def _numpy(name: str, x: Array, *numbers: float) -> Array:
    return np.asarray(FORMULAS[name].value(x, *numbers))  # an array also where it has no axes


def _numpy_backward(name: str, dy: Array, x: Array, *numbers: float) -> Array:
    return np.asarray(dy * FORMULAS[name].slope(x, *numbers))


def _loops(name: str, x: Array, *numbers: float) -> Array:
    from npdsconv.kernels.loops import elementwise

    return elementwise.forward(name, x, *numbers)


def _loops_backward(name: str, dy: Array, x: Array, *numbers: float) -> Array:
    from npdsconv.kernels.loops import elementwise

    return elementwise.backward(name, dy, x, *numbers)


def _numba(name: str, x: Array, *numbers: float) -> Array:
    """Tuned where it cuts. The others wait for memory: there the plain loop is as fast as any."""
    if name not in BOUNDS:
        return _loops(name, x, *numbers)
    from npdsconv.kernels import elementwise

    return elementwise.clamp(x, BOUNDS[name][1])


def _numba_backward(name: str, dy: Array, x: Array, *numbers: float) -> Array:
    if name not in BOUNDS:
        return _loops_backward(name, dy, x, *numbers)
    from npdsconv.kernels import elementwise

    return elementwise.clamp_gradient(dy, x, BOUNDS[name][1])


_NUMPY = ActivationTier(_numpy, _numpy_backward)
IMPLS = {
    "naive": _NUMPY,
    "im2col": _NUMPY,
    "loops": ActivationTier(_loops, _loops_backward),
    "numba": ActivationTier(_numba, _numba_backward),
}


# ---- the public pairs --------------------------------------------------------------------------------------------


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
    return _forward("relu", x, impl)


def relu_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where x > 0, else 0``."""
    return _backward("relu", dy, x, impl)


def relu6(x: Array, *, impl: str = "numba") -> Array:
    """``y = min(max(x, 0), 6)``: the ceiling keeps activations in the range of few-bit numbers.

    References
    ----------
    Howard et al., *MobileNets*, arXiv:1704.04861.
    """
    return _forward("relu6", x, impl)


def relu6_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy where 0 < x < 6, else 0``."""
    return _backward("relu6", dy, x, impl)


def leaky_relu(x: Array, *, negative_slope: float = 0.01, impl: str = "numba") -> Array:
    """``y = x where x > 0, else negative_slope · x``: no unit is ever cut off. `impl` as for :func:`relu`.

    Parameters
    ----------
    x : array of any shape
    negative_slope : a finite number; 0.01 as in PyTorch and ONNX (Keras has 0.3, formerly 0.2)

    References
    ----------
    Maas, Hannun, Ng, *Rectifier Nonlinearities Improve Neural Network Acoustic Models*, ICML 2013.

    Examples
    --------
    >>> leaky_relu(np.array([-10.0, 0, 2]), negative_slope=0.2, impl="numpy")
    array([-2.,  0.,  2.])
    """
    return _forward("leaky_relu", x, impl, check_slope("leaky_relu", negative_slope))


def leaky_relu_backward(dy: Array, x: Array, *, negative_slope: float = 0.01, impl: str = "numba") -> Array:
    """``dx = dy where x > 0, else negative_slope · dy``."""
    return _backward("leaky_relu", dy, x, impl, check_slope("leaky_relu_backward", negative_slope))


def check_slope(op: str, slope: float) -> float:
    """The slope of leaky ReLU, if it is a finite number."""
    return check_number(op, "negative_slope", slope, -np.inf, open_low=True)


def hard_swish(x: Array, *, impl: str = "numba") -> Array:
    """``y = x · min(max(x + 3, 0), 6) / 6``: 0 up to -3, x from 3 on, a parabola between. `impl` as for :func:`relu`.

    References
    ----------
    Howard et al., *Searching for MobileNetV3*, ICCV 2019, arXiv:1905.02244.

    Examples
    --------
    >>> hard_swish(np.array([-4.0, -1.5, 0, 1.5, 4]), impl="numpy")
    array([-0.   , -0.375,  0.   ,  1.125,  4.   ])
    """
    return _forward("hard_swish", x, impl)


def hard_swish_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy · (2x + 3)/6 where -3 < x < 3``, 0 below and dy above."""
    return _backward("hard_swish", dy, x, impl)


def hard_sigmoid(x: Array, *, impl: str = "numba") -> Array:
    """``y = min(max(x + 3, 0), 6) / 6``: a sigmoid of three straight pieces. `impl` as for :func:`relu`.

    The same as in PyTorch, in Keras 3, and in ONNX with ``alpha = 1/6`` (ONNX' default is 0.2).

    References
    ----------
    Howard et al., *Searching for MobileNetV3*, ICCV 2019, arXiv:1905.02244.

    Examples
    --------
    >>> hard_sigmoid(np.array([-4.0, -1.5, 0, 1.5, 4]), impl="numpy")
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return _forward("hard_sigmoid", x, impl)


def hard_sigmoid_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy / 6 where -3 < x < 3, else 0``."""
    return _backward("hard_sigmoid", dy, x, impl)


def sigmoid(x: Array, *, impl: str = "numba") -> Array:
    """``y = 1 / (1 + exp(-x))``, between 0 and 1, without overflow. `impl` as for :func:`relu`.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0, 1000]), impl="numpy")
    array([0. , 0.5, 1. ])
    """
    return _forward("sigmoid", x, impl)


def sigmoid_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx = dy · y · (1 - y)``, with y = sigmoid(x)."""
    return _backward("sigmoid", dy, x, impl)


class Function(NamedTuple):
    """An activation and its gradient; what else it takes has a default."""

    forward: Callable[..., Array]  # (x, *, impl) -> y
    backward: Callable[..., Array]  # (dy, x, *, impl) -> dx


FUNCTIONS = {
    "relu": Function(relu, relu_backward),
    "relu6": Function(relu6, relu6_backward),
    "leaky_relu": Function(leaky_relu, leaky_relu_backward),
    "hard_swish": Function(hard_swish, hard_swish_backward),
    "hard_sigmoid": Function(hard_sigmoid, hard_sigmoid_backward),
    "sigmoid": Function(sigmoid, sigmoid_backward),
}
"""Every activation by its name."""


def _forward(name: str, x: Array, impl: str, *numbers: float) -> Array:
    chosen = tier(name, IMPLS, impl)
    check_floats(name, x=x)
    return chosen.forward(name, x, *numbers)


def _backward(name: str, dy: Array, x: Array, impl: str, *numbers: float) -> Array:
    op = f"{name}_backward"
    chosen = tier(op, IMPLS, impl)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, x.shape, "the shape of x")
    return chosen.backward(name, dy, x, *numbers)
