"""The IDX format of the MNIST files, read strictly.

An IDX file is: two zero bytes, a dtype code, the number of dimensions, each dimension as a big-endian uint32,
then the elements, big-endian, last dimension fastest (http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import io
import math
import os
import struct
import sys
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from npdsconv import disk

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_DIMENSIONS = 32  # of an array, in every version of NumPy


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one IDX file, gzipped or plain (told apart by content, not by name).

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    ndarray
        The array, in the machine's byte order and read-only.

    Notes
    -----
    `from_path` makes a data set of a folder with such files (Fashion-MNIST, KMNIST, EMNIST). By hand it is
    ``Split(read_idx(images_file)[:, None], read_idx(labels_file))``; the images of EMNIST are stored with rows and
    columns exchanged, and ``read_idx(images_file).transpose(0, 2, 1)`` sets them upright.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    OSError
        It is a folder, a pipe or a device, or cannot be read.
    ValueError
        Damaged gzip, one that swells without end, wrong magic, unknown dtype code, bytes missing or left over. The
        message has the file and the numbers.
    """
    return decode(read_bytes(path), os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file, decompressed if it is gzipped."""
    raw = disk.read("read_idx", path)
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    most = disk.most_unpacked(len(raw))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ValueError(
            f"read_idx: {os.fspath(path)}: damaged gzip file of {len(raw)} bytes: {error}"
        ) from error
    if len(content) > most:
        raise ValueError(
            f"read_idx: {os.fspath(path)}: {len(raw):,} bytes swell to more than {most:,}: no pictures do"
        )
    return content


def decode(raw: bytes, name: str) -> npt.NDArray[Any]:
    """Turn the bytes of an IDX file into a read-only array; `name` is for the messages."""
    if len(raw) < 4:
        raise ValueError(f"read_idx: {name}: truncated: {len(raw)} bytes, the magic number takes 4")
    zeros, code, ndim = struct.unpack(">HBB", raw[:4])
    if zeros != 0:
        raise ValueError(f"read_idx: {name}: not an IDX file: it starts with {raw[:4].hex(' ')}, not 00 00")
    if code not in _DTYPES:
        known = ", ".join(f"{c:02x}" for c in _DTYPES)
        raise ValueError(f"read_idx: {name}: dtype code {code:02x} is unknown; known are {known}")
    if not 1 <= ndim <= _MOST_DIMENSIONS:
        raise ValueError(
            f"read_idx: {name}: {ndim} dimensions; an IDX file has at least 1, NumPy takes {_MOST_DIMENSIONS}"
        )
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"read_idx: {name}: truncated: {len(raw)} bytes, {ndim} dimensions take {start}")
    shape = struct.unpack(f">{ndim}I", raw[4:start])
    dtype = np.dtype(_DTYPES[code])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        what = "truncated" if len(raw) < expected else "trailing bytes"
        raise ValueError(
            f"read_idx: {name}: {what}: {dtype.name} of shape {shape} takes {expected} bytes, not {len(raw)}"
        )
    if (
        math.prod(n for n in shape if n) > sys.maxsize // 8
    ):  # an array without elements that NumPy cannot index
        raise ValueError(f"read_idx: {name}: an array of shape {shape} is too large")
    array = np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def encode(array: npt.NDArray[Any]) -> bytes:
    """The bytes of the IDX file that holds `array`: the inverse of `decode`."""
    dtype = array.dtype.newbyteorder(">")
    if dtype not in _CODES or not 1 <= array.ndim <= 255:
        raise ValueError(f"encode: dtype {array.dtype} with {array.ndim} dimensions has no IDX form")
    header = struct.pack(f">HBB{array.ndim}I", 0, _CODES[dtype], array.ndim, *array.shape)
    return header + array.astype(dtype, copy=False).tobytes()
