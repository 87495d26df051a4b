"""Pictures of one's own from the command line: trained on, gone on with, measured, recognised, learned from anew."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import call, compiled, load
from PIL import Image

from npdsconv import checkpoint, cli, data
from npdsconv.data import idx
from npdsconv.runs import load_model, source
from npdsconv.runs.recipe import recipe

COLOURS = {"blue": (20, 30, 200), "green": (30, 190, 40), "red $": (220, 30, 20)}
QUICK = ("--impl", "im2col", "--width", "0.125", "--epochs", "2", "--lr", "0.02")


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    """Three classes of eight pictures of many sizes, told apart by their colour, and a working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for k in range(8):
            pixels = rng.integers(0, 30, (20 + 3 * k, 41 - 2 * k, 3)) + np.array(colour)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{k}.png")
    return tmp_path / "pictures"


def reported(capsys, *argv):
    code, out, err = call(capsys, *argv, "--json")
    assert code == 0, err
    return json.loads(out), err


def trained(capsys, *argv):
    return reported(capsys, "train", "--folder", "pictures", *QUICK, *argv)


def test_two_commands_learn_and_recognise(capsys, pictures, tmp_path):
    report, err = trained(capsys, "--epochs", "12", "--size", "16")
    assert report["accuracy"] == 1
    assert report["out"] == "runs/pictures-separable_cnn-seed0"
    assert (
        "pictures: 18 images to learn from, 6 to measure with, of 3 × 16 × 16, in 3 classes: blue, green, red $"
        in err
    )
    assert "what is in pictures of your own" in call(capsys, "train", "--resume")[1]
    files = [str(pictures / name / "3.png") for name in COLOURS]
    found, said = reported(capsys, "predict", report["out"], *files, "--save", "seen")
    assert [p["class"] for p in found["predictions"]] == list(COLOURS)
    assert {p["digit"] for p in found["predictions"]} == {None}
    assert said.splitlines()[0].split()[:3] == ["class", "blue", "green"]
    with Image.open("seen/3.png") as seen:
        np.testing.assert_array_equal(
            np.asarray(seen).transpose(2, 0, 1), data.images.picture(files[0], (3, 16, 16))
        )
    assert (tmp_path / report["out"] / "confusion.png").exists()


def test_what_was_found_out_is_the_same_in_every_command(capsys):
    report, _ = trained(capsys, "--out", "run")
    assert report["scored_on"] == "test"
    _, chosen, saved = load_model("run")
    assert (chosen.dataset, chosen.data_name, saved.meta["names"]) == ("own", "pictures", list(COLOURS))
    whole = source.load(chosen, saved=saved)
    assert saved.meta["shape"] == list(whole.shape) == [3, 37, 37], "the middle one of the longer sides"
    measured, err = reported(capsys, "evaluate", "run")
    assert (measured["accuracy"], measured["loss"]) == (report["accuracy"], report["loss"])
    assert measured["names"] == list(COLOURS)
    lines = [line.split()[0] for line in err.splitlines() if line.strip()]
    assert [lines.count(name.split()[0]) for name in COLOURS] == [3, 2, 2], "in both tables, blue heads one"


def test_a_run_goes_on_to_the_same_bits(capsys, monkeypatch):
    trained(
        capsys,
        "--out",
        "whole",
        "--flip",
        "--crop",
        "2",
        "--noise",
        "0.1",
        "--salt",
        "0.05",
        "--cut-out",
        "5",
    )
    from npdsconv import train

    step, count = train.steps.Step.__call__, [0]

    def interrupted(*args):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(train.steps.Step, "__call__", interrupted)
    argv = ("--flip", "--crop", "2", "--noise", "0.1", "--salt", "0.05", "--cut-out", "5")
    assert call(capsys, "train", "--folder", "pictures", *QUICK, *argv, "--out", "cut")[0] == 130
    monkeypatch.setattr(train.steps.Step, "__call__", step)
    assert call(capsys, "train", "--resume", "--out", "cut")[0] == 0
    whole, cut = (checkpoint.load(f"{name}/checkpoint.npz").state for name in ("whole", "cut"))
    for name in whole:
        np.testing.assert_array_equal(whole[name], cut[name], err_msg=name)


def test_augmentations_are_those_that_are_asked_for():
    assert recipe("mnist5k").build_augment() == data.Affine(rotate=15, shift=2, scale=0.15, shear=11)
    asked = {"flip": True, "crop": 3, "cut_out": 4, "noise": 0.1, "salt": 0.2}
    assert repr(recipe(folder="x", **asked).build_augment()) == (
        "Compose(Affine(rotate=10.0, shift=2.0, scale=0.15, shear=0.0), Flip(p=0.5), Crop(padding=3), CutOut(size=4), "
        "SaltAndPepper(share=0.2), GaussianNoise(sigma=0.1))"
    )
    still = {"rotate": 0.0, "shift": 0.0, "scale": 0.0, "shear": 0.0}
    assert recipe(**still).build_augment() is None
    assert recipe(**still, flip=True).build_augment() == data.Flip()


def test_no_augment_turns_all_of_them_off(capsys):
    trained(capsys, "--out", "run", "--no-augment")
    assert load_model("run")[1].build_augment() is None


def test_pictures_that_moved_are_known_again_and_others_are_refused(capsys, pictures):
    trained(capsys, "--out", "run")
    pictures.rename(pictures.parent / "moved")
    code, _, err = call(capsys, "evaluate", "run")
    assert code == 2
    assert "from_path: there is nothing at" in err
    before = reported(capsys, "evaluate", "run", "--folder", "moved")[0]
    assert before["scored_on"] == "test"
    assert call(capsys, "train", "--resume", "--out", "run", "--folder", "moved")[0] == 0
    assert load_model("run")[1].folder == str(pictures), "nothing was left to learn, so nothing was written"
    first = next((pictures.parent / "moved" / "blue").iterdir())
    other = first.read_bytes()
    Image.new("RGB", (30, 30), (1, 2, 3)).save(first)
    for argv in (["evaluate", "run"], ["train", "--resume", "--out", "run"]):
        code, _, err = call(capsys, *argv, "--folder", "moved")
        assert code == 2
        assert "is not what the run was trained on: as many, but not the same" in err
    first.write_bytes(other)
    shutil.copy(first, first.with_name("z.png"))
    shutil.copy(first, first.with_name("zz.png"))
    shutil.copy(first, first.with_name("zzz.png"))
    code, _, err = call(capsys, "evaluate", "run", "--folder", "moved")
    assert "18 to learn from and 6 to measure with then, 21 to learn from and 6 to measure with now" in err
    (pictures.parent / "moved").rename(pictures)
    for argv in (["finetune", "run"], ["evaluate", "run"]):
        assert "is not what the run was trained on: 18 to learn" in call(capsys, *argv)[2]
    code, _, err = call(capsys, "evaluate", "run", "--dataset", "mnist5k")
    assert code == 2
    assert "takes images of (3, 37, 37) in 3 classes; those of mnist5k are (1, 28, 28) in 10" in err


def test_fine_tuning_brings_other_pictures_into_the_form_that_the_network_knows(capsys, tmp_path):
    trained(capsys, "--size", "16x20", "--classes", "blue,green", "--out", "early")
    assert load_model("early")[2].meta["names"] == ["blue", "green"]
    rng = np.random.default_rng(1)
    for name in ("one", "two"):
        (tmp_path / "other" / name).mkdir(parents=True)
        for k in range(5):
            Image.fromarray(rng.integers(0, 256, (30, 30), np.uint8)).save(
                tmp_path / "other" / name / f"{k}.png"
            )
    report, err = reported(
        capsys,
        "finetune",
        "early",
        "--folder",
        "other",
        "--epochs",
        "1",
        "--batch-size",
        "4",
        "--out",
        "late",
    )
    assert report["config"]["folder"] == str(tmp_path / "other")
    assert "8 images to learn from, 2 to measure with, of 3 × 16 × 20, in 2 classes: one, two" in err
    assert report["source"] is None
    same, err = reported(
        capsys,
        "finetune",
        "early",
        "--classes",
        "red $,blue",
        "--epochs",
        "1",
        "--batch-size",
        "4",
        "--out",
        "same",
    )
    assert 0 <= same["source"]["after"] <= 1
    assert "old task (pictures blue,green)" in err


@compiled
def test_the_network_in_the_package_learns_from_a_folder(capsys):
    argv = ["--folder", "pictures", "--epochs", "1", "--train", "head", "--batch-size", "6", "--out", "late"]
    report, err = reported(capsys, "finetune", *argv)
    assert "of 1 × 28 × 28, in 3 classes" in err
    assert report["config"]["channels"] == 1


def test_data_shows_what_there_is(capsys, tmp_path):
    (tmp_path / "pictures" / "blue" / "bad.png").write_text("no picture")
    code, out, err = call(capsys, "data", "--folder", "pictures")
    assert (code, out) == (2, "")
    assert "blue/bad.png is not a picture that can be read" in err
    report, err = reported(
        capsys, "data", "--folder", "pictures", "--skip-bad", "--picture", "look.png", "--size", "9"
    )
    assert (report["shape"], report["train"], report["test"]) == ([3, 9, 9], [6, 6, 6], [2, 2, 2])
    assert "note: left out, for they cannot be read: " in err
    assert (tmp_path / "look.png").exists()


def test_many_classes_are_shown_by_the_most_probable_and_the_worst_errors(capsys, tmp_path):
    x = np.random.default_rng(2).integers(0, 256, (88, 8, 8), np.uint8)
    (tmp_path / "set").mkdir()
    for half in ("train", "t10k"):
        (tmp_path / "set" / f"{half}-images-idx3-ubyte").write_bytes(idx.encode(x))
        (tmp_path / "set" / f"{half}-labels-idx1-ubyte").write_bytes(
            idx.encode((np.arange(88) % 22).astype(np.uint8))
        )
    argv = [
        "--folder",
        "set",
        "--epochs",
        "1",
        "--impl",
        "im2col",
        "--model",
        "separable_mini",
        "--out",
        "run",
    ]
    _, err = reported(capsys, "train", *argv)
    assert "note: 88 of the 88 test images are among those to learn from, to the last pixel" in err
    _, err = reported(capsys, "evaluate", "run")
    assert "most frequent errors\ntruth  prediction  images\n" in err
    Image.fromarray(x[0]).save("a.png")
    _, err = reported(capsys, "predict", "run", "a.png")
    assert err.splitlines()[0].split() == ["digit", "the", "most", "probable"]
    assert err.splitlines()[1].count("%") == 3


def test_the_script_makes_pictures_of_many_sizes_that_a_seed_decides(tmp_path):
    script = load(Path(__file__).parents[2] / "tools" / "make_pictures.py")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        script.main([name, "--count", "4", "--seed", seed])
    made = data.from_folder("a")
    assert (made.names, made.shape) == (("disc", "stripes", "triangle"), (3, 64, 64))
    assert np.bincount(made.train.labels).tolist() == [3, 3, 3]
    files = sorted(Path("a").rglob("*.*"))
    assert len({data.images.image_size(file) for file in files}) > 8
    assert {file.suffix for file in files} == {".png", ".jpg"}
    same, other = ([Path(root, *f.parts[1:]).read_bytes() for f in files] for root in "bc")
    assert [file.read_bytes() for file in files] == same
    assert not set(same) & set(other)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", "--folder", "nowhere"], "from_path: there is nothing at "),
        (["train", "--dataset", "own"], "recipe: dataset own does not go with no folder: own needs one"),
        (["train", "--dataset", "mnist", "--folder", "pictures"], "dataset mnist does not go with folder"),
        (["train", "--folder", "pictures", "--size", "0"], "recipe: size must be like 48 or 48x64"),
        (["train", "--folder", "pictures", "--size", "8x8x8"], "recipe: size must be like 48 or 48x64"),
        (["train", "--folder", "pictures", "--size", "4000"], "from_path: size must be at most 1024"),
        (["train", "--folder", "pictures", "--channels", "2"], "recipe: channels must be 0, 1 or 3, got 2"),
        (
            ["train", "--folder", "pictures", "--test-share", "1"],
            "recipe: test_share must be above 0 and below 1",
        ),
        (["train", "--folder", "pictures", "--classes", "blue,gren"], "got 'gren', did you mean 'green'?"),
        (["train", "--folder", "pictures", "--classes", "blue,0"], "recipe: classes must be all different"),
        (["train", "--folder", "pictures", "--classes", "0-999999999"], "pictures has no images of class 3"),
        (["train", "--folder", "pictures", "--data-dir", "x"], "load: data_dir 'x' is for mnist"),
        (["train", "--folder", "pictures/blue"], "has no class folders"),
        (["finetune", "--folder", "nowhere"], "from_path: there is nothing at "),
        (["data", "mnist5k", "--folder", "pictures"], "dataset mnist5k does not go with folder"),
        (["data", "--size", "8"], "dataset own does not go with no folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(capsys, tmp_path, argv, said):
    code, out, err = call(capsys, *argv, *(QUICK if argv[0] == "train" else ()))
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_what_a_checkpoint_says_of_its_data_is_believed_only_if_it_can_be(capsys):
    trained(capsys, "--out", "run")
    model, _, saved = load_model("run")
    for lie in ("text", {"train": "18", "test": 6, "sha256": ""}, {"train": 18}, [1]):
        checkpoint.save("run/checkpoint.npz", model=model, **saved.meta | {"data": lie})
        assert load_model("run")[2].meta["data"] is None
    assert cli.main(["evaluate", "run"]) == 0
