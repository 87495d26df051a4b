"""Arguments far outside of what anyone means: one clear line, or the right numbers; never a fault from deep inside."""

import itertools
import math
import re
import tracemalloc

import numpy as np
import pytest
from helpers import assert_close, normal

import npdsconv
from npdsconv import layers
from npdsconv.catalogue import OPS
from npdsconv.ops import _memory as memory
from npdsconv.ops._tiers import TIERS
from npdsconv.shapes import MOST

FAR = (MOST + 1, 2**40, 2**60, 2**70)
X = normal(2, 4, 7, 6)
WEIGHTS = {
    "conv2d": normal(5, 4, 3, 2),
    "conv_transpose2d": normal(4, 5, 3, 2),
    "depthwise_conv2d": normal(4, 3, 3, 2),
    "depthwise_conv2d 3x3": normal(4, 1, 3, 3),
    "depthwise_conv2d 5x5": normal(4, 1, 5, 5),
}
CONVOLUTIONS = [(label.split()[0], w) for label, w in WEIGHTS.items()]
BLOCK = normal(4, 1, 3, 3), np.ones(4), np.zeros(4), normal(3, 4), np.ones(3), np.zeros(3)
with_every_tier = pytest.mark.parametrize("impl", TIERS)


def refuses(message, function, *arguments, **options):
    """Says so in one line, and takes no memory to find out."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^\w+: {message}") as caught:
            function(*arguments, **options)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


# ---- strides, paddings, dilations ----------------------------------------------------------------------------


@with_every_tier
@pytest.mark.parametrize(("name", "w"), CONVOLUTIONS)
def test_what_no_int32_holds_is_refused(name, w, impl):
    forward, backward = getattr(npdsconv, name), getattr(npdsconv, f"{name}_backward")
    for option, far in itertools.product(("stride", "padding", "dilation"), FAR):
        message = f"{option} must be at most {MOST}, got {far}$"
        refuses(message, forward, X, w, **{option: far}, impl=impl)
        refuses(message, backward, X, X, w, **{option: far}, impl=impl)
        refuses(
            message, forward, X, w[:, :, :1, :1], **{option: far}, impl=impl
        )  # without effect, yet refused


@with_every_tier
def test_pooling_upsampling_and_columns_refuse_the_same(impl):
    for far in FAR:
        for pool in (npdsconv.max_pool2d, npdsconv.avg_pool2d):
            for option in ("stride", "padding", "dilation"):
                refuses(f"{option} must be at most {MOST}", pool, X, 1, **{option: far}, impl=impl)
            refuses(f"kernel_size must be at most {MOST}", pool, X, far, impl=impl)
        refuses(f"scale must be at most {MOST}", npdsconv.upsample2d, X, far, impl=impl)
    for far in FAR:
        refuses(f"padding must be at most {MOST}", npdsconv.im2col, X, 2, padding=far)
        refuses(f"size must be at most {MOST}", npdsconv.col2im, normal(2, 4, 1), (far, far), 2)


@pytest.mark.parametrize("far", FAR)
def test_layers_refuse_them_when_they_are_made(far):
    for kind, sizes in (
        (layers.Conv2d, (4, 5, 3)),
        (layers.DepthwiseConv2d, (4, 3)),
        (layers.MaxPool2d, (3,)),
    ):
        for option in ("stride", "padding", "dilation"):
            refuses(f"{option} must be at most {MOST}, got {far}$", kind, *sizes, **{option: far})
    refuses(f"stride must be at most {MOST}", layers.Conv1d, 4, 5, 3, stride=far)
    refuses(f"padding must be at most {MOST}", layers.Conv1d, 4, 5, 3, padding=far)
    refuses(f"in_features must be at most {MOST}", layers.Linear, far, 3)
    refuses(f"scale must be at most {MOST}", layers.Upsample2d, far)


@with_every_tier
@pytest.mark.parametrize(("name", "w"), [row for row in CONVOLUTIONS if "transpose" not in row[0]])
def test_a_stride_beyond_the_image_takes_one_step(name, w, impl):
    """The numbers of the largest stride that lies inside, forward and backward, at no cost in memory."""
    forward, backward = getattr(npdsconv, name), getattr(npdsconv, f"{name}_backward")
    expected = forward(X, w, stride=20, padding=2, impl="im2col")
    assert expected.shape[2:] == (1, 1)
    gradients = backward(expected, X, w, stride=20, padding=2, impl="im2col")
    for stride in (10**5, MOST):
        assert_close(forward(X, w, stride=stride, padding=2, impl=impl), expected, 1e-12, "y")
        found = backward(expected, X, w, stride=stride, padding=2, impl=impl)
        for array, right in zip(found, gradients, strict=True):
            assert_close(array, right, 1e-12, f"stride {stride}")


# ---- memory --------------------------------------------------------------------------------------------------


@with_every_tier
@pytest.mark.parametrize("padding", [10**5, MOST])
def test_padding_that_no_memory_holds_is_refused_before_it_is_taken(padding, impl, monkeypatch):
    monkeypatch.setattr(memory, "memory", lambda: 1 << 34)
    takes = r".* would take [\d,]+\.\d GiB in float64, more than the 16\.0 GiB of memory$"
    for name, w in CONVOLUTIONS[:1] + CONVOLUTIONS[2:]:
        forward, backward = getattr(npdsconv, name), getattr(npdsconv, f"{name}_backward")
        for stride in (1, padding):
            refuses(takes, forward, X, w, padding=padding, stride=stride, impl=impl)
            refuses(takes, backward, X, X, w, padding=padding, stride=stride, impl=impl)
    for pool in (npdsconv.max_pool2d, npdsconv.avg_pool2d):
        refuses(takes, pool, X, padding, padding=padding // 2, impl=impl)
    refuses(takes, npdsconv.conv_transpose2d, X, WEIGHTS["conv_transpose2d"], stride=padding, impl=impl)
    refuses(takes, npdsconv.upsample2d, X, padding, impl=impl)
    # Of no images: the lists of places are as long.
    refuses(takes, npdsconv.upsample2d, X[:0], padding, impl=impl)
    refuses(takes, npdsconv.conv2d, X[:0], WEIGHTS["conv2d"], padding=padding, impl=impl)
    refuses(takes, npdsconv.separable_block, X, *BLOCK, padding=padding, impl=impl)


def test_columns_are_counted_only_where_they_are_made(monkeypatch):
    """Nine times the memory of the images."""
    x, w = np.zeros((2, 1, 1000, 1000)), np.zeros((1, 1, 3, 3))
    monkeypatch.setattr(memory, "memory", lambda: 1 << 26)
    monkeypatch.setattr(memory, "_LANES", 1)
    columns = (
        r"im2col's columns of shape \(2, 9, 996004\) would take 0\.1 GiB in float64, more than the 0\.1 GiB"
    )
    refuses(columns, npdsconv.conv2d, x, w, impl="im2col")
    refuses(columns, npdsconv.depthwise_conv2d, x, w, impl="im2col")
    refuses(columns, npdsconv.max_pool2d, x, 3, stride=1, impl="im2col")
    refuses(columns, npdsconv.im2col, x, 3)
    memory.check_window_memory(
        "op", x.shape, x.dtype, npdsconv.shapes.resolve_window("op", (1000, 1000), (3, 3)), 1
    )


def test_products_of_long_and_thin_matrices_are_refused():
    x, w = np.broadcast_to(1.0, (10**7, 1)), np.broadcast_to(1.0, (10**7, 1))
    refuses(r"an output of shape \(10000000, 10000000\) would take ", npdsconv.linear, x, w)
    image = np.broadcast_to(1.0, (1, 1, 10**4, 10**4))
    refuses(r"an output of shape \(1, 10000000, 10000, 10000\)", npdsconv.pointwise_conv2d, image, w)


def test_memory_is_that_of_the_machine_or_of_the_container(monkeypatch, tmp_path):
    here = memory.memory()
    assert 1 << 28 < here <= memory._ADDRESSES
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_OF_A_CONTAINER", limit)
    for text, expected in (("1048576\n", 1 << 20), ("max\n", None), (f"{2**60}", None)):
        limit.write_text(text)
        memory.memory.cache_clear()
        assert memory.memory() == expected or (expected is None and memory.memory() >= here)

    def no_such_name(_):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(memory.os, "sysconf", no_such_name, raising=False)
    limit.unlink()
    memory.memory.cache_clear()
    assert memory.memory() == memory._ADDRESSES
    memory.memory.cache_clear()


# ---- nothing where something must be -------------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["im2col", "loops", "numba"])
def test_only_a_batch_and_an_image_may_be_empty(impl):
    def without(array, axis):
        return np.zeros([0 if k == axis else n for k, n in enumerate(array.shape)])

    for name, w in CONVOLUTIONS:
        forward = getattr(npdsconv, name)
        refuses(r"x \(N, C, H, W\) has shape \(2, 0, 7, 6\), C must be", forward, without(X, 1), w, impl=impl)
        channels, kernel = (
            r"w \(.*\) has shape .* must be at least 1$",
            r"kernel \w+ is 0, must be at least 1$",
        )
        for axis, said in enumerate((channels, channels, kernel, kernel)):
            refuses(said, forward, X, without(w, axis), impl=impl)
    no_features, no_outputs = (np.zeros((2, 0)), np.zeros((3, 0))), (np.zeros((2, 4)), np.zeros((0, 4)))
    refuses(r"x \(N, C\) has shape \(2, 0\), C must be", npdsconv.linear, *no_features, impl=impl)
    refuses(r"w \(O, C\) has shape \(0, 4\), O must be", npdsconv.linear, *no_outputs, impl=impl)
    for op in (npdsconv.global_avg_pool2d, lambda x, impl: npdsconv.max_pool2d(x, 2, impl=impl)):
        refuses(
            r"x \(N, C, H, W\) has shape \(2, 0, 7, 6\), C must be at least 1$", op, without(X, 1), impl=impl
        )


# ---- arrays that are not plain -------------------------------------------------------------------------------


class Own(np.ndarray):
    """A kind of array of somebody's own."""


@pytest.mark.parametrize("row", OPS, ids=lambda row: row.name)
def test_only_plain_arrays_are_taken(row, tmp_path):
    """A kernel reads numbers; a mask, or a product that means another thing, it cannot see."""
    example = row.examples[0]
    on_disk = np.memmap(tmp_path / "numbers", dtype=np.float64, mode="w+", shape=(3,))
    for name, array in example.arrays.items():
        if name == "labels":  # any integers will do
            continue
        others = [np.ma.masked_array(array, mask=True), array.view(Own), on_disk]
        others += [array.view(np.matrix)] if array.ndim == 2 else []
        for other in others:
            changed = type(example)("", {**example.arrays, name: other}, example.options)
            plain = "without a mask" if isinstance(other, np.ma.MaskedArray) else r"np\.asarray\("
            kind = type(other).__name__
            with pytest.raises(TypeError, match=rf"^{row.name}: {name} must be .*got {kind}.*") as caught:
                row.value(changed, **({"impl": "numba"} if row.tiers else {}))
            assert re.search(plain, str(caught.value))


# ---- statistics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["numpy", "loops", "numba"])
def test_a_negative_variance_is_refused_and_a_nan_is_not(impl):
    one, mean, var = np.ones(4), np.zeros(4), np.array([1.0, np.nan, -0.5, -2])
    message = r"var must be at least 0, got -0\.5 in channel 2$"
    refuses(message, npdsconv.batch_norm2d, X, one, one, mean, var, impl=impl)
    refuses(message, npdsconv.batch_norm2d_backward, X, X, one, mean, var, impl=impl)
    y, *_ = npdsconv.batch_norm2d(X, one, one, mean, abs(var), impl=impl)
    assert np.isnan(y).any(axis=(0, 2, 3)).tolist() == [False, True, False, False]


@pytest.mark.parametrize("impl", ["im2col", "numba"])
def test_so_it_is_in_a_block(impl):
    y, saved = npdsconv.separable_block(X, *BLOCK, impl=impl)
    bad = np.array([1.0, 2, 3, -1])
    refuses(r"var1 must be at least 0", npdsconv.separable_block, X, *BLOCK, bad, bad, impl=impl)
    for name in ("var1", "var2"):
        changed = saved._replace(**{name: -getattr(saved, name)})
        message = rf"saved\.{name} must be at least 0"
        refuses(message, npdsconv.separable_block_backward, y, X, changed, *BLOCK, impl=impl)
    for given in ((True,), None, True, "no pair"):
        refuses(
            "given must be a pair",
            npdsconv.separable_block_backward,
            y,
            X,
            saved,
            *BLOCK,
            given=given,
            impl=impl,
        )


# ---- functions of each number --------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", TIERS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (1, 2, 3, 4, 5)])
def test_activations_take_any_number_of_axes(shape, impl):
    x = np.asarray(3 * np.random.default_rng(math.prod(shape)).standard_normal(shape))
    formulas = {"relu": np.maximum(x, 0), "relu6": np.clip(x, 0, 6), "sigmoid": 1 / (1 + np.exp(-x))}
    for name, expected in formulas.items():
        y = getattr(npdsconv, name)(x, impl=impl)
        dx = getattr(npdsconv, f"{name}_backward")(np.ones(shape), x, impl=impl)
        assert type(y) is type(dx) is np.ndarray
        assert dx.shape == shape
        assert_close(y, np.asarray(expected), 1e-15, name)
