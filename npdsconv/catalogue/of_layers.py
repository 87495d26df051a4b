"""The row of every layer, and of every network. A new layer needs one here, and nothing else that lists layers.

An activation needs none: its layer is its op of the same name, whose row has the examples. Only what its constructor
takes besides is told in `NUMBERS`.
"""

from typing import Any

import numpy as np

from npdsconv import layers, models, ops
from npdsconv.catalogue.rows import LayerRow, Setting
from npdsconv.layers import Layer
from npdsconv.layers.activations import ACTIVATIONS
from npdsconv.models.mobilenet import inverted_residual
from npdsconv.ops.activations import FUNCTIONS

Generator = np.random.Generator

IMAGE = 2, 4, 7, 5
WINDOW: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}
POOL: dict[str, Any] = {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))}
CEILING: dict[str, Any] = {**POOL, "kernel_size": (2, 3), "stride": (3, 2), "ceil_mode": True}
CONV: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2), "groups": 2, **WINDOW}
DEPTHWISE: dict[str, Any] = {"in_channels": 4, "kernel_size": (3, 2), "depth_multiplier": 3, **WINDOW}
SEQUENCE = 2, 4, 11
ROW: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": (2, 1), "dilation": 3}
CONV1D: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "groups": 2, **ROW}
DEPTHWISE1D: dict[str, Any] = {"in_channels": 4, "depth_multiplier": 3, **ROW}
SQUEEZE: dict[str, Any] = {"channels": 4, "squeezed": 3}
NORM: dict[str, Any] = {"num_features": 4, "eps": 1e-3, "momentum": 0.3}
NUMBERS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.3}
}  # of those activations that have any
BLOCK: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 5,
    "kernel_size": (3, 2),
    "depth_multiplier": 3,
    **WINDOW,
}
FUSED: dict[str, Any] = {"in_channels": 4, "out_channels": 5, "kernel_size": 3, "padding": (1, 2)}


# ---- layers made of others --------------------------------------------------------------------------------------

SMALL = 2, 4, 5, 6


def _identity(rng: Generator) -> Layer:
    return layers.Residual(layers.DepthwiseSeparableConv2d(4, 4, 3, padding=1, rng=rng))


def _shortcut(rng: Generator) -> Layer:
    body = layers.DepthwiseSeparableConv2d(4, 5, 3, stride=2, padding=1, rng=rng)
    return layers.Residual(body, layers.Conv2d(4, 5, 1, stride=2, rng=rng))


def _inverted(rng: Generator) -> Layer:
    return inverted_residual(4, 4, stride=1, expansion=3, rng=rng)


def _branches(rng: Generator) -> Layer:
    return layers.Concat(
        layers.Conv2d(4, 5, (3, 2), padding="same", rng=rng),
        layers.Sequential(layers.PointwiseConv2d(4, 3, rng=rng), layers.BatchNorm2d(3), layers.ReLU()),
        layers.Sequential(),
    )


def _tied(rng: Generator) -> Layer:
    return layers.Sequential(*[layers.PointwiseConv2d(4, 4, rng=rng)] * 2)


def _normed(rng: Generator) -> Layer:
    """All that runs as one step besides the block: in training the norm with what is beside it."""
    return layers.Sequential(
        layers.Conv2d(4, 5, (3, 2), bias=False, rng=rng),
        layers.BatchNorm2d(5),
        layers.ReLU(),
        layers.PointwiseConv2d(5, 3, rng=rng),
        layers.BatchNorm2d(3),
        layers.ReLU6(),
        layers.PointwiseConv2d(3, 4, rng=rng),
        layers.ReLU(),
    )


def _frozen(rng: Generator) -> Layer:
    return layers.Sequential(
        layers.Conv2d(4, 5, (3, 2), rng=rng).freeze(),
        layers.BatchNorm2d(5),
        layers.ReLU(),
        layers.MaxPool2d((3, 2)),
        layers.Flatten(),
        layers.Dropout(0.3, rng=rng),
        layers.Linear(5 * 1 * 2, 6, rng=rng),
    )


# ---- the layers -------------------------------------------------------------------------------------------------

LAYERS: tuple[LayerRow, ...] = (
    LayerRow(
        layers.Conv2d,
        (Setting(IMAGE, CONV), Setting(IMAGE, {**CONV, "bias": False}, "without bias")),
        op=ops.conv2d,
        bilinear=True,
    ),
    LayerRow(
        layers.ConvTranspose2d,
        (Setting(IMAGE, CONV), Setting(IMAGE, {**CONV, "bias": False}, "without bias")),
        op=ops.conv_transpose2d,
        bilinear=True,
    ),
    LayerRow(
        layers.Conv1d,
        (Setting(SEQUENCE, CONV1D), Setting(SEQUENCE, {**CONV1D, "bias": False}, "without bias")),
        bilinear=True,
    ),
    LayerRow(
        layers.DepthwiseConv1d,
        (Setting(SEQUENCE, DEPTHWISE1D), Setting(SEQUENCE, {**DEPTHWISE1D, "bias": False}, "without bias")),
        bilinear=True,
    ),
    LayerRow(
        layers.DepthwiseConv2d,
        (Setting(IMAGE, DEPTHWISE), Setting(IMAGE, {**DEPTHWISE, "bias": False}, "without bias")),
        op=ops.depthwise_conv2d,
        bilinear=True,
    ),
    LayerRow(
        layers.PointwiseConv2d,
        (
            Setting((2, 5, 4, 3), {"in_channels": 5, "out_channels": 7}),
            Setting((2, 5, 4, 3), {"in_channels": 5, "out_channels": 7, "bias": False}, "without bias"),
        ),
        op=ops.pointwise_conv2d,
        bilinear=True,
    ),
    LayerRow(
        layers.Linear,
        (
            Setting((6, 5), {"in_features": 5, "out_features": 7}),
            Setting((6, 5), {"in_features": 5, "out_features": 7, "bias": False}, "without bias"),
        ),
        op=ops.linear,
        bilinear=True,
    ),
    LayerRow(
        layers.BatchNorm2d,
        (
            Setting(IMAGE, NORM, "training"),
            Setting(IMAGE, NORM, "evaluation", check={"train": False}),
            Setting(IMAGE, label="frozen", build=lambda rng: layers.BatchNorm2d(**NORM).freeze()),
        ),
        op=ops.batch_norm2d,
    ),
    *(
        LayerRow(kind, (Setting(IMAGE, NUMBERS.get(name, {})),), op=FUNCTIONS[name].forward)
        for name, kind in ACTIVATIONS.items()
    ),
    LayerRow(
        layers.MaxPool2d,
        (Setting(IMAGE, {**POOL, "dilation": (1, 2)}), Setting(IMAGE, CEILING, "ceiling")),
        op=ops.max_pool2d,
    ),
    LayerRow(
        layers.AvgPool2d,
        (
            Setting(IMAGE, {**POOL, "dilation": (1, 2), "count_include_pad": False}),
            Setting(IMAGE, CEILING, "ceiling"),
        ),
        op=ops.avg_pool2d,
        bilinear=True,
    ),
    LayerRow(layers.GlobalMaxPool2d, (Setting(IMAGE),), op=ops.global_max_pool2d),
    LayerRow(layers.GlobalAvgPool2d, (Setting(IMAGE),), op=ops.global_avg_pool2d, bilinear=True),
    LayerRow(layers.Upsample2d, (Setting(IMAGE, {"scale": (3, 2)}),), op=ops.upsample2d, bilinear=True),
    LayerRow(
        layers.SqueezeExcite,
        (
            Setting(IMAGE, SQUEEZE),
            Setting(IMAGE, {**SQUEEZE, "activation": "relu6", "gate": "relu6"}, "hard"),
        ),
    ),
    LayerRow(layers.Flatten, (Setting(IMAGE),), bilinear=True),
    LayerRow(layers.Dropout, (Setting(IMAGE, {"p": 0.3}),), bilinear=True),
    LayerRow(
        layers.DepthwiseSeparableConv2d,
        (
            Setting(IMAGE, BLOCK, "training"),
            Setting(IMAGE, BLOCK, "evaluation", check={"train": False}),
            Setting(IMAGE, {**BLOCK, "batch_norm": False, "mid_activation": "relu6"}, "biases"),
            Setting(IMAGE, {**BLOCK, "mid_activation": None, "activation": None}, "linear"),
            Setting(IMAGE, FUSED, "fused"),
            Setting(IMAGE, {**FUSED, "batch_norm": False, "activation": "relu6"}, "plain"),
            Setting(IMAGE, {**FUSED, "bias": True, "fused": False}, "not fused"),
            Setting(IMAGE, {**FUSED, "eps": 1e-3, "momentum": 0.3, "activation": "leaky_relu"}, "leaky"),
        ),
    ),
    LayerRow(
        layers.Residual,
        (
            Setting(SMALL, label="identity", build=_identity),
            Setting(SMALL, label="inverted", build=_inverted),
            Setting(SMALL, label="shortcut", build=_shortcut),
        ),
    ),
    LayerRow(layers.Concat, (Setting(SMALL, build=_branches),)),
    LayerRow(
        layers.Sequential,
        (
            Setting(SMALL, label="tied", build=_tied),
            Setting(SMALL, label="normed", build=_normed),
            Setting(SMALL, label="frozen", build=_frozen, check={"labels": np.array([4, 1])}),
        ),
    ),
)

# ---- networks ---------------------------------------------------------------------------------------------------


def _twin(rng: Generator) -> Layer:
    return models.standard_twin(models.separable_cnn(width=0.5, rng=rng), rng=rng)


def _folded(rng: Generator) -> Layer:
    return models.fold_batch_norm(models.separable_cnn(width=0.5, rng=rng))


# Fifty batch norms over a few images amplify rounding and kinks beyond what differences can resolve. So the whole
# mobilenet_v2 is checked with running statistics, and its block, "Residual inverted", with those of the batch.
_ALONG = {"method": "directions"}
_FEW: dict[str, Any] = {**_ALONG, "directions": 2}


def _of(shape: tuple[int, ...], label: str = "", **options: Any) -> Setting:
    """A network for images of a shape, checked along directions."""
    return Setting(shape, {"in_channels": shape[1], **options}, label, check=_ALONG)


MODELS: tuple[LayerRow, ...] = (
    LayerRow(models.small_cnn, (_of((3, 1, 12, 12), width=0.5, size=12),)),
    LayerRow(models.separable_cnn, (_of((3, 1, 13, 10), width=0.5, dropout=0.2),)),
    LayerRow(models.separable_mini, (_of((3, 2, 13, 10), width=0.5, classes=7),)),
    LayerRow(models.dilated_separable, (_of((3, 2, 13, 10), width=0.25, dilations=(1, 3), classes=7),)),
    LayerRow(models.parallel_separable, (_of((3, 2, 13, 10), width=0.25, dilations=(1, 2), classes=7),)),
    LayerRow(
        models.separable_resnet,
        (
            _of((4, 2, 13, 10), filters=(4, 6), classes=7),
            _of(
                (4, 2, 33, 26),
                "stride twice",
                filters=(4, 6),
                classes=7,
                stride_twice=True,
                relu_before_sum=True,
            ),
            _of((4, 2, 13, 10), "plain", filters=(4, 6), residual=False),
        ),
    ),
    LayerRow(
        models.separable_compact,
        (_of((4, 2, 13, 10), stem=3, filters=(4, 5), repeats=(1, 0), stem_repeats=1, classes=7),),
    ),
    LayerRow(models.large_kernel_cnn, (_of((4, 2, 13, 10), width=0.25, kernel=5, classes=7),)),
    LayerRow(models.xception_mini, (_of((4, 2, 13, 10), width=0.25, classes=7),)),
    LayerRow(
        models.vgg_mini,
        (
            _of((4, 2, 13, 10), width=0.25, classes=7),
            _of((4, 2, 16, 16), "flat", width=0.25, ending="flatten", size=16),
        ),
    ),
    LayerRow(
        models.one_block,
        (_of((3, 2, 7, 5), classes=4), _of((3, 2, 6, 6), "flat", ending="flatten", size=6)),
    ),
    LayerRow(
        models.two_blocks,
        (
            _of((3, 2, 7, 5), classes=4),
            _of((3, 2, 7, 5), "turned", order="pointwise_first", batch_norm=True),
            _of((3, 2, 7, 5), "standard", order="standard"),
        ),
    ),
    LayerRow(models.multiplied, (_of((3, 2, 7, 5), multiplier=3, features=6),)),
    LayerRow(
        models.class_maps,
        (
            _of((3, 2, 7, 5), multiplier=3, classes=4),
            _of((3, 2, 6, 6), "normed", multiplier=3, batch_norm=True, blocks=2, ending="flatten", size=6),
        ),
    ),
    LayerRow(models.standard_twin, (Setting((3, 1, 13, 10), build=_twin, check=_ALONG),)),
    LayerRow(models.fold_batch_norm, (Setting((3, 1, 13, 10), build=_folded, check=_ALONG),)),
    LayerRow(models.mobilenet_v1, (Setting((8, 3, 17, 12), {"width": 0.125, "classes": 7}, check=_FEW),)),
    LayerRow(
        models.mobilenet_v2,
        (
            Setting(
                (3, 3, 9, 11),
                {"width": 0.125, "classes": 7},
                "evaluation",
                check={**_FEW, "train": False},
            ),
        ),
    ),
    LayerRow(
        models.mobilenet_v3_small,
        (Setting((3, 3, 17, 12), {"width": 0.125, "classes": 7, "eps": 1e-2}, check=_FEW),),
    ),
)
