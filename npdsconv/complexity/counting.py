"""Counting what really happens: the naive loops, run on numbers that count their own multiplications.

The naive tier spells the formulas out, index by index, in plain Python, so it takes any numbers at all. Given
:class:`Counted` numbers it computes the same result, and we learn how many multiplications that took.
"""

from types import ModuleType
from typing import Any

import numpy as np

from npdsconv.complexity.table import Shape, cost
from npdsconv.layers import (
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Layer,
    Linear,
    PointwiseConv2d,
)
from npdsconv.ops import depthwise, pointwise, standard, transposed
from npdsconv.shapes import Array, check_choice, resolve_transposed, resolve_window


class Tally:
    """How many multiplications and additions the numbers of one computation went through."""

    def __init__(self) -> None:
        self.multiplications = 0
        self.additions = 0

    def __repr__(self) -> str:
        return f"Tally({self.multiplications:,} multiplications, {self.additions:,} additions)"


class Counted:
    """A number that writes each of its multiplications and additions into a tally."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        self.value, self.tally = value, tally

    def __mul__(self, other: Any) -> "Counted":
        self.tally.multiplications += 1
        return Counted(self.value * getattr(other, "value", other), self.tally)

    def __add__(self, other: Any) -> "Counted":
        self.tally.additions += 1
        return Counted(self.value + getattr(other, "value", other), self.tally)

    __rmul__, __radd__ = __mul__, __add__

    def __repr__(self) -> str:
        return f"Counted({self.value})"


def counted(values: Array, tally: Tally) -> Array:
    """`values` as an object array of the same shape that counts into `tally`.

    >>> from npdsconv.ops import pointwise
    >>> tally = Tally()
    >>> x, w = counted(np.ones((1, 3, 2, 5)), tally), counted(np.ones((4, 3)), tally)
    >>> y = pointwise.naive(x, w, None)
    >>> y.shape, tally
    ((1, 4, 2, 5), Tally(120 multiplications, 120 additions))
    """
    out = np.empty(values.shape, object)
    out.reshape(-1)[:] = [Counted(value, tally) for value in values.ravel().tolist()]
    return out


def count(layer: Layer, shape: Shape, contraction: str = "forward") -> Tally:
    """Run the naive loops of a convolution or dense layer on one image, and count.

    Parameters
    ----------
    layer : Conv2d, ConvTranspose2d, DepthwiseConv2d, PointwiseConv2d, Linear, Conv1d or DepthwiseConv1d
    shape : (C, H, W); (C,) for Linear, (C, L) for the last two
    contraction : "forward", or "dx" or "dw" for the two of the backward pass

    Raises
    ------
    TypeError
        Another kind of layer: it has no multiply-adds to count.
    ValueError
        The layer cannot take this shape.

    Notes
    -----
    About two microseconds for each multiplication: keep images small.
    """
    check_choice("count", "contraction", contraction, ("forward", "dx", "dw"))
    output, _ = cost(layer, shape)
    if isinstance(layer, Linear):  # a pointwise convolution of an image that is one pixel large
        shape, output = (*shape, 1, 1), (*output, 1, 1)
    if isinstance(layer, Conv1d | DepthwiseConv1d):  # that of an image of one row
        (c, columns), (o, out) = shape, output
        shape, output = (c, 1, columns), (o, 1, out)
    op, weight, rest = _loops(layer, shape)
    tally = Tally()
    x, w, dy = (counted(np.ones(size), tally) for size in ((1, *shape), weight, (1, *output)))
    tier = op.IMPLS["naive"]
    if contraction == "forward":
        tier.forward(x, w, None, *rest)
    elif contraction == "dx":
        tier.dx(dy, w, x.shape, *rest)
    else:
        tier.dw(dy, x, w.shape, *rest)
    return tally


def _loops(layer: Layer, shape: Shape) -> tuple[ModuleType, Shape, tuple[Any, ...]]:
    """The op of a layer, the shape of its weight, and what the op's loops want besides arrays; all for images."""
    if isinstance(layer, Linear | PointwiseConv2d):
        return pointwise, layer.weight.value.shape, ()
    if not isinstance(layer, Conv1d | Conv2d | ConvTranspose2d | DepthwiseConv1d | DepthwiseConv2d):
        raise TypeError(
            f"count: {type(layer).__name__} has no multiply-adds, give a convolution or a dense layer"
        )
    *outer, kw = layer.weight.value.shape
    outputs, inputs, kh = outer if len(outer) == 3 else (*outer, 1)
    how = layer.geometry()
    resolve = resolve_transposed if isinstance(layer, ConvTranspose2d) else resolve_window
    steps = how["stride"], how["padding"], how["dilation"]
    window, w = resolve("count", (shape[1], shape[2]), (kh, kw), *steps), (outputs, inputs, kh, kw)
    if isinstance(layer, DepthwiseConv1d | DepthwiseConv2d):
        return depthwise, w, (window,)
    op = transposed if isinstance(layer, ConvTranspose2d) else standard
    return op, w, (window, layer.groups)
