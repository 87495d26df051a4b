"""Connected regions of a mask: what hangs together, what it encloses, and how nearly it is a rectangle."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class Region(NamedTuple):
    """One connected region: its mask, its box, and whether it reaches the edge of the picture."""

    mask: Mask
    rows: slice
    columns: slice
    at_edge: bool

    @property
    def height(self) -> int:
        return self.rows.stop - self.rows.start

    @property
    def width(self) -> int:
        return self.columns.stop - self.columns.start


def regions(mask: Mask, at_least: int) -> list[Region]:
    """The connected regions (sides and corners) whose box has a side of `at_least` pixels, largest box first."""
    labels, count = label(mask)
    rows, columns = np.nonzero(mask)
    found = labels[rows, columns] - 1
    low = np.full((2, count), max(mask.shape, default=0))
    high = np.full((2, count), -1)
    for axis, place in enumerate((rows, columns)):
        np.minimum.at(low[axis], found, place)
        np.maximum.at(high[axis], found, place)
    sides = high - low + 1
    edge = (low.min(axis=0) == 0) | (high[0] == mask.shape[0] - 1) | (high[1] == mask.shape[1] - 1)
    order = np.argsort(-sides.prod(axis=0), kind="stable")
    return [
        Region(
            labels == k + 1,
            slice(int(low[0, k]), int(high[0, k]) + 1),
            slice(int(low[1, k]), int(high[1, k]) + 1),
            bool(edge[k]),
        )
        for k in order[:_MOST]
        if sides[:, k].max() >= at_least
    ]


_MOST = 50  # regions that are looked at: a digit and what lies around it are among the largest


def label(mask: Mask, *, corners: bool = True) -> tuple[npt.NDArray[np.int64], int]:
    """Number the connected regions from 1; 0 is outside. Returns the numbers and how many there are.

    A row is a list of runs. Runs of neighbouring rows that touch (with `corners` also at a corner) belong
    together; every run takes the smallest number it can reach, over all links at once, until nothing changes.
    """
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    row, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[1]  # exclusive
    a, b = _links(row * (mask.shape[1] + 2), first, last, mask.shape[1] + 2, corners)
    root = np.arange(len(row))
    while True:
        before = root.copy()
        least = np.minimum(root[a], root[b])
        np.minimum.at(root, root[a], least)
        np.minimum.at(root, root[b], least)
        root = root[root]
        if np.array_equal(root, before):
            break
    names, number = np.unique(root, return_inverse=True)
    labels = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int64)
    np.add.at(labels, (row, first), number + 1)
    np.add.at(labels, (row, last), -(number + 1))
    return labels.cumsum(axis=1)[:, :-1], len(names)


def _links(
    row: npt.NDArray[np.intp],
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
    width: int,
    corners: bool,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of runs, one in a row and one in the row below, that touch; `row` counts in steps of `width`."""
    starts, ends = row + first, row + last  # both ascend
    low = np.searchsorted(ends, starts + width, side="left" if corners else "right")
    high = np.searchsorted(starts, ends + width, side="right" if corners else "left")
    counts = np.maximum(high - low, 0)
    a = np.repeat(np.arange(len(row)), counts)
    b = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    return a, b


def fill(mask: Mask) -> Mask:
    """The mask with its holes: all that cannot be reached from the edge of the picture without crossing it."""
    outside = ~np.pad(mask, 1)
    labels, _ = label(outside, corners=False)
    return (labels != labels[0, 0])[1:-1, 1:-1]


def hull(mask: Mask) -> Mask:
    """The smallest convex shape around the mask, in whole pixels."""
    rows, first, last = _ends(mask)
    left, right = _convex(rows, first), -_convex(rows, -last)
    columns = np.arange(mask.shape[1])
    whole = np.zeros_like(mask)
    whole[rows[0] : rows[-1] + 1] = (columns >= np.ceil(left - 1e-6)[:, None]) & (
        columns <= np.floor(right + 1e-6)[:, None]
    )
    return whole


def _convex(x: npt.NDArray[np.intp], y: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """The largest convex function below the points, at every whole x (Andrew's monotone chain)."""
    chain: list[tuple[int, int]] = []
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        while len(chain) > 1 and (chain[-1][1] - chain[-2][1]) * (px - chain[-1][0]) >= (
            py - chain[-1][1]
        ) * (chain[-1][0] - chain[-2][0]):
            chain.pop()
        chain.append((px, py))
    return np.interp(np.arange(x[0], x[-1] + 1), *np.transpose(chain))


def rectangularity(mask: Mask) -> float:
    """Area over that of the smallest rectangle around it, at any angle: 1 for a rectangle, π/4 for an ellipse."""
    rows, first, last = _ends(mask)
    rows, columns = np.concatenate([rows, rows]), np.concatenate([first, last])
    angles = np.radians(np.arange(0, 90, 3))[:, None]
    along = np.cos(angles) * columns + np.sin(angles) * rows
    across = np.cos(angles) * rows - np.sin(angles) * columns
    thick = np.abs(np.cos(angles)) + np.abs(np.sin(angles))  # a pixel is a square, not a point
    boxes = (np.ptp(along, axis=1) + thick[:, 0]) * (np.ptp(across, axis=1) + thick[:, 0])
    return float(np.count_nonzero(mask) / boxes.min())


def _ends(mask: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The rows that have pixels, and the first and last pixel of each."""
    rows = np.flatnonzero(mask.any(axis=1))
    return rows, mask[rows].argmax(axis=1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
