"""Sphinx configuration of the documentation site; ``python docs/build.py`` builds and checks it.

The source folder is the repository itself, not ``docs/``: so the pages are the files that are read on a forge too,
the committed notebooks are pages where they lie, and a link such as ``../notebooks/01_convolution_by_hand.ipynb`` is
right in both places. Nothing is executed, and nothing is loaded from a network, neither here nor by a reader.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.math import get_node_equation_number
from sphinx.util.typing import stringify_annotation

import npdsconv
from npdsconv import shapes

project = "npdsconv"
copyright = "the npdsconv authors, MIT licence"
release = version = npdsconv.__version__
language = "en"

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "listings",
    "of_module",
]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/studies/*.md",
    "docs/api/*.rst",
    "notebooks/*.ipynb",
    "npdsconv/kernels/README.md",
]
exclude_patterns = [".*", "docs/_*", "runs", "build", "dist", "**.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}

# ---- Markdown and notebooks --------------------------------------------------------------------------------------

nb_execution_mode = "off"  # the committed outputs are the page; notebooks/build.py --check proves them
nb_ipywidgets_js: dict[
    str, dict[str, str]
] = {}  # by default fetched from a server, and no lesson has a widget
nb_render_image_options = {"alt": "what the cell above draws"}
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4  # links to headings work as on a forge

# ---- the reference, from the docstrings --------------------------------------------------------------------------

default_role = "literal"  # `x` in a docstring is an argument
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_param = False  # "(N, C, H, W) float32" is a shape for people, not a class to link to
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
nitpicky = True
nitpick_ignore_regex = [
    # types of other packages: their documentation is not here, and the build fetches no index of it
    ("py:class", r"(numpy|np|matplotlib|argparse|collections|contextlib|pathlib|os|typing)\..+|Figure"),
    # protocols that say what an argument must be able to do, and what one op hands to the next; the docstrings say it
    (
        "py:class",
        r"npdsconv\.(checkpoint\.HasState|gradcheck\.\w+\.LayerLike|ops\.fused\.block\.Saved|runs\.job\.Job"
        r"|shapes\.(Steps|Geometry|Pooling)|layers\.(steps\.Step|activations\.Activation))",
    ),
]

# ---- the pages ---------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "npdsconv"
html_static_path = ["_static"]
html_extra_path = ["_extra"]  # index.html: the site's address leads to its first page
html_css_files = ["vendor/katex/katex.min.css", "site.css"]
html_js_files = [
    ("vendor/katex/katex.min.js", {"defer": "defer"}),
    ("math.js", {"defer": "defer"}),
]
html_math_renderer = "katex"
html_sourcelink_suffix = ""  # "view source" gives the notebook itself, to run
pygments_style, pygments_dark_style = "default", "monokai"
CHINESE = "'Noto Sans CJK SC', 'Source Han Sans SC', 'PingFang SC', 'Microsoft YaHei'"
html_theme_options = {
    "light_css_variables": {
        "font-stack": f"system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Arial, {CHINESE}, sans-serif",
        "font-stack--monospace": f"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace, {CHINESE}",
    },
}


def open_math(self, node: nodes.math) -> None:
    """A formula in a line: TeX in an element that math.js finds."""
    tex = self.encode(node.astext())
    self.body.append(f'<span class="math notranslate nohighlight"><span class="tex">{tex}</span></span>')
    raise nodes.SkipNode


def open_math_block(self, node: nodes.math_block) -> None:
    """A formula on its own line, numbered if it has a label; several lines are aligned, as in Sphinx's renderers."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    tex = node.astext().strip()
    if not node.get("no-wrap", node.get("nowrap")) and "\\\\" in tex and "\\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    self.body.append(f'<div class="tex">{self.encode(tex)}</div></div>\n')
    raise nodes.SkipNode


ALIASES = {
    stringify_annotation(getattr(shapes, name), mode): f"~npdsconv.shapes.{name}"
    for name in ("PaddingLike", "Array", "Stride")
    for mode in ("fully-qualified", "smart")
}


def short_types(app, what, name, obj, options, signature, returns):  # type: ignore[no-untyped-def]
    """Write ``Array`` in signatures, as the source does, and not what it stands for."""
    if signature is None:
        return None
    for long, short in ALIASES.items():
        signature = signature.replace(long, short)
        returns = returns and returns.replace(long, short)
    return signature, returns


def without_overloads(analyze):  # type: ignore[no-untyped-def]
    """Overloads are for type checkers; a reader wants the one signature that runs."""

    def analyze_and_forget(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads = {}

    return analyze_and_forget


def readable_docstrings(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Docstrings are written to be read in a terminal; this says to Sphinx what a reader sees without being told."""
    if what in ("attribute", "property", "data"):
        # Napoleon would take "Rows covered: d·(K - 1) + 1" for a type before a colon; it tries only a first line
        lines[:0] = ["..", ""]
    if what == "module":  # an indented block is code
        for at in reversed(range(2, len(lines))):
            begins = lines[at].startswith("    ") and not lines[at - 1] and not lines[at - 2].startswith(" ")
            if begins and not lines[at - 2].endswith("::"):
                lines[at:at] = ["::", ""]
    # "x : (N, C, H, W) float32" is a name and what is said of it, not a name and a type in brackets
    for at in reversed(range(len(lines))):
        explained = at + 1 < len(lines) and lines[at + 1].startswith("    ")
        if not explained and (said := re.fullmatch(r"(\w[\w, ]*) : (.+)", lines[at])):
            lines[at : at + 1] = [said[1], "    " + said[2]]


class CommandHelp(Directive):
    """``.. command-help:: train`` shows what ``npdsconv train --help`` prints."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        from npdsconv import cli

        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"COLUMNS": "96", "NO_COLOR": "1"}),
            contextlib.redirect_stdout(printed),
            contextlib.suppress(SystemExit),
        ):
            cli.main([*self.arguments, "--help"])
        text = printed.getvalue()
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("katex", (open_math, None), (open_math_block, None))
    app.add_directive("command-help", CommandHelp)
    ModuleAnalyzer.analyze = without_overloads(ModuleAnalyzer.analyze)  # type: ignore[method-assign]
    app.connect("autodoc-process-signature", short_types)
    app.connect("autodoc-process-docstring", readable_docstrings, priority=400)  # before Napoleon, at 500
