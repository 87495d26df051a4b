"""Small models that several files use, with every kind of layer in them."""

import numpy as np
from helpers import settled

from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    PointwiseConv2d,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    SqueezeExcite,
    Upsample2d,
    set_impl,
)
from npdsconv.models import mobilenet_v2, separable_cnn, small_cnn


def network(impl="im2col", seed=0):
    """A small network with everything in it: float64; input (N, 2, 7, 6), output (N, 3)."""
    rng = np.random.default_rng(seed)
    model = Sequential(
        Conv2d(2, 4, (3, 2), padding=1, bias=False, rng=rng),
        BatchNorm2d(4),
        ReLU(),
        DepthwiseSeparableConv2d(4, 5, (2, 3), stride=(2, 1), padding=1, depth_multiplier=2, rng=rng),
        Residual(
            Sequential(
                DepthwiseSeparableConv2d(5, 5, 3, padding=1, activation=None, mid_activation="relu6", rng=rng)
            )
        ),
        Dropout(0.3, rng=rng),
        Residual(MaxPool2d(2), Sequential(AvgPool2d(2), PointwiseConv2d(5, 5, rng=rng), ReLU6())),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(5, 3, rng=rng),
    )
    return set_impl(settled(model), impl)


def _models():
    rng = np.random.default_rng(3)
    body = Sequential(
        DepthwiseSeparableConv2d(4, 4, (3, 2), padding="same", depth_multiplier=2, rng=rng), ReLU6()
    )
    residual = Sequential(
        Conv2d(2, 4, (2, 3), stride=2, rng=rng),
        Residual(body),
        Residual(PointwiseConv2d(4, 3, rng=rng), Sequential(Conv2d(4, 3, 1, rng=rng), BatchNorm2d(3))),
        AvgPool2d((1, 2)),
        MaxPool2d(2, stride=1, padding=1, dilation=2),
        Dropout(0.3, rng=rng),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(3, 5, bias=False, rng=rng),
    )
    larger = Sequential(
        Conv2d(2, 4, 3, stride=2, rng=rng),
        ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=((1, 0), (0, 1)), groups=2, rng=rng),
        ReLU(),
        Upsample2d((1, 2)),
    )
    branches = Sequential(
        Concat(
            Conv2d(2, 3, (2, 3), stride=2, rng=rng),
            Sequential(MaxPool2d(2), Conv2d(2, 4, (1, 2), padding="valid", rng=rng), BatchNorm2d(4), ReLU()),
        ),
        Concat(Sequential(), DepthwiseSeparableConv2d(7, 5, 3, padding=1, rng=rng)),
        SqueezeExcite(12, 5, rng=rng),
        PointwiseConv2d(12, 3, rng=rng),
    )
    sequences = Sequential(
        Conv1d(2, 4, 3, stride=2, padding=(2, 1), groups=2, rng=rng),
        ReLU(),
        DepthwiseConv1d(4, 3, depth_multiplier=2, padding="same", dilation=2, rng=rng),
        Flatten(),
        Linear(8 * 6, 3, rng=rng),
    )
    return {
        "branches": (branches, (2, 9, 10)),
        "larger": (larger, (2, 9, 7)),
        "residual": (residual, (2, 9, 10)),
        "separable": (separable_cnn(2, 3, width=0.125, dropout=0.1, rng=rng), (2, 7, 6)),
        "small": (small_cnn(1, 4, width=0.25, size=8, rng=rng), (1, 8, 8)),
        "sequences": (sequences, (2, 11)),
        "v2": (mobilenet_v2(0.1, 2, 3, rng=rng), (2, 9, 7)),
    }


MODELS = _models()
