"""Random geometries for the ops with tiers, and the one comparison that every tier has to pass.

A geometry is the shapes and options of one call. A case adds the numbers. `assert_pair_agrees` compares a
candidate (a forward and a backward) with the naive tier in float64; `test_tiers.py` gives it the tiers of the
package, `test_the_tests.py` gives it wrong ones and requires that it fails.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from helpers import assert_close

import npdsconv
from npdsconv.ops import avg_pooling, depthwise, max_pooling, pointwise, standard
from npdsconv.shapes import Array

Shape = tuple[int, ...]

IMPLS = {
    "conv2d": standard.IMPLS,
    "depthwise_conv2d": depthwise.IMPLS,
    "pointwise_conv2d": pointwise.IMPLS,
    "max_pool2d": max_pooling.IMPLS,
    "avg_pool2d": avg_pooling.IMPLS,
}
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "pointwise_conv2d")
OPS = tuple(IMPLS)
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}  # relative to the largest number of the array
LAYOUTS = ("C", "Fortran", "channels-last", "reversed", "sliced", "unaligned")


class Geometry(NamedTuple):
    """The shapes and options of one call; its text is enough to repeat the call."""

    op: str
    x: Shape
    w: Shape | None  # None for pooling
    options: dict[str, Any]


class Case(NamedTuple):
    """A geometry with numbers, representable in float32, and what the naive tier in float64 makes of them."""

    geometry: Geometry
    arrays: dict[str, Array]  # x, w, b, or x alone
    dy: Array
    expected: dict[str, Array]  # y, dx, dw, db, or y and dx


class Pair(NamedTuple):
    """A forward(x, w, b, **options) and a backward(dy, x, w, **options); pooling has neither w nor b."""

    name: str
    forward: Callable[..., Array]
    backward: Callable[..., Any]


def tier(op: str, impl: str) -> Pair:
    """The public pair of `op`, bound to one tier."""
    functions = getattr(npdsconv, op), getattr(npdsconv, f"{op}_backward")
    return Pair(impl, *(partial(function, impl=impl) for function in functions))


# ---- geometries ------------------------------------------------------------------------------------


_WINDOW: dict[str, Any] = {"stride": (2, 1), "padding": ((2, 0), (1, 2)), "dilation": (1, 2)}
_POOLED: dict[str, Any] = {**_WINDOW, "kernel_size": (3, 2), "padding": ((0, 1), (1, 0))}

TYPICAL = {
    "conv2d": Geometry("conv2d", (2, 4, 7, 6), (6, 2, 3, 4), {**_WINDOW, "groups": 2}),
    "depthwise_conv2d": Geometry("depthwise_conv2d", (3, 2, 7, 8), (2, 3, 5, 4), _WINDOW),
    "pointwise_conv2d": Geometry("pointwise_conv2d", (2, 3, 4, 6), (5, 3), {}),
    "max_pool2d": Geometry("max_pool2d", (2, 3, 7, 6), None, _POOLED),
    "avg_pool2d": Geometry("avg_pool2d", (2, 3, 7, 6), None, {**_POOLED, "count_include_pad": False}),
}
"""One of each op with everything in it; no two sizes of an array are equal."""


def geometries(op: str, first: int, count: int) -> Iterator[Geometry]:
    """The random geometries number `first`, `first + 1`, ... of `op`: always the same ones."""
    return (draw(op, number) for number in range(first, first + count))


def draw(op: str, number: int) -> Geometry:
    rng = np.random.default_rng([*op.encode(), number])
    n = _pick(rng, 0, 1, 1, 2, 2, 3, 5)
    if op == "pointwise_conv2d":
        c, o = _pick(rng, 1, 2, 4, 6), _pick(rng, 1, 3, 5, 7)
        return Geometry(op, (n, c, _between(rng, 1, 5), _between(rng, 6, 9)), (o, c), {})
    kernel = (3, 3) if rng.random() < 0.3 else (_between(rng, 1, 4), _between(rng, 1, 4))
    if kernel[0] == kernel[1] != 3:
        kernel = kernel[0], kernel[1] + 1
    options, size = _window(rng, kernel, op in ("max_pool2d", "avg_pool2d"))
    if op == "depthwise_conv2d":
        c, m = _pick(rng, 1, 2, 3, 4), _pick(rng, 1, 1, 2, 3)
        return Geometry(op, (n, c, *size), (c, m, *kernel), options)
    if op == "conv2d":
        groups = _pick(rng, 1, 1, 2, 3)
        inputs, outputs = _pick(rng, 1, 2, 3), _pick(rng, 1, 2, 3)
        if inputs == outputs:
            outputs += 1
        options["groups"] = groups
        return Geometry(op, (n, groups * inputs, *size), (groups * outputs, inputs, *kernel), options)
    if op == "avg_pool2d":
        options["count_include_pad"] = bool(rng.random() < 0.5)
    return Geometry(op, (n, _between(rng, 1, 4), *size), None, {"kernel_size": kernel, **options})


def _window(rng: np.random.Generator, kernel: Shape, pooling: bool) -> tuple[dict[str, Any], Shape]:
    """Stride, padding and dilation in any of their forms, and an image with at least one output position."""
    stride = _between(rng, 1, 3), _between(rng, 1, 3)
    dilation = _pick(rng, 1, 1, 2, 3), _pick(rng, 1, 1, 2, 3)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    # A pooling window must meet the image, so pooling gets less padding.
    most = [min(3, (k - 1) // 2 * d) if pooling else 3 for k, d in zip(kernel, dilation, strict=True)]
    (top, bottom), (left, right) = ((_between(rng, 0, p), _between(rng, 0, p)) for p in most)
    padding, sums = {
        "int": (min(top, left), [2 * min(top, left)] * 2),
        "pair": ((top, left), [2 * top, 2 * left]),
        "sides": (((top, bottom), (left, right)), [top + bottom, left + right]),
        "valid": ("valid", [0, 0]),
        "same": ("same", [0, 0] if pooling else span),
    }[_pick(rng, "int", "pair", "sides", "sides", "valid", "same")]
    least = [max(1, needed - given) for needed, given in zip(span, sums, strict=True)]
    h, w = (size + _pick(rng, 0, 0, 1, 2, 3, 4, 5) for size in least)
    if h == w and rng.random() < 0.8:
        w += 1
    options = {"stride": _short(rng, stride), "padding": padding, "dilation": _short(rng, dilation)}
    return options, (h, w)


def _short(rng: np.random.Generator, pair: Shape) -> int | Shape:
    """Now and then a pair becomes one int."""
    return pair[0] if pair[0] == pair[1] and rng.random() < 0.5 else pair


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


# ---- numbers -----------------------------------------------------------------------------------------------


def case_of(geometry: Geometry, dy: Callable[[Shape], Array] | None = None) -> Case:
    """Random numbers for a geometry; pooling gets small integers, so that windows have several largest.

    The cotangent is random, unless a function makes it from the shape of y.
    """
    rng = np.random.default_rng(np.frombuffer(repr(geometry).encode(), np.uint8))
    if geometry.w is None:
        arrays = {"x": rng.integers(-3, 3, geometry.x).astype(np.float64)}
    else:
        w, outputs = geometry.w, geometry.w[0] * (geometry.w[1] if geometry.op == "depthwise_conv2d" else 1)
        shapes = {"x": geometry.x, "w": w, "b": (outputs,)}
        arrays = {name: _normal(rng, shape) for name, shape in shapes.items()}
    naive = tier(geometry.op, "naive")
    y = naive.forward(**arrays, **geometry.options)
    cotangent = _normal(rng, y.shape) if dy is None else dy(y.shape)
    case = Case(geometry, arrays, cotangent, {})
    return case._replace(expected={"y": y, **gradients(naive.backward, case)})


def _normal(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal(shape, np.float32).astype(np.float64)


def laid_out(array: Array, layout: str) -> Array:
    """The same numbers lying otherwise in memory, read-only."""
    if layout == "Fortran":
        result = np.asfortranarray(array)
    elif layout == "channels-last" and array.ndim == 4:
        result = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif layout == "reversed":
        backwards = (slice(None, None, -1),) * array.ndim
        result = array[backwards].copy()[backwards]
    elif layout == "sliced":
        wide = np.full(tuple(2 * n + 1 for n in array.shape), np.nan, array.dtype)
        result = wide[tuple(slice(1, None, 2) for _ in array.shape)]
        result[...] = array
    elif layout == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)
        result = raw[1:].view(array.dtype).reshape(array.shape)
        result[...] = array
    else:
        result = array.copy()
    result = result.view()
    result.flags.writeable = False
    return result


# ---- the comparison ----------------------------------------------------------------------------------------


def gradients(backward: Callable[..., Any], case: Case) -> dict[str, Array]:
    """dx, dw and db by name, as far as the op has them."""
    arrays = {name: array for name, array in case.arrays.items() if name != "b"}
    found = backward(case.dy, **arrays, **case.geometry.options)
    return dict(zip(("dx", "dw", "db"), found if isinstance(found, tuple) else (found,), strict=False))


def recast(case: Case, dtype: type, rng: np.random.Generator) -> Case:
    """The same numbers in `dtype`, read-only, each array in a memory layout drawn at random."""

    def prepared(array: Array) -> Array:
        return laid_out(array.astype(dtype), _pick(rng, *LAYOUTS))

    arrays = {name: prepared(array) for name, array in case.arrays.items()}
    return case._replace(arrays=arrays, dy=prepared(case.dy))


def assert_pair_agrees(pair: Pair, case: Case, dtype: type = np.float64) -> None:
    """The candidate finds the expected numbers, in the dtype it was given and from any memory layout."""
    given = recast(case, dtype, np.random.default_rng(len(repr(case.geometry))))
    y = pair.forward(**given.arrays, **case.geometry.options)
    found = {"y": y, **gradients(pair.backward, given)}
    assert found.keys() == case.expected.keys(), f"{pair.name} found {list(found)}"
    for name, array in found.items():
        about = f"{pair.name}: {name} in {np.dtype(dtype)} for {case.geometry}"
        assert array.dtype == dtype, f"{about}: dtype {array.dtype}"
        assert_close(array, case.expected[name], TOLERANCE[dtype], about)
