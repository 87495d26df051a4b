"""Transposed convolution: by hand, every tier against the formula, against conv2d and PyTorch; what it refuses."""

import numpy as np
import pytest
from geometries import Case, Geometry, Pair, assert_pair_agrees, geometries, gradients, tier
from helpers import assert_close, equal, is_channels_last, normal
from messages import F32, PADDING_FORMS, PAIR, assert_says, cases

import npdsconv
from npdsconv.ops._tiers import TIERS
from npdsconv.ops.transposed import IMPLS, check_conv_transpose2d
from npdsconv.shapes import resolve_window

OP = "conv_transpose2d"
X, W = np.zeros((2, 4, 7, 6)), np.zeros((4, 3, 3, 2))


def drawn(first, count):
    """The transposes of random convolutions; those of which padding would leave nothing are left out."""
    for geometry in geometries("conv2d", first, count):
        how = {name: geometry.options[name] for name in ("stride", "padding", "dilation")}
        output = resolve_window("test", geometry.x[2:], geometry.w[2:], **how).output
        x = (geometry.x[0], geometry.w[0], *output)
        try:
            check_conv_transpose2d(
                "test", np.zeros(x), np.zeros(geometry.w), None, **geometry.options, impl="numba"
            )
        except ValueError:
            continue
        yield case_of(Geometry(OP, x, geometry.w, geometry.options))


def case_of(geometry):
    """Random numbers that float32 can hold, and what the formula in float64 makes of them."""
    outputs = geometry.w[1] * geometry.options["groups"]
    shapes = {"x": geometry.x, "w": geometry.w, "b": (outputs,)}
    arrays = {
        name: normal(*shape, seed=k, dtype=F32).astype(np.float64)
        for k, (name, shape) in enumerate(shapes.items())
    }
    y = tier(OP, "naive").forward(**arrays, **geometry.options)
    case = Case(geometry, arrays, normal(*y.shape, seed=9, dtype=F32).astype(np.float64), {})
    return case._replace(expected={"y": y, **gradients(tier(OP, "naive").backward, case)})


# Sides that differ, stride that is not dilation, no two sizes alike.
TYPICAL = Geometry(
    OP, (2, 4, 5, 6), (4, 3, 3, 2),
    {"stride": (3, 1), "padding": ((2, 0), (1, 2)), "dilation": (1, 2), "groups": 2},
)  # fmt: skip
# Holes between the copies of the kernel; with "same" the last of them is output too. An image of one pixel. No image.
CORNERS = [
    Geometry(OP, (2, 3, 2, 4), (3, 2, 2, 1), {"stride": (4, 3), "padding": "same", "groups": 1}),
    Geometry(OP, (2, 3, 1, 1), (3, 2, 4, 3), {"stride": 2, "padding": ((2, 0), (0, 1)), "groups": 3}),
    Geometry(OP, (0, 3, 2, 4), (3, 2, 2, 3), {"groups": 1}),
    Geometry(OP, (9, 2, 4, 5), (2, 3, 3, 3), {"stride": 2, "padding": 1, "groups": 1}),
]


# ---- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", TIERS)
def test_by_hand(impl):
    x, w = np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[1.0, 10], [100, 1000]]]])
    y = npdsconv.conv_transpose2d(x, w, np.array([0.0]), impl=impl)
    equal(y[0, 0], np.array([[1.0, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]))
    dy = np.array([[[[1.0, 0, 2], [0, 3, 0], [4, 0, 5]]]])
    dx, dw, db = npdsconv.conv_transpose2d_backward(dy, x, w, impl=impl)
    equal(dx[0, 0], np.array([[3001.0, 320], [430, 5003]]))
    equal(dw[0, 0], np.array([[13.0, 13], [18, 23]]))
    equal(db, np.array([15.0]))


@pytest.mark.parametrize("impl", TIERS)
def test_groups_strides_and_a_bias_by_hand(impl):
    """Two groups of one channel; each pixel lays down its kernel two further on, and the first column is cut off."""
    x, w = np.array([[[[1.0, 2]], [[3, 4]]]]), np.array([[[[1.0, 10, 100]]], [[[2, 20, 200]]]])
    how = {"stride": (1, 2), "padding": ((0, 0), (1, 0)), "groups": 2, "impl": impl}
    y = npdsconv.conv_transpose2d(x, w, np.array([5.0, 7]), **how)
    equal(y[0, :, 0], np.array([[15.0, 107, 25, 205], [67, 615, 87, 807]]))


@pytest.mark.parametrize("first", range(6000, 6060, 15))
def test_all_tiers_agree(first):
    found = list(drawn(first, 15))
    assert len(found) > 8
    for case in found:
        assert_pair_agrees(tier(OP, "naive"), case, F32)
        for impl in TIERS[1:]:
            for dtype in (F32, np.float64):
                assert_pair_agrees(tier(OP, impl), case, dtype)


@pytest.mark.parametrize("geometry", [TYPICAL, *CORNERS], ids=str)
def test_all_tiers_agree_in_corners(geometry):
    for impl in TIERS[1:]:
        for dtype in (F32, np.float64):
            assert_pair_agrees(tier(OP, impl), case_of(geometry), dtype)


def test_it_is_the_transpose_of_a_convolution():
    """<T x, z> = <x, C z>: exact, with C the public conv2d."""
    for geometry in [TYPICAL, *CORNERS]:
        case = case_of(geometry)
        x, w, _ = case.arrays.values()
        y = npdsconv.conv_transpose2d(x, w, **geometry.options, impl="im2col")
        z = normal(*y.shape, seed=3)
        there = npdsconv.conv2d(z, w, **geometry.options, impl="naive")
        assert there.shape == x.shape
        scale = np.linalg.norm(y) * np.linalg.norm(z)
        assert abs(np.vdot(y, z) - np.vdot(x, there)) <= 1e-13 * scale


def test_same_makes_an_image_stride_times_as_large():
    for h, k, s, d in np.ndindex(4, 4, 4, 3):
        x, w = np.zeros((1, 1, h + 1, 2)), np.zeros((1, 1, k + 1, 1))
        y = npdsconv.conv_transpose2d(x, w, stride=(s + 1, 3), dilation=d + 1, padding="same", impl="im2col")
        assert y.shape == (1, 1, (h + 1) * (s + 1), 6)


def test_pytorch_finds_the_same_numbers(torch):
    for case in [case_of(TYPICAL), *drawn(7000, 15)]:
        how = case.geometry.options
        x, w, b = tensors = [torch.tensor(a, requires_grad=True) for a in case.arrays.values()]
        whole = torch.conv_transpose2d(x, w, b, how["stride"], 0, 0, how["groups"], how["dilation"])
        height, width = case.expected["y"].shape[2:]
        y = torch.zeros(case.expected["y"].shape, dtype=x.dtype) + b[:, None, None]
        size, kernel = case.geometry.x[2:], case.geometry.w[2:]
        direct = resolve_window(
            "test", (height, width), kernel, how["stride"], how["padding"], how["dilation"]
        )
        assert direct.output == size
        (top, _), (left, _) = direct.padding  # PyTorch cuts the same off both sides: cut by hand
        seen = whole[:, :, top : top + height, left : left + width]
        y[:, :, : seen.shape[2], : seen.shape[3]] = seen
        assert_close(case.expected["y"], y.detach().numpy(), 1e-12, str(case.geometry))
        theirs = torch.autograd.grad(y, tensors, torch.tensor(case.dy))
        for name, tensor in zip(("dx", "dw", "db"), theirs, strict=True):
            assert_close(case.expected[name], tensor.numpy(), 1e-12, f"{name} for {case.geometry}")


WRONG = {
    "kernel flipped": lambda w, how: (w[:, :, ::-1, ::-1], how),
    "padding swapped": lambda w, how: (w, {**how, "padding": how["padding"][::-1]}),
    "stride and dilation swapped": lambda w, how: (
        w,
        {**how, "stride": how["dilation"], "dilation": how["stride"]},
    ),
    "groups interleaved": lambda w, how: (w.reshape(2, 2, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape), how),
}


@pytest.mark.parametrize("slip", WRONG)
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_wrong_one_is_caught(slip, where):
    right, change = tier(OP, "im2col"), WRONG[slip]

    def forward(x, w, b, **how):
        w, how = change(w, how)
        return right.forward(x, w, b, **how)

    def backward(dy, x, w, **how):
        w, how = change(w, how)
        return right.backward(dy, x, w, **how)

    wrong = right._replace(**{where: {"forward": forward, "backward": backward}[where]})
    with pytest.raises((AssertionError, ValueError)):
        assert_pair_agrees(wrong, case_of(TYPICAL))
    assert_pair_agrees(Pair("right", *right[1:]), case_of(TYPICAL))


# ---- promises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("impl", TIERS)
def test_gradients_that_are_not_needed_are_none(impl):
    case = case_of(TYPICAL)
    x, w, _ = case.arrays.values()
    for needs in ((), ("w",), ("x", "b")):
        found = npdsconv.conv_transpose2d_backward(
            case.dy, x, w, **case.geometry.options, impl=impl, needs=needs
        )
        for name, array in zip(("x", "w", "b"), found, strict=True):
            if name in needs:
                assert_close(array, case.expected[f"d{name}"], 1e-12, name)
            else:
                assert array is None


def test_the_fast_tier_returns_channels_last_memory():
    case = case_of(TYPICAL)
    x, w, b = case.arrays.values()
    y = npdsconv.conv_transpose2d(x, w, b, **case.geometry.options)
    dx, _, _ = npdsconv.conv_transpose2d_backward(case.dy, x, w, **case.geometry.options)
    assert is_channels_last(y)
    assert is_channels_last(dx)


def test_the_tiers_are_those_of_the_contract():
    assert tuple(IMPLS) == TIERS


@cases(
    ((X[0], W), {}, ValueError, "x must have axes (N, C, H, W), got shape (4, 7, 6)"),
    ((X, W[0]), {}, ValueError, "w must have axes (C, O/groups, KH, KW), got shape (3, 3, 2)"),
    ((X, W[:3]), {}, ValueError, "x has 4 channels, w reads 3: w is (C, O/groups, KH, KW)"),
    ((X, W), {"groups": 3}, ValueError, "groups 3 must divide input channels 4 and output channels 9"),
    ((X, W), {"groups": 0}, ValueError, "groups must be an int of at least 1, got 0"),
    ((X, W), {"groups": 2.0}, ValueError, "groups must be an int of at least 1, got 2.0"),
    ((X[:, :, :0], W), {}, ValueError, "x must have at least one pixel, got height and width (0, 6)"),
    ((X, W[:, :, :0]), {}, ValueError, "kernel height is 0, must be at least 1"),
    (
        (X[:, :, :1], W), {"padding": (2, 0)}, ValueError,
        "padding ((2, 2), (0, 0)) takes all of the output away: -1 × 7 would be left",
    ),
    ((X, W), {"stride": 0}, ValueError, "stride must be at least 1, got 0"),
    ((X, W), {"dilation": 1.5}, ValueError, f"dilation {PAIR}1.5"),
    ((X, W), {"padding": "SAME"}, ValueError, f"{PADDING_FORMS}'SAME'"),
    ((X, W), {"impl": "cuda"}, ValueError, "impl must be one of naive, im2col, loops, numba, got 'cuda'"),
    ((X.astype(int), W), {}, TypeError, "x has dtype int64, must be float32 or float64"),
    ((X, W.astype(F32)), {}, TypeError, "one dtype for all arrays, got x float64, w float32"),
)  # fmt: skip
def test_what_is_refused(arguments, options, error, message):
    assert_says(error, message, npdsconv.conv_transpose2d, *arguments, **options)
    backward = npdsconv.conv_transpose2d_backward
    assert_says(error, message, backward, np.zeros((2, 3, 9, 7)), *arguments, **options)


def test_biases_and_cotangents():
    forward, backward = npdsconv.conv_transpose2d, npdsconv.conv_transpose2d_backward
    assert_says(ValueError, "b has shape (4,), expected (6,) (O)", forward, X, W, np.zeros(4), groups=2)
    message = "dy has shape (2, 4, 7, 6), expected (2, 3, 9, 7) (N, O, OH, OW)"
    assert_says(ValueError, message, backward, X, X, W)
    known = "needs must be a tuple of names among ('x', 'w', 'b'), got ('y',)"
    assert_says(ValueError, known, backward, np.zeros((2, 3, 9, 7)), X, W, needs=("y",))
