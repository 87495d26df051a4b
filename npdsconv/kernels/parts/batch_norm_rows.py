"""Batch norm's loops over a few rows of channels, for use inside kernels that have just computed those rows.

A row is a pixel: `channels` numbers. The next one begins `step` numbers further on, or where this one ends. All arrays
are pointers (see :mod:`lanes`), and `affine` is three: mean, scale and bias. Normalising is z = (x - mean)·scale +
bias; after it comes the activation, which cuts z to `bounds`, [low, high]: (0, ∞) for ReLU, (-∞, ∞) for none.

Optimizations: what belongs to a channel lies in a register while AT_ONCE rows go by; the next rows are prefetched
meanwhile, also where they will be written, which halves the time of rows that come from memory; mean and variance need
one pass, because sums are taken of differences from the block's first row, which is near the mean, and blocks are
merged afterwards, in float64 (:func:`batch_norm_channels.set_statistics`; Chan, Golub, LeVeque 1983).
"""

# mypy: disable-error-code="no-untyped-def"
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import (
    LANES,
    add,
    advance,
    broadcast,
    clamp,
    clamp_gradient,
    load_masked,
    multiply_add,
    prefetch,
    store_masked,
    subtract,
    zeros,
)

Bounds = tuple[float, float]  # of an activation: what it cuts its argument to
UNBOUNDED: Bounds = (-np.inf, np.inf)
AT_ONCE = 32  # rows


def bounds_as(dtype: DTypeLike, bounds: Bounds) -> Bounds:
    """The bounds as numbers of this dtype, as kernels want them."""
    number: Any = np.dtype(dtype).type
    return number(bounds[0]), number(bounds[1])


@serial
def is_bounded(bounds):
    """Whether there is an activation at all."""
    return bounds[0] > -np.inf or bounds[1] < np.inf


@serial
def normalise(x, x_step, rows, channels, affine, bounds, y, y_step):
    """y = the activation of the normalised x. `y` may be `x`."""
    mean, scale, bias = affine
    low, high = broadcast(x, bounds[0]), broadcast(x, bounds[1])
    for first in range(0, rows, AT_ONCE):
        last = min(rows, first + AT_ONCE)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_masked(n, mean, c), load_masked(n, scale, c), load_masked(n, bias, c)
            for r in range(first, last):
                prefetch(x, (r + AT_ONCE) * x_step + c)
                prefetch(y, (r + AT_ONCE) * y_step + c)
                z = multiply_add(subtract(load_masked(n, x, r * x_step + c), m), s, b)
                store_masked(n, y, r * y_step + c, clamp(z, low, high))


@serial
def clamp_rows(x, step, rows, channels, bounds):
    """The activation alone, in place."""
    low, high = broadcast(x, bounds[0]), broadcast(x, bounds[1])
    for r in range(rows):
        for c in range(0, channels, LANES):
            n = channels - c
            store_masked(n, x, r * step + c, clamp(load_masked(n, x, r * step + c), low, high))


@serial
def shifted_sums(x, step, rows, channels, sums):
    """sums[0] = Σ (x - pivot), sums[1] = Σ (x - pivot)² and sums[2] = the pivot, which is the first row.

    The three rows of `sums` lie `step` apart, as those of x.
    """
    of_squares, of_pivot = advance(sums, step), advance(sums, 2 * step)
    for c in range(0, channels, LANES):
        n = channels - c
        store_masked(n, sums, c, zeros(x))
        store_masked(n, of_squares, c, zeros(x))
        store_masked(n, of_pivot, c, load_masked(n, x, c))
    for first in range(0, rows, AT_ONCE):
        last = min(rows, first + AT_ONCE)
        for c in range(0, channels, LANES):
            n = channels - c
            pivot, s0, q0 = (
                load_masked(n, of_pivot, c),
                load_masked(n, sums, c),
                load_masked(n, of_squares, c),
            )
            s1, q1 = zeros(x), zeros(x)
            for r in range(first, last - 1, 2):  # two rows at a time: neither sum waits for the other
                prefetch(x, (r + AT_ONCE) * step + c)
                prefetch(x, (r + 1 + AT_ONCE) * step + c)
                u, v = load_masked(n, x, r * step + c), load_masked(n, x, (r + 1) * step + c)
                u, v = subtract(u, pivot), subtract(v, pivot)
                s0, s1 = add(s0, u), add(s1, v)
                q0, q1 = multiply_add(u, u, q0), multiply_add(v, v, q1)
            if (last - first) % 2:
                u = subtract(load_masked(n, x, (last - 1) * step + c), pivot)
                s0, q0 = add(s0, u), multiply_add(u, u, q0)
            store_masked(n, sums, c, add(s0, s1))
            store_masked(n, of_squares, c, add(q0, q1))


@serial
def backward_sums(dy, x, rows, channels, affine, bounds, sums):
    """sums[0, c] = Σ h and sums[1, c] = Σ h·(x - mean), where h is the gradient before the activation."""
    mean, scale, bias = affine
    low, high = broadcast(x, bounds[0]), broadcast(x, bounds[1])
    of_products = advance(sums, channels)
    for c in range(0, channels, LANES):
        n = channels - c
        store_masked(n, sums, c, zeros(x))
        store_masked(n, of_products, c, zeros(x))
    for first in range(0, rows, AT_ONCE):
        last = min(rows, first + AT_ONCE)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_masked(n, mean, c), load_masked(n, scale, c), load_masked(n, bias, c)
            plain, product = load_masked(n, sums, c), load_masked(n, of_products, c)
            for r in range(first, last):
                prefetch(x, (r + AT_ONCE) * channels + c)
                prefetch(dy, (r + AT_ONCE) * channels + c)
                v = subtract(load_masked(n, x, r * channels + c), m)
                h = clamp_gradient(load_masked(n, dy, r * channels + c), multiply_add(v, s, b), low, high)
                plain, product = add(plain, h), multiply_add(h, v, product)
            store_masked(n, sums, c, plain)
            store_masked(n, of_products, c, product)


@serial
def backward_dx(dy, x, rows, channels, affine, bounds, factors, dx):
    """dx = factors[0]·h + factors[1]·(x - mean) + factors[2], h as in :func:`backward_sums`."""
    mean, scale, bias = affine
    low, high = broadcast(x, bounds[0]), broadcast(x, bounds[1])
    for first in range(0, rows, AT_ONCE):
        last = min(rows, first + AT_ONCE)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_masked(n, mean, c), load_masked(n, scale, c), load_masked(n, bias, c)
            of_h, of_x = load_masked(n, factors, c), load_masked(n, factors, channels + c)
            rest = load_masked(n, factors, 2 * channels + c)
            for r in range(first, last):
                prefetch(x, (r + AT_ONCE) * channels + c)
                prefetch(dy, (r + AT_ONCE) * channels + c)
                v = subtract(load_masked(n, x, r * channels + c), m)
                h = clamp_gradient(load_masked(n, dy, r * channels + c), multiply_add(v, s, b), low, high)
                prefetch(dx, (r + AT_ONCE) * channels + c)
                store_masked(n, dx, r * channels + c, multiply_add(of_h, h, multiply_add(of_x, v, rest)))


@serial
def activation_gradient(h, x, step, a, a_step, rows, channels, affine, bounds, sums):
    """h, the gradient for an activation whose output is `a`, becomes that for its argument; and the `backward_sums`.

    The rows of h, of x, which the batch norm had, and of `sums` lie `step` apart.
    """
    mean, _, _ = affine
    low, high = broadcast(x, bounds[0]), broadcast(x, bounds[1])
    of_products = advance(sums, step)
    for c in range(0, channels, LANES):
        n = channels - c
        m, plain, product = load_masked(n, mean, c), zeros(x), zeros(x)
        for r in range(rows):
            v = clamp_gradient(load_masked(n, h, r * step + c), load_masked(n, a, r * a_step + c), low, high)
            store_masked(n, h, r * step + c, v)
            plain = add(plain, v)
            product = multiply_add(v, subtract(load_masked(n, x, r * step + c), m), product)
        store_masked(n, sums, c, plain)
        store_masked(n, of_products, c, product)
