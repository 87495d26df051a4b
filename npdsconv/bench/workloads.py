"""What is measured: named workloads with their sizes, multiply-adds and bytes, and the numbers they start from.

A workload is plain data, so that it can be sent to the process of any library; each library makes a call of it.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdsconv import models
from npdsconv.layers import Sequential
from npdsconv.shapes import Array, resolve_window


@dataclass(frozen=True)
class Workload:
    """One row of a table.

    Attributes
    ----------
    name : what the table says
    kind : "op", "train", "epoch" or "inference"
    settings : what has to be known to build it
    flops : floating-point operations of one call; None where they are not counted
    bytes : the least that one call has to move, each array once; None where it is not counted
    """

    name: str
    kind: str
    settings: dict[str, Any]
    flops: int | None = None
    bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


# ---- ops ------------------------------------------------------------------------------------------------------

PARTS = ("forward", "dx", "dw", "both")  # both: the forward pass, and all gradients


def op(
    name: str,
    part: str,
    shape: tuple[int, int, int, int],
    *,
    outputs: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    label: str = "",
) -> Workload:
    """A single op on float32 images of `shape` (N, C, H, W), padded by kernel // 2; pooling is not padded."""
    n, c, h, w = shape
    padding = 0 if name.endswith("pool") else kernel // 2
    o = outputs or c
    settings = {
        "op": name,
        "part": part,
        "shape": [n, c, h, w],
        "outputs": o,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
    }
    flops, moved = _costs(settings)
    channels = f"{c}→{o}" if name in ("standard", "pointwise", "separable", "block") else f"{c}"
    strided = f" s{stride}" if stride > 1 and not name.endswith("pool") else ""
    size = "" if name in ("pointwise", "batch_norm", "relu", "global_avg_pool") else f" {kernel}×{kernel}"
    text = f"{name.replace('_', ' ')}{size} {part} {n}×{channels}×{h}×{w}{strided}"
    return Workload(f"{label} {text}".strip(), "op", settings, flops, moved)


def output_shape(settings: dict[str, Any]) -> tuple[int, int, int, int]:
    """(N, O, OH, OW) of an op."""
    n, _, h, w = settings["shape"]
    if settings["op"] == "global_avg_pool":
        return n, settings["outputs"], 1, 1
    if settings["op"] in ("pointwise", "batch_norm", "relu"):
        return n, settings["outputs"], h, w
    k, s, p = settings["kernel"], settings["stride"], settings["padding"]
    return (n, settings["outputs"], *resolve_window("bench", (h, w), (k, k), s, p, 1).output)


def _costs(settings: dict[str, Any]) -> tuple[int | None, int]:
    """FLOPs, and bytes if every array is moved once: what a part reads and writes."""
    n, c, h, w = settings["shape"]
    _, o, oh, ow = output_shape(settings)
    area = settings["kernel"] ** 2
    macs = {
        "depthwise": n * o * oh * ow * area,
        "standard": n * o * oh * ow * c * area,
        "pointwise": n * o * oh * ow * c,
        "separable": n * oh * ow * c * (area + o),
        "block": n * oh * ow * c * (area + o),
    }.get(settings["op"])
    one_pass = n * c * h * w + n * o * oh * ow  # x and y, dy and dx, or dy and x
    passes = 3 if settings["part"] == "both" else 1
    moved = passes * one_pass
    if settings["part"] == "both" and macs is None:  # no weights to speak of: x to y, then x and dy to dx
        moved = 2 * one_pass + n * c * h * w
    return None if macs is None else 2 * macs * passes, 4 * moved


def arrays(settings: dict[str, Any]) -> dict[str, Array]:
    """x, w and dy of an op, the same numbers for every library: in (N, C, H, W), not channels-last."""
    rng = np.random.default_rng(0)
    c, k, o = settings["shape"][1], settings["kernel"], settings["outputs"]
    weights = {
        "depthwise": (c, o // c, k, k),
        "standard": (o, c, k, k),
        "pointwise": (o, c),
        "separable": (c, 1, k, k),
    }
    shapes = {
        "x": tuple(settings["shape"]),
        "w": weights.get(settings["op"], (c,)),
        "dy": output_shape(settings),
    }
    if settings["op"] == "separable":
        shapes["mix"] = (o, c)  # the pointwise weights
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


# ---- whole networks -------------------------------------------------------------------------------------------

# name -> (function of npdsconv.models, its settings, shape of one image, images in a step)
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int], int]] = {
    "separable_cnn": ("separable_cnn", {}, (1, 28, 28), 128),
    "separable_cnn ×0.41": ("separable_cnn", {"width": 0.41}, (1, 28, 28), 128),
    "mobilenet_v1 ×0.5": ("mobilenet_v1", {"width": 0.5}, (3, 64, 64), 32),
}


def network(name: str) -> Sequential:
    """A network with its initial weights, always the same ones."""
    function, settings, _, _ = NETWORKS[name]
    return getattr(models, function)(rng=0, **settings)


def on_network(name: str, kind: str, batch: int | None = None) -> Workload:
    """A training step, an inference or an epoch of a network of `NETWORKS`."""
    _, _, shape, usual = NETWORKS[name]
    batch = batch or usual
    params = sum(p.value.size for p in network(name).parameters())
    size = "×".join(map(str, shape))
    what = {"train": "", "epoch": "60,000 images, "}.get(kind, "")
    text = f"{name} ({params:,} parameters), {what}batch {batch} of {size}"
    return Workload(text, kind, {"network": name, "batch": batch, "shape": list(shape)})


def batch_of_images(settings: dict[str, Any]) -> tuple[Array, Array]:
    """Images and labels of a step, the same for every library. No time depends on their values."""
    rng = np.random.default_rng(1)
    x = rng.random((settings["batch"], *settings["shape"]), np.float32)
    return x, rng.integers(0, 10, settings["batch"])


def epoch_of_images() -> tuple[Array, Array]:
    """60,000 images and labels, as many and as large as MNIST has, so that nothing needs to be fetched."""
    from npdsconv import data

    few = data.load("mnist5k").train
    return np.tile(few.images, (15, 1, 1, 1)), np.tile(few.labels, 15)
