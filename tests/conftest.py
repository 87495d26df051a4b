"""Settings and fixtures for the whole suite."""

import os
import time

import pytest
from hypothesis import settings

BUDGET = 180
"""Seconds that the whole suite may take with the JIT, on two cores that have nothing else to do."""

os.environ.setdefault("MPLBACKEND", "agg")  # no test may open a window

# The same examples on every run, no clock, no database of earlier failures beside the checkout.
settings.register_profile("npdsconv", derandomize=True, deadline=None, database=None)
settings.register_profile("nightly", settings.get_profile("npdsconv"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "npdsconv"))


def pytest_configure(config):
    """A run of the whole suite names what took longest; a run of some files does not."""
    config.started = time.monotonic()
    if config.args_source is config.ArgsSource.TESTPATHS and not config.option.durations:
        config.option.durations = 15


def pytest_xdist_auto_num_workers(config):
    """The whole suite runs in two processes; a run of some files in this one, which starts at once."""
    whole = config.args_source is config.ArgsSource.TESTPATHS
    return 2 if whole and (os.cpu_count() or 1) > 1 else 0


def pytest_terminal_summary(terminalreporter, config):
    """No test fails for being slow, but a suite that is too slow says so."""
    seconds = time.monotonic() - config.started
    if seconds > BUDGET:
        terminalreporter.write_line(
            f"{seconds:.0f} seconds are more than the {BUDGET} that the suite should take"
        )


@pytest.fixture(scope="session")
def torch():
    """PyTorch, where it is installed; on one thread, for its pool and Numba's fight over the cores."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch
