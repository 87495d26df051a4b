"""Write the lessons as assignments: unexecuted notebooks whose exercises are open, or solved::

    python notebooks/assignments.py FOLDER                     every lesson, exercises open
    python notebooks/assignments.py FOLDER 01 05               only those whose name starts so
    python notebooks/assignments.py FOLDER --with-solutions    NN_name_solved.ipynb, solutions filled in

An exercise is a cell tagged ``exercise``, followed by one tagged ``check``. Its solution is the cell tagged
``solution`` with the same number in ``solutions/NN_name.py``.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
import nbformat

HERE = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

Notebook = Any  # nbformat's nodes are dictionaries with attributes


class Exercise(NamedTuple):
    starter: int  # the number of the cell to fill in
    check: int  # the number of the cell that checks it
    solution: str  # the source of a right answer


def lessons(prefixes: Iterable[str] = ()) -> list[Path]:
    """The .py twins whose names start with one of `prefixes` (all by default), in order."""
    found, prefixes = sorted(HERE.glob("[0-9]*.py")), tuple(prefixes)
    for prefix in prefixes:
        if not any(path.name.startswith(prefix) for path in found):
            names = ", ".join(path.stem for path in found) or "(there are none)"
            raise ValueError(f"no notebook starts with {prefix}, among {names}")
    return [path for path in found if not prefixes or path.name.startswith(prefixes)]


def read_twin(path: Path) -> Notebook:
    """The twin as a notebook without outputs; nothing in it depends on the machine or on the day."""
    notebook = jupytext.read(path)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
    return notebook


def tags(cell: Notebook) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def exercises(path: Path, lesson: Notebook) -> list[Exercise]:
    """The exercises of the lesson with the twin `path`; ValueError where starters, checks and solutions differ."""
    solved = path.parent / "solutions" / path.name
    solutions = (
        [cell for cell in read_twin(solved).cells if "solution" in tags(cell)] if solved.exists() else []
    )
    marked = [number for number, cell in enumerate(lesson.cells) if tags(cell) & {"exercise", "check"}]
    starters = [number for number in marked if "exercise" in tags(lesson.cells[number])]
    checks = [number for number in marked if "check" in tags(lesson.cells[number])]
    if not len(starters) == len(checks) == len(solutions):
        raise ValueError(
            f"{path.name}: {len(starters)} exercise cells, {len(checks)} check cells and {len(solutions)} solution"
            f" cells in solutions/{path.name}" + ("" if solved.exists() else ", which does not exist")
        )
    if marked != [number for pair in zip(starters, checks, strict=True) for number in pair]:
        raise ValueError(f"{path.name}: an exercise cell is not followed by its check cell")
    return [
        Exercise(starter, check, cell.source)
        for starter, check, cell in zip(starters, checks, solutions, strict=True)
    ]


def solve(path: Path, lesson: Notebook) -> None:
    """Replace every exercise cell of `lesson` by its solution."""
    for exercise in exercises(path, lesson):
        lesson.cells[exercise.starter].source = exercise.solution


def write(folder: Path, names: list[str], with_solutions: bool, force: bool) -> list[Path]:
    """Write the chosen lessons into `folder`; the paths written. ValueError rather than someone's work lost."""
    written: dict[Path, Notebook] = {}
    for path in lessons(names):
        lesson = read_twin(path)
        if with_solutions:
            solve(path, lesson)
        written[folder / f"{path.stem}{'_solved' if with_solutions else ''}.ipynb"] = lesson
    if folder.resolve() == HERE:
        raise ValueError(f"{folder} holds the executed lessons; choose another folder")
    taken = [path.name for path in written if path.exists()]
    if taken and not force:
        raise ValueError(f"{folder} has {', '.join(taken)} already; --force writes over them")
    folder.mkdir(parents=True, exist_ok=True)
    for path, lesson in written.items():
        nbformat.write(lesson, path)
    return list(written)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Write the lessons as unexecuted notebooks, their exercises open or solved."
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where to write; made if it does not exist"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="beginnings of lessons' names; all by default"
    )
    parser.add_argument(
        "--with-solutions", action="store_true", help="fill in the solutions: NN_name_solved.ipynb"
    )
    parser.add_argument("--force", action="store_true", help="write over notebooks that are there already")
    arguments = parser.parse_args(argv)
    try:
        written = write(arguments.folder, arguments.names, arguments.with_solutions, arguments.force)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{len(written)} notebooks in {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
