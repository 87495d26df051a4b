"""Kinks: points where the derivative from the right and the one from the left differ.

There is no derivative to compare with, but not everything goes. Each output has two slopes, and a gradient may use
any value between them. So `<gradient, v>` has to lie in an interval, the sum over the outputs of `dy` times that
range. Backward of ReLU may give 0, dy or dy/2 at zero, but not 2·dy.

For ties of a maximum that is not enough. Two equal pixels may each have all of dy, or each have none, when looked at
one at a time. Moved *together* they have no kink: the maximum follows, with slope one. So elements on a kink that
are equal, in whatever array, are moved together too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.numeric import STEPS, Line, quotient, settle

SLACK = 1e-5
"""How far outside the interval a gradient may lie, relative to its size: one-sided slopes are less precise."""
MOST_GROUPS = 64


@dataclass(frozen=True)
class Element:
    """An element on a kink: which array it is of, where, its value and what backward says there."""

    array: int
    index: tuple[int, ...]
    value: float
    gradient: float


@dataclass(frozen=True)
class Violation:
    """A gradient that lies outside the slopes: of which array, where, and what would be allowed."""

    array: int
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float
    reason: str

    def for_row(self) -> dict[str, Any]:
        """The same in the words of a row."""
        return {key: value for key, value in asdict(self).items() if key != "array"}


def slopes(line: Line, h: float) -> tuple[float, float]:
    """The range of `<gradient, v>` at a kink, output by output; h is a step at which the kink shows."""
    right, left = _one_sided(line, h), _one_sided(line, -h)
    ends = np.stack([line.dy * right, line.dy * left])
    return float(ends.min(axis=0).sum()), float(ends.max(axis=0).sum())


def alone(element: Element, line: Line, h: float) -> Violation | None:
    """Whether the gradient of one element lies between its slopes; h is a step at which the kink shows."""
    low, high = slopes(line, h)
    numeric, error = _distance(element.gradient, low, high, abs(element.gradient))
    if error <= SLACK:
        return None
    reason = f"lies on a kink, where the slopes allow {low:.6g} to {high:.6g}, but backward says {element.gradient:.6g}"
    return Violation(element.array, element.index, element.gradient, numeric, error, reason)


def ties(elements: Sequence[Element]) -> list[list[Element]]:
    """Elements on kinks that hold the same number, two or more of them, the largest groups first."""
    groups: dict[float, list[Element]] = {}
    for element in elements:
        groups.setdefault(element.value, []).append(element)
    found = sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
    return found[:MOST_GROUPS]


def together(group: Sequence[Element], line: Line, size: float, tolerance: float) -> Violation | None:
    """Move a group of equal elements together and compare the sum of their gradients."""
    analytic = float(sum(element.gradient for element in group))
    steps = [step * size for step in STEPS]
    slope = settle(line, steps, tolerance, quotient(line, steps[0]))
    if slope.kink:
        low, high = slopes(line, slope.kink)
    elif slope.settled:
        low = high = slope.value
    else:
        return None
    # Many gradients may cancel in the sum, and are rounded one by one.
    numeric, error = _distance(analytic, low, high, max(abs(element.gradient) for element in group))
    if error <= SLACK:
        return None
    worst = max(group, key=lambda element: abs(element.gradient))
    where = ", ".join(str(element.index) for element in group[:4]) + (", ..." if len(group) > 4 else "")
    reason = (
        f"{len(group)} equal elements lie on a kink: {where}. Moved together they change the output by {numeric:.6g} "
        f"per step, but their gradients add up to {analytic:.6g}: ties must share the gradient, or one takes it all"
    )
    return Violation(worst.array, worst.index, analytic, numeric, error, reason)


def _distance(analytic: float, low: float, high: float, least: float) -> tuple[float, float]:
    """The allowed value that is nearest, and how far away it is, relative to the largest number at hand."""
    nearest = min(max(analytic, low), high)
    scale = max(abs(low), abs(high), abs(analytic), least)
    return nearest, abs(analytic - nearest) / scale if scale else 0.0


def _one_sided(line: Line, h: float) -> Array:
    """The derivative of every output to the right, or with a negative h to the left, as a slope along +v."""
    one, two, four = (line.change(k * h) / (k * h) for k in (1, 2, 4))
    return np.asarray((8 * one - 6 * two + four) / 3)
