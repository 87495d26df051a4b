"""`check`: compare what backward returns with what forward does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, overload

import numpy as np

from npdsconv.gradcheck import kinks, left_behind
from npdsconv.gradcheck.calls import Array, Fault
from npdsconv.gradcheck.conduct import complaints
from npdsconv.gradcheck.identities import with_adjoint, with_real_step
from npdsconv.gradcheck.layer_subject import LayerLike, LayerSubject
from npdsconv.gradcheck.numeric import Line, typical_size
from npdsconv.gradcheck.probes import Point, Probes
from npdsconv.gradcheck.report import Report, Row
from npdsconv.gradcheck.subjects import PairSubject, Subject

METHODS = ("auto", "elements", "directions", "complex")
FEW_ELEMENTS = 1500
"""Up to so many elements in all, `method="auto"` moves every one of them."""


@overload
def check(
    layer: LayerLike,
    x: Any,
    /,
    *,
    labels: Any = None,
    train: bool = True,
    method: str = "auto",
    bilinear: bool = False,
    directions: int = 4,
    threshold: float = 1e-7,
    seed: int = 0,
    title: str | None = None,
) -> Report: ...


@overload
def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    /,
    *arrays: Any,
    method: str = "auto",
    bilinear: bool = False,
    directions: int = 4,
    threshold: float = 1e-7,
    seed: int = 0,
    title: str | None = None,
) -> Report: ...


def check(
    subject: Any,
    other: Any,
    /,
    *arrays: Any,
    labels: Any = None,
    train: bool = True,
    method: str = "auto",
    bilinear: bool = False,
    directions: int = 4,
    threshold: float = 1e-7,
    seed: int = 0,
    title: str | None = None,
) -> Report:
    """Check the gradients of a layer, of a model, or of your own forward and backward.

    `check(layer, x)` checks a layer or model at the input `x`; `check(forward, backward, *arrays)` checks a
    pair `forward(*arrays) -> y` and `backward(dy, *arrays) -> gradients`. The cotangent `dy` is random,
    never ones, and everything is computed in float64. Nothing of yours is changed.

    Parameters
    ----------
    subject : layer, or function
        A layer has `forward(x, *, train) -> (y, backward)` and parameters that `backward` adds to. It is
        copied, the copy is cast to float64, and its buffers are put back before each evaluation. A function
        returns `y`, or a tuple whose first entry is `y`.
    other : array, or function
        The layer's input, or the backward function. That one returns the gradients in the order of the
        arrays (one array if there is one); None says that an array is not differentiated. A backward that
        takes what forward returned beside `y`, as in `(out, cache)` and `backward(dout, cache)`, gets it.
    *arrays
        The arguments of forward. Float arrays and float numbers are checked; others, such as labels, are
        handed through, and a gradient that backward gives for them is not ok, for it cannot be checked.
    labels : integers (N,), optional
        Check the mean softmax cross-entropy of a model's output for these labels, instead of the output
        itself.
    train : bool
        Whether a layer runs in training mode.
    method : {"auto", "elements", "directions", "complex"}
        `"elements"` moves every element, one at a time, by central differences. `"directions"` moves a
        whole array at once along random directions: a few evaluations for any size, and a wrong gradient
        still shows. `"complex"` uses the imaginary part of `forward(a + 1e-30j)`, which has no subtraction
        and no step error, for functions that are analytic and accept complex arrays; it does not see kinks.
        `"auto"` takes `"elements"` up to 1,500 elements in all and `"directions"` above.
    bilinear : bool
        Claim that forward is linear in each array while the others are held, up to a constant (a bias), as
        convolution is. The claim is tested, and then the adjoint identity `<f(v) - f(0), dy> = <v, dv>`,
        with f as a function of one array alone. It needs no step, so it holds to rounding. It is tested at
        the array's own value and at a random one.
    directions : int
        The number of random directions per array.
    threshold : float
        The largest error that passes.
    seed : int
        Of the local random generator for `dy` and the directions.
    title : str, optional
        The name in the report; the type of the layer or the name of forward by default.

    Returns
    -------
    Report
        With `.ok`, `.verdict`, `.max_error`, `.rows` and `.table()`. It is truthy when all is well: `assert
        report, report`. The verdict is `"ok"`, `"FAILED"`, or `"cannot say"` where something could not be
        seen; that is never ok, and the report gives the reason.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense. What is wrong with the subject itself becomes a failing row: gradients
        of the wrong shape, number or type, a write to an argument, a parameter's `grad` that is assigned
        instead of added to, a backward that is not the same twice or not linear in dy, a forward that is
        not finite, not float64 or not the same twice. Exceptions of the functions come through.

    Notes
    -----
    The error of one array is `max|a - n| / max(‖a‖∞, ‖n‖∞, floor)`, `a` from backward, `n` numeric.
    The floor is 1e-3 of the largest gradient of all arrays, each times the size of its array, so that units
    cancel: a bias before batch norm has a true gradient of zero, where a relative error would compare rounding
    with rounding. Nor can the floor be lower than what the rounding of forward itself lets one see. For
    directions ‖a‖₂, the usual size of `<a, v>`, takes the place of ‖a‖∞. What stays below the floor is still
    wrong if it differs by more than a thousandth and other steps see the same.

    The numeric derivative uses six values and two Richardson steps, with an error near 1e-12, so a gradient
    that is wrong by one part in a million is caught. Where the values say that the stretch holds a kink
    (ReLU, the ties of max pooling), shorter stretches are tried, down to 1e-9 of the array's size. A kink
    at the very point is counted; there the gradient has to lie between the slopes of the two sides, and
    elements that tie are moved together. The check says too little if more than a tenth of the probes, and
    more than four, are kinks. `npdsconv.gradcheck.numeric` and `.kinks` tell how.

    A forward that computes in float32 inside moves in jumps, which short steps do not see and long ones do.
    Such a row is never ok. It fails if the gradient is clearly wrong, else the verdict is `"cannot say"`;
    see `npdsconv.gradcheck.precision`.

    Gradients that backward leaves on an object or in a dictionary, and does not return, are found too:
    `npdsconv.gradcheck.left_behind`. The report then shows how to wrap such a class.

    In a deep ReLU network nearly every long step crosses some unit's kink, and the short steps do the work.
    If a random direction still crosses one it is replaced, at most twice. When a direction fails, halving
    it finds one wrong element.
    """
    if method not in METHODS:
        raise ValueError(f"check: method must be one of {', '.join(METHODS)}, got {method!r}")
    if directions < 1:
        raise ValueError(f"check: directions must be at least 1, got {directions}")
    try:
        if hasattr(subject, "forward"):
            if arrays:
                raise TypeError(f"check: a layer takes one input, got {1 + len(arrays)} arrays")
            checked: Subject = LayerSubject(subject, other, labels, train)
        elif callable(subject) and callable(other):
            if labels is not None:
                raise TypeError("check: labels are for a layer; give them to forward as one of the arrays")
            checked = PairSubject(subject, other, arrays)
        else:
            raise TypeError("check: give a layer and its input, or forward, backward and their arrays")
        # A stream of its own: with the reader's x from default_rng(0), seed 0 would give dy = x.
        rng = np.random.default_rng([seed, 0x67726164])
        rows = _rows(checked, method, bilinear, directions, threshold, rng)
    except Fault as fault:
        rows = [Row(fault.name, (), error=np.inf, ok=False, seen=fault.seen, reason=fault.reason)]
    name = title or getattr(subject, "__name__", None) or type(subject).__name__
    return Report(str(name), tuple(rows), threshold)


def _rows(
    subject: Subject, method: str, bilinear: bool, directions: int, threshold: float, rng: np.random.Generator
) -> list[Row]:
    """A row for every array, checked or not."""
    moments: list[left_behind.Snapshot] = []

    def remember() -> None:
        moments.append(left_behind.snapshot(subject.roots(), subject.accounted()))

    _visit_elsewhere(subject)
    remember()
    y = _output_at_the_point(subject)
    dy = np.asarray(rng.standard_normal(y.shape))
    gradients, faults = subject.gradients(dy, between=remember)
    remember()
    if not _same(y, subject.value()):
        raise Fault("backward", "changes what forward returns: it writes to weights or to something kept")
    if method == "auto":
        few = sum(array.size for array in subject.arrays) <= FEW_ELEMENTS
        method = "elements" if few else "directions"
    point = Point(subject, y, dy, method, directions, threshold, rng)
    found = _compared(point, gradients, faults, bilinear)
    for name, array in subject.every.items():
        if name in faults:
            seen = array.dtype == np.float64  # a gradient for whole numbers was not looked at
            found[name] = Row(name, array.shape, error=np.inf, ok=False, seen=seen, reason=faults[name])
        elif name in subject.unchecked:
            found[name] = Row(name, array.shape, reason=subject.unchecked[name])
    rows = [found[name] for name in subject.every]
    left = left_behind.unchecked_gradients(subject.value, moments[0], *moments[-2:])
    return rows + _left(left)


def _compared(point: Point, gradients: list[Array], faults: dict[str, str], bilinear: bool) -> dict[str, Row]:
    """The rows of all arrays whose gradients can be compared, by name."""
    subject = point.subject
    # One quotient everywhere comes first: it tells how large the gradients are, and so what is small.
    probes = {k: Probes(point, k, gradients[k]) for k, name in enumerate(subject.names) if name not in faults}
    # An array of zeros, such as a new bias, has no size by which its gradient could be weighed.
    weighed = [p for p in probes.values() if np.any(p.array)] or list(probes.values())
    largest = max((p.largest * p.size for p in weighed), default=0.0)
    rows = {k: each.compare(largest) for k, each in probes.items()}
    failed = [k for k, row in rows.items() if row.verdict == "FAILED" and row.checked]
    if point.method == "directions" and failed:
        worst = max(failed, key=lambda k: rows[k].error)
        rows[worst] = probes[worst].locate(rows[worst])
    for violation in _violations(point, probes):
        k = violation.array
        if rows[k].ok or not rows[k].seen:
            rows[k] = replace(rows[k], ok=False, seen=True, **violation.for_row())
    if bilinear:
        rows = {k: with_adjoint(row, point, k, gradients[k]) for k, row in rows.items()}
    if point.method == "complex":
        rows = {k: with_real_step(row, point, k) for k, row in rows.items()}
    if probes and not any(each.moves for each in probes.values()):
        reason = (
            "forward gave the same bits wherever its arrays were moved: does it return something it kept?"
        )
        rows = {k: replace(row, ok=False, seen=False, reason=reason) for k, row in rows.items()}
    scales = {k: each.scale for k, each in probes.items()}
    for k, (error, reason) in complaints(
        subject, point.dy, gradients, scales, point.threshold, point.rng
    ).items():
        if rows[k].ok or not rows[k].seen:
            rows[k] = replace(rows[k], ok=False, seen=True, error=error, reason=reason)
    return {subject.names[k]: row for k, row in rows.items()}


def _violations(point: Point, probes: dict[int, Probes]) -> list[kinks.Violation]:
    """What is wrong at kinks: gradients outside the slopes, and ties that do not share."""
    found, elements = [], []
    for each in probes.values():
        for element, slope, direction in each.on_kinks():
            elements.append(element)
            violation = kinks.alone(element, each.line(direction), slope.kink)
            found += [violation] if violation else []
    for group in kinks.ties(elements):
        directions = {k: np.zeros_like(point.subject.arrays[k]) for k in {e.array for e in group}}
        for element in group:
            directions[element.array][element.index] = 1.0
        line = Line(point.subject, directions, point.y, point.dy)
        first = probes[group[0].array]
        violation = kinks.together(group, line, typical_size(first.array), first.tolerance)
        found += [violation] if violation else []
    return found


def _left(pairs: list[tuple[str, str]]) -> list[Row]:
    """Rows for gradients that backward keeps instead of returning them; the last one tells what to do."""
    rows = []
    for gradient, parameter in pairs:
        reason = (
            f"backward leaves a gradient here, which is not checked: forward depends on {parameter}, which is no "
            "argument"
        )
        rows.append(Row(gradient, (), error=np.inf, ok=False, seen=False, reason=reason))
    if rows:
        of_layer = [(p, g) for g, p in pairs if "." in p and "." in g]
        names = [(left_behind.last_name(p), left_behind.last_name(g)) for p, g in of_layer]
        help_text = left_behind.how_to_wrap(names)
        rows[-1] = replace(rows[-1], reason=f"{rows[-1].reason}; {help_text}")
    return rows


def _visit_elsewhere(subject: Subject) -> None:
    """Run forward at other arrays first: what it keeps only the first time is then kept from there, and shows."""
    rng = np.random.default_rng(1)
    moved = {
        k: array + typical_size(array) / 64 * rng.standard_normal(array.shape)
        for k, array in enumerate(subject.arrays)
    }
    # Its domain may end here; what is wrong at the point itself is told at the point.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        subject.value(moved)


def _output_at_the_point(subject: Subject) -> Array:
    """The output, if it is the same twice, wherever forward was in between, and finite."""
    y = subject.value()
    if not y.size:
        raise ValueError(f"check: forward returned an empty array {y.shape}: there is nothing to check")
    if not np.all(np.isfinite(y)):
        worst = tuple(map(int, np.unravel_index(int(np.argmin(np.isfinite(y))), y.shape)))
        raise Fault("y", f"forward returned {y[worst]} at {worst}", seen=False)
    again = subject.value()
    if not _same(y, again):
        raise Fault(
            "y",
            "forward is not the same twice: fix its random numbers, or keep their state in buffers",
            seen=False,
        )
    return y


def _same(y: Array, again: Array) -> bool:
    return again.shape == y.shape and np.allclose(y, again, rtol=0, atol=1e-12 * np.max(np.abs(y)))
