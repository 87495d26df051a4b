"""Gradients that are left somewhere: what is walked through, what fits what, what is said."""

import functools

import numpy as np
import pytest

from npdsconv.gradcheck import left_behind
from npdsconv.gradcheck.left_behind import Numbers, how_to_wrap, last_name, parameters_of, snapshot


class Holder:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("empty", "w")

    def __init__(self):
        self.w = np.ones(2)


def paths(**roots):
    return list(snapshot(roots))


def test_all_ways_to_numbers():
    w = np.ones(3)
    holder = Holder(w=w, rate=0.5, whole=3, name="w", deep={"a": [(w + 1, None)]}, same=w, ints=np.arange(3))
    assert paths(h=holder) == ["h.w", "h.rate", "h.deep['a'][0][0]"]
    assert paths(s=Slotted()) == ["s.w"]
    assert paths(f=functools.partial(len, w, key=w + 1)) == ["f", "f'"]
    assert paths(n=[[1.0, 2.0], [3.0, 4.0]], m=[[1.0], [2.0, 3.0]], i=[1, 2]) == ["n", "m[0]", "m[1]"]
    assert paths(n=np.random, g=np.random.default_rng(0), kind=Holder) == []


def test_what_a_function_holds():
    w, b = np.ones(3), np.zeros(2)

    def f(x, scale=w + 1, *, shift=w + 2):
        return x * w + GLOBAL

    def wrapped(x):
        return x

    wrapped.__wrapped__ = f
    assert paths(f=f) == ["w", "GLOBAL", "a default", "a default'"]
    assert paths(g=wrapped) == ["w", "GLOBAL", "a default", "a default'"]
    holder = Holder(b=b)
    holder.run = Holder.__init__.__get__(holder)
    assert paths(run=holder.run) == ["Holder.b"]


GLOBAL = np.full(4, 2.0)


def test_what_is_accounted_for_is_left_out():
    w, b = np.ones(3), np.zeros(2)
    assert list(snapshot({"h": Holder(w=w, b=b)}, [w])) == ["h.b"]


def test_the_walk_ends():
    deep = np.ones(1)
    for _ in range(left_behind.DEEPEST):
        deep = [deep]
    assert paths(d=deep) == ["d" + 6 * "[0]"]
    assert paths(d=[deep]) == []
    ring = []
    ring.append(ring)
    assert paths(r=ring) == []
    many = [{} for _ in range(left_behind.MOST_OBJECTS)]
    assert paths(h=[np.ones(1), *many, np.ones(2)]) == ["h[0]"]


def held(array):
    return Numbers(array, 0, array.size, array)


def numbers(count):
    return Numbers(None, 0, count, None)


@pytest.mark.parametrize(
    ("path", "gradient", "name", "parameter", "fits"),
    [
        ("a.g", held(np.ones((2, 3))), "a.W", held(np.ones((2, 3))), True),
        ("a.g", held(np.ones((2, 3))), "a.W", held(np.ones((3, 2))), False),
        ("a.dW", held(np.ones((2, 3))), "a.W", held(np.ones(6)), True),
        ("a.dw", numbers(6), "a.W", held(np.ones(6)), True),
        ("a.W", held(np.ones(6)), "a.dW", numbers(6), False),
        ("a.g", numbers(6), "a.W", held(np.ones(6)), False),
        ("W.d", numbers(6), "a.W", held(np.ones(6)), False),
        ("a.dW", held(np.ones(5)), "a.W", held(np.ones(6)), False),
        ("grads['W1']", held(np.ones(6)), "params['W1']", numbers(6), True),
    ],
)
def test_what_may_be_the_gradient_of_what(path, gradient, name, parameter, fits):
    assert left_behind._fits(path, gradient, name, parameter) is fits


def test_whether_forward_depends_on_an_array():
    w, seen = np.array([0.0, -1.0, 10.0]), []

    def forward():
        seen.append(w.copy())
        return seen[0] if len(seen) < 2 else w[:1] * 3

    assert left_behind._matters(forward, w)
    np.testing.assert_allclose(seen[1] - seen[0], [0.37, 0.74, 0.37 * 11])
    np.testing.assert_array_equal(w, [0, -1, 10])
    assert not left_behind._matters(lambda: np.array([1.0, np.nan]), w)
    assert left_behind._matters(lambda: w[1:], None)
    w.flags.writeable = False
    assert left_behind._matters(lambda: np.ones(1), w)


def test_a_forward_that_refuses_depends_on_it_and_the_array_is_put_back():
    w = np.array([1.0, 2.0])

    def forward():
        if w[0] != 1:
            raise ValueError
        return np.ones(1)

    assert left_behind._matters(forward, w)
    np.testing.assert_array_equal(w, [1, 2])


def test_gradients_are_found_by_what_changes_when():
    """Kept for backward: changes when forward runs somewhere else. A parameter: never. A gradient: after backward."""
    w, kept, gradient, unused = np.ones(3), np.zeros(3), np.zeros(3), np.zeros(0)
    layer = Holder(w=w, kept=kept, gradient=gradient, unused=unused)

    def moment():
        return snapshot({"layer": layer})

    kept += 1
    elsewhere = moment()
    kept += 1
    here = moment()
    gradient += 5
    kept += 1
    layer.unused = np.zeros(0)
    layer.new = np.ones(3)
    after = moment()

    def found(forward):
        return left_behind.unchecked_gradients(forward, elsewhere, here, after)

    assert found(lambda: w * 2) == [("layer.gradient", "layer.w"), ("layer.new", "layer.w")]
    assert found(lambda: kept * 2) == []


def test_what_is_said_to_wrap():
    assert last_name("params['W1']") == last_name("a.b.W1") == last_name("W1") == "W1"
    assert how_to_wrap([("W", "dW"), ("b", "db")]).splitlines() == [
        "wrap it in two functions to which its parameters are arguments, such as W, b:",
        "    def forward(x, W, b): layer.W = W; layer.b = b; return layer.forward(x)",
        "    def backward(dy, x, W, b): forward(x, W, b); dx = layer.backward(dy); return dx, layer.dW, layer.db",
        "    check(forward, backward, x, layer.W, layer.b)",
    ]
    assert how_to_wrap([]) == how_to_wrap([("W", "dW")])
    assert parameters_of(Holder(W=np.ones(2), dW=np.ones(2), b=np.ones(1))) == [("W", "dW")]
    assert parameters_of(Holder(k=np.ones(2), m=np.ones(2), n=np.ones(1))) == [("k", "dk"), ("m", "dm")]
