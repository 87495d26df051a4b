"""Every tier against the naive one, over random geometries; and what all tiers promise besides numbers."""

import itertools
from collections import Counter

import numpy as np
import pytest
from geometries import (
    CONVOLUTIONS,
    IMPLS,
    OPS,
    TOLERANCE,
    TYPICAL,
    Geometry,
    assert_pair_agrees,
    case_of,
    geometries,
    gradients,
    tier,
)
from helpers import assert_close
from hypothesis import given
from hypothesis import strategies as st

from npdsconv.ops._tiers import TIERS, Tier
from npdsconv.shapes import resolve_window

BLOCK = 20
BLOCKS = [(op, block) for op in OPS for block in range(15 if op in CONVOLUTIONS else 6)]
PAIRS_OF_TIERS = list(itertools.product(TIERS, repeat=2))
ALL_TIERS = [(op, impl) for op in OPS for impl in IMPLS[op]]

# What random geometries meet too rarely. Kernels share buffers between four images, so nine make three
# pieces; the rows of pointwise are split after 1024 (y, dx) and 4096 (dw).
CORNERS = [
    Geometry("conv2d", (9, 2, 4, 5), (3, 2, 3, 3), {"padding": 1}),
    Geometry("conv2d", (0, 2, 4, 5), (3, 2, 3, 2), {}),
    Geometry("conv2d", (2, 3, 4, 7), (5, 3, 4, 7), {}),
    Geometry("conv2d", (2, 4, 5, 6), (8, 1, 2, 3), {"groups": 4, "stride": (9, 1)}),
    Geometry("conv2d", (1, 1, 2, 3), (2, 1, 1, 2), {"padding": ((7, 0), (0, 6)), "stride": (3, 4)}),
    Geometry("conv2d", (2, 1, 0, 3), (2, 1, 1, 2), {"padding": ((2, 1), (0, 0))}),
    Geometry("depthwise_conv2d", (9, 3, 5, 4), (3, 2, 3, 3), {"padding": "same", "stride": 2}),
    Geometry("depthwise_conv2d", (9, 3, 5, 4), (3, 1, 2, 3), {"dilation": (2, 1)}),
    Geometry("depthwise_conv2d", (0, 2, 4, 5), (2, 3, 3, 3), {}),
    Geometry("depthwise_conv2d", (2, 3, 3, 3), (3, 2, 3, 3), {}),
    Geometry("depthwise_conv2d", (2, 2, 6, 5), (2, 1, 9, 1), {"padding": (2, 0)}),
    Geometry("depthwise_conv2d", (2, 2, 2, 3), (2, 2, 3, 3), {"padding": ((7, 0), (0, 6)), "stride": (3, 4)}),
    Geometry("depthwise_conv2d", (2, 2, 0, 3), (2, 2, 1, 2), {"padding": ((2, 1), (0, 0))}),
    Geometry("pointwise_conv2d", (1, 2, 33, 32), (3, 2), {}),
    Geometry("pointwise_conv2d", (3, 1, 49, 31), (2, 1), {}),
    Geometry("pointwise_conv2d", (0, 2, 3, 4), (5, 2), {}),
    Geometry("pointwise_conv2d", (2, 3, 0, 4), (5, 3), {}),
    Geometry("max_pool2d", (0, 2, 4, 5), None, {"kernel_size": (2, 3)}),
    Geometry("avg_pool2d", (0, 2, 4, 5), None, {"kernel_size": (2, 3)}),
    Geometry("max_pool2d", (2, 2, 5, 8), None, {"kernel_size": (2, 3), "stride": None}),
    Geometry("avg_pool2d", (9, 2, 5, 8), None, {"kernel_size": 3, "stride": None, "padding": 1}),
]


# ---- the numbers -------------------------------------------------------------------------------------------


def assert_all_tiers_agree(geometry):
    case = case_of(geometry)
    assert_pair_agrees(tier(geometry.op, "naive"), case, np.float32)
    for impl, dtype in itertools.product(TIERS[1:], TOLERANCE):
        assert_pair_agrees(tier(geometry.op, impl), case, dtype)


@pytest.mark.parametrize(("op", "block"), BLOCKS)
def test_all_tiers_agree(op, block):
    for geometry in geometries(op, block * BLOCK, BLOCK):
        assert_all_tiers_agree(geometry)


@pytest.mark.parametrize("geometry", CORNERS, ids=str)
def test_all_tiers_agree_in_corners(geometry):
    assert_all_tiers_agree(geometry)


def features(geometry):
    """What there is about a geometry that might go wrong."""
    op, (n, c, h, w), weights, options = geometry
    kernel = options.get("kernel_size", weights and weights[2:])
    stride, padding, dilation = (options[name] for name in ("stride", "padding", "dilation"))
    window = resolve_window(op, (h, w), kernel, stride, padding, dilation)
    (top, bottom), (left, right) = window.padding
    room = np.array([h + top + bottom, w + left + right]) - window.span
    return {
        f"batch {n}": True,
        f"padding {padding if isinstance(padding, str) else np.ndim(padding)}": True,
        "unequal padding": top != bottom and left != right,
        "stride by axis": window.stride[0] != window.stride[1],
        "dilation by axis": window.dilation[0] != window.dilation[1],
        "stride is not dilation": window.stride != window.dilation,
        "a stride that does not divide": bool(np.any(room % window.stride)),
        "a kernel as large as the padded image": not np.any(room),
        "kernel 3x3": kernel == (3, 3),
        "a kernel that is not square": kernel[0] != kernel[1],
        "an image that is not square": h != w,
        "groups": options.get("groups", 1) > 1,
        "C is not O": op == "conv2d" and c != weights[0],
        "multiplier": op == "depthwise_conv2d" and weights[1] > 1,
    }


@pytest.mark.parametrize("op", [op for op in OPS if op != "pointwise_conv2d"])
def test_the_random_geometries_have_everything_in_them(op):
    drawn = list(geometries(op, 0, BLOCK * sum(name == op for name, _ in BLOCKS)))
    assert len(drawn) == (300 if op in CONVOLUTIONS else 120)
    seen = sum((Counter(features(geometry)) for geometry in drawn), Counter())
    wanted = {"batch 0", "batch 1", "padding 0", "padding 1", "padding 2", "padding valid", "padding same"}
    wanted |= set(features(drawn[0])) - {"groups", "C is not O", "multiplier"}
    wanted |= {"conv2d": {"groups", "C is not O"}, "depthwise_conv2d": {"multiplier"}}.get(op, set())
    assert {name: seen[name] for name in wanted if seen[name] < 4} == {}


# ---- what the tiers promise besides ------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("forward", "backward"), PAIRS_OF_TIERS)
def test_any_forward_meets_any_backward(op, forward, backward):
    for geometry in geometries(op, 1000, 4):
        case = case_of(geometry)
        y = tier(op, forward).forward(**case.arrays, **geometry.options)
        noise = case.dy

        def cotangent(_, y=y, noise=noise):
            return np.sin(y) + noise * y  # a function of what this forward returned, lying as it lies

        expected = case_of(geometry, cotangent)
        for name, array in gradients(tier(op, backward).backward, expected).items():
            assert_close(array, expected.expected[name], 1e-12, f"{name} for {geometry}")


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_gradients_that_are_not_needed_cost_nothing(op, monkeypatch):
    def dear(*_):
        raise AssertionError("computed although nobody needs it")

    case = case_of(TYPICAL[op])
    x, w = case.arrays["x"], case.arrays["w"]
    backward = tier(op, "lazy").backward
    monkeypatch.setitem(IMPLS[op], "lazy", Tier(dear, dear, IMPLS[op]["im2col"].dw))
    dx, dw, db = backward(case.dy, x, w, **case.geometry.options, needs=("w",))
    assert dx is None
    assert db is None
    assert_close(dw, case.expected["dw"], 1e-12, "dw")
    with pytest.raises(AssertionError, match="computed although"):
        backward(case.dy, x, w, **case.geometry.options)


# ---- the rule of output sizes, against counting ------------------------------------------------------------

SIZES, KERNELS = st.integers(0, 14), st.integers(1, 5)
STEPS, SIDES = st.integers(1, 4), st.tuples(st.integers(0, 4), st.integers(0, 4))


def positions(size, kernel, stride, dilation, sides):
    """Count the starts whose last tap is still in the padded image."""
    taps = [u * dilation for u in range(kernel)]
    padded = range(size + sum(sides))
    return sum(all(start + tap in padded for tap in taps) for start in padded[::stride])


@given(SIZES, KERNELS, STEPS, STEPS, SIDES, SIZES, KERNELS, STEPS, STEPS, SIDES)
def test_output_sizes_are_the_number_of_positions(h, kh, sh, dh, vertical, w, kw, sw, dw, horizontal):
    expected = positions(h, kh, sh, dh, vertical), positions(w, kw, sw, dw, horizontal)
    arguments = (h, w), (kh, kw), (sh, sw), (vertical, horizontal), (dh, dw)
    if min(expected) == 0:
        with pytest.raises(ValueError, match=r"^op: kernel \d with dilation \d spans \d+ > padded "):
            resolve_window("op", *arguments)
    else:
        window = resolve_window("op", *arguments)
        assert window.output == expected
        assert window.pixels == expected[0] * expected[1]
        assert window.span == (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        assert window.taps == kh * kw


@given(st.integers(1, 14), KERNELS, STEPS, STEPS)
def test_same_gives_one_output_for_every_stride_pixels_with_the_least_padding(h, kh, sh, dh):
    window = resolve_window("op", (h, 1), (kh, 1), (sh, 1), "same", (dh, 1))
    (top, bottom), horizontal = window.padding
    assert horizontal == (0, 0)
    assert window.output == (-(-h // sh), 1)
    assert 0 <= bottom - top <= 1
    if top + bottom > 0:
        assert positions(h, kh, sh, dh, (top, bottom - 1)) < window.output[0]
