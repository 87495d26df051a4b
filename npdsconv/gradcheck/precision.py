"""Does forward follow small steps at all, or does it move in jumps?

A function that computes in float32 inside stays the same for the shortest steps and jumps for longer ones. Six
values that are all zero look like a smooth function whose derivative is zero, and any gradient of zeros would pass.
So where the short steps and the long ones do not tell the same story, the stretch is halved again and again,
always towards the half where the output moves more. Where the function is continuous the change halves as well, down
to the rounding of float64, kinks or not. A jump stays as large as it is.

One jump somewhere is no harm: the derivative is well defined beside it. So a line counts as *grained* only if each of
four neighbouring stretches has a jump.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from npdsconv.gradcheck.calls import Array
from npdsconv.gradcheck.numeric import Line

STRETCHES = 4
FAR, FARTHEST = 1 / 8, 8.0
"""How far along a line to look, relative to the size of the array: for jumps, and for a first sign of life."""
FINEST = 2.0**-44
"""The shortest stretch that is looked at: far below float32's 2**-24, well above float64's 2**-53."""
JUMP = 2.0**-40
"""What counts as a jump, relative to the output: less could be float64's own rounding, added up."""

LONG_STEPS = (2.0**-3, 2.0**-6, 2.0**-8, 2.0**-10)
"""Steps for a function with grain, relative to the size of the array: the longer, the less it matters."""


def grain(line: Line, size: float) -> float:
    """The size of the jumps if forward moves in jumps along the line, else 0."""
    edges = np.linspace(0, FAR * size, STRETCHES + 1)
    smallest = np.inf
    for near, far in itertools.pairwise(edges):
        jump = _jump(line, float(near), float(far), size, _where_it_moves_more)
        if not jump:
            return 0.0
        smallest = min(smallest, jump)
    return smallest


def ignores_short_steps(line: Line, size: float) -> bool:
    """Whether a step that float32 cannot resolve changes nothing, or far too much."""
    short, long = 2.0**-34 * size, 2.0**-10 * size
    change = _largest(line.change(short))
    expected = _largest(line.change(long)) * short / long
    return expected > 0 and not expected / 1000 < change < expected * 1000


def first_move(line: Line, size: float) -> tuple[bool, float]:
    """For a line on which short steps change nothing: does anything, and if it starts with a jump, of what size?"""
    for far in (FARTHEST * size, size, -FARTHEST * size, -size):
        change = line.change(far)
        if np.all(np.isfinite(change)) and np.any(change):
            return True, _jump(line, 0.0, far, size, _where_it_begins)
    return False, 0.0


def reason(jump: float, y: Array) -> str:
    """What to tell about a function that moves in jumps."""
    relative = jump / max(float(np.max(np.abs(y), initial=0.0)), jump)
    return (
        f"forward does not follow small steps but moves in jumps of about {jump:.0e} ({relative:.0e} of its output), "
        "so its derivative cannot be told precisely: does something inside compute in float32, float16 or whole "
        "numbers? Let it compute in the dtype of its arguments"
    )


def _jump(line: Line, near: float, far: float, size: float, choose: Callable[..., bool]) -> float:
    """The largest change of an output that does not shrink with the stretch, or 0 if all do."""
    at_near, at_far = line.change(near), line.change(far)
    finest = FINEST * size
    # Two widths, 256 apart. What is continuous changes by 256 times less over the shorter one.
    widths = [256 * finest, finest]
    gaps = []
    for width in widths:
        while abs(far - near) > width:
            middle = (near + far) / 2
            at_middle = line.change(middle)
            if choose(at_near, at_middle, at_far):
                far, at_far = middle, at_middle
            else:
                near, at_near = middle, at_middle
        gaps.append(_largest(at_far - at_near))
    wide, narrow = gaps
    visible = JUMP * max(_largest(line.y), _largest(line.y + at_far))
    return narrow if narrow > max(0.5 * wide, visible) else 0.0


def _where_it_moves_more(at_near: Array, at_middle: Array, at_far: Array) -> bool:
    return _largest(at_middle - at_near) >= _largest(at_far - at_middle)


def _where_it_begins(at_near: Array, at_middle: Array, at_far: Array) -> bool:
    return bool(np.any(at_middle))


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array), initial=0.0))
