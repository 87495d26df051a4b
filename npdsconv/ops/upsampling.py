"""Upsampling: every pixel becomes a rectangle of equal pixels (nearest neighbour).

Its gradient is the sum over each rectangle. That is average pooling with windows that lie side by side, but for the
factor: the sum in place of the mean. So upsampling is the transpose of pooling, as ``transposed.py`` is that of
convolution, and needs no loops of its own: what is backward there, each pixel of a window gets its share, is forward
here, with a share of one.
"""

import numpy as np

from npdsconv.ops import avg_pooling
from npdsconv.ops._memory import check_memory
from npdsconv.ops._tiers import tier
from npdsconv.ops.pooling import PoolTier, check_images
from npdsconv.shapes import Array, Pair, Stride, Window, check_floats, check_shape, pair

# ---- every tier is that of average pooling, transposed ---------------------------------------------------------


def transposed(pool: PoolTier) -> PoolTier:
    """The transpose of a tier of ``avg_pooling.py``."""

    def forward(x: Array, scale: Pair) -> Array:
        return pool.backward(x, _larger(x.shape, scale), *_sums(x, scale))

    def backward(dy: Array, x: Array, scale: Pair) -> Array:
        return pool.forward(dy, *_sums(x, scale))

    return PoolTier(forward, backward)


def _larger(shape: tuple[int, ...], scale: Pair) -> tuple[int, ...]:
    n, c, h, w = shape
    return n, c, h * scale[0], w * scale[1]


def _sums(x: Array, scale: Pair) -> tuple[Window, Array]:
    """The windows, one for each pixel of x, and the weight of a pixel in each: (H, W) ones."""
    size = (x.shape[2], x.shape[3])
    window = Window(kernel=scale, stride=scale, padding=((0, 0), (0, 0)), dilation=(1, 1), output=size)
    return window, np.ones(size, x.dtype)


# ---- the public pair ------------------------------------------------------------------------------------------

IMPLS = {name: transposed(pool) for name, pool in avg_pooling.IMPLS.items()}


def upsample2d(x: Array, scale: Stride, *, impl: str = "numba") -> Array:
    """``y[n, c, i, j] = x[n, c, i // sh, j // sw]``: each pixel becomes sh × sw equal ones.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64
    scale : int or (height, width), at least 1
    impl : "naive" (the formula), "im2col" (NumPy), "loops" (compiled, to be read) or "numba" (tuned)

    Returns
    -------
    y : (N, C, H·sh, W·sw)

    Raises
    ------
    TypeError
        A dtype other than float32 and float64.
    ValueError
        A scale below 1, or an x that is no batch of images.

    References
    ----------
    Odena, Dumoulin, Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016: upsampling and then a convolution,
    against a transposed convolution.

    Examples
    --------
    >>> upsample2d(np.array([[[[1.0, 2]]]]), (1, 3), impl="naive")[0, 0]
    array([[1., 1., 1., 2., 2., 2.]])
    """
    op = "upsample2d"
    chosen = tier(op, IMPLS, impl)
    return chosen.forward(x, _check(op, x, scale))


def upsample2d_backward(dy: Array, x: Array, scale: Stride, *, impl: str = "numba") -> Array:
    """``dx[n, c, p, q] = Σ dy[n, c, i, j]`` over the pixels that (p, q) became. Only the shape of `x` is read."""
    op = "upsample2d_backward"
    chosen = tier(op, IMPLS, impl)
    factors = _check(op, x, scale)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, _larger(x.shape, factors), "N, C, H·sh, W·sw")
    return chosen.backward(dy, x, factors)


def _check(op: str, x: Array, scale: Stride) -> Pair:
    check_images(op, x)
    factors = pair(op, "scale", scale)
    check_memory(op, "an output", _larger(x.shape, factors), x.dtype)
    return factors
