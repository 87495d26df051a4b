"""PyTorch finds the same numbers: ops in every tier, layers, losses, optimisers, schedules, whole networks.

``NPDSCONV_PARITY=500`` draws that many calls of every op; ``-s`` prints the worst difference of each.
"""

import os

import numpy as np
import pytest
from conformance.torch_ops import TWINS
from conformance.torch_ops import normal as drawn
from geometries import LAYOUTS, laid_out

from npdsconv.catalogue import OPS, Example

PURE_PYTHON = bool(os.environ.get("NUMBA_DISABLE_JIT"))
DRAWS = int(os.environ.get("NPDSCONV_PARITY", "3" if PURE_PYTHON else "24"))
FEWER = DRAWS if "NPDSCONV_PARITY" in os.environ else DRAWS // 3  # of the tier that loops in Python
CLOSE = 1e-10  # in float64, of the largest number of an array

ROWS = {row.name: row for row in OPS}
TIERS = [(name, impl) for name in TWINS for impl in ROWS[name].tiers or ("NumPy",)]


def distance(found, expected):
    """The largest difference, as a share of the largest number expected, or of 1 if that is smaller."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    if found.size == 0:
        return 0.0
    difference = np.max(np.abs(found - expected))
    assert np.isfinite(difference)
    return float(difference / max(np.max(np.abs(expected)), 1))


def parity(torch, name, example, tier, rng):
    """The distance between an op's results and PyTorch's, forward and backward, from any memory layout."""
    row, (_, twin) = ROWS[name], TWINS[name]
    tensors = [
        torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in example.arrays.values()
    ]
    y = twin(torch, *tensors, **example.options)
    dy = rng.standard_normal(tuple(y.shape))
    wanted = {n: t for n, t in zip(example.arrays, tensors, strict=True) if t.requires_grad}
    theirs = torch.autograd.grad(y, list(wanted.values()), torch.tensor(dy), allow_unused=True)
    arrays = {
        n: laid_out(a, LAYOUTS[rng.integers(len(LAYOUTS))]) if a.dtype.kind == "f" else a
        for n, a in example.arrays.items()
    }
    given = Example("", arrays, example.options)
    worst = distance(row.value(given, **tier), y.detach().numpy())
    ours = row.gradients(laid_out(dy, "channels-last") if dy.ndim else dy, given, **tier)
    for (n, tensor), their in zip(wanted.items(), theirs, strict=True):
        if ours.get(n) is None:
            assert their is None or n in ("mean", "var", "mean1", "var1", "mean2", "var2"), n
            continue
        expected = np.zeros(tensor.shape) if their is None else their.numpy()
        worst = max(worst, distance(ours[n], expected))
    return worst


# ---- ops -------------------------------------------------------------------------------------------------------


def test_every_op_is_compared():
    """All but col2im, which is the gradient of im2col."""
    assert set(ROWS) - set(TWINS) == {"col2im"}


@pytest.mark.parametrize(("name", "impl"), TIERS)
def test_random_calls(name, impl, torch):
    draw, _ = TWINS[name]
    tier, worst = {} if impl == "NumPy" else {"impl": impl}, 0.0
    for number in range(FEWER if impl == "naive" else DRAWS):
        rng = np.random.default_rng([*name.encode(), number])
        example = draw(rng)
        found = parity(torch, name, example, tier, rng)
        shapes = {n: a.shape for n, a in example.arrays.items()}
        assert found <= CLOSE, f"{name} {impl} {number}: off by {found:.1e} for {shapes}, {example.options}"
        worst = max(worst, found)
    print(f"{name:24}{impl:8}{number + 1:5} calls, worst {worst:.1e}")


ONE = {"stride": 1, "padding": 0, "dilation": 1}


def trap(op, x, w, outputs, **how):
    rng = np.random.default_rng(9)
    arrays = {"x": drawn(rng, *x), "w": drawn(rng, *w), "b": drawn(rng, outputs)}
    return op, Example("", arrays, {**ONE, **how})


TRAPS = {
    "one pixel, stride 2, four channels": trap("conv2d", (2, 4, 6, 6), (5, 4, 1, 1), 5, stride=2, groups=1),
    "strided padded depthwise": trap("depthwise_conv2d", (2, 8, 7, 9), (8, 1, 3, 3), 8, stride=2, padding=1),
    "24 groups on 6x6": trap("conv2d", (2, 24, 6, 6), (24, 1, 3, 3), 24, padding=1, groups=24),
    "24 groups of two on 6x6": trap("conv2d", (2, 48, 6, 6), (48, 2, 3, 3), 48, padding=1, groups=24),
    "stride beyond the kernel, same": trap(
        "conv2d", (2, 3, 11, 10), (4, 3, 2, 2), 4, stride=(4, 3), padding="same", groups=1
    ),
    "the same, depthwise": trap(
        "depthwise_conv2d", (2, 3, 11, 10), (3, 2, 2, 2), 6, stride=4, padding="same"
    ),
    "one filter": trap("conv2d", (2, 5, 7, 6), (1, 5, 3, 3), 1, padding=1, groups=1),
    "one channel": trap("conv2d", (2, 1, 7, 6), (5, 1, 3, 3), 5, stride=2, padding=1, groups=1),
    "one channel, depthwise": trap("depthwise_conv2d", (2, 1, 7, 6), (1, 1, 3, 3), 1, stride=2, padding=1),
    "one channel, three filters": trap("depthwise_conv2d", (1, 1, 7, 6), (1, 3, 3, 3), 3, padding=1),
}


@pytest.mark.parametrize("impl", ["naive", "im2col", "loops", "numba"])
@pytest.mark.parametrize("name", TRAPS)
def test_what_others_have_got_wrong(name, impl, torch):
    """Each is a bug that some library had; in channels-last memory and in the other."""
    op, example = TRAPS[name]
    for layout in ("channels-last", "C"):
        given = Example("", {n: laid_out(a, layout) for n, a in example.arrays.items()}, example.options)
        assert parity(torch, op, given, {"impl": impl}, np.random.default_rng(1)) <= CLOSE


def test_a_wrong_op_is_seen(torch, monkeypatch):
    """These tests can fail: a window one pixel off does."""
    draw, twin = TWINS["depthwise_conv2d"]

    def shifted(torch, x, w, b, **how):
        return twin(torch, x.roll(1, 3), w, b, **how)

    monkeypatch.setitem(TWINS, "depthwise_conv2d", (draw, shifted))
    with pytest.raises(AssertionError, match=r"^depthwise_conv2d im2col .*: off by"):
        test_random_calls("depthwise_conv2d", "im2col", torch)
