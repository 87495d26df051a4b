"""``.. ops-of:: MODULE`` is what a module of ops says of itself, and then every public op in it, as it stands there.

So a new op is in the reference without a line for it.
"""

import importlib
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from npdsconv import ops


def lines(module: str) -> Iterator[str]:
    """The reStructuredText that the directive stands for."""
    yield from (f".. automodule:: {module}", "   :no-index:", "", ".. currentmodule:: npdsconv", "")
    for name, value in vars(importlib.import_module(module)).items():
        if name in ops.__all__ and getattr(ops, name) is value and value.__module__ == module:
            yield f".. autofunction:: {name}"


class OpsOf(SphinxDirective):
    """The directive."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(lines(self.arguments[0])))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("ops-of", OpsOf)
    return {"parallel_read_safe": True}
