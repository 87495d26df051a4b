"""Losses: what is to be made small. One file each; what all that take labels share is in `labels`."""

from npdsconv.ops.losses.cross_entropy import softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.ops.losses.distillation import distillation_loss, distillation_loss_backward
from npdsconv.ops.losses.likelihood import nll_loss, nll_loss_backward
from npdsconv.ops.losses.pairs import (
    bce_with_logits_loss,
    bce_with_logits_loss_backward,
    dice_loss,
    dice_loss_backward,
    l1_loss,
    l1_loss_backward,
    mse_loss,
    mse_loss_backward,
)
from npdsconv.ops.losses.softmax import (
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from npdsconv.ops.losses.triplet import triplet_loss, triplet_loss_backward

__all__ = [
    "bce_with_logits_loss",
    "bce_with_logits_loss_backward",
    "dice_loss",
    "dice_loss_backward",
    "distillation_loss",
    "distillation_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "log_softmax",
    "log_softmax_backward",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "triplet_loss",
    "triplet_loss_backward",
]
