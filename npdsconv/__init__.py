"""npdsconv: depthwise separable convolution in NumPy, readable, hand-differentiated, gradient-checked and fast.

ops know the mathematics and remember nothing; layers own parameters and remember by closure; train runs the loop.
Importing this package is cheap: Numba, SciPy and pyplot are loaded when first needed, and so are its own rooms, from
`npdsconv.layers` to `npdsconv.train`.
"""

# ruff: noqa: E402

from npdsconv import signals

signals.in_commands_at_once()  # first, for what is imported next takes most of a short command's time

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from npdsconv import ops
from npdsconv.ops import *  # noqa: F403  every op is a name of the package itself

if TYPE_CHECKING:  # for type checkers and editors; _ROOMS says the same to a running Python
    from npdsconv import bench as bench
    from npdsconv import catalogue as catalogue
    from npdsconv import checkpoint as checkpoint
    from npdsconv import complexity as complexity
    from npdsconv import data as data
    from npdsconv import gradcheck as gradcheck
    from npdsconv import init as init
    from npdsconv import layers as layers
    from npdsconv import layout as layout
    from npdsconv import lessons as lessons
    from npdsconv import metrics as metrics
    from npdsconv import models as models
    from npdsconv import optim as optim
    from npdsconv import plots as plots
    from npdsconv import runs as runs
    from npdsconv import shapes as shapes
    from npdsconv import train as train

__all__ = ["get_num_threads", "set_num_threads", "show_versions"]
__all__ += ops.__all__

__version__ = "0.1.0"  # the one place: setup.cfg reads it from here

_ROOMS = [
    "bench",
    "catalogue",
    "checkpoint",
    "complexity",
    "data",
    "gradcheck",
    "init",
    "layers",
    "layout",
    "lessons",
    "metrics",
    "models",
    "optim",
    "plots",
    "runs",
    "shapes",
    "train",
]

# Rooms are imported when they are first named. Importing all of them here takes 100 ms more (239 against 138, NumPy
# alone 120: medians of 25 fresh processes, in turns). And a package that imports its rooms ties them together: today
# `from npdsconv import shapes` loads neither layers nor models.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> ModuleType:
        if name in _ROOMS:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})


def set_num_threads(n: int) -> None:
    """Run the compiled kernels on `n` threads, from 1 to ``NUMBA_NUM_THREADS`` (the cores, unless set otherwise).

    Results are the same to the last bit for every `n`.

    Raises
    ------
    ValueError
        `n` out of that range.
    """
    from npdsconv.kernels.machine import jit

    jit.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that the compiled kernels use."""
    from npdsconv.kernels.machine import jit

    return jit.get_num_threads()


def show_versions() -> None:
    """Print what a report of a mistake should say: versions, commit, system, processor, threading layer."""
    from npdsconv import versions

    for name, value in versions.describe(__version__).items():
        print(f"{name:<16} {value}")
