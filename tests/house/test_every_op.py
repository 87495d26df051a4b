"""What every op promises, in every tier: each test runs over all rows of the catalogue and all their examples."""

import dataclasses
import functools
import inspect
import itertools
import re

import numpy as np
import pytest
from geometries import LAYOUTS, TOLERANCE, laid_out
from helpers import assert_close, is_channels_last

from npdsconv.catalogue import OPS

with_every_op = pytest.mark.parametrize("row", OPS, ids=lambda row: row.name)
ALL_TIERS = [(row, {"impl": impl}) for row in OPS for impl in row.tiers]
ALL_TIERS += [(row, {}) for row in OPS if not row.tiers]
with_every_tier = pytest.mark.parametrize(
    ("row", "tier"), ALL_TIERS, ids=[f"{row.name}-{tier.get('impl', 'NumPy')}" for row, tier in ALL_TIERS]
)
NAIVE = {row.name: {"impl": "naive"} if row.tiers else {} for row in OPS}


def cotangent(row, example, y):
    """Random, and in the memory layout that forward has chosen."""
    dy = np.empty_like(y)
    dy[...] = np.random.default_rng([*row.name.encode(), *example.label.encode()]).standard_normal(y.shape)
    return dy


def everything(row, example, dy=None, **options):
    """y and all gradients, by name."""
    y = row.value(example, **options)
    found = row.gradients(cotangent(row, example, y) if dy is None else dy, example, **options)
    return {"y": y, **{f"d{name}": gradient for name, gradient in found.items() if gradient is not None}}


def takes_dy(row):
    """Whether its backward begins with dy. That of a loss has a default, and tests of its own."""
    return next(iter(inspect.signature(row.backward).parameters)) == "dy"


def given_as(example, layout, dtype=np.float64):
    """The example with read-only arrays that lie so in memory."""
    arrays = {name: array.astype(dtype) for name, array in example.arrays.items() if array.dtype.kind == "f"}
    arrays = {name: laid_out(array, layout) for name, array in arrays.items()}
    arrays = example.arrays | arrays  # in the order of forward
    return type(example)(example.label, arrays, example.options)


def writable(example):
    """The example with arrays of its own, into which a faulty op could write."""
    return dataclasses.replace(example, arrays={name: a.copy() for name, a in example.arrays.items()})


def floats(example):
    return [name for name, array in example.arrays.items() if array.dtype.kind == "f"]


# ---- numbers -------------------------------------------------------------------------------------------------


@with_every_tier
def test_every_tier_finds_the_numbers_of_the_naive_one(row, tier):
    """In both dtypes, from read-only arrays in any memory layout; a gradient has the shape of its array."""
    for number, example in enumerate(row.examples):
        example = example.astype(np.float32).astype(np.float64)  # numbers that float32 has
        expected = everything(row, example, **NAIVE[row.name])
        dy = cotangent(row, example, expected["y"])
        cases = [(np.float64, layout) for layout in LAYOUTS]
        cases.append((np.float32, LAYOUTS[number % len(LAYOUTS)]))
        for dtype, layout in cases:
            given = given_as(example, layout, dtype)
            found = everything(row, given, laid_out(dy.astype(dtype), layout) if dy.ndim else dy, **tier)
            assert found.keys() == expected.keys()
            for name, array in found.items():
                about = f"{row.name} {example.label}: {name} in {np.dtype(dtype)}, {layout}"
                if array.ndim or name != "y":  # a loss is a Python float
                    assert array.dtype == dtype, about
                assert_close(array, expected[name], TOLERANCE[dtype], about)
        for name in floats(example):
            if f"d{name}" in expected:
                assert expected[f"d{name}"].shape == example.arrays[name].shape


@with_every_tier
def test_arguments_are_left_alone_and_results_are_new(row, tier):
    """Writable arguments here; that read-only ones are accepted, the test above shows."""
    for shared in row.examples:
        example = writable(shared)
        dy = cotangent(row, example, row.value(writable(shared), **tier))
        arguments = [*example.arrays.values(), dy]
        before = [array.copy() for array in arguments]
        for name, result in everything(row, example, dy, **tier).items():
            assert result.flags.writeable, name
            assert not any(np.shares_memory(result, array) for array in arguments), name
        for array, old in zip(arguments, before, strict=True):
            np.testing.assert_array_equal(array, old)


@with_every_tier
def test_an_empty_batch_gives_an_empty_output_and_gradients_of_zero(row, tier):
    """Where a mean over the batch is asked for, there is none, and that is said."""
    for example in row.examples:
        first, *_ = example.arrays.values()
        along = {
            name for name, a in example.arrays.items() if len(a) == len(first)
        }  # of no weight that is true
        arrays = {name: a[:0] if name in along else a for name, a in example.arrays.items()}
        empty = type(example)(example.label, arrays, example.options)
        if row.value(example, **tier).ndim == 0 and example.options.get("reduction") != "sum":
            with pytest.raises(ValueError, match=rf"^{row.name}: the mean over an empty batch"):
                row.value(empty, **tier)
        elif row.name in ("batch_norm2d", "separable_block") and example.label != "given":
            with pytest.raises(ValueError, match=rf"^{row.name}: batch statistics need at least 2 values"):
                row.value(empty, **tier)
        else:
            for name, result in everything(row, empty, **tier).items():
                if name != "y":
                    assert result.shape == arrays[name[1:]].shape
                assert result.size == 0 or (name[1:] not in along and not result.any()), name


@with_every_tier
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_value_that_is_not_finite_spreads_as_far_as_in_the_formula(row, tier, poison):
    if row.value(row.examples[0], **tier).ndim == 0:
        pytest.skip("a loss is one number")
    some_left = False
    for example in row.examples:
        first, *_ = example.arrays
        x = example.arrays[first].copy()
        x[(-1, *(size // 2 for size in x.shape[1:-1]))] = poison  # a row of an image
        given = type(example)(example.label, {**example.arrays, first: x}, example.options)
        with np.errstate(invalid="ignore"):
            expected, found = row.value(given, **NAIVE[row.name]), row.value(given, **tier)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=example.label)
        some_left |= 0 < np.isnan(expected).sum() < expected.size
    if np.isnan(poison):
        assert some_left, "no example shows how far it spreads"


NEEDS = {row.name: inspect.signature(row.backward).parameters.get("needs") for row in OPS}


@pytest.mark.parametrize(("row", "tier"), [(row, tier) for row, tier in ALL_TIERS if NEEDS[row.name]])
def test_gradients_that_are_not_needed_are_none(row, tier):
    names = NEEDS[row.name].default
    subsets = [s for n in range(len(names)) for s in itertools.combinations(names, n)]
    for example in row.examples:
        dy = cotangent(row, example, row.value(example, **tier))
        whole = row.gradients(dy, example, **tier)
        for needs in subsets[:: 1 + len(subsets) // 9]:
            for name, gradient in row.gradients(dy, example, needs=needs, **tier).items():
                if name not in needs:
                    assert gradient is None, (needs, name)
                else:
                    assert_close(gradient, whole[name], 1e-12, f"{needs}: {name}")


@with_every_op
def test_the_fast_tier_returns_channels_last_memory(row):
    for example, layout in itertools.product(row.examples, ["C", "channels-last"]):
        if row.tiers:
            for name, result in everything(row, given_as(example, layout), impl="numba").items():
                assert result.ndim != 4 or name not in ("y", "dx") or is_channels_last(result), name


# ---- what is refused -----------------------------------------------------------------------------------------


@with_every_tier
def test_dtypes_are_not_mixed_and_not_guessed(row, tier):
    example = row.examples[0]
    dy = cotangent(row, example, row.value(example, **tier))
    first, *others = floats(example)

    def refused(name, array, error, message):
        changed = type(example)("", {**example.arrays, name: array}, example.options)
        with pytest.raises(error, match=rf"^{row.name}: {message}"):
            row.value(changed, **tier)

    array = example.arrays[first]
    kinds = "must be float32 or float64"
    refused(first, array.astype(np.int64), TypeError, f"{first} has dtype int64, {kinds}$")
    refused(first, array.astype(np.float16), TypeError, f"{first} has dtype float16, {kinds}$")
    refused(first, array.tolist(), TypeError, f"{first} must be a NumPy array, got list$")
    mixed = "one dtype for all arrays, got .* float32"
    for name in others:
        refused(name, example.arrays[name].astype(np.float32), TypeError, mixed)
    if takes_dy(row) and row.name != "dropout":  # which has dy alone
        with pytest.raises(TypeError, match=rf"^{row.name}_backward: {mixed}"):
            row.gradients(dy.astype(np.float32), example, **tier)


@with_every_tier
def test_a_gradient_of_another_shape_is_refused(row, tier):
    if not takes_dy(row):
        pytest.skip("its backward takes no dy, or one with a default")
    for example in row.examples:
        dy = cotangent(row, example, row.value(example, **tier))
        for wrong in (dy[:-1], dy[..., None], np.concatenate([dy, dy], axis=1)):
            message = rf"^{row.name}_backward: (dy|mask) has shape .*, expected "
            with pytest.raises(ValueError, match=message) as caught:
                row.gradients(wrong, example, **tier)
            assert re.search(re.escape(str(dy.shape)), str(caught.value)) or row.name == "dropout"


@pytest.mark.parametrize("row", [row for row in OPS if row.tiers], ids=lambda row: row.name)
def test_an_unknown_tier_is_refused(row):
    example, names = row.examples[0], "naive, im2col, loops, numba"
    for impl in ("cuda", None, "numpy"):
        if impl == "numpy" and row.impls["naive"] is row.impls["im2col"]:
            np.testing.assert_array_equal(row.value(example, impl=impl), row.value(example, impl="im2col"))
            continue
        meant = ", did you mean 'numba'[?]" if impl == "numpy" else ""
        message = f": impl must be one of {names}, got {impl!r}{meant}$"
        with pytest.raises(ValueError, match=f"^{row.name}{message}"):
            row.value(example, impl=impl)
        dy = row.value(example, impl="im2col")
        arrays = {n: a for n, a in example.arrays.items() if n in inspect.signature(row.backward).parameters}
        if row.pull is None:
            with pytest.raises(ValueError, match=f"^{row.name}_backward{message}"):
                row.backward(dy, **arrays, **example.options, impl=impl)


@with_every_op
def test_backward_takes_the_options_of_forward(row):
    """By the same names and with the same defaults, so that one dict serves both."""
    if row.pull is not None:
        pytest.skip("its backward is called in a way of its own")
    forward, backward = (inspect.signature(f).parameters for f in (row.forward, row.backward))
    options = {n: p.default for n, p in forward.items() if n not in row.examples[0].arrays}
    assert options == {n: p.default for n, p in backward.items() if n in options}


# ---- these tests can fail ------------------------------------------------------------------------------------

(RELU,) = [row for row in OPS if row.name == "relu"]


def with_a_fault(fault):
    """relu, with a fault in its compiled tiers."""

    @functools.wraps(RELU.forward)
    def forward(x, *, impl):
        return RELU.forward(x, impl=impl) if impl in ("naive", "im2col") else fault(x)

    return dataclasses.replace(RELU, forward=forward)


def clipped_in_place(x):
    return np.maximum(x, 0, out=x)


@pytest.mark.parametrize(
    ("test", "fault", "said"),
    [
        (test_every_tier_finds_the_numbers_of_the_naive_one, lambda x: np.maximum(x, 1e-9), "Not equal"),
        (test_every_tier_finds_the_numbers_of_the_naive_one, clipped_in_place, "read-only"),
        (
            test_every_tier_finds_the_numbers_of_the_naive_one,
            lambda x: np.maximum(x, 0).astype(float),
            "float32",
        ),
        (test_arguments_are_left_alone_and_results_are_new, clipped_in_place, "y"),
        (test_an_empty_batch_gives_an_empty_output_and_gradients_of_zero, lambda x: np.ones(3), "y"),
        (
            lambda row, tier: test_a_value_that_is_not_finite_spreads_as_far_as_in_the_formula(
                row, tier, np.nan
            ),
            lambda x: np.where(x > 0, x, 0),
            "nan",
        ),
        (lambda row, tier: test_the_fast_tier_returns_channels_last_memory(row), lambda x: x.copy(), "y"),
        (test_dtypes_are_not_mixed_and_not_guessed, lambda x: np.maximum(x, 0), "DID NOT RAISE"),
    ],
)
def test_a_fault_is_seen(test, fault, said):
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception), match=said):
        test(with_a_fault(fault), {"impl": "numba"})
