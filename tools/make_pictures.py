"""Make a folder of coloured pictures to try things on: `python tools/make_pictures.py FOLDER [--count 100] [--seed 0]`.

Three classes, discs, stripes and triangles, 100 files of each. Ground and figure have colours by chance, so that no
colour tells a class; place, size and angle are by chance too. There is noise; the files have many sizes, PNG and JPEG.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = ("disc", "stripes", "triangle")
Pixels = npt.NDArray[np.float64]


def figure(kind: str, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Where the figure is, (H,W) from 0 to 1."""
    radius = min(height, width) * rng.uniform(0.25, 0.45)
    middle = rng.uniform(radius, height - radius), rng.uniform(radius, width - radius)
    y, x = np.mgrid[:height, :width] + 0.5
    y, x = y - middle[0], x - middle[1]
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    if kind == "disc":
        inside = np.hypot(x, y) - radius
    elif kind == "stripes":
        wave = np.abs((across / (0.45 * radius)) % 1 - 0.5) - 0.25
        inside = np.maximum(wave * 0.45 * radius, np.maximum(np.abs(along), np.abs(across)) - radius)
    else:
        turns = np.array([0, 2, 4]) * np.pi / 3
        sides = [np.cos(turn) * along + np.sin(turn) * across for turn in turns]
        inside = np.max(sides, axis=0) - radius / 2
    return np.clip(0.5 - inside, 0, 1)


def picture(kind: str, rng: np.random.Generator) -> Image.Image:
    """One picture of a class."""
    height, width = rng.integers(64, 161, 2)
    ground, colour = rng.uniform(0, 255, (2, 3))
    while np.abs(ground - colour).sum() < 150:  # that one can see it
        colour = rng.uniform(0, 255, 3)
    shape = figure(kind, height, width, rng)[..., None]
    pixels = ground + (colour - ground) * shape + rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Make a folder of coloured pictures in three classes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100, help="files of each class (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    for kind in CLASSES:
        (args.folder / kind).mkdir(parents=True, exist_ok=True)
        for k in range(args.count):
            end = ("png", "jpg")[k % 2]
            picture(kind, rng).save(args.folder / kind / f"{kind}-{k:03}.{end}")


if __name__ == "__main__":
    main()
