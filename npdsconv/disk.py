"""Files, read and written so that nothing is half done: what is no file is refused, what is written is whole.

A pipe would let a reader wait for ever, and a device such as ``/dev/zero`` would fill the memory, so only regular files
are read, and only they are written over. What is written goes to a temporary file beside its place and takes that place
in one step: whoever is killed while writing leaves the old file, and a temporary one that `sweep` knows.
"""

import io
import os
import re
import stat
import warnings
import zipfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = [
    "LARGEST",
    "arrays",
    "is_there",
    "most_unpacked",
    "read",
    "regular",
    "replacing",
    "sweep",
    "user_cache",
]

LARGEST = 4 << 30  # bytes: more than any file of ours, and less than a machine's memory

_OTHERS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp")


def regular(where: str, path: str | os.PathLike[str]) -> Path:
    """`path`, if it is a file that has an end.

    Parameters
    ----------
    where : the name of the function that asks, for the errors

    Raises
    ------
    FileNotFoundError
        There is nothing of that name.
    OSError
        It cannot be looked at, is no file, or has more than `LARGEST` bytes.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: there is no file {os.fspath(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        kind = type(error) if isinstance(error, OSError) else OSError
        raise kind(f"{where}: cannot read {os.fspath(path)!r}: {_reason(error)}") from None
    if what := _other(status.st_mode):
        raise OSError(f"{where}: cannot read {os.fspath(path)}: it is {what}, not a file")
    if status.st_size > LARGEST:
        raise OSError(
            f"{where}: cannot read {os.fspath(path)}: it has {status.st_size:,} bytes, more than {LARGEST:,}"
        )
    return Path(path)


def read(where: str, path: str | os.PathLike[str]) -> bytes:
    """The content of a file; errors as for `regular`."""
    file = regular(where, path)
    try:
        return file.read_bytes()
    except OSError as error:
        raise type(error)(f"{where}: cannot read {file}: {_reason(error)}") from None


def most_unpacked(size: int) -> int:
    """How many bytes may come out of a packed file of `size` bytes: more than pictures ever do, MNIST's swell by 5."""
    return max(64 << 20, 50 * size)


def arrays(raw: bytes, *, packed: bool = False) -> dict[str, npt.NDArray[Any]]:
    """The arrays in the bytes of an ``.npz`` file, by name. Nothing that is pickled in it is taken out.

    Parameters
    ----------
    packed : whether its entries may be compressed; then they come to `most_unpacked` and no more

    Raises
    ------
    Exception
        zipfile and NumPy raise a dozen different types on broken bytes.
    """
    # Whole entries are read first, because zipfile compares the checksum (CRC-32) only at an entry's end: a
    # flipped bit in an array's shape could make NumPy stop before it.
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        _check_sizes(archive.infolist(), most_unpacked(len(raw)) if packed else len(raw), packed)
        entries = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of a header as Python 2 wrote it
        return {
            name: np.lib.format.read_array(io.BytesIO(entry), allow_pickle=False)
            for name, entry in entries.items()
        }


def _check_sizes(entries: list[zipfile.ZipInfo], most: int, packed: bool) -> None:
    """What is not compressed lies side by side, and cannot swell."""
    if not packed and any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("an entry is compressed")
    if sum(entry.file_size for entry in entries) > most or len({e.filename for e in entries}) < len(entries):
        raise ValueError("its entries are more than the file has room for")


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file to write to; when all is written and on the disk, it takes the place of `target` in one step.

    Raises
    ------
    OSError
        It cannot be written, or what is there is a device, a pipe or a folder; what is there is left as it is.
    """
    if target.exists() and (what := _other(target.stat().st_mode)):
        raise OSError(f"it is {what}, not a file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # also after Ctrl-C; nothing to do once it has become the target


def is_there(path: Path) -> bool:
    """Whether there is anything of that name; False too where it cannot be looked at."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def user_cache() -> Path:
    """The folder in the user's cache for what this package keeps.

    Raises
    ------
    OSError
        The system knows no home folder for the user.
    """
    from platformdirs import user_cache_path

    folder = user_cache_path("npdsconv")
    if not folder.is_absolute():  # the name of the home folder stays "~" where nobody knows it
        raise OSError("there is no home folder: set HOME or XDG_CACHE_HOME")
    return folder


def sweep(folder: Path, names: Container[str]) -> None:
    """Remove the temporary files that `replacing` left for these names when a process was killed.

    Those of a process that is alive are left alone: it may be writing.
    """
    for path in folder.glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found["name"] in names and not _alive(int(found["pid"])) and path.is_file():
            path.unlink(missing_ok=True)


def _other(mode: int) -> str:
    """What something is that is no regular file; empty if it is one."""
    return next((what for test, what in _OTHERS.items() if test(mode)), "")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # there, asking would end the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
