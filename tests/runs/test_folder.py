"""A run folder: its table mended, its litter swept, one process at a time, and a checkpoint believed after a look."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import assert_same_state, call, fresh

from npdsconv import checkpoint, cli, data
from npdsconv.data import Dataset
from npdsconv.runs import RunFolder, folder, history, load_model
from npdsconv.runs.recipe import recipe

SMALL = ["--width", "0.125", "--impl", "im2col", "--batch-size", "16", "--epochs", "3"]
SETTINGS = {"width": 0.125, "impl": "im2col", "batch_size": 16, "epochs": 3}
COLUMNS = ",".join(history.COLUMNS)


@pytest.fixture(scope="module")
def digits():
    """31 digits to learn from and 11 to measure with."""
    full = data.load("mnist5k")
    few = full.train.take(np.arange(0, 4000, 130)), full.test.take(np.arange(0, 1000, 99))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, *few))
        patch.setattr("npdsconv.cli.train._pictures", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def original(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "run"
    assert cli.main(["train", *SMALL, "--out", str(path)]) == 0
    return path


@pytest.fixture
def trained(original, monkeypatch, tmp_path):
    """A copy of the folder of a small run of three epochs, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original, "run")
    return RunFolder(tmp_path / "run")


def rewritten(run, **changes):
    """The checkpoint of the run with another position, or, with `state` and `optimizer`, other arrays."""
    saved = checkpoint.load(run.checkpoint)

    class Has:
        def __init__(self, state):
            self.state_dict = lambda: state

    state = saved.state | changes.pop("state", {})
    optimizer = saved.optimizer | changes.pop("optimizer", {})
    position = {k: v for k, v in (saved.meta | changes).items() if v is not ...}
    checkpoint.save(run.checkpoint, model=Has(state), optimizer=Has(optimizer), **position)


DAMAGE = {
    "a torn last line": lambda text: text[:-9],
    "torn in the last number": lambda text: text[:-3],
    "a lost row": lambda text: text[: text[:-1].rfind("\n") + 1],
    "a row too many": lambda text: text + text.splitlines()[-1].replace("3,", "4,", 1) + "\n",
    "the same row twice": lambda text: text + text.splitlines()[-1] + "\n",
    "a row in the middle lost": lambda text: re.sub(r"\n2,.*", "", text),
    "no header": lambda text: text.partition("\n")[2],
    "another table": lambda text: "a,b\n1,2\n",
    "no text": lambda text: "\0\xff" * 50,
    "empty": lambda text: "",
    "a quote that never ends": lambda text: text.replace("\n2,", '\n"2,', 1),
    "gone": None,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_resume_makes_the_table_whole_again(trained, capsys, kind):
    right, rows = trained.metrics.read_text(), trained.rows()
    if DAMAGE[kind] is None:
        trained.metrics.unlink()
    else:
        trained.metrics.write_text(DAMAGE[kind](right), encoding="latin-1")
    assert all(mine == right for mine, right in zip(trained.rows(), rows, strict=False)), "whole rows alone"
    code, out, err = call(capsys, "train", "--resume", "--out", "run")
    assert (code, err) == (0, "")
    assert "trained in" in out
    assert trained.metrics.read_text() == right


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_checkpoint_without_history_keeps_the_rows_that_are_whole(trained, capsys, kind):
    """As older ones are: what is lost cannot be known, but nothing fails and nothing torn stays."""
    rewritten(trained, rows=...)
    right, rows = trained.metrics.read_text(), trained.rows()
    if DAMAGE[kind] is None:
        trained.metrics.unlink()
    else:
        trained.metrics.write_text(DAMAGE[kind](right), encoding="latin-1")
    assert call(capsys, "train", "--resume", "--out", "run")[0] == 0
    kept = {
        "a torn last line": 2,
        "torn in the last number": 2,
        "a lost row": 2,
        "a row in the middle lost": 1,
    }
    kept |= {"a row too many": 3, "the same row twice": 3, "a quote that never ends": 1}
    assert trained.rows() == rows[: kept.get(kind, 0)]
    assert trained.metrics.read_text().startswith(COLUMNS + "\n")


def test_a_history_that_cannot_be_is_not_believed(trained, capsys):
    right = trained.metrics.read_text()
    rows = checkpoint.load(trained.checkpoint).meta["rows"]
    for lie in (rows[:2], [*rows, rows[2]], rows[::-1], [[*rows[0], "x"], *rows[1:]], "123", [1, 2, 3],
                [["1", "nan", *rows[0][2:]], *rows[1:]], [["1", "1", "nan", *rows[0][3:]], *rows[1:]]):  # fmt: skip
        rewritten(trained, rows=lie)
        assert call(capsys, "train", "--resume", "--out", "run")[0] == 0
        assert trained.metrics.read_text() == right, "that of the folder is whole"


def test_resume_sweeps_its_own_litter_and_nothing_else(trained, capsys):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()  # so nobody has this number now
    own = [
        f".{name}.{child.pid}.tmp"
        for name in ("checkpoint.npz", "metrics.csv", "config.json", "confusion.png")
    ]
    others = [
        f".checkpoint.npz.{os.getppid()}.tmp",  # of a process that is alive
        f".checkpoint.npz.{os.getpid()}.tmp",
        f".notes.txt.{child.pid}.tmp",
        ".checkpoint.npz.tmp",
        f"checkpoint.npz.{child.pid}.tmp",
        f".checkpoint.npz.{child.pid}.tmp.bak",
        "notes.txt",
    ]
    for name in (*own, *others):
        (trained.path / name).write_text("half")
    (trained.path / f".metrics.csv.{child.pid}9999999.tmp").mkdir()  # no file, so not ours
    before = {p.name for p in trained.path.iterdir()}
    assert call(capsys, "train", "--resume", "--out", "run")[0] == 0
    assert {p.name for p in trained.path.iterdir()} == before - set(own)


def test_one_process_trains_in_a_folder_at_a_time(trained, capsys):
    pytest.importorskip("fcntl")
    before = trained.checkpoint.read_bytes()
    with RunFolder("run").held():
        code, _, err = call(capsys, "train", "--resume", "--out", "run")
    assert code == 2
    assert err == "npdsconv: error: train: another process is training in run\n"
    assert trained.checkpoint.read_bytes() == before
    assert call(capsys, "train", "--resume", "--out", "run")[0] == 0, "the lock is gone, and left no file"
    assert {p.name for p in trained.path.iterdir()} == {"checkpoint.npz", "config.json", "metrics.csv"}


def test_a_lock_ends_with_its_process(trained, capsys):
    pytest.importorskip("fcntl")
    fresh("import os; from npdsconv.runs import RunFolder; RunFolder('run').held().__enter__(); os._exit(0)")
    assert call(capsys, "train", "--resume", "--out", "run")[0] == 0


def test_where_there_are_no_locks_training_goes_on(trained, capsys, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert call(capsys, "train", "--resume", "--out", "run")[0] == 0


# ---- what a checkpoint says ----

LIES = {
    "epoch none": ({"epoch": ...}, "is damaged: it says epoch None of 3"),
    "epoch negative": ({"epoch": -1}, "is damaged: it says epoch -1 of 3"),
    "epoch beyond": ({"epoch": 4}, "is damaged: it says epoch 4 of 3"),
    "epoch a share": ({"epoch": 1.5}, "is damaged: it says epoch 1.5 of 3"),
    "epoch true": ({"epoch": True}, "is damaged: it says epoch True of 3"),
    "no recipe": ({"recipe": ...}, "carries no recipe of this version"),
    "recipe a list": ({"recipe": [1]}, "carries no recipe of this version"),
    "an unknown setting": ({"recipe": {"colour": "red"}}, "carries no recipe of this version"),
    "shape of two": ({"shape": [28, 28]}, "is damaged: it says images of [28, 28] in 10 classes"),
    "shape zero": ({"shape": [1, 0, 28]}, "is damaged: it says images of [1, 0, 28]"),
    "shape text": ({"shape": "1x28x28"}, "is damaged: it says images of '1x28x28'"),
    "classes endless": (
        {"classes": 10**30},
        "is damaged: it says images of [1, 28, 28] in 1000000000000000000",
    ),
    "channels of a lie": ({"shape": [10**9, 28, 28]}, "nothing of 1000000000 channels and 10 classes"),
    "classes of a lie": ({"classes": 10**9}, "nothing of 1 channels and 1000000000 classes"),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_checkpoint_that_lies_is_refused_in_one_line(trained, capsys, kind):
    changes, message = LIES[kind]
    rewritten(trained, **changes)
    before = {p.name: p.read_bytes() for p in trained.path.iterdir()}
    for command in (("evaluate", "run"), ("train", "--resume", "--out", "run")):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert len(err.splitlines()) == 1
        assert message in err
    assert {p.name: p.read_bytes() for p in trained.path.iterdir()} == before, "nothing was written"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("weight_decay", "x", "recipe: weight_decay must be a finite number, got 'x'"),
        ("lr", -1.0, "recipe: lr must be at least 0, got -1.0"),
        ("model", "vgg", "recipe: model must be one of separable_cnn, "),
        ("width", 1e9, "too few for the network that it names"),
        ("width", 4000.0, "too few for the network that it names"),
        ("width", 0.25, "load_state_dict: "),
        ("optimizer", "sgd", "SGD.load_state_dict: "),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_in_one_line(trained, capsys, setting, value, message):
    """A width that is a lie is found before a network of that width takes the memory."""
    rewritten(trained, recipe=recipe(**SETTINGS).as_dict() | {setting: value})
    code, _, err = call(capsys, "train", "--resume", "--out", "run")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("state", "0.weight", np.nan, "load_state_dict: 0.weight holds nan"),
        ("optimizer", "steps", -1, "AdamW.load_state_dict: steps holds -1, must be at least 0"),
        ("optimizer", "v.2", -1.0, "AdamW.load_state_dict: v.2 holds -1.0, must be at least 0"),
        ("optimizer", "m.2", np.inf, "AdamW.load_state_dict: m.2 holds inf"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused_before_anything_is_written(
    trained, capsys, part, name, value, message
):
    saved = checkpoint.load(trained.checkpoint)
    arrays = saved.state if part == "state" else saved.optimizer
    rewritten(trained, **{part: {name: np.full_like(arrays[name], value)}})
    trained.metrics.write_text("torn")
    code, _, err = call(capsys, "train", "--resume", "--out", "run")
    assert code == 2
    assert message in err
    assert trained.metrics.read_text() == "torn"


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("separable_cnn", "width=1e9", "too few for the network that it names"),
        ("separable_cnn", "width=nan", "NaN"),
        ("class_maps", "blocks=999999999", "too few for the network that it names"),
        ("large_kernel_cnn", "kernel=99999", "too few for the network that it names"),
        ("multiplied", f"features={10**30}", "too few for the network that it names"),
        (
            "dilated_separable",
            "dilations=" + ",".join("1" * 9999),
            "arrays, too few for the options of its recipe",
        ),
        ("separable_cnn", "colour=red", "an option must be one of"),
    ],
)
def test_options_that_lie_are_refused_before_they_take_the_memory(trained, capsys, model, options, message):
    lie = recipe(**SETTINGS | {"width": 1.0}).as_dict() | {"model": model, "options": options}
    rewritten(trained, recipe=lie)
    code, _, err = call(capsys, "evaluate", "run")
    assert (code, len(err.splitlines())) == (2, 1)
    assert message in err


def test_a_network_with_options_is_rebuilt(trained):
    chosen = recipe(model="separable_resnet", options="filters=8,16,24,160 residual=false", impl="im2col")
    model = chosen.build_model((1, 40, 40), 7)
    where = {"epoch": 0, "recipe": chosen.as_dict(), "shape": (1, 40, 40), "classes": 7}
    checkpoint.save(trained.checkpoint, model=model, optimizer=chosen.build_optimizer(model), **where)
    assert_same_state(load_model(trained.path)[0].state_dict(), model.state_dict())


def test_a_network_of_another_size_is_rebuilt(trained, monkeypatch):
    """The state decides nothing but what is refused: wide ones and large pictures are built as they were."""
    chosen = recipe(model="small_cnn", width=2.5, impl="im2col")
    model = chosen.build_model((2, 64, 64), 7)
    where = {"epoch": 0, "recipe": chosen.as_dict(), "shape": (2, 64, 64), "classes": 7}
    checkpoint.save(trained.checkpoint, model=model, optimizer=chosen.build_optimizer(model), **where)
    assert_same_state(load_model(trained.path)[0].state_dict(), model.state_dict())


def test_what_stands_in_a_folder_in_place_of_its_files(trained, capsys):
    """A folder under the name of the table: it cannot be replaced, and that is said."""
    trained.metrics.unlink()
    trained.metrics.mkdir()
    code, _, err = call(capsys, "train", "--resume", "--out", "run")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "it is a folder, not a file" in err
    trained.metrics.rmdir()
    trained.checkpoint.unlink()
    trained.checkpoint.mkdir()
    code, _, err = call(capsys, "train", "--resume", "--out", "run")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "checkpoint.npz: it is a folder, not a file" in err


def test_settings_are_written_whole(trained):
    assert json.loads(trained.config.read_text())["width"] == 0.125
    assert folder.fresh_folder(recipe()).parent.name == "runs"
