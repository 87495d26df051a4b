"""The rules for arguments themselves: pairs, and one dtype for all arrays."""

import numpy as np
import pytest
from messages import F32, C

from npdsconv.shapes import check_floats, pair


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
