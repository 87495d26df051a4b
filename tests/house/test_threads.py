"""Threads: the same bits for any number of them, one launch at a time, and BLAS as the user left it.

What depends on how many threads a process starts with, or might abort it, runs in a fresh process.
"""

import ast
import json
import os
from pathlib import Path

import numba
import pytest
from helpers import fresh, load, threaded

import npdsconv
from npdsconv import kernels
from npdsconv.kernels.machine import jit


def last(code, **environment):
    """What the last line of a new Python says, which is JSON."""
    return json.loads(fresh(code, **environment)[-1])


# Sizes are such that every kernel has several pieces of work, and its partial sums several terms.
TRAIN = """
import hashlib, json, sys
import numpy as np
import npdsconv
from npdsconv.models import separable_cnn
from npdsconv.optim import Adam
from npdsconv.train import train_step

def weights_after(steps, threads, seed=0):
    npdsconv.set_num_threads(threads)
    model = separable_cnn(width=0.25, dropout=0.1, rng=seed)
    optimizer = Adam(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        x, labels = rng.random((16, 1, 20, 18), np.float32), rng.integers(0, 10, 16)
        train_step(model, x, labels, optimizer)
    state = model.state_dict()
    assert all(np.isfinite(value).all() for value in state.values())
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()
"""


@threaded
def test_the_same_bits_for_any_number_of_threads():
    """Fifty training steps; one of two processes may use more threads than there are cores."""
    runs = "print(json.dumps([weights_after(50, n) for n in {}] + [weights_after(2, 1, seed) for seed in (0, 1)]))"
    one = last(TRAIN + runs.format([1]), NUMBA_NUM_THREADS=1)
    two = last(TRAIN + runs.format([2, 1]), NUMBA_NUM_THREADS=2)
    four = last(TRAIN + runs.format([4]), NUMBA_NUM_THREADS=4)
    assert len(set(one)) == 3, "the hash sees a difference"
    assert two == [one[0], *one]
    assert four == one


def test_set_num_threads_checks_its_argument(monkeypatch):
    monkeypatch.setattr(jit, "_num_threads", None)
    most = numba.config.NUMBA_NUM_THREADS
    for n in (0, -1, most + 1, 1.0, "2", True, None):
        with pytest.raises(
            ValueError, match=rf"set_num_threads: n must be an int from 1 to {most}, got {n!r} "
        ):
            npdsconv.set_num_threads(n)
    assert npdsconv.get_num_threads() == numba.get_num_threads()
    for n in range(1, most + 1):
        npdsconv.set_num_threads(n)
        assert npdsconv.get_num_threads() == n


WHO = """
import json
import numba, numpy as np
import npdsconv
from npdsconv.kernels.machine.jit import kernel, prange

@kernel
def who(seen):
    for k in prange(seen.shape[0]):
        seen[k] = numba.get_num_threads()

def threads(n=None):
    if n is not None:
        npdsconv.set_num_threads(n)
    seen = np.zeros(8, np.int64)
    who(seen)
    return sorted(set(seen.tolist()))
"""


@threaded
def test_kernels_run_on_as_many_threads_as_was_said(tmp_path):
    (tmp_path / "own_kernel.py").write_text(WHO)  # in a file: Numba cannot cache what was given by -c
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code = "from own_kernel import *\nprint(json.dumps([threads(), threads(2), threads(1), threads(3)]))"
    outcome = last(code, NUMBA_NUM_THREADS=3, PYTHONPATH=path, NUMBA_CACHE_DIR=tmp_path)
    assert outcome == [[3], [2], [1], [3]]


OPS_AND_BLAS = """
import json
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import npdsconv
from threadpoolctl import threadpool_info, threadpool_limits
from npdsconv import train
from npdsconv.layers import set_impl
from npdsconv.models import fold_batch_norm, separable_cnn
from npdsconv.optim import Adam

import scipy.linalg    # brings a BLAS of its own
def blas():
    return sorted(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

rng = np.random.default_rng(0)
x, labels = rng.random((6, 1, 10, 9), np.float32), rng.integers(0, 10, 6)
w = rng.random((7, 5), np.float32)
pixels = rng.random((3, 5, 4, 6), np.float32)
model = separable_cnn(width=0.25, rng=0)
optimizer = Adam(model.parameters())

def wrong():
    try:
        npdsconv.pointwise_conv2d(pixels, w.T)
    except ValueError:
        return
    raise AssertionError("this product does not exist")

def at_once():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda k: npdsconv.pointwise_conv2d(pixels, w), range(40)))

threadpool_limits(3, user_api="blas")
report = {"before": blas(), "after": {}}
for impl in ("numba", "im2col"):
    set_impl(model, impl)
    for name, call in {
        "training": lambda: train.train_step(model, x, labels, optimizer),
        "evaluation": lambda: train.evaluate(model, x, labels),
        "inference": lambda: fold_batch_norm(model)(x),
        "pointwise": lambda: npdsconv.pointwise_conv2d(pixels, w, impl=impl),
        "error": wrong,
        "two callers": at_once,
    }.items():
        call()
        report["after"][f"{name}, {impl}"] = blas()
print(json.dumps(report))
"""


def test_blas_is_as_the_user_left_it_after_every_kind_of_call():
    outcome = last(OPS_AND_BLAS, OPENBLAS_NUM_THREADS=4, NUMBA_NUM_THREADS=2)
    before = outcome["before"]
    if not before or max(before) == 1:
        pytest.skip("no BLAS here can be told how many threads to use")
    assert before == [3] * len(before)
    assert len(outcome["after"]) == 12
    assert {name: found for name, found in outcome["after"].items() if found != before} == {}


def test_no_kernel_calls_blas():
    """Read in the sources: two pools of threads fight for the cores, and the numbers would be right all the same."""
    tree = {
        p.name: ast.parse(p.read_text(encoding="utf-8")) for p in Path(kernels.__file__).parent.rglob("*.py")
    }
    compiled = [
        (name, node)
        for name, module in tree.items()
        for node in module.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d).split("(")[0] in ("kernel", "serial") for d in node.decorator_list)
    ]
    assert len(compiled) > 30
    for name, node in compiled:
        products = ("np.dot(", "np.matmul(", "np.linalg.", "np.vdot(", "np.inner(")
        assert not any(call in ast.unparse(node) for call in products), f"{name}: {node.name}"
        assert not any(isinstance(n, ast.MatMult) for n in ast.walk(node)), f"{name}: {node.name}"


@threaded
def test_a_kernel_wakes_no_more_threads_than_it_has_pieces(tmp_path):
    (tmp_path / "own_kernel.py").write_text(WHO.replace("@kernel", "@kernel(pieces=len)"))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code = """
from own_kernel import *
def seen_by(n):
    seen = np.zeros(n, np.int64)
    who(seen)
    return [sorted(set(seen.tolist())), numba.get_num_threads()]
npdsconv.set_num_threads(3)
print(json.dumps([seen_by(8), seen_by(2), seen_by(1), seen_by(0)]))
"""
    outcome = last(code, NUMBA_NUM_THREADS=3, PYTHONPATH=path, NUMBA_CACHE_DIR=tmp_path)
    assert outcome == [[[3], 3], [[2], 3], [[1], 3], [[], 3]]


TWO_CALLERS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import numba, numpy as np
import npdsconv

def block(seed, impl, times=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((6, 5, 9, 8), np.float32)
    d, p = rng.standard_normal((5, 1, 3, 3), np.float32), rng.standard_normal((7, 5), np.float32)
    for _ in range(times):
        y = npdsconv.depthwise_conv2d(x, d, impl=impl)
        y = npdsconv.pointwise_conv2d(y, p, impl=impl)
    return y

sys.setswitchinterval(1e-5)
with ThreadPoolExecutor(2) as pool:
    results = list(pool.map(lambda seed: block(seed, "numba", 40), range(4)))
for seed, result in enumerate(results):
    np.testing.assert_allclose(result, block(seed, "im2col"), 1e-4, 1e-4)
print(json.dumps(numba.threading_layer()))
"""


@threaded
def test_two_python_threads_may_call_at_once():
    """On the workqueue layer, which aborts the whole process when two launches meet."""
    assert last(TWO_CALLERS, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS=2) == "workqueue"


# ---- the script for the long check ----


@pytest.fixture
def same_bits():
    path = Path(__file__).parents[2] / "benchmarks" / "same_bits.py"
    if not path.exists():
        pytest.skip("an installed package has no benchmarks")
    return load(path)


def test_the_script_fails_when_one_run_differs(same_bits, monkeypatch, capsys):
    asked = []

    def run(layer, started, used, steps):
        asked.append((layer, started, used, steps))
        return {"sha256": "ab" if len(asked) != odd else "cd", "loss": 0.5, "layer": layer}

    monkeypatch.setattr(same_bits, "fresh", run)
    odd = None
    assert same_bits.check(2, 7)
    assert "the same bits in all 20 runs" in capsys.readouterr().out
    assert set(asked) == {(l, a, b, 7) for l in ("omp", "workqueue") for a, b in same_bits.THREADS}
    assert {b for _, b in same_bits.THREADS} == {1, 2, 4}
    asked, odd = [], 13
    assert not same_bits.check(2, 7)
    assert "2 different results in 20 runs: 19 runs ab, 1 runs cd" in capsys.readouterr().out
    monkeypatch.setattr(same_bits, "fresh", lambda *a: None)
    assert not same_bits.check(1, 7)
    assert capsys.readouterr().out.count("is not on this machine") == 2


@threaded
def test_the_script_trains_in_fresh_processes(same_bits):
    one, two = (same_bits.fresh("workqueue", 2, used, 2) for used in (1, 2))
    assert one == two
    assert one["layer"] == "workqueue"
    assert one["sha256"] != same_bits.fresh("workqueue", 2, 2, 3)["sha256"]
    with pytest.raises(ChildProcessError, match=r"workqueue, 3 of 2 threads: exit code 1\n"):
        same_bits.fresh("workqueue", 2, 3, 1)
