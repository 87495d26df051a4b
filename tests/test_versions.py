"""What runs here: `show_versions`, `--version`, and the commit that records of benchmarks name."""

import shutil
import subprocess

import numba
import numpy as np
import pytest

import npdsconv
from npdsconv import cli, versions
from npdsconv.bench import machine

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_show_versions_names_the_package_what_it_stands_on_and_the_machine(capsys):
    npdsconv.show_versions()
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["npdsconv"].split(",")[0] == npdsconv.__version__
    assert shown["numpy"] == np.__version__
    assert shown["numba"] == numba.__version__
    assert shown["cores"] == str(versions.cores())
    assert shown["processor"] == versions.processor()
    assert shown["threading"] == f"layer  {numba.threading_layer()}"
    assert {"python", "llvmlite", "matplotlib", "system", "folder", "compiled"} <= shown.keys()


def test_the_command_line_shows_the_same(capsys):
    npdsconv.show_versions()
    expected = capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == expected


def test_what_is_missing_is_said(monkeypatch):
    def none():
        raise ValueError("none can be loaded")

    monkeypatch.setattr(versions, "DEPENDENCIES", ("numpy", "no-such-package-here"))
    monkeypatch.setattr(numba, "threading_layer", none)
    found = versions.describe("1.2.3")
    assert found["no-such-package-here"] == "not installed"
    assert found["compiled for"] == "nothing: none can be loaded"


# ---- the commit ----


@pytest.fixture
def checkout(tmp_path):
    """A folder under git with a package of one committed file; returns (the package, a function that runs git)."""
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("x = 1\n")

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(package.parent), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return package, git


@needs_git
def test_a_checkout_has_a_commit(checkout):
    package, git = checkout
    first = git("rev-parse", "--short", "HEAD")
    assert versions.commit(package) == first
    (package.parent / "notes.txt").write_text("what lies beside the package changes nothing in it")
    assert versions.commit(package) == first
    git("commit", "-qm", "second", "--allow-empty")
    assert versions.commit(package) not in (None, first)


@needs_git
@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_changes_are_marked(checkout, name):
    package, git = checkout
    (package / name).write_text("x = 2\n")
    assert versions.commit(package) == git("rev-parse", "--short", "HEAD") + "+changes"


@needs_git
def test_a_package_installed_inside_a_checkout_has_none(checkout):
    package, _ = checkout
    installed = package.parent / "venv" / "package"
    installed.mkdir(parents=True)
    assert versions.commit(installed) is None


def test_where_git_cannot_say_there_is_none(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    package = tmp_path / "package"
    package.mkdir()
    assert versions.commit(package) is None  # no repository in it
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.commit(package) is None  # no git


def test_records_name_the_commit_or_the_version(monkeypatch):
    monkeypatch.setattr(machine, "commit", lambda: "abc1234+changes")
    assert machine.describe()["commit"] == "abc1234+changes"
    monkeypatch.setattr(machine, "commit", lambda: None)
    assert machine.describe()["commit"] == npdsconv.__version__
