"""Paper by its parts: two kinds of brightness, the background, what stands out, what is a sheet."""

import numpy as np
import pytest

from npdsconv.data.images import paper
from npdsconv.data.images.paper import stands_out, stands_out_locally, two_kinds
from npdsconv.data.images.regions import regions


def test_two_kinds_by_hand():
    """1 1 1 5 5: cut in the middle of the gap, and nothing is left within. 0 2 8 10: 4 of 68 is left."""
    assert two_kinds(np.array([5.0, 1, 1, 5, 1])) == (3, pytest.approx(1))
    cut, share = two_kinds(np.array([0.0, 2, 8, 10]))
    assert (cut, share) == (5, pytest.approx(64 / 68))
    cut, share = two_kinds(np.array([0.0, 0, 0, 6]))
    assert (cut, share) == (3, pytest.approx(1))
    assert two_kinds(np.full(5, 7.0)) == (7, 0)
    assert two_kinds(np.array([1e6, 1e6 + 1e-1])) != (1e6, 0)
    assert two_kinds(1e6 + 1e-7 * np.arange(9))[1] == 0, "rounding"
    assert two_kinds(np.linspace(0, 1, 1001))[1] == pytest.approx(0.75, abs=1e-3)


def test_the_larger_of_two_kinds():
    np.testing.assert_array_equal(paper._larger_part(np.array([1.0, 9, 1, 1])), [True, False, True, True])
    np.testing.assert_array_equal(paper._larger_part(np.array([1.0, 9, 9, 9])), [False, True, True, True])
    np.testing.assert_array_equal(paper._larger_part(np.array([1.0, 9, 9, 1])), [True, False, False, True])
    assert paper._larger_part(np.linspace(0, 1, 50)).all()


def border_of(shape, width=1):
    border = np.ones(shape, bool)
    border[width:-width, width:-width] = False
    return border


def test_a_background_of_one_level_or_of_a_plane():
    drawn = np.full((20, 30), 0.7)
    drawn[0, :9] = 0.2  # ink that touches the border
    level, mixed = paper._background(drawn, border_of((20, 30)))
    assert (float(level), mixed) == (0.7, False)
    y, x = np.mgrid[:20, :30]
    lit = (0.5 + 0.2 * y / 19 - 0.3 * x / 29).astype(np.float32)
    touched = lit.copy()
    touched[0, :9] -= 0.1
    found, mixed = paper._background(touched, border_of((20, 30)))
    np.testing.assert_allclose(found, lit, atol=1e-3)
    assert mixed is False


def test_of_two_kinds_of_background_the_larger_is_taken():
    noise = 0.001 * np.random.default_rng(0).standard_normal((20, 30))
    half = noise + np.where(np.arange(30) < 18, 0.8, 0.3)
    found, mixed = paper._background(half.astype(np.float32), border_of((20, 30)))
    assert mixed is True
    np.testing.assert_allclose(found, np.full((20, 30), 0.8), atol=0.01)


def spot(ink=0.2, ground=0.8, noise=0.0):
    picture = np.full((60, 80), ground) + noise * np.random.default_rng(1).standard_normal((60, 80))
    picture[25:35, 30:40] += ink - ground
    return picture.astype(np.float32)


@pytest.mark.parametrize(("ink", "ground"), [(0.2, 0.8), (0.8, 0.2)])
def test_what_stands_out_is_ink_from_0_to_1(ink, ground):
    found = stands_out(spot(ink, ground), np.ones((60, 80), bool))
    expected = np.zeros((60, 80))
    expected[25:35, 30:40] = 1
    np.testing.assert_allclose(found.ink, expected, atol=1e-6)
    np.testing.assert_array_equal(found.far, expected > 0)
    assert (found.noise, found.mixed) == (0, False)


@pytest.mark.parametrize(("ink", "seen"), [(0.78, True), (0.79, False)])
def test_less_than_two_hundredths_of_full_scale_are_no_ink(ink, seen):
    """0.8 is the brightest here: a hundredth is 0.008."""
    assert (stands_out(spot(ink), np.ones((60, 80), bool)) is not None) is seen


@pytest.mark.parametrize(("sigmas", "seen"), [(4.5, False), (9.0, True)])
def test_ink_stands_out_from_noise_by_six_sigmas(sigmas, seen):
    picture = spot(0.8, 0.8, noise=0.01)
    picture[28:32, 33:37] = 0.8 - 0.01 * sigmas
    border = np.ones((60, 80), bool)
    picture[5:-5, 5:-5] = np.where(
        np.abs(picture - 0.8) > 0.02 * sigmas / 4.5, picture, np.clip(picture, 0.78, 0.82)
    )[5:-5, 5:-5]
    assert (stands_out(picture, border) is not None) is seen


def test_ink_of_one_strength_in_light_and_in_shadow():
    picture = np.where(np.arange(120) < 75, 0.9, 0.45) * np.ones((105, 120))
    picture[40:43, 20:100] *= 0.4
    found = stands_out_locally(picture.astype(np.float32), np.ones((105, 120), bool))
    assert found.ink[41, 30] == pytest.approx(1, abs=0.02)
    assert found.ink[41, 90] == pytest.approx(1, abs=0.02)
    assert found.ink[10:30].max() == found.ink[60:90].max() == 0
    np.testing.assert_array_equal(np.flatnonzero(found.far.any(axis=1)), [40, 41, 42])
    light = stands_out_locally((1 - picture).astype(np.float32), np.ones((105, 120), bool))
    assert light.ink[41, 30] > 0.5
    assert stands_out_locally(np.full((50, 50), 0.5, np.float32), np.ones((50, 50), bool)) is None


@pytest.mark.parametrize(("size", "reach"), [(3, (1, 1)), (4, (2, 1)), (5, (2, 2))])
def test_the_largest_around_each_pixel(size, reach):
    before, after = reach
    picture = np.zeros((12, 13))
    picture[6, 5] = 3
    expected = np.zeros_like(picture)
    expected[6 - after : 7 + before, 5 - after : 6 + before] = 3
    np.testing.assert_array_equal(paper._largest(picture, size), expected)
    np.testing.assert_array_equal(paper._largest(-np.ones((5, 6)), size), -np.ones((5, 6)))


def sheet(rows=slice(20, 80), columns=slice(20, 70)):
    mask = np.zeros((100, 100), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "is_one"),
    [
        (sheet(), True),
        (np.ones((100, 100), bool), False),  # all of it: the paper itself
        (sheet(slice(0, 100), slice(0, 99)), True),
        (sheet() & (np.add.outer(np.arange(100), np.arange(100)) < 105), False),  # five-sided
        (sheet() & (np.arange(100) % 2 < 1), False),  # a comb: half is free, and nothing is enclosed
    ],
)
def test_what_is_a_sheet(mask, is_one):
    whole = paper.hull(mask)
    assert paper._is_sheet(mask, whole, np.ones((100, 100), bool)) is is_one


def test_what_is_written_on_a_sheet_is_a_hole_in_it_but_no_more_than_half():
    written = sheet()
    written[30:70, 30:60] = False  # 1,200 of 3,000 pixels
    assert paper._is_sheet(written, sheet(), np.ones((100, 100), bool))
    written[25:75, 22:60] = False  # 1,900
    assert not paper._is_sheet(written, sheet(), np.ones((100, 100), bool))


def test_the_inside_of_a_frame():
    frame = sheet(slice(5, 95), slice(5, 95)) & ~sheet(slice(8, 92), slice(8, 92))
    mark = sheet(slice(40, 60), slice(45, 55))
    (outer, *_) = regions(frame | mark, 30)
    hole = paper._framed(outer, frame | mark, 30.0)
    np.testing.assert_array_equal(hole, sheet(slice(8, 92), slice(8, 92)))
    assert paper._framed(outer, frame, 30.0) is None, "nothing is in it"
    dot = frame | sheet(slice(40, 45), slice(45, 50))
    assert paper._framed(outer, dot, 30.0) is None, "a dot of 5 pixels is no digit: 0.2 of 30 are 6"
    assert paper._framed(outer, frame | sheet(slice(40, 46), slice(45, 50)), 30.0) is not None
    assert paper._framed(regions(sheet(), 1)[0], mark, 30.0) is None, "there is no hole"
