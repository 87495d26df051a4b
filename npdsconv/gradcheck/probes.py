"""The probes of one array: the lines it is moved along, and the row that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from npdsconv.gradcheck.numeric import (
    SHORT_FIRST,
    STEPS,
    Line,
    Quotient,
    Slope,
    complex_slope,
    line,
    locate,
    quotient,
    settle,
    typical_size,
)
from npdsconv.gradcheck.report import Row
from npdsconv.gradcheck.subjects import Array, Subject

REDRAWS = 2
"""How often a random direction that crosses a kink is replaced by another one."""


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
        steps = SHORT_FIRST if point.method == "directions" else STEPS
        self.steps = [step * typical_size(self.array) for step in steps]
        self.tolerance = 0.0
        self.random: list[Array] = []
        if point.method == "directions" and self.array.size:
            self.random = [self._draw() for _ in range(point.directions)]
        self.first = [self._first(direction) for direction in self]
        self.largest = max((abs(q.value) for q in self.first if np.isfinite(q.value)), default=0.0)

    def __iter__(self) -> Iterator[Array]:
        if self.point.method == "directions":
            yield from self.random
            return
        for index in np.ndindex(self.array.shape):
            direction = np.zeros(self.array.shape)
            direction[index] = 1.0
            yield direction

    def compare(self, largest: float) -> Row:
        """Settle every probe and compare; `largest` is the size of the largest gradient of all arrays."""
        floor = max(1e-3 * largest, self._visible())
        # A single kink that stays below this, unseen, moves the value by at most 1.2 times as much.
        self.tolerance = 0.3 * self.point.threshold * max(self.largest, floor)
        slopes = self._slopes()
        analytic = np.array([float(np.vdot(self.gradient, direction)) for direction in self])
        numeric = np.array([slope.value for slope in slopes])
        use = np.array([not slope.kink for slope in slopes], dtype=bool)
        row = Row(
            self.point.subject.names[self.position],
            self.array.shape,
            method={"directions": f"{len(slopes)} directions", "complex": "complex step"}.get(
                self.point.method, "elements"
            ),
            checked=int(np.sum(use)),
            kinks=int(np.sum(~use)),
        )
        if not slopes:
            return replace(row, reason="empty: nothing to check")
        if not row.checked:
            reason = (
                "every probe lies on a kink, such as ReLU at 0 or equal values in a max pool "
                "(blank parts of an image): there is no derivative to compare with"
            )
            return replace(row, error=np.inf, ok=False, reason=reason)
        difference = np.where(use, np.abs(analytic - numeric), -1.0)
        worst = int(np.argmax(difference))  # nan counts as the largest
        # <a, v> along a random direction is as large as the norm of a, give or take chance.
        typical = _norm(self.gradient) if self.random else np.max(np.abs(analytic[use]))
        scale = max(typical, np.max(np.abs(numeric[use])), floor)
        error = float(difference[worst] / scale) if scale else 0.0
        ok = error <= self.point.threshold  # nan is not
        return replace(
            row,
            error=error if np.isfinite(error) else np.inf,
            index=self._label(worst),
            analytic=float(analytic[worst]),
            numeric=float(numeric[worst]),
            ok=ok,
            reason="" if ok or slopes[worst].settled else _UNSETTLED,
        )

    def locate(self, row: Row) -> Row:
        """Name one wrong element of a failing direction."""
        direction = self.random[int(str(row.index).split()[1])]
        index, analytic, numeric = locate(lambda v: self._slope(v).value, direction, self.gradient)
        return replace(row, index=index, analytic=analytic, numeric=numeric)

    def _slopes(self) -> list[Slope]:
        slopes = []
        for number, (direction, first) in enumerate(zip(list(self), self.first, strict=True)):
            slope = settle(self._line(direction), self.steps, self.tolerance, first)
            for _ in range(REDRAWS if self.random else 0):
                if slope.settled:
                    break
                self.random[number] = self._draw()
                slope = self._slope(self.random[number])
            slopes.append(slope)
        return slopes

    def _slope(self, direction: Array) -> Slope:
        return settle(self._line(direction), self.steps, self.tolerance, self._first(direction))

    def _first(self, direction: Array) -> Quotient:
        if self.point.method == "complex":
            value = complex_slope(self.point.subject, self.position, direction, self.point.dy)
            return Quotient(value, spread=0.0, jump=0.0)
        return quotient(self._line(direction), self.steps[0])

    def _line(self, direction: Array) -> Line:
        return line(self.point.subject, self.position, direction, self.point.y, self.point.dy)

    def _draw(self) -> Array:
        return np.asarray(self.point.rng.standard_normal(self.array.shape))

    def _visible(self) -> float:
        """The smallest gradient in which an error of `threshold` stands out from the rounding of forward."""
        if self.point.method == "complex":
            return 0.0
        rounding = 4 * np.finfo(np.float64).eps * _norm(self.point.y * self.point.dy)
        return float(rounding / max(self.steps) / self.point.threshold)

    def _label(self, number: int) -> tuple[int, ...] | str:
        if self.random:
            return f"direction {number}"
        return tuple(int(i) for i in np.unravel_index(number, self.array.shape))


def with_adjoint(row: Row, point: Point, position: int, gradient: Array) -> Row:
    """Add the adjoint identity `<f(v) - f(0), dy> = <v, dv>`, for the array's own value and a random one."""
    if not row.ok:  # the element that is already named says more
        return row
    f, origin = point.subject.value, point.subject.arrays[position]
    other = point.rng.standard_normal(origin.shape) * typical_size(origin)
    at_zero, at_other = f(position, np.zeros(origin.shape)), f(position, other)
    row = replace(row, method=f"{row.method} + adjoint")
    bend = f(position, origin + other) - point.y - (at_other - at_zero)
    if np.max(np.abs(bend), initial=0.0) > 1e-9 * np.max(np.abs(at_other - at_zero), initial=0.0):
        reason = f"bilinear=True, but forward is not linear in {row.name}"
        return replace(row, error=np.inf, ok=False, reason=reason)
    for v, y in ((origin, point.y), (other, at_other)):
        analytic, numeric = float(np.vdot(gradient, v)), float(np.vdot(y - at_zero, point.dy))
        scale = max(abs(analytic), abs(numeric), 1e-3 * _norm(gradient) * _norm(v))
        error = abs(analytic - numeric) / scale if scale else 0.0
        if error > row.error:
            row = replace(row, error=error, index="adjoint", analytic=analytic, numeric=numeric)
    return replace(row, ok=row.error <= point.threshold)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(np.ravel(array)))


_UNSETTLED = (
    "the difference quotients do not settle here: forward is not deterministic, continuous, finite and float64 "
    "throughout, or so sensitive that every step crosses kinks (then try a larger batch)"
)
