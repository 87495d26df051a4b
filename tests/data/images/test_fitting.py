"""MNIST's form by hand: the box of 20 pixels, the strokes, the centre of mass."""

import numpy as np
import pytest

from npdsconv.data.images import fitting


def test_the_longer_side_becomes_20_pixels():
    for shape, scaled in (
        ((40, 40), (20, 20)),
        ((60, 30), (20, 10)),
        ((30, 60), (10, 20)),
        ((100, 1), (20, 1)),
    ):
        assert fitting._scale(np.ones(shape)).shape == scaled
    np.testing.assert_allclose(fitting._scale(np.full((50, 50), 0.3)), np.ones((20, 20)), rtol=1e-5)


def test_the_stroke_width_is_twice_the_area_over_the_perimeter():
    """A square of side s: area s², summed steps 4s; π/4 of these are taken for the length of the edge."""
    for size in (4, 8):
        np.testing.assert_allclose(fitting._stroke_width(np.ones((size, size))), 2 * size / np.pi, rtol=1e-12)
    np.testing.assert_allclose(
        fitting._stroke_width(np.ones((2, 100))), 200 * 2 / (204 * np.pi / 4), rtol=1e-12
    )


def test_the_centre_of_mass_comes_to_pixel_14():
    dot = np.zeros((5, 7), np.float32)
    dot[1, 5] = 1
    dot[3, 5] = 0.5
    field = fitting._centre(dot)
    assert field.shape == (28, 28)
    rows, columns = np.nonzero(field)
    # Mass at row 5/3: the array begins at row round(14 - 5/3) = 12; column 5: at 9.
    assert (rows.tolist(), columns.tolist()) == ([13, 15], [14, 14])
    assert (field[13, 14], field[15, 14]) == (255, 128)


@pytest.mark.parametrize(
    ("at", "start"), [((0, 0), (8, 8)), ((19, 19), (0, 0)), ((0, 19), (8, 0)), ((12, 2), (2, 8))]
)
def test_all_of_the_ink_stays_inside(at, start):
    ink = np.zeros((20, 20), np.float32)
    ink[at] = 1
    field = fitting._centre(ink)
    assert np.argwhere(field).tolist() == [[start[0] + at[0], start[1] + at[1]]]


def test_a_dark_crossing_does_not_pale_the_rest():
    """Nine of ten inked pixels are as dark as the rest of the stroke: that becomes 0.99 of full ink."""
    ink = np.full((20, 20), 0.5, np.float32)
    ink[9:11, 9:11] = 1
    small = fitting._scale(ink)
    np.testing.assert_allclose(small[0, 0], 0.99, rtol=1e-5)
    assert small.max() == 1
