"""Picture files: which there are, and one of them as brightness or in its colours."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from npdsconv import disk, text
from npdsconv.data.batching import to_float

from .colour import brightness, on_paper

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
"""The file names that `list_images` takes from a folder."""

_SIDE = 2000  # pixels: a larger picture is reduced by a whole factor, to this or a little more
_MEGAPIXELS = (
    170  # that are decoded: half a gigabyte as colours. A JPEG is reduced by up to 8 while it is decoded
)
_ORIENTATION = 0x0112  # the tag of EXIF that says how the camera was held
_Found = TypeVar("_Found")
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """The picture files that `path` means: itself, or those directly in the folder, sorted by name."""
    path = Path(path)
    if not disk.is_there(path):
        raise FileNotFoundError(f"list_images: no file or folder {path}")
    if not path.is_dir():
        return [disk.regular("list_images", path)]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise FileNotFoundError(f"list_images: no picture in the folder {path} ({' '.join(SUFFIXES)})")
    return found


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Read a picture as brightness.

    Parameters
    ----------
    path : path
        PNG, JPEG, TIFF or anything else that Pillow reads: grey, colour, palette, 16 bits, floating point, with
        or without transparency; HEIC where the package pillow-heif is installed. A photograph is turned upright
        by its EXIF tag. Where a page is opaque, what is transparent takes its colour; where there is only ink,
        the colour farthest from it.

    Returns
    -------
    (H,W) float32
        From 0, black, to 1, white: luma, or where two colours have almost the same luma, the mixture of red,
        green and blue that keeps them apart. A picture of more than 4,000 pixels a side is reduced.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        It is a folder, a pipe or a device, or cannot be read.
    ValueError
        The file is not a picture, is damaged, or has too many pixels.
    """
    colour, alpha = _read(path, _SIDE)
    return colour if colour.ndim == 2 else brightness(colour, alpha)


def read_colours(path: str | os.PathLike[str], side: int = _SIDE) -> npt.NDArray[np.float32]:
    """Read a picture as red, green and blue; files, transparency and errors as of `read_image`.

    Parameters
    ----------
    side : so many pixels a side are enough: a picture of more than twice as many is reduced by a whole factor

    Returns
    -------
    (H,W,3) float32
        From 0 to 1; a grey picture has three equal channels.
    """
    colour, alpha = _read(path, side)
    if colour.ndim == 2:
        return np.repeat(np.clip(colour, 0, 1)[..., None], 3, axis=2)
    return colour if alpha is None else on_paper(colour, alpha)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture, upright, from the head of its file; errors as of `read_image`."""
    width, height = _told(path, _size)
    return height, width


class _Read(NamedTuple):
    """A picture: brightness (H,W) or colours (H,W,3), mostly from 0 to 1, and how opaque it is."""

    colour: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32] | None


def _read(path: str | os.PathLike[str], side: int) -> _Read:
    def opened(picture: Any) -> _Read:
        from PIL import ImageOps

        _check_size(path, picture, side)
        return _pixels(ImageOps.exif_transpose(picture), side)

    return _told(path, opened)


def _told(path: str | os.PathLike[str], look: Callable[[Any], _Found]) -> _Found:
    """What `look` finds in the picture of a file, or one clear error."""
    disk.regular("read_image", path)
    try:
        if _is_heic(path):
            _prepare_for_heic(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a file that can be read none the less
            return _opened(path, look)
    except Exception as error:  # Pillow raises a dozen different types on broken bytes
        if str(error).startswith("read_image: "):
            raise
        reason = text.reason(error)
        raise ValueError(f"read_image: {path} is not a picture that can be read: {reason}") from error


def _opened(path: str | os.PathLike[str], look: Callable[[Any], _Found]) -> _Found:
    from PIL import Image

    with _no_limit(Image):
        picture = Image.open(path)
    with picture:
        if picture.format == "EPS":
            raise ValueError("it is a program in PostScript, which is not run here")
        return look(picture)


def _size(picture: Any) -> tuple[int, int]:
    lies_on_its_side = picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
    width, height = picture.size
    return (height, width) if lies_on_its_side else (width, height)


@contextlib.contextmanager
def _no_limit(image: Any) -> Iterator[None]:
    """Open files of any size: Pillow's own limit would refuse a JPEG before it can be told to reduce it."""
    before, image.MAX_IMAGE_PIXELS = image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        image.MAX_IMAGE_PIXELS = before


def _check_size(path: str | os.PathLike[str], picture: Any, side: int) -> None:
    """Let a JPEG reduce itself; refuse what would still take too much memory. Nothing is decoded here."""
    width, height = picture.size
    picture.draft(None, (side, side))
    pixels = picture.size[0] * picture.size[1]
    if pixels > _MEGAPIXELS * 1e6:
        raise ValueError(
            f"read_image: {path} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; at most "
            f"{_MEGAPIXELS} are read: make it smaller, {_SIDE} pixels a side are plenty, or save it as JPEG"
        )


def _pixels(picture: Any, side: int) -> _Read:
    mode = picture.mode
    if mode.startswith("I"):  # 16 bits, which Pillow's own conversion to 8 would clip
        return _Read(np.asarray(picture).astype(np.float32) / np.float32(65535), None)
    if mode == "F":
        return _Read(_to_unit(np.asarray(picture)), None)
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    # By way of RGBA: Pillow converts every kind of transparency to that.
    plain = picture.convert("RGBA" if transparent else "L" if mode in ("1", "L") else "RGB")
    longest: int = max(plain.size)
    pixels = to_float(np.asarray(plain.reduce(max(1, longest // side))))
    if pixels.ndim == 2:
        return _Read(pixels, None)
    return _Read(pixels[..., :3], pixels[..., 3] if transparent else None)


def _to_unit(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Floating-point pixels by the smallest usual scale that holds them: to 1, to 255, to 65535, or their own."""
    if not np.isfinite(values).all():
        bad = np.count_nonzero(~np.isfinite(values))
        raise ValueError(f"{bad} of its {values.size} pixels are not finite")
    low, high = float(values.min()), float(values.max())
    for full in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= full:
            return np.divide(values, full, dtype=np.float32)
    return np.divide(values - low, max(high - low, 1e-30), dtype=np.float32)


def _is_heic(path: str | os.PathLike[str]) -> bool:
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIC


def _prepare_for_heic(path: str | os.PathLike[str]) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ValueError(
            f"read_image: {path} is a HEIC picture, which Pillow reads with the package pillow-heif alone: "
            f"pip install pillow-heif, or save the picture as JPEG"
        ) from None
    pillow_heif.register_heif_opener()
