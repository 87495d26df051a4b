"""Areas, maxima and masks by hand."""

import numpy as np
import pytest

from npdsconv.data.images.resampling import at_most, dilate, grow, resample, shrink


def test_each_new_pixel_is_the_mean_of_what_it_covers():
    row = np.array([[1.0, 2, 4]])
    np.testing.assert_allclose(resample(row, 1, 1), [[7 / 3]], rtol=1e-6)
    np.testing.assert_allclose(resample(row, 1, 2), [[(1 + 1) / 1.5, (1 + 4) / 1.5]], rtol=1e-6)
    np.testing.assert_allclose(resample(row, 2, 6), [[1, 1, 2, 2, 4, 4]] * 2, rtol=1e-6)
    np.testing.assert_allclose(resample(np.array([[1.0, 3], [5, 7], [9, 11]]), 1, 2), [[5, 7]], rtol=1e-6)
    np.testing.assert_allclose(resample(row.T, 2, 1), [[4 / 3], [10 / 3]], rtol=1e-6)


def test_only_a_picture_that_is_longer_is_made_smaller():
    """By one factor: 8 x 6 to 4 x 3; a side never goes below one pixel."""
    image = np.arange(48.0).reshape(8, 6)
    np.testing.assert_allclose(at_most(image, 4), resample(image, 4, 3))
    np.testing.assert_allclose(at_most(image.T, 4), resample(image.T, 3, 4))
    assert at_most(image, 8) is image
    assert at_most(image, 100) is image
    assert at_most(image, 7).shape == (7, 5)
    assert at_most(np.ones((40, 1)), 10).shape == (10, 1)
    assert at_most(np.ones((1, 40)), 10).shape == (1, 10)


def test_maxima_of_windows():
    spot = np.zeros((3, 4))
    spot[1, 2] = 5
    np.testing.assert_array_equal(dilate(spot, 1), spot)
    grown = np.zeros((4, 5))
    grown[1:3, 2:4] = 5
    np.testing.assert_array_equal(dilate(spot, 2), grown)
    grown = np.zeros((5, 6))
    grown[1:4, 2:5] = 5
    np.testing.assert_array_equal(dilate(spot, 3), grown)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_masks_grow_and_shrink_by_their_reach(reach):
    mask = np.zeros((9, 11), bool)
    mask[4, 5] = True
    square = np.zeros_like(mask)
    square[4 - reach : 5 + reach, 5 - reach : 6 + reach] = True
    np.testing.assert_array_equal(grow(mask, reach), square)
    assert grow(mask, reach).shape == mask.shape
    corner = np.zeros_like(mask)
    corner[0, 0] = True
    assert np.count_nonzero(grow(corner, reach)) == (reach + 1) ** 2
    if reach:
        np.testing.assert_array_equal(shrink(square, reach), mask)
        assert not shrink(mask, reach).any()


def test_what_lies_at_the_pictures_edge_shrinks_there_too():
    inner = np.zeros((6, 7), bool)
    inner[1:-1, 1:-1] = True
    np.testing.assert_array_equal(shrink(np.ones((6, 7), bool), 1), inner)
