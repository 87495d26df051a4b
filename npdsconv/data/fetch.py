"""Where the four MNIST files come from: a folder the user names, the per-user cache, or a mirror.

Every file is checked by the sha256 of its *decompressed* bytes, because mirrors compress anew. A folder that
the user named is never completed from the network: what is wrong there is an error.
"""

import hashlib
import http.client
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from npdsconv import disk, text

from . import files, idx

MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""File name (without .gz) -> sha256 of the decompressed file."""

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
VARIABLE = "NPDSCONV_DATA_DIR"
_TIMEOUT, _WHOLE = 30.0, 600.0  # seconds without an answer or a byte, and for a whole file
_LARGEST = 64 << 20  # bytes of a download: six times those of the largest file


def mnist_arrays(data_dir: str | os.PathLike[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The four arrays by name: from `data_dir`, else NPDSCONV_DATA_DIR, else the cache, else a mirror."""
    chosen = data_dir if data_dir is not None else os.environ.get(VARIABLE) or None
    if chosen is not None:
        return read_folder(Path(os.path.expanduser(chosen)), MNIST)
    folder = cache_folder()
    return {name: idx.decode(_cached_or_fetched(folder, name), name) for name in MNIST}


def read_folder(folder: Path, sha256: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Read the files named in `sha256` from `folder`, plain or .gz (see `files.find`), and check every one."""
    if not folder.is_dir():
        raise FileNotFoundError(f"load: no folder {folder}; it should hold {', '.join(sha256)}, plain or .gz")
    return {name: idx.decode(_read_checked(folder, name, digest), name) for name, digest in sha256.items()}


def cache_folder() -> Path:
    """The folder in the user's cache where fetched MNIST files are kept."""
    return disk.user_cache() / "mnist"


def _read_checked(folder: Path, name: str, sha256: str) -> bytes:
    path = files.find(folder, name)
    raw = idx.read_bytes(path)
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        what = files.what_it_is(path.read_bytes(), raw)
        raise ValueError(f"load: {path} is damaged or wrong: {what} (sha256 {found}, expected {sha256})")
    return raw


def _cached_or_fetched(folder: Path, name: str) -> bytes:
    try:
        return _read_checked(folder, name, MNIST[name])
    except (FileNotFoundError, ValueError) as error:
        reason = error  # missing, or damaged: the cache is ours, so either way it is fetched
    try:
        return _fetch(folder, name)
    except OSError as error:
        wanted = ", ".join(f"{n}.gz" for n in MNIST)
        raise FileNotFoundError(
            f"{reason}, and could not be fetched. Put {wanted} (or the same, decompressed) into {folder} or "
            f"a folder named by {VARIABLE} or data_dir. load('mnist5k') needs no files. Tried: {error}"
        ) from error


def _fetch(folder: Path, name: str) -> bytes:
    """Bring NAME.gz into `folder` from the first mirror that has the right bytes."""
    failures = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
        fetched = Path(scratch) / f"{name}.gz"
        for mirror in MIRRORS:
            try:
                _download(f"{mirror}{name}.gz", fetched)
                raw = _read_checked(Path(scratch), name, MNIST[name])
            except (OSError, ValueError) as error:
                failures.append(f"{mirror}{name}.gz: {error}")
                continue
            os.replace(fetched, folder / f"{name}.gz")
            # A plain file is looked at before a .gz one: a damaged one would hide the file just fetched.
            (folder / name).unlink(missing_ok=True)
            return raw
    raise OSError("; ".join(failures))


def _download(url: str, path: Path) -> None:
    """Write what `url` gives to a file, if it comes in time and is no larger than MNIST could be.

    Raises
    ------
    OSError
        No connection, an answer of error, silence, too much, or less than was announced.
    """
    ends = time.monotonic() + _WHOLE
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, open(path, "wb") as file:
            with _bar(answer.length) as bar:
                while piece := answer.read1(1 << 16):
                    bar.update(file.write(piece))
                    if file.tell() > _LARGEST:
                        raise OSError(f"it sends more than {_LARGEST:,} bytes")
                    if time.monotonic() > ends:
                        raise TimeoutError(f"it is not done after {_WHOLE:.0f} seconds")
            if answer.length:
                raise OSError(f"it ended {answer.length:,} bytes too early")
    except http.client.HTTPException as error:
        raise OSError(
            f"it does not speak HTTP: {type(error).__name__} {text.one_line(str(error)[:60])}"
        ) from None


def _bar(total: int | None) -> Any:
    """A bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    return tqdm(total=total, unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty())
