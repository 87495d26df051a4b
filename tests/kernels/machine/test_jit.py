"""The cache of compiled code: one folder for each version of the kernels, healed when damaged, never required.

Tests that compile do so in a fresh process, with a cache of their own and the smallest of kernels.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import helpers
import numba
import pytest

from npdsconv.kernels.machine import jit

DAY = 24 * 3600.0
compiles = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled without the JIT")

# As small as a kernel can be: compiling takes half a second.
OWN_KERNEL = """
from npdsconv.kernels.machine.jit import kernel, prange, serial

@serial
def twice(x):
    return 2 * x

@kernel
def double(x, y):
    if x.shape[0] == 0:
        y[0] += 1
        raise ValueError("nothing to double")
    for k in prange(x.shape[0]):
        y[k] = twice(x[k])
"""

# `run` decorates the kernel anew, as a new process would, calls it, and says what its cache did.
PRELUDE = """
import importlib, json, os
import numba, numpy as np
from npdsconv.kernels.machine import jit
import own_kernel

def run():
    importlib.reload(own_kernel)
    x, y = np.arange(500.0), np.zeros(500)
    own_kernel.double(x, y)
    np.testing.assert_array_equal(y, 2 * x)
    stats = own_kernel.double.compiled.stats
    return [sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]

def files(pattern):
    folder = jit.cache_folder()
    return [] if folder is None else sorted(folder.rglob(pattern))

def report(*values):
    print(json.dumps([*values, str(jit.cache_folder()), len(files("*.nbi")), len(files("*.nbc"))]))
"""


@pytest.fixture
def fresh(tmp_path):
    """Run code in a new Python that has `own_kernel`; returns what it reports, and the cache folder and files."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "own_kernel.py").write_text(OWN_KERNEL)
    given = {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, "NUMBA_NUM_THREADS": 1}
    given["PYTHONPATH"] = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])

    def run(code, before="", **environment):
        lines = helpers.fresh(before + PRELUDE + code, "-W", "error", **{**given, **environment})
        return json.loads(lines[-1])

    return run


@compiles
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the user's cache is not named by XDG_CACHE_HOME"
)
def test_the_second_process_compiles_nothing(fresh, tmp_path):
    program = "missing = lambda: jit.is_missing(own_kernel.double)\nreport([missing(), run(), missing()])"
    outcome, folder, *files = fresh(program, XDG_CACHE_HOME=tmp_path)
    assert outcome == [True, [0, 1], False]
    assert files == [2, 2], "two functions, an index and the code of each"
    assert Path(folder).parent == tmp_path / "npdsconv" / "numba"
    assert fresh("report(run())", XDG_CACHE_HOME=tmp_path) == [[1, 0], folder, 2, 2]


HARM = """
run()
outcomes = []
for pattern, cut in (("*.double-*.nbi", 0), ("*.double-*.nbi", 90), ("*.double-*.nbc", 4000)):
    (path,) = files(pattern)
    path.write_bytes(path.read_bytes()[:cut])
    outcomes += [run(), run()]
# The function inside: its file is read while the kernel is being compiled, deep in Numba.
for path in files("*.double-*"):
    path.unlink()
for path in files("*.twice-*"):
    path.write_bytes(path.read_bytes()[:100])
run()
outcomes += [run()]
report(outcomes)
"""


@compiles
def test_what_is_damaged_is_compiled_again(fresh, tmp_path):
    """Truncated as by a crash: a miss, then a hit on the file that took its place."""
    outcomes, _, *files = fresh(HARM, NUMBA_CACHE_DIR=tmp_path)
    assert outcomes == [[0, 1], [1, 0]] * 3 + [[1, 0]]
    assert files == [2, 2]


FAIL = """
run()
before, runs = files("*"), np.zeros(1)
try:
    own_kernel.double(np.zeros(0), runs)
except ValueError as error:
    report([str(error), runs[0], files("*") == before])
"""


@compiles
def test_a_kernel_that_fails_is_not_run_again_and_costs_no_file(fresh, tmp_path):
    outcome, *_ = fresh(FAIL, NUMBA_CACHE_DIR=tmp_path)
    assert outcome == ["nothing to double", 1, True]


LEVELS = """
from numba.core import event
class Levels(event.Listener):
    seen = []
    def on_start(self, event):
        self.seen.append([event.data["dispatcher"].py_func.__name__, int(numba.config.OPT)])
    def on_end(self, event):
        pass
event.register("numba:compile", Levels())
def theirs(x):
    return x + 1
before = int(numba.config.OPT)
run()
numba.njit(theirs)(1)
report([before, int(numba.config.OPT), sorted(Levels.seen)])
"""


@compiles
def test_only_our_own_kernels_are_compiled_at_our_level(fresh, tmp_path):
    (before, after, seen), *_ = fresh(LEVELS, NUMBA_CACHE_DIR=tmp_path)
    assert before == after
    assert seen == [["double", min(2, before)], ["theirs", before], ["twice", min(2, before)]]


LIMIT_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
"""


@compiles
def test_numbas_checks_of_bounds_hold_for_kernels(fresh, tmp_path):
    """Else the run with them would show nothing."""
    call = """
x, said = np.arange(4.0), "nothing"
try:
    own_kernel.double(x, np.zeros(3))
except (IndexError, SystemError) as error:
    said = str(error.__cause__ or error)
report(said)
"""
    assert "index is out of bounds" in fresh(call, NUMBA_CACHE_DIR=tmp_path, NUMBA_BOUNDSCHECK=1)[0]


@compiles
@pytest.mark.parametrize("reason", ["not a folder", "no space"])
def test_where_nothing_can_be_written_there_is_no_cache(fresh, tmp_path, reason):
    """Root may write anywhere, so the folder is put below a file; a full disk is a limit on the size of files."""
    if reason == "no space":
        pytest.importorskip("resource")
        outcome, folder, *files = fresh("report(run())", before=LIMIT_FILES, NUMBA_CACHE_DIR=tmp_path)
    else:
        (tmp_path / "file").write_text("in the way")
        outcome, folder, *files = fresh("report(run())", NUMBA_CACHE_DIR=tmp_path / "file" / "cache")
    assert outcome[0] == 0
    assert folder == "None"
    assert files == [0, 0]


FULL_AFTER_IMPORT = """
import resource
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
first = run()
resource.setrlimit(resource.RLIMIT_FSIZE, before)
report([first, run(), run()])
"""


@compiles
def test_a_disk_that_fills_up_later_costs_the_cache_and_not_the_run(fresh, tmp_path):
    pytest.importorskip("resource")
    outcome, *_ = fresh(FULL_AFTER_IMPORT, NUMBA_CACHE_DIR=tmp_path)
    assert outcome == [[0, 1], [0, 1], [1, 0]]


@compiles
def test_processes_share_a_cache(tmp_path, fresh):
    """They compile, read and write the same files at the same time, ten times each."""
    code = """
for _ in range(10):
    for path in files("*.nb?"):
        path.unlink(missing_ok=True)
    run()
report(run())
"""
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda _: fresh(code, NUMBA_CACHE_DIR=tmp_path), range(3)))
    assert {sum(outcome) for outcome, *_ in outcomes} == {1}


# ---- the folder: no compiling ----


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A function from the text of a kernel to the cache folder for it."""
    sources = tmp_path / "kernels"
    (sources / "machine").mkdir(parents=True)
    monkeypatch.setattr(jit, "__file__", str(sources / "machine" / "jit.py"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))

    def folder(text):
        for older in (tmp_path / "cache").glob("npdsconv/*"):  # let twenty days pass
            os.utime(older, (older.stat().st_mtime - 20 * DAY,) * 2)
        (sources / "some.py").write_text(text)
        made = jit._make_folder()
        assert made.is_dir()
        return made

    return folder


def test_a_folder_is_named_after_the_text_of_the_kernels(versions, tmp_path):
    first = versions("x = 1")
    assert first.parent == tmp_path / "cache" / "npdsconv"
    assert len(first.name) == 16
    assert versions("x = 1") == first
    assert versions("x = 2") != first
    (tmp_path / "kernels" / "another.py").write_text("")
    assert versions("x = 1") != first


def test_three_versions_are_kept_and_all_of_the_last_thirty_days(versions):
    folders = [versions(f"x = {k}") for k in range(5)]
    (folders[4] / "compiled.nbc").write_text("")
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]
    versions("x = 2")  # used again, so now the newest
    assert versions("x = 5").exists()
    assert [folder.exists() for folder in folders] == [False, False, True, False, True]
    assert (folders[4] / "compiled.nbc").exists()


def test_many_versions_on_one_day_leave_each_other_alone(versions):
    """Three checkouts, all in use: a fourth must not take a cache away."""
    folders = []
    for k in range(6):
        folders.append(versions(f"x = {k}"))
        for folder in folders:
            os.utime(folder)
    assert all(folder.exists() for folder in folders)


def test_what_others_put_there_is_left_alone(versions, tmp_path):
    """NUMBA_CACHE_DIR belongs to every program that uses Numba."""
    theirs = tmp_path / "cache" / "0123456789abcdef"
    theirs.mkdir(parents=True)
    os.utime(theirs, (1, 1))
    for k in range(5):
        versions(f"x = {k}")
    assert theirs.exists()


def test_numbas_own_setting_is_restored():
    before = numba.config.CACHE_DIR

    def nothing():
        pass

    jit.serial(nothing)
    jit.kernel(nothing)
    assert before == numba.config.CACHE_DIR
    with pytest.raises(ZeroDivisionError), jit._setting("CACHE_DIR", "elsewhere"):
        1 / (numba.config.CACHE_DIR != "elsewhere")
    assert before == numba.config.CACHE_DIR
