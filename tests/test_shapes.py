"""The rules for arguments themselves: pairs, and one dtype for all arrays."""

import numpy as np
import pytest
from messages import F32, C

from npdsconv import conv2d, depthwise_conv2d, pointwise_conv2d
from npdsconv.shapes import check_choice, check_floats, did_you_mean, pair


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


def test_a_name_that_is_unknown_calls_up_those_that_look_like_it():
    check_choice("op", "kind", "max", ["max", "mean"])
    with pytest.raises(
        ValueError, match=r"^op: kind must be one of max, mean, got 'maen', did you mean 'mean'\?$"
    ):
        check_choice("op", "kind", "maen", ["max", "mean"])
    with pytest.raises(ValueError, match=r"^op: kind must be one of max, mean, got 'zzz'$"):
        check_choice("op", "kind", "zzz", ["max", "mean"])
    assert did_you_mean("MOBILE", ["mobilenet_v2", "vgg"]) == ", did you mean 'mobilenet_v2'?"
    assert did_you_mean("cat", ["Cat", "catch", "scat", "concat"]).count(" or ") == 2
    for value in ("", "m", 3, None):
        assert did_you_mean(value, ["max"]) == ""


@pytest.mark.parametrize("impl", ["im2col", "numba"])
@pytest.mark.parametrize(
    ("op", "w"), [(conv2d, (5, 3, 2, 2)), (depthwise_conv2d, (3, 1, 2, 2)), (pointwise_conv2d, (5, 3))]
)
def test_channels_last_is_named_as_the_likely_cause(op, w, impl):
    x, w = np.zeros((2, 9, 8, 3)), np.zeros(w)
    said = r"x has 9 channels, .*; x must be \(N, C, H, W\), and \(2, 9, 8, 3\) looks like channels last: x\.transpose"
    with pytest.raises(ValueError, match=said):
        op(x, w, impl=impl)
    with pytest.raises(ValueError, match=r"x has 9 channels, w [^;]*$"):
        op(x.transpose(0, 1, 3, 2), w, impl=impl)
