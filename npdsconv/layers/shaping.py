"""Flattening, which changes the shape alone, and dropout, which drops some of the numbers."""

from typing import final

import numpy as np

from npdsconv.layers.base import Backward, Buffer, Layer, pullback
from npdsconv.ops import regularization
from npdsconv.shapes import Array


@final
class Flatten(Layer):
    """(N, C, H, W) to (N, C·H·W), channels slowest, as in PyTorch."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """(N, ...) to (N, product of the rest)."""
        shape = x.shape
        features = int(np.prod(shape[1:]))
        return x.reshape(len(x), features), pullback(lambda dy: dy.reshape(shape))


@final
class Dropout(Layer):
    """Drop each unit with probability `p` in training, scaling the others by 1/(1 - p).

    The mask is a function of a key, drawn once from `rng`, and of a counter that advances by one each training pass.
    Both are Buffers: a resumed run goes on with the same masks, and restoring them repeats a mask.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1), got {p}")
        self.p = p
        rng = np.random.default_rng(rng)
        self.key = Buffer(rng.integers(2**63, size=1, dtype=np.uint64))
        self.counter = Buffer(np.zeros(1, np.uint64))

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Backward]:
        """Any shape to the same shape."""
        if not (train and self.p):
            return x, pullback(lambda dy: dy)
        mask, p = self._mask(x.shape), self.p
        self.counter.value += np.uint64(1)
        return regularization.dropout(x, mask, p), pullback(
            lambda dy: regularization.dropout_backward(dy, mask, p)
        )

    def _mask(self, shape: tuple[int, ...]) -> Array:
        """True where a unit is kept. For images it is drawn channels-last: a product keeps its operands' layout."""
        generator = np.random.Generator(
            np.random.Philox(key=int(self.key.value[0]), counter=[0, 0, 0, int(self.counter.value[0])])
        )
        if len(shape) == 4:
            n, c, h, w = shape
            return (generator.random((n, h, w, c), np.float32) >= self.p).transpose(0, 3, 1, 2)
        return generator.random(shape, np.float32) >= self.p
