"""The libraries that one can be measured against, and in which variants of each."""

import importlib.util
from typing import NamedTuple


class Opponent(NamedTuple):
    """Another library.

    Attributes
    ----------
    needs : modules that it consists of
    install : the command that installs them
    variants : kind of workload -> columns of the table -> variants, of which the fastest counts
    """

    needs: tuple[str, ...]
    install: str
    variants: dict[str, dict[str, tuple[str, ...]]]


_FORMATS: dict[str, tuple[str, ...]] = {"PyTorch": ("nchw", "channels_last")}
OPPONENTS = {
    "torch": Opponent(
        ("torch",),
        "pip install torch",
        {
            "op": _FORMATS,
            "train": _FORMATS,
            "epoch": _FORMATS,
            # as written by hand, and with torch.nn.utils.fusion's help
            "inference": {**_FORMATS, "PyTorch, BN folded": ("nchw folded", "channels_last folded")},
        },
    ),
    "onnxruntime": Opponent(
        ("onnxruntime", "onnx"),
        "pip install onnxruntime onnx",
        {"inference": {"ONNX Runtime": ("folded",)}},
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


def columns(name: str, kind: str) -> dict[str, tuple[str, ...]]:
    """How a library runs a kind of workload: columns and their variants; nothing if it does not run it."""
    return OPPONENTS[name].variants.get(kind, {})
