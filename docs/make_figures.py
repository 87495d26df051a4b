"""Draw the figures and films of the README and of the pages.

``python docs/make_figures.py`` writes docs/figures/*.png and docs/_static/animations/*.html.
"""

from pathlib import Path

import drawings
import numpy as np

from npdsconv.lessons import pictures
from npdsconv.lessons.pictures.animate import col2im_film, im2col_film
from npdsconv.plots import ratio_curves, save

HERE = Path(__file__).parent
FIGURES = {
    "wiring": lambda: pictures.wiring(4, 6),
    "three_contractions": drawings.three_contractions,
    "output_size": drawings.output_size,
    "memory_order": drawings.memory_order,
    "ratio": lambda: ratio_curves([1, 2, 4, 8, 16, 32, 64, 128, 256]),
    "roofline": drawings.roofline,
    "house": drawings.house,
    "walk": drawings.walk,
}
X = np.array([[1.0, 2, 0, 3], [4, 1, 2, 0], [0, 3, 1, 2], [2, 0, 4, 1]])
W = np.array([[1.0, 2], [-1, 3]])
DY = np.array([[1.0, 2, 0], [3, -1, 1], [2, 0, 4]])
FILMS = {
    "im2col": lambda: im2col_film(X, W),
    "im2col_stride": lambda: im2col_film(X, W, stride=2, padding=1),
    "col2im": lambda: col2im_film(DY, W, X.shape),
    "col2im_by_tap": lambda: col2im_film(DY, W, X.shape, by="tap"),
}


def main() -> None:
    folder = HERE / "figures"
    folder.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        save(draw(), folder / f"{name}.png")
        print(folder / f"{name}.png")
    folder = HERE / "_static" / "animations"
    folder.mkdir(parents=True, exist_ok=True)
    for name, shoot in FILMS.items():
        (folder / f"{name}.html").write_text(shoot().html(), encoding="ascii")
        print(folder / f"{name}.html")


if __name__ == "__main__":
    main()
