"""Warming up: what it runs, that nothing is left to compile after it, and what the command says."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import npdsconv
from npdsconv import catalogue, cli, data, layers, models, optim, train
from npdsconv.catalogue import LayerRow, OpRow
from npdsconv.cli import warmup as command
from npdsconv.kernels.machine import jit
from npdsconv.runs import processes, warmup

compiles = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled without the JIT")


def compiled():
    """How many versions of each kernel exist in this process."""
    import importlib
    import pkgutil

    from npdsconv import kernels

    found = {}
    for module in pkgutil.walk_packages(kernels.__path__, "npdsconv.kernels."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if hasattr(value, "compiled"):
                found[module.name, name] = len(value.compiled.signatures)
    return found


@compiles
def test_nothing_is_left_to_compile_after_it():
    for _ in warmup.steps("float32"):
        pass
    before = compiled()
    assert sum(before.values()) > 10
    rng = np.random.default_rng(0)
    x = rng.random((3, 1, 28, 28), np.float32)
    labels = np.array([1, 0, 2])
    for build in (models.separable_cnn, models.small_cnn, models.mobilenet_v2):
        model = build(in_channels=1, classes=10, width=0.5, rng=1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        train.train_step(model, x, labels, optimizer)
        train.evaluate(model, x, labels)
    few = data.load("mnist5k").train.take(np.arange(0, 4000, 200))
    model = models.separable_cnn(width=0.25, stem_stride=2, rng=0)
    train.fit(model, few, optim.AdamW(model.parameters(), lr=0.01), epochs=1)
    strided = layers.DepthwiseConv2d(6, (3, 5), stride=(2, 1), padding="same", rng=rng)
    y, backward = strided.forward(rng.random((2, 6, 9, 8), np.float32), train=True)
    backward(y)
    assert {key: n for key, n in compiled().items() if n != before.get(key)} == {}


def test_steps_run_every_op_and_layer_in_the_wanted_dtype(monkeypatch):
    """Here in NumPy, which nothing has to be compiled for."""
    built, computed = [], []
    build, value = LayerRow.build, OpRow.value

    def in_numpy(row, setting, rng):
        built.append(layers.set_impl(build(row, setting, rng), "im2col"))
        return built[-1]

    def in_numpy_too(row, example, **options):
        computed.append((row.name, value(row, example, impl="im2col", **options)))
        return computed[-1][1]

    monkeypatch.setattr(LayerRow, "build", in_numpy)
    monkeypatch.setattr(OpRow, "value", in_numpy_too)
    gradients = OpRow.gradients
    monkeypatch.setattr(OpRow, "gradients", lambda *a, **how: gradients(*a, **how, impl="im2col"))
    names = [*warmup.op_steps("float64"), *warmup.layer_steps("float64")]
    assert len(names) == len(set(names))
    assert {name.split()[0] for name in names} == {
        *(row.name for row in catalogue.OPS if row.impls),
        *(row.name for row in catalogue.LAYERS),
    }
    assert [name for name, y in computed if y.dtype != np.float64] == []
    assert len(built) == sum(len(row.examples) for row in catalogue.LAYERS)
    assert {p.value.dtype.name for layer in built for p in layer.parameters()} == {"float64"}


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of float32, float64, got 'float16'"):
        next(warmup.steps("float16"))


def test_a_network_is_run_forward_backward_and_in_inference():
    model = models.separable_cnn(width=0.125, rng=0)
    layers.set_impl(model, "im2col")
    before = model.state_dict()
    names = list(warmup.model_steps(model, np.zeros((2, 1, 9, 9), np.uint8), np.array([0, 1])))
    assert names[0] == "Conv2d"
    assert names[-3:] == ["training step", "evaluation", "prediction"]
    assert sum(name.endswith("backward") for name in names) == len(model)
    assert model.state_dict().keys() == before.keys()


class Process:
    """Stands for the second process."""

    started, ended = [], []

    def __init__(self, command, **options):
        assert options["env"]["PYTHONPATH"].split(os.pathsep)[0] == str(Path(npdsconv.__file__).parents[1])
        self.started.append(command[2:])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def terminate(self):
        self.ended.append(self)


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(warmup.subprocess, "Popen", Process)
    monkeypatch.setattr(warmup.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(jit, "is_missing", lambda kernel: True)
    monkeypatch.setattr(Process, "started", [])
    monkeypatch.setattr(Process, "ended", [])
    return Process


def test_a_second_process_compiles_backward_and_ends_with_the_first(process):
    model = models.separable_cnn(width=0.125, rng=0)

    def interrupted():
        with warmup._helper(model) as helper:
            assert isinstance(helper, Process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert process.started == [["npdsconv.runs.processes.compile_block", "float32"]]
    assert len(process.ended) == 1


@compiles
def test_the_second_process_has_the_backward_of_a_block_and_no_more():
    """Of the kernel that takes long, one version; after that nothing is missing."""
    program = (
        "import runpy; from npdsconv.kernels import block\n"
        "runpy.run_module('npdsconv.runs.processes.compile_block', run_name='__main__')\n"
        "kernels = (block._forward, block._backward, block._infer)\n"
        "print([len(k.compiled.signatures) for k in kernels], block.backward_is_missing())"
    )
    command = [sys.executable, "-c", program, "float32"]
    done = subprocess.run(command, env=processes.environment(), check=True, capture_output=True, text=True)
    assert done.stdout == "[0, 1, 0] False\n"


@pytest.mark.parametrize("reason", ["no block", "NumPy", "one core", "compiled before"])
def test_no_second_process_where_it_has_nothing_to_do(reason, process, monkeypatch):
    model = models.small_cnn(rng=0) if reason == "no block" else models.separable_cnn(width=0.125, rng=0)
    if reason == "NumPy":
        layers.set_impl(model, "im2col")
    if reason == "one core":
        monkeypatch.setattr(warmup.os, "cpu_count", lambda: 1)
    if reason == "compiled before":
        monkeypatch.setattr(jit, "is_missing", lambda kernel: False)
    with warmup._helper(model) as helper:
        assert helper is None
    assert process.started == []


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A cache folder of its own, and two steps that write to it."""
    monkeypatch.setattr(command, "_folder", lambda: tmp_path)
    done = []

    def steps(dtype):
        yield "first"
        (tmp_path / f"{dtype}.nbc").touch()
        yield "second"
        done.append(dtype)

    monkeypatch.setattr(warmup, "steps", steps)
    return done


def test_the_second_run_says_that_all_is_cached(capsys, quick, tmp_path):
    assert cli.main(["warmup"]) == 0
    out = capsys.readouterr().out
    assert "compiling for float32 …" in out
    assert f"1 kernels compiled and cached in {tmp_path}" in out
    assert cli.main(["warmup"]) == 0
    assert f"everything was in the cache already: {tmp_path}" in capsys.readouterr().out
    assert quick == ["float32", "float32"]


def test_both_dtypes(capsys, quick):
    assert cli.main(["warmup", "--dtype", "both"]) == 0
    assert quick == ["float32", "float64"]
    assert "2 kernels compiled" in capsys.readouterr().out


def test_without_a_cache_it_says_how_to_get_one(capsys, quick, monkeypatch):
    monkeypatch.setattr(command, "_folder", lambda: None)
    assert cli.main(["warmup"]) == 0
    assert "set NUMBA_CACHE_DIR to one that can" in capsys.readouterr().out


def test_on_a_terminal_the_steps_pass_by(capsys, quick, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert cli.main(["warmup"]) == 0
    captured = capsys.readouterr()
    assert "compiling for float32: first" in captured.err
    assert "compiling for float32 … " in captured.out
