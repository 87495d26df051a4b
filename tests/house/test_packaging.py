"""What is said in two places agrees: versions, bounds, the steps of the gate; and what is shipped is complete."""

import ast
import configparser
import importlib.util
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import npdsconv

ROOT = Path(__file__).parents[2]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
EXTRAS = SETUP["options.extras_require"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def script(path):
    """A Python file outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bounds(requirements, sign):
    """{name: version} of the lines of a list of requirements that have this sign."""
    return dict(re.findall(rf"^([\w-]+){sign}([\w.]+)$", requirements, re.M))


# ---- the version ----


def test_setuptools_reads_the_version_without_importing_the_package():
    assert SETUP["metadata"]["version"] == "attr: npdsconv.__version__"
    assigned = [
        node.value.value
        for node in ast.parse(text("npdsconv/__init__.py")).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
    ]
    assert assigned == [npdsconv.__version__], "a literal, so that no NumPy is needed to build"


def test_who_states_the_version_agrees():
    assert re.search(r"^version: (.*)$", text("CITATION.cff"), re.M)[1] == npdsconv.__version__
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M)[1] == npdsconv.__version__


def test_the_installed_version_is_this_one():
    try:
        installed = metadata.version("npdsconv")
    except metadata.PackageNotFoundError:
        pytest.skip("run from a folder, not installed")
    assert installed == npdsconv.__version__, "install it again: pip install -e ."


# ---- dependencies ----


def test_the_lowest_dependencies_are_the_declared_ones():
    ours = text(".ci/lowest.txt").split("# Not ours")[0]
    declared = "\n".join([SETUP["options"]["install_requires"], EXTRAS["test"]])
    assert bounds(ours, "==") == bounds(declared, ">=")
    assert len(bounds(ours, "==")) == len(declared.split()), "each has a lower bound"


@pytest.mark.parametrize("tool", ["ruff", "mypy"])
def test_linters_are_pinned_to_one_version(tool):
    hooks = set(re.findall(rf"\b{tool}==([\w.]+)", text(".pre-commit-config.yaml")))
    assert hooks == {bounds(EXTRAS["dev"], "==")[tool]}


# ---- the gate ----

STEPS = re.findall(r"^#   (\w+)  ", text(".ci/run"), re.M)


def test_the_gate_explains_takes_and_has_the_same_steps():
    (taken,) = re.findall(r"^for step in \$\{\*:-(.*)\}; do$", text(".ci/run"), re.M)
    assert len(STEPS) > 5
    assert taken.split() == STEPS
    assert set(STEPS) <= set(re.findall(r"^(\w+)\(\) \{", text(".ci/run"), re.M))


@pytest.mark.parametrize("name", [".github/workflows/tests.yml", "CONTRIBUTING.md"])
def test_who_calls_the_gate_names_its_steps(name):
    calls = re.findall(r"\brun: ((?:--|[a-z])[a-z -]*)\}|`\.ci/run ([a-z ]+)`", text(name))
    named = {step for call in calls for step in "".join(call).split()} - {"--lowest"}
    assert named
    assert named <= set(STEPS)


# ---- what is shipped ----


def test_every_room_is_a_package():
    """setuptools finds packages by their __init__.py: a folder without one would not be in the wheel."""
    folders = {path.parent for path in (ROOT / "npdsconv").rglob("*.py")}
    assert [str(f) for f in folders if not (f / "__init__.py").exists()] == []


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="not a checkout")
def test_git_ignores_no_source():
    command = [
        "git",
        "ls-files",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--",
        "npdsconv/*.py",
        "tests/*.py",
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == ""


def test_the_description_for_an_index_has_no_link_that_leads_nowhere():
    described = script("setup.py").without_relative_links(text("README.md"))
    assert re.findall(r"\]\((?!https?:)", described) == []
    assert "![" not in described
    assert "(performance, with the cases where it does not)" in described
    assert "rng.standard_normal((2, 3, 3)))" in described, "code stays as it is"


def test_links_to_the_web_stay_in_the_description():
    given = "# a\n\n![p](x.png)\n\n[here](docs/a.md) and\n[far\n  off](https://example.org/a.md)\n"
    described = script("setup.py").without_relative_links(given)
    assert described.endswith("\n\nhere and\n[far\n  off](https://example.org/a.md)\n")
    assert described.startswith("# a\n\n*The pages")


def test_the_check_of_archives_names_what_is_wrong(tmp_path, capsys):
    check = script(".ci/check_dist.py")
    archive = tmp_path / "a.whl"
    archive.write_bytes(bytes(2_000_000))
    assert check.compare(archive, {"a", "b"}, {"b", "c"}) == [
        "a.whl: c is missing",
        "a.whl: a is not tracked by git",
    ]
    assert capsys.readouterr().out == ""
    assert check.compare(archive, {"a"}, {"a"}) == []
    assert capsys.readouterr().out == "a.whl: 1 files, 2.0 MB\n"


# ---- the page for contributors ----


def test_contributing_names_files_that_exist():
    page = re.sub(r"^```.*?^```", "", text("CONTRIBUTING.md"), flags=re.M | re.S)  # lines for other files
    links = re.findall(r"\]\(([^)#]+)", page)
    files = re.findall(r"`((?:\w+/)+\w+\.\w+|[A-Z]\w+\.(?:cff|md)|\.[\w-]+\.yaml)`", page)
    assert len(files) > 10
    assert [name for name in links + files if not (ROOT / name).exists()] == []


def test_contributing_shows_commands_that_the_readme_or_the_setup_has():
    extras = re.findall(r'pip install -e "\.\[(\w+)\]"', text("CONTRIBUTING.md"))
    assert extras
    assert set(extras) <= set(EXTRAS)
    assert re.search(r"^build\b", EXTRAS["dev"], re.M), "the step `wheel` needs it"
