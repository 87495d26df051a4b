"""ONNX's own test cases, in every tier: all of them about an operator that we have, but for the listed ones."""

import os
from collections import Counter

import numpy as np
import pytest
from conformance import onnx_cases
from conformance.onnx_cases import OURS, all_cases, run, work

from npdsconv.ops._tiers import TIERS

THREE = "images of three dimensions; all ops here are of one and two"
OUTSIDE = "output_padding that padding cannot take back: rows behind the full output, which no input reaches"

EXCLUDED = {
    **dict.fromkeys(
        [
            "convtranspose_3d",
            "col2im_5d",
            "maxpool_3d_default",
            "maxpool_3d_dilations",
            "maxpool_3d_dilations_use_ref_impl",
            "maxpool_3d_dilations_use_ref_impl_large",
            "averagepool_3d_default",
            "averagepool_3d_dilations_small",
            "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
            "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
            "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
            "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
            "AvgPool3d",
            "AvgPool3d_stride",
            "AvgPool3d_stride1_pad0_gpu_input",
            "Conv3d",
            "Conv3d_dilated",
            "Conv3d_dilated_strided",
            "Conv3d_groups",
            "Conv3d_no_bias",
            "Conv3d_stride",
            "Conv3d_stride_padding",
            "MaxPool3d",
            "MaxPool3d_stride",
            "MaxPool3d_stride_padding",
        ],
        THREE,
    ),
    **dict.fromkeys(
        [
            "convtranspose_output_shape",
            "convtranspose_pad",
            "convtranspose_kernel_shape",
            "operator_convtranspose",
        ],
        OUTSIDE,
    ),
    "maxpool_2d_uint8": "integers: ops take float32 and float64",
    "averagepool_2d_ceil_last_window_starts_on_pad": "its numbers are written with four digits: a test of its own",
}

PURE_PYTHON = bool(os.environ.get("NUMBA_DISABLE_JIT"))
# About as many products as a tier gets through in a second: its loops in Python are for small cases.
MOST = {"naive": 50_000, "im2col": 10**8, "loops": 10**8, "numba": 10**8}
if PURE_PYTHON:
    MOST |= {"loops": 5_000, "numba": 5_000}


@pytest.fixture(scope="module")
def cases():
    return all_cases(pytest.importorskip("onnx"))


def close(found, expected, case, **tolerance):
    tolerance = {"rtol": 1e-5, "atol": 1e-6, **tolerance}
    np.testing.assert_allclose(found, expected, **tolerance, err_msg=case.name)


def check(case, impl):
    """All that the case gives is compared, and is something."""
    results = list(run(case, impl))
    assert results, f"{case.name}: nothing to compare"
    for _, found, expected in results:
        assert found.shape == expected.shape, case.name
        assert found.dtype == expected.dtype, case.name
        close(found, expected, case)


@pytest.mark.parametrize("impl", TIERS)
@pytest.mark.parametrize("family", OURS)
def test_onnx_cases(family, impl, cases):
    mine = [case for case in cases if case.family == family and case.name not in EXCLUDED]
    done = 0
    for case in mine:
        if work(case) > MOST[impl]:
            continue
        check(case, impl)
        done += 1
    assert done >= len(mine) / 2


def test_a_case_written_with_four_digits(cases):
    """Of four pixels and of their sum over nine: off by 4/9 of half a digit, and by half a digit."""
    for case in cases:
        if case.name == "averagepool_2d_ceil_last_window_starts_on_pad":
            for impl in TIERS:
                ((_, found, expected),) = run(case, impl)
                close(found, expected, case, rtol=0, atol=7.5e-5)


def test_what_is_excluded_is_little_and_really_out_of_reach(cases):
    """Each for a reason, and at most 45; a case that would pass does not belong in the list."""
    names = {case.name for case in cases}
    assert len(names) == len(cases) >= 200, Counter(case.family for case in cases)
    assert len(EXCLUDED) <= 45
    for case in cases:
        if case.name in EXCLUDED:
            with pytest.raises((ValueError, TypeError, AssertionError)):
                check(case, "im2col")


def test_a_wrong_number_is_seen(cases, monkeypatch):
    """These tests can fail: with a slope of another size they do."""
    wrong = onnx_cases.elementwise(
        lambda x, *, impl, negative_slope=0.02: np.where(x > 0, x, negative_slope * x)
    )
    monkeypatch.setitem(OURS, "LeakyRelu", wrong)
    with pytest.raises(AssertionError, match="leakyrelu"):
        test_onnx_cases("LeakyRelu", "im2col", cases)
