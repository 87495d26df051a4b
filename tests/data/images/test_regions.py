"""Connected regions against SciPy's, holes, hulls and rectangles."""

import numpy as np
import pytest

from npdsconv.data.images import regions as module
from npdsconv.data.images.regions import fill, hull, label, rectangularity, regions

rng = np.random.default_rng(4)
SHAPES = [(40, 53), (1, 9), (7, 1), (90, 130)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("corners", [True, False])
def test_labels_are_scipys_but_for_their_order(shape, share, corners):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = rng.random(shape) < share
    mine, count = label(mask, corners=corners)
    theirs, expected = ndimage.label(mask, np.ones((3, 3)) if corners else None)
    assert count == expected
    np.testing.assert_array_equal(mine > 0, mask)
    pairs = set(zip(mine.ravel().tolist(), theirs.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
def test_fill_is_scipys(share):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = rng.random((60, 45)) < share
    np.testing.assert_array_equal(fill(mask), ndimage.binary_fill_holes(mask))


def test_regions_have_boxes_and_know_the_edge():
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:15] = True
    mask[12:20, 25:28] = True
    mask[1, 1] = True
    first, second = regions(mask, 3)
    assert (first.rows, first.columns, first.at_edge) == (slice(3, 9), slice(4, 15), False)
    assert (second.height, second.width, second.at_edge) == (8, 3, True)
    assert first.mask.sum() == 66
    assert regions(np.zeros((4, 5), bool), 1) == []


def test_only_the_largest_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 2)
    mask = np.zeros((3, 30), bool)
    mask[1, ::3] = True
    assert len(regions(mask, 1)) == 2


def test_hull():
    mask = np.zeros((9, 12), bool)
    mask[[1, 1, 7], [2, 8, 5]] = True
    expected = np.zeros_like(mask)
    for row, left, right in [
        (1, 2, 8),
        (2, 2.5, 7.5),
        (3, 3, 7),
        (4, 3.5, 6.5),
        (5, 4, 6),
        (6, 4.5, 5.5),
        (7, 5, 5),
    ]:
        expected[row, int(np.ceil(left)) : int(right) + 1] = True
    np.testing.assert_array_equal(hull(mask), expected)


@pytest.mark.parametrize("degrees", [0, 20, 45, 77])
def test_rectangularity(degrees):
    y, x = np.mgrid[-80:81, -80:81]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along, across = c * x + s * y, c * y - s * x
    assert rectangularity((abs(along) < 60) & (abs(across) < 35)) > 0.93
    ellipse = rectangularity((along / 60) ** 2 + (across / 35) ** 2 < 1)
    assert abs(ellipse - np.pi / 4) < 0.03


@pytest.mark.parametrize(
    ("rows", "columns", "at_edge"),
    [
        (slice(0, 2), slice(3, 5), True),
        (slice(6, 8), slice(3, 5), True),
        (slice(3, 5), slice(0, 2), True),
        (slice(3, 5), slice(7, 9), True),
        (slice(1, 7), slice(1, 8), False),
    ],
)
def test_each_of_the_four_edges(rows, columns, at_edge):
    mask = np.zeros((8, 9), bool)
    mask[rows, columns] = True
    (region,) = regions(mask, 1)
    assert (region.rows, region.columns, region.at_edge) == (rows, columns, at_edge)


def test_the_longer_side_decides_and_the_largest_box_comes_first():
    mask = np.zeros((20, 20), bool)
    mask[1, 1:6] = True  # 1 x 5
    mask[4:8, 1:3] = True  # 4 x 2
    mask[12:15, 10:13] = True  # 3 x 3
    assert [(r.height, r.width) for r in regions(mask, 3)] == [(3, 3), (4, 2), (1, 5)]
    assert [(r.height, r.width) for r in regions(mask, 4)] == [(4, 2), (1, 5)]
    assert [(r.height, r.width) for r in regions(mask, 5)] == [(1, 5)]


def test_labels_by_hand():
    mask = np.array([[1, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 1]], bool)
    numbers, count = label(mask)
    assert count == 3
    assert numbers[0, 0] == numbers[0, 3] == numbers[1, 2]
    assert len({numbers[0, 0], numbers[2, 0], numbers[3, 3]}) == 3
    assert label(mask, corners=False)[1] == 5


def test_rectangles_of_whole_pixels_are_exactly_one():
    for shape in ((1, 1), (3, 8), (7, 2)):
        mask = np.pad(np.ones(shape, bool), 2)
        np.testing.assert_allclose(rectangularity(mask), 1, rtol=1e-12)
