"""A moving average of weights: steadier than the last step of a run, and often more accurate."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from npdsconv.layers import Parameter
from npdsconv.optim._checks import check_real, require
from npdsconv.optim.groups import unique_parameters
from npdsconv.shapes import Array


class Average:
    """An exponential moving average of parameters: ``a ← decay·a + (1 - decay)·w`` after each step.

    In the first steps the average is that of the steps so far: the decay is at most ``(1 + t)/(10 + t)`` in step t.

    Parameters
    ----------
    parameters : iterable of Parameter
        ``model.parameters()``. Running statistics of batch norm are averages already.
    decay : float
        In [0, 1). 0.99 looks back about 100 steps.

    References
    ----------
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Examples
    --------
    ::

        average = Average(model.parameters(), decay=0.99)
        for result in epochs(model, ..., average=average):
            with average.in_place():            # evaluate the averaged weights; then learn on with one's own
                print(evaluate(model, ...).accuracy)
    """

    def __init__(self, parameters: Iterable[Parameter], decay: float = 0.99) -> None:
        check_real("Average", decay=decay)
        self.decay = require("Average", "decay", decay, 0 <= decay < 1, "in [0, 1)")
        self.parameters = unique_parameters("Average", parameters)
        self.values: list[Array] = [p.value.copy() for p in self.parameters]
        self.steps = 0

    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for value, parameter in zip(self.values, self.parameters, strict=True):
            value += (1 - decay) * (parameter.value - value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages stand in the parameters as long as the block lasts."""
        own = [p.value.copy() for p in self.parameters]
        self._write(self.values)
        try:
            yield
        finally:
            self._write(own)

    def _write(self, values: list[Array]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            np.copyto(parameter.value, value)
