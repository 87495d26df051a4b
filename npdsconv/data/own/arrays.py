"""Arrays of images and labels as other tools lay them out, brought into the form of this package."""

from typing import Any

import numpy as np
import numpy.typing as npt

_LAYOUTS = "(N,H,W), (N,H,W,C) or (N,C,H,W) with 1 or 3 channels"


def as_images(where: str, name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Images in any usual layout, and of any usual scale, as (N,C,H,W) uint8.

    Raises
    ------
    ValueError, TypeError
        Another layout, or pixels whose scale cannot be known.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[3] in (1, 3) and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or array.size == 0:
        raise ValueError(f"{where}: {name} has shape {array.shape}, expected images {_LAYOUTS}")
    return np.ascontiguousarray(_as_bytes(where, name, array))


def _as_bytes(where: str, name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return np.multiply(array, 255, dtype=np.uint8)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{where}: {name} is {array.dtype}, expected numbers of pixels")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # NaN is refused here too
        raise ValueError(
            f"{where}: pixels of {name} are from {low:g} to {high:g}, expected 0 to 255, or 0 to 1 as fractions"
        )
    scale = 255 if array.dtype.kind == "f" and high <= 1 else 1
    return np.round(array * scale).astype(np.uint8)


def as_labels(where: str, name: str, array: npt.NDArray[Any], images: int) -> npt.NDArray[Any]:
    """Labels, one for each image: whole numbers or names, also as a column or one-hot.

    Raises
    ------
    ValueError, TypeError
        Another number of them, negative ones, or fractions.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 2 and np.array_equal((array != 0).sum(axis=1), np.ones(len(array))):
        array = array.argmax(axis=1)
    if array.shape != (images,):
        raise ValueError(f"{where}: {name} has shape {array.shape}, expected ({images},), one for each image")
    if array.dtype.kind == "f" and np.array_equal(array, np.round(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise TypeError(f"{where}: {name} is {array.dtype}, expected whole numbers or names")
    if array.dtype.kind != "U" and array.min() < 0:
        raise ValueError(f"{where}: {name} has negative labels, such as {array.min()}")
    return array
