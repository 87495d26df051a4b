"""What every backward must do, whatever its formula: give the same answer twice, and be linear in dy.

A comparison at one `dy` does not see a gradient that is cut off above a limit, thrown away below one, or right only
the first time. These rules need no numeric derivative, so they hold to rounding.
"""

from __future__ import annotations

import numpy as np

from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.subjects import Subject

FACTORS = {"larger": -(2.0**10), "smaller": 2.0**-20}
"""Powers of two: the gradient of a right backward scales without any rounding."""


def complaints(
    subject: Subject,
    dy: Array,
    gradients: list[Array],
    scales: dict[int, float],
    threshold: float,
    rng: np.random.Generator,
) -> dict[int, tuple[float, str]]:
    """For the arrays whose gradient misbehaves: how far off it is relative to its scale, and the reason."""
    found: dict[int, tuple[float, str]] = {}

    def compare(actual: list[Array], expected: list[Array], reason: str) -> None:
        for k, scale in scales.items():
            if k in found:
                continue
            if actual[k].shape != expected[k].shape:
                found[k] = np.inf, f"{reason}: the shape changed to {actual[k].shape}"
                continue
            with np.errstate(all="ignore"):
                off = float(np.max(np.abs(actual[k] - expected[k]), initial=0.0))
            error = off / scale if scale else off
            if not error <= threshold:  # nan is not
                found[k] = (error if np.isfinite(error) else np.inf), f"{reason} (off by {error:.1e})"

    compare(
        subject.again(dy),
        gradients,
        "backward is not the same twice: it draws random numbers, or adds to something it kept",
    )
    for what, factor in FACTORS.items():
        scaled = subject.again(factor * dy)
        compare(
            [gradient / factor for gradient in scaled],
            gradients,
            f"backward is not linear in dy: for one that is {max(abs(factor), 1 / abs(factor)):.0e} times {what} "
            "the gradient does not scale with it. Is something cut off or clipped?",
        )
    other = rng.standard_normal(dy.shape)
    alone = subject.again(other)
    with np.errstate(all="ignore"):
        added = [a + b if a.shape == b.shape else a for a, b in zip(gradients, alone, strict=True)]
    compare(
        subject.again(dy + other),
        added,
        "backward is not linear in dy: the gradient of a sum is not the sum of the gradients",
    )
    return found
