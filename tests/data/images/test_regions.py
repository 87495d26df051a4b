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
