"""The depthwise convolution: what it refuses. Its numbers are in house/test_tiers.py and house/test_oracles.py."""

from messages import DEPTHWISE, F32, W, X, assert_says, cases

import npdsconv


@cases(
    ((X[0], DEPTHWISE), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, W[0]), {}, ValueError, "w must have axes (C, M, KH, KW), got shape (4, 3, 2)"),
    ((X, W), {}, ValueError, "x has 4 channels, w has filters for 6: w is (C, M, KH, KW)"),
    ((X, DEPTHWISE[:, :, :0]), {}, ValueError, "kernel height is 0, must be at least 1"),
    ((X, DEPTHWISE.astype(F32)), {}, TypeError, "one dtype for all arrays, got x float64, w float32"),
    ((X > 0, DEPTHWISE), {}, TypeError, "x has dtype bool, must be float32 or float64"),
)
def test_depthwise_conv2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.depthwise_conv2d, *arguments, **options)
    assert_says(error, message, npdsconv.depthwise_conv2d_backward, X, *arguments, **options)
