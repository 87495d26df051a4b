"""Batch norm's loops over a few rows of channels, for use inside kernels that have just computed those rows.

A row is a pixel: `channels` numbers, `step` numbers from the next row. All arrays are pointers (see :mod:`lanes`), and
`affine` is three: mean, scale and bias.
Normalising is z = (x - mean)·scale + bias, activating is cutting z to [low, high]: (0, ∞) for ReLU, (-∞, ∞) for none.

Optimizations: what belongs to a channel lies in a register while a strip of rows goes by; the next strip is fetched
meanwhile, also where it will be written, which halves the time of rows that come from memory; mean and variance need
one pass, because sums are taken of differences from the block's first row, which is near the mean, and blocks are
merged afterwards, in float64 (:func:`channels.set_statistics`; Chan, Golub, LeVeque 1983).
"""

# mypy: ignore-errors
import numpy as np

from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import (
    LANES,
    add,
    advance,
    clamp,
    everywhere,
    fetch,
    inside,
    load_some,
    multiply_add,
    store_some,
    subtract,
    zeros,
)

Bounds = tuple[float, float]  # of an activation: what it cuts its argument to
UNBOUNDED: Bounds = (-np.inf, np.inf)
STRIP = 32  # rows


def limits(bounds, dtype):
    """The bounds as numbers of this dtype, as kernels want them."""
    return dtype.type(bounds[0]), dtype.type(bounds[1])


@serial
def cuts(bounds):
    """Whether there is an activation at all."""
    return bounds[0] > -np.inf or bounds[1] < np.inf


@serial
def activate(x, step, rows, channels, affine, bounds, y, y_step):
    """y = the activation of the normalised x. `y` may be `x`."""
    mean, scale, bias = affine
    low, high = everywhere(x, bounds[0]), everywhere(x, bounds[1])
    for first in range(0, rows, STRIP):
        last = min(rows, first + STRIP)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_some(n, mean, c), load_some(n, scale, c), load_some(n, bias, c)
            for r in range(first, last):
                fetch(x, (r + STRIP) * step + c)
                fetch(y, (r + STRIP) * y_step + c)
                z = multiply_add(subtract(load_some(n, x, r * step + c), m), s, b)
                store_some(n, y, r * y_step + c, clamp(z, low, high))


@serial
def cut(x, step, rows, channels, bounds):
    """The activation alone, in place."""
    low, high = everywhere(x, bounds[0]), everywhere(x, bounds[1])
    for r in range(rows):
        for c in range(0, channels, LANES):
            n = channels - c
            store_some(n, x, r * step + c, clamp(load_some(n, x, r * step + c), low, high))


@serial
def differences(x, step, rows, channels, sums, sums_step):
    """sums[0] = Σ (x - pivot), sums[1] = Σ (x - pivot)² and sums[2] = the pivot, which is the first row."""
    of_squares, of_pivot = advance(sums, sums_step), advance(sums, 2 * sums_step)
    for c in range(0, channels, LANES):
        n = channels - c
        store_some(n, sums, c, zeros(x))
        store_some(n, of_squares, c, zeros(x))
        store_some(n, of_pivot, c, load_some(n, x, c))
    for first in range(0, rows, STRIP):
        last = min(rows, first + STRIP)
        for c in range(0, channels, LANES):
            n = channels - c
            pivot, s0, q0 = load_some(n, of_pivot, c), load_some(n, sums, c), load_some(n, of_squares, c)
            s1, q1 = zeros(x), zeros(x)
            for r in range(first, last - 1, 2):  # two rows at a time: neither sum waits for the other
                fetch(x, (r + STRIP) * step + c)
                fetch(x, (r + 1 + STRIP) * step + c)
                v, w = load_some(n, x, r * step + c), load_some(n, x, (r + 1) * step + c)
                v, w = subtract(v, pivot), subtract(w, pivot)
                s0, s1 = add(s0, v), add(s1, w)
                q0, q1 = multiply_add(v, v, q0), multiply_add(w, w, q1)
            if (last - first) % 2:
                v = subtract(load_some(n, x, (last - 1) * step + c), pivot)
                s0, q0 = add(s0, v), multiply_add(v, v, q0)
            store_some(n, sums, c, add(s0, s1))
            store_some(n, of_squares, c, add(q0, q1))


@serial
def slopes(g, step, x, x_step, rows, channels, affine, bounds, sums, sums_step):
    """sums[0, c] = Σ h and sums[1, c] = Σ h·(x - mean), where h is the gradient before the activation."""
    mean, scale, bias = affine
    low, high = everywhere(x, bounds[0]), everywhere(x, bounds[1])
    of_products = advance(sums, sums_step)
    for c in range(0, channels, LANES):
        n = channels - c
        store_some(n, sums, c, zeros(x))
        store_some(n, of_products, c, zeros(x))
    for first in range(0, rows, STRIP):
        last = min(rows, first + STRIP)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_some(n, mean, c), load_some(n, scale, c), load_some(n, bias, c)
            plain, product = load_some(n, sums, c), load_some(n, of_products, c)
            for r in range(first, last):
                fetch(x, (r + STRIP) * x_step + c)
                fetch(g, (r + STRIP) * step + c)
                v = subtract(load_some(n, x, r * x_step + c), m)
                h = inside(load_some(n, g, r * step + c), multiply_add(v, s, b), low, high)
                plain, product = add(plain, h), multiply_add(h, v, product)
            store_some(n, sums, c, plain)
            store_some(n, of_products, c, product)


@serial
def combine(g, step, x, x_step, rows, channels, affine, bounds, factors, out, out_step):
    """out = factors[0]·h + factors[1]·(x - mean) + factors[2], h as in :func:`slopes`: the gradient for x."""
    mean, scale, bias = affine
    low, high = everywhere(x, bounds[0]), everywhere(x, bounds[1])
    for first in range(0, rows, STRIP):
        last = min(rows, first + STRIP)
        for c in range(0, channels, LANES):
            n = channels - c
            m, s, b = load_some(n, mean, c), load_some(n, scale, c), load_some(n, bias, c)
            of_h, of_x = load_some(n, factors, c), load_some(n, factors, channels + c)
            rest = load_some(n, factors, 2 * channels + c)
            for r in range(first, last):
                fetch(x, (r + STRIP) * x_step + c)
                fetch(g, (r + STRIP) * step + c)
                v = subtract(load_some(n, x, r * x_step + c), m)
                h = inside(load_some(n, g, r * step + c), multiply_add(v, s, b), low, high)
                fetch(out, (r + STRIP) * out_step + c)
                store_some(n, out, r * out_step + c, multiply_add(of_h, h, multiply_add(of_x, v, rest)))


@serial
def pass_back(h, step, a, a_step, x, x_step, rows, channels, affine, bounds, sums, sums_step):
    """Back through an activation whose output is `a`, in place, with the sums of :func:`slopes`."""
    mean, _, _ = affine
    low, high = everywhere(x, bounds[0]), everywhere(x, bounds[1])
    of_products = advance(sums, sums_step)
    for c in range(0, channels, LANES):
        n = channels - c
        m, plain, product = load_some(n, mean, c), zeros(x), zeros(x)
        for r in range(rows):
            v = inside(load_some(n, h, r * step + c), load_some(n, a, r * a_step + c), low, high)
            store_some(n, h, r * step + c, v)
            plain = add(plain, v)
            product = multiply_add(v, subtract(load_some(n, x, r * x_step + c), m), product)
        store_some(n, sums, c, plain)
        store_some(n, of_products, c, product)
