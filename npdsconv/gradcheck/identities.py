"""Two more witnesses for a row that looks right: the adjoint identity, and a real step beside a complex one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.numeric import (
    STEPS,
    Line,
    complex_slope,
    quotient,
    settle,
    typical_size,
)
from npdsconv.gradcheck.probes import Point
from npdsconv.gradcheck.report import Row

AGREEMENT = 1e-5
"""How well the real and the complex step must agree; they only have to see the same function."""


def with_adjoint(row: Row, point: Point, position: int, gradient: Array) -> Row:
    """Add the adjoint identity `<f(v) - f(0), dy> = <v, dv>`, for the array's own value and a random one."""
    if not row.ok:  # the element that is already named says more
        return row

    def f(array: Array) -> Array:
        return point.subject.value({position: array})

    origin = point.subject.arrays[position]
    other = np.zeros_like(origin)
    other[...] = point.rng.standard_normal(origin.shape) * typical_size(origin)
    at_zero, at_other = f(np.zeros_like(origin)), f(other)
    row = replace(row, method=f"{row.method} + adjoint")
    bend = f(origin + other) - point.y - (at_other - at_zero)
    if np.max(np.abs(bend)) > 1e-9 * np.max(np.abs(at_other - at_zero)):
        reason = f"bilinear=True, but forward is not linear in {row.name}"
        return replace(row, error=np.inf, ok=False, reason=reason)
    for v, y in ((origin, point.y), (other, at_other)):
        analytic, numeric = float(np.vdot(gradient, v)), float(np.vdot(y - at_zero, point.dy))
        norms = float(np.linalg.norm(np.ravel(gradient)) * np.linalg.norm(np.ravel(v)))
        scale = max(abs(analytic), abs(numeric), 1e-3 * norms)
        error = abs(analytic - numeric) / scale if scale else 0.0
        if error > row.error:
            row = replace(row, error=error, index="adjoint", analytic=analytic, numeric=numeric)
    return replace(row, ok=row.error <= point.threshold)


def with_real_step(row: Row, point: Point, position: int) -> Row:
    """Say so where the complex step saw another function: one that is not analytic, or drops the imaginary part."""
    origin = point.subject.arrays[position]
    if not origin.size:
        return row
    direction = np.zeros_like(origin)
    direction[...] = point.rng.standard_normal(origin.shape)
    by_complex = complex_slope(point.subject, position, direction, point.dy)
    line = Line(point.subject, {position: direction}, point.y, point.dy)
    steps = [step * typical_size(origin) for step in STEPS]
    real = settle(line, steps, AGREEMENT * abs(by_complex), quotient(line, steps[0]))
    known = real.doubt + 1e-9 * float(np.linalg.norm(np.ravel(point.y * point.dy)))
    if abs(real.value - by_complex) <= AGREEMENT * abs(by_complex) + 10 * known:
        return row
    reason = (
        f"the complex step says {by_complex:.6g} along a direction where a real one says {real.value:.6g}: forward is "
        "not analytic (abs, max, conjugates, np.var) or drops the imaginary part"
    )
    return replace(row, ok=False, seen=False, reason=reason)
