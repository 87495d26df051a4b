"""Adagrad."""

import numpy as np

from npdsconv.optim._checks import check_real, require
from npdsconv.optim.groups import Parameters
from npdsconv.optim.optimizers import Optimizer
from npdsconv.shapes import Array


class Adagrad(Optimizer):
    """Adagrad: the more a number has moved so far, the smaller its steps. They never grow again.

    ::

        g ← grad + weight_decay · w
        s ← s + g²                          (s starts at initial_accumulator_value)
        w ← w - lr / (1 + (t - 1) · lr_decay) · g / (√s + eps)

    Parameters
    ----------
    parameters, lr, weight_decay, decay_1d
        As for `SGD`.
    lr_decay : float
        At least 0; how fast the rate falls with the number t of the step, the first of which is 1.
    initial_accumulator_value : float
        At least 0.
    eps : float
        Added to the root. At least 0.

    References
    ----------
    Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.
    """

    moment_names = ("sum",)
    squares = ("sum",)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        decay_1d: bool = True,
    ) -> None:
        check_real("Adagrad", initial_accumulator_value=initial_accumulator_value, lr_decay=lr_decay, eps=eps)
        start = require(
            "Adagrad",
            "initial_accumulator_value",
            initial_accumulator_value,
            initial_accumulator_value >= 0,
            ">= 0",
        )
        self.lr_decay = require("Adagrad", "lr_decay", lr_decay, lr_decay >= 0, ">= 0")
        self.eps = require("Adagrad", "eps", eps, eps >= 0, ">= 0")
        super().__init__(parameters, lr, weight_decay, decay_1d)
        for total in self._moments["sum"]:
            total.fill(start)

    def _direction(self, g: Array, moments: list[Array], scratch: Array, lr: float, steps: int) -> None:
        (total,) = moments
        np.multiply(g, g, out=scratch)
        np.add(total, scratch, out=total)
        np.sqrt(total, out=scratch)
        np.add(scratch, self.eps, out=scratch)
        np.divide(g, scratch, out=g)
        np.multiply(g, lr / (1 + (steps - 1) * self.lr_decay), out=g)
