"""Pooling: what its constructors refuse. The rest is in house/test_every_layer.py."""

import pytest

from npdsconv.layers import AvgPool2d, MaxPool2d, Upsample2d


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MaxPool2d(2, impl="x"), ValueError, "MaxPool2d: impl must be one of"),
        (lambda: AvgPool2d(2, impl="x"), ValueError, "AvgPool2d: impl must be one of"),
        (lambda: MaxPool2d("a"), ValueError, "MaxPool2d: kernel_size must be an int or a pair .*, got 'a'"),
        (lambda: MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be at least 1, got 0"),
        (lambda: MaxPool2d(2, stride=0), ValueError, "MaxPool2d: stride must be at least 1, got 0"),
        (lambda: MaxPool2d(2, dilation=-1), ValueError, "MaxPool2d: dilation must be at least 1, got -1"),
        (lambda: AvgPool2d(2, padding="SAME"), ValueError, "AvgPool2d: padding must be .*, got 'SAME'"),
        (lambda: AvgPool2d(2, stride="2"), ValueError, "AvgPool2d: stride must be an int or .*, got '2'"),
        (lambda: Upsample2d(0), ValueError, "Upsample2d: scale must be at least 1, got 0"),
        (lambda: Upsample2d(1.5), ValueError, "Upsample2d: scale must be an int or a pair .*, got 1.5"),
        (lambda: Upsample2d(2, impl="x"), ValueError, "Upsample2d: impl must be one of naive, im2col"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
