"""Calls for the properties, drawn by Hypothesis: geometries and numbers of `geometries.py`, by a number that shrinks.

HYPOTHESIS_PROFILE=nightly pytest tests/properties         # 1,000 examples of each property and op
"""

import os

import numpy as np
from geometries import draw
from hypothesis import settings
from hypothesis import strategies as st

from npdsconv.shapes import resolve_window

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
few = settings() if NIGHTLY else settings(max_examples=12)
"""How many examples a property gets."""

TOLERANCE = 1e-12


def geometries_of(op):
    """Random geometries of an op."""
    return st.builds(draw, st.just(op), st.integers(0, 10**6))


def normal(geometry, *shape, seed=0):
    """Random numbers that belong to a geometry."""
    return np.random.default_rng([seed, *repr(geometry).encode()]).standard_normal(shape)


def arrays_of(geometry, seed=0):
    """x and w for a geometry, or x alone."""
    shapes = {"x": geometry.x, "w": geometry.w}
    return {
        name: normal(geometry, *s, seed=seed + k)
        for k, (name, s) in enumerate(shapes.items())
        if s is not None
    }


def window_of(geometry):
    """Its window, for what has one."""
    kernel = geometry.options.get("kernel_size", geometry.w and geometry.w[2:])
    how = {
        name: geometry.options[name] for name in ("stride", "padding", "dilation") if name in geometry.options
    }
    return resolve_window("test", geometry.x[2:], kernel, **how)
