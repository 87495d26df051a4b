"""Measuring: the arithmetic on canned timings, the processes, the report's shape, the command's errors.

Nothing here looks at how long anything takes. Runs are tiny and in the NumPy tier, so that nothing is compiled.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from npdsconv import cli, peak_memory, plots
from npdsconv.bench import (
    machine,
    measuring,
    opponents,
    ops,
    own,
    quiet,
    roofline,
    running,
    scaling,
    statistics,
    table,
    training,
    with_onnxruntime,
    with_torch,
    workloads,
)
from npdsconv.bench.measuring import Entry, Timing
from npdsconv.bench.process import Process
from npdsconv.bench.workloads import NETWORKS, Workload, on_network, op
from npdsconv.layers import BatchNorm2d

TINY = op("relu", "both", (2, 3, 5, 4))


# ---- statistics ----


def test_a_ratio_is_that_of_the_medians_and_its_quartiles_those_of_the_rounds():
    mine = [[1.0, 1.2, 9.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
    theirs = [[2.4, 2.4], [4.0, 4.0], [3.0, 3.0]]
    found = statistics.ratio(mine, theirs)
    np.testing.assert_allclose(found, (0.5, 0.5, 0.75))  # rounds: 0.5, 0.5, 1


def test_statistics_refuse_what_has_no_answer():
    with pytest.raises(ValueError, match="there are no numbers"):
        statistics.spread([])
    with pytest.raises(ValueError, match="2 blocks against 1"):
        statistics.ratio([[1.0], [1.0]], [[1.0]])


def test_the_crossover_lies_where_the_ratio_is_one():
    sizes = np.array([1.0, 3.0, 10.0, 40.0])
    found = statistics.crossover(sizes, (sizes / 7.0) ** -0.5)  # a straight line between logarithms
    np.testing.assert_allclose(found, 7.0)
    assert statistics.crossover([1, 2, 4], [0.9, 0.5, 0.3]) is None
    assert statistics.crossover([2], [3.0]) is None


# ---- how the time is spent ----


@pytest.mark.parametrize("seconds", [0.5, 4.0])
@pytest.mark.parametrize("calls", [(2e-5, 3e-3), (0.05, 0.08, 0.01), (1.5, 0.4)])
def test_the_budget_is_kept_where_it_can_be(calls, seconds):
    chosen = measuring.plans(calls, seconds)
    assert len({p.rounds for p in chosen}) == 1
    assert 3 <= chosen[0].rounds <= measuring.ROUNDS
    for call, p in zip(calls, chosen, strict=True):
        assert p.calls * call >= measuring.SAMPLE
        assert p.samples >= 1
        share, least = seconds / (p.rounds * len(calls)), p.calls * call
        assert p.samples * least <= max(1.5 * share, least)


def test_long_calls_have_no_untimed_ones_before_them():
    assert [p.lead_in for p in measuring.plans([1.5, 0.1], 2.0)] == [False, False]
    assert [p.lead_in for p in measuring.plans([0.5, 0.1], 2.0)] == [True, True]


def canned(library, variant, column, *blocks):
    return Timing(Entry(library, variant, TINY, column), 1.0, 0.1, [list(b) for b in blocks])


def canned_row():
    return measuring.row(
        TINY,
        2,
        [
            canned("npdsconv", "numba", "npdsconv", (1.0, 1.0), (1.4, 1.4)),
            canned("npdsconv", "im2col", "npdsconv", (9.0, 9.0), (9.0, 9.0)),
            canned("torch", "nchw", "PyTorch", (4.0, 4.0), (4.0, 4.0)),
            canned("torch", "channels_last", "PyTorch", (2.0, 2.0), (2.0, 2.0)),
        ],
        others=0.01,
    )


def test_of_several_variants_the_fastest_counts():
    row = canned_row()
    assert row["ratios"].keys() == {"PyTorch"}
    found = row["ratios"]["PyTorch"]
    assert found["variant"] == "channels_last"
    np.testing.assert_allclose([found[k] for k in ("ratio", "q1", "q3")], (0.6, 0.55, 0.65))
    assert [(t["library"], t["variant"]) for t in row["times"]] == [
        ("npdsconv", "numba"),
        ("npdsconv", "im2col"),
        ("torch", "nchw"),
        ("torch", "channels_last"),
    ]
    assert row["times"][0].keys() == {
        "library",
        "variant",
        "column",
        "median",
        "q1",
        "q3",
        "best",
        "rounds",
        "samples",
    }
    assert json.loads(json.dumps(row)) == row


def test_a_line_says_who_is_faster():
    line = table.line(canned_row(), ["PyTorch", "ONNX Runtime"], 30)
    assert "1.20 s (1.00-1.40)" in line
    assert "2.00 s (2.00-2.00) channels_last" in line
    assert "0.60 (0.55-0.65)" in line
    assert line.split()[-2:] == ["npdsconv", "-"]
    head = table.header(["PyTorch", "ONNX Runtime"], ["numba"], 30)
    assert head.index("PyTorch") == line.index("2.00 s")
    assert head.index("ratio") == line.index("0.60 (")
    assert head.index("ONNX") == len(line) - 1
    assert table.winner({"ratio": 1.3, "q1": 1.2, "q3": 1.4}, "PyTorch, BN folded") == "PyTorch"
    assert table.winner({"ratio": 1.1, "q1": 0.9, "q3": 1.4}, "PyTorch") == "level"


def test_markdown_has_one_cell_for_each_column():
    lines = table.rows_as_markdown([canned_row()]).splitlines()
    assert len(lines) == 3
    assert {line.count("|") for line in lines} == {lines[0].count("|")} == {6}
    assert "**0.60** (0.55-0.65)" in lines[2]


# ---- workloads ----


def test_names_are_unique_and_sizes_are_what_the_issue_asks_for():
    rows = [*ops.workloads(), *roofline.workloads(), *training.workloads(epoch=True)]
    assert len({w.name for w in ops.workloads()}) == len(ops.workloads())
    assert all(json.loads(json.dumps(w.as_dict())) == w.as_dict() for w in rows)
    large = [w for w in ops.workloads() if w.name.startswith("large")]
    assert large
    assert all(w.bytes > 64e6 for w in large)
    sizes = {n: sum(p.value.size for p in workloads.network(n).parameters()) for n in NETWORKS}
    assert sizes["separable_cnn"] == 36298
    assert sizes["separable_cnn ×0.41"] == 7342


def test_costs_are_counted_by_hand():
    one = op("depthwise", "dx", (2, 6, 8, 10), stride=2)
    assert (one.flops, one.bytes) == (2 * 2 * 6 * 4 * 5 * 9, 4 * (2 * 6 * 80 + 2 * 6 * 20))
    two = op("separable", "both", (2, 6, 8, 10), outputs=4, kernel=5)
    assert two.flops == 3 * 2 * (2 * 80 * 6 * (25 + 4))
    three = op("max_pool", "both", (2, 6, 8, 10), kernel=2, stride=2)
    assert (three.flops, three.bytes) == (None, 4 * (2 * (960 + 240) + 960))


SMALL_OPS = [
    *(op("depthwise", part, (2, 4, 7, 6), stride=2, kernel=5) for part in workloads.PARTS),
    *(op("standard", part, (2, 4, 7, 6), outputs=3) for part in workloads.PARTS),
    *(op("pointwise", part, (2, 4, 7, 6), outputs=3, kernel=1) for part in workloads.PARTS),
    *(op(name, "both", (2, 4, 7, 6), kernel=1) for name in ("batch_norm", "relu", "global_avg_pool")),
    *(op(name, "both", (2, 4, 6, 8), kernel=2, stride=2) for name in ("max_pool", "avg_pool")),
    op("block", "both", (2, 4, 7, 6), outputs=3),
]


@pytest.mark.parametrize("variant", ["nchw", "channels_last"])
@pytest.mark.parametrize("workload", SMALL_OPS, ids=lambda w: w.name)
def test_both_sides_compute_the_same(torch, workload, variant):
    mine, theirs = own.build(workload, "im2col")(), with_torch.build(workload, variant)()
    mine = [a for a in (mine if isinstance(mine, tuple) else (mine,)) if a is not None]
    theirs = [a for a in (theirs if isinstance(theirs, tuple) else (theirs,)) if a is not None]
    assert len(mine) == len(theirs) >= 1
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b.numpy().reshape(a.shape), rtol=1e-4, atol=2e-5)


def small_network(monkeypatch, name):
    """The network, with fewer and smaller images."""
    function, settings, (c, _, _), _ = NETWORKS[name]
    monkeypatch.setitem(NETWORKS, name, (function, settings, (c, 32, 32), 3))
    return workloads.network(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twins_have_the_same_layers_and_weights(torch, monkeypatch, name):
    model = small_network(monkeypatch, name)
    rng = np.random.default_rng(5)
    for key, buffer in model.named_buffers():
        buffer.value += rng.random(buffer.value.shape, np.float32) * (1 if key.endswith("var") else 0.1)
    own.set_impl(model, "im2col")
    twin = with_torch.twin(model)
    assert sum(p.numel() for p in twin.parameters()) == sum(p.value.size for p in model.parameters())
    x = rng.random((2, *NETWORKS[name][2]), np.float32)
    twin.eval()
    with torch.no_grad():
        expected, folded = (
            twin(torch.from_numpy(x)).numpy(),
            with_torch.folded(twin)(torch.from_numpy(x)).numpy(),
        )
    np.testing.assert_allclose(model(x), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(folded, expected, rtol=1e-3, atol=1e-4)


def test_the_training_steps_lose_the_same(torch, monkeypatch):
    small_network(monkeypatch, "separable_cnn ×0.41")
    workload = on_network("separable_cnn ×0.41", "train")
    mine, theirs = own.build(workload, "im2col"), with_torch.build(workload, "channels_last")
    losses = np.array([(mine(), theirs()) for _ in range(3)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=2e-3)
    assert losses[2, 0] < losses[0, 0]


def test_a_layer_without_a_twin_is_told(torch):
    from npdsconv.layers import Conv2d, Dropout

    with pytest.raises(TypeError, match="no PyTorch twin of a Dropout"):
        with_torch.twin(Dropout(0.5))
    with pytest.raises(TypeError, match="padding 'same' has no PyTorch twin"):
        with_torch.twin(Conv2d(2, 3, 3, padding="same"))
    with pytest.raises(TypeError, match="no ONNX form of a Dropout"):
        with_onnxruntime.export(Dropout(0.5), (1, 2, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_onnx_graph_computes_the_same(monkeypatch, name):
    reference = pytest.importorskip("onnx.reference")
    model = small_network(monkeypatch, name)
    own.set_impl(model, "im2col")
    x = np.random.default_rng(0).random((2, *NETWORKS[name][2]), np.float32)
    from onnx import load_from_string

    graph = load_from_string(with_onnxruntime.export(model, NETWORKS[name][2]))
    (y,) = reference.ReferenceEvaluator(graph).run(None, {"x": x})
    np.testing.assert_allclose(model(x), y, rtol=1e-3, atol=1e-4)


# ---- processes ----


def test_a_process_answers_and_passes_errors_on():
    with Process("npdsconv", 1) as process:
        assert process.versions.keys() == {"npdsconv"}
        took = process.ask("build", slot="a", workload=TINY.as_dict(), variant="im2col")
        assert took.keys() == {"first", "call"}
        block = process.ask("run", slot="a", samples=4, calls=2, lead_in=True)
        assert len(block) == 4
        assert all(seconds > 0 for seconds in block)
        depthwise = op("depthwise", "forward", (1, 2, 3, 4)).as_dict()
        with pytest.raises(ValueError, match="impl must be one of"):
            process.ask("build", slot="b", workload=depthwise, variant="none such")
        process.ask("drop")
        with pytest.raises(ChildProcessError, match=r"^KeyError: 'a'$"):
            process.ask("run", slot="a", samples=1, calls=1, lead_in=False)


def test_a_process_that_dies_is_told():
    process = Process("machine", 1)
    process._process.kill()
    with pytest.raises(ChildProcessError, match=r"runs machine ended with exit code -?\d+"):
        process.ask("measure", what="copy")
    process.close()


def test_threads_beyond_the_cores_are_refused_by_the_process():
    with pytest.raises(ValueError, match="n must be an int from 1 to"):
        Process("npdsconv", 10_000)


def test_no_other_library_is_imported_unless_named():
    program = (
        "import sys; from npdsconv.bench import running, worker, with_torch, with_onnxruntime, machine\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# ---- the machine ----


def test_others_share_is_what_is_busy_and_not_ours(monkeypatch):
    reads = iter([(100, 40, 1000), (190, 70, 1200), None])
    monkeypatch.setattr(quiet.Watch, "_read", lambda self: next(reads))
    watch = quiet.Watch([])
    assert watch.others() == (90 - 30) / 200
    assert watch.others() is None


def test_quietness_is_unknown_where_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(quiet, "_STAT", tmp_path / "none")
    assert quiet.Watch([]).others() is None


def test_the_ceilings_are_figures(monkeypatch):
    monkeypatch.setattr(machine, "COPIED", 1 << 12)
    monkeypatch.setattr(machine, "PRODUCT", 8)
    assert machine.copy_bandwidth(2)["bytes_per_second"] > 0
    assert machine.peak_flops(1)["flops_per_second"] > 0


def test_where_an_op_lies_under_the_roof():
    row = {"flops": 2_000, "bytes": 1_000, "times": [{"median": 1e-6}]}
    ceiling = {"flops_per_second": 8e9, "bytes_per_second": 1e9}
    found = roofline.attained(row, ceiling)
    expected = {"intensity": 2.0, "flops_per_second": 2e9, "bytes_per_second": 1e9, "share": 1.0}
    assert found == pytest.approx(expected)


@pytest.mark.skipif(not peak_memory.available(), reason="only Linux tells the peak memory")
def test_growth_sees_what_a_call_holds_at_its_highest():
    program = (
        "import numpy as np; from npdsconv import peak_memory\n"
        "def call():\n    a = np.ones(5_000_000); b = a + 1; del a; c = b + 1; del b, c\n"
        "print(peak_memory.growth(call)['growth'])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert 78e6 < int(done.stdout) < 90e6  # two arrays of 40 MB at a time, never three


@pytest.mark.skipif(not peak_memory.available(), reason="only Linux tells how much memory is free")
def test_free_memory_is_between_nothing_and_all():
    assert 1e6 < peak_memory.free() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_step_of_any_network_can_be_asked_for():
    settings = {"model": "small_cnn", "options": {"in_channels": 2, "classes": 3, "size": 8}}
    settings |= {"batch": 30, "shape": [2, 8, 8]}
    step = own.build(Workload("any", "train", settings), "im2col")
    assert step() > step() > step() > 0  # a label beyond the three classes would be refused


def test_memory_says_where_it_cannot_be_measured(monkeypatch, capsys):
    monkeypatch.setattr(peak_memory, "available", lambda: False)
    with pytest.raises(OSError, match="only Linux"):
        peak_memory.growth(lambda: None)
    assert training.peaks([], 1, [on_network("separable_cnn ×0.41", "train")]) == []


# ---- the command ----


def call(capsys, *argv):
    code = cli.main(["bench", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


QUICK = ["--seconds", "0.01", "--impl", "im2col", "--threads", "1", "--json"]


def test_ops_end_with_one_json_object(capsys, monkeypatch):
    monkeypatch.setattr(
        ops, "workloads", lambda: [TINY, op("max_pool", "both", (2, 3, 4, 6), kernel=2, stride=2)]
    )
    code, out, err = call(capsys, "ops", *QUICK, "--only", "relu")
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
    code, out, _ = call(capsys, "train", *QUICK)
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
    report = json.loads(call(capsys, "train", *QUICK, "--against", "torch")[1].splitlines()[-1])
    (row,) = report["train"]["rows"]
    assert row["ratios"].keys() == {"PyTorch", "PyTorch as installed"}
    assert len(row["times"]) == 5
    arena = measuring.Arena(["torch"], 1, keep=False)
    assert arena.columns("train") == ["PyTorch"], "where nobody keeps memory, there is one condition only"


def test_against_torch(torch, capsys, monkeypatch):
    monkeypatch.setattr(ops, "workloads", lambda: [TINY])
    code, out, err = call(capsys, "ops", *QUICK, "--against", "torch")
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
    code, out, err = call(capsys, *QUICK[:-1], "--out", tmp_path / "new" / "out")
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
    code, out, _ = call(capsys, "scaling", "--threads", 3, 1, "--only", "kernel", "--json", "--out", folder)
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
        (["ops", "--seconds", "0"], "--seconds must be above 0, got 0"),
        (["ops", "--seconds", "nan"], "--seconds must be above 0, got nan"),
        (["ops", "--threads", "0"], "--threads must be from 1 to"),
        (["ops", "--threads", "1", "99999"], "got 99999"),
        (["ops", "inference", "--only", "x"], "unrecognized arguments: inference"),
        (["train", "--only", "no such row"], "no row of train contains 'no such row'"),
    ],
)
def test_bad_input_gives_one_clear_line_and_exit_code_2(capsys, argv, message):
    code, _, err = call(capsys, *argv)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", opponents.OPPONENTS)
def test_a_missing_library_is_told_with_what_to_install(capsys, monkeypatch, name):
    real = importlib.util.find_spec
    needs = opponents.OPPONENTS[name].needs
    monkeypatch.setattr(importlib.util, "find_spec", lambda m, *a: None if m in needs else real(m, *a))
    code, _, err = call(capsys, "inference", "--against", name)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert f"--against {name} needs" in err
    assert opponents.OPPONENTS[name].install in err


def test_results_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="bench: cannot write"):
        running.write({"machine": {}}, str(tmp_path / "file" / "below"))


def test_a_workload_of_another_kind_is_refused():
    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="it does inference, not train"):
        with_onnxruntime.build(Workload("a", "train", {}), "folded")


def test_inference_is_that_of_the_folded_network(monkeypatch):
    small_network(monkeypatch, "separable_cnn ×0.41")
    model = own.set_impl(workloads.network("separable_cnn ×0.41"), "im2col")
    rng = np.random.default_rng(5)
    for _, buffer in model.named_buffers():
        buffer.value += rng.random(buffer.value.shape, np.float32)
    monkeypatch.setattr(workloads, "network", lambda name: model)
    seen = []
    real = own.models.fold_batch_norm
    monkeypatch.setattr(own.models, "fold_batch_norm", lambda m: seen.append(real(m)) or seen[-1])
    workload = on_network("separable_cnn ×0.41", "inference", batch=3)
    y = own.build(workload, "im2col")()
    x, _ = workloads.batch_of_images(workload.settings)
    np.testing.assert_allclose(y, model(x), rtol=1e-3, atol=1e-4)
    assert not any(isinstance(layer, BatchNorm2d) for layer in seen[0].modules())
