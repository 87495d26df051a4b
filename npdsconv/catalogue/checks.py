"""The gradient check of every example: what ``npdsconv gradcheck`` runs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import npdsconv
from npdsconv import layers
from npdsconv.catalogue.of_layers import LAYERS, MODELS
from npdsconv.catalogue.of_ops import OPS
from npdsconv.catalogue.rows import Example, LayerRow, OpRow, Setting
from npdsconv.gradcheck import Report, check
from npdsconv.layers import Layer
from npdsconv.shapes import Array, did_you_mean

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
    impl : "naive", "im2col", "loops" or "numba"
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
    if impl in ("naive", "im2col"):  # no threads of ours, and no need to load the compiler
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
            near = did_you_mean(name, [*KINDS, *families])
            raise ValueError(
                f"gradcheck: no case {name!r}{near or ';'} there are all, {', '.join([*KINDS, *families])}"
            )
    return [case for case in CASES if any(_fits(case, name) for name in names)]


def _fits(case: Case, name: str) -> bool:
    return name in ("all", case.kind, case.name, case.name.split()[0])


def _case_of_op(row: OpRow, example: Example) -> Case:
    """A forward and a backward, element by element."""
    name = f"{row.name} {example.label}".rstrip()

    def report(impl: str) -> Report:
        tier = {"impl": impl} if row.impls else {}

        def backward(dy: Array, *arrays: Array) -> Any:
            given = Example("", dict(zip(example.arrays, arrays, strict=True)), example.options)
            return tuple(row.gradients(dy, given, **tier).values())

        forward = partial(row.forward, **example.options, **tier)
        return check(forward, backward, *example.arrays.values(), bilinear=row.bilinear, title=name)

    return Case("op", name, report)


def _case_of_layer(kind: str, row: LayerRow, setting: Setting) -> Case:
    """A layer at parameters that are all different; its state is put back by the checker."""
    name = f"{row.name} {setting.label}".rstrip()

    def report(impl: str) -> Report:
        rng = np.random.default_rng(3)
        layer = layers.set_impl(_scattered(row.build(setting, rng), rng), impl)
        x = 2 * rng.standard_normal(setting.shape)
        return check(layer, x, bilinear=row.bilinear, title=name, **setting.check)

    return Case(kind, name, report)


def _scattered(layer: Layer, rng: np.random.Generator) -> Layer:
    """Move constant parameters and running statistics to random values.

    A batch norm whose weight is 1 would hide a missing factor.
    """
    for _, p in layer.named_parameters():
        if np.ptp(p.value) == 0:
            p.value += 0.3 * rng.standard_normal(p.value.shape)
    for _, b in layer.named_buffers():
        if b.value.dtype.kind == "f":
            b.value += rng.uniform(0, 0.5, b.value.shape)
    return layer


CASES: tuple[Case, ...] = (
    *(_case_of_op(row, example) for row in OPS for example in row.examples),
    *(_case_of_layer("layer", row, setting) for row in LAYERS for setting in row.examples),
    *(_case_of_layer("model", row, setting) for row in MODELS for setting in row.examples),
)
