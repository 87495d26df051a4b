"""Finding the ink: layer by layer from the edge of the picture to the strokes of the digit."""

import numpy as np

from .lines import without_lines
from .paper import Found, sheets, stands_out, stands_out_locally, two_kinds
from .regions import Mask, Region, label, regions
from .resampling import Pixels, at_most, grow, resample, shrink

_SIDE = 640  # pixels a side are enough to find everything
_SMALL = 64  # in a smaller picture strokes are as wide as shadows
_LAYERS = 4  # of what may lie around the digit: a desk, the paper's edge, a frame
_CELLS = 100  # the ink is first looked for on a grid of at most this many cells a side


def find(pixels: Pixels) -> Pixels | None:
    """The ink of the digit, cut out, from 0 to 1; None if nothing stands out."""
    pixels = at_most(pixels, _SIDE)
    inside = np.ones(pixels.shape, bool)
    found = stands_out(pixels, inside) or _narrow(pixels)
    if found is None:
        return None
    for _ in range(_LAYERS):
        narrower = _narrower(pixels, inside, found)
        if narrower is None:
            break
        pixels, inside, found = narrower
    if found.mixed and min(pixels.shape) >= _SMALL and two_kinds(pixels[inside])[1] < 0.9:
        # Light, shadow and ink: three levels. Two alone are paper, and ink that was cropped to its edge.
        found = stands_out_locally(pixels, inside) or found
    ink = without_lines(found.ink, found.noise)
    ink = _without_margins(ink, inside, found.noise)
    ink[ink < 1e-4] = 0  # rounding errors of a sloping background must not widen the box
    return _crop(ink, found.noise > 0)


def _narrower(pixels: Pixels, inside: Mask, found: Found) -> tuple[Pixels, Mask, Found] | None:
    """The same for the sheet of paper within, if there is one and something is written on it."""
    for sheet in sheets(pixels, found.far, inside):
        sheet = shrink(sheet, max(1, round(0.01 * max(pixels.shape))))  # its blurred edge
        rows, columns = np.flatnonzero(sheet.any(axis=1)), np.flatnonzero(sheet.any(axis=0))
        if not len(rows):
            continue
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        written = stands_out(pixels[box], sheet[box])
        may_touch = bool(np.count_nonzero(sheet) >= 0.7 * np.count_nonzero(inside))  # the frame around it
        if written is not None and _is_written(written.ink, sheet[box], may_touch):
            return pixels[box], sheet[box], written
    return None


def _is_written(ink: Pixels, inside: Mask, may_touch: bool) -> bool:
    """Whether this is ink on paper: strokes are thin, leave most of it free, and lie within.

    The hole of a bold 0 is compact; half a sheet, where a line or a shadow crosses the digit, has ink at its edge.
    """
    marks = ink > 0.4
    if np.count_nonzero(marks) > 0.4 * np.count_nonzero(inside):
        return False
    largest = next(iter(regions(marks, 1)), None)
    if largest is None or max(largest.height, largest.width) < 0.08 * max(ink.shape):
        return False
    if not may_touch and (largest.mask & ~shrink(inside, 2)).any():
        return False
    solid = np.count_nonzero(largest.mask) / (largest.height * largest.width)
    slim = max(largest.height, largest.width) > 3.5 * min(largest.height, largest.width)
    return bool(slim or solid < 0.7)


def _narrow(pixels: Pixels) -> Found | None:
    """A 1 that was cropped to its ink: most of the border is ink, but at the corners there is background."""
    if max(pixels.shape) < 2.5 * min(pixels.shape):
        return None
    cut, share = two_kinds(pixels.ravel())
    light = pixels > cut
    corners = np.count_nonzero(light[[0, 0, -1, -1], [0, -1, 0, -1]])
    if share < 0.8 or corners == 2 or label(light == (corners < 2))[1] != 1:
        return None
    paper = np.median(pixels[light == (corners > 2)])
    ink = np.maximum(paper - pixels if corners > 2 else pixels - paper, 0)
    return Found(ink / ink.max(), 0.0, ink > cut)


def _without_margins(ink: Pixels, inside: Mask, noise: float) -> Pixels:
    """Take out what lies along the edge and is not the digit: a strip of the desk, a shadow, a neighbour's stroke.

    A digit that was cropped to its ink lies at the edge too, but it also reaches the middle.
    """
    found = regions(ink > max(0.15 * ink.max(), noise), max(2, round(0.08 * max(ink.shape))))
    edge = ~shrink(inside, 1)
    outer = [r for r in found if (r.mask & edge).any() and not _reaches_the_middle(r, inside)]
    rest = [r for r in found if not any(r is o for o in outer)]
    if not outer or not rest or (rest[0].mask & edge).any():
        return ink
    gone = np.any([r.mask for r in outer], axis=0)
    kept = grow(np.any([r.mask for r in rest], axis=0), 2)
    ink = ink.copy()
    ink[grow(gone, 2 + max(ink.shape) // 100) & ~kept] = 0
    return ink


def _reaches_the_middle(region: Region, inside: Mask) -> bool:
    height, width = inside.shape
    return bool(region.mask[height // 4 : height - height // 4, width // 4 : width - width // 4].any())


def _crop(ink: Pixels, noisy: bool) -> Pixels:
    """Cut out the box around the ink: first coarsely, where dust averages away, then exactly."""
    cell = max(1.0, max(ink.shape) / _CELLS)
    height, width = (max(1, round(size / cell)) for size in ink.shape)
    coarse = resample(ink, height, width)
    found = coarse > 0.15 * coarse.max()

    def around(hits: np.ndarray, size: int) -> slice:
        first, last = np.flatnonzero(hits)[[0, -1]]
        margin = 2 + (last - first) // 10  # for the faint rim of the strokes
        scale = size / len(hits)
        return slice(max(0, int((first - margin) * scale)), int((last + 1 + margin) * scale))

    ink = ink[around(found.any(axis=1), ink.shape[0]), around(found.any(axis=0), ink.shape[1])]
    tail = 0.003 if noisy else 0.0
    return ink[_span(ink.sum(axis=1), tail), _span(ink.sum(axis=0), tail)]


def _span(profile: Pixels, tail: float) -> slice:
    """Where the ink begins and ends, leaving the share `tail` of it outside at either end."""
    total = np.cumsum(profile, dtype=np.float64)
    first = np.searchsorted(total, tail * total[-1], side="right")
    last = np.searchsorted(total, (1 - tail) * total[-1], side="left")
    return slice(int(first), int(last) + 1)
