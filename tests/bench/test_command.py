"""`npdsconv bench`: the shape of its report, its figures and its errors.

Nothing here looks at how long anything takes. Runs are tiny and in the NumPy tier, so that nothing is compiled.
"""

import contextlib
import importlib.util
import json

import numpy as np
import pytest
from helpers import call

from npdsconv import plots
from npdsconv.bench import (
    machine,
    measuring,
    opponents,
    ops,
    roofline,
    running,
    scaling,
    training,
)
from npdsconv.bench.workloads import on_network, op
from npdsconv.runs import peak_memory

TINY = op("relu", "both", (2, 3, 5, 4))
QUICK = ["--seconds", "0.01", "--impl", "im2col", "--threads", "1", "--json"]


def test_ops_end_with_one_json_object(capsys, monkeypatch):
    monkeypatch.setattr(
        ops, "workloads", lambda: [TINY, op("max_pool", "both", (2, 3, 4, 6), kernel=2, stride=2)]
    )
    code, out, err = call(capsys, "bench", "ops", *QUICK, "--only", "relu")
    report = json.loads(out)
    assert code == 0
    assert TINY.name in err
    assert report.keys() == {"machine", "seconds", "threads", "memory_kept", "ops"}
    assert report["machine"]["versions"].keys() >= {"npdsconv", "numpy", "python"}
    (row,) = report["ops"]["rows"]
    assert row["workload"] == TINY.name
    assert row["threads"] == 1
    assert row["ratios"] == {}
    time = row["times"][0]
    assert time["best"] <= time["q1"] <= time["median"] <= time["q3"]
    assert time["rounds"] >= 3


def test_train_measures_time_and_memory(capsys, monkeypatch):
    small = on_network("separable_cnn ×0.41", "train", batch=2)
    monkeypatch.setattr(training, "workloads", lambda epoch: [small])
    code, out, _ = call(capsys, "bench", "train", *QUICK)
    report = json.loads(out)["train"]
    assert code == 0
    assert [row["workload"] for row in report["rows"]] == [small.name]
    if peak_memory.available():
        (peak,) = report["memory"][0]["peaks"]
        assert 0 < peak["bytes"] < 50e6


def test_a_step_of_torch_is_also_measured_as_installed(torch, capsys, monkeypatch):
    small = on_network("separable_cnn ×0.41", "train", batch=2)
    monkeypatch.setattr(training, "workloads", lambda epoch: [small])
    monkeypatch.setattr(peak_memory, "available", lambda: False)
    report = json.loads(call(capsys, "bench", "train", *QUICK, "--against", "torch")[1])
    (row,) = report["train"]["rows"]
    assert row["ratios"].keys() == {"PyTorch", "PyTorch as installed"}
    assert len(row["times"]) == 5
    arena = measuring.Arena(["torch"], 1, keep=False)
    assert arena.columns("train") == ["PyTorch"], "where nobody keeps memory, there is one condition only"


def test_against_torch(torch, capsys, monkeypatch):
    monkeypatch.setattr(ops, "workloads", lambda: [TINY])
    code, out, err = call(capsys, "bench", "ops", *QUICK, "--against", "torch")
    report = json.loads(out)
    (row,) = report["ops"]["rows"]
    assert code == 0
    assert [t["variant"] for t in row["times"]] == ["im2col", "nchw", "channels_last"]
    assert row["ratios"]["PyTorch"]["ratio"] > 0
    assert "torch" in report["machine"]["versions"]
    assert "PyTorch" in err


def small_report(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(scaling, "SWEEPS", {"channels": (1, 4), "kernel": (1, 3)})
    monkeypatch.setattr(scaling, "BASE", {"channels": 2, "resolution": 5, "batch": 2, "kernel": 3})
    ceilings = {"flops_per_second": 2e11, "bytes_per_second": 1e10}
    monkeypatch.setattr(roofline, "ceilings", lambda threads: ceilings)
    small = [op("depthwise", "forward", (1, 2, 5, 5)), op("pointwise", "forward", (1, 2, 5, 5), kernel=1)]
    monkeypatch.setattr(roofline, "workloads", lambda: small)
    monkeypatch.setattr(ops, "workloads", lambda: [TINY])
    monkeypatch.setattr(training, "workloads", lambda epoch: [])
    monkeypatch.setattr(running.inference, "workloads", list)
    code, out, err = call(capsys, "bench", *QUICK[:-1], "--out", tmp_path / "new" / "out")
    assert (code, err) == (0, "")
    return out


def test_without_a_word_everything_is_measured_and_drawn(capsys, monkeypatch, tmp_path):
    out = small_report(capsys, monkeypatch, tmp_path)
    folder = tmp_path / "new" / "out"
    assert {p.name for p in folder.iterdir()} == {"bench.json", "roofline.png", "scaling.png"}
    assert out.count("written: ") == 3
    report = plots.measured(folder / "bench.json")
    assert [s["quantity"] for s in report["scaling"]["sweeps"]] == ["channels", "kernel"]
    point = report["scaling"]["sweeps"][0]["points"][1]
    assert point["standard"]["flops"] == 3 * 2 * (2 * 4 * 4 * 9 * 25)
    assert {row["attained"]["intensity"] for row in report["roofline"]["rows"]}
    figure = plots.roofline(report)
    assert "matrix product" in "".join(t.get_text() for t in figure.axes[0].texts)
    assert len(plots.scaling(report).axes) == 4
    with pytest.raises(ValueError, match="nothing was measured on 64 threads"):
        plots.roofline(report, threads=64)


def test_the_crossover_is_drawn():
    def at(value, standard, separable):
        time = {"q1": 1.0, "q3": 1.0, "flops": 10}
        return {
            "value": value,
            "standard": {**time, "median": standard},
            "separable": {**time, "median": separable},
        }

    points = {1: [at(1, 1.0, 4.0), at(16, 4.0, 1.0)], 2: [at(1, 1.0, 9.0), at(81, 9.0, 1.0)]}
    sweeps = [scaling.sweep("channels", n, points[n]) for n in points]
    np.testing.assert_allclose([sweep["crossover"] for sweep in sweeps], [4.0, 9.0])
    report = {"machine": {"processor": "a"}, "scaling": {"sweeps": sweeps}}
    for threads, text in ((None, "equal at 4"), (1, "equal at 4"), (2, "equal at 9")):
        figure = plots.scaling(report, threads=threads)
        assert [t.get_text() for t in figure.axes[1].texts] == [text]
    with pytest.raises(ValueError, match="nothing was measured on 64 threads"):
        plots.scaling(report, threads=64)


def test_scaling_measures_every_number_of_threads(capsys, monkeypatch, tmp_path):
    asked = []
    time = {"q1": 1.0, "median": 2.0, "q3": 3.0, "flops": 10}

    class NoProcess:
        def __init__(self, against, threads, impls, *, keep):
            asked.append(threads)

        open = contextlib.nullcontext

    def point(arena, quantity, value, seconds):
        return {"value": value, "standard": time, "separable": time}

    monkeypatch.setattr(machine, "cores", lambda: 3)
    monkeypatch.setattr(running, "Arena", NoProcess)
    monkeypatch.setattr(scaling, "point", point)
    folder = str(tmp_path / "out")
    code, out, _ = call(
        capsys, "bench", "scaling", "--threads", 3, 1, "--only", "kernel", "--json", "--out", folder
    )
    sweeps = json.loads(out)["scaling"]["sweeps"]
    assert code == 0
    assert asked == [3, 1]
    assert [(s["quantity"], s["threads"]) for s in sweeps] == [("kernel", 3), ("kernel", 1)]
    assert (tmp_path / "out/scaling.png").exists()


def test_results_that_are_none_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        plots.measured(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1, 2")
    with pytest.raises(ValueError, match="does not hold results"):
        plots.measured(tmp_path / "list.json")
    with pytest.raises(ValueError, match="no section 'scaling'"):
        plots.scaling({"machine": {}})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["ops", "--seconds", "0"], "--seconds must be above 0 and finite, got 0"),
        (["ops", "--seconds", "nan"], "--seconds must be above 0 and finite, got nan"),
        (["ops", "--threads", "0"], "--threads must be from 1 to"),
        (["ops", "--threads", "1", "99999"], "got 99999"),
        (["ops", "inference", "--only", "x"], "unrecognized arguments: inference"),
        (["train", "--only", "no such row"], "no row of train contains 'no such row'"),
    ],
)
def test_bad_input_gives_one_clear_line_and_exit_code_2(capsys, argv, message):
    code, _, err = call(capsys, "bench", *argv)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", opponents.OPPONENTS)
def test_a_missing_library_is_told_with_what_to_install(capsys, monkeypatch, name):
    real = importlib.util.find_spec
    needs = opponents.OPPONENTS[name].needs
    monkeypatch.setattr(importlib.util, "find_spec", lambda m, *a: None if m in needs else real(m, *a))
    code, _, err = call(capsys, "bench", "inference", "--against", name)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert f"--against {name} needs" in err
    assert opponents.OPPONENTS[name].install in err


def test_results_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="bench: cannot write"):
        running.write({"machine": {}}, str(tmp_path / "file" / "below"))
