"""Batch norm and the activation after it, a row for each pixel."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv.kernels.loops.common import ROWS, Bounds, pieces
from npdsconv.kernels.machine.jit import each, kernel, prange
from npdsconv.layout import images_of, pixels_of
from npdsconv.shapes import Array


def forward(
    x: Array, weight: Array, bias: Array, mean: Array | None, var: Array | None, eps: float, bounds: Bounds
) -> tuple[Array, Array, Array]:
    rows = pixels_of(x)
    if mean is None or var is None:
        mean, var = statistics_of(rows)
    y = np.empty(rows.shape, x.dtype)
    normalise(rows, per_channel(weight, bias, mean, var, eps), *limits(bounds, x), y)
    return images_of(y, x), mean, var


def backward(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    bounds: Bounds,
    given: bool,
    needs: tuple[str, ...],
) -> tuple[Array, Array, Array]:
    slopes, rows = pixels_of(dy), pixels_of(x)
    how = per_channel(weight, bias, mean, var, eps), *limits(bounds, x)
    sums = np.zeros((pieces(len(rows), ROWS), 2, rows.shape[1]))
    sum_of_slopes(slopes, rows, *how, sums)
    gradients = sums.sum(axis=0).astype(x.dtype)
    dx = np.empty(rows.shape, x.dtype)
    # Given statistics are constants: then the paths through them are cut, as if the two means were 0.
    through = np.zeros_like(gradients) if given else gradients / x.dtype.type(max(1, len(rows)))
    normalise_dx(slopes, rows, *how, through, dx)
    return images_of(dx, x), gradients[1], gradients[0]


def statistics_of(rows: Array) -> tuple[Array, Array]:
    """The mean of each channel, and the mean of (x - mean)²."""
    sums = np.zeros((2, pieces(len(rows), ROWS), rows.shape[1]))
    add_up(rows, sums[0])
    mean = sums[0].sum(axis=0) / len(rows)
    sum_of_squares(rows, mean, sums[1])
    return mean.astype(rows.dtype), (sums[1].sum(axis=0) / len(rows)).astype(rows.dtype)


def per_channel(weight: Array, bias: Array, mean: Array, var: Array, eps: float) -> Array:
    """mean, 1/σ, weight and bias, (4, C)."""
    return np.stack([mean, 1 / np.sqrt(var + var.dtype.type(eps)), weight, bias])


def limits(bounds: Bounds, like: Array) -> Bounds:
    return like.dtype.type(bounds[0]), like.dtype.type(bounds[1])


@kernel
def add_up(x, sums):
    for k in prange(sums.shape[0]):  # owns partial sum k
        for p in range(k * ROWS, min(x.shape[0], (k + 1) * ROWS)):
            for c in range(x.shape[1]):
                sums[k, c] += x[p, c]


@kernel
def sum_of_squares(x, mean, sums):
    for k in prange(sums.shape[0]):  # owns partial sum k
        for p in range(k * ROWS, min(x.shape[0], (k + 1) * ROWS)):
            for c in range(x.shape[1]):
                sums[k, c] += (x[p, c] - mean[c]) ** 2


@kernel(pieces=each)
def normalise(x, norm, low, high, y):
    mean, inverse, weight, bias = norm[0], norm[1], norm[2], norm[3]
    for p in prange(x.shape[0]):  # owns row p of y
        for c in range(x.shape[1]):
            z = (x[p, c] - mean[c]) * (inverse[c] * weight[c]) + bias[c]
            z = low if z < low else z
            y[p, c] = high if z > high else z


@kernel
def sum_of_slopes(dy, x, norm, low, high, sums):
    """Σ h and Σ h·x̂, with h = dy where the activation let z through, else 0."""
    mean, inverse, weight, bias = norm[0], norm[1], norm[2], norm[3]
    zero = x.dtype.type(0)
    for k in prange(sums.shape[0]):  # owns partial sum k
        for p in range(k * ROWS, min(x.shape[0], (k + 1) * ROWS)):
            for c in range(x.shape[1]):
                z = (x[p, c] - mean[c]) * (inverse[c] * weight[c]) + bias[c]
                h = zero if z <= low or z >= high else dy[p, c]
                sums[k, 0, c] += h
                sums[k, 1, c] += h * (x[p, c] - mean[c]) * inverse[c]


@kernel(pieces=each)
def normalise_dx(dy, x, norm, low, high, means, dx):
    """dx = (h - mean(h) - x̂ · mean(h·x̂)) · weight/σ, with the `means` given."""
    mean, inverse, weight, bias = norm[0], norm[1], norm[2], norm[3]
    zero = x.dtype.type(0)
    for p in prange(x.shape[0]):  # owns row p of dx
        for c in range(x.shape[1]):
            normalised = (x[p, c] - mean[c]) * inverse[c]
            z = (x[p, c] - mean[c]) * (inverse[c] * weight[c]) + bias[c]
            h = zero if z <= low or z >= high else dy[p, c]
            dx[p, c] = (h - means[0, c] - normalised * means[1, c]) * (inverse[c] * weight[c])
