"""Printed lines: ruled and squared paper, and thin frames. They run from edge to edge; a digit does not.

Along a printed line most of a row is dark, so a low quantile of the row shows the line and not the digit.
Photographs are rarely straight: the rows are tried at several slopes.
"""

import numpy as np
import numpy.typing as npt

from .resampling import Pixels

_SMALL = 40  # pixels: in a smaller picture a stroke may be as thin as a line, and as long
_SHARE = 0.25  # a line may be hidden or broken in less than this share of its length
_SAMPLES = 96  # columns that are looked at for a slope
_SLOPES = np.tan(np.radians(np.arange(-6, 6.1, 0.5)))
_THICK = 0.04  # of the height: what is thicker is no line
_FAINT = 0.04  # of full ink: a fainter line does no harm
_BEYOND = 0.15  # of the width: so far a single line has to go on at either side of the rest


def without_lines(ink: Pixels, noise: float) -> Pixels:
    """The ink without lines across the picture; as it is, where nothing else would be left.

    Parameters
    ----------
    ink : (H,W) float
        0 where there is paper.
    noise : float
        What is fainter is noise.
    """
    if min(ink.shape) < _SMALL:
        return ink
    flat, slope = _lines(ink, noise)
    upright, lean = _lines(ink.T, noise)
    clean = ink
    if flat.any():
        clean = _erase(clean, flat, slope)
    if upright.any():
        clean = _erase(clean.T, upright, lean).T
    if clean is ink or not _is_plausible(clean, ink, _count(flat), _count(upright)):
        return ink
    return clean


def _lines(ink: Pixels, noise: float) -> tuple[Pixels, float]:
    """How dark a line is that crosses row r in the middle column (0: none), and the slope of all lines."""
    height, width = ink.shape
    columns = np.unique(np.linspace(0, width - 1, min(width, _SAMPLES)).round().astype(int))
    slopes = _SLOPES if min(height, width) >= 64 else np.zeros(1)
    best, slope = np.zeros(height, ink.dtype), 0.0
    thickened = np.maximum(ink, np.maximum(_moved(ink, 1), _moved(ink, -1)))
    for tried in sorted(slopes, key=abs):
        # A sloping line jumps from row to row: it is followed in a picture whose strokes are a little thicker.
        profile = _profile(ink if tried == 0 else thickened, columns, tried)
        if (profile**2).sum() > 1.1 * (best**2).sum():
            best, slope = profile, float(tried)
    return _thin(best, max(noise, _FAINT * ink.max()), max(2, round(_THICK * height))), slope


def _moved(ink: Pixels, rows: int) -> Pixels:
    moved = np.zeros_like(ink)
    if rows > 0:
        moved[rows:] = ink[:-rows]
    else:
        moved[:rows] = ink[-rows:]
    return moved


def _profile(ink: Pixels, columns: npt.NDArray[np.intp], slope: float) -> Pixels:
    """For each row: what is reached by all but the lightest quarter of its pixels, along that slope."""
    height, width = ink.shape
    rows = np.arange(height)[:, None] + np.round(slope * (columns - width / 2)).astype(int)
    seen = np.where((rows >= 0) & (rows < height), ink[rows.clip(0, height - 1), columns], 0)
    return np.partition(seen, int(_SHARE * len(columns)), axis=1)[:, int(_SHARE * len(columns))]


def _thin(profile: Pixels, least: float, thickest: int) -> Pixels:
    """The profile where it is a line: dark enough, thin enough; 0 elsewhere."""
    found = np.zeros_like(profile)
    for first, last in _runs(profile > least):
        if last - first <= thickest:
            found[first:last] = profile[first:last].max()
    return found


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    change = np.diff(np.pad(mask, 1).astype(np.int8))
    return list(zip(np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True))


def _count(lines: Pixels) -> int:
    return len(_runs(lines > 0))


def _erase(ink: Pixels, lines: Pixels, slope: float) -> Pixels:
    """Take the lines out, and close the gap where a stroke crosses one."""
    height, width = ink.shape
    clean = ink.copy()
    shift = np.round(slope * (np.arange(width) - width / 2)).astype(int)
    columns = np.arange(width)
    for first, last in _runs(lines > 0):
        level = lines[first]
        # Two more rows at either side: their blurred rim, and where rounding has moved them.
        rows = np.arange(first - 2, last + 2)[:, None] + shift
        above, below = (ink[(edge + shift).clip(0, height - 1), columns] for edge in (first - 3, last + 2))
        there = (rows >= 0) & (rows < height)
        inside = rows.clip(0, height - 1)
        old = ink[inside, columns]
        crossing = np.minimum(above, below) if first >= 3 and last + 2 < height else np.zeros_like(above)
        # What is clearly darker than the line is a stroke over it.
        stroke = np.clip((old / level - 1.3) / 0.4, 0, 1)
        new = np.maximum(old * stroke, np.minimum(old, crossing))
        clean[inside[there], np.broadcast_to(columns, rows.shape)[there]] = new[there]
    return clean


def _is_plausible(clean: Pixels, ink: Pixels, flat: int, upright: int) -> bool:
    """Whether the rest can be a digit, and the lines cannot have been strokes of it."""
    if clean.max() <= 0.25 * ink.max():
        return False
    marks = clean > 0.3 * clean.max()
    for lines, axis in ((flat, 0), (upright, 1)):
        size = marks.shape[1 - axis]
        along = np.flatnonzero(marks.any(axis=axis))
        across = np.flatnonzero(marks.any(axis=1 - axis))
        if len(across) < 0.06 * marks.shape[axis] and len(along) < 0.06 * size:
            return False
        alone = lines == 1 and flat + upright < 3
        if alone and min(along[0], size - 1 - along[-1]) < _BEYOND * size:
            return False
    return True
