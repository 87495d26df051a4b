"""The paper: how bright it is, and where it lies if the picture shows more than the paper.

The border of what is looked at shows the background, uneven light included. Where a desk or a frame is around
the paper, the border shows that: then the paper itself stands out, as a solid four-sided region with marks in
it. A digit is none: it is made of strokes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .regions import Mask, Region, fill, hull, rectangularity, regions
from .resampling import Pixels, shrink

_FOUR_SIDED = 0.86  # a sheet seen a little from the side; an ellipse has 0.79
_SHEET = 0.3  # of the longer side of the picture, at least, is the shorter side of a sheet
_SOLID = 0.5  # of a sheet, at least, is paper: the rest is ink, which is a hole in it
_STROKE = 0.2  # of the shorter side: what is as wide is no stroke
_STANDS_OUT = 0.15  # of the strongest difference


class Found(NamedTuple):
    """What stands out: `ink` (0 where nothing does), its `noise`, `far`, where it differs either way; and `mixed`.

    `mixed` says that the border has two kinds of background, such as light and shadow.
    """

    ink: Pixels
    noise: float
    far: Mask
    mixed: bool = False


def stands_out(pixels: Pixels, inside: Mask) -> Found | None:
    """What differs from the background that the border of `inside` shows; None if nothing does.

    3 sigma of normal noise is background; a peak under 6 sigma, or under 2 % of full scale, is no ink.
    """
    border = inside & ~shrink(inside, max(1, min(pixels.shape) // 20))
    background, mixed = _background(pixels, border)
    ink = np.where(inside, pixels - background, 0)
    if -ink.min() > ink.max():
        ink = -ink
    noise = 3 * 1.4826 * float(np.median(np.abs(ink[border])))
    peak = float(ink.max())
    if peak <= max(2 * noise, 0.02 * float(np.abs(pixels).max())):
        return None
    far = np.abs(ink) > max(noise, _STANDS_OUT * peak)
    return Found(np.maximum(ink - noise, 0) / (peak - noise), noise / (peak - noise), far, mixed)


def stands_out_locally(pixels: Pixels, inside: Mask) -> Found | None:
    """The same beside what lies around each pixel: for strokes that cross from light into shadow.

    The background is the picture without anything as narrow as a stroke (its morphological closing, or opening
    where the ink is light): edges of large shadows stay, and so take themselves out.
    """
    low, high = np.percentile(pixels[inside], [1, 99])
    dark = -1 if np.median(pixels[inside]) < (low + high) / 2 else 1
    size = max(3, round(_STROKE * min(pixels.shape)))
    ground = np.where(
        inside, dark * pixels, dark * pixels[inside].min() if dark > 0 else -pixels[inside].max()
    )
    closed = -_largest(-_largest(ground, size), size)
    ink = np.where(inside, closed - dark * pixels, 0)
    if (
        dark > 0 and closed.max() > 0
    ):  # ink keeps back a share of the light, so as a share it is as dark in shadow
        ink /= np.maximum(closed / closed.max(), 0.1)
    ink -= np.median(ink[inside])
    noise = 4 * 1.4826 * float(np.median(np.abs(ink[inside])))
    peak = float(ink.max())
    if peak <= 2 * noise:
        return None
    return Found(np.maximum(ink - noise, 0) / (peak - noise), noise / (peak - noise), ink > noise)


def _largest(pixels: Pixels, size: int) -> Pixels:
    """The largest value around each pixel, as far as the picture goes."""
    for axis in (0, 1):
        before = size // 2
        width = [(before, size - 1 - before) if axis == k else (0, 0) for k in (0, 1)]
        padded = np.pad(pixels, width, mode="edge")
        pixels = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis).max(axis=-1)
    return pixels


def sheets(pixels: Pixels, far: Mask, inside: Mask) -> Iterator[Mask]:
    """The parts of `inside` that may be a sheet of paper, or the inside of a frame.

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
        least = _SHEET * max(mask.shape)
        for region in regions(mask, round(least)):
            if min(region.height, region.width) < least:
                continue
            whole = hull(region.mask)
            if _is_sheet(region.mask, whole, inside):
                yield whole
            elif (hole := _framed(region, mask, least)) is not None:
                yield hole


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


def _background(pixels: Pixels, border: Mask) -> tuple[Pixels | np.floating, bool]:
    """The brightness of the paper, one level or, in a photograph, a plane, because light comes from one side.

    The second result says whether the border has two kinds of background, of which the larger is then taken.

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
        return level, False
    least = 1e-3 * deviations.max()
    for _ in range(10):  # least squares, each square divided by the last deviation
        root = 1 / np.sqrt(np.maximum(deviations, least))
        plane = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        deviations = np.abs(values - design @ plane)
    down, across = (np.linspace(0, 1, size, dtype=np.float32) for size in pixels.shape)
    return plane[0] + plane[1] * down[:, None] + plane[2] * across, not chosen.all()


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
