"""Draw the README's figure: ``python docs/make_figures.py`` writes docs/figures/wiring.png."""

from pathlib import Path

from npdsconv import pictures
from npdsconv.plots import save

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    save(pictures.wiring(4, 6), FOLDER / "wiring.png")
    print(FOLDER / "wiring.png")


if __name__ == "__main__":
    main()
