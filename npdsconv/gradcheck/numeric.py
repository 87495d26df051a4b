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
function, and a shorter one is tried, down to 1e-9 of the array's size. If none is smooth and the jump is the
same for three of them, each sixteen times as long as the one before, then there is a kink *at* the point, or
so close that rounding hides the difference: there is no derivative to compare with. All this is decided from
forward alone. The gradient under test is never looked at, so a wrong one cannot pass as a kink.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.subjects import Subject

STEPS = tuple(2.0**-k for k in (10, 14, 18, 22, 26, 30))
"""Steps relative to the size of the array. Powers of two: `a + h` is then exact for most `a`."""

SHORT_FIRST = tuple(2.0**-k for k in (18, 22, 26, 14, 10, 16, 20, 24, 30, 12, 28))
"""The same for directions: they move so much at once that a long stretch is seldom free of kinks, while a
gradient that is small beside the others needs a long one against rounding; in between there may be room."""


class Line:
    """f along `a + t·v`, for one array or for several at once. Called with t, it gives φ(t)."""

    def __init__(self, subject: Subject, directions: Mapping[int, Array], y: Array, dy: Array) -> None:
        self._subject, self._directions, self.y, self.dy = subject, directions, y, dy

    def change(self, t: float) -> Array:
        """`f(a + t·v) - f(a)`."""
        moved = {k: _moved(self._subject.arrays[k], t, v) for k, v in self._directions.items()}
        with np.errstate(all="ignore"):  # a step may leave the domain of f; then a shorter one is tried
            return np.asarray(self._subject.value(moved) - self.y)

    def __call__(self, t: float) -> float:
        with np.errstate(all="ignore"):
            return float(np.vdot(self.dy, self.change(t)))


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
    """The derivative along one line, and how it was settled.

    `step` is the one that gave the value; `kink` is a step at which the jump of a kink is steady, or 0 for none.
    `farthest` is what the longest step that was tried gave.
    """

    value: float
    doubt: float
    settled: bool
    kink: float
    step: float
    farthest: float


def quotient(phi: Line, h: float) -> Quotient:
    """Derivative, spread and jump of φ at 0 from the stretch -4h..4h."""
    odd, even = [], []
    for t in (h, 2 * h, 4 * h):
        right, left = phi(t), phi(-t)
        odd.append((right - left) / (2 * t))
        even.append((right + left) / t)
    # odd = φ' + αh² + βh⁴ + ..., even = jump + γh + δh³ + ...: each combination removes one power of h.
    fine, coarse = (4 * odd[0] - odd[1]) / 3, (4 * odd[1] - odd[2]) / 3
    jump, far_jump = 2 * even[0] - even[1], 2 * even[1] - even[2]
    return Quotient((16 * fine - coarse) / 15, fine - coarse, (8 * jump - far_jump) / 7)


def settle(phi: Line, steps: Sequence[float], tolerance: float, first: Quotient) -> Slope:
    """Try one step after the other until the stretch is smooth; `first` is what the first step gave.

    A line that never gets smooth and has no steady jump either (a forward that is not deterministic, say) is not
    excused: its best estimate is compared like any other.
    """
    tried = {steps[0]: first}
    for step in steps[1:]:
        if min(q.doubt for q in tried.values()) <= tolerance:
            break
        tried[step] = quotient(phi, step)
    # Over very short steps rounding can agree with itself by chance.
    rounding = np.finfo(np.float64).eps * float(np.linalg.norm(np.ravel(phi.y * phi.dy)))
    step, best = min(tried.items(), key=lambda item: max(item[1].doubt, rounding / item[0]))
    settled = best.doubt <= tolerance
    kink = 0.0 if settled else _steady_jump(tried, tolerance)
    return Slope(best.value, best.doubt, settled, kink, step, tried[max(tried)].value)


def _steady_jump(tried: dict[float, Quotient], tolerance: float) -> float:
    """The middle of three steps, each sixteen times the one before, that agree on a jump, or 0.

    Rounding, being ~ 1/h, would not agree.
    """

    def near(a: float, b: float) -> bool:
        return tolerance < abs(a) and abs(a - b) <= 0.1 * abs(a)

    for h in tried:
        if 16 * h in tried and 256 * h in tried:
            a, b, c = (tried[k * h].jump for k in (1, 16, 256))
            if near(a, b) and near(b, c):
                return 16 * h
    return 0.0


def typical_size(array: Array) -> float:
    """The scale of an array for steps: its root mean square rounded to a power of two, at least 1/16.

    The floor is for arrays of zeros, such as new biases.
    """
    return float(2.0 ** np.round(np.log2(max(root_mean_square(array), 1 / 16))))


def root_mean_square(array: Array) -> float:
    """Computed so that numbers of 1e-200 do not vanish."""
    largest = float(np.max(np.abs(array), initial=0.0))
    return largest * float(np.sqrt(np.mean((array / largest) ** 2))) if largest else 0.0


def steps_for(array: Array, relative: Sequence[float], element: float | None = None) -> list[float]:
    """The steps to try: for the typical size of the array, then shorter ones if the numbers are smaller than that.

    `element` is the number that is moved, where it is a single one.
    """
    size = typical_size(array)
    small = root_mean_square(array) if element is None else abs(element)
    steps = [step * size for step in relative]
    if 0 < small < size / 64:
        small = float(2.0 ** np.round(np.log2(small)))
        steps += [step * small for step in relative if step * small < min(steps)]
    return steps


def _moved(origin: Array, t: float, direction: Array) -> Array:
    moved = np.array(origin)  # in the memory layout of the original, on which a compiled function may insist
    moved += t * direction
    return moved


def complex_slope(subject: Subject, position: int, direction: Array, dy: Array) -> float:
    """`Im <f(a + ih·v), dy> / h`: no subtraction, so h may be tiny and the value is exact to rounding."""
    h = 1e-30
    moved = subject.arrays[position].astype(np.complex128)
    moved += 1j * h * direction
    y = subject.value({position: moved})
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
