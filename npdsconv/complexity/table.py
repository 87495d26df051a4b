"""The table: for each kind of layer, the shape it gives, its parameters and its MACs."""

from collections.abc import Iterator
from functools import singledispatch
from math import prod
from typing import NamedTuple

from npdsconv import shapes
from npdsconv.complexity.formulas import conv_macs, depthwise_macs, linear_macs, pointwise_macs
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Parameter,
    PointwiseConv2d,
    Residual,
    Sequential,
    SqueezeExcite,
    Upsample2d,
)
from npdsconv.layers.activations import Activation
from npdsconv.layers.fusion import fuse
from npdsconv.shapes import Pair

Shape = tuple[int, ...]


class Row(NamedTuple):
    """What one layer costs, for one image.

    Attributes
    ----------
    layer : the layer itself; `kind` is the name of its class
    input, output : (C, H, W) or (C,)
    params, macs : int; `flops` is 2·macs
    name : dotted path, as in ``state_dict``
    held : numbers alive meanwhile besides input and output, since an enclosing layer holds its own input
    fused : whether the fast tier computes this layer and the next in one pass, so that its output is never in memory
    """

    layer: Layer
    input: Shape
    output: Shape
    params: int = 0
    macs: int = 0
    name: str = ""
    held: int = 0
    fused: bool = False

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def activation_bytes(self) -> int:
        """The output in float32."""
        return 4 * prod(self.output)

    @property
    def kept_bytes(self) -> int:
        """By how much this layer changes what a training step has to keep for its backward pass.

        That is its output, which the backward of the next layer reads, with four exceptions. `Flatten` shows the same
        numbers in another shape: 0. `Dropout` reads its mask and not its input, so its output takes the place of
        its input and the mask, one byte a number, is added. `Residual` reads neither of what it adds: the sum takes
        the place of the body's result, and the result of a shortcut layer is let go, a negative number. `Concat` takes
        the place of its branches' results, and only what a branch passes on unchanged is there twice. And what the fast
        tier fuses keeps nothing: a batch norm before its activation, and all that lies between the depthwise and the
        pointwise step of a separable block, which backward computes again.
        """
        # One case is missed: Dropout at the head of one branch, while the other branch reads the same array.
        numbers = prod(self.output)
        match self.layer:
            case _ if self.fused:
                return 0
            case Flatten():
                return 0
            case Dropout():
                return numbers if self.layer.p else 0
            case Residual():
                return 0 if self.layer.shortcut is None else -4 * numbers
            case Concat():
                return 4 * prod(self.input) * sum(_passes(branch) for branch in self.layer.branches)
        return 4 * numbers

    @property
    def live_bytes(self) -> int:
        """All activations alive while this layer runs in inference, its own work space not counted."""
        return 4 * (prod(self.input) + prod(self.output) + self.held)

    @property
    def traffic_bytes(self) -> int:
        """Input, parameters and output, as if each crossed the memory bus once."""
        return 4 * (prod(self.input) + self.params + prod(self.output))

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: MACs for each byte of traffic."""
        return self.macs / self.traffic_bytes


Cost = tuple[Shape, list[Row]]


def _single(layer: Layer, given: Shape, output: Shape, params: int = 0, macs: int = 0) -> Cost:
    return output, [Row(layer, given, output, params, macs)]


def _check(layer: Layer, shape: Shape, axes: str, channels: int | None = None) -> None:
    """`shape` has the axes that the layer takes, and as many channels as its weights read."""
    kind = type(layer).__name__
    if len(shape) != len(axes.split(",")):
        raise ValueError(f"{kind}: takes ({axes}) of one image, got shape {shape}")
    if channels is not None and shape[0] != channels:
        what = "features" if len(shape) == 1 else "channels"
        raise ValueError(f"{kind}: takes {channels} {what}, got {shape[0]} in shape {shape}")


def _passes(layer: Layer) -> bool:
    """Whether the result is the input itself, not a new array."""
    return isinstance(layer, Sequential) and all(map(_passes, layer))


def _biases(bias: Parameter | None, outputs: int) -> int:
    return outputs if bias is not None else 0


# ---- the table: (layer, input shape) -> (output shape, rows) ----------------------------------------------


@singledispatch
def cost(layer: Layer, shape: Shape) -> Cost:
    """What `layer` gives and costs for one image of `shape`.

    Parameters
    ----------
    layer : Layer
    shape : (C, H, W), or (C,) after Flatten

    Returns
    -------
    output : the shape of the result
    rows : list of Row, one for each layer that does the work

    Raises
    ------
    TypeError
        There is no formula for this kind of layer; give one with ``@cost.register``.
    ValueError
        The layer cannot take this shape.
    """
    kind = type(layer).__name__
    raise TypeError(
        f"cost: no formula for {kind}: register one with @cost.register, a function "
        f"(layer: {kind}, shape) -> (output shape, [Row(layer, shape, output shape, params, macs)])"
    )


@cost.register
def _conv2d(layer: Conv2d, shape: Shape) -> Cost:
    o, c_group, kh, kw = layer.weight.value.shape
    c = c_group * layer.groups
    _check(layer, shape, "C, H, W", c)
    size = _pixels(layer, shape, (kh, kw))
    params = o * c_group * kh * kw + _biases(layer.bias, o)
    return _single(layer, shape, (o, *size), params, conv_macs(c, o, (kh, kw), size, layer.groups))


@cost.register
def _transposed(layer: ConvTranspose2d, shape: Shape) -> Cost:
    c, o_group, kh, kw = layer.weight.value.shape
    o = o_group * layer.groups
    _check(layer, shape, "C, H, W", c)
    size, how = (shape[1], shape[2]), (layer.stride, layer.padding, layer.dilation)
    window = shapes.resolve_transposed("ConvTranspose2d", size, (kh, kw), *how)
    params = c * o_group * kh * kw + _biases(layer.bias, o)
    macs = conv_macs(o, c, (kh, kw), size, layer.groups)  # of the convolution that it transposes
    return _single(layer, shape, (o, *window.output), params, macs)


@cost.register
def _depthwise(layer: DepthwiseConv2d, shape: Shape) -> Cost:
    c, m, kh, kw = layer.weight.value.shape
    _check(layer, shape, "C, H, W", c)
    size = _pixels(layer, shape, (kh, kw))
    params = c * m * kh * kw + _biases(layer.bias, c * m)
    return _single(layer, shape, (c * m, *size), params, depthwise_macs(c, (kh, kw), size, m))


@cost.register
def _conv1d(layer: Conv1d, shape: Shape) -> Cost:
    o, c_group, k = layer.weight.value.shape
    c = c_group * layer.groups
    _check(layer, shape, "C, L", c)
    size = _pixels(layer, (c, 1, shape[1]), (1, k))
    params = o * c_group * k + _biases(layer.bias, o)
    return _single(layer, shape, (o, size[1]), params, conv_macs(c, o, (1, k), size, layer.groups))


@cost.register
def _depthwise1d(layer: DepthwiseConv1d, shape: Shape) -> Cost:
    c, m, k = layer.weight.value.shape
    _check(layer, shape, "C, L", c)
    size = _pixels(layer, (c, 1, shape[1]), (1, k))
    params = c * m * k + _biases(layer.bias, c * m)
    return _single(layer, shape, (c * m, size[1]), params, depthwise_macs(c, (1, k), size, m))


@cost.register
def _pointwise(layer: PointwiseConv2d, shape: Shape) -> Cost:
    o, c = layer.weight.value.shape
    _check(layer, shape, "C, H, W", c)
    _, h, w = shape
    return _single(layer, shape, (o, h, w), o * c + _biases(layer.bias, o), pointwise_macs(c, o, (h, w)))


@cost.register
def _linear(layer: Linear, shape: Shape) -> Cost:
    o, c = layer.weight.value.shape
    _check(layer, shape, "C", c)
    return _single(layer, shape, (o,), o * c + _biases(layer.bias, o), linear_macs(c, o))


@cost.register
def _batch_norm(layer: BatchNorm2d, shape: Shape) -> Cost:
    c = layer.weight.value.size
    _check(layer, shape, "C, H, W", c)
    return _single(layer, shape, shape, 2 * c)


@cost.register
def _elementwise(layer: Activation | Dropout, shape: Shape) -> Cost:
    return _single(layer, shape, shape)


@cost.register
def _pooling(layer: MaxPool2d | AvgPool2d, shape: Shape) -> Cost:
    _check(layer, shape, "C, H, W")
    how = layer.geometry()
    window = shapes.resolve_pooling(type(layer).__name__, (shape[1], shape[2]), layer.kernel_size, **how)
    return _single(layer, shape, (shape[0], *window.output))


@cost.register
def _global(layer: GlobalAvgPool2d | GlobalMaxPool2d, shape: Shape) -> Cost:
    _check(layer, shape, "C, H, W")
    return _single(layer, shape, (shape[0], 1, 1))


@cost.register
def _upsample(layer: Upsample2d, shape: Shape) -> Cost:
    _check(layer, shape, "C, H, W")
    c, h, w = shape
    return _single(layer, shape, (c, h * layer.scale[0], w * layer.scale[1]))


@cost.register
def _flatten(layer: Flatten, shape: Shape) -> Cost:
    return _single(layer, shape, (prod(shape),))


@cost.register
def _chain(layer: Sequential | DepthwiseSeparableConv2d, shape: Shape) -> Cost:
    return _in_turn(layer, shape, layer.fused)


def _in_turn(layer: Layer, shape: Shape, fused: bool = True) -> Cost:
    """The children one after another. Whoever called the chain holds its input until the chain is done."""
    rows: list[Row] = []
    x, rest, names = shape, [child for _, child in layer.children()], [name for name, _ in layer.children()]
    while rest:
        step, count = fuse(rest, (1, *x), True, fused)
        for child in rest[:count]:
            x, more = cost(child, x)
            if any(child is hidden for hidden in step.hidden):
                more = [row._replace(fused=True) for row in more]
            rows += _inside(names.pop(0), more, held=prod(shape) if rows else 0)
        del rest[:count]
    return x, rows


@cost.register
def _squeeze_excite(layer: SqueezeExcite, shape: Shape) -> Cost:
    """The children, which give a number a channel, and one row for the product."""
    scale, rows = _in_turn(layer, shape)
    return shape, [*rows, Row(layer, shape, shape, held=prod(scale))]


@cost.register
def _residual(layer: Residual, shape: Shape) -> Cost:
    """The shortcut, the body while the shortcut's result waits, and one row for the sum."""
    skip, through = (shape, []) if layer.shortcut is None else cost(layer.shortcut, shape)
    waiting = 0 if layer.shortcut is None else prod(skip)
    output, rows = cost(layer.body, shape)
    if output != skip:
        raise ValueError(f"Residual: the body gives {output}, the shortcut {skip}: they must be equal")
    added = Row(layer, output, output, held=prod(shape) + waiting)
    return output, [*_inside("body", rows, waiting), *_inside("shortcut", through), added]


@cost.register
def _concat(layer: Concat, shape: Shape) -> Cost:
    """The branches, each while the results of those before it wait, and one row for what joins them."""
    rows: list[Row] = []
    outputs: list[Shape] = []
    waiting = 0
    for k, branch in enumerate(layer.branches):
        output, more = cost(branch, shape)
        outputs.append(output)
        if output[1:] != outputs[0][1:]:
            raise ValueError(
                f"Concat: branch 0 gives {outputs[0]}, branch {k} {output}: only channels may differ"
            )
        rows += _inside(f"branches.{k}", more, waiting)
        waiting += 0 if _passes(branch) else prod(output)
    joined = (sum(output[0] for output in outputs), *outputs[0][1:])
    return joined, [*rows, Row(layer, shape, joined, held=waiting)]


def _inside(name: str, rows: list[Row], held: int = 0) -> Iterator[Row]:
    for row in rows:
        yield row._replace(name=f"{name}.{row.name}" if row.name else name, held=row.held + held)


def _pixels(layer: Conv1d | Conv2d | DepthwiseConv1d | DepthwiseConv2d, shape: Shape, kernel: Pair) -> Pair:
    """(OH, OW) by the output-size rule."""
    how, kind = layer.geometry(), type(layer).__name__
    steps = how["stride"], how["padding"], how["dilation"]
    return shapes.resolve_window(kind, (shape[1], shape[2]), kernel, *steps).output
