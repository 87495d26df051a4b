"""Whatever the terminal, the environment and the moment: a command works, or ends with one line and no traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest
from helpers import call, fresh

from npdsconv import checkpoint, cli, data, disk, environment, signals, train
from npdsconv.runs import processes

posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


def command(*argv, code=None, **changes):
    """Run `python -m npdsconv` to its end: exit code, standard output and standard error as bytes."""
    env = {k: v for k, v in (os.environ | changes).items() if v is not None}
    program = [sys.executable, "-m", "npdsconv", *argv] if code is None else [sys.executable, "-c", code]
    done = subprocess.run(program, capture_output=True, env=env, timeout=120)
    return done.returncode, done.stdout, done.stderr


# ---- characters ----

EVERYTHING = """
import sys
from npdsconv import cli
for argv in (["train", "--help"], ["bench", "--help"], ["data"], ["complexity", "small_cnn"], ["--version"]):
    try:
        code = cli.main(argv)
    except SystemExit as stop:
        code = stop.code
    assert code == 0, argv
assert cli.main(["complexity", "small_cnn", "--input", "1x8x12"]) == 2
assert cli.main(["predict", "gr\\xf6\\xdfe \\u4e94 \\udcff.png"]) == 2
print("ready \\u2026 \\u00d7")
"""
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C, without UTF-8 mode": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": None,
    },
    "UTF-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.parametrize("kind", TERMINALS)
def test_every_command_works_on_every_terminal(kind):
    """What it cannot show is a question mark; a name that is no text at all, too, and that on UTF-8 as well."""
    code, out, err = command(code=EVERYTHING, **TERMINALS[kind])
    assert code == 0, err
    assert b"Traceback" not in err
    last = out.splitlines()[-1].decode("utf-8")
    assert last == ("ready … ×" if kind == "UTF-8" else "ready ? ?")


def test_a_standard_output_that_cannot_be_written_is_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no device that is full")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "npdsconv", "data"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"npdsconv: error: No space left on device\n")


def test_an_error_is_one_line_whatever_is_in_it(capsys, monkeypatch):
    def failing(args):
        raise ValueError("first\nsecond\x1b[2J\x07 ×")

    monkeypatch.setattr("npdsconv.cli.data.run", failing)
    assert call(capsys, "data")[::2] == (2, "npdsconv: error: first second\\x1b[2J\\x07 ×\n")


def test_too_little_memory_is_one_line(capsys, monkeypatch):
    def failing(args):
        raise MemoryError("Unable to allocate 9 EiB")

    monkeypatch.setattr("npdsconv.cli.data.run", failing)
    assert call(capsys, "data")[::2] == (2, "npdsconv: error: too little memory: Unable to allocate 9 EiB\n")


# ---- the environment ----


@pytest.mark.parametrize("text", ["abc", "", "0", "-3", "2.5", "1e3"])
def test_a_number_of_threads_that_is_none(monkeypatch, text):
    monkeypatch.setenv("NUMBA_NUM_THREADS", text)
    with pytest.raises(ValueError, match="NUMBA_NUM_THREADS must be a whole number of at least 1, got '"):
        environment.threads()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert environment.threads() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert environment.threads() is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"NUMBA_NUM_THREADS": "abc"},
            b"NUMBA_NUM_THREADS must be a whole number of at least 1, got 'abc'\n",
        ),
        (
            {"NUMBA_OPT": "fast"},
            b"Environment variable 'NUMBA_OPT' is defined but its associated value 'fast' could",
        ),
    ],
)
def test_a_variable_of_numba_that_cannot_be_read_is_one_line(changes, message):
    """Numba itself warns with a traceback, or fails when the first kernel is called."""
    code, _, err = command("gradcheck", "relu", **changes)
    assert code == 2
    assert err.startswith(b"npdsconv: error: ")
    assert message in err
    assert err.count(b"\n") == 1


def test_a_cache_that_cannot_be_kept_is_said_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    code = "from npdsconv.kernels.machine import jit\nassert jit.cache_folder() is jit._make_folder() is None"
    code, _, err = command(code=code, NUMBA_CACHE_DIR=str(tmp_path / "file"), NUMBA_DISABLE_JIT="0")
    assert code == 0
    (line,) = err.splitlines()
    assert line.startswith(
        b"npdsconv: compiled kernels are not kept (Not a directory), so each process compiles anew"
    )


def test_a_user_without_a_home_has_no_cache(monkeypatch, tmp_path):
    """The system leaves a tilde where it knows no home: no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NPDSCONV_DATA_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: Path("~/.cache", name))
    with pytest.raises(OSError, match="there is no home folder: set HOME or XDG_CACHE_HOME"):
        disk.user_cache()
    with pytest.raises(OSError, match="there is no home folder"):
        data.load("mnist")
    assert list(tmp_path.iterdir()) == []


# ---- signals ----

BOTH = [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]


@posix
@pytest.mark.parametrize(("name", "code", "word"), BOTH)
def test_a_signal_while_the_package_is_being_imported(tmp_path, name, code, word):
    """A module that stands for NumPy sends it, so that it comes at the right moment."""
    (tmp_path / "numpy").mkdir()
    sends = f"import os, signal, time; os.kill(os.getpid(), signal.{name}); time.sleep(60)"
    (tmp_path / "numpy" / "__init__.py").write_text(sends)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert command("data", PYTHONPATH=path) == (code, b"", f"npdsconv: {word}\n".encode())


@posix
@pytest.mark.parametrize(("name", "code", "word"), BOTH)
def test_a_signal_while_a_command_works(capsys, monkeypatch, tmp_path, name, code, word):
    """In the middle of an epoch: the state after the last one is there, and what to do is said."""
    monkeypatch.chdir(tmp_path)
    step, steps = train.steps.Step.__call__, [0]

    def interrupted(*args):
        steps[0] += 1
        if steps[0] == 4:
            os.kill(os.getpid(), getattr(signal, name))
            time.sleep(60)
        return step(*args)

    monkeypatch.setattr(train.steps.Step, "__call__", interrupted)
    before = signal.getsignal(getattr(signal, name))
    settings = [
        "--width",
        "0.125",
        "--impl",
        "im2col",
        "--epochs",
        "3",
        "--hold-out",
        "3970",
        "--batch-size",
        "12",
    ]
    found, _, err = call(capsys, "train", *settings, "--out", "run")
    assert found == code
    assert err.splitlines()[-2].endswith("continue with: npdsconv train --resume --out run")
    assert err.splitlines()[-1] == f"npdsconv: {word}"
    assert checkpoint.load("run/checkpoint.npz").meta["epoch"] == 1
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"checkpoint.npz", "config.json", "metrics.csv"}
    assert signal.getsignal(getattr(signal, name)) == before


@posix
def test_a_signal_that_a_library_turns_into_another_error_or_cannot_pass_on():
    def other_error():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("the library's own") from None

    class Finaliser:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    def lost():
        Finaliser()
        time.sleep(60)

    for interrupted in (other_error, lost):
        with pytest.raises(signals.Ended) as caught, signals.raised():
            interrupted()
        assert signals.code(caught.value) == 143
    with pytest.raises(RuntimeError, match="of its own"), signals.raised():
        raise RuntimeError("of its own, and no signal came")


@posix
def test_a_signal_that_is_ignored_stays_so():
    """As under nohup, or in a shell's background."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals.raised():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_program_that_imports_the_package_keeps_its_handlers():
    look = "import json, signal; handler = lambda: str(signal.getsignal(signal.SIGTERM))"
    lines = fresh(
        f"{look}\nbefore = handler()\nimport threading, npdsconv.cli\n"
        "thread = threading.Thread(target=npdsconv.cli.main, args=(['data'],)); thread.start(); thread.join()\n"
        "print(json.dumps([before, handler()]))"
    )
    before, after = json.loads(lines[-1])
    assert before == after
    assert cli.COMMANDS["data"] in " ".join(lines) or "4,000 digits" in " ".join(lines), (
        "it works in any thread"
    )


@posix
def test_a_second_process_ends_with_the_first():
    """However the first ended: what it notices is that nobody holds its standard input any more."""
    code = "from npdsconv.runs import processes; processes.end_with_parent(); print('up', flush=True)\n"
    code += "import time; time.sleep(60)"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    second = subprocess.Popen(
        [sys.executable, "-c", code], env=processes.environment(with_parent=True), **pipes
    )
    assert second.stdout.readline() == b"up\n"
    assert second.poll() is None
    second.stdin.close()
    assert second.wait(timeout=30) == 1
    second.stdout.close()
