"""Learning-rate schedules: plain functions of the step number, which starts at 0.

Each function here takes the constants and returns ``step -> factor``.
"""

import math
from collections.abc import Callable

from npdsconv.optim._checks import require

Schedule = Callable[[int], float]


def constant() -> Schedule:
    """Always 1."""
    return lambda step: 1.0


def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """Multiply by ``gamma`` after every ``every`` steps: ``gamma ** (step // every)``.

    >>> [step_decay(2, gamma=0.5)(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    require("step_decay", "every", every, every >= 1, ">= 1")
    require("step_decay", "gamma", gamma, gamma > 0, "> 0")
    return lambda step: float(gamma ** (step // every))


def exponential(gamma: float, every: int = 1) -> Schedule:
    """Fall smoothly, by ``gamma`` in ``every`` steps: ``gamma ** (step / every)``."""
    require("exponential", "gamma", gamma, gamma > 0, "> 0")
    require("exponential", "every", every, every >= 1, ">= 1")
    return lambda step: float(gamma ** (step / every))


def cosine(total: int, final: float = 0.0) -> Schedule:
    """Half a cosine, from 1 at step 0 to ``final`` at step ``total``, where it stays.

    >>> [round(cosine(4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    require("cosine", "total", total, total >= 1, ">= 1")
    require("cosine", "final", final, final >= 0, ">= 0")
    return lambda step: _half_cosine(1.0, final, step / total)


def cosine_restarts(period: int, growth: int = 1, final: float = 0.0) -> Schedule:
    """Cosine with warm restarts: `cosine` again and again, each period ``growth`` times as long as the last.

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    require("cosine_restarts", "period", period, period >= 1, ">= 1")
    require("cosine_restarts", "growth", growth, growth >= 1, ">= 1")
    require("cosine_restarts", "final", final, final >= 0, ">= 0")

    def factor(step: int) -> float:
        length = period
        while step >= length:
            if growth == 1:
                step %= length
            else:
                step, length = step - length, length * growth
        return _half_cosine(1.0, final, step / length)

    return factor


def one_cycle(total: int, warm: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> Schedule:
    """Rise from ``start`` to 1, then fall to ``final``: two half cosines.

    1 is reached at step ``warm * total - 1`` and ``final`` at the last step, ``total - 1``.

    References
    ----------
    Smith and Topin, "Super-convergence", arXiv:1708.07120; cosines in place of straight lines as in PyTorch.
    """
    require("one_cycle", "total", total, total >= 2, ">= 2")
    require("one_cycle", "warm", warm, 0 <= warm < 1, "in [0, 1)")
    require("one_cycle", "start", start, start >= 0, ">= 0")
    require("one_cycle", "final", final, final >= 0, ">= 0")
    peak = max(warm * total - 1, 0.0)

    def factor(step: int) -> float:
        if step < peak:
            return _half_cosine(start, 1.0, step / peak)
        return _half_cosine(1.0, final, (step - peak) / (total - 1 - peak))

    return factor


def warm_up(schedule: Schedule, steps: int) -> Schedule:
    """Multiply the first ``steps`` steps of a schedule by 1/steps, 2/steps, ..., 1.

    The schedule's own clock is not shifted: ``warm_up(cosine(1000), 50)`` ends at step 1000.

    >>> [warm_up(constant(), 4)(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    require("warm_up", "steps", steps, steps >= 1, ">= 1")
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
