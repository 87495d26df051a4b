"""The cache of compiled code: one folder for each version of the kernels, healed when damaged, never required.

Each test that compiles does so in a fresh process and takes one small kernel, ReLU's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from npdsconv.kernels import _jit

compiles = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled without the JIT")

# Runs ReLU on a newly decorated kernel, as a new process would, and says what the cache did.
PRELUDE = """
import importlib, json, sys
import numba, numpy as np
from npdsconv.kernels import _jit, elementwise

def run():
    importlib.reload(elementwise)
    x = np.linspace(-2, 3, 50_000, dtype=np.float32)
    np.testing.assert_array_equal(elementwise.clamp(x, 2.0), np.clip(x, 0, 2))
    stats = elementwise._clamp.compiled.stats
    return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())

def files(ending):
    return [] if _jit._FOLDER is None else sorted(_jit._FOLDER.rglob("*_clamp-*." + ending))
"""


def fresh(code, **environment):
    """Run PRELUDE and `code` in a new Python; return what its last line says, which is JSON."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=300,
        env=inherited | {"NUMBA_NUM_THREADS": "1"} | {k: str(v) for k, v in environment.items()},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


REPORT = """
print(json.dumps([*run(), str(_jit._FOLDER), len(files("nbi")), len(files("nbc"))]))
"""


@compiles
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the user's cache is not named by XDG_CACHE_HOME"
)
def test_the_second_process_compiles_nothing(tmp_path):
    hits, misses, folder, *files = fresh(REPORT, XDG_CACHE_HOME=tmp_path)
    assert (hits, misses) == (0, 1)
    assert files == [1, 1]
    assert Path(folder).parent == tmp_path / "npdsconv" / "numba"
    assert fresh(REPORT, XDG_CACHE_HOME=tmp_path) == [1, 0, folder, 1, 1]


DAMAGE = """
run()
outcomes = []
for ending, harm in (
    ("nbi", lambda data: b""),
    ("nbi", lambda data: data[: len(data) // 2]),
    ("nbc", lambda data: data[: len(data) // 2]),
    ("nbc", lambda data: bytes(len(data))),
):
    (path,) = files(ending)
    path.write_bytes(harm(path.read_bytes()))
    outcomes.append([run(), run(), len(files("nbi"))])
print(json.dumps(outcomes))
"""


@compiles
def test_a_damaged_file_is_wiped_and_compiled_again(tmp_path):
    """Truncated as by a full disk or a crash: one miss, then a hit on the file that replaced it."""
    assert fresh(DAMAGE, NUMBA_CACHE_DIR=tmp_path) == [[[0, 1], [1, 0], 1]] * 4


OWN_KERNEL = """
from npdsconv.kernels._jit import kernel, prange, serial

@serial
def twice(x):
    return 2 * x

@kernel
def double(x, y):
    for k in prange(x.shape[0]):
        y[k] = twice(x[k])
"""


@compiles
def test_a_damaged_function_inside_a_kernel_is_compiled_again(tmp_path):
    """Its file is read while the kernel that calls it is being compiled, deep inside Numba."""
    (tmp_path / "own_kernel.py").write_text(OWN_KERNEL)
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
import own_kernel
x, y = np.arange(5.0), np.zeros(5)
own_kernel.double(x, y)
for path in _jit._FOLDER.rglob("*.double-*"):
    path.unlink()
for path in _jit._FOLDER.rglob("*.twice-*"):
    path.write_bytes(path.read_bytes()[:100])
importlib.reload(own_kernel).double(x + 1, y)
print(json.dumps(y.tolist()))
"""
    assert fresh(code, NUMBA_CACHE_DIR=tmp_path / "cache") == [2, 4, 6, 8, 10]


@compiles
def test_a_mistake_in_the_call_is_still_reported(tmp_path):
    """Healing tries twice; an error of the kernel's own must come through."""
    (tmp_path / "own_kernel.py").write_text(OWN_KERNEL)
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
import own_kernel
try:
    own_kernel.double("abc", 1)
except numba.TypingError as error:
    print(json.dumps("cannot determine" in str(error).lower() or "no attribute" in str(error).lower() or str(error)))
"""
    assert fresh(code, NUMBA_CACHE_DIR=tmp_path / "cache") is True


LIMIT_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"


@compiles
@pytest.mark.parametrize("reason", ["not a folder", "no space"])
def test_where_nothing_can_be_written_there_is_no_cache(tmp_path, reason, monkeypatch):
    """Root may write anywhere, so the folder is put below a file; a full disk is a limit on the size of files."""
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "cache" if reason == "not a folder" else tmp_path
    if reason == "no space":
        pytest.importorskip("resource")
        monkeypatch.setattr(sys.modules[__name__], "PRELUDE", LIMIT_FILES + PRELUDE)
    assert fresh(REPORT, NUMBA_CACHE_DIR=folder) == [0, 0, "None", 0, 0]


# ---- the folder: no compiling ----


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A function from the text of a kernel to the cache folder for it."""
    sources = tmp_path / "kernels"
    sources.mkdir()
    monkeypatch.setattr(_jit, "__file__", str(sources / "_jit.py"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    clock = iter(range(1_000_000_000, 2_000_000_000))

    def folder(text):
        (sources / "some.py").write_text(text)
        made = _jit._cache_folder()
        assert made.is_dir()
        os.utime(made, (next(clock),) * 2)  # a second apart: some file systems keep no finer time
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


def test_three_versions_are_kept(versions):
    folders = [versions(f"x = {k}") for k in range(5)]
    (folders[4] / "compiled.nbc").write_text("")
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]
    versions("x = 2")  # used again, so now the newest
    assert versions("x = 5").exists()
    assert [folder.exists() for folder in folders] == [False, False, True, False, True]
    assert (folders[4] / "compiled.nbc").exists()


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

    _jit.serial(nothing)
    _jit.kernel(nothing)
    assert before == numba.config.CACHE_DIR
    with pytest.raises(RuntimeError, match="while decorating"), _jit._caching_here():
        assert str(_jit._FOLDER or "") == numba.config.CACHE_DIR
        raise RuntimeError("while decorating")
    assert before == numba.config.CACHE_DIR


def test_a_kernel_keeps_its_name_and_text():
    from npdsconv.kernels import norm

    assert norm._statistics.__name__ == "_statistics"
    assert norm._statistics.__module__ == "npdsconv.kernels.norm"
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    np.testing.assert_allclose(norm.statistics(x)[0], x.mean(axis=(0, 2, 3)), 1e-12)
