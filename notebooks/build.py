"""Execute the lessons: every ``[0-9]*.py`` here becomes an ``.ipynb`` with its outputs.

The ``.py`` twin (Jupytext percent format) is what is written and reviewed; the notebook is what it prints::

    python notebooks/build.py              execute all, write the notebooks, list them in the README
    python notebooks/build.py 01           only those whose name starts so
    python notebooks/build.py --check      execute all, write nothing, fail if a text output has changed
    python notebooks/build.py --solutions  execute all with the exercises solved, write nothing

A rebuild on one machine gives the same bytes. Cells whose numbers cannot repeat carry a tag in the twin
(``# %% tags=["timing"]``, or ``["rounding"]`` for errors near 1e-16): their outputs are not compared. With
``NUMBA_DISABLE_JIT=1`` cells tagged ``timing`` are skipped: they would take forever.

Each build also proves the exercises: first every check has to say "not solved yet"; then, in the same kernel, each
solution is run and its check once more, and it has to say "solved".
"""

import argparse
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from assignments import HERE, KERNEL, Exercise, Notebook, exercises, lessons, read_twin, solve, tags

README = HERE.parent / "README.md"
UNREPEATABLE = {"timing", "rounding"}
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.?\d+)(?:[eE][-+]?\d+)?")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STRICT = '__import__("os").environ["NPDSCONV_EXERCISES"] = "strict"'
AIM = re.compile(r"At the end you (?:can )?(.+?)[.:](?= |$)")

KERNEL_SETTINGS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures in the notebook, whatever the caller uses
    "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, on import where ipywidgets is missing
}


# ---- executing ---------------------------------------------------------------------------------------------------


def run(notebook: Notebook, folder: Path, strict: bool = False) -> None:
    """Run all cells in a fresh kernel that starts in `folder`; an exception in a cell stops everything."""
    from nbclient import NotebookClient

    metadata = notebook.metadata.copy()
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name=KERNEL["name"],
        record_timing=False,
        coalesce_streams=True,
        skip_cells_with_tag="timing" if jit_is_off() else "",
        resources={"metadata": {"path": str(folder)}},
    ).execute(env={**os.environ, **KERNEL_SETTINGS, "NPDSCONV_EXERCISES": "strict" if strict else ""})
    notebook.metadata = metadata


def jit_is_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def execute(path: Path) -> Notebook:
    """The executed lesson. ValueError unless its checks say "not solved yet", and "solved" of the solutions."""
    notebook = read_twin(path)
    tasks, length = exercises(path, notebook), len(notebook.cells)
    sources = [source for task in tasks for source in (task.solution, notebook.cells[task.check].source)]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in (STRICT, *sources)]
    run(notebook, path.parent)
    notebook.cells, proof = notebook.cells[:length], notebook.cells[length:]
    expect("not solved yet", tasks, [notebook.cells[task.check] for task in tasks])
    expect("solved", tasks, proof[2::2])
    return notebook


def execute_solved(path: Path) -> Notebook:
    """The executed lesson with its exercises solved in their places. ValueError unless every check says so."""
    notebook = read_twin(path)
    tasks = exercises(path, notebook)
    solve(path, notebook)
    run(notebook, path.parent, strict=True)
    expect("solved", tasks, [notebook.cells[task.check] for task in tasks])
    return notebook


def expect(verdict: str, tasks: list[Exercise], cells: list[Notebook]) -> None:
    """Each check in `cells` has to have printed `verdict`, and only that."""
    for number, (task, cell) in enumerate(zip(tasks, cells, strict=True), 1):
        text = "".join(text for _, text in _shown(cell))
        found = re.findall(r"^(solved|not solved yet): ", text, re.MULTILINE)
        if found != [verdict]:
            raise ValueError(f'exercise {number}: cell {task.check} should say "{verdict}" and says {text!r}')


# ---- comparing ---------------------------------------------------------------------------------------------------


def differences(old: Notebook, new: Notebook) -> Iterator[str]:
    """What a reader of the committed notebook `old` would see differently in `new`."""
    if [cell.source for cell in old.cells] != [cell.source for cell in new.cells]:
        yield "the cells differ from the .py twin"
        return
    for number, (before, after) in enumerate(zip(old.cells, new.cells, strict=True)):
        if after.cell_type != "code" or UNREPEATABLE & tags(after):
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
    # equal first: a colour such as #2E8536 reads as an infinite number
    return all(p == q or abs(p - q) <= 1e-9 + 1e-6 * max(abs(p), abs(q)) for p, q in pairs)


# ---- the list in the README --------------------------------------------------------------------------------------


def listing(found: list[Path]) -> str:
    """The twins as a Markdown list: number, title, link, and what the first cell promises."""
    items = []
    for path in found:
        heading, _, text = read_twin(path).cells[0].source.partition("\n")
        title = re.sub(r"^# (\d+\. )?", "", heading)
        aim = AIM.search(" ".join(text.replace("**", "").split()))
        item = f"{int(path.name[:2])}. [{title}](notebooks/{path.stem}.ipynb)" + (
            f": {aim[1]}." if aim else ""
        )
        items.append(
            textwrap.fill(item, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        )
    return "\n".join(items)


def in_readme(text: str) -> str:
    """The README's `text` with its lists of lessons and of documents, between their comments, brought up to date."""
    groups = {"lessons": [], "documents": []}
    for path in lessons():
        groups["documents" if path.name[0] == "2" else "lessons"].append(path)
    for name, found in groups.items():
        begin, end = f"<!-- {name}: written by notebooks/build.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, there, after = rest.partition(end)
        if not there:
            raise ValueError(f"README.md has no lines {begin.strip()} and {end}")
        text = f"{before}{begin}\n{listing(found)}\n\n{end}{after}"
    return text


def update_readme() -> None:
    old = README.read_text(encoding="utf-8")
    new = in_readme(old)
    if new != old:
        README.write_text(new, encoding="utf-8")


# ---- the command -------------------------------------------------------------------------------------------------


def build(path: Path, mode: str) -> list[str]:
    """Execute one lesson, and write it or compare it with the committed notebook; what is wrong with it."""
    target = path.with_suffix(".ipynb")
    if mode == "solutions":
        execute_solved(path)
        return []
    notebook = execute(path)
    if mode == "write":
        nbformat.write(notebook, target)
        return []
    if not target.exists():
        return [f"{target.name} is missing: run python notebooks/build.py"]
    return list(differences(nbformat.read(target, as_version=4), notebook))


def main(argv: list[str] | None = None) -> int:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    parser = argparse.ArgumentParser(description="Execute the notebooks from their .py twins.")
    parser.add_argument("names", nargs="*", help="beginnings of file names; all by default")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing; fail if a text has changed")
    how.add_argument("--solutions", action="store_true", help="write nothing; run with the exercises solved")
    arguments = parser.parse_args(argv)
    mode = "check" if arguments.check else "solutions" if arguments.solutions else "write"
    if mode == "write" and jit_is_off():
        parser.error(
            "NUMBA_DISABLE_JIT leaves out the cells tagged timing: only --check and --solutions make sense"
        )
    try:
        chosen = lessons(arguments.names)
    except ValueError as error:
        parser.error(str(error))
    failed = []
    for path in chosen:
        began = time.perf_counter()
        try:
            problems = build(path, mode)
        except (ValueError, CellExecutionError, CellTimeoutError) as error:
            problems = [COLOUR.sub("", str(error))]
        failed += [path.stem] if problems else []
        print(
            f"{path.stem}: {'FAILED' if problems else 'ok'} in {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        for problem in problems:
            print("  " + problem.replace("\n", "\n  "), flush=True)
    if mode == "write":
        update_readme()
    if failed:
        print(f"{len(failed)} of {len(chosen)} failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
