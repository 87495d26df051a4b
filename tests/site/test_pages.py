"""The pages of the documentation are true: their examples run, what they name exists, their links lead somewhere."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import import_from

import npdsconv
import npdsconv.layers

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OWN = ("derivations", "shapes", "complexity", "architecture", "glossary", "animations")
PAGES = {path.stem: path for path in sorted(DOCS.glob("*.md"))}

FENCE = re.compile(r"^```[^\n]*\n.*?^```$", re.M | re.S)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|`[^`]*`)*)\]\(([^()\s]+)\)")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(\))?")
PATH = re.compile(r"[\w./-]*\w\.(py|ipynb|md|toml|cfg|npz|png)")
# What a first word may stand for, besides a module of the package and the files in its folders.
MODULES = {"np": np, "npdsconv": npdsconv}
FOLDERS = ("", "ops.", "layers.", "models.", "kernels.", "complexity.")
OUTPUTS = {"config.json", "metrics.csv", "checkpoint.npz", "learning_curve.png", "confusion.png"}

pytestmark = pytest.mark.skipif(not PAGES, reason="an installed package has no docs")


def examples(path):
    """One doctest of all ``>>>`` lines in the fenced blocks of a page; names go from block to block."""
    text, keep = path.read_text(encoding="utf-8"), []
    for block in FENCE.finditer(text):
        lines = block.group().split("\n")[1:-1]
        keep += lines if any(line.startswith(">>>") for line in lines) else [""] * len(lines)
        keep.append("")
    return doctest.DocTestParser().get_doctest("\n".join(keep), {}, path.name, str(path), 0)


def prose(path):
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def links(path):
    """(text, target) of every link and image that stays in the repository."""
    return [(text, target) for _, text, target in LINK.findall(prose(path)) if "://" not in target]


def anchor(heading):
    """The name that a heading gets, as GitHub and MyST make it."""
    plain = re.sub(r"[`*$]", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def defined(path):
    """The dotted names that a file defines: functions, classes, constants, methods, attributes of classes."""
    found = set()

    def visit(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.Assign):
                found.update(prefix + t.id for t in node.targets if isinstance(t, ast.Name))
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(prefix + node.target.id)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def resolves(name):
    """Whether a dotted name of the prose, for instance ``depthwise.naive_dx``, exists."""
    head, *rest = name.removesuffix("()").removeprefix("npdsconv.").split(".")
    starts = [MODULES[head]] if head in MODULES else []
    if hasattr(npdsconv, head):
        starts.append(getattr(npdsconv, head))
    if hasattr(npdsconv.layers, head):
        starts.append(getattr(npdsconv.layers, head))
    for module in (f"npdsconv.{folder}{head}" for folder in FOLDERS):
        try:
            starts.append(importlib.import_module(module))
        except ModuleNotFoundError:
            continue
    return any(_has(start, rest) for start in starts)


def _has(thing, rest):
    for name in rest:
        if not hasattr(thing, name):
            try:
                importlib.import_module(f"{getattr(thing, '__name__', '?')}.{name}")
            except (ModuleNotFoundError, TypeError):
                return name in getattr(thing, "__annotations__", {})
        thing = getattr(thing, name)
    return True


def names_in(path):
    """Inline code of the prose that looks like a dotted name; links, paths and file names apart."""
    spans = set(re.findall(r"`([^`\n]+)`", LINK.sub("", prose(path))))
    return sorted(s for s in spans if DOTTED.fullmatch(s) and not PATH.fullmatch(s) and s not in OUTPUTS)


@pytest.mark.parametrize("page", PAGES)
def test_examples(page):
    test = examples(PAGES[page])
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    if page in ("derivations", "shapes", "complexity", "architecture"):
        assert runner.tries > 15


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = PAGES[page]
    lost = []
    for _, target in links(path):
        file, _, part = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or ROOT not in there.parents:
            lost.append(target)
        elif part and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", prose(there), re.M)
            if part not in map(anchor, headings):
                lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_a_link_to_code_leads_to_the_file_that_has_it(page):
    wrong = []
    for text, target in links(PAGES[page]):
        name = re.fullmatch(r"`([\w.]+)(\(\))?`", text)
        if name and target.endswith(".py") and not PATH.fullmatch(name[1]):
            there = defined((PAGES[page].parent / target).resolve())
            parts = name[1].split(".")
            if not any(".".join(parts[k:]) in there for k in range(len(parts))):
                wrong.append(f"{name[1]} is not in {target}")
    assert wrong == []


@pytest.mark.parametrize("page", OWN)
def test_names_exist(page):
    if page not in PAGES:
        pytest.skip("not written")
    assert [name for name in names_in(PAGES[page]) if not resolves(name)] == []


@pytest.mark.parametrize("page", OWN)
def test_files_exist(page):
    if page not in PAGES:
        pytest.skip("not written")
    unlinked = LINK.sub("", prose(PAGES[page]))  # what is linked is checked where it leads
    spans = set(re.findall(r"`([^`\n]+)`", unlinked))
    paths = sorted(s for s in spans if PATH.fullmatch(s) and s not in OUTPUTS)
    here = (ROOT, ROOT / "npdsconv", DOCS, ROOT / "npdsconv/ops", ROOT / "npdsconv/kernels")
    assert [p for p in paths if not any((folder / p).exists() for folder in here)] == []


# ---- these tests can fail -------------------------------------------------------------------------------------


def test_the_checks_can_fail(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A *heading*\n\n```pycon\n>>> 1 + 1\n3\n```\n\n`ops.conv3d` and [`x.y`](../a.py) `np.dot`\n"
    )
    runner = doctest.DocTestRunner()
    runner.run(examples(page), out=lambda text: None)
    assert (runner.failures, runner.tries) == (1, 1)
    assert examples(page).examples[0].lineno == 0
    assert names_in(page) == ["np.dot", "ops.conv3d"]
    assert [name for name in names_in(page) if not resolves(name)] == ["ops.conv3d"]
    assert links(page) == [("`x.y`", "../a.py")]
    assert anchor("A *heading*: `x`, $y$") == "a-heading-x-y"


def test_the_architecture_page_and_its_drawing_show_every_room():
    rooms = {
        path.stem
        for path in Path(npdsconv.__file__).parent.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__", "__main__"}
    assert len(rooms) > 20
    drawings = import_from(DOCS, "drawings")
    assert set(drawings.ROOMS) == rooms
    places = [(x, y) for x, y, _ in drawings.ROOMS.values()]
    assert len(places) == len(set(places))
    assert [f"{a} -> {b}" for a, b in drawings.uses() if drawings.ROOMS[a][1] <= drawings.ROOMS[b][1]] == []
    table = (
        PAGES["architecture"].read_text(encoding="utf-8").partition("## The rooms")[2].partition("\n## ")[0]
    )
    named = {name.split("/")[0].removesuffix(".py") for name in re.findall(r"\[`([\w/.]+)`\]", table)}
    assert rooms <= named
