"""The catalogue: nothing is missing from it, its gradients are right, and a broken backward turns it red."""

import inspect
import sys
from abc import ABC

import numpy as np
import pytest

import npdsconv
from npdsconv import layers, models, ops
from npdsconv.catalogue import CASES, KINDS, LAYERS, MODELS, OPS, run, select
from npdsconv.ops._tiers import TIERS

SLOW = ("standard_twin", "mobilenet_v1", "mobilenet_v2")


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name.split()[0] not in SLOW],
    ids=lambda case: f"{case.kind} {case.name}",
)
def test_every_gradient_is_right(case):
    report = case.report("im2col")
    assert report.ok, report
    assert report.title == case.name
    assert report.max_error < (1e-7 if case.kind == "model" else 1e-9)
    assert report.kinks == 0


def rows_by_name(rows):
    named = {row.name: row for row in rows}
    assert len(named) == len(rows), "a row twice"
    return named


def own_layers(base=layers.Layer):
    """Every class of the package below the base that is a layer itself, wherever it is defined, exported or not."""
    for cls in base.__subclasses__():
        yield from own_layers(cls)
        if cls.__module__.startswith("npdsconv.") and not (inspect.isabstract(cls) or ABC in cls.__bases__):
            yield cls


def test_every_op_has_a_row_with_its_public_pair_and_its_tiers():
    named = rows_by_name(OPS)
    backwards = {name.removesuffix("_backward") for name in ops.__all__ if name.endswith("_backward")}
    assert named.keys() == backwards | {"im2col", "col2im"}, "give a new op its row in catalogue/of_ops.py"
    for name, row in named.items():
        assert row.forward is getattr(ops, name)
        if name in backwards:
            assert row.backward is getattr(ops, f"{name}_backward")
        assert ("impl" in inspect.signature(row.forward).parameters) == (row.impls is not None)
        assert row.impls is getattr(sys.modules[row.forward.__module__], "IMPLS", None)
        assert row.tiers in ((), TIERS)


def test_every_layer_has_a_row():
    named = rows_by_name(LAYERS)
    exported = {n for n in layers.__all__ if isinstance(getattr(layers, n), type)}
    exported -= {"Buffer", "Layer", "Parameter", "Pullback"}
    exported = {n for n in exported if ABC not in getattr(layers, n).__bases__}
    assert named.keys() == exported, "give a new layer its row in catalogue/of_layers.py"
    assert {row.kind for row in LAYERS} == set(own_layers()), "a layer that is not in layers.__all__"


def test_every_network_has_a_row():
    networks = {name for name, builder in models.BUILDERS.items() if builder is not models.xception}
    assert rows_by_name(MODELS).keys() == networks | {"standard_twin", "fold_batch_norm"}
    assert {"xception_mini", *models.BUILDERS} <= {
        "xception",
        *models.__all__,
    }  # its block is checked in the small one


def test_every_example_is_a_case_with_a_name_of_its_own():
    names = [(case.kind, case.name) for case in CASES]
    assert len(set(names)) == len(names)
    rows = [(kind, row) for kind, rows in zip(KINDS, (OPS, LAYERS, MODELS), strict=True) for row in rows]
    expected = [(kind, f"{row.name} {e.label}".rstrip()) for kind, row in rows for e in row.examples]
    assert names == expected
    assert all(row.examples for _, row in rows)


def test_no_two_sizes_of_an_input_are_equal():
    """So that swapped axes show."""
    shapes = {(row.name, next(iter(e.arrays.values())).shape) for row in OPS for e in row.examples}
    shapes |= {(row.name, setting.shape) for row in LAYERS for setting in row.examples}
    assert [(name, shape) for name, shape in shapes if len(set(shape)) < len(shape)] == []


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
def test_no_argument_of_a_layer_stays_at_its_default(row):
    """Between its examples; else a test could not see that the layer forgets to hand it on."""
    if any(setting.build for setting in row.examples) and not any(e.arguments for e in row.examples):
        return  # made of other layers
    taken = inspect.signature(row.kind).parameters
    for name, parameter in taken.items():
        if name not in ("impl", "rng"):
            given = [e.arguments[name] for e in row.examples if name in e.arguments]
            assert any(value != parameter.default for value in given), f"{row.name}: {name}"


def test_names_stand_for_cases_families_kinds_and_all():
    assert [case.name for case in select(["conv2d groups"])] == ["conv2d groups"]
    assert {case.name.split()[0] for case in select(["conv2d"])} == {"conv2d"}
    assert len(select(["conv2d"])) > 5
    assert {case.kind for case in select(["layer", "model"])} == {"layer", "model"}
    assert select(["all"]) == list(CASES)
    # The order is the list's, and nothing is checked twice.
    assert [case.name for case in select(["relu6", "relu", "relu6"])] == ["relu", "relu6"]


def test_an_unknown_name_is_an_error_before_anything_runs():
    with pytest.raises(
        ValueError,
        match=r"gradcheck: no case 'conv3d', did you mean 'conv2d' or .*\? there are all, op, layer",
    ):
        run(["relu", "conv3d"])


def test_run_reports_case_by_case_and_leaves_the_thread_count_alone():
    threads = npdsconv.get_num_threads()
    found = run(["relu", "ReLU"])
    kind, name, report = next(found)
    assert (kind, name, report.ok) == ("op", "relu", True)
    assert npdsconv.get_num_threads() == threads
    assert [(kind, name) for kind, name, _ in found] == [("layer", "ReLU")]


def wrong_channels(gradient):
    gradient = gradient.copy()
    gradient[:, -1] = 0
    return gradient


@pytest.mark.parametrize(
    ("op", "module", "change"),
    [
        ("conv2d_backward", "standard", lambda dx, dw, db: (wrong_channels(dx), dw, db)),
        ("conv2d_backward", "standard", lambda dx, dw, db: (dx, np.ascontiguousarray(dw[:, :, ::-1]), db)),
        ("depthwise_conv2d_backward", "depthwise", lambda dx, dw, db: (dx, dw[:, ::-1].copy(), db)),
        ("pointwise_conv2d_backward", "pointwise", lambda dx, dw, db: (dx, dw * (1 + 1e-6), db)),
        ("linear_backward", "dense", lambda dx, dw, db: (dx, dw, db[::-1].copy())),
    ],
)
def test_a_broken_backward_is_found_in_its_layer(monkeypatch, op, module, change):
    home = getattr(ops, module)
    right = getattr(home, op)
    monkeypatch.setattr(home, op, lambda *arrays, **options: change(*right(*arrays, **options)))
    layer = {
        "standard": "Conv2d",
        "depthwise": "DepthwiseConv2d",
        "pointwise": "PointwiseConv2d",
        "dense": "Linear",
    }
    name = layer[module]
    (case,) = [case for case in select([name]) if case.name == name]
    report = case.report("im2col")
    assert [row.ok for row in report.rows].count(False) == 1
