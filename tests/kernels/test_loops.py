"""The compiled tier to read: plain enough to be read, right at real sizes, and to the bit for any number of threads."""

import ast
from pathlib import Path

import numba
import numpy as np
import pytest
from geometries import LAYOUTS, TOLERANCE, laid_out
from helpers import assert_close, compiled

import npdsconv
from npdsconv.kernels import loops
from npdsconv.ops.activations import FUNCTIONS

FILES = [path for path in Path(loops.__file__).parent.glob("*.py") if path.stem not in ("__init__", "common")]
KERNELS = [
    pytest.param(path, node, id=f"{path.stem}.{node.name}")
    for path in FILES
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]


@pytest.mark.parametrize(("path", "kernel"), KERNELS)
def test_a_kernel_fits_a_screen_and_says_what_each_turn_owns(path, kernel):
    assert kernel.end_lineno - kernel.lineno < 40
    turns = [
        node for node in ast.walk(kernel) if isinstance(node, ast.For) and "prange" in ast.unparse(node.iter)
    ]
    assert len(turns) == 1
    assert "  # owns " in path.read_text(encoding="utf-8").splitlines()[turns[0].lineno - 1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_of_the_machine_is_needed_but_the_parallel_loop(path):
    imported = {
        alias.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("npdsconv.kernels")
        if node.module != "npdsconv.kernels.loops.common"
        for alias in node.names
    }
    assert imported <= {"kernel", "prange", "each"}


# ---- real sizes: the default network's layers, batch 128, where the naive tier would take an hour ----------------

RNG = np.random.default_rng(70)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape, np.float32).astype(dtype)


REAL = [
    ("conv2d", (128, 1, 28, 28), (32, 1, 3, 3), {"padding": 1}),
    ("conv2d", (32, 32, 28, 28), (48, 16, 3, 3), {"padding": 1, "groups": 2, "stride": 2}),
    ("depthwise_conv2d", (128, 32, 28, 28), (32, 1, 3, 3), {"padding": 1}),
    ("depthwise_conv2d", (128, 64, 28, 28), (64, 1, 3, 3), {"padding": 1, "stride": 2}),
    ("depthwise_conv2d", (128, 128, 7, 7), (128, 1, 3, 3), {"padding": 2, "dilation": 2}),
    ("depthwise_conv2d", (64, 24, 14, 14), (24, 3, 5, 5), {"padding": "same"}),
    ("pointwise_conv2d", (128, 64, 14, 14), (128, 64), {}),
    ("max_pool2d", (128, 32, 28, 28), None, {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg_pool2d", (128, 32, 28, 28), None, {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("global_avg_pool2d", (128, 128, 7, 7), None, {}),
    ("linear", (1500, 128), (10, 128), {}),
    ("relu6", (128, 32, 28, 28), None, {}),
]


def pair_of(op, x, w, dy, options, impl):
    """y and all gradients of an op."""
    forward, backward = getattr(npdsconv, op), getattr(npdsconv, f"{op}_backward")
    arrays = (x,) if w is None else (x, w)
    y = forward(*arrays, **options, impl=impl)
    found = backward(np.resize(dy, y.shape), *arrays, **options, impl=impl)
    return [y, *(found if isinstance(found, tuple) else [found])]


@compiled
@pytest.mark.parametrize(("op", "shape", "weights", "options"), REAL, ids=lambda value: str(value))
def test_real_layers(op, shape, weights, options):
    x, w, dy = normal(*shape), None if weights is None else normal(*weights), normal(10_007)
    reference = pair_of(op, x, w, dy, options, "im2col")
    for name, array, expected in zip(
        "y x w b", pair_of(op, x, w, dy, options, "loops"), reference, strict=False
    ):
        assert_close(array, expected, TOLERANCE[np.float32], name)


# ---- what has no windows, against the one NumPy form --------------------------------------------------------------


def norm_of(x, dy, weight, bias, statistics, activation, impl):
    y, mean, var = npdsconv.batch_norm2d(x, weight, bias, *statistics, activation=activation, impl=impl)
    how = {"given": bool(statistics), "activation": activation, "bias": bias, "impl": impl}
    return [y, mean, var, *npdsconv.batch_norm2d_backward(dy, x, weight, mean, var, **how)]


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("number", range(16))
def test_batch_norm(number, dtype, activation):
    n, c, h, w = RNG.integers([2, 1, 2, 3], [6, 5, 7, 8])
    x, dy = (laid_out(normal(n, c, h, w, dtype=dtype), LAYOUTS[number % len(LAYOUTS)]) for _ in range(2))
    weight, bias, mean = (laid_out(normal(c, dtype=dtype), LAYOUTS[number % len(LAYOUTS)]) for _ in range(3))
    statistics = (mean, mean**2 + dtype(0.5)) if number % 2 else ()
    exact = norm_of(
        *(a.astype(np.float64) for a in (x, dy, weight, bias)),
        [a.astype(np.float64) for a in statistics],
        activation,
        "numpy",
    )
    names = ("y", "mean", "var", "dx", "dweight", "dbias")
    ours = norm_of(x, dy, weight, bias, statistics, activation, "loops")
    for name, array, expected in zip(names, ours, exact, strict=True):
        assert array.dtype == dtype
        assert_close(array, expected, TOLERANCE[dtype], name)


@compiled
def test_batch_norm_of_a_real_layer():
    x, dy = normal(128, 32, 28, 28) * np.float32(3) + np.float32(100), normal(128, 32, 28, 28)
    weight, bias = normal(32), normal(32)
    exact = norm_of(*(a.astype(np.float64) for a in (x, dy, weight, bias)), (), "relu", "numpy")
    ours = norm_of(x, dy, weight, bias, (), "relu", "loops")
    for array, expected in zip(ours[:3], exact[:3], strict=True):
        assert_close(array, expected, TOLERANCE[np.float32], "forward")
    for array, expected in zip(
        ours[4:], exact[4:], strict=True
    ):  # dx differs where rounding moves z over a kink
        assert_close(array, expected, 1e-3, "backward")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("number", range(16))
def test_dense_activations_and_the_global_mean(number, dtype):
    n, c, o, h, w = RNG.integers([0, 1, 1, 1, 1], [5, 6, 7, 6, 7])
    layout = LAYOUTS[number % len(LAYOUTS)]
    images, rows, weights = (
        laid_out(normal(*shape, dtype=dtype), layout) for shape in ((n, c, h, w), (n, c), (o, c))
    )
    dy = normal(997, dtype=dtype)
    for op, x, w_ in (
        ("linear", rows, weights),
        *((name, images, None) for name in FUNCTIONS),
        ("global_avg_pool2d", images, None),
    ):
        reference = pair_of(op, x, w_, dy, {}, "numpy")
        for array, expected in zip(pair_of(op, x, w_, dy, {}, "loops"), reference, strict=True):
            assert array.dtype == dtype
            assert_close(array, expected, TOLERANCE[dtype], op)


# ---- threads ---------------------------------------------------------------------------------------------------


def everything():
    """One of each op, large enough for several partial sums."""
    rng = np.random.default_rng(71)
    x, dy = rng.standard_normal((2, 33, 4, 10, 9), np.float32)
    found = []
    for op, shape in (
        ("conv2d", (6, 4, 3, 3)),
        ("depthwise_conv2d", (4, 2, 3, 3)),
        ("pointwise_conv2d", (5, 4)),
    ):
        found += pair_of(op, x, rng.standard_normal(shape, np.float32), dy.ravel(), {}, "loops")
    for op in ("max_pool2d", "avg_pool2d"):
        found += pair_of(op, x, None, dy.ravel(), {"kernel_size": (3, 2), "stride": 1}, "loops")
    weight, bias = rng.standard_normal((2, 4), np.float32)
    return [*found, *norm_of(x, dy, weight, bias, (), "relu", "loops")]


@compiled
def test_the_same_bits_for_any_number_of_threads():
    before = npdsconv.get_num_threads()
    try:
        results = []
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            npdsconv.set_num_threads(threads)
            results.append(b"".join(array.tobytes() for array in everything()))
    finally:
        npdsconv.set_num_threads(before)
    assert len(set(results)) == 1


def test_the_first_nan_wins_and_takes_the_gradient():
    """And where a window holds nothing but -inf, its first pixel, never a place in the padding."""
    x = np.array([[1.0, np.nan, np.nan], [-np.inf, -np.inf, 2], [-np.inf, -np.inf, 0]])[None, None]
    options = {"kernel_size": 2, "stride": 1, "padding": 1}
    dy = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    for impl in ("naive", "loops"):
        y = npdsconv.max_pool2d(x, **options, impl=impl)
        dx = npdsconv.max_pool2d_backward(dy, x, **options, impl=impl)
        if impl == "naive":
            expected = y, dx
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(dx, expected[1])
