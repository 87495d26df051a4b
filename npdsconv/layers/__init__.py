"""Layers own parameters and remember by closure: ``y, backward = layer.forward(x, train=True)``."""

from npdsconv.layers.activations import (
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
)
from npdsconv.layers.base import Buffer, Layer, Parameter, Pullback, pullback
from npdsconv.layers.composite import Concat, Residual, Sequential, set_impl
from npdsconv.layers.convolution import Conv2d, ConvTranspose2d, DepthwiseConv2d, Linear, PointwiseConv2d
from npdsconv.layers.convolution1d import Conv1d, DepthwiseConv1d
from npdsconv.layers.norm import BatchNorm2d
from npdsconv.layers.pooling import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d, Upsample2d
from npdsconv.layers.separable import DepthwiseSeparableConv2d
from npdsconv.layers.shaping import Dropout, Flatten
from npdsconv.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Buffer",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "DepthwiseSeparableConv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "HardSigmoid",
    "HardSwish",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Parameter",
    "PointwiseConv2d",
    "Pullback",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SqueezeExcite",
    "Upsample2d",
    "pullback",
    "set_impl",
]
