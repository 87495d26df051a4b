"""Batch norm folded into the convolution before it: for inference, where its statistics are constants.

With given statistics batch norm maps each channel by one straight line, and a convolution is linear in its weights, so
the line can be drawn into them once and for all. The picture is read and written one time fewer for each batch norm.
"""

import numpy as np

from npdsconv.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Layer,
    Parameter,
    PointwiseConv2d,
    Residual,
    Sequential,
)

_Convolution = Conv2d | DepthwiseConv2d | PointwiseConv2d


def fold_batch_norm(model: Layer) -> Layer:
    """A copy of `model` for inference, with each batch norm folded into the convolution right before it.

    With ``scale[o] = bn.weight[o] / √(bn.running_var[o] + bn.eps)`` the convolution's new weights and bias are::

        w'[o, …] = w[o, …] · scale[o]
        b'[o]    = (b[o] - bn.running_mean[o]) · scale[o] + bn.bias[o]

    They are computed in float64 and stored in the convolution's dtype. In inference the copy has the outputs of
    `model`, up to rounding. A separable block becomes one without batch norm and with biases, nested chains become
    one chain, and what lies inside Residual and Concat is folded by itself. A batch norm that follows anything but a
    convolution stays. All other layers, your own included, are copied as they are, not looked into.

    Parameters
    ----------
    model : Layer; it is not changed, and the copy shares nothing with it

    Returns
    -------
    folded : of the same class; an ordinary model in all respects, but with names of its own in ``state_dict``

    Raises
    ------
    TypeError
        `model` is not a Layer.
    ValueError
        A batch norm has another number of channels than the convolution before it.

    Notes
    -----
    Fold what has been trained. Training the copy trains a network without batch norm. A layer that is used twice
    becomes two, as what follows it may differ.

    Why: in inference batch norm is ``z -> (z - mean) · scale + bias``, and z = w ∗ x + b. So
    ``(w ∗ x + b - mean) · scale + bias = (w · scale) ∗ x + (b - mean) · scale + bias``.
    Padding does no harm: it lies before the convolution, and the batch norm after it.

    References
    ----------
    Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*,
    CVPR 2018, arXiv:1712.05877, section 3.2.

    Examples
    --------
    >>> from npdsconv.models import separable_cnn
    >>> model = separable_cnn(rng=0)
    >>> folded = fold_batch_norm(model)
    >>> len(model), len(folded), sum(p.value.size for p in folded.parameters())
    (10, 9, 35594)
    """
    if not isinstance(model, Layer):
        raise TypeError(f"fold_batch_norm: model must be a Layer, got {type(model).__name__}")
    folded = _chain(model)
    return Sequential(*folded) if isinstance(model, Sequential) else folded[0]


def _chain(layer: Layer) -> list[Layer]:
    """Copies of the layers that run one after another inside `layer`, with batch norm folded."""
    if isinstance(layer, Sequential):
        done: list[Layer] = []
        for child in (copy for inner in layer for copy in _chain(inner)):
            before = _last_convolution(done[-1]) if done else None
            if isinstance(child, BatchNorm2d) and before is not None:
                _fold(before, child)
            else:
                done.append(child)
        return done
    if isinstance(layer, Residual):
        shortcut = None if layer.shortcut is None else _one(layer.shortcut)
        return [Residual(_one(layer.body), shortcut)]
    if isinstance(layer, Concat):
        return [Concat(*map(_one, layer.branches))]
    copy = layer.copy()
    if isinstance(copy, DepthwiseSeparableConv2d):
        for step, norm in ((copy.depthwise, copy.bn1), (copy.pointwise, copy.bn2)):
            if norm is not None:
                _fold(step, norm)
        copy.bn1 = copy.bn2 = None
    return [copy]


def _one(layer: Layer) -> Layer:
    """The chain as one layer."""
    chain = _chain(layer)
    return chain[0] if len(chain) == 1 else Sequential(*chain)


def _last_convolution(layer: Layer) -> _Convolution | None:
    """The convolution whose output is that of `layer`."""
    if isinstance(layer, DepthwiseSeparableConv2d) and layer.activation is None:
        return layer.pointwise
    return layer if isinstance(layer, _Convolution) else None


def _fold(convolution: _Convolution, norm: BatchNorm2d) -> None:
    """Change the convolution's parameters so that it does what `norm` did after it."""
    w = convolution.weight.value
    # The output channels are the axes before the kernel's: (O, …), and (C, M, …) of a depthwise convolution.
    outputs = w.shape[: 2 if isinstance(convolution, DepthwiseConv2d) else 1]
    channels = int(np.prod(outputs))
    if norm.weight.value.size != channels:
        raise ValueError(
            f"fold_batch_norm: a batch norm of {norm.weight.value.size} channels follows a "
            f"{type(convolution).__name__} that gives {channels}"
        )
    weight, shift, mean, var = (
        slot.value.astype(np.float64)
        for slot in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    scale = weight / np.sqrt(var + norm.eps)
    b = 0.0 if convolution.bias is None else convolution.bias.value.astype(np.float64)
    spread = scale.reshape(outputs + (1,) * (w.ndim - len(outputs)))
    trainable = convolution.weight.trainable
    convolution.weight = Parameter((w * spread).astype(w.dtype), trainable)
    convolution.bias = Parameter(((b - mean) * scale + shift).astype(w.dtype), trainable)
