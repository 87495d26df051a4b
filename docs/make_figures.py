"""Draw the figures of the README and of the pages: ``python docs/make_figures.py`` writes docs/figures/*.png."""

from pathlib import Path

import drawings

from npdsconv import pictures
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


def main() -> None:
    folder = HERE / "figures"
    folder.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        save(draw(), folder / f"{name}.png")
        print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
