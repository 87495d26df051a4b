"""The committed notebooks: in step with their .py twins, executed from top to bottom, free of the machine's traces.

Nothing is executed here. `python notebooks/build.py --check` does that, with the assertions inside the lessons, and
compares the outputs; the last tests below make sure that it can fail.
"""

import importlib.util
import json
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest

from npdsconv import pictures

nbformat = pytest.importorskip("nbformat", reason="the notebooks' tools are not installed")
pytest.importorskip("jupytext", reason="the notebooks' tools are not installed")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
TWINS = sorted(FOLDER.glob("[0-9]*.py"))
TRACES = re.compile(
    r"site-packages| at 0x[0-9a-f]{6}|[A-Z]:\\\\Users|(?<![\w.:/])/(?:home|root|tmp|Users|usr|opt|mnt|var)/"
)


def load_build():
    spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


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
    assert sum("assert" in cell.source for cell in cells) >= len(cells) / 2
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


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


# ---- the pictures ----------------------------------------------------------------------------------------------


def texts_of(figure):
    return [text.get_text() for ax in figure.axes for text in (ax.title, *ax.texts)]


def test_pictures_write_the_numbers_they_stand_for_and_leave_no_open_figure():
    matplotlib.use("Agg")
    image, kernel = np.arange(1.0, 13).reshape(3, 4), np.array([[0.0, -2, 1]])
    assert "0·1 − 2·2 + 1·3 = −1" in texts_of(pictures.sliding(image, kernel))
    assert "x (3, 4) → y (2, 2)" in texts_of(pictures.geometries(image, (1, 3), {"s": {"stride": (2, 1)}}))[0]
    assert {"cols  (3, 6)", "F"} <= set(texts_of(pictures.im2col_matrix(image, kernel)))
    assert "depthwise\nK×K on every line\n6 lines" in texts_of(pictures.wiring(3, 4, multiplier=2))
    assert "−14" in texts_of(pictures.scatter(np.array([[7.0, 0]] * 3), kernel, (3, 4)))
    assert texts_of(pictures.counts({"reads": image}))[-1] == "12"
    assert not matplotlib.pyplot.get_fignums()


# ---- build.py --check can fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("loss 0.25", "loss 0.25", True),
        ("loss  0.25\n", "loss 0.25", True),
        ("error 3.1e-13", "error 4.7e-14", True),
        ("loss 0.25000000000001", "loss 0.25", True),
        ("<f at 0x7f00aa>", "<f at 0x7f00bb>", True),
        ("loss 0.25", "loss 0.26", False),
        ("loss 0.25", "loss -0.25", False),
        ("error 3e-13", "error 3e-3", False),
        ("ok 1", "FAIL 1", False),
        ("1 2", "1 2 3", False),
    ],
)
def test_same_text(old, new, same):
    assert build.same_text(old, new) is same


def one_cell(text="7", tags=(), image=None, source="show()"):
    """A notebook of one executed cell that printed `text` and perhaps drew a picture."""
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    if image:
        outputs.append(nbformat.v4.new_output("display_data", {"image/png": image, "text/plain": "<Figure>"}))
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)} if tags else {})
    return nbformat.v4.new_notebook(cells=[cell])


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


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match="no notebook starts with 99"):
        build.lessons(["99"])


def test_cell_ids_do_not_change_from_build_to_build():
    first, second = build.read_twin(TWINS[0]), build.read_twin(TWINS[0])
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
