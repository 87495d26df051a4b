"""Settings and fixtures for the whole suite."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")  # no test may open a window

# The same examples on every run, no clock, no database of earlier failures beside the checkout.
settings.register_profile("npdsconv", derandomize=True, deadline=None, database=None)
settings.load_profile("npdsconv")


@pytest.fixture(scope="session")
def torch():
    """PyTorch, where it is installed; on one thread, for its pool and Numba's fight over the cores."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch
