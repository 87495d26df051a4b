"""The list behind `npdsconv gradcheck`: it is complete, it passes, and a broken backward turns it red."""

import numpy as np
import pytest

import npdsconv
from npdsconv import catalogue, layers, models, ops
from npdsconv.catalogue import CASES, run, select

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


def test_every_op_layer_and_model_has_a_case():
    families = {
        kind: {case.name.split()[0] for case in CASES if case.kind == kind} for kind in catalogue.KINDS
    }
    backwards = {name.removesuffix("_backward") for name in ops.__all__ if name.endswith("_backward")}
    assert backwards | {"im2col", "col2im"} == families["op"]
    kinds = {c for c in vars(layers).values() if isinstance(c, type) and issubclass(c, layers.Layer)}
    assert {kind.__name__ for kind in kinds} - {"Layer"} == families["layer"]
    assert set(models.__all__) == families["model"]
    names = [(case.kind, case.name) for case in CASES]
    assert len(set(names)) == len(names)


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
        ValueError, match=r"gradcheck: no case 'conv3d'; there are all, op, layer, model, AvgPool2d"
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
    reports = [report for _, _, report in run([layer[module]], impl="im2col")]
    assert len(reports) == 1
    assert [row.ok for row in reports[0].rows].count(False) == 1
