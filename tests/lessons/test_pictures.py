"""Pictures for the lessons write the numbers they stand for."""

import matplotlib
import matplotlib.pyplot
import numpy as np

from npdsconv.lessons import pictures


def texts_of(figure):
    return [text.get_text() for ax in figure.axes for text in (ax.title, *ax.texts)]


def test_pictures_write_the_numbers_they_stand_for_and_leave_no_open_figure():
    matplotlib.use("Agg")
    image, kernel = np.arange(1.0, 13).reshape(3, 4), np.array([[0.0, -2, 1]])
    assert "0·1 − 2·2 + 1·3 = −1" in texts_of(pictures.sliding(image, kernel))
    assert "x (3, 4) → y (2, 2)" in texts_of(pictures.geometries(image, (1, 3), {"s": {"stride": (2, 1)}}))[0]
    assert {"cols  (3, 6)", "F"} <= set(texts_of(pictures.im2col_matrix(image, kernel)))
    assert "depthwise\nK×K on every line\n6 lines" in texts_of(pictures.wiring(3, 4, multiplier=2))
    assert "−14" in texts_of(pictures.scatter(np.array([[7.0, 0]] * 3), kernel, (3, 4)))
    assert texts_of(pictures.counts({"reads": image}))[-1] == "12"
    assert not matplotlib.pyplot.get_fignums()
