"""Bad input to an op: one clear line with the op, the numbers and the rule."""

import re

import numpy as np
import pytest

import npdsconv
from npdsconv import ops
from npdsconv.shapes import check_floats, pair

X = np.zeros((2, 4, 7, 6))
W = np.zeros((6, 4, 3, 2))
DEPTHWISE = np.zeros((4, 3, 3, 2))
POINTWISE = np.zeros((5, 4))
C, F32 = np.zeros(4), np.float32
LOGITS, LABELS, MASK = np.zeros((3, 4)), np.array([0, 3, 1]), np.ones(X.shape, bool)


def assert_says(error, message, function, *arguments, **options):
    """The call raises exactly this, with the public name of the function in front, in one line."""
    expected = f"{function.__name__}: {message}"
    with pytest.raises(error, match=f"^{re.escape(expected)}$") as caught:
        function(*arguments, **options)
    assert type(caught.value) is error
    assert "\n" not in expected


def cases(*rows):
    return pytest.mark.parametrize(("arguments", "options", "error", "message"), rows)


# ---- the convolutions ----------------------------------------------------------------------------------------

PADDING_FORMS = (
    'padding must be an int, (height, width), ((top, bottom), (left, right)), "valid" or "same", got '
)
PAIR = "must be an int or a pair of ints (height, width), got "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"impl": "cuda"}, "impl must be one of naive, im2col, numba, got 'cuda'"),
        ({"impl": None}, "impl must be one of naive, im2col, numba, got None"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"stride": (2, -1)}, "stride must be at least 1, got (2, -1)"),
        ({"stride": 1.5}, f"stride {PAIR}1.5"),
        ({"stride": True}, f"stride {PAIR}True"),
        ({"stride": (1, 2, 3)}, f"stride {PAIR}(1, 2, 3)"),
        ({"stride": None}, f"stride {PAIR}None"),
        ({"stride": "2"}, f"stride {PAIR}'2'"),
        ({"dilation": 0}, "dilation must be at least 1, got 0"),
        ({"dilation": (1, 0)}, "dilation must be at least 1, got (1, 0)"),
        ({"dilation": 2.0}, f"dilation {PAIR}2.0"),
        ({"padding": -1}, "padding must be at least 0, got -1"),
        ({"padding": (0, -2)}, "padding must be at least 0, got (0, -2)"),
        ({"padding": ((0, 1), (-3, 0))}, "padding must be at least 0, got (-3, 0)"),
        ({"padding": ((0, 1), (1.0, 0))}, f"padding {PAIR}(1.0, 0)"),
        ({"padding": (1, (0, 1))}, f"padding {PAIR}(1, (0, 1))"),
        ({"padding": "SAME"}, f"{PADDING_FORMS}'SAME'"),
        ({"padding": 1.5}, f"{PADDING_FORMS}1.5"),
        ({"padding": None}, f"{PADDING_FORMS}None"),
        ({"padding": True}, f"{PADDING_FORMS}True"),
        ({"padding": (1, 1, 1, 1)}, f"{PADDING_FORMS}(1, 1, 1, 1)"),
        ({"dilation": 4}, "kernel 3 with dilation 4 spans 9 > padded height 7: no output position"),
        (
            {"dilation": (1, 9), "padding": ((0, 0), (1, 2))},
            "kernel 2 with dilation 9 spans 10 > padded width 9: no output position",
        ),
    ],
)
@pytest.mark.parametrize(("op", "w"), [("conv2d", W), ("depthwise_conv2d", DEPTHWISE)])
def test_window_options(op, w, options, message):
    assert_says(ValueError, message, getattr(npdsconv, op), X, w, **options)
    assert_says(ValueError, message, getattr(npdsconv, f"{op}_backward"), X, X, w, **options)


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


@cases(
    ((X, POINTWISE), {"impl": "blas"}, ValueError, "impl must be one of naive, im2col, numba, got 'blas'"),
    ((X[0, 0], POINTWISE), {}, ValueError, "x must have axes (N, C, H, W), got shape (7, 6)"),
    ((X, W), {}, ValueError, "w must have axes (O, C), got shape (6, 4, 3, 2)"),
    ((X, POINTWISE[:, 1:]), {}, ValueError, "x has 4 channels, w reads 3: w is (O, C)"),
    ((X.astype(F32), POINTWISE), {}, TypeError, "one dtype for all arrays, got x float32, w float64"),
)
def test_pointwise_conv2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.pointwise_conv2d, *arguments, **options)
    assert_says(error, message, npdsconv.pointwise_conv2d_backward, X, *arguments, **options)


@pytest.mark.parametrize(
    ("op", "w", "outputs", "rule", "output"),
    [
        ("conv2d", W, 6, "O", "(2, 6, 5, 5)"),
        ("depthwise_conv2d", DEPTHWISE, 12, "C·M", "(2, 12, 5, 5)"),
        ("pointwise_conv2d", POINTWISE, 5, "O", "(2, 5, 7, 6)"),
    ],
)
def test_biases_and_cotangents(op, w, outputs, rule, output):
    forward, backward = getattr(npdsconv, op), getattr(npdsconv, f"{op}_backward")
    assert_says(ValueError, f"b has shape (4,), expected ({outputs},) ({rule})", forward, X, w, C)
    column = np.zeros((outputs, 1))
    assert_says(
        ValueError, f"b has shape {column.shape}, expected ({outputs},) ({rule})", forward, X, w, column
    )
    mixed = "one dtype for all arrays, got x float64, w float64, b float32"
    assert_says(TypeError, mixed, forward, X, w, np.zeros(outputs, F32))
    axes = f"N, {rule}, {'H, W' if op == 'pointwise_conv2d' else 'OH, OW'}"
    wrong = np.zeros((2, outputs, 1, 1))
    assert_says(ValueError, f"dy has shape {wrong.shape}, expected {output} ({axes})", backward, wrong, X, w)
    dy = forward(X, w)
    mixed = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, mixed, backward, dy.astype(F32), X, w)
    assert_says(TypeError, "dy must be a NumPy array, got NoneType", backward, None, X, w)
    known = "needs must be a tuple of names among ('x', 'w', 'b'), got "
    assert_says(ValueError, f"{known}('x', 'bias')", backward, dy, X, w, needs=("x", "bias"))
    assert_says(ValueError, f"{known}'x'", backward, dy, X, w, needs="x")


@pytest.mark.parametrize("impl", ["naive", "im2col", "numba"])
def test_errors_do_not_depend_on_the_tier(impl):
    message = "kernel 3 with dilation 1 spans 3 > padded height 2: no output position"
    assert_says(ValueError, message, npdsconv.conv2d, X[:, :, :2], W, impl=impl)
    assert_says(ValueError, message, npdsconv.depthwise_conv2d, X[:, :, :2], DEPTHWISE, impl=impl)
    assert_says(ValueError, message, npdsconv.max_pool2d, X[:, :, :2], 3, impl=impl)


# ---- pooling -------------------------------------------------------------------------------------------------


@cases(
    ((X, 2), {"impl": "numpy"}, ValueError, "impl must be one of naive, im2col, numba, got 'numpy'"),
    ((X, 0), {}, ValueError, "kernel_size must be at least 1, got 0"),
    ((X, 2.0), {}, ValueError, f"kernel_size {PAIR}2.0"),
    ((X, 2), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ((X, 2), {"padding": "full"}, ValueError, f"{PADDING_FORMS}'full'"),
    ((X, (8, 1)), {}, ValueError, "kernel 8 with dilation 1 spans 8 > padded height 7: no output position"),
    ((X[0], 2), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X[:, :, :0], 2), {}, ValueError, "x must have at least one pixel, got shape (2, 4, 0, 6)"),
    ((X.astype(int), 2), {}, TypeError, "x has dtype int64, must be float32 or float64"),
    (
        (X, (3, 2)), {"padding": 2}, ValueError,
        "padding ((2, 2), (2, 2)) puts a window of kernel (3, 2) wholly into the padding "
        "(output columns [0, 4]): every window must meet the image",
    ),
    (
        (X, (2, 3)), {"padding": ((3, 0), (0, 0)), "stride": 1}, ValueError,
        "padding ((3, 0), (0, 0)) puts a window of kernel (2, 3) wholly into the padding "
        "(output rows [0, 1]): every window must meet the image",
    ),
    (
        # Before and behind the only pixel, never on it.
        (X[:, :, :1, :1], 2), {"padding": 1, "dilation": 2}, ValueError,
        "padding ((1, 1), (1, 1)) puts a window of kernel (2, 2) wholly into the padding "
        "(output rows [0]): every window must meet the image",
    ),
)  # fmt: skip
@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
def test_pooling(op, arguments, options, error, message):
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)
    assert_says(error, message, getattr(npdsconv, f"{op}_backward"), X, *arguments, **options)


@pytest.mark.parametrize("backward", [ops.max_pool2d_backward, ops.avg_pool2d_backward])
def test_cotangents_of_pooling(backward):
    assert_says(
        ValueError, f"dy has shape {X.shape}, expected (2, 4, 3, 3) (N, C, OH, OW)", backward, X, X, 2
    )
    mixed = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, mixed, backward, np.zeros((2, 4, 3, 3), F32), X, 2)


def test_global_pooling():
    forward, backward = npdsconv.global_avg_pool2d, npdsconv.global_avg_pool2d_backward
    for function, arguments in ((forward, ()), (backward, (np.zeros((2, 4, 1, 1)),))):
        message = "x must have at least one pixel, got shape (2, 4, 7, 0)"
        assert_says(ValueError, message, function, *arguments, X[..., :0])
        message = "x must have axes (N, C, H, W), got shape (2, 4)"
        assert_says(ValueError, message, function, *arguments, X[..., 0, 0])
    assert_says(TypeError, "x has dtype bool, must be float32 or float64", forward, MASK)
    message = "dy has shape (2, 4), expected (2, 4, 1, 1) (N, C, 1, 1)"
    assert_says(ValueError, message, backward, np.zeros((2, 4)), X)
    message = "one dtype for all arrays, got dy float32, x float64"
    assert_says(TypeError, message, backward, np.zeros((2, 4, 1, 1), F32), X)


def test_im2col_and_col2im():
    assert_says(ValueError, "kernel_size must be at least 1, got (2, 0)", npdsconv.im2col, X, (2, 0))
    assert_says(ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)", npdsconv.im2col, X[0], 2)
    message = "kernel 8 with dilation 1 spans 8 > padded height 7: no output position"
    assert_says(ValueError, message, npdsconv.im2col, X, 8)
    assert_says(TypeError, "x must be a NumPy array, got list", npdsconv.im2col, [1.0], 2)
    cols = npdsconv.im2col(X, (3, 2))
    message = "cols has shape (2, 23, 25), expected (2, 18, 25) (KH·KW = 6, OH·OW = 25)"
    assert_says(ValueError, message, npdsconv.col2im, cols[:, 1:], (7, 6), (3, 2))
    message = "cols has shape (2, 24, 25), expected (2, 24, 30) (KH·KW = 6, OH·OW = 30)"
    assert_says(ValueError, message, npdsconv.col2im, cols, (8, 6), (3, 2))
    message = "cols must have axes (N, C·KH·KW, OH·OW), got shape (24, 25)"
    assert_says(ValueError, message, npdsconv.col2im, cols[0], (7, 6), (3, 2))
    assert_says(ValueError, f"size {PAIR}(7, 6, 1)", npdsconv.col2im, cols, (7, 6, 1), (3, 2))
    message = "kernel 3 with dilation 1 spans 3 > padded height 2: no output position"
    assert_says(ValueError, message, npdsconv.col2im, cols, (2, 6), (3, 2))


# ---- the rest ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["relu", "relu6"])
def test_activations(op):
    forward, backward = getattr(npdsconv, op), getattr(npdsconv, f"{op}_backward")
    for function, arguments in ((forward, (X,)), (backward, (X, X))):
        message = "impl must be one of numpy, numba, got 'naive'"
        assert_says(ValueError, message, function, *arguments, impl="naive")
    assert_says(TypeError, "x has dtype int64, must be float32 or float64", forward, LABELS)
    assert_says(TypeError, "x must be a NumPy array, got float", forward, 1.0)
    message = "dy has shape (4,), expected (2, 4, 7, 6) (the shape of x)"
    assert_says(ValueError, message, backward, C, X)
    assert_says(TypeError, "one dtype for all arrays, got dy float32, x float64", backward, X.astype(F32), X)


@cases(
    ((X, C, C), {"impl": "naive"}, ValueError, "impl must be one of numpy, numba, got 'naive'"),
    ((X[0], C, C), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, C[:3], C), {}, ValueError, "weight has shape (3,), expected (4,) (C)"),
    ((X, C, C[:1]), {}, ValueError, "bias has shape (1,), expected (4,) (C)"),
    ((X, C, C, C[:2], C), {}, ValueError, "mean has shape (2,), expected (4,) (C)"),
    ((X, C, C, C, np.zeros((4, 1))), {}, ValueError, "var has shape (4, 1), expected (4,) (C)"),
    ((X, C, C, C), {}, ValueError, "give both mean and var, or neither"),
    ((X, C, C, None, C), {}, ValueError, "give both mean and var, or neither"),
    (
        (X[:1, :, :1, :1], C, C), {}, ValueError,
        "batch statistics need at least 2 values in a channel, got N·H·W = 1 from shape (1, 4, 1, 1)",
    ),
    (
        (X[:0], C, C), {}, ValueError,
        "batch statistics need at least 2 values in a channel, got N·H·W = 0 from shape (0, 4, 7, 6)",
    ),
    (
        (X, C, C.astype(F32)), {}, TypeError,
        "one dtype for all arrays, got x float64, weight float64, bias float32",
    ),
)  # fmt: skip
def test_batch_norm2d(arguments, options, error, message):
    assert_says(error, message, npdsconv.batch_norm2d, *arguments, **options)


@cases(
    ((X, X, C, C, C), {"impl": "im2col"}, ValueError, "impl must be one of numpy, numba, got 'im2col'"),
    ((X[1:], X, C, C, C), {}, ValueError, "dy has shape (1, 4, 7, 6), expected (2, 4, 7, 6) (N, C, H, W)"),
    ((X, X, C[1:], C, C), {}, ValueError, "weight has shape (3,), expected (4,) (C)"),
    ((X, X, C, C[1:], C), {}, ValueError, "mean has shape (3,), expected (4,) (C)"),
    (
        (X, X, C, C, C), {"needs": ("x", "w")}, ValueError,
        "needs must be a tuple of names among ('x', 'weight', 'bias'), got ('x', 'w')",
    ),
    ((X.astype(F32), X, C, C, C), {}, TypeError, "one dtype for all arrays, got dy float32, x float64"),
)  # fmt: skip
def test_batch_norm2d_backward(arguments, options, error, message):
    assert_says(error, message, npdsconv.batch_norm2d_backward, *arguments, **options)


@cases(
    ((LOGITS, POINTWISE), {"impl": "naive"}, ValueError, "impl must be one of numpy, numba, got 'naive'"),
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


@pytest.mark.parametrize("op", ["dropout", "dropout_backward"])
@cases(
    ((X, MASK[0], 0.5), {}, ValueError, "mask has shape (4, 7, 6), expected (2, 4, 7, 6) (the shape of x)"),
    ((X, X, 0.5), {}, TypeError, "mask has dtype float64, must be bool"),
    ((X, True, 0.5), {}, TypeError, "mask must be a NumPy array, got bool"),
    ((X, MASK, 1.0), {}, ValueError, "p must be in [0, 1), got 1.0"),
    ((X, MASK, -0.1), {}, ValueError, "p must be in [0, 1), got -0.1"),
    ((X, MASK, np.nan), {}, ValueError, "p must be in [0, 1), got nan"),
    ((MASK, MASK, 0.5), {}, TypeError, "x has dtype bool, must be float32 or float64"),
)
def test_dropout(op, arguments, options, error, message):
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)


@pytest.mark.parametrize("op", ["softmax_cross_entropy", "softmax_cross_entropy_backward"])
@cases(
    ((X, LABELS), {}, ValueError, "logits must have axes (N, K), got shape (2, 4, 7, 6)"),
    ((LOGITS.astype(int), LABELS), {}, TypeError, "logits has dtype int64, must be float32 or float64"),
    ((LOGITS, LABELS + 1), {}, ValueError, "labels lie in 1 … 4, must be in 0 … 3"),
    ((LOGITS, LABELS - 1), {}, ValueError, "labels lie in -1 … 2, must be in 0 … 3"),
    ((LOGITS, LABELS * 1.0), {}, TypeError, "labels have dtype float64, must be integers"),
    ((LOGITS, LABELS > 0), {}, TypeError, "labels have dtype bool, must be integers"),
    ((LOGITS, LABELS[1:]), {}, ValueError, "labels have shape (2,), expected (3,) for logits (3, 4)"),
    (
        (LOGITS, np.eye(4, dtype=int)[LABELS]), {}, ValueError,
        "labels have shape (3, 4), expected (3,) for logits (3, 4)",
    ),
    ((LOGITS[:0], LABELS[:0]), {}, ValueError, "the mean over an empty batch does not exist"),
    ((LOGITS, LABELS), {"label_smoothing": 1}, ValueError, "label_smoothing must be in [0, 1), got 1"),
    ((LOGITS, LABELS), {"label_smoothing": -0.1}, ValueError, "label_smoothing must be in [0, 1), got -0.1"),
)  # fmt: skip
def test_softmax_cross_entropy(op, arguments, options, error, message):
    if op.endswith("backward"):
        message = message.replace("logits", "probabilities")
    assert_says(error, message, getattr(npdsconv, op), *arguments, **options)


def test_softmax():
    assert_says(TypeError, "logits has dtype int64, must be float32 or float64", npdsconv.softmax, LABELS)


# ---- the rules themselves ------------------------------------------------------------------------------------


def test_pairs():
    assert pair("op", "stride", 3) == (3, 3)
    assert pair("op", "stride", [1, 2]) == (1, 2)
    assert pair("op", "stride", np.int32(2)) == (2, 2)
    assert pair("op", "padding", (0, 4), 0) == (0, 4)
    assert all(type(part) is int for part in pair("op", "stride", (np.int64(1), np.uint8(2))))


def test_arrays_that_are_not_given_are_not_checked():
    check_floats("op", x=C, b=None, mean=None, var=None)
    with pytest.raises(TypeError, match=r"^op: one dtype for all arrays, got x float32, var float64$"):
        check_floats("op", x=C.astype(F32), mean=None, var=C)
    with pytest.raises(TypeError, match=r"^op: dy must be a NumPy array, got NoneType$"):
        check_floats("op", dy=None, x=C)
