"""The probes of one array: the lines it is moved along, and the row that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from npdsconv.gradcheck import kinks, precision
from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.numeric import (
    SHORT_FIRST,
    STEPS,
    Line,
    Quotient,
    Slope,
    complex_slope,
    locate,
    quotient,
    root_mean_square,
    settle,
    steps_for,
    typical_size,
)
from npdsconv.gradcheck.report import Row
from npdsconv.gradcheck.subjects import Subject

REDRAWS = 2
"""How often a random direction that crosses a kink is replaced by another one."""
SUSPECTS = 3
"""On how many lines of an array jumps are looked for."""
BLURRED = 1e-3
"""A derivative whose doubt is so large, relative to the gradient, is not known at all."""
FAINTEST = 1e-10
"""A part of the outputs that move so small may be rounding inside forward, even where it looks like a slope."""
CERTAIN = 100
"""A difference is certain if it is so many times as large as all that is known to blur it."""


@dataclass(frozen=True)
class Point:
    """Where a function is checked, and how."""

    subject: Subject
    y: Array
    dy: Array
    method: str
    directions: int
    threshold: float
    rng: np.random.Generator


class Probes:
    """The lines along which one array is moved: its axes, or random directions."""

    def __init__(self, point: Point, position: int, gradient: Array) -> None:
        self.point, self.position, self.gradient = point, position, gradient
        self.array = point.subject.arrays[position]
        self.size = root_mean_square(self.array) or typical_size(self.array)
        self.floor = self.tolerance = 0.0
        self.moves = True
        self.slopes: list[Slope] = []
        self.random: list[Array] = []
        if point.method == "directions" and self.array.size:
            self.random = [self._draw() for _ in range(point.directions)]
        self.first = [self._first(direction, k) for k, direction in enumerate(self)]
        self.largest = max((abs(q.value) for q in self.first if np.isfinite(q.value)), default=0.0)
        if not any(np.isfinite(q.value) for q in self.first):
            self.largest = self._first_finite()

    def __iter__(self) -> Iterator[Array]:
        if self.point.method == "directions":
            yield from self.random
            return
        for index in np.ndindex(self.array.shape):
            direction = np.zeros_like(self.array)
            direction[index] = 1.0
            yield direction

    @property
    def scale(self) -> float:
        """The size of the gradient, against which its errors are measured."""
        return max(float(np.max(np.abs(self.gradient), initial=0.0)), self.floor)

    def compare(self, largest: float) -> Row:
        """Settle every probe and compare.

        `largest` is the largest gradient of all arrays, each times the size of its array, so that units cancel.
        """
        self.floor = max(1e-3 * largest / self.size, self._visible())
        # A single kink that stays below this, unseen, moves the value by at most 1.2 times as much.
        self.tolerance = 0.3 * self.point.threshold * max(self.largest, self.floor)
        self.slopes = self._slopes()
        jump = self._jumps()
        if jump:
            self.slopes = [self._long(direction, jump) for direction in self]
        row = Row(
            self.point.subject.names[self.position],
            self.array.shape,
            method={"directions": f"{len(self.slopes)} directions", "complex": "complex step"}.get(
                self.point.method, "elements"
            ),
            checked=sum(not slope.kink for slope in self.slopes),
            kinks=sum(bool(slope.kink) for slope in self.slopes),
        )
        if not self.slopes:
            return replace(row, reason="empty: nothing to check")
        if not row.checked:
            return replace(row, error=np.inf, ok=False, seen=False, reason=_ALL_KINKS)
        return self._judged(row, jump)

    def locate(self, row: Row) -> Row:
        """Name one wrong element of a failing direction."""
        direction = self.random[int(str(row.index).split()[1])]
        index, analytic, numeric = locate(lambda v: self._slope(v).value, direction, self.gradient)
        return replace(row, index=index, analytic=analytic, numeric=numeric)

    def on_kinks(self) -> Iterator[tuple[kinks.Element, Slope, Array]]:
        """The elements that lie on a kink; a random direction is no element."""
        if self.random:
            return
        for index, slope, direction in zip(np.ndindex(self.array.shape), self.slopes, self, strict=True):
            if slope.kink:
                value, gradient = float(self.array[index]), float(self.gradient[index])
                yield kinks.Element(self.position, index, value, gradient), slope, direction

    def line(self, direction: Array) -> Line:
        """φ along this direction of the array."""
        point = self.point
        return Line(point.subject, {self.position: direction}, point.y, point.dy)

    def _judged(self, row: Row, jump: float) -> Row:
        """The row with the largest error, where it is, and whether that is too large."""
        analytic = np.array([float(np.vdot(self.gradient, direction)) for direction in self])
        numeric = np.array([slope.value for slope in self.slopes])
        use = np.array([not slope.kink for slope in self.slopes], dtype=bool)
        difference = np.where(use, np.abs(analytic - numeric), -1.0)
        worst = int(np.argmax(difference))  # nan counts as the largest
        # <a, v> along a random direction is as large as the norm of a, give or take chance.
        typical = _norm(self.gradient) if self.random else np.max(np.abs(analytic[use]))
        scale = max(typical, np.max(np.abs(numeric[use])), self.floor)
        error = float(difference[worst] / scale) if scale else 0.0
        ok, reason, seen = error <= self.point.threshold, "", True  # nan is not ok
        if not ok and not self.slopes[worst].settled:
            reason, seen = _UNSETTLED, bool(difference[worst] > 30 * self.slopes[worst].doubt)
        if ok and (overlooked := self._overlooked(analytic, numeric)) is not None:
            worst, ok = overlooked, False
            error = float(difference[worst] / max(abs(analytic[worst]), abs(numeric[worst])))
            reason = "small beside the other gradients, but clearly not what backward says"
        doubts = np.array([slope.doubt for slope in self.slopes])
        if ok and np.any(use & (doubts > BLURRED * scale)):  # agreement by symmetry, as of 0 and sqrt|x| at 0
            ok, seen, reason = False, False, _UNSETTLED
        if jump:
            seen = bool(np.any(difference > 30 * doubts + self.point.threshold * scale))
            ok, reason = False, precision.reason(jump, self.point.y)
        elif not self.moves:
            reason = f"forward does not depend on {row.name}: nothing that was tried changed its output"
        return replace(
            row,
            error=error if np.isfinite(error) else np.inf,
            index=self._label(worst),
            analytic=float(analytic[worst]),
            numeric=float(numeric[worst]),
            ok=ok,
            seen=seen,
            reason=reason,
        )

    def _slopes(self) -> list[Slope]:
        slopes = []
        for number, (direction, first) in enumerate(zip(list(self), self.first, strict=True)):
            slope = settle(self.line(direction), self._steps(number), self.tolerance, first)
            for tied in (False, True)[:REDRAWS] if self.random else ():
                if slope.settled:
                    break
                self.random[number] = self._draw(tied)
                slope = self._slope(self.random[number])
            slopes.append(slope)
        return slopes

    def _slope(self, direction: Array) -> Slope:
        return settle(self.line(direction), self._steps(), self.tolerance, self._first(direction))

    def _steps(self, number: int | None = None) -> list[float]:
        if self.point.method == "directions":
            return steps_for(self.array, SHORT_FIRST)
        return steps_for(self.array, STEPS, None if number is None else float(self.array.flat[number]))

    def _first(self, direction: Array, number: int | None = None) -> Quotient:
        if self.point.method == "complex":
            value = complex_slope(self.point.subject, self.position, direction, self.point.dy)
            return Quotient(value, spread=0.0, jump=0.0)
        return quotient(self.line(direction), self._steps(number)[0])

    def _first_finite(self) -> float:
        """A size for the gradient where the first step leaves the domain of forward everywhere."""
        sizes = [0.0]
        for number, direction in enumerate(self):
            for step in self._steps(number):
                value = quotient(self.line(direction), step).value
                if np.isfinite(value):
                    sizes.append(abs(value))
                    break
        return max(sizes)

    def _jumps(self) -> float:
        """The size of the jumps in which forward moves with this array, or 0; see `precision`."""
        if not self.slopes or self.point.method == "complex":
            return 0.0
        if all(slope.value == 0 == slope.doubt for slope in self.slopes):
            self.moves, jump = precision.first_move(self.line(self._draw()), self.size)
            return jump
        first = self._steps()[0]
        # Along random directions long steps cross kinks all the time, and change the slope a little.
        little = 0.01 * self.largest if self.random else 0.0
        suspects = [
            (abs(slope.farthest - slope.value), number)
            for number, slope in enumerate(self.slopes)
            if not slope.kink
            and not (slope.settled and slope.step == first)
            and not (slope.settled and abs(slope.farthest - slope.value) < little)
        ]
        directions = list(self)
        numbers = [number for _, number in sorted(suspects, reverse=True)[: 1 if self.random else SUSPECTS]]
        lines = [self.line(directions[number]) for number in numbers]
        if not lines and precision.ignores_short_steps(whole := self.line(self._draw()), self.size):
            # Float32 may be exact for powers of two, and every long step then agrees with every other.
            lines = [whole]
        return max((precision.grain(line, self.size) for line in lines), default=0.0)

    def _long(self, direction: Array, jump: float) -> Slope:
        """The slope over long steps, where jumps matter least, and how far they may put it off."""
        line, noise = self.line(direction), jump * _norm(self.point.dy)
        steps = [step * self.size for step in precision.LONG_STEPS]
        tried = {step: quotient(line, step) for step in steps}
        doubt, step = min((max(q.doubt, noise / step), step) for step, q in tried.items())
        value = tried[step].value
        return Slope(value, doubt, settled=False, kink=0.0, step=step, farthest=value)

    def _overlooked(self, analytic: Array, numeric: Array) -> int | None:
        """A probe that differs by more than a thousandth, though by little beside the largest gradient."""
        if (self.random and _norm(self.gradient) > self.floor) or self.point.method == "complex":
            return None
        difference = np.abs(analytic - numeric)
        own = np.full(difference.shape, self.size)
        if not self.random:  # a single number is moved, which has a size of its own
            own = np.where(self.array, np.abs(self.array), self.size).ravel()
        least = 1e-3 * np.maximum(np.abs(analytic), np.abs(numeric))
        clear = [s.settled and d > s.doubt for s, d in zip(self.slopes, difference, strict=True)]
        candidates = np.flatnonzero((difference > least) & clear)
        directions = list(self) if candidates.size else []
        for number in sorted(candidates, key=lambda k: -difference[k])[:SUSPECTS]:
            slope, line = self.slopes[number], self.line(directions[number])
            scales = self.size, typical_size(self.array), float(own[number]), 10 * slope.step
            if any(_certain(line, scale / 4, slope, float(difference[number])) for scale in scales):
                return int(number)
        return None

    def _draw(self, tied: bool = False) -> Array:
        """A random direction; a tied one moves equal elements together, which keeps off the kinks of a maximum."""
        direction = np.zeros_like(self.array)
        direction[...] = self.point.rng.standard_normal(self.array.shape)
        if tied:
            values, groups = np.unique(self.array, return_inverse=True)
            if values.size > self.array.size / 2:  # else too little would be left to chance
                direction[...] = direction.ravel()[groups.reshape(self.array.shape)]
        return direction

    def _visible(self) -> float:
        """The smallest gradient in which an error of `threshold` stands out from the rounding of forward."""
        if self.point.method == "complex":
            return 0.0
        rounding = 4 * np.finfo(np.float64).eps * _norm(self.point.y * self.point.dy)
        return float(rounding / max(self._steps()) / self.point.threshold)

    def _label(self, number: int) -> tuple[int, ...] | str:
        if self.random:
            return f"direction {number}"
        return tuple(int(i) for i in np.unravel_index(number, self.array.shape))


def _certain(line: Line, h: float, slope: Slope, difference: float) -> bool:
    """Whether two other steps see the same slope, and so precisely that the difference cannot be rounding."""
    one, other = quotient(line, h), quotient(line, 0.6 * h)
    moved = line.change(h) != 0
    mass = np.abs(line.dy * line.y)
    rounding = FAINTEST * float(np.sum(mass[moved] if np.any(moved) else mass)) / h
    same = abs(one.value - slope.value) < max(10 * slope.doubt, 0.05 * difference)
    blur = max(one.doubt, other.doubt, abs(one.value - other.value))
    return same and blur < difference / CERTAIN and rounding < difference


def _norm(array: Array) -> float:
    return float(np.linalg.norm(np.ravel(array)))


_ALL_KINKS = (
    "every probe lies on a kink, such as ReLU at 0 or equal values in a max pool "
    "(blank parts of an image): there is no derivative to compare with"
)
_UNSETTLED = (
    "the difference quotients do not settle here: forward is not deterministic, continuous, finite and float64 "
    "throughout, or so sensitive that every step crosses kinks (then try a larger batch)"
)
