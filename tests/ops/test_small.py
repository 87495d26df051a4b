"""Activations, batch norm, dense, dropout, losses, global pooling, im2col: by hand and by their properties."""

import numpy as np
import pytest
from geometries import LAYOUTS, assert_close, laid_out

import npdsconv
from npdsconv.ops.windows import crop, pad

RNG = np.random.default_rng(30)
with_both_impls = pytest.mark.parametrize("impl", ["numpy", "numba"])
with_both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def normal(*shape):
    return RNG.standard_normal(shape)


def equal(actual, expected):
    np.testing.assert_array_equal(actual, expected, strict=True)


# ---- activations ---------------------------------------------------------------------------------------------


@with_both_impls
@with_both_dtypes
def test_activations_by_hand(impl, dtype):
    x, dy = (
        np.array([[-2, -0.5, 0, 1], [5.5, 6, 7, 100]], dtype),
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype),
    )
    equal(npdsconv.relu(x, impl=impl), np.array([[0, 0, 0, 1], [5.5, 6, 7, 100]], dtype))
    equal(npdsconv.relu_backward(dy, x, impl=impl), np.array([[0, 0, 0, 4], [5, 6, 7, 8]], dtype))
    equal(npdsconv.relu6(x, impl=impl), np.array([[0, 0, 0, 1], [5.5, 6, 6, 6]], dtype))
    equal(npdsconv.relu6_backward(dy, x, impl=impl), np.array([[0, 0, 0, 4], [5, 0, 0, 0]], dtype))


@with_both_impls
def test_activations_pass_a_nan_on_and_infinities_are_cut(impl):
    x = np.array([np.nan, np.inf, -np.inf])
    equal(npdsconv.relu(x, impl=impl), np.array([np.nan, np.inf, 0]))
    equal(npdsconv.relu6(x, impl=impl), np.array([np.nan, 6, 0]))
    equal(npdsconv.relu6_backward(np.ones(3), x, impl=impl)[1:], np.zeros(2))


@with_both_impls
@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (3, 4), (2, 0, 3, 4), (2, 3, 5, 4), (2, 1, 3, 2, 2), (40_000,)]
)
@pytest.mark.parametrize("ceiling", [6, np.inf])
def test_activations_of_any_shape(ceiling, shape, impl):
    """40,000 numbers are three pieces of work for the kernel."""
    x, dy = 5 * normal(*shape), np.asarray(normal(*shape))
    x = np.asarray(x)
    forward, backward = (
        (npdsconv.relu, npdsconv.relu_backward)
        if ceiling == np.inf
        else (npdsconv.relu6, npdsconv.relu6_backward)
    )
    equal(np.asarray(forward(x, impl=impl)), np.minimum(np.maximum(x, 0), ceiling))
    equal(np.asarray(backward(dy, x, impl=impl)), np.where((x > 0) & (x < ceiling), dy, 0))


@with_both_impls
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_in_any_memory_layout(layout, impl):
    x, dy = normal(2, 3, 5, 4), normal(2, 3, 5, 4)
    y = npdsconv.relu(laid_out(x, layout), impl=impl)
    equal(y, np.maximum(x, 0))
    equal(npdsconv.relu_backward(laid_out(dy, "C"), laid_out(x, layout), impl=impl), dy * (x > 0))
    if impl == "numba" or layout == "channels-last":
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous


# ---- batch norm ----------------------------------------------------------------------------------------------


@with_both_impls
@with_both_dtypes
def test_batch_norm_by_hand(impl, dtype):
    """One channel holds 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9)/4. With eps = 1/2 the divisor is 2."""
    x = np.array([[1, 2, 3, 6], [2, 2, 2, 2]], dtype).T.reshape(2, 2, 1, 2).transpose(0, 3, 1, 2)
    weight, bias = np.array([4, 3], dtype), np.array([1, -1], dtype)
    y, mean, var = npdsconv.batch_norm2d(x, weight, bias, eps=0.5, impl=impl)
    equal(mean, np.array([3, 2], dtype))
    equal(var, np.array([3.5, 0], dtype))
    assert_close(y[:, 0].ravel(), np.array([-3, -1, 1, 7], dtype), 1e-6, "y")
    assert_close(
        y[:, 1].ravel(), np.array([-1, -1, -1, -1], dtype), 1e-6, "a constant channel gives its bias"
    )


@with_both_impls
def test_batch_norm_makes_mean_0_and_variance_1(impl):
    x = 7 * normal(9, 3, 14, 13) + np.array([5, -3, 0.1]).reshape(3, 1, 1)  # 1638 rows: four blocks
    y, mean, var = npdsconv.batch_norm2d(x, np.ones(3), np.zeros(3), eps=0.0, impl=impl)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var, x.var((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-12)
    z, *_ = npdsconv.batch_norm2d(-2 * x + 30, np.ones(3), np.zeros(3), eps=0.0, impl=impl)
    assert_close(z, -y, 1e-12, "shifting and stretching do not matter, up to the sign")


@with_both_impls
def test_given_statistics_are_used_and_returned(impl):
    x, weight, bias, mean = normal(2, 3, 4, 5), *normal(3, 3)
    var = RNG.uniform(0.5, 2, 3)
    y, *used = npdsconv.batch_norm2d(x, weight, bias, mean, var, impl=impl)
    equal(used[0], mean)
    equal(used[1], var)
    mean, var, weight, bias = (a.reshape(3, 1, 1) for a in (mean, var, weight, bias))
    assert_close(y, weight * (x - mean) / np.sqrt(var + 1e-5) + bias, 1e-13, "y")


@with_both_impls
def test_given_statistics_accept_an_empty_batch_and_a_single_pixel(impl):
    weight, bias, mean, var = np.array([2.0, 1]), np.array([1.0, 0]), np.array([0.0, 1]), np.array([3.0, 0])
    for shape in ((0, 2, 3, 4), (1, 2, 1, 1)):
        x = np.ones(shape)
        y, *_ = npdsconv.batch_norm2d(x, weight, bias, mean, var, eps=1.0, impl=impl)
        equal(y, np.broadcast_to(np.array([2.0, 0]).reshape(2, 1, 1), shape).copy())
        dx, dweight, dbias = npdsconv.batch_norm2d_backward(
            x, x, weight, mean, var, given=True, eps=1.0, impl=impl
        )
        assert dx.shape == shape
        equal(dweight, np.array([0.5, 0]) * len(x))
        equal(dbias, np.array([1.0, 1]) * len(x))


@with_both_impls
def test_the_batch_norm_gradient_has_nothing_along_1_and_along_the_output(impl):
    x, dy, weight = normal(3, 2, 5, 4), normal(3, 2, 5, 4), np.array([2.0, -0.3])
    xhat, mean, var = npdsconv.batch_norm2d(x, np.ones(2), np.zeros(2), eps=0.0, impl=impl)
    dx, dweight, dbias = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, eps=0.0, impl=impl)
    np.testing.assert_allclose(dx.sum((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose((dx * xhat).sum((0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(dweight, (dy * xhat).sum((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dbias, dy.sum((0, 2, 3)), rtol=1e-12)
    fixed, *_ = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, given=True, eps=0.0, impl=impl)
    assert_close(fixed, dy * (weight / np.sqrt(var)).reshape(2, 1, 1), 1e-13, "dx with given statistics")


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_both_batch_norms_agree_in_any_layout(given, dtype, tolerance):
    x, dy = 3 * normal(3, 4, 15, 12) + 2, normal(3, 4, 15, 12)
    weight, bias, mean = normal(3, 4)
    statistics = (mean, RNG.uniform(0.5, 2, 4)) if given else ()
    expected, *used = npdsconv.batch_norm2d(x, weight, bias, *statistics, impl="numpy")
    gradients = npdsconv.batch_norm2d_backward(dy, x, weight, *used, given=given, impl="numpy")
    for layout in LAYOUTS:
        a, g, w, b, *s = (laid_out(v.astype(dtype), layout) for v in (x, dy, weight, bias, *statistics))
        y, *found = npdsconv.batch_norm2d(a, w, b, *s, impl="numba")
        assert_close(y, expected, tolerance, layout)
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous
        for actual, wanted in zip(found, used, strict=True):
            assert_close(actual, wanted, tolerance, layout)
        back = npdsconv.batch_norm2d_backward(g, a, w, *found, given=given, impl="numba")
        for name, actual, wanted in zip(("dx", "dweight", "dbias"), back, gradients, strict=True):
            assert actual.dtype == dtype
            assert_close(actual, wanted, tolerance, f"{name}, {layout}")


@with_both_impls
def test_a_large_mean_does_not_ruin_the_variance(impl):
    """E[x²] - E[x]² in float32 would leave nothing of a variance of 1 beside a mean of 10,000."""
    x = (normal(4, 2, 20, 30) + 1e4).astype(np.float32)
    _, mean, var = npdsconv.batch_norm2d(x, np.ones(2, x.dtype), np.zeros(2, x.dtype), impl=impl)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=1e-3)


@with_both_impls
@pytest.mark.parametrize("needs", [(), ("x",), ("weight",), ("bias", "x"), ("weight", "bias")])
def test_batch_norm_gradients_that_are_not_needed_are_none(needs, impl):
    x, dy, weight = normal(2, 3, 4, 5), normal(2, 3, 4, 5), normal(3)
    _, mean, var = npdsconv.batch_norm2d(x, weight, weight, impl=impl)
    for given in (False, True):
        full = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, given=given, impl=impl)
        some = npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, given=given, impl=impl, needs=needs)
        for name, actual, expected in zip(("x", "weight", "bias"), some, full, strict=True):
            assert (actual is None) == (name not in needs)
            if name in needs:
                equal(actual, expected)


# ---- dense ---------------------------------------------------------------------------------------------------


@with_both_impls
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


@with_both_impls
@pytest.mark.parametrize("needs", [(), ("x",), ("w",), ("b",), ("w", "b")])
def test_linear_gradients_that_are_not_needed_are_none(needs, impl):
    found = npdsconv.linear_backward(normal(4, 2), normal(4, 3), normal(2, 3), impl=impl, needs=needs)
    assert [name for name, array in zip("xwb", found, strict=True) if array is not None] == list(needs)


# ---- dropout -------------------------------------------------------------------------------------------------


@with_both_dtypes
def test_dropout_by_hand(dtype):
    x, mask = np.array([[1, 2, 3], [4, 5, 6]], dtype), np.array([[True, False, True], [False, True, True]])
    equal(npdsconv.dropout(x, mask, 0.75), np.array([[4, 0, 12], [0, 20, 24]], dtype))
    equal(npdsconv.dropout_backward(x, mask, 0.75), np.array([[4, 0, 12], [0, 20, 24]], dtype))
    equal(npdsconv.dropout(x, np.ones_like(mask), 0.0), x)
    equal(npdsconv.dropout(x[:0], mask[:0], 0.5), x[:0])


def test_dropout_keeps_the_mean_and_the_layout():
    x = laid_out(1 + 0.1 * normal(20, 3, 40, 30), "channels-last")
    mask = laid_out(RNG.random(x.shape) >= 0.3, "channels-last")
    y = npdsconv.dropout(x, mask, 0.3)
    np.testing.assert_allclose(y.mean(), x.mean(), rtol=0.02)
    np.testing.assert_allclose((y == 0).mean(), 0.3, atol=0.02)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    dy = normal(*x.shape)
    np.testing.assert_allclose(
        np.vdot(y, dy), np.vdot(x, npdsconv.dropout_backward(dy, mask, 0.3)), rtol=1e-12
    )


# ---- softmax and cross-entropy -------------------------------------------------------------------------------


@with_both_dtypes
def test_cross_entropy_by_hand(dtype):
    """Odds 1 : 3 : 4 in one row and 1 : 1 : 2 in the other."""
    logits, labels = np.log(np.array([[1, 3, 4], [1, 1, 2]])).astype(dtype), np.array([1, 2])
    loss, p = npdsconv.softmax_cross_entropy(logits, labels)
    assert isinstance(loss, float)
    assert p.dtype == dtype
    np.testing.assert_allclose(loss, (np.log(8 / 3) + np.log(2)) / 2, rtol=1e-6)
    np.testing.assert_allclose(p, [[1 / 8, 3 / 8, 4 / 8], [1 / 4, 1 / 4, 2 / 4]], rtol=1e-6)
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, [[1 / 16, -5 / 16, 4 / 16], [1 / 8, 1 / 8, -2 / 8]], rtol=1e-6)
    np.testing.assert_allclose(npdsconv.softmax(logits), p, rtol=1e-6)


def test_label_smoothing_by_hand():
    """s = 0.3 and three classes: the target is 0.8 at the label and 0.1 elsewhere."""
    logits, labels = np.log([[1.0, 3, 4]]), [2]
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, label_smoothing=0.3)
    np.testing.assert_allclose(
        loss, -(0.1 * np.log(1 / 8) + 0.1 * np.log(3 / 8) + 0.8 * np.log(4 / 8)), rtol=1e-14
    )
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, label_smoothing=0.3)
    np.testing.assert_allclose(gradient, [[1 / 8 - 0.1, 3 / 8 - 0.1, 4 / 8 - 0.8]], rtol=1e-14)


@with_both_dtypes
def test_huge_logits_neither_overflow_nor_vanish(dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, -1e4 - 1, 1e4]], dtype)
    loss, p = npdsconv.softmax_cross_entropy(logits, np.array([1, 2]))
    assert loss == 5000.0
    equal(p, np.array([[1, 0, 0], [0, 0, 1]], dtype))
    equal(npdsconv.softmax_cross_entropy_backward(p, [1, 2]), np.array([[0.5, -0.5, 0], [0, 0, 0]], dtype))
    equal(npdsconv.softmax(logits), p)


def test_a_shift_of_all_logits_changes_nothing_and_the_gradient_sums_to_zero():
    logits, labels = normal(5, 7), RNG.integers(0, 7, 5).astype(np.uint8)
    loss, p = npdsconv.softmax_cross_entropy(logits, labels, label_smoothing=0.1)
    shifted, _ = npdsconv.softmax_cross_entropy(logits + 100, labels, label_smoothing=0.1)
    np.testing.assert_allclose(shifted, loss, rtol=1e-12)
    gradient = npdsconv.softmax_cross_entropy_backward(p, labels, label_smoothing=0.1)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(npdsconv.softmax(logits.reshape(5, 7, 1).swapaxes(1, 2))[:, 0], p, rtol=1e-12)


# ---- global pooling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@with_both_dtypes
def test_global_average_pooling(dtype, layout):
    x = np.array([[[[1, 2, 3], [4, 5, 9]], [[0, 0, 0], [0, 0, 3]]]], dtype)
    dy = np.array([[[[12]], [[-3]]]], dtype)
    equal(npdsconv.global_avg_pool2d(laid_out(x, layout)), np.array([[[[4]], [[0.5]]]], dtype))
    dx = npdsconv.global_avg_pool2d_backward(laid_out(dy, layout), laid_out(x, layout))
    equal(dx, np.broadcast_to(np.array([[[[2]], [[-0.5]]]], dtype), x.shape).copy())
    assert dx.flags.writeable
    assert dx.transpose(0, 2, 3, 1).flags.c_contiguous


def test_global_average_pooling_is_average_pooling_with_the_largest_window():
    x, dy = normal(3, 2, 4, 5), normal(3, 2, 1, 1)
    assert_close(npdsconv.global_avg_pool2d(x), npdsconv.avg_pool2d(x, (4, 5)), 1e-14, "y")
    expected = npdsconv.avg_pool2d_backward(dy, x, (4, 5))
    assert_close(npdsconv.global_avg_pool2d_backward(dy, x), expected, 1e-14, "dx")
    assert npdsconv.global_avg_pool2d(x[:0]).shape == (0, 2, 1, 1)


# ---- im2col and col2im ---------------------------------------------------------------------------------------

WINDOWS = [
    ((2, 3), {}),
    ((3, 2), {"stride": (2, 3), "padding": ((1, 0), (2, 3)), "dilation": (1, 2)}),
    (2, {"stride": 3, "padding": "same"}),
    ((1, 4), {"padding": (0, 2), "dilation": 2}),
]


@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_im2col_holds_what_a_convolution_with_one_tap_sees(kernel, options, layout):
    x = normal(2, 3, 7, 8)
    cols = npdsconv.im2col(laid_out(x, layout), kernel, **options)
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    taps = np.eye(3 * kh * kw).reshape(-1, 3, kh, kw)
    seen = npdsconv.conv2d(x, taps, **options, impl="naive")
    equal(cols.reshape(seen.shape), seen)


@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
def test_col2im_is_the_transpose_of_im2col(kernel, options):
    x = normal(2, 3, 7, 8)
    cols = npdsconv.im2col(x, kernel, **options)
    other = normal(*cols.shape)
    image = npdsconv.col2im(laid_out(other, "reversed"), (7, 8), kernel, **options)
    assert image.shape == x.shape
    np.testing.assert_allclose(np.vdot(cols, other), np.vdot(x, image), rtol=1e-12)


def test_col2im_counts_the_windows_of_each_pixel():
    """A 2×2 kernel with stride 1 on 3×4 pixels, as the product of the counts 1, 2, 1 and 1, 2, 2, 1."""
    counts = npdsconv.col2im(np.ones((1, 4, 6), np.float32), (3, 4), 2)
    equal(counts[0, 0], np.array([[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]], np.float32))


def test_im2col_of_an_empty_batch():
    cols = npdsconv.im2col(np.zeros((0, 3, 5, 4)), (2, 3))
    assert cols.shape == (0, 18, 8)
    assert npdsconv.col2im(cols, (5, 4), (2, 3)).shape == (0, 3, 5, 4)


def test_crop_takes_off_what_pad_put_on():
    x, sides = normal(2, 3, 4), ((1, 0), (2, 3))
    padded = pad(x, sides, -np.inf)
    assert padded.shape == (2, 4, 9)
    assert np.isinf(padded).sum() == padded.size - x.size
    equal(crop(padded, sides), x)
    assert np.shares_memory(crop(padded, sides), padded)


@pytest.mark.parametrize("impl", ["numpy", "numba"])
def test_relu_passes_the_gradient_of_infinity(impl):
    dy = np.array([3.0, 5.0, 7.0])
    dx = npdsconv.relu_backward(dy, np.array([np.inf, -np.inf, 1.0]), impl=impl)
    np.testing.assert_array_equal(dx, [3.0, 0.0, 7.0])


@pytest.mark.parametrize("impl", ["naive", "im2col", "numba"])
def test_max_pooling_never_sends_gradient_into_the_padding(impl):
    x, dy = np.full((1, 1, 2, 2), -np.inf), np.arange(1.0, 10).reshape(1, 1, 3, 3)
    dx = npdsconv.max_pool2d_backward(dy, x, 2, stride=1, padding=1, impl=impl)
    np.testing.assert_array_equal(dx[0, 0], [[12, 9], [15, 9]])


@pytest.mark.parametrize("impl", ["numpy", "numba"])
def test_batch_norm_keeps_its_digits_where_the_mean_is_large(impl):
    rng = np.random.default_rng(7)
    x = (1000 + rng.standard_normal((16, 3, 9, 8))).astype(np.float32)
    weight, bias = rng.standard_normal((2, 3)).astype(np.float32)
    y, _, var = npdsconv.batch_norm2d(x, weight, bias, impl=impl)
    exact = npdsconv.batch_norm2d(*(a.astype(np.float64) for a in (x, weight, bias)), impl="numpy")
    np.testing.assert_allclose(y, exact[0], atol=2e-4)
    np.testing.assert_allclose(var, exact[2], rtol=1e-5)


def test_batch_norm_backward_names_missing_statistics():
    x, weight = np.zeros((2, 3, 4, 5)), np.ones(3)
    with pytest.raises(TypeError, match="mean and var must be what batch_norm2d returned"):
        npdsconv.batch_norm2d_backward(x, x, weight, None, None)
