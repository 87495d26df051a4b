"""What a user writes: a layer of one's own, a training loop of one's own, gradients of ops.

``house/test_user_code.py`` runs it and shows it to ``mypy --strict``: nothing here is there for the checker alone.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

import npdsconv
from npdsconv import layers, optim


@final
class Scale(layers.Layer):
    """One learned factor for each channel, by an op of the package."""

    def __init__(self, channels: int, *, impl: str = "numba") -> None:
        self.weight = layers.Parameter(np.ones((channels, 1, 1, 1), np.float32))
        self.impl = impl

    def forward(self, x: NDArray[np.float32], *, train: bool) -> tuple[NDArray[np.float32], layers.Pullback]:
        w, impl = self.weight, self.impl

        def backward(dy: NDArray[np.float32], dx: bool) -> NDArray[np.float32]:
            needs = ("x",) * dx + ("w",) * w.trainable
            gradient, dw, _ = npdsconv.depthwise_conv2d_backward(dy, x, w.value, impl=impl, needs=needs)
            if w.trainable:
                w.grad += dw
            return gradient

        return npdsconv.depthwise_conv2d(x, w.value, impl=impl), layers.Pullback(backward)


def train(model: layers.Layer, x: NDArray[np.float32], labels: NDArray[np.int64], steps: int) -> list[float]:
    """A loop, spelt out; the losses."""
    optimizer, losses = optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(steps):
        logits, back = model.forward(x, train=True)
        loss, probabilities = npdsconv.softmax_cross_entropy(logits, labels)
        optimizer.zero_grad()
        back(npdsconv.softmax_cross_entropy_backward(probabilities, labels), dx=False)
        optimizer.step()
        losses.append(loss)
    return losses


def shapes_of_gradients(impl: str) -> list[tuple[int, ...]]:
    """Without `needs` every gradient is an array, of the shape of what it is for."""
    rng = np.random.default_rng(0)
    x, w, mix = rng.random((2, 3, 7, 6)), rng.random((3, 2, 3, 2)), rng.random((5, 6))
    d = npdsconv.depthwise_conv2d(x, w, padding=((1, 0), (0, 1)), stride=(2, 1), impl=impl)
    p = npdsconv.pointwise_conv2d(d, mix, impl=impl)
    weight, bias = np.ones(5), np.zeros(5)
    y, mean, var = npdsconv.batch_norm2d(p, weight, bias, activation="relu", impl=impl)

    dp, dweight, dbias = npdsconv.batch_norm2d_backward(
        np.cos(y), p, weight, mean, var, activation="relu", bias=bias, impl=impl
    )
    dd, dmix, _ = npdsconv.pointwise_conv2d_backward(dp, d, mix, impl=impl, needs=("x", "w"))
    dx, dw, db = npdsconv.depthwise_conv2d_backward(
        dd, x, w, padding=((1, 0), (0, 1)), stride=(2, 1), impl=impl
    )
    return [gradient.shape for gradient in (dx, dw, db, dmix, dweight, dbias)]


def run() -> tuple[list[float], list[tuple[int, ...]]]:
    rng = np.random.default_rng(0)
    x, labels = rng.random((6, 2, 4, 5), np.float32), rng.integers(0, 3, 6)
    model = layers.Sequential(Scale(2), layers.ReLU(), layers.Flatten(), layers.Linear(40, 3, rng=rng))
    layers.set_impl(model, "loops")
    return train(model, x, labels, 20), shapes_of_gradients("loops")
