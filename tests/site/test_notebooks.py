"""The committed notebooks: in step with their .py twins, executed from top to bottom, free of the machine's traces.

No lesson is executed here. `python notebooks/build.py --check` does that, with the assertions inside the lessons,
compares the outputs and proves the solutions of the exercises; `test_notebooks_build.py` makes sure that it can fail.
"""

import ast
import builtins
import json
import re
import symtable
from pathlib import Path

import pytest
from helpers import import_from

nbformat = pytest.importorskip("nbformat", reason="the notebooks' tools are not installed")
pytest.importorskip("jupytext", reason="the notebooks' tools are not installed")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
TWINS = sorted(FOLDER.glob("[0-9]*.py"))
TRACES = re.compile(
    r"site-packages| at 0x[0-9a-f]{6}|[A-Z]:\\\\Users|(?<![\w.:/])/(?:home|root|tmp|Users|usr|opt|mnt|var)/"
)


assignments, build = import_from(FOLDER, "assignments"), import_from(FOLDER, "build")


def notebook_of(twin):
    return nbformat.read(twin.with_suffix(".ipynb"), as_version=4)


def code_cells(twin):
    return [cell for cell in notebook_of(twin).cells if cell.cell_type == "code"]


each_lesson = pytest.mark.parametrize("twin", TWINS, ids=[twin.stem for twin in TWINS])


def test_every_notebook_has_a_twin_and_the_other_way_round():
    assert TWINS
    assert [twin.stem for twin in TWINS] == sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@each_lesson
def test_the_notebook_is_in_step_with_its_twin(twin):
    fresh, committed = build.read_twin(twin), notebook_of(twin)
    assert committed.metadata == fresh.metadata
    assert len(committed.cells) == len(fresh.cells)
    for ours, theirs in zip(committed.cells, fresh.cells, strict=True):
        for part in ("id", "cell_type", "source", "metadata"):
            assert ours[part] == theirs[part], "run python notebooks/build.py"


@each_lesson
def test_all_cells_were_executed_in_order_without_errors_or_warnings(twin):
    cells = code_cells(twin)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.get("name", output.output_type) for cell in cells for output in cell.outputs}
    assert kinds <= {"stdout", "execute_result", "display_data"}


@each_lesson
def test_the_notebook_holds_nothing_of_the_machine(twin):
    text = json.loads(twin.with_suffix(".ipynb").read_text(encoding="utf-8"))
    for cell in text["cells"]:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)
    found = TRACES.search(json.dumps(text, ensure_ascii=False))
    assert found is None, found


@each_lesson
def test_a_lesson_opens_with_a_title_asserts_what_it_claims_and_shows_pictures(twin):
    first, *_ = notebook_of(twin).cells
    cells = code_cells(twin)
    assert first.source.startswith("# ")
    claiming = [cell for cell in cells if not build.tags(cell) & {"exercise", "timing"}]
    assert sum("assert" in cell.source for cell in claiming) >= len(claiming) / 2
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


# ---- the exercises ---------------------------------------------------------------------------------------------


def tree_of(source):
    """The syntax tree of a cell, IPython's magic lines left out."""
    return ast.parse("\n".join("" if line.startswith(("%", "!")) else line for line in source.split("\n")))


def defined(source):
    """The functions and classes that a cell defines."""
    return {node.name for node in tree_of(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def names_read(source):
    """The names that a cell reads, wherever they come from."""
    return {
        node.id
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def open_ends(source):
    """How often a cell says that there is nothing yet."""
    raised = [node.exc for node in ast.walk(tree_of(source)) if isinstance(node, ast.Raise)]
    return sum("NotImplementedError" in ast.dump(exception) for exception in raised if exception)


@each_lesson
def test_a_lesson_has_exercises_each_with_a_check_and_a_solution(twin):
    lesson = build.read_twin(twin)
    tasks = build.exercises(twin, lesson)
    assert len(tasks) >= 2
    for task in tasks:
        starter, check = lesson.cells[task.starter].source, lesson.cells[task.check].source
        asked = defined(starter) & names_read(check)
        assert asked, f"the check in cell {task.check} calls nothing of the cell to fill in"
        assert asked <= defined(task.solution), f"the solution to cell {task.starter} lacks {asked}"
        assert open_ends(starter), f"cell {task.starter} does not raise NotImplementedError"
        assert not open_ends(task.solution)
        assert "@exercise.check" in check


@each_lesson
def test_in_the_committed_lesson_all_exercises_are_open(twin):
    lesson = notebook_of(twin)
    tasks = build.exercises(twin, build.read_twin(twin))
    build.expect("not solved yet", tasks, [lesson.cells[task.check] for task in tasks])


def test_every_solution_belongs_to_a_lesson():
    assert {path.name for path in (FOLDER / "solutions").glob("*.py")} <= {twin.name for twin in TWINS}


def names_of(source):
    """The names that a cell binds at its top, and the global names that it reads."""
    top = symtable.symtable(ast.unparse(tree_of(source)), "cell", "exec")
    bound = {
        symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    read, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        read |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (table is top or symbol.is_global())
        }
    return bound, read


def missing_without_timings(cells):
    """Names that a cell reads and that only cells tagged `timing` bind before it."""
    bound, timed, missing = set(dir(builtins)), set(), set()
    for cell in cells:
        binds, reads = names_of(cell.source)
        if "timing" in build.tags(cell):
            timed |= binds
        else:
            bound |= binds
            missing |= (reads & timed) - bound
    return missing


@each_lesson
def test_the_lesson_can_do_without_its_timings(twin):
    """With the JIT disabled, cells tagged `timing` are left out."""
    cells = [cell for cell in build.read_twin(twin).cells if cell.cell_type == "code"]
    assert not missing_without_timings(cells)


def test_names_that_only_a_timing_binds_are_found():
    timing = nbformat.v4.new_code_cell("def f(a): return a\nseconds = f(2)", metadata={"tags": ["timing"]})
    after = nbformat.v4.new_code_cell("def g(x):\n    f = 3\n    return seconds + f + len(x)")
    assert missing_without_timings([timing, after]) == {"seconds"}
    assert not missing_without_timings([nbformat.v4.new_code_cell("seconds = 1"), timing, after])


# ---- the assignments -------------------------------------------------------------------------------------------


def test_assignments_are_the_lessons_unexecuted_with_the_exercises_open(tmp_path):
    target = tmp_path / "new" / "folder"
    assert assignments.main([str(target)]) == 0
    assert sorted(path.stem for path in target.iterdir()) == [twin.stem for twin in TWINS]
    for twin in TWINS:
        lesson = nbformat.read(target / f"{twin.stem}.ipynb", as_version=4)
        nbformat.validate(lesson)
        assert [cell.source for cell in lesson.cells] == [cell.source for cell in build.read_twin(twin).cells]
        for cell in lesson.cells:
            assert cell.cell_type != "code" or (cell.outputs, cell.execution_count) == ([], None)


def test_solved_assignments_hold_the_solutions(tmp_path):
    assert assignments.main([str(tmp_path), TWINS[0].stem, "--with-solutions"]) == 0
    solved = nbformat.read(tmp_path / f"{TWINS[0].stem}_solved.ipynb", as_version=4)
    for task in build.exercises(TWINS[0], build.read_twin(TWINS[0])):
        assert solved.cells[task.starter].source == task.solution
    assert not sum(open_ends(cell.source) for cell in solved.cells if cell.cell_type == "code")


def test_nobodys_work_is_written_over(tmp_path, capsys):
    name = TWINS[0].stem
    work = tmp_path / f"{name}.ipynb"
    work.write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        assignments.main([str(tmp_path), name])
    assert f"has {name}.ipynb already; --force writes over" in capsys.readouterr().err
    assert work.read_text(encoding="utf-8") == "mine"
    assert assignments.main([str(tmp_path), name, "--force"]) == 0
    assert work.read_text(encoding="utf-8") != "mine"


def test_assignments_refuse_the_lessons_own_folder_and_unknown_names(tmp_path, capsys):
    for arguments, message in (
        ([str(FOLDER), "--force"], "holds the executed lessons"),
        ([str(tmp_path), "99"], "no notebook starts with 99"),
    ):
        with pytest.raises(SystemExit, match="2"):
            assignments.main(arguments)
        assert message in capsys.readouterr().err


# ---- the README ------------------------------------------------------------------------------------------------


def test_the_readme_lists_all_lessons():
    readme = build.README.read_text(encoding="utf-8")
    assert build.in_readme(readme) == readme, "run python notebooks/build.py"
    assert re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", readme) == [twin.stem for twin in TWINS]


# ---- traces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "/home/me/x.py",
        "in /tmp/ipykernel_1/2.py",
        "lib/python3/site-packages/numpy",
        "<function f at 0x7f12ab90>",
    ],
)
def test_traces_are_seen(text):
    assert TRACES.search(json.dumps(text))


@pytest.mark.parametrize(
    "text", ["MACs/pixel", "https://example.org/home/page", "a / tmp", "npdsconv/ops/windows.py"]
)
def test_innocent_text_is_no_trace(text):
    assert not TRACES.search(json.dumps(text))
