"""From seconds to what is told: medians, quartiles and ratios."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npdsconv.shapes import Array


class Spread(NamedTuple):
    """The median of some numbers, and between which two numbers their middle half lies."""

    median: float
    q1: float
    q3: float


def spread(numbers: Sequence[float] | Array) -> Spread:
    """Median and quartiles.

    >>> spread([3.0, 1.0, 2.0, 5.0, 4.0])
    Spread(median=3.0, q1=2.0, q3=4.0)
    """
    if len(numbers) == 0:
        raise ValueError("spread: there are no numbers")
    q1, median, q3 = (float(q) for q in np.quantile(np.asarray(numbers, float), (0.25, 0.5, 0.75)))
    return Spread(median, q1, q3)


def ratio(mine: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Spread:
    """My time over theirs, from the seconds of each call, block by block, in the order in which they took turns.

    In each round the median of my block is divided by that of theirs; told are the median and the quartiles of these
    ratios. What slows a whole round down cancels.

    >>> ratio([[1.0, 1.0], [3.0, 3.0]], [[2.0, 2.0], [6.0, 6.0]])
    Spread(median=0.5, q1=0.5, q3=0.5)
    """
    if len(mine) != len(theirs):
        raise ValueError(
            f"ratio: {len(mine)} blocks against {len(theirs)}: they take turns, so as many of both"
        )
    return spread([spread(a).median / spread(b).median for a, b in zip(mine, theirs, strict=True)])


def crossover(sizes: Sequence[float], ratios: Sequence[float]) -> float | None:
    """The size at which a ratio first passes through one, on straight lines between logarithms; None if it never does.

    >>> crossover([1, 4, 16], [4.0, 2.0, 0.5])
    8.0
    """
    logs = np.log(ratios)
    for k in range(len(logs) - 1):
        if logs[k] * logs[k + 1] < 0:
            share = logs[k] / (logs[k] - logs[k + 1])
            return float(sizes[k] ** (1 - share) * sizes[k + 1] ** share)
    return None
