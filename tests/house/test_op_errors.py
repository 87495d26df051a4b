"""Bad input to an op: one clear line with the op, the numbers and the rule. Here for several ops at once."""

import numpy as np
import pytest
from messages import DEPTHWISE, F32, PADDING_FORMS, PAIR, POINTWISE, C, W, X, assert_says

import npdsconv


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"impl": "cuda"}, "impl must be one of naive, im2col, loops, numba, got 'cuda'"),
        ({"impl": None}, "impl must be one of naive, im2col, loops, numba, got None"),
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
        ({"padding": (1, (0, 1))}, f"{PADDING_FORMS}(1, (0, 1))"),
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


@pytest.mark.parametrize("impl", ["naive", "im2col", "loops", "numba"])
def test_errors_do_not_depend_on_the_tier(impl):
    message = "kernel 3 with dilation 1 spans 3 > padded height 2: no output position"
    assert_says(ValueError, message, npdsconv.conv2d, X[:, :, :2], W, impl=impl)
    assert_says(ValueError, message, npdsconv.depthwise_conv2d, X[:, :, :2], DEPTHWISE, impl=impl)
    assert_says(ValueError, message, npdsconv.max_pool2d, X[:, :, :2], 3, impl=impl)
