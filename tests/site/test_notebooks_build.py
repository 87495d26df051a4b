"""Building notebooks: exercises stay open and their solutions are proved; `build.py --check` can fail."""

from pathlib import Path

import pytest
from helpers import import_from

nbformat = pytest.importorskip("nbformat", reason="the notebooks' tools are not installed")
pytest.importorskip("jupytext", reason="the notebooks' tools are not installed")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
TWINS = sorted(FOLDER.glob("[0-9]*.py"))
assignments, build = import_from(FOLDER, "assignments"), import_from(FOLDER, "build")

LESSON = """# %% [markdown]
# # 1. A lesson
#
# At the end you can double. You need nothing.

# %%
from npdsconv.lessons import exercise

# %% tags=["exercise"]
def double(x):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    assert double(3) == 6
"""
SOLUTION = '# %% tags=["solution"]\ndef double(x):\n    return {answer}\n'


def make_lesson(folder, answer="2 * x", lesson=LESSON, name="01_lesson.py"):
    """Write a lesson of one exercise and its solution."""
    (folder / "solutions").mkdir(exist_ok=True)
    (folder / name).write_text(lesson, encoding="utf-8")
    (folder / "solutions" / name).write_text(SOLUTION.format(answer=answer), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("lesson", "message"),
    [
        (LESSON.replace('"check"', '"chek"'), "1 exercise cells, 0 check cells and 1 solution cells"),
        (LESSON.replace('"exercise"', '"other"'), "0 exercise cells, 1 check cells and 1 solution cells"),
        (
            LESSON.replace('"exercise"', '"x"').replace('"check"', '"exercise"').replace('"x"', '"check"'),
            "not followed",
        ),
    ],
)
def test_exercises_that_do_not_match_are_refused(tmp_path, lesson, message):
    twin = make_lesson(tmp_path, lesson=lesson)
    with pytest.raises(ValueError, match=message):
        build.exercises(twin, build.read_twin(twin))


def test_a_lesson_without_its_solutions_is_refused(tmp_path):
    twin = make_lesson(tmp_path)
    (tmp_path / "solutions" / twin.name).unlink()
    with pytest.raises(ValueError, match=r"0 solution cells in solutions/01_lesson.py, which does not exist"):
        build.exercises(twin, build.read_twin(twin))


def test_the_build_leaves_the_lesson_open_and_proves_its_solutions(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the notebooks' tools are not installed")
    pytest.importorskip("ipykernel", reason="the notebooks' tools are not installed")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    twin = make_lesson(tmp_path)
    lesson = build.execute(twin)
    assert [cell.source for cell in lesson.cells] == [cell.source for cell in build.read_twin(twin).cells]
    assert lesson.cells[-1].outputs[0].text == "not solved yet: exercise 1\n"
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="AssertionError"):
        build.execute(make_lesson(tmp_path, answer="x + 2"))


def one_cell(text="7", tags=(), image=None, source="show()"):
    """A notebook of one executed cell that printed `text` and perhaps drew a picture."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    if image:
        outputs.append(nbformat.v4.new_output("display_data", {"image/png": image, "text/plain": "<Figure>"}))
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)} if tags else {})
    return nbformat.v4.new_notebook(cells=[cell])


def test_a_check_that_says_the_wrong_thing_fails_the_build():
    task = assignments.Exercise(0, 1, "")
    build.expect("solved", [task], [one_cell("solved: exercise 1\n").cells[0]])
    for text in ("not solved yet: exercise 1\n", "", "solved: 1\nsolved: 2\n"):
        with pytest.raises(ValueError, match='exercise 1: cell 1 should say "solved"'):
            build.expect("solved", [task], [one_cell(text).cells[0]])


def test_the_list_has_number_title_link_and_aim(tmp_path):
    twin = make_lesson(tmp_path, name="07_lesson.py")
    assert build.listing([twin]) == "7. [A lesson](notebooks/07_lesson.ipynb): double."
    with pytest.raises(ValueError, match="no lines <!-- lessons"):
        build.in_readme("no list")


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("loss 0.25", "loss 0.25", True),
        ("loss  0.25\n", "loss 0.25", True),
        ("error 3.1e-13", "error 4.7e-14", True),
        ("loss 0.25000000000001", "loss 0.25", True),
        ("<f at 0x7f00aa>", "<f at 0x7f00bb>", True),
        ("color:#2E8536", "color:#2E8536", True),  # reads as an infinite number
        ("loss 0.25", "loss 0.26", False),
        ("loss 0.25", "loss -0.25", False),
        ("error 3e-13", "error 3e-3", False),
        ("ok 1", "FAIL 1", False),
        ("1 2", "1 2 3", False),
    ],
)
def test_same_text(old, new, same):
    assert build.same_text(old, new) is same


def test_a_changed_output_is_a_difference():
    (found,) = build.differences(one_cell("7"), one_cell("8"))
    assert "cell 0, stdout" in found
    assert "7" in found
    assert "8" in found


def test_a_changed_twin_and_a_missing_picture_are_differences():
    assert list(build.differences(one_cell(), one_cell(source="other()"))) == [
        "the cells differ from the .py twin"
    ]
    (found,) = build.differences(one_cell(image="iVBOR"), one_cell())
    assert "image/png" in found


@pytest.mark.parametrize("tag", ["timing", "rounding"])
def test_tagged_cells_and_the_bytes_of_pictures_may_differ(tag):
    assert not list(build.differences(one_cell("7", [tag]), one_cell("8", [tag])))
    assert list(build.differences(one_cell("7", ["other"]), one_cell("8", ["other"])))
    assert not list(build.differences(one_cell(image="iVBOR"), one_cell(image="iVBOS")))


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        build.main(["99", "--check"])
    assert "no notebook starts with 99" in capsys.readouterr().err


def test_notebooks_are_not_written_without_the_jit(monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(SystemExit, match="2"):
        build.main([])
    assert "leaves out the cells tagged timing" in capsys.readouterr().err


def test_cell_ids_do_not_change_from_build_to_build():
    first, second = build.read_twin(TWINS[0]), build.read_twin(TWINS[0])
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
