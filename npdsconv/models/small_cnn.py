"""A plain convolutional network of the 1990s kind: convolution, pooling, twice, and a dense layer."""

import numpy as np

from npdsconv.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from npdsconv.models.blocks import channels, generator


def small_cnn(
    in_channels: int = 1,
    classes: int = 10,
    *,
    width: float = 1.0,
    size: int = 28,
    rng: np.random.Generator | int | None = None,
) -> Sequential:
    """Two 3×3 convolutions with 2×2 max pooling, and a dense layer on the flattened map.

    Parameters
    ----------
    in_channels, classes : int
    width : factor on the channel counts 16 and 32
    size : height and width of the images, which fixes the dense layer's inputs
    rng : generator or seed for the initial weights

    Returns
    -------
    model : (N, in_channels, size, size) to logits (N, classes); 20,538 parameters by default

    References
    ----------
    LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, 1998 (the pattern).
    """
    if size < 4:
        raise ValueError(f"small_cnn: size {size} is below 4: two 2×2 poolings leave nothing")
    rng = generator(rng)
    c1, c2 = channels(16, width), channels(32, width)
    return Sequential(
        Conv2d(in_channels, c1, 3, padding=1, bias=False, rng=rng),
        BatchNorm2d(c1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(c1, c2, 3, padding=1, bias=False, rng=rng),
        BatchNorm2d(c2),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(c2 * (size // 4) ** 2, classes, rng=rng),
    )
