"""MNIST's files under the names that other tools give them, and what a file is that is not MNIST's."""

from pathlib import Path
from typing import Any

import numpy.typing as npt

from npdsconv import text

from . import idx

_ROOMS = ("", "raw", "MNIST/raw", "mnist/raw", "MNIST", "mnist")  # as torchvision and others nest them
_SHOWN = 6  # of the files that are in a folder, in an error


def find(folder: Path, name: str) -> Path:
    """The file of MNIST that is called `name` in its original form, in a folder or where other tools put it there.

    ``train-images-idx3-ubyte`` is also found as ``train-images.idx3-ubyte``, each plain or as .gz, in a folder
    of its own name, and in ``raw`` or ``MNIST/raw``. What is found is told from other data by its checksum.

    Raises
    ------
    FileNotFoundError
        There is none; the message says what there is.
    """
    rooms = [folder / room for room in _ROOMS if (folder / room).is_dir()]
    for room in rooms:
        for path in (room / name, room / f"{name}.gz", *_alike(room, name)):
            if path.is_file():
                return path
    there = sorted({path.name for room in rooms for path in room.iterdir() if path.is_file()})
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    found = f"; files there: {', '.join(there[:_SHOWN])}{more}" if there else "; there are no files in it"
    raise FileNotFoundError(f"load: {folder} has neither {name} nor {name}.gz{found}")


def _alike(room: Path, name: str) -> list[Path]:
    """Files of that name written with other marks between its words, or in a folder of that name."""
    alike = [path for path in sorted(room.iterdir()) if words(path.name) == words(name)]
    return [*alike, *(inner for path in alike if path.is_dir() for inner in sorted(path.iterdir()))]


def words(name: str) -> str:
    """A file's name with a hyphen between all its words, and without .gz."""
    return name.lower().removesuffix(".gz").replace(".", "-").replace("_", "-")


def what_it_is(on_disk: bytes, raw: bytes) -> str:
    """What a file is that is not the one of MNIST that it should be, as a part of a sentence.

    Parameters
    ----------
    on_disk : its bytes
    raw : the same, decompressed if they were gzipped
    """
    head = raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:200]
    size = f"{len(on_disk):,} bytes"
    if head[:1] == b"<":
        start = text.one_line(head.decode("ascii", "replace").split(">")[0][:40])
        return (
            f"{size}, begins with {start}: a web page, not an IDX file; the download failed, fetch it again"
        )
    if head.startswith(b"version https://git-lfs"):
        return f"{size}, a pointer of Git LFS and not the file itself: run git lfs pull"
    if head.startswith(b"PK\x03\x04"):
        return f"{size}, a zip archive: unpack it"
    if not raw:
        return f"{size}, empty"
    try:
        array = idx.decode(raw, "")
    except ValueError as error:
        return f"{size}, damaged or no IDX file: {str(error).removeprefix('read_idx: : ')}"
    return _well_formed(array)


def _well_formed(array: npt.NDArray[Any]) -> str:
    shape = "x".join(map(str, array.shape))
    said = (
        f"well-formed, but not MNIST: {array.dtype} {shape}, of another data set (such as Fashion-MNIST) or "
        f"with damaged elements. To train on it: npdsconv train --folder, or data.from_path"
    )
    if array.ndim == 3 and looks_transposed(array):
        said += "; its images lie on their side, as those of EMNIST do: images.transpose(0, 2, 1) sets them upright"
    return said


def looks_transposed(images: npt.NDArray[Any]) -> bool:
    """Whether images (N,H,W) of handwritten characters have rows and columns exchanged, as in the files of EMNIST.

    Characters are taller than wide, and have an empty border; of other pictures (clothes) nothing is said.
    """
    some = images[:: 1 + len(images) // 2000] > 0
    border = some[:, [0, -1]].any(axis=(1, 2)) | some[:, :, [0, -1]].any(axis=(1, 2))
    if not some.any() or border.mean() > 0.05:
        return False
    height, width = some.any(axis=2).sum(axis=1).mean(), some.any(axis=1).sum(axis=1).mean()
    return bool(width > 1.1 * height)
