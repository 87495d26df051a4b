"""The ink by its parts: what is written, what reaches the middle, a cropped 1, margins, and where the ink ends."""

import numpy as np
import pytest

from npdsconv.data.images import ink
from npdsconv.data.images.regions import regions


def region(shape, rows, columns):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return regions(mask, 1)[0]


@pytest.mark.parametrize(
    ("rows", "columns", "reaches"),
    [
        (slice(0, 2), slice(0, 12), False),
        (slice(0, 3), slice(0, 12), True),
        (slice(6, 8), slice(0, 12), False),
        (slice(5, 8), slice(0, 12), True),
        (slice(0, 8), slice(0, 3), False),
        (slice(0, 8), slice(0, 4), True),
        (slice(0, 8), slice(9, 12), False),
        (slice(0, 8), slice(8, 12), True),
    ],
)
def test_the_middle_is_the_inner_half_of_both_sides(rows, columns, reaches):
    """Of 8 x 12 pixels: rows 2 to 5, columns 3 to 8."""
    inside = np.ones((8, 12), bool)
    assert ink._reaches_the_middle(region((8, 12), rows, columns), inside) is reaches


@pytest.mark.parametrize(("tail", "first", "last"), [(0.0, 1, 5), (0.05, 2, 4), (0.3, 3, 3)])
def test_a_span_leaves_a_share_of_the_ink_outside_at_either_end(tail, first, last):
    profile = np.array([0.0, 4, 16, 60, 16, 4, 0])
    assert ink._span(profile, tail) == slice(first, last + 1)


def test_the_box_around_the_ink_is_exact_without_noise():
    picture = np.zeros((300, 400), np.float32)
    picture[100:161, 50:71] = 1
    picture[160, 200] = 1
    cut = ink._crop(picture, noisy=False)
    assert cut.shape[0] == 61
    np.testing.assert_array_equal(cut[:, :21], np.ones((61, 21)))
    dusty = picture.copy()
    dusty[2, 2] = 1
    np.testing.assert_array_equal(ink._crop(dusty, noisy=False), cut), "one pixel of 160,000 averages away"
    assert ink._crop(picture, noisy=True).shape == (61, 21)


def stroke(height=100, width=100, thick=8, length=60):
    page = np.zeros((height, width), np.float32)
    page[20 : 20 + length, 40 : 40 + thick] = 1
    return page


def written(marks, may_touch=False, inside=None):
    return ink._is_written(marks, np.ones(marks.shape, bool) if inside is None else inside, may_touch)


def test_what_is_ink_on_paper():
    assert written(stroke())
    assert written(stroke(thick=17)), "60 x 17: more than 3.5 times as long as wide"
    assert not written(stroke(thick=18)), "solid and not slim"
    assert not written(0.39 * stroke()), "too faint"
    assert written(0.41 * stroke())
    assert not written(0 * stroke()), "nothing"
    assert written(stroke(thick=1, length=8)), "8 of 100 pixels"
    assert not written(stroke(thick=1, length=7)), "too small"
    assert written(stroke().T)
    ell = stroke(thick=30, length=40)
    ell[25:55, 40:62] = 0
    assert written(ell), "not slim, but less than 0.7 of its box"
    ell[25:30, 40:62] = 1
    assert np.count_nonzero(ell) > 0.5 * 40 * 30
    bold = ell.copy()
    bold[20:60, 40:70] = 1
    bold[30:50, 45:62] = 0
    assert np.count_nonzero(bold) > 0.7 * 40 * 30
    assert not written(bold)


def test_ink_covers_at_most_four_tenths_of_the_paper():
    stripes = np.zeros((100, 100), np.float32)
    stripes[2:-2, 2:-2:10] = 1
    for k in range(3):
        stripes[2:-2, 3 + k : -2 : 10] = 1
    assert np.count_nonzero(stripes) <= 4000
    assert written(stripes)
    stripes[2:-2, 6:-2:10] = 1
    assert np.count_nonzero(stripes) > 4000
    assert not written(stripes)


@pytest.mark.parametrize(("first", "within"), [(0, False), (1, False), (2, True), (3, True)])
def test_ink_lies_within_by_two_pixels_unless_it_may_touch(first, within):
    page = np.zeros((100, 100), np.float32)
    page[first : first + 60, 40:48] = 1
    assert written(page) is within
    assert written(page, may_touch=True)


def test_a_one_that_was_cropped_to_its_ink():
    """Most of the border is ink; the background shows at the corners."""
    one = np.full((50, 20), 0.1)
    one[:6, :8] = one[-6:, 12:] = one[:3, 18:] = 0.9
    found = ink._narrow(one)
    np.testing.assert_allclose(found.ink[20, 10], 1)
    np.testing.assert_allclose(found.ink[0, 0], 0, atol=1e-12)
    assert (found.noise, found.mixed) == (0, False)
    light = ink._narrow(1 - one)
    np.testing.assert_allclose(light.ink, found.ink)
    assert ink._narrow(one.T) is not None
    assert ink._narrow(one[:, :20].repeat(2, axis=1)) is None, "40 x 50: too wide"
    assert ink._narrow(one[:49]) is None, "less than 2.5 times as long as wide"
    two = np.full((50, 20), 0.1)
    two[:6, :8] = two[-6:, 12:] = 0.9
    assert ink._narrow(two) is None, "two corners of either kind: nobody can say which is paper"
    assert ink._narrow(np.linspace(0, 1, 1000).reshape(50, 20)) is None, "no two kinds"
    spots = one.copy()
    spots[30, 10] = 0.9
    assert ink._narrow(spots) is not None


def test_strips_at_the_edge_are_taken_out_and_a_digit_that_reaches_the_middle_is_not():
    page = np.zeros((100, 120), np.float32)
    page[30:70, 50:58] = 1
    inside = np.ones(page.shape, bool)
    with_strip = page.copy()
    with_strip[:, :9] = 0.6
    np.testing.assert_array_equal(ink._without_margins(with_strip, inside, 0.0), page)
    np.testing.assert_array_equal(with_strip[:, :9], np.float32(0.6), "the argument stays as it is")
    faint = page.copy()
    faint[:, :9] = 0.14
    np.testing.assert_array_equal(ink._without_margins(faint, inside, 0.0), faint)
    across = page.copy()
    across[:60, 20:24] = 1
    across[:80, 60:66] = 1
    assert ink._without_margins(across, inside, 0.0) is across, "one reaches the middle from the edge"
    alone = np.zeros_like(page)
    alone[:, :9] = 1
    assert ink._without_margins(alone, inside, 0.0) is alone, "nothing else would be left"
