"""The linear op: by hand, both tiers; what it refuses."""

import numpy as np
import pytest
from geometries import laid_out
from helpers import assert_close, equal, normal
from messages import F32, LOGITS, POINTWISE, C, W, X, assert_says, cases

import npdsconv

with_every_impl = pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@with_every_impl
@with_both_dtypes
def test_linear_by_hand(impl, dtype):
    x, w = np.array([[1, 2, 0], [0, -1, 3]], dtype), np.array([[1, 1, 1], [0, 3, 2]], dtype)
    b, dy = np.array([10, -5], dtype), np.array([[1, 2], [-1, 3]], dtype)
    equal(npdsconv.linear(x, w, impl=impl), np.array([[3, 6], [2, 3]], dtype))
    equal(npdsconv.linear(x, w, b, impl=impl), np.array([[13, 1], [12, -2]], dtype))
    dx, dw, db = npdsconv.linear_backward(dy, x, w, impl=impl)
    equal(dx, np.array([[1, 7, 5], [-1, 8, 5]], dtype))
    equal(dw, np.array([[1, 3, -3], [2, 1, 9]], dtype))
    equal(db, np.array([0, 5], dtype))


@pytest.mark.parametrize("layout", ["C", "Fortran", "reversed", "sliced", "unaligned"])
@pytest.mark.parametrize(("n", "c", "o"), [(0, 3, 2), (1, 5, 4), (7, 2, 3), (4100, 3, 2)])
def test_both_linears_agree(n, c, o, layout):
    """4,100 rows are split for y, dx and dw alike."""
    x, w, b, dy = normal(n, c), normal(o, c), normal(o), normal(n, o)
    given = [laid_out(a, layout) for a in (x, w, b, dy)]
    assert_close(npdsconv.linear(*given[:3]), x @ w.T + b, 1e-13, "y")
    expected = npdsconv.linear_backward(dy, x, w, impl="numpy")
    for actual, wanted in zip(npdsconv.linear_backward(given[3], *given[:2]), expected, strict=True):
        assert_close(actual, wanted, 1e-13, layout)


@cases(
    (
        (LOGITS, POINTWISE),
        {"impl": "blas"},
        ValueError,
        "impl must be one of naive, im2col, loops, numba, got 'blas'",
    ),
    ((X, POINTWISE), {}, ValueError, "x must have axes (N, C), got shape (2, 4, 7, 6)"),
    ((LOGITS, W), {}, ValueError, "w must have axes (O, C), got shape (6, 4, 3, 2)"),
    ((LOGITS, POINTWISE[:, 1:]), {}, ValueError, "x has 4 features, w reads 3: w is (O, C)"),
    ((LOGITS, POINTWISE.astype(F32)), {}, TypeError, "one dtype for all arrays, got x float64, w float32"),
)
def test_linear(arguments, options, error, message):
    assert_says(error, message, npdsconv.linear, *arguments, **options)
    assert_says(error, message, npdsconv.linear_backward, np.zeros((3, 5)), *arguments, **options)


def test_biases_and_cotangents_of_linear():
    message = "b has shape (4,), expected (5,) (O)"
    assert_says(ValueError, message, npdsconv.linear, LOGITS, POINTWISE, C)
    message = "dy has shape (3, 4), expected (3, 5) (N, O)"
    assert_says(ValueError, message, npdsconv.linear_backward, LOGITS, LOGITS, POINTWISE)
    message = "needs must be a tuple of names among ('x', 'w', 'b'), got ('dx',)"
    dy = np.zeros((3, 5))
    assert_says(ValueError, message, npdsconv.linear_backward, dy, LOGITS, POINTWISE, needs=("dx",))
    message = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, message, npdsconv.linear_backward, dy.astype(F32), LOGITS, POINTWISE)
