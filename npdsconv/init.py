"""Initial weights with the right fans.

An initialiser keeps the size of the signal from layer to layer, and for that it must know how many products each
sum has: the fan-in. For a depthwise filter that is KH·KW, not C·KH·KW: a channel sees itself alone. Frameworks that
read the fan off the array's shape get depthwise wrong, and ten such blocks shrink activations to 1e-9.

=============  ===================  ===================
weights        fan-in               fan-out
=============  ===================  ===================
standard       C/groups · KH·KW     O/groups · KH·KW
depthwise      KH·KW                M · KH·KW
pointwise      C                    O
dense          C                    O
=============  ===================  ===================
"""

import numpy as np

from npdsconv.shapes import Array, check_choice

VARIANCES = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
}
SCHEMES = tuple(f"{name}_{shape}" for name in VARIANCES for shape in ("normal", "uniform"))
"""Names of initialisers: which variance, and which distribution."""


def fans(kind: str, shape: tuple[int, ...], groups: int = 1) -> tuple[int, int]:
    """(fan_in, fan_out) of weights of that shape: the table above.

    >>> fans("depthwise", (64, 1, 3, 3)), fans("standard", (64, 64, 3, 3))
    ((9, 9), (576, 576))
    """
    taps = int(np.prod(shape[2:]))
    if kind == "depthwise":
        return taps, shape[1] * taps
    if kind == "standard":
        return shape[1] * taps, shape[0] // groups * taps
    if kind in ("pointwise", "dense"):
        return shape[1], shape[0]
    raise ValueError(f"fans: kind must be standard, depthwise, pointwise or dense, got {kind!r}")


def he_normal(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Array:
    """N(0, 2/fan_in): keeps the mean square through a ReLU, which throws half of it away (He et al. 2015)."""
    return _normal(shape, 2 / fan_in, rng)


def lecun_normal(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Array:
    """N(0, 1/fan_in): keeps the variance where no activation follows (LeCun et al. 1998)."""
    return _normal(shape, 1 / fan_in, rng)


def xavier_normal(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """N(0, 2/(fan_in + fan_out)): between what forward and backward would like (Glorot and Bengio 2010)."""
    return _normal(shape, 2 / (fan_in + fan_out), rng)


def draw(scheme: str, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Weights of one of `SCHEMES`; a uniform one has the variance of the normal one, so its limits are ±√(3·variance).

    Raises
    ------
    ValueError
        An unknown scheme.

    Examples
    --------
    >>> float(abs(draw("he_uniform", (64, 9), 9, 64, np.random.default_rng(0))).max()) < (3 * 2 / 9) ** 0.5
    True
    """
    check_choice("draw", "scheme", scheme, SCHEMES)
    name, _, distribution = scheme.partition("_")
    variance = VARIANCES[name](fan_in, fan_out)
    if distribution == "normal":
        return _normal(shape, variance, rng)
    limit = np.sqrt(3 * variance)
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def _normal(shape: tuple[int, ...], variance: float, rng: np.random.Generator) -> Array:
    return (rng.standard_normal(shape) * np.sqrt(variance)).astype(np.float32)
