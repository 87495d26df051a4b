"""The learning-rate range test: a short training whose rate grows from step to step shows which rates can be used."""

import math
import operator
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import numpy as np

from npdsconv.data import Augment, Split, batches
from npdsconv.layers import Layer
from npdsconv.optim import Optimizer
from npdsconv.shapes import Array
from npdsconv.train.steps import Loss, check_optimizer, step_of

_MEMORY = 0.9  # of the smoothed loss: about ten steps
_TOO_MUCH = 4.0  # times the least smoothed loss: from there on nothing is learned from going on


class RangeTest(NamedTuple):
    """What `range_test` has seen; `plots.range_test` draws it."""

    rates: Array  # the learning rate of each step
    losses: Array  # of the batch, before the step
    smooth: Array  # the mean of the last losses, weighted towards the latest

    @property
    def lowest(self) -> float:
        """The rate where the smoothed loss was least."""
        return float(self.rates[self.smooth.argmin()])

    @property
    def suggestion(self) -> float:
        """A tenth of `lowest`: there it still fell, with room above."""
        return self.lowest / 10


def range_test(
    model: Layer,
    split: Split,
    optimizer: Optimizer,
    *,
    low: float = 1e-5,
    high: float = 1.0,
    steps: int = 100,
    batch_size: int = 128,
    seed: int = 0,
    augment: Augment | None = None,
    loss: Loss | None = None,
    label_smoothing: float = 0.0,
) -> RangeTest:
    """Train with a rate that grows by a constant factor each step; then put model and optimiser back as they were.

    Parameters
    ----------
    model, split, optimizer : as for `epochs`
    low, high : the first and the last learning rate
        The test ends before where the loss is no number, or four times its least.
    steps : int, at least 2
    batch_size, seed, augment, loss, label_smoothing : as for `epochs`

    Returns
    -------
    RangeTest

    Raises
    ------
    ValueError
        The optimiser's rate is 0, the rates do not grow, or anything that `epochs` refuses.

    Notes
    -----
    A dropout layer goes on with its random numbers; all else is as before.

    References
    ----------
    Smith, *Cyclical Learning Rates for Training Neural Networks*, arXiv:1506.01186, section 3.3.

    Examples
    --------
    ::

        found = range_test(model, data.train, Adam(model.parameters()))
        plots.save(plots.range_test(found), "rates.png")
        optimizer = Adam(model.parameters(), lr=found.suggestion)
    """
    steps = operator.index(steps)
    if steps < 2:
        raise ValueError(f"range_test: steps must be at least 2, got {steps}")
    if not 0 < low < high < math.inf:
        raise ValueError(f"range_test: low and high must be 0 < low < high, got {low} and {high}")
    if optimizer.lr == 0:
        raise ValueError("range_test: the optimiser's learning rate is 0, and no factor makes it grow")
    dtype = check_optimizer("range_test", model, optimizer)
    learn = step_of("range_test", model, optimizer, loss, label_smoothing, 1, None)
    state, moments = model.state_dict(), optimizer.state_dict()
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    losses: list[float] = []
    smooth: list[float] = []
    try:
        for rate, (x, labels) in zip(rates, _endless(split, batch_size, seed, augment), strict=False):
            mean, _ = learn(x.astype(dtype, copy=False), labels, float(rate / optimizer.lr), "range_test")
            losses.append(mean)
            smooth.append(_smoothed(losses))
            if smooth[-1] > _TOO_MUCH * min(smooth):
                break
    except FloatingPointError:
        if not losses:  # not the rate's fault
            raise
    finally:
        model.load_state_dict(state)
        optimizer.load_state_dict(moments)
    return RangeTest(rates[: len(losses)], np.array(losses), np.array(smooth))


def _endless(
    split: Split, batch_size: int, seed: int, augment: Augment | None
) -> Iterator[tuple[Array, Array]]:
    """Batches of one epoch after the other."""
    for epoch in count():
        yield from batches(split.images, split.labels, batch_size, seed=seed, epoch=epoch, augment=augment)


def _smoothed(losses: list[float]) -> float:
    """The mean of all losses so far, those long ago with less weight."""
    weights = _MEMORY ** np.arange(len(losses))
    return float(np.dot(weights, losses[::-1]) / weights.sum())
