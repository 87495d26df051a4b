"""Losses: what is to be made small. One file each; what all that take labels share is in `labels`."""

from npdsconv.ops.losses.cross_entropy import softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.ops.losses.likelihood import nll_loss, nll_loss_backward
from npdsconv.ops.losses.softmax import (
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

__all__ = [
    "log_softmax",
    "log_softmax_backward",
    "nll_loss",
    "nll_loss_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]
