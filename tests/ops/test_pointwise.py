"""The pointwise convolution: what it refuses. Its numbers are in house/test_tiers.py and house/test_oracles.py."""

from messages import F32, POINTWISE, W, X, assert_says, cases

import npdsconv


@cases(
    (
        (X, POINTWISE),
        {"impl": "blas"},
        ValueError,
        "impl must be one of naive, im2col, loops, numba, got 'blas'",
    ),
    ((X[0, 0], POINTWISE), {}, ValueError, "x must have axes (N, C, H, W), got shape (7, 6)"),
    ((X, W), {}, ValueError, "w must have axes (O, C), got shape (6, 4, 3, 2)"),
    ((X, POINTWISE[:, 1:]), {}, ValueError, "x has 4 channels, w reads 3: w is (O, C)"),
    ((X.astype(F32), POINTWISE), {}, TypeError, "one dtype for all arrays, got x float32, w float64"),
)
def test_pointwise_conv2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.pointwise_conv2d, *arguments, **options)
    assert_says(error, message, npdsconv.pointwise_conv2d_backward, X, *arguments, **options)
