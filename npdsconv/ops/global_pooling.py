"""Global average pooling: the mean of every channel, over the whole image."""

from npdsconv import layout
from npdsconv.ops._tiers import tier
from npdsconv.ops.pooling import PoolTier, check_global_dy, check_images
from npdsconv.shapes import Array

# ---- NumPy: there are no windows, so this is the formula ------------------------------------------------------


def _numpy(x: Array) -> Array:
    n, c, h, w = x.shape
    pixels = layout.nhwc(x).reshape(n, h * w, c)
    return pixels.mean(axis=1).reshape(n, c, 1, 1)


def _numpy_backward(dy: Array, x: Array) -> Array:
    dx = layout.empty_nchw(x.shape, dy.dtype)
    dx[...] = _share(dy, x)
    return dx


def _share(dy: Array, x: Array) -> Array:
    """The gradient that every pixel of a channel gets: dy / (H·W)."""
    return dy / dy.dtype.type(x.shape[2] * x.shape[3])


# ---- compiled -------------------------------------------------------------------------------------------------


def _loops(x: Array) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.global_forward(x)


def _loops_backward(dy: Array, x: Array) -> Array:
    from npdsconv.kernels.loops import pooling

    return pooling.global_backward(_share(dy, x), x.shape)


def _numba(x: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.global_forward(x)


def _numba_backward(dy: Array, x: Array) -> Array:
    from npdsconv.kernels import pooling

    return pooling.global_backward(_share(dy, x), x.shape)


# ---- the public pair ------------------------------------------------------------------------------------------

_NUMPY = PoolTier(_numpy, _numpy_backward)
IMPLS = {
    "naive": _NUMPY,
    "im2col": _NUMPY,
    "loops": PoolTier(_loops, _loops_backward),
    "numba": PoolTier(_numba, _numba_backward),
}


def global_avg_pool2d(x: Array, *, impl: str = "numba") -> Array:
    """``y[n, c, 0, 0] = mean over i, j of x[n, c, i, j]``: (N, C, H, W) to (N, C, 1, 1).

    `impl` is "naive", "im2col" or "numpy" (all three NumPy), "loops" (compiled, to be read) or "numba" (tuned).

    References
    ----------
    Lin, Chen, Yan, *Network In Network*, ICLR 2014.
    """
    op = "global_avg_pool2d"
    chosen = tier(op, IMPLS, impl)
    check_images(op, x)
    return chosen.forward(x)


def global_avg_pool2d_backward(dy: Array, x: Array, *, impl: str = "numba") -> Array:
    """``dx[n, c, i, j] = dy[n, c, 0, 0] / (H·W)``. Only the shape of `x` is read."""
    op = "global_avg_pool2d_backward"
    chosen = tier(op, IMPLS, impl)
    check_global_dy(op, dy, x)
    return chosen.backward(dy, x)
