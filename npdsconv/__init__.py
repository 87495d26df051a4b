"""npdsconv: depthwise separable convolution in NumPy, readable, hand-differentiated, gradient-checked and fast.

ops know the mathematics and remember nothing; layers own parameters and remember by closure; train runs the loop.
Importing this package is cheap: Numba, SciPy and pyplot are loaded when first needed.
"""

from npdsconv.ops import (
    avg_pool2d,
    avg_pool2d_backward,
    batch_norm2d,
    batch_norm2d_backward,
    col2im,
    conv2d,
    conv2d_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    dropout,
    dropout_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    im2col,
    linear,
    linear_backward,
    max_pool2d,
    max_pool2d_backward,
    pointwise_conv2d,
    pointwise_conv2d_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    separable_block,
    separable_block_backward,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm2d",
    "batch_norm2d_backward",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "dropout",
    "dropout_backward",
    "get_num_threads",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "im2col",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "pointwise_conv2d",
    "pointwise_conv2d_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "separable_block",
    "separable_block_backward",
    "set_num_threads",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]

__version__ = "0.1.0"


def set_num_threads(n: int) -> None:
    """Run the compiled kernels on `n` threads, from 1 to ``NUMBA_NUM_THREADS`` (the cores, unless set otherwise).

    Results are the same to the last bit for every `n`.

    Raises
    ------
    ValueError
        `n` out of that range.
    """
    from npdsconv.kernels.machine import jit

    jit.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that the compiled kernels use."""
    from npdsconv.kernels.machine import jit

    return jit.get_num_threads()
