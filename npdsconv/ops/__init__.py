"""Pure functions, arrays in and arrays out: every op is a forward and a backward that remember nothing."""

from npdsconv.ops.activations import (
    hard_sigmoid,
    hard_sigmoid_backward,
    hard_swish,
    hard_swish_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
)
from npdsconv.ops.avg_pooling import avg_pool2d, avg_pool2d_backward
from npdsconv.ops.dense import linear, linear_backward
from npdsconv.ops.depthwise import depthwise_conv2d, depthwise_conv2d_backward
from npdsconv.ops.fused.block import separable_block, separable_block_backward
from npdsconv.ops.global_pooling import global_avg_pool2d, global_avg_pool2d_backward
from npdsconv.ops.losses import (
    bce_with_logits_loss,
    bce_with_logits_loss_backward,
    dice_loss,
    dice_loss_backward,
    distillation_loss,
    distillation_loss_backward,
    l1_loss,
    l1_loss_backward,
    log_softmax,
    log_softmax_backward,
    mse_loss,
    mse_loss_backward,
    nll_loss,
    nll_loss_backward,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    triplet_loss,
    triplet_loss_backward,
)
from npdsconv.ops.max_pooling import (
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from npdsconv.ops.norm import batch_norm2d, batch_norm2d_backward
from npdsconv.ops.pointwise import pointwise_conv2d, pointwise_conv2d_backward
from npdsconv.ops.regularization import dropout, dropout_backward
from npdsconv.ops.scaling import scale_channels, scale_channels_backward
from npdsconv.ops.standard import conv2d, conv2d_backward
from npdsconv.ops.transposed import conv_transpose2d, conv_transpose2d_backward
from npdsconv.ops.upsampling import upsample2d, upsample2d_backward
from npdsconv.ops.windows import col2im, im2col

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm2d",
    "batch_norm2d_backward",
    "bce_with_logits_loss",
    "bce_with_logits_loss_backward",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "dice_loss",
    "dice_loss_backward",
    "distillation_loss",
    "distillation_loss_backward",
    "dropout",
    "dropout_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_swish",
    "hard_swish_backward",
    "im2col",
    "l1_loss",
    "l1_loss_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "pointwise_conv2d",
    "pointwise_conv2d_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "scale_channels",
    "scale_channels_backward",
    "separable_block",
    "separable_block_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "triplet_loss",
    "triplet_loss_backward",
    "upsample2d",
    "upsample2d_backward",
]
