"""What the tests of an op's messages share: small arrays of each kind, and the one way to ask for a message."""

import re

import numpy as np
import pytest

F32 = np.float32
X = np.zeros((2, 4, 7, 6))
W = np.zeros((6, 4, 3, 2))
DEPTHWISE = np.zeros((4, 3, 3, 2))
POINTWISE = np.zeros((5, 4))
C = np.zeros(4)
LOGITS, LABELS, MASK = np.zeros((3, 4)), np.array([0, 3, 1]), np.ones(X.shape, bool)

PAIR = "must be an int or a pair of ints (height, width), got "
PADDING_FORMS = (
    "padding must be an int, (height, width), ((top, bottom), (left, right)), "
    '"valid", "same" or "same_lower", got '
)


def assert_says(error, message, function, *arguments, **options):
    """The call raises exactly this, with the public name of the function in front, in one line."""
    expected = f"{function.__name__}: {message}"
    with pytest.raises(error, match=f"^{re.escape(expected)}$") as caught:
        function(*arguments, **options)
    assert type(caught.value) is error
    assert "\n" not in expected


def cases(*rows):
    """A test over rows of (arguments, options, error, message)."""
    return pytest.mark.parametrize(("arguments", "options", "error", "message"), rows)
