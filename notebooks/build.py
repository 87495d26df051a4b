"""Execute the lessons: every ``[0-9]*.py`` here becomes an ``.ipynb`` with its outputs.

The ``.py`` twin (Jupytext percent format) is what is written and reviewed; the notebook is what it prints::

    python notebooks/build.py              execute all, write the notebooks
    python notebooks/build.py 01           only those whose name starts so
    python notebooks/build.py --check      execute all, write nothing, fail if a text output has changed

A rebuild on one machine gives the same bytes. Cells whose numbers cannot repeat carry a tag in the twin
(``# %% tags=["timing"]``, or ``["rounding"]`` for errors near 1e-16): their outputs are not compared.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat

HERE = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
UNREPEATABLE = {"timing", "rounding"}
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.?\d+)(?:[eE][-+]?\d+)?")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")

KERNEL_SETTINGS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures in the notebook, whatever the caller uses
    "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, on import where ipywidgets is missing
}

Notebook = Any  # nbformat's nodes are dictionaries with attributes


def lessons(prefixes: list[str]) -> list[Path]:
    """The twins to build, in order."""
    found = sorted(HERE.glob("[0-9]*.py"))
    chosen = [path for path in found if not prefixes or path.name.startswith(tuple(prefixes))]
    if not chosen:
        names = ", ".join(path.stem for path in found) or "(there are none)"
        raise SystemExit(f"build.py: no notebook starts with {' or '.join(prefixes)}, among {names}")
    return chosen


def read_twin(path: Path) -> Notebook:
    """The twin as a notebook without outputs; nothing in it depends on the machine or on the day."""
    notebook = jupytext.read(path)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    return notebook


def execute(path: Path) -> Notebook:
    """Run the twin in a fresh kernel, in its own folder; an exception in a cell stops everything."""
    from nbclient import NotebookClient

    notebook = read_twin(path)
    metadata = notebook.metadata.copy()
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name=KERNEL["name"],
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    ).execute(env={**os.environ, **KERNEL_SETTINGS})
    notebook.metadata = metadata
    return notebook


def differences(old: Notebook, new: Notebook) -> Iterator[str]:
    """What a reader of the committed notebook `old` would see differently in `new`."""
    if [cell.source for cell in old.cells] != [cell.source for cell in new.cells]:
        yield "the cells differ from the .py twin"
        return
    for number, (before, after) in enumerate(zip(old.cells, new.cells, strict=True)):
        if after.cell_type != "code" or UNREPEATABLE & set(after.metadata.get("tags", ())):
            continue
        seen, now = _shown(before), _shown(after)
        if [kind for kind, _ in seen] != [kind for kind, _ in now]:
            yield f"cell {number}: outputs {[kind for kind, _ in seen]}, now {[kind for kind, _ in now]}"
            continue
        for (kind, text), (_, other) in zip(seen, now, strict=True):
            if not kind.startswith("image") and not same_text(text, other):
                yield f"cell {number}, {kind}:\n--- committed\n{text}\n--- now\n{other}"


def _shown(cell: Notebook) -> list[tuple[str, str]]:
    """The outputs of a code cell as (kind, text)."""
    shown = []
    for output in cell.outputs:
        bundle = output.get("data", {output.get("name", output.output_type): output.get("text", "")})
        shown += [(kind, "".join(text)) for kind, text in sorted(bundle.items())]
    return shown


def same_text(a: str, b: str) -> bool:
    """Equal words and nearly equal numbers; white space does not count.

    Another processor or another NumPy may round the last digit differently, and 3e-13 is as good as 0.
    """
    a, b = (" ".join(ADDRESS.sub("", text).split()) for text in (a, b))
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    pairs = zip(map(float, NUMBER.findall(a)), map(float, NUMBER.findall(b)), strict=True)
    return all(abs(p - q) <= 1e-9 + 1e-6 * max(abs(p), abs(q)) for p, q in pairs)


def build(path: Path, check: bool) -> bool:
    """Execute one lesson; write it, or compare it with the committed notebook. True if all is well."""
    began = time.perf_counter()
    notebook = execute(path)
    print(f"{path.stem}: {len(notebook.cells)} cells in {time.perf_counter() - began:.0f} s")
    target = path.with_suffix(".ipynb")
    if not check:
        nbformat.write(notebook, target)
        return True
    if not target.exists():
        print(f"  {target.name} is missing: run python notebooks/build.py")
        return False
    changes = list(differences(nbformat.read(target, as_version=4), notebook))
    for change in changes:
        print("  " + change.replace("\n", "\n  "))
    return not changes


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute the notebooks from their .py twins.")
    parser.add_argument("names", nargs="*", help="beginnings of file names; all by default")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a text has changed")
    arguments = parser.parse_args(argv)
    results = [build(path, arguments.check) for path in lessons(arguments.names)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
