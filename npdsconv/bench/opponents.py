"""The libraries that one can be measured against, and in which variants of each."""

import importlib.util
from typing import NamedTuple


class Opponent(NamedTuple):
    """Another library: what it needs, and how it runs each kind of workload; the fastest way counts."""

    needs: tuple[str, ...]  # modules
    install: str
    variants: dict[str, tuple[str, ...]]  # kind of workload -> its variants


_FORMATS = ("nchw", "channels_last")
OPPONENTS = {
    "torch": Opponent(
        ("torch",),
        "pip install torch",
        {"op": _FORMATS, "train": _FORMATS, "epoch": _FORMATS, "inference": _FORMATS},
    ),
    "onnxruntime": Opponent(
        ("onnxruntime", "onnx"), "pip install onnxruntime onnx", {"inference": ("folded",)}
    ),
}


def installed(name: str) -> bool:
    """Whether a library is here, without importing it."""
    return all(importlib.util.find_spec(module) is not None for module in OPPONENTS[name].needs)


def require(name: str) -> None:
    """Raise ValueError, with what to install, if a library is not here."""
    if not installed(name):
        opponent = OPPONENTS[name]
        raise ValueError(
            f"bench: --against {name} needs {' and '.join(opponent.needs)}, which is not installed: {opponent.install}"
        )


def variants(name: str, kind: str) -> tuple[str, ...]:
    """How a library runs a kind of workload; nothing if it does not."""
    return OPPONENTS[name].variants.get(kind, ())
