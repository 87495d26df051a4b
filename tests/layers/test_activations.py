"""Activations: what their constructors refuse. The rest is in house/test_every_layer.py."""

import pytest

from npdsconv.layers import ReLU, ReLU6


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: ReLU(impl="x"),
            ValueError,
            "ReLU: impl must be one of naive, im2col, loops, numba, got 'x'",
        ),
        (
            lambda: ReLU6(impl="x"),
            ValueError,
            "ReLU6: impl must be one of naive, im2col, loops, numba, got 'x'",
        ),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
