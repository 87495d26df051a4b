"""Backward passes that lie, each in a way in which somebody's has: all are caught. Each case makes a report."""

import numpy as np
import pytest
from helpers import relu

from npdsconv.gradcheck import check

RNG = np.random.default_rng(77)
X, Z = RNG.standard_normal((2, 4, 3))
W, B = RNG.standard_normal((3, 5)), RNG.standard_normal(5)
IMAGE, KERNEL = RNG.standard_normal((2, 6, 5)), RNG.standard_normal((2, 3, 2))
LABELS = np.array([1, 0, 2, 1])


# ---- what is lied about ------------------------------------------------------------------------------------------


def affine(x, w, b):
    return x @ w + b


def affine_backward(dy, x, w, b):
    return dy @ w.T, x.T @ dy, dy.sum(0)


def in_dtype(dtype):
    return lambda x, w: (x.astype(dtype) @ w.astype(dtype)).astype(np.float64)


def mean_loss(x):
    return (x**2).mean()


def loss(logits, labels):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return -np.log(p / p.sum(1, keepdims=True))[np.arange(len(labels)), labels].mean()


def loss_backward(dy, logits, labels):
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return dy * p / len(labels)


def batch_norm(x, gain, shift):
    return gain * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + shift


def batch_norm_without(term):
    def backward(dy, x, gain, shift):
        sigma = np.sqrt(x.var(0) + 1e-5)
        xhat = (x - x.mean(0)) / sigma
        g = dy * gain
        mean, slope = g.mean(0), xhat * (g * xhat).mean(0)
        dx = (g - (0 if term == "mean" else mean) - (0 if term == "slope" else slope)) / sigma
        if term == "ddof":
            dx = (g - mean - slope) / np.sqrt(x.var(0, ddof=1) + 1e-5)
        if term == "everything":  # the statistics taken for constants
            dx = g / sigma
        return dx, (dy * (x if term == "gain" else xhat)).sum(0), dy.sum(0)

    return backward


def convolve(x, w):
    y = np.zeros((2, 4, 4))
    for u, v in np.ndindex(3, 2):
        y += w[:, u, v, None, None] * x[:, u : u + 4, v : v + 4]
    return y


def convolve_backward(slip):
    def backward(dy, x, w):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for u, v in np.ndindex(3, 2):
            p, q = (2 - u, 1 - v) if slip == "flipped" else (u, v)
            moved = w[:, p, q, None, None] * dy
            if slip == "assigned":
                dx[:, u : u + 4, v : v + 4] = moved
            else:
                dx[:, u : u + 4, v : v + 4] += moved
            dw[:, u, v] = (dy * x[:, u : u + 4, v : v + 4]).sum((1, 2))
        if slip == "last tap missing":
            dw[:, 2, 1] = 0
        if slip == "channels swapped":
            dw = dw[::-1].copy()
        if slip == "border missing":
            dx[:, 0] = 0
        return dx, dw

    return backward


def pool(x):
    return x.reshape(len(x), -1, 2).max(-1)


def pool_backward(share):
    def backward(dy, x):
        mask = x.reshape(len(x), -1, 2) == pool(x)[..., None]
        return (share(mask.astype(float)) * dy[..., None]).reshape(x.shape)

    return backward


def tied():
    x = RNG.standard_normal((4, 12))
    x[1, 4:6] = 2.5
    return x


def at_zero():
    x = RNG.standard_normal((5, 6))
    x[2, 3] = 0
    return x


def counting():
    calls = []

    def backward(dy, x):
        calls.append(1)
        return 2 * dy if len(calls) == 1 else 2 * dy * len(calls)

    return backward


def accumulating():
    total = np.zeros_like(W)

    def backward(dy, x, w):
        nonlocal total
        total += x.T @ dy
        return dy @ w.T, total

    return backward


def remembers_the_first():
    kept = []

    def forward(x):
        kept.append(x)
        return x**3

    return forward, lambda dy, x: 3 * kept[0] ** 2 * dy


def impatient():
    w = W.copy()

    def backward(dy, x):
        dx = dy @ w.T
        w[...] -= 1e-3 * x.T @ dy
        return dx

    return lambda x: x @ w, backward


def in_place(dy, x):
    dy[x <= 0] = 0
    return dy


def unlocks_and_writes(dy, x):
    own = np.asarray(dy)
    if own.base is not None:
        own = own.base
    own[x <= 0] = 0
    return own


def with_nan(dy, x):
    return np.where(x == x[1, 2], np.nan, 2 * dy)


def with_inf(dy, x):
    return np.where(x == x[1, 2], np.inf, 2 * dy)


def cached(x, w):
    return x @ w, (x, w)


def masked(x):
    mask = x > 0
    return x * mask, mask


def twice(x):
    return 2 * x


WRONG = {
    # zeros, or something that ignores dy
    "zeros": lambda: check(affine, lambda dy, *a: [0 * each for each in a], X, W, B),
    "zeros where forward is float32": lambda: check(
        in_dtype(np.float32), lambda dy, x, w: (0 * x, 0 * w), X, W
    ),
    "zeros where forward is float16": lambda: check(
        in_dtype(np.float16), lambda dy, x, w: (0 * x, 0 * w), X, W
    ),
    "twice as much where forward is float32": lambda: check(
        in_dtype(np.float32), lambda dy, x, w: (2 * dy @ w.T, 2 * x.T @ dy), X, W
    ),
    "zeros for one small array": lambda: check(
        lambda x, w: x * w, lambda dy, x, w: (0 * x, dy * x), 1e8 * X, 1e-8 * Z
    ),
    "zeros for numbers of 1e-8": lambda: check(lambda x: x**2, lambda dy, x: 0 * x, 1e-8 * X),
    "zeros for numbers of 1e8": lambda: check(lambda x: x**2, lambda dy, x: 0 * x, 1e8 * X),
    "zeros for the small among large numbers": lambda: check(
        lambda x: x**2, lambda dy, x: 2 * dy * x * (x > 1e-5), np.array([1e-8, 1e-3, 1, 1e4, 1e8])
    ),
    "zeros for a faint branch": lambda: check(lambda x, z: x + 1e-9 * z, lambda dy, x, z: (dy, 0 * z), X, Z),
    "ones instead of dy": lambda: check(
        affine, lambda dy, x, w, b: affine_backward(dy * 0 + 1, x, w, b), X, W, B
    ),
    "the sum of y in mind": lambda: check(
        lambda x: x / x.sum(1, keepdims=True), lambda dy, x: 0 * dy, np.abs(X)
    ),
    # the wrong scale
    "mean for sum": lambda: check(
        affine, lambda dy, x, w, b: (*affine_backward(dy, x, w, b)[:2], dy.mean(0)), X, W, B
    ),
    "1/N is missing": lambda: check(mean_loss, lambda dy, x: dy * 2 * x, X),
    "1/N in the loss": lambda: check(loss, lambda dy, x, t: len(t) * loss_backward(dy, x, t), X, LABELS),
    "a factor of 2": lambda: check(mean_loss, lambda dy, x: dy * x / x.size, X),
    "the sign": lambda: check(affine, lambda dy, *a: [-g for g in affine_backward(dy, *a)], X, W, B),
    "one part in a million": lambda: check(np.exp, lambda dy, x: dy * np.exp(x) * (1 + 1e-6), X),
    "dy left out of a loss": lambda: check(loss, lambda dy, x, t: loss_backward(1.0, x, t), X, LABELS),
    "label off by one": lambda: check(loss, lambda dy, x, t: loss_backward(dy, x, (t + 1) % 3), X, LABELS),
    # the wrong place
    "transposed": lambda: check(
        lambda x, w: x @ w, lambda dy, x, w: (dy @ w, x.T @ dy), X[:3], RNG.standard_normal((3, 3))
    ),
    "bias summed over the wrong axis": lambda: check(
        lambda x, b: x + b, lambda dy, x, b: (dy, dy.sum(1)), RNG.standard_normal((5, 5)), B
    ),
    "bias not summed": lambda: check(lambda x, b: x + b, lambda dy, x, b: (dy, dy), X, B[:3]),
    "bias of the first image": lambda: check(lambda x, b: x + b, lambda dy, x, b: (dy, dy[0]), X, B[:3]),
    "kernel flipped": lambda: check(convolve, convolve_backward("flipped"), IMAGE, KERNEL),
    "= for +=": lambda: check(convolve, convolve_backward("assigned"), IMAGE, KERNEL),
    "last tap missing": lambda: check(convolve, convolve_backward("last tap missing"), IMAGE, KERNEL),
    "channels swapped": lambda: check(convolve, convolve_backward("channels swapped"), IMAGE, KERNEL),
    "border missing": lambda: check(convolve, convolve_backward("border missing"), IMAGE, KERNEL),
    "gradients in the wrong order": lambda: check(
        lambda x, z: x * z**2, lambda dy, x, z: (2 * dy * x * z, dy * z**2), X, Z
    ),
    # terms forgotten
    "batch norm without the mean": lambda: check(batch_norm, batch_norm_without("mean"), X, B[:3], B[2:]),
    "batch norm without the slope": lambda: check(batch_norm, batch_norm_without("slope"), X, B[:3], B[2:]),
    "batch norm with n - 1": lambda: check(batch_norm, batch_norm_without("ddof"), X, B[:3], B[2:]),
    "batch norm of constants": lambda: check(batch_norm, batch_norm_without("everything"), X, B[:3], B[2:]),
    "batch norm's gain": lambda: check(batch_norm, batch_norm_without("gain"), X, B[:3], B[2:]),
    "residual forgotten": lambda: check(lambda x: x + np.tanh(x), lambda dy, x: dy / np.cosh(x) ** 2, X),
    "softmax by its diagonal": lambda: check(
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
        lambda dy, x: dy * (s := np.exp(x) / np.exp(x).sum(1, keepdims=True)) * (1 - s),
        X,
    ),
    "detached factor": lambda: check(lambda x: x * np.tanh(x), lambda dy, x: dy * np.tanh(x), X),
    "float32 branch forgotten": lambda: check(
        lambda x: x + (0.001 * x).astype(np.float32).astype(np.float64), lambda dy, x: dy, X
    ),
    # masks and kinks
    "ReLU mask from dy": lambda: check(relu, lambda dy, x: dy * (dy > 0), X),
    "ReLU6 without its upper end": lambda: check(
        lambda x: np.clip(x, 0, 6), lambda dy, x: dy * (x > 0), 8 * X
    ),
    "twice the slope at zero": lambda: check(relu, lambda dy, x: dy * (x > 0) + 2 * dy * (x == 0), at_zero()),
    "the wrong sign at zero": lambda: check(relu, lambda dy, x: dy * (x > 0) - dy * (x == 0), at_zero()),
    "|x| with slope 2 at zero": lambda: check(
        np.abs, lambda dy, x: dy * (np.sign(x) + 2 * (x == 0)), at_zero()
    ),
    "ties doubled": lambda: check(pool, pool_backward(lambda mask: mask), tied()),
    "ties dropped": lambda: check(
        pool, pool_backward(lambda mask: mask * (mask.sum(-1, keepdims=True) == 1)), tied()
    ),
    "ties doubled, by directions": lambda: check(
        pool, pool_backward(lambda mask: mask), tied(), method="directions"
    ),
    "ties between two arrays": lambda: check(
        np.maximum, lambda dy, x, z: (dy * (x >= z), dy * (z >= x)), X, np.where(X[1, 1] == X, X, Z)
    ),
    # state
    "another answer the second time": lambda: check(twice, counting(), X),
    "adds up over calls": lambda: check(lambda x, w: x @ w, accumulating(), X, W),
    "random in backward": lambda: check(twice, lambda dy, x: 2 * dy * (1 + 1e-5 * RNG.standard_normal()), X),
    "keeps the first input for ever": lambda: check(*remembers_the_first(), X),
    "a step of training in backward": lambda: check(*impatient(), X),
    "cached, with the wrong weight": lambda: check(
        cached, lambda dout, cache: (dout @ cache[1].T, 2 * cache[0].T @ dout), X, W
    ),
    "mask of the wrong side": lambda: check(masked, lambda dout, mask: dout * ~mask, X),
    # not linear in dy
    "clipped": lambda: check(twice, lambda dy, x: np.clip(2 * dy, -50, 50), X),
    "small gradients thrown away": lambda: check(
        twice, lambda dy, x: np.where(np.abs(dy) < 1e-5, 0, 2 * dy), X
    ),
    # writing, and what cannot be compared
    "in place in dy": lambda: check(relu, in_place, X),
    "in place in spite of the lock": lambda: check(relu, unlocks_and_writes, X),
    "forward in place": lambda: check(lambda x: np.multiply(x, 2, out=x), lambda dy, x: 2 * dy, X),
    "None for the only array": lambda: check(twice, lambda dy, x: None, X),
    "one gradient of three": lambda: check(affine, lambda dy, x, w, b: dy @ w.T, X, W, B),
    "the wrong shape": lambda: check(twice, lambda dy, x: 2 * dy.T, X),
    "float32 gradients": lambda: check(twice, lambda dy, x: (2 * dy).astype(np.float32), X),
    "whole numbers as gradients": lambda: check(twice, lambda dy, x: (2 * dy).astype(int), X),
    "nan": lambda: check(twice, with_nan, X),
    "inf": lambda: check(twice, with_inf, X),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_lie_is_caught(name):
    report = WRONG[name]()
    assert not report.ok, report
