"""The processes that measure, the machine they run on, and the memory they see."""

import os

import pytest
from helpers import fresh

from npdsconv.bench import (
    machine,
    quiet,
    roofline,
    training,
)
from npdsconv.bench.process import Process
from npdsconv.bench.workloads import on_network, op
from npdsconv.runs import peak_memory

TINY = op("relu", "both", (2, 3, 5, 4))


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
    fresh(program)


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
        "import numpy as np; from npdsconv.runs import peak_memory\n"
        "def call():\n    a = np.ones(5_000_000); b = a + 1; del a; c = b + 1; del b, c\n"
        "print(peak_memory.growth(call)['growth'])"
    )
    (growth,) = fresh(program)
    assert 78e6 < int(growth) < 90e6  # two arrays of 40 MB at a time, never three


@pytest.mark.skipif(not peak_memory.available(), reason="only Linux tells how much memory is free")
def test_free_memory_is_between_nothing_and_all():
    assert 1e6 < peak_memory.free() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_memory_says_where_it_cannot_be_measured(monkeypatch, capsys):
    monkeypatch.setattr(peak_memory, "available", lambda: False)
    with pytest.raises(OSError, match="only Linux"):
        peak_memory.growth(lambda: None)
    assert training.peaks([], 1, [on_network("separable_cnn ×0.41", "train")]) == []
