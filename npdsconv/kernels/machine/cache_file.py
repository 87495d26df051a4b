"""The files of Numba's cache for one function, with two things that Numba does without.

A digest stands at the end of each, for a flipped bit in compiled code is noticed by nobody before it has run. And the
name of a file with code is made from what it was compiled for: Numba numbers them, and two processes that compile for
two dtypes at the same time, in an empty folder, both take the number 1; then one dtype could get the other's code.
"""

import hashlib
import pickle
from typing import Any

from numba.core.caching import IndexDataCacheFile

__all__ = ["CheckedFile"]

_SIZE = hashlib.sha256().digest_size


class CheckedFile(IndexDataCacheFile):
    """The index of a function's versions, and their code.

    Reading raises ValueError where a file is not as it was written. (Unpickling takes no notice of what stands behind.)
    """

    def save(self, key: Any, data: Any) -> None:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        name = self._data_name(int(digest[:12], 16))
        self._save_data(name, data)  # first, so that the index names nothing that is not there
        versions = self._load_index()
        versions[key] = name
        self._save_index(versions)

    def _dump(self, obj: Any) -> bytes:
        pickled = super()._dump(obj)
        return pickled + hashlib.sha256(pickled).digest()

    def _load_index(self) -> dict[Any, str]:
        start = len(
            pickle.dumps(self._version, protocol=-1)
        )  # which stands in front, and is compared by itself
        _verify(self._index_path, start)
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _verify(self._data_path(name))
        return super()._load_data(name)


def _verify(path: str, start: int = 0) -> None:
    try:
        with open(path, "rb") as file:
            raw = file.read()[start:]
    except FileNotFoundError:
        return  # which the caller finds too
    if hashlib.sha256(raw[:-_SIZE]).digest() != raw[-_SIZE:]:
        raise ValueError(f"{path} is damaged")
