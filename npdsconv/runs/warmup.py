"""Compiling ahead: run, once and on tiny arrays, what training, evaluating and predicting will need.

Numba compiles a kernel when it is first called with arrays of a new dtype, and keeps the result on disk. So to compile
is to call: `op_steps` and `layer_steps` call every example of the catalogue, which has every form that has kernels of
its own, `network_steps` its networks, and `model_steps` one network. Each is a generator that names what comes next,
so that whoever runs it can show how far it is.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np

from npdsconv import catalogue, optim, train
from npdsconv.catalogue import LayerRow, Setting
from npdsconv.data import to_float
from npdsconv.layers import DepthwiseSeparableConv2d, Parameter, Sequential
from npdsconv.layers.fusion import fuse
from npdsconv.optim.optimizers import COMPILED
from npdsconv.runs import processes
from npdsconv.shapes import Array

DTYPES = ("float32", "float64")


def model_steps(model: Sequential, x: Array, labels: Array) -> Iterator[str]:
    """Run a network layer by layer, forward and backward, then one training step, evaluation and prediction.

    Parameters
    ----------
    model : Sequential; it learns a little, so give one that is not needed any more
    x, labels : a few images and their labels

    Yields
    ------
    str
        The name of what is run next.
    """
    y = to_float(x).astype(next(iter(model.parameters())).value.dtype)
    backs, rest = [], list(model)
    with _helper(model) as helper:
        while rest:
            step, count = fuse(rest, y.shape, True)
            name = ", ".join(type(layer).__name__ for layer in step.layers)
            yield name
            y, back = step.forward(y, train=True)
            backs.append((name, back))
            del rest[:count]
        if helper is not None:
            yield "DepthwiseSeparableConv2d backward"
            helper.wait()
    dy = np.ones_like(y)
    while backs:
        name, back = backs.pop()
        yield f"{name} backward"
        dy = back(dy)
    yield "training step"
    train.train_step(model, x, labels, optim.Adam(model.parameters(), lr=0.0))
    yield "evaluation"
    train.evaluate(model, x, labels)
    yield "prediction"
    train.predict(model, x[:1])


@contextmanager
def _helper(model: Sequential) -> Iterator[subprocess.Popen[bytes] | None]:
    """A second process that compiles the backward of separable blocks, if there are any, and leaves it in the cache.

    That takes as long as all the rest. The caller may fail, be interrupted or killed: then the process ends too.
    """
    from npdsconv.kernels.block import backward_is_missing

    blocks = [layer for layer in model.modules() if isinstance(layer, DepthwiseSeparableConv2d)]
    needed = any(block.pointwise.impl == "numba" for block in blocks) and backward_is_missing()
    if not needed or (os.cpu_count() or 1) < 2:
        yield None
        return
    dtype = str(next(iter(model.parameters())).value.dtype)
    command, no = processes.command("compile_block", dtype), subprocess.DEVNULL
    environment, pipe = processes.environment(with_parent=True), subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=no, stderr=no) as helper:
        try:
            yield helper
        finally:
            helper.terminate()


def op_steps(dtype: str) -> Iterator[str]:
    """Run every example of every op that has tiers, forward and backward.

    Yields
    ------
    str
        The name of what is run next.
    """
    for row in catalogue.OPS:
        for example in row.examples if row.impls else ():
            yield f"{row.name} {example.label}".rstrip()
            given = example.astype(dtype)
            row.gradients(np.ones_like(row.value(given)), given)


def layer_steps(dtype: str) -> Iterator[str]:
    """Run every example of every layer, forward, backward and in inference.

    Yields
    ------
    str
        The name of what is run next.
    """
    rng = np.random.default_rng(0)
    for row, setting in _examples(catalogue.LAYERS):
        yield f"{row.name} {setting.label}".rstrip()
        layer = row.build(setting, rng).astype(dtype)
        x = rng.standard_normal(setting.shape).astype(dtype)
        y, backward = layer.forward(x, train=True)
        backward(np.ones_like(y))
        layer(x)


def network_steps(dtype: str) -> Iterator[str]:
    """`model_steps` of every example of a network.

    Yields
    ------
    str
        The name of what is run next.
    """
    rng = np.random.default_rng(0)
    for row, setting in _examples(catalogue.MODELS):
        model = cast(Sequential, row.build(setting, rng).astype(dtype))
        images = rng.random(setting.shape).astype(np.float32)
        labels = np.arange(len(images)) % 2
        yield from (f"{row.name}: {step}" for step in model_steps(model, images, labels))


def optimizer_steps(dtype: str) -> Iterator[str]:
    """A step of Adam on so many numbers that its rule is compiled.

    Yields
    ------
    str
        The name of what is run next.
    """
    yield "Adam"
    optim.Adam([Parameter(np.zeros(COMPILED, dtype))], lr=0.0).step()


def _examples(rows: Iterable[LayerRow]) -> Iterator[tuple[LayerRow, Setting]]:
    return ((row, setting) for row in rows for setting in row.examples)


def steps(dtype: str) -> Iterator[str]:
    """All ops, layers and networks, and what optimisers have compiled.

    Raises
    ------
    ValueError
        `dtype` is neither "float32" nor "float64".
    """
    if dtype not in DTYPES:
        raise ValueError(f"warmup: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    yield from op_steps(dtype)
    yield from layer_steps(dtype)
    yield from network_steps(dtype)
    yield from optimizer_steps(dtype)
