"""npdsconv's side: a call for each workload. The variant is a tier, or "composed".

"composed" is the fast tier with every separable block as six ops one after the other, each with its own pass over
memory (``fused=False``). For inference batch norm is folded into the convolutions in every tier.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import npdsconv
from npdsconv import models, optim, train
from npdsconv.bench import workloads
from npdsconv.bench.workloads import Workload
from npdsconv.data import Split
from npdsconv.layers import DepthwiseSeparableConv2d, Layer, Sequential, set_impl
from npdsconv.layout import empty_nchw
from npdsconv.shapes import Array

__all__ = ["build", "start"]


def start(threads: int) -> dict[str, str]:
    """Set the threads; the versions that matter."""
    npdsconv.set_num_threads(threads)
    return {"npdsconv": npdsconv.__version__}


def build(workload: Workload, variant: str) -> Callable[[], Any]:
    """A function without arguments that does the workload once."""
    return {"op": _op, "train": _train, "epoch": _epoch, "inference": _inference}[workload.kind](
        workload.settings, variant
    )


def channels_last(x: Array) -> Array:
    """The same numbers in the layout that the fast tier keeps."""
    y = empty_nchw(x.shape, x.dtype)
    y[...] = x
    return y


# ---- ops ------------------------------------------------------------------------------------------------------


def _op(settings: dict[str, Any], impl: str) -> Callable[[], Any]:
    a = workloads.arrays(settings)
    x, w, dy = channels_last(a["x"]), a["w"], channels_last(a["dy"])
    name, part = settings["op"], settings["part"]
    if name == "block":
        return _block(settings, x, dy, impl)
    impl = _tier(impl)
    if name == "separable":
        return _separable(settings, x, w, a["mix"], dy, impl)
    forward, backward = _pair(settings, w, impl)
    if part == "both":
        return lambda: (forward(x), *backward(dy, x))
    if part == "forward":
        return lambda: forward(x)
    return lambda: backward(dy, x, needs=(part[1],))


def _choose(model: Layer, impl: str) -> None:
    set_impl(model, _tier(impl))
    for layer in model.modules():
        if isinstance(layer, DepthwiseSeparableConv2d):
            layer.fused = impl != "composed"


def _tier(impl: str) -> str:
    return "numba" if impl == "composed" else impl


def _pair(settings: dict[str, Any], w: Array, impl: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name, size = settings["op"], settings["kernel"]
    window = {"stride": settings["stride"], "padding": settings["padding"], "impl": impl}
    convolutions: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "depthwise": (npdsconv.depthwise_conv2d, npdsconv.depthwise_conv2d_backward, window),
        "standard": (npdsconv.conv2d, npdsconv.conv2d_backward, window),
        "pointwise": (npdsconv.pointwise_conv2d, npdsconv.pointwise_conv2d_backward, {"impl": impl}),
    }
    if name in convolutions:
        f, g, how = convolutions[name]
        return (
            lambda x: f(x, w, **how),
            lambda dy, x, needs=("x", "w"): g(dy, x, w, needs=needs, **how),
        )
    if name == "batch_norm":
        return _batch_norm(w, impl)
    if name == "relu":
        return (
            lambda x: npdsconv.relu(x, impl=impl),
            lambda dy, x: (npdsconv.relu_backward(dy, x, impl=impl),),
        )
    if name == "global_avg_pool":
        return (
            lambda x: npdsconv.global_avg_pool2d(x, impl=impl),
            lambda dy, x: (npdsconv.global_avg_pool2d_backward(dy, x, impl=impl),),
        )
    pools: dict[str, tuple[Any, Any]] = {
        "max_pool": (npdsconv.max_pool2d, npdsconv.max_pool2d_backward),
        "avg_pool": (npdsconv.avg_pool2d, npdsconv.avg_pool2d_backward),
    }
    pool, back = pools[name]
    return lambda x: pool(x, size, **window), lambda dy, x: (back(dy, x, size, **window),)


def _batch_norm(w: Array, impl: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    kept: list[Array] = []

    def forward(x: Array) -> Array:
        y, *kept[:] = npdsconv.batch_norm2d(x, w, w, impl=impl)
        return y

    return forward, lambda dy, x: npdsconv.batch_norm2d_backward(dy, x, w, *kept, impl=impl)


def _separable(
    settings: dict[str, Any], x: Array, w: Array, mix: Array, dy: Array, impl: str
) -> Callable[[], Any]:
    """Depthwise and pointwise with nothing between: forward, and all gradients."""
    how = {"stride": settings["stride"], "padding": settings["padding"], "impl": impl}

    def call() -> tuple[Array | None, ...]:
        d = npdsconv.depthwise_conv2d(x, w, **how)
        y = npdsconv.pointwise_conv2d(d, mix, impl=impl)
        dd, dmix, _ = npdsconv.pointwise_conv2d_backward(dy, d, mix, impl=impl, needs=("x", "w"))
        dx, dw, _ = npdsconv.depthwise_conv2d_backward(np.asarray(dd), x, w, needs=("x", "w"), **how)
        return y, dx, dw, dmix

    return call


def _block(settings: dict[str, Any], x: Array, dy: Array, impl: str) -> Callable[[], Any]:
    block = separable_block(settings)
    _choose(block, impl)

    def call() -> Array:
        _, back = block.forward(x, train=True)
        return back(dy)

    return call


def separable_block(settings: dict[str, Any]) -> DepthwiseSeparableConv2d:
    """Depthwise, batch norm, ReLU, pointwise, batch norm, ReLU; always with the same weights."""
    return DepthwiseSeparableConv2d(
        settings["shape"][1],
        settings["outputs"],
        settings["kernel"],
        stride=settings["stride"],
        padding=settings["padding"],
        rng=np.random.default_rng(2),
    )


# ---- whole networks -------------------------------------------------------------------------------------------


def _network(settings: dict[str, Any], impl: str) -> Sequential:
    """One of `workloads.NETWORKS`; or, by "model" and its "options", any other that `npdsconv.models` makes."""
    if "model" in settings:
        model = getattr(models, settings["model"])(rng=0, **settings["options"])
    else:
        model = workloads.network(settings["network"])
    _choose(model, impl)
    return model


def _train(settings: dict[str, Any], impl: str) -> Callable[[], Any]:
    model = _network(settings, impl)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, labels = workloads.batch_of_images(settings)
    x, labels = channels_last(x), labels % settings.get("options", {}).get("classes", 10)
    return lambda: train.train_step(model, x, labels, optimizer)


def _epoch(settings: dict[str, Any], impl: str) -> Callable[[], Any]:
    model = _network(settings, impl)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    split = Split(*workloads.epoch_of_images())
    return lambda: train.fit(model, split, optimizer, epochs=1, batch_size=settings["batch"], seed=0)


def _inference(settings: dict[str, Any], impl: str) -> Callable[[], Any]:
    model = models.fold_batch_norm(_network(settings, impl))
    x = channels_last(workloads.batch_of_images(settings)[0])
    return lambda: model(x)
