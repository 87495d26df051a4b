"""The documentation site, without building it: every page is listed, KaTeX is kept here, the checks can fail."""

import importlib
import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers import load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
KATEX = DOCS / "_static" / "vendor" / "katex"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("api/*.rst"), *ROOT.glob("notebooks/[0-9]*.ipynb")])
TOCTREE = re.compile(r"^(?:```\{|\.\. )toctree(?:\}|::)\n(.*?)(?:^```$|\Z)", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation's sources are not here")


def listed(page: Path) -> set[str]:
    """The pages that a page's toctrees name, as paths from the root without suffix; stars stand."""
    entries = [
        line.strip()
        for block in TOCTREE.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.strip() and not line.strip().startswith(":")
    ]
    here = page.parent.relative_to(ROOT).as_posix()
    return {entry.lstrip("/") if entry.startswith("/") else f"{here}/{entry}" for entry in entries}


def test_every_page_is_in_exactly_one_toctree():
    patterns = [entry for page in PAGES if page.suffix != ".ipynb" for entry in listed(page)]
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix("").as_posix()
        hits = [pattern for pattern in patterns if fnmatch(name, pattern)]
        assert len(hits) == (0 if name == "docs/index" else 1), f"{name}: in the toctrees as {hits}"


def test_the_landing_page_has_the_readme_commands():
    readme, landing = (
        (ROOT / "README.md").read_text(encoding="utf-8"),
        (DOCS / "index.md").read_text(encoding="utf-8"),
    )
    commands = re.findall(r"^pip install .*$", landing, re.MULTILINE)
    assert len(commands) == 2
    assert all(f"\n{command}\n" in readme for command in commands)


@pytest.mark.parametrize(
    "module",
    ["npdsconv", "npdsconv.layers", "npdsconv.models", "npdsconv.optim", "npdsconv.train", "npdsconv.gradcheck",
     "npdsconv.complexity", "npdsconv.data", "npdsconv.checkpoint"],
)  # fmt: skip
def test_every_public_name_is_in_the_reference(module):
    pytest.importorskip("sphinx")
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api/*.rst"))
    of_module = load(DOCS / "_ext" / "of_module.py")
    text = re.sub(
        r"^\.\. ops-of:: (\S+)$", lambda found: "\n".join(of_module.lines(found[1])), text, flags=re.M
    )
    names = importlib.import_module(module).__all__
    if whole := re.search(
        rf"^\.\. automodule:: {module}\n   :members:\n(   :exclude-members: .*)?", text, re.M
    ):
        names = re.findall(r"\w+", (whole[1] or "").partition("members:")[2])  # those shown elsewhere
    for name in names:
        home = ".".join(getattr(importlib.import_module(module), name).__module__.split(".")[:2])
        if home != module and f".. automodule:: {home}\n" in text:
            continue  # shown with the room that it comes from
        assert len(re.findall(rf"^\.\. (?:autofunction|autoclass):: {name}$", text, re.M)) == 1, name


def test_katex_is_kept_here_with_its_licence_and_its_fonts():
    assert "MIT License" in (KATEX / "LICENSE").read_text(encoding="utf-8")
    version = re.search(r"# KaTeX (\d+\.\d+\.\d+)", (KATEX / "README.md").read_text(encoding="utf-8"))[1]
    assert f'"{version}"' in (KATEX / "katex.min.js").read_text(encoding="utf-8")
    style = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    assert f'"{version}"' in style
    fonts = {KATEX / name for name in re.findall(r"url\(([^)]+)\)", style)}
    assert fonts == set(KATEX.glob("fonts/*"))
    assert {font.suffix for font in fonts} == {".woff2"}


def test_nothing_of_ours_names_another_machine():
    for path in [DOCS / "conf.py", *DOCS.glob("_static/*.*"), *DOCS.glob("_extra/*")]:
        found = re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"


def test_the_configuration_executes_nothing_and_fetches_nothing():
    pytest.importorskip("sphinx")
    conf = load(DOCS / "conf.py")
    assert conf.nb_execution_mode == "off"
    assert not conf.nb_ipywidgets_js
    assert conf.html_math_renderer == "katex"
    assert "sphinx.ext.intersphinx" not in conf.extensions
    for name, *_ in [
        (file, None) if isinstance(file, str) else file for file in conf.html_js_files + conf.html_css_files
    ]:
        assert (DOCS / "_static" / name).is_file(), name
    assert conf.short_types(None, "", "", None, None, "(x: int | tuple[int, int] = 1)", None) == (
        "(x: ~npdsconv.shapes.Stride = 1)",
        None,
    )


PAGE = '<h1 id="top">Title</h1><img src="here.png"><a href="other.html#part">x</a><a href="https://example.org">y</a>'


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (PAGE, None),
        (PAGE.replace("#part", "#prat"), "page.html: other.html#prat: no such anchor"),
        (PAGE.replace("other.", "another."), "page.html: another.html#part: no such file"),
        (PAGE.replace("here.png", "there.png"), "page.html: there.png: no such file"),
        (PAGE + '<a href="#nowhere">z</a>', "page.html: #nowhere: no such anchor"),
        (
            PAGE + '<script src="https://cdn.example/x.js"></script>',
            "page.html: loads https://cdn.example/x.js",
        ),
        (PAGE + '<script src="//cdn.example/x.js"></script>', "page.html: loads //cdn.example/x.js"),
        (
            PAGE + '<script>import("https://cdn.example/x.js")</script>',
            "page.html: loads https://cdn.example/x.js",
        ),
        (
            PAGE + '<link rel="stylesheet" href="http://a.example/b.css">',
            "page.html: loads http://a.example/b.css",
        ),
        (PAGE + "<p>price $<code>$</code>", "page.html: a formula was not seen as one: price $"),
        (PAGE + '<p style="background: url(//a.example/b.png)">', "page.html: loads //a.example/b.png"),
    ],
)
def test_the_check_sees_what_is_broken(tmp_path, page, problem):
    check = load(DOCS / "check.py")
    (tmp_path / "page.html").write_text(page)
    (tmp_path / "other.html").write_text('<h1 id="part">Other</h1>')
    (tmp_path / "here.png").write_bytes(b"")
    assert list(check.problems(tmp_path)) == ([problem] if problem else [])


def test_the_check_sees_style_sheets(tmp_path):
    (tmp_path / "page.html").write_text("<p>x")
    (tmp_path / "style.css").write_text(
        "@font-face { src: url(https://fonts.example/a.woff2), url('b.woff2') }"
    )
    assert list(load(DOCS / "check.py").problems(tmp_path)) == [
        "style.css: loads https://fonts.example/a.woff2",
        "style.css: b.woff2: no such file",
    ]


def test_the_check_sees_formulas(tmp_path):
    check = load(DOCS / "check.py")
    if check.shutil.which("node") is None:
        pytest.skip("Node is not installed")
    vendored = tmp_path / check.KATEX
    vendored.parent.mkdir(parents=True)
    vendored.write_bytes((KATEX / "katex.min.js").read_bytes())
    right, wrong = r'<span class="tex">a &lt; \frac{1}{2}</span>', r'<div class="tex">\frac{1</div>'
    (tmp_path / "page.html").write_text(right)
    assert list(check.problems(tmp_path)) == []
    (tmp_path / "page.html").write_text(right + wrong)
    (problem,) = check.problems(tmp_path)
    assert problem.startswith("page.html: KaTeX parse error")
