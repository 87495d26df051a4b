"""What the checker cannot judge: it is never called ok, and the report says why. Each case makes a report."""

import json

import numpy as np
import pytest
from helpers import relu

from npdsconv.gradcheck import check

RNG = np.random.default_rng(79)
X = RNG.standard_normal((4, 3))
W, B = RNG.standard_normal((3, 5)), RNG.standard_normal(5)


def in_dtype(dtype):
    return lambda x, w: (x.astype(dtype) @ w.astype(dtype)).astype(np.float64)


def twice(x):
    return 2 * x


class Dense:
    """Keeps its input, and leaves its gradients on itself."""

    def __init__(self, factor=1.0):
        self.W, self.b = W.copy(), B.copy()
        self.factor = factor

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.factor * self.x.T @ dy, dy.sum(0)
        return dy @ self.W.T


class Network:
    """Two of them in a list, with a dictionary of gradients."""

    def __init__(self):
        self.params = {"W1": W.copy(), "W2": RNG.standard_normal((5, 2))}
        self.grads = {}

    def forward(self, x):
        self.kept = [x, x @ self.params["W1"]]
        return self.kept[1] @ self.params["W2"]

    def backward(self, dy):
        x, hidden = self.kept
        self.grads["W2"] = -hidden.T @ dy
        dy = dy @ self.params["W2"].T
        self.grads["W1"] = x.T @ dy
        return dy @ self.params["W1"].T


class Undeclared:
    """A layer by the contract, but for one weight that it does not tell about."""

    def __init__(self):
        self.w = np.arange(1.0, 4)

    def named_parameters(self):
        return []

    named_buffers = named_parameters

    def astype(self, dtype):
        return self

    def forward(self, x, *, train):
        def backward(dy):
            self.dw = 7 * (dy * x).sum(0)
            return dy * self.w

        return x * self.w, backward


def returns_what_it_kept():
    kept = []

    def forward(x):
        kept.append(x**2)
        return kept[0]

    return forward, lambda dy, x: 0 * dy


def check_half(layer):
    def forward(x, b):
        layer.b = b
        return layer.forward(x)

    def backward(dy, x, b):
        forward(x, b)
        return layer.backward(dy), layer.db

    return check(forward, backward, X, layer.b)


UNSEEN = {
    "right, but forward is float32": (
        lambda: check(in_dtype(np.float32), lambda dy, x, w: (dy @ w.T, x.T @ dy), X, W),
        "float32",
    ),
    "right, but forward is float16": (
        lambda: check(in_dtype(np.float16), lambda dy, x, w: (dy @ w.T, x.T @ dy), X, W),
        "float16",
    ),
    "right by directions, but forward is float32": (
        lambda: check(in_dtype(np.float32), lambda dy, x, w: (dy @ w.T, x.T @ dy), X, W, method="directions"),
        "float32",
    ),
    "forward returns float32": (
        lambda: check(lambda x: x.astype(np.float32), lambda dy, x: dy, X),
        "float32",
    ),
    "forward rounds": (lambda: check(lambda x: np.round(x, 1), lambda dy, x: 0 * dy, X), "moves in jumps"),
    "forward truncates": (
        lambda: check(lambda x: (10 * x).astype(int).astype(float), lambda dy, x: 0 * dy, X),
        "whole numbers",
    ),
    "one array of whole numbers": (
        lambda: check(lambda x, w: x @ w, lambda dy, x, w: (0 * x, x.T @ dy), np.arange(12).reshape(4, 3), W),
        "give x.astype",
    ),
    "a layer's weights on itself": (
        lambda: (
            check(Dense(99).forward, Dense(99).backward, X)
            if False
            else (lambda layer: check(layer.forward, layer.backward, X))(Dense(99))
        ),
        "wrap it",
    ),
    "a layer's weights, through lambdas": (
        lambda: (lambda layer: check(lambda x: layer.forward(x), lambda dy, x: layer.backward(dy), X))(
            Dense(99)
        ),
        "layer.dW",
    ),
    "a dictionary of gradients": (
        lambda: (lambda net: check(net.forward, net.backward, X))(Network()),
        "grads\\['W2'\\]",
    ),
    "one weight of two wrapped": (
        lambda: check_half(Dense(99)),
        "layer.dW",
    ),
    "a weight that a layer does not declare": (lambda: check(Undeclared(), X), "Undeclared.dw"),
    "forward returns what it kept": (lambda: check(*returns_what_it_kept(), X), "something it kept"),
    "dropout without a fixed mask": (
        lambda: check(lambda x: x * (RNG.random(x.shape) > 0.5), lambda dy, x: dy, X),
        "not the same twice",
    ),
    "the complex step drops a branch": (
        lambda: check(lambda x: x + x.real**2, lambda dy, x: dy, X, method="complex"),
        "not analytic",
    ),
    "ReLU where all is zero": (lambda: check(relu, lambda dy, x: 0 * dy, np.zeros((3, 4))), "kink"),
    "nothing differentiated": (lambda: check(twice, lambda dy, x: None, X), "nothing was compared"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_cannot_be_seen_is_not_ok_and_the_report_says_why(name):
    make, reason = UNSEEN[name]
    report = make()
    assert report.verdict == "cannot say", report
    with pytest.raises(AssertionError, match=reason):
        report.raise_if_failed()


def test_the_verdict_is_printed_and_stored():
    def forward(x):
        return x.astype(np.float32).astype(np.float64) ** 2

    unsure, wrong = (check(forward, lambda dy, x, f=f: f * dy * x, X) for f in (2, 3))
    assert (unsure.verdict, wrong.verdict) == ("cannot say", "FAILED")
    assert not unsure.ok
    assert not wrong.ok
    assert str(unsure).startswith("forward: cannot say, largest error ")
    assert unsure.table().splitlines()[1].startswith("cannot say  x ")
    for report in (unsure, wrong):
        assert "moves in jumps" in report.rows[0].reason
        assert json.loads(json.dumps(report.as_dict()))["rows"][0]["verdict"] == report.verdict
        np.testing.assert_allclose(
            report.rows[0].numeric, 2 * report.rows[0].analytic / (2, 3)[report is wrong], rtol=1e-3
        )
