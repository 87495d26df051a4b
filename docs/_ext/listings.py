"""A link from a page to a Python file of the repository shows it, highlighted, instead of downloading it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx


def page_of(path: str | Path) -> str:
    """The page that shows this file, which is named from the root of the repository."""
    return "listings/" + Path(path).with_suffix("").as_posix()


def point_to_listings(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn what Sphinx takes for downloads of Python files into links to their pages."""
    for node in list(doctree.findall(download_reference)):
        path, _ = app.env.relfn2path(node["reftarget"], docname)
        if Path(path).suffix == ".py":
            address = app.builder.get_relative_uri(docname, page_of(path))
            node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=address))


def listings(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each Python file that some page links to."""
    if app.builder.format != "html":
        return
    for path in sorted(map(Path, app.env.dlfiles)):
        if path.suffix == ".py":
            code = (Path(app.srcdir) / path).read_text(encoding="utf-8")
            body = f"<h1>{path.as_posix()}</h1>" + app.builder.highlighter.highlight_block(code, "python")
            yield page_of(path), {"parents": [], "title": path.as_posix(), "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", point_to_listings)
    app.connect("html-collect-pages", listings)
    return {"parallel_read_safe": True}
