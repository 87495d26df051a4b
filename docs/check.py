"""Check a built site: ``python docs/check.py docs/_build/html``.

Every relative address and every anchor has to exist; nothing may be loaded from another machine (links that a reader
clicks may lead anywhere, and are not fetched); no dollar sign may be left in the text, as one is where a line of a
formula begins like a list; and KaTeX has to accept every formula, where Node is there to ask it.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# which attribute of which tag makes a browser fetch something
LOADED = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src")
LOADED |= {"object": "data", "link": "href"}
# what only points, in <link rel=...>
NOT_LOADED = {"canonical", "author", "license", "next", "prev", "index", "search"}
LITERAL = {"code", "pre", "script", "style"}  # where a dollar sign is one
REMOTE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])([^'")\s]+)""")
KATEX = "_static/vendor/katex/katex.min.js"
TRY_ALL = """
const katex = require(process.argv[1]);
const wrong = [];
for (const [page, tex, displayMode] of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  try { katex.renderToString(tex, { displayMode, throwOnError: true, strict: "ignore" }); }
  catch (error) { wrong.push(`${page}: ${error.message}`); }
}
console.log(JSON.stringify(wrong));
"""


class Page(HTMLParser):
    """What one page defines, points to, loads, and wants typeset."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.formulas: list[tuple[str, bool]] = []
        self.unset: list[str] = []
        self._inside = ""
        self._literal = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        pointer = tag == "link" and NOT_LOADED & set(found.get("rel", "").split())
        if LOADED.get(tag) in found and not pointer:
            self.loads.append(found[LOADED[tag]])
        self.loads += IN_STYLE.findall(found.get("style", ""))
        self._inside = tag
        self._literal += tag in LITERAL
        if tag in ("span", "div") and found.get("class") == "tex":
            self._inside = "tex"
            self.formulas.append(("", tag == "div"))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self._literal -= tag in LITERAL

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.loads += IN_STYLE.findall(data)
        if self._inside == "script":
            self.loads += re.findall(r"""['"`](https?://[^'"`]+)""", data)
        if self._inside == "tex":
            tex, display = self.formulas[-1]
            self.formulas[-1] = (tex + data, display)
        elif "$" in data and not self._literal:
            self.unset.append(" ".join(data.split())[:70])


def problems(site: Path) -> Iterator[str]:
    """Everything that is wrong with the site in this folder, a line each."""
    site = site.resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no pages"
    for path, page in pages.items():
        for address in page.loads:
            yield from (
                f"{path.relative_to(site)}: {problem}" for problem in load_problems(site, path, address)
            )
        for address in page.links:
            yield from (
                f"{path.relative_to(site)}: {problem}" for problem in link_problems(pages, path, address)
            )
        yield from (f"{path.relative_to(site)}: a formula was not seen as one: {text}" for text in page.unset)
    for path in sorted(site.rglob("*.css")):
        for address in IN_STYLE.findall(path.read_text(encoding="utf-8")):
            yield from (
                f"{path.relative_to(site)}: {problem}" for problem in load_problems(site, path, address)
            )
    yield from formula_problems(site, {path: page.formulas for path, page in pages.items()})


def load_problems(site: Path, path: Path, address: str) -> Iterator[str]:
    if address.startswith("data:"):
        return
    if REMOTE.match(address):
        yield f"loads {address}"
    elif not (target := (path.parent / unquote(urlsplit(address).path)).resolve()).is_file():
        yield f"{address}: no such file"
    elif not target.is_relative_to(site):
        yield f"{address}: outside the site"


def link_problems(pages: dict[Path, Page], path: Path, address: str) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        yield f"{address}: no such file"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        yield f"{address}: no such anchor"


def formula_problems(site: Path, formulas: dict[Path, list[tuple[str, bool]]]) -> Iterator[str]:
    node = shutil.which("node")
    asked = [(str(path.relative_to(site)), *formula) for path, found in formulas.items() for formula in found]
    if node is None or not asked:
        print(f"{len(asked)} formulas, not tried: {'no Node here' if node is None else 'none'}")
        return
    command = [node, "-e", TRY_ALL, str(site / KATEX)]
    answer = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    yield from json.loads(answer.stdout)


def main(site: str) -> int:
    found = list(dict.fromkeys(problems(Path(site))))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} broken links, remote loads or formulas")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
