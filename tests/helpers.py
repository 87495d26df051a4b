"""What several tests need: random numbers, comparisons, a small network, a new Python, a script as a module.

What has to do with geometries and tiers is in `geometries.py`, what only tests of messages need in `messages.py`.
"""

import importlib
import importlib.util
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from npdsconv import cli
from npdsconv.layout import empty_nchw

INTERPRETED = bool(numba.config.DISABLE_JIT)
"""Whether kernels run as plain Python, a thousand times slower."""

compiled = pytest.mark.skipif(INTERPRETED, reason="too much for kernels that run as plain Python")
threaded = pytest.mark.skipif(INTERPRETED, reason="without the JIT there are no threads")

# ---- numbers -------------------------------------------------------------------------------------------------


def normal(*shape, seed=0, dtype=np.float64):
    """Normal numbers: the same for the same shape and seed. Two arrays of one shape need two seeds."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def channels_last(x):
    """The same numbers with the channels of a pixel side by side, as every op returns its images."""
    y = empty_nchw(x.shape, x.dtype)
    y[...] = x
    return y


def is_channels_last(x):
    """Whether the channels of a pixel lie side by side."""
    return x.transpose(0, 2, 3, 1).flags.c_contiguous


def relu(x):
    """max(x, 0), which owes nothing to the package."""
    return np.maximum(x, 0)


def relu_backward(dy, x):
    """The gradient of `relu`."""
    return dy * (x > 0)


# ---- comparisons ---------------------------------------------------------------------------------------------


def equal(actual, expected):
    """Equal to the last bit, in shape and in dtype."""
    np.testing.assert_array_equal(actual, expected, strict=True)


def assert_close(actual, expected, tolerance, about, least=0):
    """Equal shapes, and no number further off than `tolerance` times the largest expected one.

    `least` takes the place of a largest number that is smaller, as in a gradient that is zero but for rounding.
    """
    assert actual.shape == expected.shape, f"{about}: shape {actual.shape}, expected {expected.shape}"
    largest = np.max(np.abs(expected), initial=least)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest, err_msg=about)


def assert_same_state(actual, expected):
    """Two states with the same names and, to the last bit, the same arrays."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, strict=True, err_msg=name)


def assert_same_gradients(actual, expected, rtol=1e-12, atol=1e-12):
    """Two results of `gradients` agree."""
    np.testing.assert_allclose(actual[0], expected[0], rtol, atol, err_msg="dx")
    assert actual[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        np.testing.assert_allclose(actual[1][name], gradient, rtol, atol, err_msg=name)


# ---- layers --------------------------------------------------------------------------------------------------


def settled(layer, seed=1):
    """The layer in float64, with every parameter and statistic moved off its initial value."""
    rng = np.random.default_rng(seed)
    layer.astype(np.float64)
    for _, slot in [*layer.named_parameters(), *layer.named_buffers()]:
        if slot.value.dtype == np.float64:
            slot.value += 0.3 * rng.random(slot.value.shape)
    return layer


def gradients(layer, x, dy, train=True):
    """(dx, {name: gradient}) of one pass, from zero."""
    for p in layer.parameters():
        p.grad[...] = 0
    dx = layer.forward(x, train=train)[1](dy)
    return dx, {name: p.grad.copy() for name, p in layer.named_parameters()}


# ---- commands, scripts and other processes -------------------------------------------------------------------


def call(capsys, *argv):
    """Exit code, standard output and standard error of one `npdsconv` command."""
    code = cli.main([str(a) for a in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def fresh(code, *options, **environment):
    """Run `code` in a new Python with these options; returns the lines it printed.

    The environment is this one with the changes that are named; None takes a variable out.
    """
    env = os.environ | {k: str(v) for k, v in environment.items()}
    for name, value in environment.items():
        if value is None:
            del env[name]
    command = [sys.executable, *options, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


def load(path):
    """The script at `path` as a new module; it need not lie in a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_from(folder, name):
    """A module of a folder that is not a package; what it imports from beside it is found too."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def row(report, name):
    """The row of this name in a report of gradient checks."""
    return next(r for r in report.rows if r.name == name)
