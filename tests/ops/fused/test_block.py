"""The separable block as one op: fused equals composed, with the same state, in every form a layer asks for."""

import itertools
from functools import partial

import numpy as np
import pytest
from helpers import INTERPRETED, assert_close, channels_last

from npdsconv import separable_block, separable_block_backward
from npdsconv.layers import BatchNorm2d, DepthwiseSeparableConv2d, fusion, set_impl, steps
from npdsconv.models import fold_batch_norm
from npdsconv.ops.fused import block as fused_block
from npdsconv.ops.fused import inference
from npdsconv.ops.fused.block import ARRAYS

# N, C, O, (H, W), options: one of them has two groups of panels, and several blocks of pixels
SHAPES = [
    (3, 16, 5, (7, 6), {"padding": 1}),
    (2, 18, 135, (9, 8), {"stride": 2, "padding": ((0, 1), (1, 1))}),
    (4, 20, 33, (6, 11), {"padding": 2, "dilation": 2}),
    (9, 17, 20, (9, 10), {"padding": "same", "stride": 2}),
    (2, 33, 8, (14, 13), {"padding": 0}),
    (3, 1, 7, (5, 6), {"padding": 1}),
    (2, 13, 26, (8, 7), {"padding": 1, "stride": 2}),
]
ACTIVATIONS = [("relu", "relu"), ("relu6", None), (None, "relu6")]
if INTERPRETED:  # one of them for each shape is enough to run every line
    ACTIVATIONS = ACTIVATIONS[1:2]
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-12}


def arrays_of(n, c, o, size, dtype, seed=0):
    rng = np.random.default_rng((n, c, o, *size, seed))
    shapes = [(n, c, *size), (c, 1, 3, 3), (c,), (c,), (o, c), (o,), (o,)]
    x, *weights = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return [channels_last(x), *weights]


def statistics_of(c, o, given, dtype):
    rng = np.random.default_rng((c, o))
    known = [rng.normal(0, 0.2, c), rng.uniform(0.5, 2, c), rng.normal(0, 0.2, o), rng.uniform(0.5, 2, o)]
    return [v.astype(dtype) if given[k // 2] else None for k, v in enumerate(known)]


def assert_agrees(found, expected, dtype, what):
    assert_close(found, expected, TOLERANCE[dtype], what, least=1)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=2)))
def test_fused_equals_composed(shape, given, dtype, monkeypatch):
    """Composed of the tuned ops: they round as the fused form does, where a true gradient is zero."""
    parts = (partial(f, "numba") for f in (fused_block.composed, fused_block.composed_backward))
    monkeypatch.setitem(fused_block.IMPLS, "composed", fused_block.BlockTier(*parts))
    n, c, o, size, options = shape
    arrays = arrays_of(n, c, o, size, dtype)
    known = statistics_of(c, o, given, dtype)
    for activations in ACTIVATIONS:
        how = {**options, "activations": activations, "eps": (1e-3, 1e-4)}
        y, saved = separable_block(*arrays, *known, impl="composed", **how)
        found, found_saved = separable_block(*arrays, *known, impl="numba", **how)
        assert_agrees(found, y, dtype, "y")
        for name in saved._fields:
            assert_agrees(getattr(found_saved, name), getattr(saved, name), dtype, name)
        dy = channels_last(np.random.default_rng(1).standard_normal(y.shape).astype(dtype))
        back = {**how, "given": given}
        expected = separable_block_backward(dy, arrays[0], saved, *arrays[1:], impl="composed", **back)
        gradients = separable_block_backward(dy, arrays[0], found_saved, *arrays[1:], impl="numba", **back)
        for name, a, e in zip(ARRAYS, gradients, expected, strict=True):
            assert a.dtype == dtype
            assert_agrees(a, e, dtype, f"d{name}, {activations}")


@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_gradients_of_zero(stride):
    """With given statistics, as in evaluation: there are no partial sums to add up then, of neither dw."""
    block = DepthwiseSeparableConv2d(5, 40, 3, padding=1, stride=stride, rng=0).astype(np.float64)
    x = np.zeros((0, 5, 6, 6))
    y, backward = block.forward(x, train=False)
    assert isinstance(fusion.fuse(block.steps(), x.shape, False)[0], steps.SeparableBlock)
    assert backward(np.zeros_like(y)).shape == x.shape
    for name, p in block.named_parameters():
        np.testing.assert_array_equal(p.grad, np.zeros_like(p.value), err_msg=name)
    assert fold_batch_norm(block)(x).shape == y.shape


def test_a_wrong_fused_gradient_would_be_noticed():
    """The comparison above can fail: a tap of the kernel that is off by a thousandth shows in y and in dx."""
    arrays = arrays_of(2, 16, 3, (5, 4), np.float64)
    wrong = [a.copy() for a in arrays]
    wrong[1][3, 0, 2, 1] *= 1.001
    y, _ = separable_block(*arrays, padding=1)
    with pytest.raises(AssertionError, match="y"):
        assert_agrees(separable_block(*wrong, padding=1)[0], y, np.float64, "y")


def test_what_cannot_be_fused_is_refused():
    arrays = arrays_of(2, 16, 3, (5, 4), np.float64)
    narrow = [*arrays[:1], arrays[1][..., :2], *arrays[2:]]
    with pytest.raises(ValueError, match=r"'numba' needs a 3×3 kernel.*got depthwise \(16, 1, 3, 2\)"):
        separable_block(*narrow)
    with pytest.raises(ValueError, match=r"'numba' needs .* got .* stride \(3, 3\)"):
        separable_block(*arrays, stride=3)
    assert separable_block(*narrow, impl="im2col")[0].shape == (2, 3, 3, 3)


def test_errors_name_the_argument():
    arrays = arrays_of(2, 16, 3, (5, 4), np.float64)
    with pytest.raises(ValueError, match="separable_block: x has 15 channels, depthwise has filters for 16"):
        separable_block(arrays[0][:, 1:], *arrays[1:])
    with pytest.raises(ValueError, match=r"weight2 has shape \(2,\)"):
        separable_block(*arrays[:5], arrays[5][1:], arrays[6])
    with pytest.raises(ValueError, match="give both mean1 and var1, or neither"):
        separable_block(*arrays, np.zeros(16))
    with pytest.raises(ValueError, match=r"activations must be one of relu, relu6.*, got 'tanh'"):
        separable_block(*arrays, activations=("tanh", None))
    with pytest.raises(ValueError, match="at least 2 values in a channel, got 1"):
        separable_block(arrays[0][:1, :, :3, :3], *arrays[1:])
    with pytest.raises(TypeError, match="float32"):
        separable_block(arrays[0].astype(np.float32), *arrays[1:])


def changed(saved, **arrays):
    return saved._replace(**arrays)


@pytest.mark.parametrize("impl", fused_block.IMPLS)
def test_what_forward_did_not_leave_for_these_arguments_is_refused(impl):
    """Kernels read as far as the shapes say: whatever reaches a pointer is checked before."""
    arrays = arrays_of(2, 16, 3, (5, 4), np.float64)
    y, saved = separable_block(*arrays, padding=1, impl=impl)
    x, weights = arrays[0], arrays[1:]

    def backward(saved, x=x, dy=y, **how):
        return separable_block_backward(dy, x, saved, *weights, **{"padding": 1, "impl": impl, **how})

    for name in saved._fields:
        with pytest.raises(ValueError, match=rf"separable_block_backward: saved.{name} has shape"):
            backward(changed(saved, **{name: getattr(saved, name)[1:]}))
        with pytest.raises(TypeError, match=rf"one dtype for all arrays, .*saved.{name} float32"):
            backward(changed(saved, **{name: getattr(saved, name).astype(np.float32)}))
    with pytest.raises(ValueError, match=r"saved.d has shape .*forward was called with other arguments"):
        backward(changed(saved, d=saved.d[:, 1:]))
    with pytest.raises(ValueError, match="dy has shape"):
        backward(saved, stride=2)
    with pytest.raises(ValueError, match="dy has shape"):
        backward(saved, x=x[:1])
    with pytest.raises(TypeError, match="saved must be what separable_block returned, got list"):
        backward([*saved])
    with pytest.raises(TypeError, match=r"takes the six arrays depthwise, .*, got 5"):
        separable_block_backward(y, x, saved, *weights[:5], padding=1, impl=impl)


@pytest.mark.parametrize("impl", fused_block.IMPLS)
def test_settings_that_make_no_block_are_refused(impl):
    arrays = arrays_of(2, 16, 3, (5, 4), np.float64)
    with pytest.raises(ValueError, match=r"activations must be a pair, .*, got 'relu'"):
        separable_block(*arrays, activations="relu", impl=impl)
    with pytest.raises(ValueError, match=r"activations must be a pair, .*, got \('relu',\)"):
        separable_block(*arrays, activations=("relu",), impl=impl)
    for eps, message in (
        (1e-5, "eps must be a pair"),
        ((0, 1), "eps must be a number"),
        ((None, 1), "got None"),
    ):
        with pytest.raises(ValueError, match=message):
            separable_block(*arrays, eps=eps, impl=impl)
    with pytest.raises(ValueError, match=r"var1 has shape \(15,\), expected \(16,\)"):
        separable_block(*arrays, np.zeros(16), np.ones(15), impl=impl)


def test_inference_entries_refuse_what_they_cannot_do():
    x, w, weight1, bias1, mix, weight2, bias2 = arrays_of(2, 4, 6, (5, 4), np.float64)
    weights = fused_block.Weights(w, weight1, bias1, mix, weight2, bias2)
    known = fused_block.Statistics(bias1, weight1**2, bias2, weight2**2)
    plain = inference.plain_block
    assert plain(x, w, bias1, mix, bias2, padding=1).shape == (2, 6, 5, 4)
    wide = np.ones((6, 9))
    with pytest.raises(ValueError, match=r"plain_block: pointwise has shape \(6, 9\), expected \(6, 4\)"):
        plain(x, w, bias1, wide, bias2)
    with pytest.raises(ValueError, match="plain_block: x has 3 channels, depthwise has filters for 4"):
        plain(x[:, 1:], w, bias1, mix, bias2)
    with pytest.raises(ValueError, match=r"plain_block: bias1 has shape \(3,\), expected \(4,\)"):
        plain(x, w, bias1[1:], mix, bias2)
    with pytest.raises(ValueError, match=r"plain_block: activations must be one of .*, got 'tanh'"):
        plain(x, w, bias1, mix, bias2, activations=("tanh", None))
    with pytest.raises(ValueError, match="plain_block: impl 'numba' needs a 3×3 kernel"):
        plain(x, w, bias1, mix, bias2, stride=3)
    with pytest.raises(ValueError, match="plain_block: impl 'numba' needs a 3×3 kernel"):
        plain(x, np.ones((4, 1, 5, 5)), bias1, mix, bias2, padding=2)
    with pytest.raises(ValueError, match="normed_block: batch statistics need at least 2 values"):
        inference.normed_block(x, weights, fused_block.Statistics())
    with pytest.raises(ValueError, match=r"normed_block: pointwise has shape \(6, 9\)"):
        inference.normed_block(x, weights._replace(pointwise=wide), known)


# ---- the layer -------------------------------------------------------------------------------------------------


def block_pair(monkeypatch=None, **options):
    """The same block twice; the second one runs step by step."""
    blocks = [DepthwiseSeparableConv2d(17, 6, 3, rng=4, **options).astype(np.float64) for _ in range(2)]
    for block in blocks:
        rng = np.random.default_rng(5)
        for _, p in block.named_parameters():
            p.value += 0.3 * rng.standard_normal(p.value.shape)
    blocks[1].fused = False
    return blocks


def run(block, x, dy, train):
    y, backward = block.forward(x, train=train)
    dx = backward(dy)
    return {"y": y, "dx": dx, **block.state_dict(), **{f"d{n}": p.grad for n, p in block.named_parameters()}}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("frozen", [None, "bn1", "pointwise", "all"])
@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2, "mid_activation": "relu6", "activation": None}], ids=str
)
def test_the_layer_is_the_same_fused_and_step_by_step(options, frozen, train):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((3, 17, 7, 6))
    results = []
    for block in block_pair(**options):
        if frozen:
            (block if frozen == "all" else getattr(block, frozen)).freeze()
        dy = np.random.default_rng(7).standard_normal(block.forward(x, train=False)[0].shape)
        results.append(run(block, x, dy, train))
    fused, stepwise = results
    assert fused.keys() == stepwise.keys()
    for name in fused:
        assert_agrees(fused[name], stepwise[name], np.float64, name)
    changed = not np.array_equal(fused["bn2.running_mean"], np.zeros(6))
    assert changed == (train and frozen != "all")


@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2, "mid_activation": "relu6", "activation": None}], ids=str
)
def test_inference_is_the_same_fused_and_step_by_step(options):
    x = np.random.default_rng(8).standard_normal((3, 17, 7, 6))
    fused, stepwise = block_pair(**options)
    for block in (fused, stepwise):
        for _, buffer in block.named_buffers():
            buffer.value = buffer.value + np.random.default_rng(9).uniform(0.1, 1, buffer.value.shape)
    expected = stepwise.forward(x, train=False)[0]
    assert_agrees(fused(x), expected, np.float64, "fused")
    assert_agrees(stepwise(x), expected, np.float64, "step by step")
    folded = [fold_batch_norm(block) for block in (fused, stepwise)]
    folded[1].fused = False
    for block in folded:
        assert_agrees(block(x), expected, np.float64, "folded")


@pytest.mark.parametrize(
    ("options", "fuses"),
    [
        ({}, True),
        ({"stride": 2}, True),
        ({"dilation": 2, "padding": 2}, True),
        ({"stride": 2, "dilation": 2, "padding": 2}, False),
        ({"stride": (1, 2)}, False),
        ({"batch_norm": False}, False),
        ({"bias": True}, False),
        ({"depth_multiplier": 2}, False),
        ({"impl": "im2col"}, False),
    ],
    ids=str,
)
def test_which_blocks_run_as_one_op(options, fuses, monkeypatch):
    calls = []
    whole = fused_block.separable_block
    monkeypatch.setattr(fused_block, "separable_block", lambda *a, **k: calls.append(1) or whole(*a, **k))
    block = DepthwiseSeparableConv2d(16, 4, 3, rng=1, **options)
    block.forward(np.random.default_rng(1).standard_normal((2, 16, 8, 7)).astype(np.float32), train=True)
    assert bool(calls) == fuses
    set_impl(block, "im2col")
    calls.clear()
    block.forward(np.random.default_rng(1).standard_normal((2, 16, 8, 7)).astype(np.float32), train=True)
    assert not calls


def test_a_block_with_one_step_of_another_tier_runs_step_by_step(monkeypatch):
    block = DepthwiseSeparableConv2d(16, 4, 3, rng=1)
    assert isinstance(block.bn2, BatchNorm2d)
    block.bn2.impl = "numpy"
    monkeypatch.setattr(fused_block, "separable_block", None)
    block.forward(np.ones((2, 16, 8, 7), np.float32), train=True)
