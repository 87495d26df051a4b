"""Pooling: what its constructors refuse. The rest is in house/test_every_layer.py."""

import pytest

from npdsconv.layers import AvgPool2d, MaxPool2d


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MaxPool2d(2, impl="x"), ValueError, "MaxPool2d: impl must be one of"),
        (lambda: AvgPool2d(2, impl="x"), ValueError, "AvgPool2d: impl must be one of"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
