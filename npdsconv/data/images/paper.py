"""The paper: how bright it is, and where it lies if the picture shows more than the paper.

The border of what is looked at shows the background, uneven light included. Where a desk or a frame is around
the paper, the border shows that: then the paper itself stands out, as a solid four-sided region with marks in
it. A digit is none: it is made of strokes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .regions import Mask, Region, fill, hull, rectangularity, regions
from .resampling import Pixels, shrink

_FOUR_SIDED = 0.86  # a sheet seen a little from the side; an ellipse has 0.79
_SHEET = 0.3  # of the longer side of the picture, at least, is the shorter side of a sheet
_SOLID = 0.5  # of a sheet, at least, is paper: the rest is ink, which is a hole in it
_STANDS_OUT = 0.15  # of the strongest difference


class Found(NamedTuple):
    """What stands out: `ink` (0 where nothing does), its `noise`, and `far`, where it differs either way."""

    ink: Pixels
    noise: float
    far: Mask


def stands_out(pixels: Pixels, inside: Mask) -> Found | None:
    """What differs from the background that the border of `inside` shows; None if nothing does.

    3 sigma of normal noise is background; a peak under 6 sigma, or under 2 % of full scale, is no ink.
    """
    border = inside & ~shrink(inside, max(1, min(pixels.shape) // 20))
    ink = np.where(inside, pixels - _background(pixels, border), 0)
    if -ink.min() > ink.max():
        ink = -ink
    noise = 3 * 1.4826 * float(np.median(np.abs(ink[border])))
    peak = float(ink.max())
    if peak <= max(2 * noise, 0.02 * float(np.abs(pixels).max())):
        return None
    far = np.abs(ink) > max(noise, _STANDS_OUT * peak)
    return Found(np.maximum(ink - noise, 0) / (peak - noise), noise / (peak - noise), far)


def sheet(pixels: Pixels, far: Mask, inside: Mask) -> Mask | None:
    """The part of `inside` that is a sheet of paper, or the inside of a frame; None if there is none.

    Parameters
    ----------
    pixels : brightness
    far : what differs from the background that the border shows
    inside : what is looked at
    """
    cut, share = two_kinds(pixels[inside][:: 1 + np.count_nonzero(inside) // 20000])
    light = pixels > cut
    # Some of a desk with a grain is as far from its mean as the paper is: then light and dark tell more.
    for mask in (far, light & inside, ~light & inside)[: 3 if share > 0.8 else 1]:
        found = _sheet(mask, inside)
        if found is not None:
            return found
    return None


def _sheet(far: Mask, inside: Mask) -> Mask | None:
    least = _SHEET * max(far.shape)
    for region in regions(far, round(least)):
        if min(region.height, region.width) < least:
            continue
        whole = hull(region.mask)
        if _is_sheet(region.mask, whole, inside):
            return whole
        if (hole := _framed(region, far, least)) is not None:
            return hole
    return None


def _is_sheet(mask: Mask, whole: Mask, inside: Mask) -> bool:
    """Whether a region is a sheet of outline `whole`; ink may cut into a sheet that is almost all of the picture."""
    area, of = np.count_nonzero(whole), np.count_nonzero(inside)
    return bool(
        _SOLID * area <= np.count_nonzero(mask)
        and area < 0.995 * of
        and rectangularity(whole) >= _FOUR_SIDED
        and (area >= 0.75 * of or np.count_nonzero(fill(mask)) >= 0.9 * area)
    )


def _framed(region: Region, far: Mask, least: float) -> Mask | None:
    """The largest hole of a region, if it is four-sided and something of a digit's size is in it."""
    holes = regions(fill(region.mask) & ~region.mask, round(least))
    if not holes:
        return None
    hole = fill(holes[0].mask)
    marks = [r for r in regions(far & hole, round(0.2 * least)) if not (r.mask & region.mask).any()]
    return hole if marks and rectangularity(hole) >= _FOUR_SIDED else None


def _background(pixels: Pixels, border: Mask) -> Pixels | np.floating:
    """The brightness of the paper: one level or, in a photograph, a plane, because light comes from one side.

    Both have the least absolute deviations over the border, so that strokes that touch it do not count.
    """
    rows, columns = np.nonzero(border)
    some = slice(None, None, 1 + len(rows) // 4000)
    design = np.stack([np.ones_like(rows), rows, columns], axis=1)[some].astype(np.float32)
    design /= np.array([1, max(pixels.shape[0] - 1, 1), max(pixels.shape[1] - 1, 1)], np.float32)
    values = pixels[border][some]
    chosen = _larger_part(values)
    design, values = design[chosen], values[chosen]
    level = np.median(values)
    deviations = np.abs(values - level)
    if np.median(deviations) == 0:  # drawn, not photographed: most of the border is one exact level
        return level
    least = 1e-3 * deviations.max()
    for _ in range(10):  # least squares, each square divided by the last deviation
        root = 1 / np.sqrt(np.maximum(deviations, least))
        plane = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        deviations = np.abs(values - design @ plane)
    down, across = (np.linspace(0, 1, size, dtype=np.float32) for size in pixels.shape)
    return plane[0] + plane[1] * down[:, None] + plane[2] * across


def _larger_part(values: Pixels) -> npt.NDArray[np.bool_]:
    """Which values are of the larger of two kinds, such as paper and desk; all, where there are no two kinds."""
    cut, share = two_kinds(values)
    low = values <= cut
    return np.ones(len(values), bool) if share < 0.9 else low == (2 * np.count_nonzero(low) >= len(values))


def two_kinds(values: Pixels) -> tuple[float, float]:
    """The cut between dark and light that explains most of the variance, and the share that it explains.

    Evenly spread values, as on paper lit from one side, come to 0.75; two levels to 1.

    References
    ----------
    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man, and
    Cybernetics 9(1), 1979.
    """
    ordered = np.sort(values.astype(np.float64))
    total = ordered.var() * len(ordered)
    if total <= 1e-12 * max(1.0, float(np.abs(ordered).max()) ** 2) * len(ordered):
        return float(ordered[-1]), 0.0
    n = np.arange(1, len(ordered))
    below = np.cumsum(ordered)[:-1]
    mean = ordered.mean()
    between = (below - n * mean) ** 2 * len(ordered) / (n * (len(ordered) - n))
    k = int(between.argmax())
    return float((ordered[k] + ordered[k + 1]) / 2), float(between[k] / total)
