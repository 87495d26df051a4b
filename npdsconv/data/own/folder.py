"""A folder of pictures for each class."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from npdsconv import disk, text
from npdsconv.data.dataset import Dataset
from npdsconv.data.images import SUFFIXES, image_size, picture

from . import parts

WHERE = "from_folder"
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
LARGEST = 64
"""Pixels a side, where no size is asked for: larger pictures are made smaller, so that a CPU learns in minutes."""

Classes = dict[str, list[Path]]


def from_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    test: float = 0.2,
    seed: int = 0,
    skip_bad: bool = False,
) -> Dataset:
    """A data set of pictures of one's own: a folder for each class, with its pictures in it.

    Parameters
    ----------
    path : path
        Holds the class folders, or ``train`` and ``test`` (or ``val``) which hold them. Classes are called as their
        folders, in sorted order. Pictures are of any size and kind that Pillow reads; names that begin with a dot,
        and files that are no pictures, are passed over.
    size : int or (height, width), optional
        Of all images: each picture is made smaller or larger with its sides in proportion and put in the middle; what
        is left free is 0. By default the size of the pictures, if they are all of one size up to 64 pixels a side;
        otherwise a square, as large as the middle one of their longer sides, and at most 64.
    channels : 1 or 3, optional
        Grey or colours. By default 1 if all pictures are grey, else 3.
    test : float
        Share of each class that is kept apart to measure with, where there is no test folder.
    seed : int
        Which pictures these are.
    skip_bad : bool
        Leave out pictures that cannot be read, and those that lie beside the class folders; `notes` names them.

    Returns
    -------
    Dataset
        Its `notes` say what one should know: what was left out, test pictures that are also learned from.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such folder.
    ValueError
        It holds no class folders, or one alone; a class without pictures, or with too few for a test part; a picture
        that cannot be read, or that lies beside the class folders.
    """
    asked = parts.checked(WHERE, size, channels, test, seed, skip_bad)
    root = Path(os.path.expanduser(path))
    learn, measure, strays = _halves(root)
    if strays and not skip_bad:
        raise ValueError(
            f"{WHERE}: {strays[0]} lies beside the folders of the classes, and belongs to none of them"
            f"{f'; so do {len(strays) - 1} more' if strays[1:] else ''}; skip_bad passes over such pictures"
        )
    halves = [half for half in (learn, measure) if half is not None]
    bad: list[Path] = []
    files = [file for half in halves for found in half.values() for file in found]
    shape = asked.size or _usual_size(files, asked, bad)
    read = [_read(half, shape, asked, bad) for half in halves]
    if asked.channels is None and all(_is_grey(images) for images, _ in read):
        read = [(images[:, :1], names) for images, names in read]
    notes = [
        f"left out, for they {why}: {text.few([str(path) for path in sorted(paths)])}"
        for why, paths in (("belong to no class", set(strays)), ("cannot be read", set(bad)))
        if paths
    ]
    return parts.dataset(
        WHERE, root.resolve().name, asked, read[0], read[1] if read[1:] else None, None, notes
    )


def class_folders(root: Path) -> list[Path]:
    """The folders in a folder, without the hidden ones."""
    found = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))]
    return sorted(found, key=lambda p: p.name)


def pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder, without the hidden ones."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    return sorted((p for p in found if p.is_file()), key=lambda p: p.name)


def _halves(root: Path) -> tuple[Classes, Classes | None, list[Path]]:
    """The pictures to learn from and those to measure with, by class, and those that belong to no class."""
    if not disk.is_there(root):
        raise FileNotFoundError(f"{WHERE}: there is no folder {root}")
    if not root.is_dir():
        raise NotADirectoryError(f"{WHERE}: {root} is a file, not a folder with a folder for each class")
    folders = class_folders(root)
    train, test = (_half(folders, names) for names in (TRAIN, TEST))
    if train is None or test is None:
        return _classes(root), None, pictures(root)
    if others := [f.name for f in folders if f.name.lower() not in (*TRAIN, *TEST)]:
        halves = f"{train.name} and {test.name}"
        raise ValueError(
            f"{WHERE}: {root} has {halves}, and beside them {text.few(others)}: put each class into {halves}"
        )
    return _classes(train), _classes(test), [p for folder in (root, train, test) for p in pictures(folder)]


def _half(folders: Iterable[Path], names: Sequence[str]) -> Path | None:
    """The folder of one half, by the first of these names; a class may be called so too, and has pictures directly."""
    by_name = {folder.name.lower(): folder for folder in folders if class_folders(folder)}
    return next((by_name[name] for name in names if name in by_name), None)


def _classes(root: Path) -> Classes:
    found = {folder.name: pictures(folder) for folder in class_folders(root)}
    if not found:
        there = len(pictures(root))
        raise ValueError(
            f"{WHERE}: {root} has no class folders: it must hold a folder for each class, with the pictures of that "
            f"class in it; {f'{there:,} pictures lie directly in it' if there else 'there are no pictures in it'}"
        )
    for name, files in found.items():
        if not files:
            inner = [f.name for f in class_folders(root / name)]
            kinds = " ".join(suffix[1:] for suffix in SUFFIXES)
            raise ValueError(
                f"{WHERE}: class folder {root / name} has no pictures ({kinds})"
                f"{f'; there are folders in it, {text.few(inner)}: is {root / name} meant?' if inner else ''}"
            )
    return found


def _usual_size(files: Iterable[Path], asked: parts.Asked, bad: list[Path]) -> tuple[int, int]:
    """The size of all pictures if they have one, and it is small; else a square as large as they are, but small."""
    sizes = []
    for file in files:
        try:
            sizes.append(image_size(file))
        except (ValueError, OSError) as error:
            _refused(file, error, asked, bad)
    if not sizes:
        raise ValueError(f"{WHERE}: none of the pictures can be read, such as {bad[0]}")
    if len(set(sizes)) == 1 and max(sizes[0]) <= LARGEST:
        return sizes[0]
    side = min(LARGEST, int(np.median([max(size) for size in sizes])))
    return side, side


def _read(
    half: Classes, size: tuple[int, int], asked: parts.Asked, bad: list[Path]
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """All pictures of a half as images (N,C,H,W), and the class of each."""
    images: list[npt.NDArray[np.uint8]] = []
    names: list[str] = []
    for name, file in _bar([(name, file) for name, files in half.items() for file in files]):
        try:
            images.append(picture(file, (asked.channels or 3, *size)))
        except (ValueError, OSError) as error:
            _refused(file, error, asked, bad)
        else:
            names.append(name)
    if empty := [name for name in half if name not in names]:
        raise ValueError(
            f"{WHERE}: none of the pictures of class {empty[0]!r} can be read, such as {half[empty[0]][0]}"
        )
    return np.stack(images), names


def _bar(pairs: list[tuple[str, Path]]) -> Iterable[tuple[str, Path]]:
    """A bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    quiet = sys.stderr is None or not sys.stderr.isatty()
    return tqdm(pairs, desc="reading", unit="picture", leave=False, disable=quiet, dynamic_ncols=True)


def _refused(file: Path, error: Exception, asked: parts.Asked, bad: list[Path]) -> None:
    if not asked.skip_bad:
        said = str(error).removeprefix("read_image: ")
        raise ValueError(f"{WHERE}: {said}; skip_bad leaves out such pictures") from None
    bad.append(file)


def _is_grey(images: npt.NDArray[np.uint8]) -> bool:
    return bool((images[:, 1:] == images[:, :1]).all())
