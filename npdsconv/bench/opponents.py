"""The libraries that one can be measured against, and in which variants of each."""

import importlib.util
from typing import NamedTuple


class Column(NamedTuple):
    """A heading of the table: variants of which the fastest counts.

    Attributes
    ----------
    variants : names of what the library's `build` knows
    keep : whether freed memory is kept, as in npdsconv's own process; if not, the C library is left as it is
    """

    variants: tuple[str, ...]
    keep: bool = True


class Opponent(NamedTuple):
    """Another library.

    Attributes
    ----------
    needs : modules that it consists of
    install : the command that installs them
    columns : kind of workload -> headings of the table
    """

    needs: tuple[str, ...]
    install: str
    columns: dict[str, dict[str, Column]]


_FORMATS = ("nchw", "channels_last")
_TRAINING = {"PyTorch": Column(_FORMATS), "PyTorch as installed": Column(_FORMATS, keep=False)}
OPPONENTS = {
    "torch": Opponent(
        ("torch",),
        "pip install torch",
        {
            "op": {"PyTorch": Column(_FORMATS)},
            "train": _TRAINING,
            "epoch": _TRAINING,
            "inference": {
                "PyTorch": Column(_FORMATS),
                "PyTorch, BN folded": Column(("nchw folded", "channels_last folded")),
            },
        },
    ),
    "onnxruntime": Opponent(
        ("onnxruntime", "onnx"),
        "pip install onnxruntime onnx",
        {"inference": {"ONNX Runtime": Column(("folded",))}},
    ),
}


def installed(name: str) -> bool:
    """Whether a library is here, without importing it."""
    return all(importlib.util.find_spec(module) is not None for module in OPPONENTS[name].needs)


def require(name: str) -> None:
    """Raise ValueError, with what to install, if a library is not here."""
    if not installed(name):
        missing = [m for m in OPPONENTS[name].needs if importlib.util.find_spec(m) is None]
        raise ValueError(
            f"bench: --against {name} needs {' and '.join(missing)}, not installed here: {OPPONENTS[name].install}"
        )


def columns(name: str, kind: str) -> dict[str, Column]:
    """How a library runs a kind of workload: headings and their variants; nothing if it does not run it."""
    return OPPONENTS[name].columns.get(kind, {})
