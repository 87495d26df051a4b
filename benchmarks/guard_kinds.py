"""For guard_pages.py: every public function of ops, and arguments of sizes around those that kernels treat apart."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import npdsconv as nd
from npdsconv.ops.activations import FUNCTIONS
from npdsconv.ops.fused import block, inference, normed_conv
from npdsconv.ops.pointwise import activated_pointwise_conv2d
from npdsconv.ops.standard import activated_conv2d
from npdsconv.shapes import Array

Arrays, Options = dict[str, Any], dict[str, Any]
Generator = np.random.Generator
CHANNELS = (
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    48,
    65,
)  # vectors have 16 lanes, panels 8 to 32 columns
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 17)  # seven pixels at a time, tiles of 4 to 14 rows
BATCHES = (0, 1, 1, 2, 3, 4, 5, 9)  # four images share a copy or a sum


class Kind(NamedTuple):
    """A public function: how to make arguments for it, how to call it, and the same with NumPy."""

    make: Callable[[Generator, np.dtype], tuple[Arrays, Options]]
    call: Callable[..., Any]  # (arrays, options, impl)
    numpy: Callable[..., Any] | None = None  # (arrays, options), where there are no tiers
    kinks: bool = False  # a sum in another order may fall on the other side of one: compared in float64 alone


# ---- arguments that fit ------------------------------------------------------------------------------------------


def pick(rng: Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def normal(rng: Generator, dtype: np.dtype, *shape: int) -> Array:
    """Normal numbers; images as often as not with their channels last in memory."""
    array = rng.standard_normal(shape).astype(dtype)
    if len(shape) == 4 and rng.random() < 0.5:
        array = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array


def image(rng: Generator, dtype: np.dtype, channels: int, least: tuple[int, int] = (1, 1)) -> Array:
    size = [int(max(low, pick(rng, *SIZES))) for low in least]
    return normal(rng, dtype, pick(rng, *BATCHES), channels, *size)


def window(rng: Generator, kernel: tuple[int, int]) -> tuple[Options, tuple[int, int]]:
    """Settings, and the least image for them."""
    stride, dilation = ((pick(rng, 1, 1, 2, 3), pick(rng, 1, 1, 2, 3)) for _ in range(2))
    sides = tuple(tuple(int(s) for s in rng.integers(0, 3, 2)) for _ in range(2))
    padding, padded = pick(rng, ("same", (99, 99)), (sides, (sum(sides[0]), sum(sides[1]))), (0, (0, 0)))
    least = tuple(max(1, d * (k - 1) + 1 - p) for d, k, p in zip(dilation, kernel, padded, strict=True))
    return {"stride": stride, "padding": padding, "dilation": dilation}, (least[0], least[1])


def kernel(rng: Generator) -> tuple[int, int]:
    return pick(rng, (3, 3), (3, 3), (5, 5), (1, 1), (1, 1), (2, 3), (3, 1), (1, 4), (7, 7))


def conv2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    k, groups = kernel(rng), pick(rng, 1, 1, 1, 2, 3)
    how, least = window(rng, k)
    inputs, outputs = pick(rng, 1, 2, 3, 8, 17), pick(rng, 1, 2, 5, 16, 33)
    arrays = {
        "x": image(rng, dtype, groups * inputs, least),
        "w": normal(rng, dtype, groups * outputs, inputs, *k),
    }
    return {**arrays, "b": bias(rng, dtype, groups * outputs)}, {**how, "groups": groups}


def conv_transpose2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    k, groups = kernel(rng), pick(rng, 1, 1, 2)
    how, _ = window(rng, k)
    inputs, outputs = pick(rng, 1, 2, 3, 17), pick(rng, 1, 2, 16)
    x = image(rng, dtype, groups * inputs, (3, 3))
    arrays = {"x": x, "w": normal(rng, dtype, groups * inputs, outputs, *k)}
    how["padding"] = pick(rng, 0, "same")
    return {**arrays, "b": bias(rng, dtype, groups * outputs)}, {**how, "groups": groups}


def depthwise_conv2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    k, m, channels = kernel(rng), pick(rng, 1, 1, 1, 2, 3), pick(rng, *CHANNELS)
    how, least = window(rng, k)
    arrays = {"x": image(rng, dtype, channels, least), "w": normal(rng, dtype, channels, m, *k)}
    return {**arrays, "b": bias(rng, dtype, channels * m)}, how


def pointwise_conv2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    c, o = pick(rng, *CHANNELS), pick(rng, *CHANNELS)
    return {"x": image(rng, dtype, c), "w": normal(rng, dtype, o, c), "b": bias(rng, dtype, o)}, {}


def linear(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    n, c, o = (pick(rng, *CHANNELS) for _ in range(3))
    return {"x": normal(rng, dtype, n, c), "w": normal(rng, dtype, o, c), "b": bias(rng, dtype, o)}, {}


def bias(rng: Generator, dtype: np.dtype, count: int) -> Array | None:
    return normal(rng, dtype, count) if rng.random() < 0.7 else None


def pool(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    k = pick(rng, (2, 2), (3, 3), (3, 2), (1, 1), (5, 4))
    how, least = window(rng, k)
    how["padding"] = tuple(tuple(int(s) for s in rng.integers(0, (n + 1) // 2, 2)) for n in k)
    least = tuple(max(n, d * (size - 1) + 1) for n, d, size in zip(least, how["dilation"], k, strict=True))
    how |= {"kernel_size": k, "ceil_mode": bool(rng.random() < 0.3)}
    return {"x": image(rng, dtype, pick(rng, *CHANNELS), least)}, how


def images(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    return {"x": image(rng, dtype, pick(rng, *CHANNELS))}, {}


def upsample2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    return images(rng, dtype)[0], {"scale": pick(rng, 1, 2, (1, 3), (3, 2))}


def scale_channels(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    x = image(rng, dtype, pick(rng, *CHANNELS))
    return {"x": x, "s": normal(rng, dtype, *x.shape[:2], 1, 1)}, {}


def batch_norm2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    x = image(rng, dtype, pick(rng, *CHANNELS), (2, 2))
    arrays = {"x": x, **statistics(rng, dtype, x.shape[1], "weight", "bias", "mean", "var")}
    if rng.random() < 0.5 and len(x):
        arrays["mean"] = arrays["var"] = None
    return arrays, {"eps": pick(rng, 1e-5, 1e-3), "activation": pick(rng, None, "relu", "relu6")}


def statistics(rng: Generator, dtype: np.dtype, count: int, *names: str) -> Arrays:
    """Arrays (count,) of these names, all positive."""
    return {name: (0.5 + rng.random(count)).astype(dtype) for name in names}


def separable_block(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    how, least = window(rng, (3, 3))
    how["stride"] = pick(rng, 1, 2)
    how["dilation"] = 1 if how["stride"] == 2 else how["dilation"]
    c, o = pick(rng, *CHANNELS), pick(rng, *CHANNELS)
    x = image(rng, dtype, c, (max(5, least[0]), max(5, least[1])))
    x = x if len(x) > 1 else normal(rng, dtype, 2, *x.shape[1:])
    arrays = {
        "x": x,
        "depthwise": normal(rng, dtype, c, 1, 3, 3),
        **statistics(rng, dtype, c, "weight1", "bias1"),
    }
    arrays |= {"pointwise": normal(rng, dtype, o, c), **statistics(rng, dtype, o, "weight2", "bias2")}
    known = {**statistics(rng, dtype, c, "mean1", "var1"), **statistics(rng, dtype, o, "mean2", "var2")}
    arrays |= known if rng.random() < 0.5 else dict.fromkeys(known)
    activations = tuple(pick(rng, None, "relu", "relu6") for _ in range(2))
    return arrays, {**how, "activations": activations, "eps": (1e-3, 1e-5)}


def normed_conv2d(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    arrays, how = conv2d(rng, dtype)
    arrays["x"] = arrays["x"] if len(arrays["x"]) else normal(rng, dtype, 3, *arrays["x"].shape[1:])
    arrays.pop("b")
    arrays |= statistics(rng, dtype, len(arrays["w"]), "weight", "bias", "mean", "var")
    return arrays, {**how, "eps": 1e-3, "activation": pick(rng, None, "relu", "relu6")}


# ---- the kinds ---------------------------------------------------------------------------------------------------


def plain(name: str, make: Callable[..., Any], *, reads: tuple[str, ...] = ("x",)) -> dict[str, Kind]:
    """An op whose backward takes dy and those arrays that it `reads`."""
    forward, backward = getattr(nd, name), getattr(nd, f"{name}_backward")

    def with_dy(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
        arrays, how = make(rng, dtype)
        y = forward(**arrays, **how, impl="im2col")
        return {"dy": normal(rng, dtype, *y.shape), **{name: arrays[name] for name in reads}}, how

    return {
        name: Kind(make, lambda arrays, how, impl: forward(**arrays, **how, impl=impl)),
        f"{name}_backward": Kind(with_dy, lambda arrays, how, impl: backward(**arrays, **how, impl=impl)),
    }


def norm_backward(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    arrays, how = batch_norm2d(rng, dtype)
    given = arrays["mean"] is not None
    y, mean, var = nd.batch_norm2d(**arrays, **how, impl="im2col")
    return {**arrays, "dy": normal(rng, dtype, *y.shape), "mean": mean, "var": var}, {**how, "given": given}


def saving(
    make: Callable[..., Any], forward: Callable[..., Any], weights: tuple[str, ...]
) -> Callable[..., Any]:
    """Arguments of a backward that takes what forward saved."""

    def made(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
        arrays, how = make(rng, dtype)
        y, saved = forward(*arrays.values(), **how, impl="im2col")
        fields = {f"saved.{name}": array for name, array in saved._asdict().items()}
        own = {name: arrays[name] for name in ("x", *weights)}
        given = arrays[list(arrays)[-1]] is not None
        how["given"] = (given, given) if forward is nd.separable_block else given
        return {"dy": normal(rng, dtype, *y.shape), **own, **fields}, how

    return made


def with_saved(backward: Callable[..., Any], kind: Any, weights: tuple[str, ...]) -> Callable[..., Any]:
    def call(arrays: Arrays, how: Options, impl: str) -> Any:
        saved = kind(*(arrays[f"saved.{name}"] for name in kind._fields))
        return backward(
            arrays["dy"], arrays["x"], saved, *(arrays[name] for name in weights), **how, impl=impl
        )

    return call


def normed_block(arrays: Arrays, how: Options, impl: str) -> Any:
    values = list(arrays.values())
    return inference.normed_block(
        values[0], block.Weights(*values[1:7]), block.Statistics(*values[7:]), **how
    )


def given_statistics(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    while True:
        arrays, how = separable_block(rng, dtype)
        if arrays["var2"] is not None:
            return arrays, how


def plain_block(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
    arrays, how = separable_block(rng, dtype)
    how.pop("eps")
    return {name: arrays[name] for name in ("x", "depthwise", "bias1", "pointwise", "bias2")}, how


def plain_block_in_numpy(arrays: Arrays, how: Options) -> Array:
    x, depthwise, bias1, pointwise, bias2 = arrays.values()
    first, second = how["activations"]
    steps = {name: value for name, value in how.items() if name != "activations"}
    d = act(first, nd.depthwise_conv2d(x, depthwise, bias1, **steps, impl="im2col"))
    return act(second, nd.pointwise_conv2d(d, pointwise, bias2, impl="im2col"))


def act(name: str | None, x: Array) -> Array:
    return x if name is None else FUNCTIONS[name].forward(x, impl="im2col")


def activated(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(rng: Generator, dtype: np.dtype) -> tuple[Arrays, Options]:
        arrays, how = make(rng, dtype)
        return arrays, {**how, "activation": pick(rng, "relu", "relu6")}

    return made


def activated_in_numpy(forward: Callable[..., Any]) -> Callable[..., Any]:
    def call(arrays: Arrays, how: Options) -> Array:
        rest = {name: value for name, value in how.items() if name != "activation"}
        return act(how["activation"], forward(**arrays, **rest, impl="im2col"))

    return call


def _kinds() -> dict[str, Kind]:
    w = ("x", "w")
    kinds: dict[str, Kind] = {}
    for name in ("conv2d", "conv_transpose2d", "depthwise_conv2d", "pointwise_conv2d", "linear"):
        kinds |= plain(name, globals()[name], reads=w)
    for name in ("max_pool2d", "avg_pool2d"):
        kinds |= plain(name, pool)
    kinds |= (
        plain("global_avg_pool2d", images)
        | plain("global_max_pool2d", images)
        | plain("upsample2d", upsample2d)
    )
    for name in FUNCTIONS:
        kinds |= plain(name, images)
    kinds |= plain("scale_channels", scale_channels, reads=("x", "s"))
    kinds["batch_norm2d"] = Kind(batch_norm2d, lambda a, how, impl: nd.batch_norm2d(**a, **how, impl=impl))
    kinds["batch_norm2d_backward"] = Kind(
        norm_backward, lambda a, how, impl: nd.batch_norm2d_backward(**a, **how, impl=impl)
    )
    fused = (
        ("separable_block", separable_block, nd.separable_block, nd.separable_block_backward, block),
        (
            "normed_conv2d",
            normed_conv2d,
            normed_conv.normed_conv2d,
            normed_conv.normed_conv2d_backward,
            normed_conv,
        ),
    )
    for name, make, forward, backward, home in fused:
        names = home.Weights._fields
        kinds[name] = Kind(make, lambda a, how, impl, f=forward: f(*a.values(), **how, impl=impl))
        call = with_saved(backward, home.Saved, names)
        kinds[f"{name}_backward"] = Kind(saving(make, forward, names), call, kinks=True)
    kinds["normed_block"] = Kind(
        given_statistics,
        normed_block,
        lambda a, how: nd.separable_block(*a.values(), **how, impl="im2col")[0],
    )
    kinds["plain_block"] = Kind(
        plain_block, lambda a, how, impl: inference.plain_block(*a.values(), **how), plain_block_in_numpy
    )
    for name, make, own, other in (
        ("activated_conv2d", conv2d, activated_conv2d, nd.conv2d),
        ("activated_pointwise_conv2d", pointwise_conv2d, activated_pointwise_conv2d, nd.pointwise_conv2d),
    ):
        call = lambda a, how, impl, f=own: f(**a, **how)  # noqa: E731
        kinds[name] = Kind(activated(make), call, activated_in_numpy(other))
    return kinds


KINDS = _kinds()
