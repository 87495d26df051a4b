"""The command line, on a small part of the embedded digits, with a narrow network in the NumPy tier."""

import csv
import json
import os
import shlex

import numba
import numpy as np
import pytest
from helpers import call, fresh

from npdsconv import catalogue, checkpoint, cli, data, gradcheck, models, train
from npdsconv.complexity import summary
from npdsconv.data import Dataset, Split
from npdsconv.runs import peak, peak_memory, recorded
from npdsconv.runs.recipe import recipe

TRAIN = ["train", "--impl", "im2col"]
SMALL = ["--width", "0.125", "--impl", "im2col", "--batch-size", "32", "--epochs", "3"]


@pytest.fixture(autouse=True)
def _few_digits(monkeypatch, tmp_path):
    """96 digits to learn from and 60 to measure with, under any name, and an empty working directory."""
    full = data.load("mnist5k")
    few = {"train": full.train.take(np.arange(0, 4000, 42)), "test": full.test.take(np.arange(0, 1000, 17))}
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, **few))
    monkeypatch.chdir(tmp_path)


def last_json(output):
    """The one object that is all of standard output."""
    (line,) = output.splitlines()
    return json.loads(line)


def reported(capsys, *argv):
    """What a command that succeeds answers in JSON."""
    code, out, err = call(capsys, *argv, "--json")
    assert code == 0, err
    return last_json(out)


def test_train_writes_a_run_folder_and_ends_with_a_table(capsys, tmp_path):
    code, out, err = call(capsys, "train", *SMALL, "--json")
    report = last_json(out)
    folder = tmp_path / report["out"]
    assert code == 0
    assert folder.name == "mnist5k-separable_cnn-seed0"
    names = {"config.json", "metrics.csv", "checkpoint.npz", "learning_curve.png", "confusion.png"}
    assert {p.name for p in folder.iterdir()} == names
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert json.loads((folder / "config.json").read_text())["width"] == 0.125
    assert report["scored_on"] == "mini test"
    assert report["model"]["params"] < report["twin"]["params"]
    assert "mini test" in err
    assert "standard twin" in err
    assert "epoch  3/3" in err
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_takes_a_folder_of_its_own(capsys):
    small = [*SMALL[:-1], "1"]
    folders = [reported(capsys, "train", *small)["out"] for _ in range(2)]
    assert folders == ["runs/mnist5k-separable_cnn-seed0", "runs/mnist5k-separable_cnn-seed0-2"]


def test_hold_out_never_looks_at_the_test_images(capsys, monkeypatch):
    seen = []
    evaluate = train.evaluate
    for place in (train, train.loop):
        monkeypatch.setattr(
            place, "evaluate", lambda m, x, y, **k: seen.append(len(y)) or evaluate(m, x, y, **k)
        )
    code, out, _ = call(capsys, "train", *SMALL, "--hold-out", 20, "--json")
    assert code == 0
    assert last_json(out)["scored_on"] == "held-out training images"
    assert set(seen) == {20}


def test_ctrl_c_leaves_a_checkpoint_and_resume_gives_the_same_bits(capsys, monkeypatch):
    assert call(capsys, "train", *SMALL, "--dropout", "0.2", "--out", "whole")[0] == 0
    step, count = train.steps.Step.__call__, [0]

    def interrupted(*args):
        count[0] += 1
        if count[0] == 5:  # in the middle of the second epoch of three steps
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(train.steps.Step, "__call__", interrupted)
    code, _, err = call(capsys, "train", *SMALL, "--dropout", "0.2", "--out", "cut")
    assert code == 130
    assert "continue with: npdsconv train --resume --out cut" in err
    assert checkpoint.load("cut/checkpoint.npz").meta["epoch"] == 1
    monkeypatch.setattr(train.steps.Step, "__call__", step)
    assert call(capsys, "train", "--resume", "--out", "cut")[0] == 0
    whole, cut = (checkpoint.load(f"{name}/checkpoint.npz") for name in ("whole", "cut"))
    for mine, other in ((whole.state, cut.state), (whole.optimizer, cut.optimizer)):
        assert mine.keys() == other.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], other[name], err_msg=name)


def test_ctrl_c_in_the_first_epoch_leaves_a_usable_checkpoint(capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.steps.Step, "__call__", interrupted)
    assert call(capsys, "train", *SMALL, "--out", "cut")[0] == 130
    assert checkpoint.load("cut/checkpoint.npz").meta["epoch"] == 0


def test_twin_trains_the_standard_convolution_too(capsys, tmp_path):
    code, out, _ = call(capsys, "train", *SMALL, "--twin", "--out", "run", "--json")
    assert code == 0
    assert 0 <= last_json(out)["twin"]["accuracy"] <= 1
    assert (tmp_path / "run/twin/checkpoint.npz").exists()
    assert call(capsys, "evaluate", "run/twin")[0] == 0


def test_evaluate_the_latest_run(capsys):
    trained = reported(capsys, "train", *SMALL)
    code, out, _ = call(capsys, "evaluate", "--json")
    report = last_json(out)
    assert code == 0
    assert report["accuracy"] == trained["accuracy"]
    assert report["f1_macro"] == trained["f1_macro"]
    assert np.sum(report["confusion"]) == 59


def test_the_run_is_named_in_the_same_way_everywhere(capsys, tmp_path):
    from PIL import Image

    trained = [reported(capsys, "train", *SMALL, "--seed", k) for k in (1, 2)]
    first, second = (report["out"] for report in trained)
    assert trained[0]["loss"] != trained[1]["loss"]
    digit = Image.fromarray(data.load("mnist5k").test.images[0, 0])
    digit.resize((90, 90)).save(tmp_path / "a.png")
    digit.resize((60, 60)).save(tmp_path / "b.png")

    def asked(*argv):
        return {key: value for key, value in reported(capsys, *argv).items() if key != "run"}

    pictures = ["a.png", "b.png"]
    for path in (first, second):
        named = asked("evaluate", path)
        assert named == asked("evaluate", "--run", path) == asked("evaluate", f"{path}/checkpoint.npz")
        read = asked("predict", path, *pictures)
        assert [p["file"] for p in read["predictions"]] == pictures
        assert (
            read == asked("predict", "--run", path, *pictures) == asked("predict", *pictures, "--run", path)
        )
        assert read == asked("predict", f"{path}/checkpoint.npz", *pictures)
    assert asked("evaluate") == asked("evaluate", second) != asked("evaluate", first)
    assert asked("predict", second, "a.png") != asked("predict", first, "a.png")


def test_a_run_without_a_whole_epoch_is_not_the_latest(capsys, monkeypatch):
    def diverging(*args):
        raise FloatingPointError("epochs: the loss is nan")

    with monkeypatch.context() as patched:
        patched.setattr(train.steps.Step, "__call__", diverging)
        assert call(capsys, "train", *SMALL, "--out", "runs/diverged")[0] == 2
    code, _, err = call(capsys, "evaluate")
    assert (code, "there is no run with a whole epoch in runs/" in err) == (2, True)
    trained = reported(capsys, "train", *SMALL)
    os.utime("runs/diverged/checkpoint.npz")
    assert reported(capsys, "evaluate")["run"] == trained["out"]


def test_a_network_fits_the_images_and_classes_of_its_data(capsys, monkeypatch):
    rng = np.random.default_rng(3)
    halves = [Split(rng.integers(0, 256, (n, 2, 9, 9), np.uint8), np.arange(n) % 3) for n in (40, 15)]
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, *halves))
    for model in ("separable_cnn", "small_cnn"):
        report = reported(capsys, "train", *SMALL, "--model", model, "--out", model)
        built = recipe(model=model, width=0.125).build_model((2, 9, 9), 3)
        costs = summary(built, (2, 9, 9))
        assert report["model"] == {"params": costs.params, "macs": costs.macs}
        measured = reported(capsys, "evaluate", model)
        assert np.shape(measured["confusion"]) == (3, 3)
        assert measured["loss"] == report["loss"]
        assert call(capsys, "train", "--resume", "--out", model)[0] == 0


def test_what_to_do_next_works_as_it_is_printed(capsys, tmp_path):
    from PIL import Image

    code, out, _ = call(capsys, "train", *SMALL, "--out", "my run")
    _, _, told = out.partition("next:\n")
    commands = [shlex.split(line.strip().split("  ")[0]) for line in told.splitlines()]
    assert code == 0
    assert [command[:2] for command in commands] == [
        ["npdsconv", name] for name in ("evaluate", "predict", "train")
    ]
    Image.fromarray(data.load("mnist5k").test.images[0, 0]).save(tmp_path / "PICTURE", "png")
    for command in commands:
        code, out, err = call(capsys, *command[1:])
        assert code == 0, err
    assert "the standard-convolution twin, in my run/twin" in out
    assert "--twin" not in out


def test_evaluating_on_images_that_were_learned_is_refused(capsys):
    assert call(capsys, "train", "--dataset", "mnist", *SMALL, "--out", "run")[0] == 0
    code, _, err = call(capsys, "evaluate", "run", "--dataset", "mnist5k")
    assert code == 2
    assert "among the training images of mnist" in err


def test_gradcheck_prints_a_table(capsys):
    code, out, err = call(capsys, "gradcheck", "linear", "--impl", "im2col", "--json")
    assert code == 0
    assert last_json(out)["ok"] is True
    assert "linear" in err
    code, out, _ = call(capsys, "gradcheck", "linear", "--impl", "im2col")
    head, *rows, last = out.splitlines()
    assert len({len(row) for row in rows}) == 1
    assert {row[: head.index("kinks") + 5][-1] for row in rows} == {"0"}
    assert last.startswith(f"{len(rows)} checked, 0 not ok; worst error ")


def test_a_wrong_gradient_is_told_with_exit_code_1(capsys, monkeypatch):
    def doubled(dy, x):
        return 2 * dy

    def broken(dy, x):
        return dy[:1]

    def cases():
        for backward in (doubled, broken):
            report = gradcheck.check(lambda x: x * 1.0, backward, np.linspace(-1, 2, 7))
            yield catalogue.Case("op", backward.__name__, lambda impl, report=report: report)

    monkeypatch.setattr(catalogue.checks, "CASES", tuple(cases()))
    code, out, err = call(capsys, "gradcheck", "all", "--json")
    assert code == 1
    assert err.count("FAILED") >= 2
    assert last_json(out)["ok"] is False
    assert "doubled" in err
    assert "broken" in err


def test_complexity_beside_the_twin(capsys):
    code, out, err = call(capsys, "complexity", "separable_cnn", "--input", "1x28x28", "--json")
    report = last_json(out)
    assert code == 0
    assert "PointwiseConv2d" in err
    assert report["model"]["params"] == 36298
    assert report["standard_twin"]["params"] == 278890
    assert report["model"]["flops"] == 2 * report["model"]["macs"]


def test_complexity_counts_the_network_that_train_trains(capsys):
    """Whatever the settings: both take them from the recipe."""
    for extra in ([], ["--stem-stride", "1"]):
        trained = reported(capsys, "train", *SMALL[:-2], "--epochs", "1", *extra)
        counted = reported(capsys, "complexity", "separable_cnn", *SMALL[:2], *extra)
        for theirs, mine in (("model", "model"), ("twin", "standard_twin")):
            figures = {name: counted[mine][name] for name in ("params", "macs")}
            assert {name: trained[theirs][name] for name in figures} == figures
    default = reported(capsys, "complexity", "separable_cnn")
    wide = reported(capsys, "complexity", "separable_cnn", "--stem-stride", "1")
    assert (default["model"]["macs"], wide["model"]["macs"]) == (2_720_192, 2_889_536)


def test_memory_of_a_training_step_is_counted_and_measured(capsys, monkeypatch):
    monkeypatch.setattr(peak, "REPEATS", 1)
    size = ["--input", "2x28x26", "--classes", "3", "--width", "0.25", "--memory", "--batch-size", "50"]
    if not peak_memory.available() or numba.config.DISABLE_JIT:
        pytest.skip("only Linux tells the peak memory; without the JIT a step takes long")
    code, out, err = call(capsys, "complexity", "separable_cnn", *size, "--json")
    step = last_json(out)["training_step"]
    assert code == 0
    assert step.keys() == {"batch_size", "counted_bytes", "peak_bytes"}
    model = models.separable_cnn(2, 3, width=0.25, stem_stride=2)
    assert step["counted_bytes"] == summary(model, (2, 28, 26)).training_bytes(50)
    assert 0.7 < step["peak_bytes"] / step["counted_bytes"] < 2
    counted, measured = (f"{step[name] / 1e6:.1f} MB" for name in ("counted_bytes", "peak_bytes"))
    line = f"training step, batch 50: activations counted {counted}, peak measured {measured}"
    assert line in err.splitlines()


def test_memory_of_a_training_step_where_it_cannot_be_measured(capsys, monkeypatch):
    monkeypatch.setattr(peak_memory, "available", lambda: False)
    code, out, err = call(capsys, "complexity", "small_cnn", "--memory", "--batch-size", "128", "--json")
    report = last_json(out)
    assert code == 0
    assert "batch 128: activations counted 21.7 MB, peak not measured: only Linux tells it" in err
    assert report["training_step"]["peak_bytes"] is None
    assert "training_step" not in reported(capsys, "complexity", "small_cnn")


def test_a_training_step_that_does_not_fit_is_not_tried(capsys, monkeypatch):
    monkeypatch.setattr(peak_memory, "available", lambda: True)
    monkeypatch.setattr(peak_memory, "free", lambda: 20_000_000)
    monkeypatch.setattr(peak, "training_peak", lambda *a: 3_000_000)
    code, out, err = call(capsys, "complexity", "small_cnn", "--memory", "--batch-size", "128")
    assert code == 2
    assert (
        "batch 128 keeps 22 MB of activations, and 20 MB are free here: choose a smaller --batch-size" in err
    )
    code, out, _ = call(capsys, "complexity", "small_cnn", "--memory", "--batch-size", "100")
    assert code == 0
    assert "batch 100: activations counted 16.9 MB, peak measured 3.0 MB" in out


def test_data_lists_and_counts(capsys, tmp_path):
    assert "mnist5k" in call(capsys, "data")[1]
    code, out, _ = call(capsys, "data", "mnist5k", "--picture", "digits.png")
    assert code == 0
    assert "96" in out
    assert (tmp_path / "digits.png").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*TRAIN, "--epochs", "0"], "recipe: epochs must be at least 1, got 0"),
        ([*TRAIN, "--batch-size", "0"], "recipe: batch_size must be at least 1, got 0"),
        ([*TRAIN, "--lr", "-1"], "recipe: lr must be at least 0, got -1.0"),
        ([*TRAIN, "--lr", "nan"], "recipe: lr must be a finite number, got nan"),
        ([*TRAIN, "--width", "0"], "recipe: width must be above 0, got 0.0"),
        ([*TRAIN, "--stem-stride", "3"], "recipe: stem_stride must be 1 or 2, got 3"),
        ([*TRAIN, "--dropout", "1"], "recipe: dropout must be in [0, 1), got 1.0"),
        ([*TRAIN, "--label-smoothing", "2"], "recipe: label_smoothing must be in [0, 1), got 2.0"),
        ([*TRAIN, "--shear", "90"], "recipe: shear must be in [0, 90), got 90.0"),
        ([*TRAIN, "--seed", "-1"], "recipe: seed must be at least 0, got -1"),
        (
            [*TRAIN, "--epochs", "few"],
            "train: argument --epochs: invalid int value: 'few'; see npdsconv train -",
        ),
        ([*TRAIN, "--model", "vgg"], "train: argument --model: invalid choice: 'vgg'"),
        ([*TRAIN, "--wdith", "2"], "unrecognized arguments: --wdith 2, did you mean '--width'"),
        ([*TRAIN, "--zzz=2"], "unrecognized arguments: --zzz=2; see npdsconv --help"),
        (["--vresion"], "unrecognized arguments: --vresion, did you mean '--version'?"),
        (["tran"], "argument COMMAND: invalid choice: 'tran', did you mean 'train'? (choose from"),
        ([*TRAIN, "--threads", "100000"], "n must be an int from 1 to"),
        (["train", "--resume", "--out", "nowhere"], "no run to resume in nowhere"),
        (["train", "--resume"], "there is no run in runs/"),
        (["train", "--out", "file/below", *SMALL], "cannot write to file/below"),
        (["train", "--threads", "0"], "n must be an int from 1 to"),
        (["train", "--hold-out", "96", *SMALL], "cannot hold out 96 of 96 images"),
        (["evaluate", "nowhere.npz"], "there is no file nowhere.npz"),
        (["evaluate", "file"], "not a checkpoint"),
        (["predict", "missing.png", "--run", "file"], "not a checkpoint"),
        (["gradcheck", "nothing"], "no case 'nothing'"),
        (["complexity", "separable_cnn", "--input", "28x28"], "--input must be CxHxW"),
        (["complexity", "small_cnn", "--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["complexity", "small_cnn", "--input", "1x8x12"], "small_cnn takes square images, got 8×12"),
        (["evaluate", "a", "--run", "b"], "evaluate: one run at a time, got a and --run b"),
        (["predict", "a.npz"], "predict: a.npz is a run: name pictures after it"),
        (["complexity", "small_cnn", "--input", "1x2x2"], "size 2 is below 4"),
    ],
)
def test_bad_input_gives_one_clear_line_and_exit_code_2(capsys, tmp_path, argv, message):
    (tmp_path / "file").write_text("not a folder")
    code, _, err = call(capsys, *argv)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("npdsconv: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing is left behind"


def test_a_run_is_not_overwritten_and_keeps_its_settings(capsys, tmp_path):
    call(capsys, "train", *SMALL, "--out", "run")
    before = (tmp_path / "run/checkpoint.npz").read_bytes()
    code, _, err = call(capsys, "train", *SMALL, "--out", "run")
    assert (code, "run holds a run" in err) == (2, True)
    code, _, err = call(capsys, "train", "--resume", "--out", "run", "--lr", "0.5")
    assert (code, "--lr 0.5 differs from the run's 0.01" in err) == (2, True)
    assert (tmp_path / "run/checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_help_imports_nothing_heavy(command):
    program = (
        "import sys; from npdsconv.cli import main\n"
        f"try: main({[*command, '--help']!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'numba', 'scipy', 'matplotlib.pyplot'} & set(sys.modules); assert not heavy, heavy"
    )
    assert fresh(program)[0].startswith("usage: npdsconv")


def test_the_recorded_twin_is_shown_for_the_recipe_itself(tmp_path, monkeypatch):
    runs = [
        ("recipes", {"dataset": "mnist5k", "standard": True}, 0.5),
        ("recipes", {"dataset": "mnist5k", "standard": True}, 0.7),
        ("recipes", {"dataset": "mnist5k"}, 0.9),
        ("another", {"dataset": "mnist5k", "standard": True}, 0.1),
    ]
    lines = [json.dumps(dict(zip(("study", "settings", "accuracy"), run, strict=True))) for run in runs]
    (tmp_path / "recorded.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(recorded, "FILE", tmp_path / "recorded.jsonl")
    found = recorded.accuracy(recipe("mnist5k", seed=7, standard=True))
    np.testing.assert_allclose(found, (0.6, 0.1 * np.sqrt(2), 2))
    assert recorded.accuracy(recipe("mnist5k", epochs=31)) is None
    assert recorded.accuracy(recipe("mnist")) is None
