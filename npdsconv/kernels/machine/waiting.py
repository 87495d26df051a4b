"""How threads wait for work: they look for it a moment, and then sleep.

GNU OpenMP lets a waiting thread spin for milliseconds. On an idle machine that is quick. On a busy one the spinning
thread holds the very core on which the thread it waits for could run: a training step of 30 ms then takes 20 times
as long. So before OpenMP starts it is told to spin for a shorter time. The count was chosen by measurement,
see "A busy machine" in docs/reliability.md.

OpenMP reads its settings when its library is loaded, and never again. Here they are set for that moment only: programs
that this one starts, and other libraries with an OpenMP of their own, find the environment as the user made it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

SPINS = 10_000
"""How often a waiting thread looks for work before it sleeps; OpenMP's own default is 300,000."""

USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""What a user may set instead; if any of them is there, nothing is changed."""


def load_openmp() -> None:
    """Load the library behind Numba's "omp" layer, if there is one, with our count. No thread is started."""
    if any(name in os.environ for name in USERS):
        return
    with _environment("GOMP_SPINCOUNT", str(SPINS)), suppress(ImportError):
        import_module("numba.np.ufunc.omppool")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable for a moment."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
