"""Every argument of every command with values that make no sense: exit code 2 and one line, and nothing is left behind.

The arguments are read off the parsers, so that a new one is tested too.
"""

import argparse
import os

import pytest
from helpers import call

from npdsconv import cli

NUMBERS = ["", "x", "-1", "1e400", "nan", "-inf", "0x10", "1,5", "\u0663\u0664x", "9" * 5000, "1\n2"]
NAMES = ["", "a\nb", "\0", "a\x1b[2J", "\r", "x" * 5000, "no/such/place"]
# What a command cannot do without, before the argument that is tried. Small and in the NumPy tier, should one be taken.
BEFORE = {
    "train": ["--impl", "im2col", "--epochs", "1", "--width", "0.125", "--hold-out", "3990"],
    "complexity": ["small_cnn"],
    "data": ["mnist"],
    "bench": ["ops", "--seconds", "0.01", "--only", "nothing has this name"],
    "gradcheck": ["linear", "--impl", "im2col"],
}
EMPTY_IS_ALL = {"--classes", "--options", "--start", "--size"}
SENSIBLE = {
    # Any text is right: rows whose names contain it
    ("bench", "--only"),
    # The name of a file or folder that is not there yet
    *((command, "--out") for command in ("train", "finetune", "bench")),
    ("data", "--picture"),
    ("predict", "--save"),
}


def arguments():
    """(command, name, is it a number) of every argument that takes a value."""
    (commands,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if action.nargs == 0:
                continue
            name = action.option_strings[-1] if action.option_strings else ""
            yield command, name, action.type in (int, float) or name == "--input"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def assert_refused(capsys, tmp_path, argv):
    code, out, err = call(capsys, *argv)
    shown = [str(a)[:30] for a in argv]
    assert code == 2, f"{shown}: {out}"
    assert err.startswith("npdsconv: error: "), shown
    assert err.count("\n") == 1, f"{shown}: {err}"
    assert err[:-1].isprintable(), f"{shown}: {err!r}"
    assert out == "" or argv[0] == "predict", shown  # which has a table of what it left out
    assert list(tmp_path.iterdir()) == [], shown


FOUND = list(arguments())


def test_arguments_are_found():
    assert len(FOUND) > 40
    assert {command for command, *_ in FOUND} == set(cli.COMMANDS)
    assert ("train", "--lr", True) in FOUND
    assert ("predict", "", False) in FOUND


@pytest.mark.parametrize(("command", "name", "is_number"), FOUND, ids=lambda v: str(v) or "positional")
def test_a_value_that_makes_no_sense_is_one_line(capsys, tmp_path, command, name, is_number):
    values = NUMBERS if is_number else NAMES
    if name in EMPTY_IS_ALL:
        values = [value for value in values if value.strip()]
    if (command, name) in SENSIBLE:
        values = [] if name == "--only" else NAMES[:5]
    for value in values:
        start = BEFORE.get(command, []) if name else []
        if command == "predict" and name:
            start = ["no.png"]
        argv = [command, *start, *([f"{name}={value}"] if name else ["--", value])]
        assert_refused(capsys, tmp_path, argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--width", "1e9"],
        ["train", "--width", "1e300"],
        ["train", "--seed", "9" * 30],
        ["train", "--threads", "9" * 30],
        ["train", "--hold-out", "9" * 30],
        ["complexity", "mobilenet_v2", "--width", "1e9"],
        ["complexity", "small_cnn", "--input", "1x99999999x99999999"],
        ["complexity", "small_cnn", "--input", f"1x{'9' * 30}x{'9' * 30}"],
        ["complexity", "separable_cnn", "--classes", "9" * 20],
        ["bench", "ops", "--seconds", "nan"],
        ["bench", "ops", "--seconds", "1e400"],
        ["bench", "ops", "--threads", "9" * 30],
    ],
    ids=lambda argv: " ".join(argv)[:40],
)
def test_a_number_that_is_too_large_is_one_line(capsys, tmp_path, argv):
    assert_refused(capsys, tmp_path, [*argv, "--impl", "im2col"] if argv[0] == "train" else argv)


# ---- names of what is no file ----


@pytest.fixture
def pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes with names here")
    os.mkfifo(tmp_path / "pipe")
    yield "pipe"
    os.unlink(tmp_path / "pipe")


READ = [
    ["evaluate", "{}"],
    ["evaluate", "--run", "{}"],
    ["predict", "--run", "{}", "no.png"],
    ["predict", "{}"],
    ["data", "mnist", "--data-dir", "{}"],
    ["train", "--dataset", "mnist", "--impl", "im2col", "--data-dir", "{}"],
    ["train", "--resume", "--out", "{}"],
]
WRITTEN = [
    ["train", "--impl", "im2col", "--epochs", "1", "--out", "{}"],
    ["data", "mnist5k", "--picture", "{}"],
]


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "/dev/null", "folder"])
@pytest.mark.parametrize("argv", [*READ, *WRITTEN], ids=" ".join)
def test_what_is_no_file_is_refused_and_nobody_waits(capsys, tmp_path, request, argv, what):
    """A reader of a pipe would wait for ever, one of /dev/zero would never come to an end."""
    if "--picture" in argv and what not in ("pipe", "/dev/null"):
        pytest.skip("to draw takes long, and two are enough")
    if what == "folder":
        if argv[-2:] == ["--out", "{}"] and "--resume" not in argv:
            pytest.skip("a folder is what it should be")
        (tmp_path / "folder").mkdir()
    if what == "pipe":
        request.getfixturevalue("pipe")
    if what.startswith("/dev") and not os.path.exists(what):
        pytest.skip(f"there is no {what} here")
    before = sorted(tmp_path.iterdir())
    code, _, err = call(capsys, *(part.format(what) for part in argv))
    assert code == 2
    assert err.count("\n") == 1, err
    assert what in err
    assert sorted(tmp_path.iterdir()) == before
    assert not os.path.isfile(what), "a device is not replaced by a file"


def test_a_pipe_in_the_place_of_a_checkpoint_or_a_data_file(capsys, tmp_path, pipe):
    for name in ("checkpoint.npz", "train-images-idx3-ubyte"):
        os.mkfifo(tmp_path / name)
    for argv in (["evaluate", "."], ["predict", ".", "no.png"], ["train", "--resume", "--out", "."]):
        code, _, err = call(capsys, *argv)
        assert (code, "checkpoint.npz: it is a pipe, not a file" in err) == (2, True), err
    code, _, err = call(capsys, "train", "--impl", "im2col", "--out", ".")
    assert (code, "holds a run" in err) == (2, True)
    code, _, err = call(capsys, "data", "mnist", "--data-dir", ".")
    assert (code, "has neither train-images-idx3-ubyte nor" in err) == (2, True)
