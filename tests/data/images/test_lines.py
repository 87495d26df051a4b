"""Printed lines by hand: which rows are lines, what is taken out, and when all is left as it is."""

import numpy as np
import pytest

from npdsconv.data.images import lines
from npdsconv.data.images.lines import without_lines


def test_runs():
    assert lines._runs(np.array([0, 1, 1, 0, 1], bool)) == [(1, 3), (4, 5)]
    assert lines._runs(np.array([1, 0], bool)) == [(0, 1)]
    assert lines._runs(np.zeros(3, bool)) == []
    assert lines._count(np.array([0, 0.2, 0.1, 0, 3])) == 2


def test_only_what_is_dark_and_thin_is_a_line():
    profile = np.array([0.0, 0.3, 0.5, 0, 0.1, 0, 0.4, 0.4, 0.4, 0, 0.2])
    np.testing.assert_array_equal(lines._thin(profile, 0.1, 2), [0, 0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.2])
    np.testing.assert_array_equal(lines._thin(profile, 0.25, 3), [0, 0.5, 0.5, 0, 0, 0, 0.4, 0.4, 0.4, 0, 0])


def test_rows_are_moved_without_coming_round():
    ink = np.arange(1.0, 7).reshape(3, 2)
    np.testing.assert_array_equal(lines._moved(ink, 1), [[0, 0], [1, 2], [3, 4]])
    np.testing.assert_array_equal(lines._moved(ink, -1), [[3, 4], [5, 6], [0, 0]])


def test_a_quarter_of_a_line_may_be_hidden():
    """Of 8 columns two may be light: the third lightest counts."""
    ink = np.zeros((5, 8))
    ink[2] = [0, 0, 0.3, 0.4, 1, 1, 1, 1]
    np.testing.assert_array_equal(lines._profile(ink, np.arange(8), 0.0), [0, 0, 0.3, 0, 0])


def test_a_profile_follows_a_slope_about_the_middle():
    ink = np.zeros((30, 40))
    for column in range(40):
        ink[15 + round(0.25 * (column - 20)), column] = 1
    profile = lines._profile(ink, np.arange(40), 0.25)
    assert profile[15] == 1
    assert profile.sum() == 1
    assert lines._profile(ink, np.arange(40), 0.0).sum() == 0


def ruled(size=100, digit=True, rows=(20, 50, 80), level=0.5, thick=1):
    page = np.zeros((size, size), np.float32)
    for row in rows:
        page[row : row + thick] = level
    if digit:
        page[30:75, 45:53] = 1
    return page


def test_ruled_paper():
    found = without_lines(ruled(), 0.0)
    np.testing.assert_array_equal(found, without_lines(ruled(rows=()), 0.0))
    np.testing.assert_array_equal(found, ruled(rows=()))
    np.testing.assert_array_equal(without_lines(ruled().T, 0.0), ruled(rows=()).T)
    squared = np.maximum(ruled(), ruled(digit=False).T)
    assert without_lines(squared, 0.0)[:, :40].max() == 0


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (ruled(39, rows=(20,)), "a small picture: a stroke may be as thin"),
        (ruled(digit=False), "nothing else would be left"),
        (ruled(thick=5), "5 of 100 rows: no line"),
        (ruled(level=0.03), "so faint that it does no harm"),
        (ruled(rows=()), "no line"),
    ],
)
def test_what_is_left_as_it_is(page, why):
    assert without_lines(page, 0.0) is page, why


def test_lines_fainter_than_noise_and_lines_of_two_rows():
    assert without_lines(ruled(level=0.3), 0.31) is not None
    assert without_lines(ruled(level=0.3), 0.31)[20, 0] == np.float32(0.3)
    assert without_lines(ruled(level=0.3), 0.29)[20, 0] == 0
    assert without_lines(ruled(thick=2), 0.0)[20:22, :40].max() == 0


def test_a_stroke_over_a_line_stays_and_the_gap_beside_it_closes():
    page = ruled(rows=(50,), level=0.5)
    page[50, 45:53] = 1  # darker by 2 than the line: a stroke
    page[50, 48] = 0.6  # hardly darker than the line: what is above and below it says that a stroke crosses
    lined = lines._lines(page, 0.0)[0]
    clean = lines._erase(page, lined, 0.0)
    assert clean[50, 10] == 0
    np.testing.assert_allclose(clean[50, 45:53], [1, 1, 1, 0.6, 1, 1, 1, 1])
    assert (page[50, 10], clean[51, 46]) == (0.5, 1)


@pytest.mark.parametrize(("dark", "share"), [(0.65, 0), (0.75, 0.5), (0.85, 1), (1.0, 1)])
def test_how_much_darker_than_a_line_a_stroke_is(dark, share):
    """From 1.3 times as dark to 1.7 times: between the two it counts in part."""
    page = np.zeros((60, 60), np.float32)
    page[30] = 0.5
    page[30, 7] = dark
    lined = np.zeros(60)
    lined[30] = 0.5
    np.testing.assert_allclose(lines._erase(page, lined, 0.0)[30, 7], dark * share, rtol=1e-5)


def plausible(rows=slice(20, 80), columns=slice(40, 60), dark=1.0, flat=3, upright=0):
    clean = np.zeros((100, 100))
    clean[rows, columns] = dark
    return lines._is_plausible(clean, np.ones((100, 100)), flat, upright)


def test_whether_the_rest_can_be_a_digit():
    assert plausible()
    assert not plausible(dark=0.25), "nearly all was line"
    assert plausible(dark=0.26)
    assert not plausible(slice(20, 25), slice(40, 45)), "5 of 100 pixels either way"
    assert plausible(slice(20, 26), slice(40, 45))
    assert plausible(slice(20, 25), slice(40, 46))
    assert plausible(columns=slice(0, 60)), "three lines are a ruled page"
    assert not plausible(columns=slice(0, 60), flat=1), "one line that goes on at one side alone: a stroke"
    assert not plausible(columns=slice(40, 100), flat=1)
    assert not plausible(columns=slice(14, 60), flat=1)
    assert plausible(columns=slice(15, 60), flat=1)
    assert plausible(columns=slice(40, 85), flat=1)
    assert not plausible(columns=slice(40, 86), flat=1)
    assert plausible(rows=slice(0, 80), flat=1)
    assert not plausible(rows=slice(0, 80), flat=0, upright=1)
    assert plausible(rows=slice(0, 80), columns=slice(0, 60), flat=1, upright=2)
