"""From a picture of a digit, any size and any colours, to the 28x28 form in which MNIST has its digits.

MNIST's rule: scale the ink so that its longer side is 20 pixels, then put its centre of mass at pixel
(14, 14) of a 28x28 field. What comes before that is finding the ink: its background, its polarity, its place.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .batching import to_float

Pixels = npt.NDArray[np.floating]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""The file names that `list_images` takes from a folder."""

_FIELD, _BOX, _CENTRE = 28, 20, 14
_SUBPIXELS = 4  # strokes are measured and thickened on a grid this much finer than the result
_THIN = 1.5  # pixels; the 1st percentile of MNIST's own stroke widths
_CELLS = 100  # the ink is first looked for on a grid of at most this many cells a side


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """The picture files that `path` means: itself, or those directly in the folder, sorted by name."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"list_images: no file or folder {path}")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise FileNotFoundError(f"list_images: no picture in the folder {path} ({' '.join(SUFFIXES)})")
    return found


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Read a picture as brightness.

    Parameters
    ----------
    path : path
        PNG, PGM or anything else that Pillow reads: grey, colour, palette, 16 bits, with or without
        transparency. A photograph is turned upright by its EXIF tag. What is transparent takes the colour
        farthest from the ink.

    Returns
    -------
    (H,W) float32
        From 0, black, to 1, white.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not a picture, or is damaged.
    """
    from PIL import Image, ImageOps

    if not Path(path).is_file():
        raise FileNotFoundError(f"read_image: no file {path}")
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits, which Pillow's own conversion to 8 would clip
                return np.asarray(upright).astype(np.float32) / np.float32(65535)
            if "A" not in upright.getbands() and "transparency" not in upright.info:
                return to_float(np.asarray(upright.convert("L")))
            # By way of RGBA: Pillow converts every kind of transparency to that, but not to grey with alpha.
            pixels = to_float(np.asarray(upright.convert("RGBA").convert("LA")))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"read_image: {path} is not a picture that can be read: {error}") from error
    grey, alpha = pixels[..., 0], pixels[..., 1]
    ink_is_light = (grey * alpha).sum() > 0.5 * alpha.sum()
    return grey * alpha if ink_is_light else 1 - (1 - grey) * alpha


def prepare(picture: str | os.PathLike[str] | npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bring a picture of one digit into MNIST's form.

    Parameters
    ----------
    picture : path or (H,W) array
        A file, or brightness in any unit. Dark on light and light on dark are told apart by the border.

    Returns
    -------
    (28,28) uint8
        0 is background, 255 full ink.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, not a picture, or nothing but background in it.

    Notes
    -----
    The border shows the background, uneven light included, and its noise; what stands out no more than that
    is background too. Dust of a few pixels is left out of the box around the ink. Strokes thinner than
    MNIST's thinnest, as a one-pixel pencil draws them, are thickened to 1.5 pixels of the result.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/.
    """
    name = "array" if isinstance(picture, np.ndarray) else os.fspath(picture)
    pixels = picture if isinstance(picture, np.ndarray) else read_image(picture)
    if pixels.ndim != 2 or pixels.size == 0:
        raise ValueError(f"prepare: {name}: expected brightness of shape (H,W), found {pixels.shape}")
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError(f"prepare: {name}: some pixels are not finite")
    ink, noisy = _ink(pixels)
    if not ink.any():
        size = "x".join(map(str, pixels.shape))
        raise ValueError(f"prepare: {name}: blank: in {size} pixels nothing stands out from the border")
    return _centre(_scale(_crop(ink, noisy)))


def _ink(pixels: Pixels) -> tuple[Pixels, bool]:
    """Ink from 0 to 1 (all 0 if there is none), and whether the background is noisy."""
    edge = max(1, min(pixels.shape) // 20)
    border = np.ones(pixels.shape, bool)
    border[edge:-edge, edge:-edge] = False
    ink = pixels - _background(pixels, border)
    if -ink.min() > ink.max():
        ink = -ink
    # 3 sigma of normal noise is background; a peak under 6 sigma, or under 2 % of full scale, is no ink.
    noise = 3 * 1.4826 * np.median(np.abs(ink[border]))
    if ink.max() <= max(2 * noise, 0.02 * np.abs(pixels).max()):
        return np.zeros_like(pixels), False
    ink = np.maximum(ink - noise, 0) / (ink.max() - noise)
    ink[ink < 1e-4] = 0  # rounding errors of a sloping background must not widen the box
    return ink, bool(noise > 0)


def _background(pixels: Pixels, border: npt.NDArray[np.bool_]) -> Pixels | np.floating:
    """The brightness of the paper: one level or, in a photograph, a plane, because light comes from one side.

    Both have the least absolute deviations over the border, so that strokes that touch it do not count.
    """
    rows, columns = np.nonzero(border)
    some = slice(None, None, 1 + len(rows) // 4000)
    design = np.stack([np.ones_like(rows), rows, columns], axis=1)[some].astype(np.float32)
    design /= design.max(axis=0).clip(1)
    values = pixels[border][some]
    level = np.median(values)
    deviations = np.abs(values - level)
    if np.median(deviations) == 0:  # drawn, not photographed: most of the border is one exact level
        return level
    least = 1e-3 * deviations.max()
    for _ in range(10):  # least squares, each square divided by the last deviation
        root = 1 / np.sqrt(np.maximum(deviations, least))
        plane = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        deviations = np.abs(values - design @ plane)
    down, across = (np.linspace(0, 1, size, dtype=np.float32) for size in pixels.shape)
    return plane[0] + plane[1] * down[:, None] + plane[2] * across


def _crop(ink: Pixels, noisy: bool) -> Pixels:
    """Cut out the box around the ink: first coarsely, where dust averages away, then exactly."""
    cell = max(1.0, max(ink.shape) / _CELLS)
    height, width = (max(1, round(size / cell)) for size in ink.shape)
    coarse = _resample(ink, height, width)
    found = coarse > 0.15 * coarse.max()

    def around(hits: npt.NDArray[np.bool_], size: int) -> slice:
        first, last = np.flatnonzero(hits)[[0, -1]]
        margin = 2 + (last - first) // 10  # for the faint rim of the strokes
        scale = size / len(hits)
        return slice(max(0, int((first - margin) * scale)), int((last + 1 + margin) * scale))

    ink = ink[around(found.any(axis=1), ink.shape[0]), around(found.any(axis=0), ink.shape[1])]
    tail = 0.003 if noisy else 0.0
    return ink[_span(ink.sum(axis=1), tail), _span(ink.sum(axis=0), tail)]


def _span(profile: Pixels, tail: float) -> slice:
    """Where the ink begins and ends, leaving the share `tail` of it outside at either end."""
    total = np.cumsum(profile, dtype=np.float64)
    first = np.searchsorted(total, tail * total[-1], side="right")
    last = np.searchsorted(total, (1 - tail) * total[-1], side="left")
    return slice(int(first), int(last) + 1)


def _scale(ink: Pixels) -> Pixels:
    """Make the longer side 20 pixels and the darkest pixel 1; thicken thin strokes on the way."""
    factor = _BOX / max(ink.shape)
    height, width = (max(1, round(size * factor)) for size in ink.shape)
    fine = _resample(ink, _SUBPIXELS * height, _SUBPIXELS * width)
    fine /= fine.max()
    missing = round(_SUBPIXELS * _THIN - _stroke_width(fine))
    if missing > 0:
        fine = _dilate(fine, missing + 1)
    small = _resample(fine, height, width)
    return small / small.max()


def _centre(small: Pixels) -> npt.NDArray[np.uint8]:
    mass = small.sum()
    place = []
    for axis, size in enumerate(small.shape):
        centre = (small.sum(axis=1 - axis) * np.arange(size)).sum() / mass
        start = min(max(round(_CENTRE - centre), 0), _FIELD - size)  # all of it stays inside
        place.append(slice(start, start + size))
    field = np.zeros((_FIELD, _FIELD), np.uint8)
    field[tuple(place)] = np.round(255 * small)
    return field


def _stroke_width(ink: Pixels) -> float:
    """Mean stroke width in pixels: twice the area over the perimeter.

    Summed steps along rows and columns overstate the length of an edge, by 4/π over all directions.
    """
    padded = np.pad(ink, 1)
    steps = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
    return float(2 * ink.sum() / (steps * np.pi / 4))


def _dilate(ink: Pixels, size: int) -> Pixels:
    """The maximum over size x size windows; the result is size - 1 larger."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(ink, size - 1), (size, size))
    return windows.max(axis=(2, 3))


def _resample(image: Pixels, height: int, width: int) -> Pixels:
    """Average over the area that each new pixel covers: exact antialiasing, one matrix for each axis."""
    return _area_weights(image.shape[0], height) @ image @ _area_weights(image.shape[1], width).T


def _area_weights(old: int, new: int) -> Pixels:
    edges = np.linspace(0, old, new + 1)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0) * (new / old)).astype(np.float32)
