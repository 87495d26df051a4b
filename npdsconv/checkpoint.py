"""Checkpoints: all of a training run that has to outlive the process, in one ``.npz`` file.

    checkpoint.save("run/checkpoint.npz", model=model, optimizer=optimizer, epoch=result.epoch, seed=0)

    saved = checkpoint.load("run/checkpoint.npz")
    model.load_state_dict(saved.state)
    optimizer.load_state_dict(saved.optimizer)
    for result in train.epochs(model, ..., start_epoch=saved.meta["epoch"]): ...

The file holds plain arrays, ``model/<name>`` and ``optimizer/<name>``, and one JSON text, ``meta``. Nothing
in it is pickled, so a file from a stranger cannot run code, and ``np.load`` opens it without this package.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from npdsconv import disk, text

__all__ = ["Checkpoint", "load", "save"]

FORMAT = 1  # raised when a file of the old kind can no longer be read in the same way


class Checkpoint(NamedTuple):
    """What `load` returns."""

    state: dict[str, np.ndarray]  # the model's parameters and buffers, for model.load_state_dict
    optimizer: dict[str, np.ndarray]  # for optimizer.load_state_dict; empty if none was saved
    meta: dict[str, Any]  # the keywords given to `save`


class HasState(Protocol):
    """A model or an optimiser."""

    def state_dict(self) -> dict[str, np.ndarray]: ...


def save(
    path: str | os.PathLike[str], *, model: HasState, optimizer: HasState | None = None, **position: Any
) -> None:
    """Write a checkpoint, completely or not at all.

    The data go to a temporary file in the same folder, are flushed to the disk, and the file then takes the
    place of the old one in a single step. Whatever interrupts this, an error, Ctrl-C or a power cut, ``path``
    holds either the old checkpoint or the new one.

    Parameters
    ----------
    path : path
        Written exactly there, no suffix is added; missing folders are made, a symbolic link is followed.
    model : object with ``state_dict()``
    optimizer : object with ``state_dict()``, optional
    **position
        Where the run stands and how it was started: epoch, seed, learning rate... Anything that JSON can
        hold, and NumPy scalars. As in JSON, a tuple comes back as a list.

    Raises
    ------
    TypeError
        If a keyword cannot be written as JSON.
    OSError
        If the file cannot be written; a checkpoint that was there before is untouched.
    """
    arrays = {f"model/{name}": array for name, array in model.state_dict().items()}
    if optimizer is not None:
        arrays.update({f"optimizer/{name}": array for name, array in optimizer.state_dict().items()})
    try:
        meta = json.dumps({"npdsconv": FORMAT, "arrays": len(arrays), "position": position}, default=_plain)
    except (TypeError, ValueError) as error:
        raise TypeError(f"checkpoint.save: the position cannot be written as JSON: {error}") from None
    arrays["meta"] = np.array(meta)
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with disk.replacing(target) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        message = f"checkpoint.save: cannot write {target}: {error.strerror or error}"
        if target.is_file():
            message += "; the checkpoint that was there is untouched"
        raise type(error)(message) from None


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint. Every byte that matters is verified before anything is returned.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be opened.
    ValueError
        If it is damaged, cut short, not one of ours, or of a newer format.
    """
    path = Path(path)
    raw = disk.read("checkpoint.load", path)
    if not raw.startswith(b"PK"):
        raise ValueError(f"checkpoint.load: {path} is not a checkpoint: it does not begin like an .npz file")
    try:
        arrays = disk.arrays(raw)
    except Exception as error:  # zipfile and NumPy raise a dozen different types on broken bytes
        reason = text.reason(error)
        raise ValueError(
            f"checkpoint.load: {path} is damaged or was cut short ({len(raw)} bytes): {reason}"
        ) from None
    meta = _meta(path, arrays)
    return Checkpoint(_part(arrays, "model/"), _part(arrays, "optimizer/"), meta)


def _meta(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        meta = json.loads(str(arrays["meta"]))
        version, count, position = int(meta["npdsconv"]), int(meta["arrays"]), dict(meta["position"])
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        raise ValueError(
            f"checkpoint.load: {path} was not written by npdsconv: it has no entry 'meta' of the right kind"
        ) from None
    if version > FORMAT:
        raise ValueError(
            f"checkpoint.load: {path} has format {version}, this version of npdsconv reads up to {FORMAT}: "
            "install a newer npdsconv"
        )
    if count != len(arrays) - 1:  # one flipped byte in the zip directory can hide an entry
        raise ValueError(f"checkpoint.load: {path} is damaged: {count} arrays saved, {len(arrays) - 1} found")
    return position


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")
