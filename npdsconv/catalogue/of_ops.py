"""The row of every op; those of losses are in `of_losses`. A new op needs one here, and nothing else that lists ops.

The labels of the examples are its cases in ``npdsconv gradcheck``. Where a kernel treats some sizes apart, an example
has them.
"""

from typing import Any

from npdsconv import ops
from npdsconv.catalogue.of_losses import LOSSES
from npdsconv.catalogue.rows import ANY, SAME, SIZE, Example, OpRow, normal
from npdsconv.ops import (
    activations,
    avg_pooling,
    dense,
    depthwise,
    global_pooling,
    max_pooling,
    norm,
    pointwise,
    scaling,
    standard,
    transposed,
    upsampling,
)
from npdsconv.ops.fused import block
from npdsconv.shapes import Array

IMAGE, IMAGES_OUT = "$x (N,C,H,W)$", "$(N, O, O_H, O_W)$"
EVERYTHING: dict[str, Any] = {"stride": (2, 1), "padding": ((2, 0), (1, 3)), "dilation": (1, 2)}
WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strided": {"stride": (2, 3)},
    "padded": {"padding": ((1, 2), (0, 3))},
    "same": {"stride": (2, 1), "padding": "same"},
    "lower": {"stride": (2, 1), "padding": "same_lower"},
    "dilated": {"dilation": (2, 3)},
    "everything": EVERYTHING,
}

# ---- convolutions -----------------------------------------------------------------------------------------------


def _standard() -> tuple[Example, ...]:
    arrays = normal(x=SIZE, w=(6, 4, 3, 2), b=(6,))
    in_groups = normal(x=SIZE, w=(6, 2, 3, 2), b=(6,))
    return (
        *(Example(label, arrays, how) for label, how in WINDOWS.items()),
        Example("groups", in_groups, {"groups": 2, **EVERYTHING}),
        Example("one pixel", normal(x=SIZE, w=(4, 4, 1, 1))),
    )


def _transposed() -> tuple[Example, ...]:
    arrays = normal(x=SIZE, w=(4, 6, 3, 2), b=(6,))
    in_groups = normal(x=SIZE, w=(4, 3, 3, 2), b=(6,))
    return (
        *(Example(label, arrays, how) for label, how in WINDOWS.items()),
        Example("groups", in_groups, {"groups": 2, **EVERYTHING}),
        Example("one pixel", normal(x=SIZE, w=(4, 4, 1, 1))),
    )


def _depthwise() -> tuple[Example, ...]:
    arrays = normal(x=SIZE, w=(4, 3, 3, 2), b=(12,))
    one_filter = normal(x=SIZE, w=(4, 1, 3, 2), b=(4,))
    three = normal(x=SIZE, w=(4, 1, 3, 3), b=(4,))
    return (
        *(Example(label, arrays, how) for label, how in WINDOWS.items()),
        Example("one filter", one_filter, EVERYTHING),
        Example("one pixel", normal(x=SIZE, w=(4, 1, 1, 1))),
        Example("3x3", three, {"padding": (1, 2)}),
        Example("3x3 strided", three, {"stride": 2, "padding": ((0, 1), (1, 0))}),
        Example("3x3 dilated", three, {"padding": (1, 2), "dilation": (1, 2)}),
    )


def _block() -> tuple[Example, ...]:
    weights: dict[str, Any] = {"depthwise": (4, 1, 3, 3), "weight1": (4,), "bias1": (4,)}
    weights |= {"pointwise": (3, 4), "weight2": (3,), "bias2": (3,)}
    arrays = normal(x=SIZE, **weights)
    arrays |= {name: abs(arrays[name]) for name in ("bias1", "bias2")}  # else relu cuts whole channels off
    known = normal(mean1=(4,), var1=(4,), mean2=(3,), var2=(3,))
    known |= {name: known[name] ** 2 + 0.5 for name in ("var1", "var2")}
    strided: dict[str, Any] = {"stride": 2, "padding": ((0, 1), (1, 0)), "activations": ("relu6", None)}
    return (
        Example("batch", arrays, {"padding": 1}),
        Example("given", {**arrays, **known}, {"padding": 1, "dilation": (1, 2)}),
        Example("strided", arrays, {**strided, "eps": (1e-3, 1e-4)}),
    )


def _pull_block(dy: Array, x: Array, *arrays: Array, needs: Any = block.ARRAYS, **how: Any) -> Any:
    weights, known = arrays[:6], arrays[6:]
    _, saved = ops.separable_block(x, *arrays, **how)
    given = bool(known), bool(known)
    found = ops.separable_block_backward(dy, x, saved, *weights, given=given, needs=needs, **how)
    return (*found, *(None for _ in known))


# ---- windows, pooling, batch norm -------------------------------------------------------------------------------

COLUMNS: dict[str, Any] = {**EVERYTHING, "kernel_size": (3, 2)}
OVERLAPPING: dict[str, Any] = {**EVERYTHING, "kernel_size": (3, 2), "padding": ((1, 0), (0, 1))}


def _pool(**options: Any) -> tuple[Example, ...]:
    return (
        Example("plain", normal(x=SIZE), {"kernel_size": (3, 2)}),
        Example("overlapping", normal(x=SIZE), OVERLAPPING),
        Example("one pixel", normal(x=SIZE), {"kernel_size": 1}),
        *(Example(label, normal(x=SIZE), {**OVERLAPPING, **more}) for label, more in options.items()),
    )


def _norm() -> tuple[Example, ...]:
    arrays = normal(x=SIZE, weight=(4,), bias=(4,))
    arrays["x"] = 3 * arrays["x"] + 2
    known = normal(mean=(4,), var=(4,))
    known["var"] = known["var"] ** 2 + 0.5
    return (
        Example("batch", arrays, {"eps": 1e-3}),
        Example("activated", arrays, {"eps": 1e-3, "activation": "relu6"}),
        Example("given", {**arrays, **known}, {"eps": 1e-3}),
    )


def _pull_norm(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    *known: Array,
    needs: Any = ("x", "weight", "bias"),
    **how: Any,
) -> Any:
    _, mean, var = ops.batch_norm2d(x, weight, bias, *known, **how)
    given = bool(known)
    found = ops.batch_norm2d_backward(dy, x, weight, mean, var, given=given, bias=bias, needs=needs, **how)
    return (*found, *(None for _ in known))


# ---- functions of each number, dense, dropout -------------------------------------------------------------


def _scaled(factor: float) -> tuple[Example, ...]:
    """One example, for a function that changes its form `factor` away from 0."""
    return (Example("", {"x": factor * normal(x=SIZE)["x"]}),)


def _leaky() -> tuple[Example, ...]:
    x = normal(x=SIZE)
    return Example("", x), Example("steep", x, {"negative_slope": -0.3})


def _dropout() -> tuple[Example, ...]:
    return (Example("", {**normal(x=SIZE), "mask": normal(mask=SIZE)["mask"] > -0.5}, {"p": 0.3}),)


# ---- the rows, in the order of the tables -----------------------------------------------------------------------

OPS: tuple[OpRow, ...] = (
    OpRow(
        ops.conv2d,
        ops.conv2d_backward,
        standard.IMPLS,
        f"{IMAGE}, $w (O, C/G, K_H, K_W)$, $b (O)$",
        IMAGES_OUT,
        _standard(),
        about="stride, dilation, groups, every padding form",
        bilinear=True,
    ),
    OpRow(
        ops.conv_transpose2d,
        ops.conv_transpose2d_backward,
        transposed.IMPLS,
        f"{IMAGE}, $w (C, O/G, K_H, K_W)$, $b (O)$",
        IMAGES_OUT,
        _transposed(),
        about="dx of `conv2d` as an op, with all that it has",
        bilinear=True,
    ),
    OpRow(
        ops.depthwise_conv2d,
        ops.depthwise_conv2d_backward,
        depthwise.IMPLS,
        f"{IMAGE}, $w (C, M, K_H, K_W)$, $b (CM)$",
        "$(N, CM, O_H, O_W)$",
        _depthwise(),
        about="the same, and a depth multiplier",
        bilinear=True,
    ),
    OpRow(
        ops.pointwise_conv2d,
        ops.pointwise_conv2d_backward,
        pointwise.IMPLS,
        f"{IMAGE}, $w (O, C)$, $b (O)$",
        "$(N, O, H, W)$",
        (Example("", normal(x=(2, 5, 4, 3), w=(7, 5), b=(7,))),),
        bilinear=True,
    ),
    OpRow(
        ops.max_pool2d,
        ops.max_pool2d_backward,
        max_pooling.IMPLS,
        IMAGE,
        "$(N, C, O_H, O_W)$",
        _pool(ceiling={"ceil_mode": True, "kernel_size": (2, 3), "stride": (3, 2)}),
        about="every padding form, dilation, sizes rounded up",
    ),
    OpRow(
        ops.avg_pool2d,
        ops.avg_pool2d_backward,
        avg_pooling.IMPLS,
        IMAGE,
        "$(N, C, O_H, O_W)$",
        _pool(
            inside={"count_include_pad": False},
            ceiling={"ceil_mode": True, "kernel_size": (2, 3), "stride": (3, 2)},
            lower={"padding": "same_lower"},
        ),
        about="the same; padded zeros counted or not",
        bilinear=True,
    ),
    OpRow(
        ops.global_max_pool2d,
        ops.global_max_pool2d_backward,
        max_pooling.IMPLS,
        IMAGE,
        "$(N, C, 1, 1)$",
        (Example("", normal(x=SIZE)),),
    ),
    OpRow(
        ops.global_avg_pool2d,
        ops.global_avg_pool2d_backward,
        global_pooling.IMPLS,
        IMAGE,
        "$(N, C, 1, 1)$",
        (Example("", normal(x=SIZE)),),
        bilinear=True,
    ),
    OpRow(
        ops.upsample2d,
        ops.upsample2d_backward,
        upsampling.IMPLS,
        f"{IMAGE}, a scale $(s_h, s_w)$",
        "$(N, C, H s_h, W s_w)$",
        (
            Example("", normal(x=SIZE), {"scale": (3, 2)}),
            Example("one pixel", normal(x=SIZE), {"scale": 1}),
        ),
        about="nearest neighbour",
        bilinear=True,
    ),
    OpRow(
        ops.scale_channels,
        ops.scale_channels_backward,
        scaling.IMPLS,
        f"{IMAGE}, $s (N,C,1,1)$",
        "$(N,C,H,W)$",
        (Example("", normal(x=SIZE, s=(2, 4, 1, 1))),),
        about="a number for each channel of each image",
        bilinear=True,
    ),
    OpRow(
        ops.batch_norm2d,
        ops.batch_norm2d_backward,
        norm.IMPLS,
        f"{IMAGE}, $\\gamma, \\beta\\; (C)$",
        "$y (N,C,H,W)$, $\\mu, \\nu\\; (C)$",
        _norm(),
        about="of the batch or with given statistics, with an activation",
        pull=_pull_norm,
    ),
    OpRow(ops.relu, ops.relu_backward, activations.IMPLS, ANY, SAME, _scaled(1)),
    OpRow(ops.relu6, ops.relu6_backward, activations.IMPLS, ANY, SAME, _scaled(5)),
    OpRow(ops.leaky_relu, ops.leaky_relu_backward, activations.IMPLS, ANY, SAME, _leaky()),
    OpRow(ops.hard_swish, ops.hard_swish_backward, activations.IMPLS, ANY, SAME, _scaled(3)),
    OpRow(ops.hard_sigmoid, ops.hard_sigmoid_backward, activations.IMPLS, ANY, SAME, _scaled(3)),
    OpRow(ops.sigmoid, ops.sigmoid_backward, activations.IMPLS, ANY, SAME, _scaled(3)),
    OpRow(
        ops.linear,
        ops.linear_backward,
        dense.IMPLS,
        "$x (N,C)$, $w (O,C)$, $b (O)$",
        "$(N, O)$",
        (Example("", normal(x=(6, 5), w=(7, 5), b=(7,))),),
        bilinear=True,
    ),
    OpRow(
        ops.separable_block,
        ops.separable_block_backward,
        block.IMPLS,
        f"{IMAGE}, depthwise $(C, M, K_H, K_W)$, $\\gamma_1, \\beta_1\\; (CM)$, pointwise $(O, CM)$, "
        "$\\gamma_2, \\beta_2\\; (O)$",
        f"$y$ {IMAGES_OUT}, and what backward needs",
        _block(),
        about="depthwise, norm, activation, pointwise, norm, activation",
        pull=_pull_block,
    ),
    OpRow(
        ops.dropout,
        ops.dropout_backward,
        None,
        "any shape, a bool mask of this shape",
        SAME,
        _dropout(),
        bilinear=True,
    ),
    *LOSSES,
    OpRow(
        ops.im2col,
        ops.col2im,
        None,
        IMAGE,
        "$(N,\\; C K_H K_W,\\; O_H O_W)$",
        (Example("", normal(x=SIZE), COLUMNS),),
        about="for the lessons; its backward is `col2im`",
        bilinear=True,
        pull=lambda dy, x, **how: ops.col2im(dy, x.shape[2:], **how),
    ),
    OpRow(
        ops.col2im,
        ops.im2col,
        None,
        "$(N,\\; C K_H K_W,\\; O_H O_W)$ and $(H, W)$",
        "$(N,C,H,W)$",
        (Example("", {"cols": ops.im2col(normal(x=SIZE)["x"], **COLUMNS)}, {**COLUMNS, "size": SIZE[2:]}),),
        about="the transpose of `im2col`, which is its backward",
        bilinear=True,
        pull=lambda dy, cols, size, **how: ops.im2col(dy, **how),
    ),
)
