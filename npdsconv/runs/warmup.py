"""Compiling ahead: run, once and on tiny arrays, what training, evaluating and predicting will need.

Numba compiles a kernel when it is first called with arrays of a new dtype, and keeps the result on disk. So to compile
is to call: `layer_steps` calls every layer in every form that has kernels of its own, `model_steps` a whole network.
Each is a generator that names what comes next, so that whoever runs it can show how far it is.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from npdsconv import layers, models, optim, train
from npdsconv.data import to_float
from npdsconv.layers import DepthwiseSeparableConv2d, Layer, Sequential
from npdsconv.layers.fusion import fuse
from npdsconv.ops.fused import block
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

    That takes as long as all the rest. The caller may fail or be interrupted: then the process ends too.
    """
    from npdsconv.kernels.block import backward_is_missing

    blocks = [layer for layer in model.modules() if isinstance(layer, DepthwiseSeparableConv2d)]
    needed = any(block.pointwise.impl == "numba" for block in blocks) and backward_is_missing()
    if not needed or (os.cpu_count() or 1) < 2:
        yield None
        return
    dtype = str(next(iter(model.parameters())).value.dtype)
    command, no = [sys.executable, "-m", "npdsconv.runs.warmup", dtype], subprocess.DEVNULL
    with subprocess.Popen(command, stdin=no, stdout=no, stderr=no) as helper:
        try:
            yield helper
        finally:
            helper.terminate()


def _backward(dtype: str) -> None:
    """Call nothing but the backward of a separable block."""
    x = np.ones((2, 3, 4, 4), dtype)
    vector = np.ones(3, dtype)
    saved = block.Saved(x, x, vector, vector, vector, vector)
    weights = np.ones((3, 1, 3, 3), dtype), vector, vector, np.ones((3, 3), dtype), vector, vector
    block.separable_block_backward(x, x, saved, *weights, padding=1)


def layer_steps(dtype: str) -> Iterator[str]:
    """Run every layer of the package, forward, backward and in inference, in all forms that differ inside.

    Yields
    ------
    str
        The name of what is run next.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 12, 12)).astype(dtype)
    for name, layer in _layers(rng):
        yield name
        layer.astype(dtype)
        y, backward = layer.forward(x, train=True)
        backward(np.ones_like(y))
        layer(x)


def network_steps(dtype: str) -> Iterator[str]:
    """`model_steps` of a small instance of every network in `npdsconv.models`.

    Yields
    ------
    str
        The name of what is run next.
    """
    rng = np.random.default_rng(0)
    networks: dict[str, tuple[Sequential, tuple[int, int, int]]] = {
        "separable_cnn": (models.separable_cnn(width=0.25, rng=0), (1, 28, 28)),
        "small_cnn": (models.small_cnn(width=0.25, rng=0), (1, 28, 28)),
        "mobilenet_v1": (models.mobilenet_v1(0.25, classes=10, rng=0), (3, 32, 32)),
        "mobilenet_v2": (models.mobilenet_v2(0.25, classes=10, rng=0), (3, 32, 32)),
    }
    networks["standard twin"] = (models.standard_twin(networks["separable_cnn"][0], rng=0), (1, 28, 28))
    for name, (model, shape) in networks.items():
        images = rng.random((4, *shape)).astype(np.float32)
        yield from (f"{name}: {step}" for step in model_steps(model.astype(dtype), images, np.arange(4)))


def steps(dtype: str) -> Iterator[str]:
    """All layers, then all networks.

    Raises
    ------
    ValueError
        `dtype` is neither "float32" nor "float64".
    """
    if dtype not in DTYPES:
        raise ValueError(f"warmup: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    yield from layer_steps(dtype)
    yield from network_steps(dtype)


def _layers(rng: np.random.Generator) -> Iterator[tuple[str, Layer]]:
    """Every layer with its name; the convolutions with all kernel sizes that kernels may treat apart."""
    sizes: list[Any] = [3, 5, 7, (1, 3)]
    for size in sizes:
        for stride in (1, 2):
            how: dict[str, Any] = {"stride": stride, "padding": 1, "rng": rng}
            text = f"{size} s{stride}"
            yield f"DepthwiseConv2d {text}", layers.DepthwiseConv2d(4, size, **how)
            yield f"DepthwiseConv2d {text} ×2", layers.DepthwiseConv2d(4, size, depth_multiplier=2, **how)
            yield f"Conv2d {text}", layers.Conv2d(4, 6, size, **how)
    yield "DepthwiseConv2d dilated", layers.DepthwiseConv2d(4, 3, dilation=2, padding=2, rng=rng)
    yield "Conv2d dilated", layers.Conv2d(4, 6, 3, dilation=2, padding=2, rng=rng)
    yield "Conv2d in groups", layers.Conv2d(4, 6, 3, groups=2, rng=rng)
    yield "ConvTranspose2d", layers.ConvTranspose2d(4, 6, 3, stride=2, rng=rng)
    yield "PointwiseConv2d", layers.PointwiseConv2d(4, 6, rng=rng)
    yield "BatchNorm2d", layers.BatchNorm2d(4)
    yield "BatchNorm2d frozen", layers.BatchNorm2d(4).freeze()
    yield "ReLU", layers.ReLU()
    yield "ReLU6", layers.ReLU6()
    yield "MaxPool2d", layers.MaxPool2d(2)
    yield "AvgPool2d", layers.AvgPool2d(2)
    yield "Upsample2d", layers.Upsample2d(2)
    yield "SqueezeExcite", layers.SqueezeExcite(4, 2, rng=rng)
    yield "GlobalAvgPool2d", layers.GlobalAvgPool2d()
    for activation in ("relu", "relu6", None):
        block = layers.DepthwiseSeparableConv2d(
            4, 6, 3, padding=1, mid_activation=activation, activation=activation, rng=rng
        )
        yield f"DepthwiseSeparableConv2d {activation}", block
    yield "Linear", layers.Sequential(layers.Flatten(), layers.Linear(4 * 12 * 12, 5, rng=rng))


if __name__ == "__main__":
    _backward(sys.argv[1])
