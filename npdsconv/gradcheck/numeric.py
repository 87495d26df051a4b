"""Directional derivatives from values alone, and the kinks where there are none.

All of it moves along one straight line `a + t·v` and looks at `φ(t) = <f(a + t·v) - f(a), dy>`. The outputs
are subtracted before they are weighted and added up: outputs that do not move cancel exactly, so their
rounding does no harm.

Six values `φ(±h), φ(±2h), φ(±4h)` give two things, each by Richardson's extrapolation:

* from the odd part `(φ(h) - φ(-h)) / 2h` the derivative, with an error of order h⁶, and with it the spread
  between two estimates of order h⁴;
* from the even part `(φ(h) + φ(-h)) / h` the jump between the right and the left derivative, with an error of
  order h⁵. It is zero for a smooth function.

When the spread and the jump are both small, the function is smooth on the whole stretch and the derivative
is good to about 1e-12. When they are not, the stretch contains a kink or is too long for so curved a
function, and a shorter one is tried. A jump that stays the same from one step to the next, sixteen times
shorter one is a kink *at* the point: there is no derivative to compare with. All this is decided from
forward alone. The gradient under test is never looked at, so a wrong one cannot pass as a kink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npdsconv.gradcheck.subjects import Array, Subject

STEPS = (2.0**-10, 2.0**-14, 2.0**-18, 2.0**-22)
"""Steps relative to the size of the array. Powers of two: `a + h` is then exact for most `a`."""

Line = Callable[[float], float]


class Quotient(NamedTuple):
    """What the six values of one stretch say about the derivative at its middle."""

    value: float
    spread: float
    jump: float

    @property
    def doubt(self) -> float:
        """How far the stretch is from being smooth; nan counts as infinitely far."""
        doubt = max(abs(self.spread), abs(self.jump))
        return doubt if np.isfinite(doubt + abs(self.value)) else np.inf


class Slope(NamedTuple):
    """The derivative along one line, and how it was settled."""

    value: float
    settled: bool
    kink: bool


def line(subject: Subject, position: int, direction: Array, y: Array, dy: Array) -> Line:
    """φ for one array of the subject, moved along `direction`."""
    origin = subject.arrays[position]
    return lambda t: float(np.vdot(dy, subject.value(position, origin + t * direction) - y))


def quotient(phi: Line, h: float) -> Quotient:
    """Derivative, spread and jump of φ at 0 from the stretch -4h..4h."""
    odd, even = [], []
    for step in (h, 2 * h, 4 * h):
        right, left = phi(step), phi(-step)
        odd.append((right - left) / (2 * step))
        even.append((right + left) / step)
    # odd = φ' + αh² + βh⁴ + ..., even = jump + γh + δh³ + ...: each line removes one power of h.
    fine, coarse = (4 * odd[0] - odd[1]) / 3, (4 * odd[1] - odd[2]) / 3
    jump, far_jump = 2 * even[0] - even[1], 2 * even[1] - even[2]
    return Quotient((16 * fine - coarse) / 15, fine - coarse, (8 * jump - far_jump) / 7)


def settle(phi: Line, size: float, tolerance: float, first: Quotient) -> Slope:
    """Shorten the stretch until it is smooth; `first` belongs to the longest step.

    A line that never gets smooth and has no steady jump either (a forward that is not deterministic, or
    that works in float32) is not excused: its best estimate is compared like any other.
    """
    tried = [first]
    for step in STEPS[1:]:
        if tried[-1].doubt <= tolerance:
            break
        tried.append(quotient(phi, step * size))
    best = min(tried, key=lambda q: q.doubt)
    if best.doubt <= tolerance:
        return Slope(best.value, settled=True, kink=False)
    before, last = tried[-2].jump, tried[-1].jump
    return Slope(
        best.value, settled=False, kink=tolerance < abs(last) and abs(last - before) <= 0.1 * abs(last)
    )


def typical_size(array: Array) -> float:
    """The scale of an array for steps: its root mean square rounded to a power of two, at least 1/16.

    The floor is for arrays of zeros, such as new biases.
    """
    rms = float(np.sqrt(np.mean(array**2))) if array.size else 0.0
    return float(2.0 ** np.round(np.log2(max(rms, 1 / 16))))


def complex_slope(subject: Subject, position: int, direction: Array, dy: Array) -> float:
    """`Im <f(a + ih·v), dy> / h`: no subtraction, so h may be tiny and the value is exact to rounding."""
    h = 1e-30
    y = subject.value(position, subject.arrays[position] + 1j * h * direction)
    if not np.iscomplexobj(y):
        raise ValueError(
            "check: forward returned a real output for complex input: method 'complex' needs both complex"
        )
    return float(np.sum(y.imag * dy) / h)


def locate(
    slope: Callable[[Array], float], direction: Array, gradient: Array
) -> tuple[tuple[int, ...], float, float]:
    """Find one wrong element by halving: keep the half whose derivative disagrees most with the gradient.

    Returns the element's index, its gradient and its numeric derivative.
    """
    where = np.arange(gradient.size)

    def part(chosen: Array) -> Array:
        masked = np.zeros(gradient.size)
        masked[chosen] = direction.reshape(-1)[chosen]
        return masked.reshape(gradient.shape)

    def disagreement(chosen: Array) -> float:
        moved = part(chosen)
        return abs(float(np.vdot(gradient, moved)) - slope(moved))

    while len(where) > 1:
        where = max(np.array_split(where, 2), key=disagreement)
    index = tuple(int(i) for i in np.unravel_index(int(where[0]), gradient.shape))
    unit = np.zeros(gradient.shape)
    unit[index] = 1.0
    return index, float(gradient[index]), slope(unit)
