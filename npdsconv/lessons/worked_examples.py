"""Small depthwise separable convolutions worked out by hand: every number an integer.

A source document that this package grew out of holds two worked examples whose stated results no reading of
them gives (see docs, sources and errata). Here they are repaired, together with variants that tell more
mistakes apart. The values were worked out as explicit sums and checked with another library; nothing here was
computed by this package. All are exact in float32 and float64, forward and backward.

Each example is::

    d = depthwise(x, w_depthwise)      p = pointwise(d, w_pointwise, b)      y = max(p, 0)

>>> example = two_filters_one_channel
>>> example.d[0]
array([[[ 6.,  8.],
        [12., 14.]],
       [[-4., -4.],
        [-4., -4.]]])
"""

from dataclasses import dataclass

import numpy as np

from npdsconv.shapes import Array


@dataclass(frozen=True, eq=False)
class Gradients:
    """One cotangent `dy` and what it becomes on its way back; every array has the shape of its counterpart.

    Attributes
    ----------
    dy : the gradient for y, chosen: neither constant nor symmetric
    dp : dy where p > 0, else 0
    dw_pointwise : ``[o, k] = Σ_ij dp[o, i, j] · d[k, i, j]``
    db : ``[o] = Σ_ij dp[o, i, j]``
    dd : ``[k, i, j] = Σ_o w_pointwise[o, k] · dp[o, i, j]``
    dw_depthwise : ``[c, m, u, v] = Σ_ij dd[c·M + m, i, j] · x[c, i + u, j + v]``
    dx : ``[c, p, q] = Σ_muv w_depthwise[c, m, u, v] · dd[c·M + m, p - u, q - v]``
    """

    dy: Array
    dp: Array
    dw_pointwise: Array
    db: Array
    dd: Array
    dw_depthwise: Array
    dx: Array


@dataclass(frozen=True, eq=False)
class WorkedExample:
    """A depthwise separable convolution with stride 1, and its results.

    Attributes
    ----------
    label : short name of the example
    about : where it comes from and what it shows
    x : (1, C, H, W)
    w_depthwise : (C, M, KH, KW)
    w_pointwise : (O, C·M)
    b : (O,), the bias of the pointwise part
    d, p, y : (1, C·M, OH, OW), (1, O, OH, OW), (1, O, OH, OW)
    padding : "valid" or "same"
    gradients : the backward pass for one cotangent, where it has been worked out
    """

    label: str
    about: str
    x: Array
    w_depthwise: Array
    w_pointwise: Array
    b: Array
    d: Array
    p: Array
    y: Array
    padding: str = "valid"
    gradients: Gradients | None = None


def _integers(values: object) -> Array:
    """Float64 and read-only: nobody can change an example for everybody else."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _image(*channels: object) -> Array:
    """One image (1, C, H, W) from its channels."""
    return _integers([list(channels)])


# ---- the numbers that several examples share ---------------------------------------------------------------

_ANTIDIAGONAL = [[0, 1], [1, 0]]  # the kernel of both examples: upper right plus lower left
_DIFFERENCE = [[1, 0], [0, -1]]

_NINE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
_NINE_FILTERED = [[6, 8], [12, 14]]  # 2+4, 3+5, 5+7, 6+8

_SIXTEEN = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
_SIXTEEN_FILTERED = [[7, 9, 11], [15, 17, 19], [23, 25, 27]]  # 2+5, 3+6, 4+7, 6+9, ...
_SIXTEEN_DOUBLED = [[14, 18, 22], [30, 34, 38], [46, 50, 54]]

_SECOND = [[17, 18, 19, 20], [21, 22, 23, 24], [25, 26, 27, 28], [29, 30, 31, 32]]
_SECOND_FILTERED = [[39, 41, 43], [47, 49, 51], [55, 57, 59]]
_THIRD = [[33, 34, 35, 36], [37, 38, 39, 40], [41, 42, 43, 44], [45, 46, 47, 48]]
_THIRD_FILTERED = [[71, 73, 75], [79, 81, 83], [87, 89, 91]]
_FOURTH = [[49, 50, 51, 52], [53, 54, 55, 56], [57, 58, 59, 60], [61, 62, 63, 64]]
_FOURTH_FILTERED = [[103, 105, 107], [111, 113, 115], [119, 121, 123]]
_FIRST_PLUS_THIRD = [[78, 82, 86], [94, 98, 102], [110, 114, 118]]
_SECOND_PLUS_FOURTH = [[142, 146, 150], [158, 162, 166], [174, 178, 182]]

# ---- example 1: 3×3 image, 2×2 kernel, no padding ----------------------------------------------------------

two_equal_filters = WorkedExample(
    label="R1-A",
    about=(
        "Worked example 1 of a source document, repaired: its 3×3 image, its kernel used twice (M = 2) "
        "and its identity as pointwise weights. 12 weights, where the standard convolution has 8."
    ),
    x=_image(_NINE),
    w_depthwise=_integers([[_ANTIDIAGONAL, _ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0], [0, 1]]),
    b=_integers([0, 0]),
    d=_image(_NINE_FILTERED, _NINE_FILTERED),
    p=_image(_NINE_FILTERED, _NINE_FILTERED),
    y=_image(_NINE_FILTERED, _NINE_FILTERED),
)

one_filter_one_channel = WorkedExample(
    label="R1-B",
    about=(
        "The same without a multiplier: one filter, and the first column of the identity as pointwise "
        "weights. 6 weights against 8."
    ),
    x=_image(_NINE),
    w_depthwise=_integers([[_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1], [0]]),
    b=_integers([0, 0]),
    d=_image(_NINE_FILTERED),
    p=_image(_NINE_FILTERED, [[0, 0], [0, 0]]),
    y=_image(_NINE_FILTERED, [[0, 0], [0, 0]]),
)

two_filters_one_channel = WorkedExample(
    label="R1-C",
    about=(
        "Example 1 with a second filter that is not symmetric. Its output is -4 everywhere and ReLU cuts "
        "it off; with flipped kernels (true convolution) it would be +4 and stay. So this is the smallest "
        "example that tells the two conventions apart. In its backward pass the second filter learns nothing."
    ),
    x=_image(_NINE),
    w_depthwise=_integers([[_ANTIDIAGONAL, _DIFFERENCE]]),
    w_pointwise=_integers([[1, 0], [0, 1]]),
    b=_integers([0, 0]),
    d=_image(_NINE_FILTERED, [[-4, -4], [-4, -4]]),
    p=_image(_NINE_FILTERED, [[-4, -4], [-4, -4]]),
    y=_image(_NINE_FILTERED, [[0, 0], [0, 0]]),
    gradients=Gradients(
        dy=_image([[1, -2], [3, 1]], [[5, 7], [-1, 2]]),
        dp=_image([[1, -2], [3, 1]], [[0, 0], [0, 0]]),
        dw_pointwise=_integers([[40, -12], [0, 0]]),  # 1·6 - 2·8 + 3·12 + 1·14, and -4·(1 - 2 + 3 + 1)
        db=_integers([3, 0]),
        dd=_image([[1, -2], [3, 1]], [[0, 0], [0, 0]]),
        dw_depthwise=_integers([[[[14, 17], [23, 26]], [[0, 0], [0, 0]]]]),  # 14 = 1·1 - 2·2 + 3·4 + 1·5
        dx=_image([[0, 1, -2], [1, 1, 1], [3, 1, 0]]),  # dd once to the right, once down
    ),
)

# ---- example 2: 4×4×3 image, 2×2 kernels, 4 output channels ------------------------------------------------

three_equal_channels = WorkedExample(
    label="R2-A",
    about=(
        "Worked example 2 of a source document, repaired: its 4×4 image on each of the three announced "
        "channels, its 2×2 kernel for each, and the first three columns of its pointwise matrix. 24 weights "
        "against 48: half, which is 1/O + 1/K² = 1/4 + 1/4."
    ),
    x=_image(_SIXTEEN, _SIXTEEN, _SIXTEEN),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED),
    p=_image(_SIXTEEN_DOUBLED, _SIXTEEN_FILTERED, _SIXTEEN_DOUBLED, _SIXTEEN_FILTERED),
    y=_image(_SIXTEEN_DOUBLED, _SIXTEEN_FILTERED, _SIXTEEN_DOUBLED, _SIXTEEN_FILTERED),
)

_SAME_FILTERED = [[7, 9, 11, 8], [15, 17, 19, 12], [23, 25, 27, 16], [14, 15, 16, 0]]
_SAME_DOUBLED = [[14, 18, 22, 16], [30, 34, 38, 24], [46, 50, 54, 32], [28, 30, 32, 0]]

three_equal_channels_same = WorkedExample(
    label="R2-A same",
    about=(
        "The same with the 4×4 output that the document shows: an even kernel pads one row below and one "
        "column to the right. The last window holds one pixel, under the upper left weight, which is 0."
    ),
    x=_image(_SIXTEEN, _SIXTEEN, _SIXTEEN),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SAME_FILTERED, _SAME_FILTERED, _SAME_FILTERED),
    p=_image(_SAME_DOUBLED, _SAME_FILTERED, _SAME_DOUBLED, _SAME_FILTERED),
    y=_image(_SAME_DOUBLED, _SAME_FILTERED, _SAME_DOUBLED, _SAME_FILTERED),
    padding="same",
)

three_distinct_channels = WorkedExample(
    label="R2-A'",
    about="Example 2 with the numbers 1 … 48 as image: no two channels are equal, so mixed-up channels show.",
    x=_image(_SIXTEEN, _SECOND, _THIRD),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SIXTEEN_FILTERED, _SECOND_FILTERED, _THIRD_FILTERED),
    p=_image(_FIRST_PLUS_THIRD, _SECOND_FILTERED, _FIRST_PLUS_THIRD, _SECOND_FILTERED),
    y=_image(_FIRST_PLUS_THIRD, _SECOND_FILTERED, _FIRST_PLUS_THIRD, _SECOND_FILTERED),
    gradients=Gradients(
        dy=_image(
            [[1, 0, -1], [2, 0, 0], [0, -3, 1]],
            [[0, 2, 0], [-1, 0, 1], [0, 0, 3]],
            [[-1, 1, 0], [0, 1, 0], [2, 0, -1]],
            [[1, -1, 0], [0, 0, 2], [0, 4, 0]],
        ),
        dp=_image(  # every p is positive: ReLU lets all of dy through
            [[1, 0, -1], [2, 0, 0], [0, -3, 1]],
            [[0, 2, 0], [-1, 0, 1], [0, 0, 3]],
            [[-1, 1, 0], [0, 1, 0], [2, 0, -1]],
            [[1, -1, 0], [0, 0, 2], [0, 4, 0]],
        ),
        dw_pointwise=_integers([[-22, -22, -22], [103, 263, 423], [38, 102, 166], [136, 328, 520]]),
        db=_integers([0, 5, 2, 6]),
        dd=_image(  # rows of the transposed pointwise weights: dp0 + dp2, dp1 + dp3, dp0 + dp2
            [[0, 1, -1], [2, 1, 0], [2, -3, 0]],
            [[1, 1, 0], [-1, 0, 3], [0, 4, 3]],
            [[0, 1, -1], [2, 1, 0], [2, -3, 0]],
        ),
        dw_depthwise=_integers([[[[3, 5], [11, 13]]], [[[268, 279], [312, 323]]], [[[67, 69], [75, 77]]]]),
        dx=_image(
            [[0, 0, 1, -1], [0, 3, 0, 0], [2, 3, -3, 0], [2, -3, 0, 0]],
            [[0, 1, 1, 0], [1, 0, 0, 3], [-1, 0, 7, 3], [0, 4, 3, 0]],
            [[0, 0, 1, -1], [0, 3, 0, 0], [2, 3, -3, 0], [2, -3, 0, 0]],
        ),
    ),
)

# ---- example 2 with the numbers of channels that its matrices have -----------------------------------------

four_equal_channels = WorkedExample(
    label="R2-B",
    about="Example 2 with four channels, so that its 4×4 pointwise matrix fits as it stands.",
    x=_image(_SIXTEEN, _SIXTEEN, _SIXTEEN, _SIXTEEN),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED),
    p=_image(_SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED),
    y=_image(_SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED, _SIXTEEN_DOUBLED),
)

four_distinct_channels = WorkedExample(
    label="R2-B'",
    about="The same with the numbers 1 … 64 as image.",
    x=_image(_SIXTEEN, _SECOND, _THIRD, _FOURTH),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SIXTEEN_FILTERED, _SECOND_FILTERED, _THIRD_FILTERED, _FOURTH_FILTERED),
    p=_image(_FIRST_PLUS_THIRD, _SECOND_PLUS_FOURTH, _FIRST_PLUS_THIRD, _SECOND_PLUS_FOURTH),
    y=_image(_FIRST_PLUS_THIRD, _SECOND_PLUS_FOURTH, _FIRST_PLUS_THIRD, _SECOND_PLUS_FOURTH),
)

two_equal_channels = WorkedExample(
    label="R2-C",
    about=(
        "Example 2 with the two channels for which it has kernels, and the first two columns of its "
        "pointwise matrix: the only repair in which p equals d, as the document says."
    ),
    x=_image(_SIXTEEN, _SIXTEEN),
    w_depthwise=_integers([[_ANTIDIAGONAL], [_ANTIDIAGONAL]]),
    w_pointwise=_integers([[1, 0], [0, 1], [1, 0], [0, 1]]),
    b=_integers([0, 0, 0, 0]),
    d=_image(_SIXTEEN_FILTERED, _SIXTEEN_FILTERED),
    p=_image(_SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED),
    y=_image(_SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED, _SIXTEEN_FILTERED),
)

ALL = (
    two_equal_filters,
    one_filter_one_channel,
    two_filters_one_channel,
    three_equal_channels,
    three_equal_channels_same,
    three_distinct_channels,
    four_equal_channels,
    four_distinct_channels,
    two_equal_channels,
)
