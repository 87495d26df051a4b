"""Every op, layer and model of this package as a case for the gradient checker.

>>> for kind, name, report in run(["relu"], impl="im2col"):
...     print(kind, name, report.ok)
op relu True

Images and kernels are never square, and input and output channels differ, so that swapped axes show.
Parameters are moved off their initial values: a batch norm whose weight is 1 would hide a missing factor.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import npdsconv
from npdsconv import layers, models, ops
from npdsconv.gradcheck import Report, check
from npdsconv.layers import Layer
from npdsconv.models.mobilenet import inverted_residual
from npdsconv.shapes import Array

KINDS = ("op", "layer", "model")


@dataclass(frozen=True)
class Case:
    """One thing to check: `report(impl)` does it with the given tier."""

    kind: str
    name: str
    report: Callable[[str], Report]


def run(names: Iterable[str] = ("all",), *, impl: str = "numba") -> Iterator[tuple[str, str, Report]]:
    """Check the named cases one by one.

    Parameters
    ----------
    names : strings
        A case (``"conv2d groups"``), a family (``"conv2d"``, all cases whose first word it is), a kind
        (``"op"``, ``"layer"``, ``"model"``), or ``"all"``.
    impl : "naive", "im2col" or "numba"
        As for :func:`npdsconv.layers.set_impl`.

    Yields
    ------
    kind, name, report
        As soon as the case is done.

    Raises
    ------
    ValueError
        A name that fits no case; before anything is run.
    """
    chosen = select(names)
    return ((case.kind, case.name, _on_one_thread(case, impl)) for case in chosen)


def _on_one_thread(case: Case, impl: str) -> Report:
    """The arrays are so small that waking a second thread takes longer than it saves."""
    if impl != "numba":
        return case.report(impl)
    threads = npdsconv.get_num_threads()
    npdsconv.set_num_threads(1)
    try:
        return case.report(impl)
    finally:
        npdsconv.set_num_threads(threads)


def select(names: Iterable[str]) -> list[Case]:
    """The cases that `names` stand for, in the order of the list; see :func:`run`."""
    names = list(names)
    for name in names:
        if not any(_fits(case, name) for case in CASES):
            families = sorted({case.name.split()[0] for case in CASES})
            raise ValueError(f"gradcheck: no case {name!r}; there are all, {', '.join([*KINDS, *families])}")
    return [case for case in CASES if any(_fits(case, name) for name in names)]


def _fits(case: Case, name: str) -> bool:
    return name in ("all", case.kind, case.name, case.name.split()[0])


# Ops: a forward and a backward, element by element.


def _normal(*shape: int) -> Array:
    """Normal numbers that depend on the shape alone."""
    return np.random.default_rng(shape).standard_normal(shape)


def _numpy_or(impl: str) -> str:
    return "numba" if impl == "numba" else "numpy"


def _op(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *arrays: Array,
    impls: bool = True,
    numpy: bool = False,
    bilinear: bool = False,
    **options: Any,
) -> Case:
    def report(impl: str) -> Report:
        tier = {"impl": _numpy_or(impl) if numpy else impl} if impls else {}
        pair = (partial(f, **options, **tier) for f in (forward, backward))
        return check(*pair, *arrays, bilinear=bilinear, title=name)

    return Case("op", name, report)


_WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strided": {"stride": (2, 3)},
    "padded": {"padding": ((1, 2), (0, 3))},
    "same": {"stride": (2, 1), "padding": "same"},
    "dilated": {"dilation": (2, 3)},
    "everything": {"stride": (2, 1), "padding": ((2, 0), (1, 3)), "dilation": (1, 2)},
}
_X = _normal(2, 4, 7, 5)


def _bilinear_ops() -> Iterator[Case]:
    cases = [*_WINDOWS.items(), ("groups", {"groups": 2, "stride": (1, 2), "padding": (2, 1)})]
    for label, options in cases:
        w = _normal(6, 4 // options.get("groups", 1), 3, 2)
        yield _op(
            f"conv2d {label}", ops.conv2d, ops.conv2d_backward, _X, w, _normal(6), bilinear=True, **options
        )
    for label, options in _WINDOWS.items():
        pair = ops.depthwise_conv2d, ops.depthwise_conv2d_backward
        yield _op(
            f"depthwise_conv2d {label}", *pair, _X, _normal(4, 3, 3, 2), _normal(12), bilinear=True, **options
        )
    x, w, b = _normal(2, 5, 4, 3), _normal(7, 5), _normal(7)
    yield _op("pointwise_conv2d", ops.pointwise_conv2d, ops.pointwise_conv2d_backward, x, w, b, bilinear=True)
    x = _normal(6, 5)
    yield _op("linear", ops.linear, ops.linear_backward, x, w, b, bilinear=True, numpy=True)
    yield from _window_matrices()


def _window_matrices() -> Iterator[Case]:
    """im2col and its transpose: each is the backward of the other."""
    size = (7, 5)
    how: dict[str, Any] = {
        "kernel_size": (3, 2),
        "stride": (2, 1),
        "padding": ((1, 0), (0, 2)),
        "dilation": (1, 2),
    }

    def columns(x: Array) -> Array:
        return ops.im2col(x, **how)

    def image(cols: Array) -> Array:
        return ops.col2im(cols, size, **how)

    yield _op("im2col", columns, image, _X, bilinear=True, impls=False)
    yield _op("col2im", image, columns, _normal(*columns(_X).shape), bilinear=True, impls=False)


def _pools() -> Iterator[Case]:
    overlapping: dict[str, Any] = {
        "kernel_size": (3, 2),
        "stride": (2, 1),
        "padding": ((1, 0), (0, 1)),
        "dilation": (1, 2),
    }
    for label, options in (("plain", {"kernel_size": (3, 2)}), ("overlapping", overlapping)):
        yield _op(f"max_pool2d {label}", ops.max_pool2d, ops.max_pool2d_backward, _X, **options)
        yield _op(
            f"avg_pool2d {label}", ops.avg_pool2d, ops.avg_pool2d_backward, _X, bilinear=True, **options
        )
    inside = {**overlapping, "count_include_pad": False}
    yield _op("avg_pool2d inside", ops.avg_pool2d, ops.avg_pool2d_backward, _X, bilinear=True, **inside)
    pair = ops.global_avg_pool2d, ops.global_avg_pool2d_backward
    yield _op("global_avg_pool2d", *pair, _X, bilinear=True, numpy=True)


def _pointwise_functions() -> Iterator[Case]:
    yield _op("relu", ops.relu, ops.relu_backward, _X, numpy=True)
    yield _op("relu6", ops.relu6, ops.relu6_backward, 5 * _X, numpy=True)
    yield _op("hard_swish", ops.hard_swish, ops.hard_swish_backward, 3 * _X, numpy=True)
    yield _op("sigmoid", ops.sigmoid, ops.sigmoid_backward, 3 * _X, numpy=True)
    mask = _normal(*_X.shape, 1)[..., 0] > -0.5
    yield _op(
        "dropout",
        lambda x: ops.dropout(x, mask, 0.3),
        lambda dy: ops.dropout_backward(dy, mask, 0.3),
        _X,
        bilinear=True,
        impls=False,
    )


def _batch_norm(label: str, activation: str | None = None, **given: Any) -> Case:
    how: dict[str, Any] = {"eps": 1e-3, "activation": activation}

    def forward(x: Array, weight: Array, bias: Array, impl: str) -> Any:
        return ops.batch_norm2d(x, weight, bias, **given, impl=impl, **how)

    def backward(dy: Array, x: Array, weight: Array, bias: Array, impl: str) -> Any:
        _, mean, var = forward(x, weight, bias, impl)
        known: dict[str, Any] = {"given": bool(given), "bias": bias, "impl": impl}
        return ops.batch_norm2d_backward(dy, x, weight, mean, var, **known, **how)

    return _op(
        f"batch_norm2d {label}", forward, backward, 3 * _X + 2, _normal(4), _normal(4, 1)[:, 0], numpy=True
    )


def _separable_block(label: str, given: tuple[bool, bool] = (False, False), **options: Any) -> Case:
    x, w = _normal(2, 4, 5, 3), _normal(4, 1, 3, 3)
    arrays = x, w, _normal(4), _normal(4, 1)[:, 0], _normal(3, 4), _normal(3), _normal(3, 1)[:, 0]
    counts = (4, 4, 3, 3)
    known = [_normal(n, k + 1)[:, k] ** 2 + 0.5 if given[k // 2] else None for k, n in enumerate(counts)]

    def forward(*arrays: Array, impl: str) -> Any:
        return ops.separable_block(*arrays, *known, impl=impl, **options)

    def backward(dy: Array, *arrays: Array, impl: str) -> Any:
        _, saved = forward(*arrays, impl=impl)
        how = {"given": given, "impl": impl, **options}
        return ops.separable_block_backward(dy, arrays[0], saved, *arrays[1:], **how)

    return _op(f"separable_block {label}", forward, backward, *arrays)


def _loss(label: str, **options: Any) -> Case:
    labels = np.array([2, 0, 4, 2, 1, 5])

    def backward(dy: Array, logits: Array, labels: Array) -> Array:
        _, probabilities = ops.softmax_cross_entropy(logits, labels, **options)
        return dy * ops.softmax_cross_entropy_backward(probabilities, labels, **options)

    forward = partial(ops.softmax_cross_entropy, **options)
    return Case(
        "op",
        f"softmax_cross_entropy {label}",
        lambda impl: check(forward, backward, _normal(6, 7), labels, title=f"softmax_cross_entropy {label}"),
    )


# Layers and models: at parameters that are all different, with their state put back by the checker.


def _layer(
    name: str,
    build: Callable[[np.random.Generator], Layer],
    shape: tuple[int, ...],
    kind: str = "layer",
    **options: Any,
) -> Case:
    def report(impl: str) -> Report:
        rng = np.random.default_rng(3)
        layer = layers.set_impl(_scattered(build(rng), rng), impl)
        return check(layer, 2 * rng.standard_normal(shape), title=name, **options)

    return Case(kind, name, report)


def _scattered(layer: Layer, rng: np.random.Generator) -> Layer:
    """Move constant parameters (biases, the weights of batch norm) and running statistics to random values."""
    for _, p in layer.named_parameters():
        if np.ptp(p.value) == 0:
            p.value += 0.3 * rng.standard_normal(p.value.shape)
    for _, b in layer.named_buffers():
        if b.value.dtype.kind == "f":
            b.value += rng.uniform(0, 0.5, b.value.shape)
    return layer


def _layers() -> Iterator[Case]:
    window: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}
    image = (2, 4, 7, 5)
    yield _layer(
        "Conv2d", lambda r: layers.Conv2d(4, 6, (3, 2), groups=2, rng=r, **window), image, bilinear=True
    )
    yield _layer(
        "DepthwiseConv2d",
        lambda r: layers.DepthwiseConv2d(4, (3, 2), depth_multiplier=3, rng=r, **window),
        image,
        bilinear=True,
    )
    yield _layer(
        "PointwiseConv2d", lambda r: layers.PointwiseConv2d(5, 7, rng=r), (2, 5, 4, 3), bilinear=True
    )
    yield _layer("Linear", lambda r: layers.Linear(5, 7, rng=r), (6, 5), bilinear=True)
    yield _layer("BatchNorm2d training", lambda r: layers.BatchNorm2d(4), image)
    yield _layer("BatchNorm2d evaluation", lambda r: layers.BatchNorm2d(4), image, train=False)
    yield _layer("BatchNorm2d frozen", lambda r: layers.BatchNorm2d(4).freeze(), image)
    yield _layer("ReLU", lambda r: layers.ReLU(), image)
    yield _layer("ReLU6", lambda r: layers.ReLU6(), image)
    yield _layer("HardSwish", lambda r: layers.HardSwish(), image)
    yield _layer("Sigmoid", lambda r: layers.Sigmoid(), image)
    yield _layer("MaxPool2d", lambda r: layers.MaxPool2d((3, 2), **window), image)
    yield _layer(
        "AvgPool2d", lambda r: layers.AvgPool2d((3, 2), stride=(2, 1), padding=1), image, bilinear=True
    )
    yield _layer("GlobalAvgPool2d", lambda r: layers.GlobalAvgPool2d(), image, bilinear=True)
    yield _layer("Flatten", lambda r: layers.Flatten(), image, bilinear=True)
    yield _layer("Dropout", lambda r: layers.Dropout(0.3, rng=r), image, bilinear=True)


def _composites() -> Iterator[Case]:
    image, small = (2, 4, 7, 5), (2, 4, 5, 6)
    block = layers.DepthwiseSeparableConv2d
    window: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}
    whole = partial(block, 4, 5, (3, 2), depth_multiplier=3, **window)
    yield _layer("DepthwiseSeparableConv2d training", lambda r: whole(rng=r), image)
    yield _layer("DepthwiseSeparableConv2d evaluation", lambda r: whole(rng=r), image, train=False)
    yield _layer(
        "DepthwiseSeparableConv2d biases",
        lambda r: whole(batch_norm=False, mid_activation="relu6", rng=r),
        image,
    )
    yield _layer(
        "DepthwiseSeparableConv2d linear",
        lambda r: whole(mid_activation=None, activation=None, rng=r),
        image,
    )
    yield _layer("Residual identity", lambda r: layers.Residual(block(4, 4, 3, padding=1, rng=r)), small)
    yield _layer("Residual inverted", lambda r: inverted_residual(4, 4, stride=1, expansion=3, rng=r), small)
    yield _layer(
        "Residual shortcut",
        lambda r: layers.Residual(
            block(4, 5, 3, stride=2, padding=1, rng=r), layers.Conv2d(4, 5, 1, stride=2, rng=r)
        ),
        small,
    )
    yield _layer(
        "Sequential tied", lambda r: layers.Sequential(*[layers.PointwiseConv2d(4, 4, rng=r)] * 2), small
    )
    yield _layer(
        "Sequential frozen",
        lambda r: layers.Sequential(
            layers.Conv2d(4, 5, (3, 2), rng=r).freeze(),
            layers.BatchNorm2d(5),
            layers.ReLU(),
            layers.MaxPool2d((3, 2)),
            layers.Flatten(),
            layers.Dropout(0.3, rng=r),
            layers.Linear(5 * 1 * 2, 6, rng=r),
        ),
        small,
        labels=np.array([4, 1]),
    )


def _models() -> Iterator[Case]:
    model = partial(_layer, kind="model", method="directions")
    yield model("small_cnn", lambda r: models.small_cnn(width=0.5, size=12, rng=r), (3, 1, 12, 12))
    image = (3, 1, 13, 10)
    yield model("separable_cnn", lambda r: models.separable_cnn(width=0.5, dropout=0.2, rng=r), image)
    yield model(
        "standard_twin", lambda r: models.standard_twin(models.separable_cnn(width=0.5, rng=r), rng=r), image
    )
    yield model(
        "fold_batch_norm", lambda r: models.fold_batch_norm(models.separable_cnn(width=0.5, rng=r)), image
    )
    image = (8, 3, 17, 12)
    yield model("mobilenet_v1", lambda r: models.mobilenet_v1(0.125, classes=7, rng=r), image, directions=2)
    # Fifty batch norms over a few images amplify rounding and kinks beyond what differences can resolve. So the whole
    # is checked with running statistics, and its block, above, with those of the batch.
    image, how = (3, 3, 9, 11), dict[str, Any](train=False, directions=2)
    yield model(
        "mobilenet_v2 evaluation", lambda r: models.mobilenet_v2(0.125, classes=7, rng=r), image, **how
    )


def _sequences() -> Iterator[Case]:
    """Layers of (N, C, L)."""
    window: dict[str, Any] = {"stride": 2, "padding": (2, 1), "dilation": 3}
    yield _layer(
        "Conv1d", lambda r: layers.Conv1d(4, 6, 3, groups=2, rng=r, **window), (2, 4, 11), bilinear=True
    )
    yield _layer(
        "DepthwiseConv1d",
        lambda r: layers.DepthwiseConv1d(4, 3, depth_multiplier=3, rng=r, **window),
        (2, 4, 11),
        bilinear=True,
    )


def _branches() -> Iterator[Case]:
    """Layers that read their input more than once."""
    yield _layer(
        "Concat",
        lambda r: layers.Concat(
            layers.Conv2d(4, 5, (3, 2), padding="same", rng=r),
            layers.Sequential(layers.PointwiseConv2d(4, 3, rng=r), layers.BatchNorm2d(3), layers.ReLU()),
            layers.Sequential(),
        ),
        (2, 4, 5, 6),
    )
    yield _op(
        "scale_channels",
        ops.scale_channels,
        ops.scale_channels_backward,
        _X,
        _normal(2, 4, 1, 1),
        bilinear=True,
        numpy=True,
    )
    squeeze = partial(layers.SqueezeExcite, 4, 3)
    yield _layer("SqueezeExcite", lambda r: squeeze(rng=r), (2, 4, 5, 6))
    yield _layer(
        "SqueezeExcite hard_swish",
        lambda r: squeeze(activation="hard_swish", gate="hard_swish", rng=r),
        (2, 4, 5, 6),
    )


def _resizing() -> Iterator[Case]:
    """What makes images larger."""
    pair = ops.conv_transpose2d, ops.conv_transpose2d_backward
    for label, options in [*_WINDOWS.items(), ("groups", {"groups": 2, "stride": (1, 2), "padding": (2, 1)})]:
        w = _normal(4, 6 // options.get("groups", 1), 3, 4)
        yield _op(f"conv_transpose2d {label}", *pair, _X, w, _normal(6), bilinear=True, **options)
    window: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}
    yield _layer(
        "ConvTranspose2d",
        lambda r: layers.ConvTranspose2d(4, 6, (3, 2), groups=2, rng=r, **window),
        (2, 4, 7, 5),
        bilinear=True,
    )
    yield _op("upsample2d", ops.upsample2d, ops.upsample2d_backward, _X[..., :3], bilinear=True, scale=(3, 2))
    yield _layer("Upsample2d", lambda r: layers.Upsample2d((2, 3)), (2, 4, 3, 5), bilinear=True)


CASES: tuple[Case, ...] = (
    *_bilinear_ops(),
    *_pools(),
    *_pointwise_functions(),
    _batch_norm("batch"),
    _batch_norm("activated", activation="relu6"),
    _batch_norm("given", mean=_normal(4, 2)[:, 0], var=_normal(4, 3)[:, 0] ** 2 + 0.5),
    _separable_block("batch", padding=1),
    _separable_block("given", (True, True), padding=1, dilation=(1, 2)),
    _separable_block("strided", stride=2, padding=((0, 1), (1, 0)), activations=("relu6", None)),
    _loss("plain"),
    _loss("smoothed", label_smoothing=0.1),
    *_layers(),
    *_composites(),
    *_models(),
    *_resizing(),
    *_branches(),
    *_sequences(),
)
