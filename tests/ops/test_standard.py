"""The convolution: what it refuses. Its numbers are in house/test_tiers.py and house/test_oracles.py."""

import numpy as np
from messages import F32, W, X, assert_says, cases

import npdsconv


@cases(
    ((X[0], W), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, W[0]), {}, ValueError, "w must have axes (O, C/groups, KH, KW), got shape (4, 3, 2)"),
    (
        (X, W[:, :3]), {}, ValueError,
        "x has 4 channels, w reads 3 in each of 1 groups: w is (O, C/groups, KH, KW)",
    ),
    (
        (X, W), {"groups": 2}, ValueError,
        "x has 4 channels, w reads 4 in each of 2 groups: w is (O, C/groups, KH, KW)",
    ),
    ((X, W), {"groups": 0}, ValueError, "groups 0 must divide input channels 4 and output channels 6"),
    ((X, W), {"groups": -2}, ValueError, "groups -2 must divide input channels 4 and output channels 6"),
    ((X, W), {"groups": 3}, ValueError, "groups 3 must divide input channels 4 and output channels 6"),
    ((X, W), {"groups": 4}, ValueError, "groups 4 must divide input channels 4 and output channels 6"),
    ((X, W), {"groups": 2.0}, ValueError, "groups must be an int, got 2.0"),
    ((X, W), {"groups": True}, ValueError, "groups must be an int, got True"),
    ((X, W[:, :, :0]), {}, ValueError, "kernel height is 0, must be at least 1"),
    ((X, W[:, :, :, :0]), {}, ValueError, "kernel width is 0, must be at least 1"),
    ((X.tolist(), W), {}, TypeError, "x must be a NumPy array, got list"),
    ((X, None), {}, TypeError, "w must be a NumPy array, got NoneType"),
    ((X, "w"), {}, TypeError, "w must be a NumPy array, got str"),
    ((X.astype(int), W), {}, TypeError, "x has dtype int64, must be float32 or float64"),
    ((X, W.astype(np.float16)), {}, TypeError, "w has dtype float16, must be float32 or float64"),
    ((X.astype(complex), W), {}, TypeError, "x has dtype complex128, must be float32 or float64"),
    ((X.astype(">f8"), W), {}, TypeError, "x has dtype >f8, must be float32 or float64"),
    ((X, W.astype(F32)), {}, TypeError, "one dtype for all arrays, got x float64, w float32"),
)  # fmt: skip
def test_conv2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.conv2d, *arguments, **options)
    assert_says(error, message, npdsconv.conv2d_backward, np.zeros((2, 6, 5, 5)), *arguments, **options)
