"""Kernels in several threads and processes: two callers at once, pools, forks, and a cache that is shared or harmed.

Everything runs in fresh processes with the smallest of kernels and a cache of their own. What takes long is done where
NPDSCONV_LONG_TESTS is set.
"""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numba
import pytest
from helpers import fresh

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="without the JIT there are no kernels")
LONG = bool(os.environ.get("NPDSCONV_LONG_TESTS"))
long = pytest.mark.skipif(not LONG, reason="takes long; NPDSCONV_LONG_TESTS=1 runs it")

MODULE = """
import multiprocessing, os, sys, threading
import numpy as np
from npdsconv.kernels.machine.jit import kernel, prange

@kernel
def triple(x, y):
    for k in prange(x.shape[0]):
        for _ in range(200):
            y[k] = 3 * x[k]

def tripled(seed, dtype=np.float64):
    x = np.random.default_rng(seed).standard_normal(20_000).astype(dtype)
    y = np.full_like(x, np.nan)
    triple(x, y)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, dtype(3) * x)
    return seed

def in_a_pool(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(tripled, range(6))

def in_threads():
    wrong = []
    def work(start):
        try:
            for seed in range(start, start + 60):
                tripled(seed)
        except BaseException as error:
            wrong.append(repr(error))
    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1000)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return wrong
"""


@pytest.fixture
def program(tmp_path):
    """Run code in a new Python beside the module above; what the last line says, which is JSON."""
    (tmp_path / "own_module.py").write_text(MODULE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    given = {"NUMBA_CACHE_DIR": tmp_path / "cache", "NUMBA_NUM_THREADS": 2, "PYTHONPATH": path}

    def run(code, *options, **changes):
        code = f"import json, own_module\nfrom own_module import *\n{code}"
        return json.loads(fresh(code, *options, **given, **changes)[-1])

    return run


def layers():
    """The threading layers of Numba that this machine has."""
    found = []
    for layer in ("omp", "tbb", "workqueue"):
        code = f"import numba; numba.config.THREADING_LAYER = {layer!r}\ntry: numba.get_num_threads(); "
        code += "print('yes')\nexcept ValueError: print('no')"
        if fresh(code)[-1] == "yes":
            found.append(layer)
    return found


@pytest.fixture(scope="module", params=("omp", "workqueue"))
def layer(request):
    if request.param not in layers():
        pytest.skip(f"the threading layer {request.param} is not on this machine")
    return request.param


def test_two_threads_may_call_at_once(program, layer):
    """Numba's workqueue ends the process when two of them launch at the same time."""
    assert program("print(json.dumps(in_threads()))", NUMBA_THREADING_LAYER=layer) == []


@long
def test_a_pool_of_fresh_processes_works_after_a_kernel_has_run(program, layer):
    code = "if __name__ == '__main__': tripled(0); print(json.dumps(in_a_pool('spawn')))"
    assert program(code, NUMBA_THREADING_LAYER=layer) == list(range(6))


FORK = """
tripled(0)
try:
    outcome = in_a_pool("fork")
except RuntimeError as error:
    outcome = str(error)
print(json.dumps(outcome))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_pool_of_forks_after_a_kernel_works_or_says_what_to_do(program, layer):
    """GNU's OpenMP would end each of them, and the pool start another one, for ever."""
    found = program(FORK, "-W", "ignore", NUMBA_THREADING_LAYER=layer)
    if layer == "workqueue":
        assert found == list(range(6))
    else:
        assert found.startswith("compiled kernels cannot run in a process that was forked after one had run")
        assert "spawn" in found


@long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_forks_before_the_first_kernel_work(program, layer):
    code = "print(json.dumps(in_a_pool('fork')))"
    assert program(code, "-W", "ignore", NUMBA_THREADING_LAYER=layer) == list(range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_fork_while_another_thread_holds_the_launch(program):
    """The lock is another one in the child: it does not wait for a thread that is not there."""
    code = """
from npdsconv.kernels.machine import jit
with jit._LAUNCH:
    child = os.fork()
    if child == 0:
        signal_alarm = __import__("signal").alarm(50)
        tripled(1)
        os._exit(0)
    print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""
    code_of_the_child = program(code, "-W", "ignore")
    assert code_of_the_child == 0, f"signal {-code_of_the_child}, where {signal.SIGALRM} means that it waited"


# ---- the cache ----

HITS = """
for dtype in (np.float64, np.float32):
    tripled(1, dtype)
stats = triple.compiled.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


@long
def test_six_processes_start_with_an_empty_cache(program, tmp_path):
    """Half of them with the one dtype first: the code of one must never be taken for that of the other."""
    turned = HITS.replace("np.float64, np.float32", "np.float32, np.float64")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(program, [HITS, turned] * 3))
    assert all(sum(hits) == 2 for hits in found)
    assert program(HITS)[0] >= 1, "what they left is whole; an entry of the index may have been lost"
    assert program(HITS) == [2, 0]
    assert not list((tmp_path / "cache").rglob("*.tmp.*"))


FLIP = """
import random
from npdsconv.kernels.machine import jit
rng = random.Random(SEED)
files = sorted(jit.cache_folder().rglob("*.nb?"))
for path in files if rng.random() < 0.5 else [rng.choice(files)]:
    raw = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 50))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)
"""


@pytest.mark.parametrize("seed", range(40 if LONG else 1))
def test_flipped_bits_are_compiled_anew(program, seed):
    """A flip in compiled code would run; it is found by the digest, and the numbers are right."""
    assert program(HITS) == [0, 2]
    hits, misses = program(FLIP.replace("SEED", str(seed)) + HITS)
    assert (hits < 2, hits + misses) == (True, 2)
    assert program(HITS) == [2, 0], "healed"


@long
def test_a_cache_folder_that_goes_away_while_it_is_used(program):
    code = """
import shutil
from npdsconv.kernels.machine import jit
tripled(1)
shutil.rmtree(jit.cache_folder())
"""
    assert program(code + HITS) == [0, 2]


@long
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v2", "haswell"])
def test_the_code_of_an_older_processor_is_right_and_kept_apart(program, cpu):
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the names are those of x86")
    assert program(HITS) == [0, 2]
    assert program(HITS, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == [0, 2], "compiled for it anew"
    assert program(HITS, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == [2, 0]
    assert program(HITS) == [2, 0]
