"""Flattening, which changes the shape alone, and dropout, which drops some of the numbers."""

from typing import final

import numpy as np

from npdsconv.layers.base import Buffer, Layer, Pullback, pullback
from npdsconv.ops import regularization
from npdsconv.shapes import Array, check_number


@final
class Flatten(Layer):
    """(N, C, H, W) to (N, C·H·W), channels slowest, as in PyTorch."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
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

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None) -> None:
        self.p = check_number("Dropout", "p", p, 0, 1, open_high=True)
        rng = np.random.default_rng(rng)
        self.key = Buffer(rng.integers(2**63, size=1, dtype=np.uint64))
        self.counter = Buffer(np.zeros(1, np.uint64))

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Pullback]:
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
        # The raw numbers of a bit generator never change between NumPy versions; what Generator makes of them may.
        bits = np.random.Philox(key=int(self.key.value[0]), counter=[0, 0, 0, int(self.counter.value[0])])
        count = int(np.prod(shape))
        halves = bits.random_raw(-(-count // 2)).astype("<u8", copy=False).view("<u4")[:count]
        kept = halves >= np.uint32(self.p * 2**32)
        if len(shape) == 4:
            n, c, h, w = shape
            return kept.reshape(n, h, w, c).transpose(0, 3, 1, 2)
        return kept.reshape(shape)
