"""Figures: what can be read in them. Figures of costs and of measurements are tested with those."""

import numpy as np
import pytest
from matplotlib import colormaps

from npdsconv import plots


def luminance(colour):
    """Relative luminance of an RGB colour, as WCAG 2.1 defines it."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ["Oranges", "viridis", "gray"])
def test_ink_is_what_stands_out_more(name):
    for value in np.linspace(0, 1, 101):
        cell = colormaps[name](value)
        white, black = contrast(cell, (1, 1, 1)), contrast(cell, (0, 0, 0))
        assert plots._ink(cell) == ("white" if white > black else "black")
        assert max(white, black) > 4.5, "the least that is readable"


def test_numbers_of_a_confusion_matrix_can_be_read_on_the_palest_and_the_darkest_cell():
    matrix = np.array([[90, 1, 12], [0, 80, 30], [6, 0, 70]])
    (axis,) = plots.confusion(matrix, title="here").axes
    (image,) = axis.images
    texts = {t.get_position(): t for t in axis.texts}
    assert {(i, j): t.get_text() for (j, i), t in texts.items()} == {
        (i, j): str(matrix[i, j]) for i, j in np.argwhere(matrix > 0)
    }
    assert texts[2, 1].get_color() == "white", "the most errors: the darkest cell"
    assert texts[1, 0].get_color() == "black"
    for (j, i), text in texts.items():
        ink = float(text.get_color()) if i == j else {"white": 1, "black": 0}[text.get_color()]
        assert contrast((ink,) * 3, image.to_rgba(image.get_array()[i, j])) > 4.5
    assert "49 errors in 289" in axis.get_title()


def test_classes_with_names_are_named_on_both_axes(tmp_path):
    names = ["cost $5", "10 $ and $", "\u732b"]  # no formula, and no sign that the font has
    figure = plots.confusion(np.diag([3, 4, 5]), title="here", names=names)
    (axis,) = figure.axes
    for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == names
    plots.save(figure, tmp_path / "a.png")
    many = plots.confusion(np.eye(60, dtype=int), names=[str(k) for k in range(60)])
    assert min(many.get_size_inches()) > 2 * min(figure.get_size_inches())


def test_pictures_are_drawn_in_their_colours():
    red = np.zeros((3, 3, 8, 6), np.uint8)
    red[:, 0] = 255
    figure = plots.digits(red, ["a $ b $", "c", "d"], rows=1, columns=3)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array()[0, 0], [255, 0, 0])
    assert figure.axes[0].get_title() == "a $ b $"
