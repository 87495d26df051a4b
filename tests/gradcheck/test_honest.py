"""Right backward passes that a careless checker accuses: every one of them has to pass."""

import functools

import numba
import numpy as np
import pytest
from helpers import relu, relu_backward

from npdsconv.gradcheck import check

RNG = np.random.default_rng(78)
X, Z = RNG.standard_normal((2, 4, 3))
W, B = RNG.standard_normal((3, 5)), RNG.standard_normal(5)
LABELS = np.array([1, 0, 2, 1])


def square(x):
    return x * x


def square_backward(dy, x):
    return 2 * x * dy


def affine(x, w, b):
    return x @ w + b


def affine_backward(dy, x, w, b):
    return dy @ w.T, x.T @ dy, dy.sum(0)


def cross_entropy(logits, labels):
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).mean(), p


def cross_entropy_backward(dy, logits, labels):
    p = cross_entropy(logits, labels)[1]
    p[np.arange(len(labels)), labels] -= 1
    return dy * p / len(labels)


def batch_norm(x, gain):
    return gain * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def batch_norm_backward(dy, x, gain):
    sigma = np.sqrt(x.var(0) + 1e-5)
    xhat, g = (x - x.mean(0)) / sigma, dy * gain
    return (g - g.mean(0) - xhat * (g * xhat).mean(0)) / sigma, (dy * xhat).sum(0)


def pool(x):
    return x.reshape(len(x), -1, 2).max(-1)


def pool_backward(share):
    def backward(dy, x):
        mask = x.reshape(len(x), -1, 2) == pool(x)[..., None]
        return (share(mask.astype(float)) * dy[..., None]).reshape(x.shape)

    return backward


def first_of(mask):
    return np.eye(2)[mask.argmax(-1)]


def half(mask):
    return mask / mask.sum(-1, keepdims=True)


def tied():
    x = RNG.standard_normal((4, 12))
    x[1, 4:6] = 2.5
    return x


def at_zero():
    x = RNG.standard_normal((5, 6))
    x[2, 3] = 0
    return x


def near_zero():
    x = RNG.standard_normal((5, 6))
    x[1] = [1e-3, -1e-4, 1e-5, -3e-6, 2e-3, -1e-9]
    return x


def overlapping_max(x):
    """Windows of two that overlap."""
    return np.maximum(x[:-1], x[1:])


def overlapping_max_backward(dy, x):
    dx, left = np.zeros_like(x), x[:-1] >= x[1:]
    dx[:-1] += dy * left
    dx[1:] += dy * ~left
    return dx


class Keeping:
    """Forward keeps its input, and backward needs it: the usual class without parameters."""

    def forward(self, x):
        self.x = x
        return np.tanh(x)

    def backward(self, dy):
        self.dx = dy / np.cosh(self.x) ** 2
        return self.dx


class Dense:
    def __init__(self):
        self.W = W.copy()

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


def wrapped(layer):
    def forward(x, W):
        layer.W = W
        return layer.forward(x)

    def backward(dy, x, W):
        forward(x, W)
        dx = layer.backward(dy)
        return dx, layer.dW

    return check(forward, backward, X, layer.W)


def same_buffers():
    y, dx = np.empty_like(X), np.empty_like(X)
    return lambda x: np.multiply(x, 3, out=y), lambda dy, x: np.multiply(dy, 3, out=dx)


def logging():
    seen = []

    def forward(x):
        seen.append(x.copy())
        return x**2

    def backward(dy, x):
        seen.append(dy.copy())
        return 2 * dy * x

    return forward, backward


def settings_forward(x, settings):
    settings["calls"] = settings.get("calls", 0) + 1
    return x * settings["scale"] / settings["calls"], (x, settings)


@numba.njit("float64[:,:](float64[:,:])")
def compiled_square(x):
    return x * x


@numba.njit("float64[:,:](float64[:,:], float64[:,:])")
def compiled_square_backward(dy, x):
    return 2 * x * dy


@numba.njit("float64[::1, :](float64[::1, :])")
def compiled_for_columns(x):
    return np.asfortranarray(x * x)


@numba.njit("float64[:](float64[:], float64)")
def compiled_with_a_number(x, s):
    return x * s


def needs_to_write(x):
    if not x.flags.writeable:
        raise ValueError("buffer source array is read-only")
    return x * x


def dropout_with(mask):
    return lambda x: x * mask / 0.7, lambda dy: dy * mask / 0.7


def layer_norm(x, eps=1e-5):
    return (x - x.mean()) / np.sqrt(x.var() + eps)


def layer_norm_backward(dy, x, eps=1e-5):
    sigma = np.sqrt(x.var() + eps)
    xhat = (x - x.mean()) / sigma
    return (dy - dy.mean() - xhat * (dy * xhat).mean()) / sigma


HONEST = {
    # kinks
    "ReLU at zero": lambda: check(relu, relu_backward, at_zero()),
    "ReLU at zero, slope 1": lambda: check(relu, lambda dy, x: dy * (x >= 0), at_zero()),
    "ReLU at zero, slope 1/2": lambda: check(relu, lambda dy, x: dy * np.heaviside(x, 0.5), at_zero()),
    "ReLU of three numbers, one of them 0": lambda: check(relu, relu_backward, np.array([-1.0, 0, 2])),
    "ReLU near zero": lambda: check(relu, relu_backward, near_zero()),
    "dead ReLU": lambda: check(relu, relu_backward, -1 - np.abs(X)),
    "|x| at zero": lambda: check(np.abs, lambda dy, x: dy * np.sign(x), at_zero()),
    "ties: the first takes it": lambda: check(pool, pool_backward(first_of), tied()),
    "ties: shared": lambda: check(pool, pool_backward(half), tied()),
    "ties, by directions": lambda: check(pool, pool_backward(first_of), tied(), method="directions"),
    "ties between two arrays": lambda: check(
        np.maximum, lambda dy, x, z: (dy * (x >= z), dy * (z > x)), X, np.where(X[1, 1] == X, X, Z)
    ),
    "ties of windows that overlap": lambda: check(
        overlapping_max, overlapping_max_backward, np.r_[RNG.standard_normal(40), [2.0, 2, 2], Z.ravel()]
    ),
    "a hard threshold": lambda: check(
        lambda x: np.where(np.abs(x) > 0.5, x, 0),
        lambda dy, x: dy * (np.abs(x) > 0.5),
        np.linspace(-2, 2.01, 41),
    ),
    # scales
    "numbers of 1e-8": lambda: check(np.log, lambda dy, x: dy / x, 1e-8 * np.abs(X)),
    "ReLU of tiny numbers": lambda: check(relu, relu_backward, 1e-12 * X),
    "numbers of 1e8": lambda: check(square, square_backward, 1e8 * X),
    "numbers of 1e-8 and 1e8 together": lambda: check(
        lambda x, w: x * w, lambda dy, x, w: (dy * w, dy * x), 1e8 * X, 1e-8 * Z
    ),
    "numbers of all sizes": lambda: check(np.log, lambda dy, x: dy / x, np.array([1e-8, 1e-3, 1, 1e4, 1e8])),
    "numbers of 1e-150": lambda: check(lambda x: 3 * x, lambda dy, x: 3 * dy, 1e-150 * X),
    "a large mean": lambda: check(batch_norm, batch_norm_backward, X + 1000, B[:3]),
    "a gradient of zero": lambda: check(
        lambda x, b: batch_norm(x + b, B[:3]),
        lambda dy, x, b: ((dx := batch_norm_backward(dy, x + b, B[:3])[0]), dx.sum(0)),
        X,
        np.zeros(3),
    ),
    "an array without influence": lambda: check(lambda x, z: 2 * x, lambda dy, x, z: (2 * dy, 0 * z), X, Z),
    "saturated softmax": lambda: check(
        lambda x, t: cross_entropy(x, t)[0], cross_entropy_backward, 30 * X, LABELS
    ),
    "steep": lambda: check(lambda x: np.exp(9 * x), lambda dy, x: 9 * dy * np.exp(9 * x), X),
    # whole numbers and other constants
    "labels": lambda: check(cross_entropy, cross_entropy_backward, X, LABELS),
    "labels with None": lambda: check(
        cross_entropy, lambda dy, x, t: (cross_entropy_backward(dy, x, t), None), X, LABELS
    ),
    "a mask": lambda: check(lambda x, m: x * m, lambda dy, x, m: dy * m, X, X > 0.2),
    "an exponent": lambda: check(lambda x, k: x**k, lambda dy, x, k: dy * k * x ** (k - 1), X, 3),
    "a word": lambda: check(
        lambda x, how: x if how == "same" else 0 * x,
        lambda dy, x, how: dy if how == "same" else 0 * dy,
        X,
        "same",
    ),
    "whole numbers held as floats": lambda: check(square, square_backward, np.arange(1.0, 7).reshape(2, 3)),
    "an option of backward": lambda: check(
        lambda x, w: layer_norm(x) * w,
        lambda dy, x, eps=1e-5: (layer_norm_backward(dy * Z, x, eps), None),
        X,
        Z,
    ),
    # numbers, empty arrays, views
    "a number": lambda: check(lambda x, s: x * s, lambda dy, x, s: (dy * s, float((dy * x).sum())), X, 0.7),
    "a number as output": lambda: check(lambda x: float((x**2).sum()), lambda dy, x: 2 * dy * x, X),
    "an empty array": lambda: check(lambda x, e: 2 * x, lambda dy, x, e: (2 * dy, e), X, np.zeros((0, 3))),
    "views": lambda: check(lambda x: x.T[::-1], lambda dy, x: dy[::-1].T, X),
    "the argument itself": lambda: check(lambda x: x, lambda dy, x: dy, X),
    "broadcast": lambda: check(lambda b: np.broadcast_to(b, (7, 5)), lambda dy, b: dy.sum(0), B),
    "a broadcast gradient": lambda: check(lambda x: x.sum(), lambda dy, x: np.broadcast_to(dy, x.shape), X),
    "columns first": lambda: check(affine, affine_backward, np.asfortranarray(X), W.T.copy().T, B),
    "strided": lambda: check(square, square_backward, RNG.standard_normal((6, 8))[::2, 1::3]),
    "float32 arrays": lambda: check(affine, affine_backward, *(a.astype(np.float32) for a in (X, W, B))),
    "lists": lambda: check(square, square_backward, [[1.0, 2.0], [3.0, 4.5]]),
    "gradients as a list": lambda: check(affine, lambda *a: list(affine_backward(*a)), X, W, B),
    # compiled, or for arrays that can be written to
    "compiled with a signature": lambda: check(compiled_square, square_backward, X),
    "backward compiled with a signature": lambda: check(square, compiled_square_backward, X),
    "compiled for columns": lambda: check(compiled_for_columns, square_backward, np.asfortranarray(X)),
    "compiled for a number": lambda: check(
        compiled_with_a_number, lambda dy, x, s: (dy * s, (dy * x).sum()), X[0].copy(), 0.7
    ),
    "wants to be able to write": lambda: check(needs_to_write, square_backward, X),
    # caches, classes and buffers
    "(out, cache)": lambda: check(
        lambda x, w: (x @ w, (x, w)), lambda dout, cache: (dout @ cache[1].T, cache[0].T @ dout), X, W
    ),
    "(out, cache) of one array": lambda: check(
        lambda x: (np.maximum(0, x), x), lambda dout, cache: dout * (cache > 0), X
    ),
    "(out, mask)": lambda: check(lambda x: (relu(x), x > 0), lambda dout, mask: dout * mask, X),
    "(out, cache) with settings": lambda: check(
        settings_forward, lambda dout, cache: dout * cache[1]["scale"], X, {"scale": 3.0}
    ),
    "statistics handed on": lambda: check(
        lambda x: (x / x.std(), x.mean(), x.std()),
        lambda dy, x, mean, std: dy / std - (x - mean) * (dy * x).mean() / std**3,
        X,
    ),
    "a class that keeps its input": lambda: (lambda layer: check(layer.forward, layer.backward, X))(
        Keeping()
    ),
    "a class, wrapped": lambda: wrapped(Dense()),
    "a class with constant weights": lambda: (
        lambda layer: check(layer.forward, lambda dy, x: dy @ layer.W.T, X)
    )(Dense()),
    "buffers used again": lambda: check(*same_buffers(), X),
    "a log of all calls": lambda: check(*logging(), X),
    "dropout with a fixed mask": lambda: check(*dropout_with(RNG.random(X.shape) < 0.7), X),
    "partial": lambda: check(
        functools.partial(layer_norm, eps=1e-3), functools.partial(layer_norm_backward, eps=1e-3), X
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_nobody_is_accused_wrongly(name):
    report = HONEST[name]()
    assert report.verdict == "ok", report
    assert report.ok
