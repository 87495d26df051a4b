"""`npdsconv finetune`: going on from a run, what stays, what is measured, what is refused."""

import json

import numpy as np
import pytest

from npdsconv import checkpoint, cli, data, train
from npdsconv.data import Dataset, Split
from npdsconv.runs import load_model
from npdsconv.runs.job import as_seen
from npdsconv.runs.recipe import recipe

QUICK = ["--impl", "im2col", "--batch-size", "10", "--epochs", "2", "--no-augment"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own_with_a_small_data_set(tmp_path, monkeypatch):
    """Six classes of pictures with a bright row each, and a run that knows the first three."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    halves = []
    for n in (120, 60):
        labels = np.arange(n) % 6
        images = rng.integers(0, 60, (n, 1, 8, 9), np.uint8)
        images[np.arange(n), 0, labels] += 150
        halves.append(Split(images, labels))
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, *halves))
    assert cli.main(["train", *QUICK, "--model", "separable_mini", "--classes", "0-2", "--out", "early"]) == 0


def asked(capsys, *argv):
    capsys.readouterr()
    code = cli.main([*argv, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if code == 0 else None, err


def finetuned(capsys, *argv):
    return asked(
        capsys, "finetune", "early", "--classes", "3-5", "--batch-size", "10", "--epochs", "2", *argv
    )


def state(folder):
    return checkpoint.load(f"{folder}/checkpoint.npz").state


def test_it_goes_on_from_the_weights_of_a_run_with_a_new_head(capsys):
    code, report, err = finetuned(capsys, "--out", "late", "--labels", "30", "--lr", "0")
    assert code == 0
    before, after = state("early"), state("late")
    for name in before:
        if name.startswith("7."):
            assert (after[name] != before[name]).any() or name.endswith("bias")
        elif "running" not in name:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert report["config"]["classes"] == "3-5"
    assert "30 images to learn from" in err
    assert 0 <= report["without_learning"] <= 1
    model, settings, saved = load_model("late")
    assert (settings.start, settings.init, saved.meta["names"]) == ("early", "pretrained", ["3", "4", "5"])
    test = data.choose(data.load("mnist5k"), (3, 4, 5)).test
    np.testing.assert_allclose(report["accuracy"], train.evaluate(model, test.images, test.labels).accuracy)
    assert asked(capsys, "evaluate", "late")[1]["accuracy"] == report["accuracy"]


@pytest.mark.parametrize(
    ("part", "stays"),
    [
        ("head", lambda name: True),
        ("depthwise", lambda name: ".pointwise." in name or ".bn2." in name),
        ("pointwise", lambda name: ".depthwise." in name or ".bn1." in name),
    ],
)
def test_what_is_frozen_stays_to_the_bit(capsys, part, stays):
    assert finetuned(capsys, "--out", "late", "--train", part)[0] == 0
    before, after = state("early"), state("late")
    frozen = [name for name in before if not name.startswith("7.") and stays(name)]
    assert len(frozen) > 5
    for name in frozen:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert (after["7.weight"] != before["7.weight"]).any()


def test_what_was_forgotten_is_measured_with_the_old_head(capsys):
    _, kept, _ = finetuned(capsys, "--out", "kept", "--train", "head")
    assert (
        kept["source"]["before"]
        == kept["source"]["after"]
        == asked(capsys, "evaluate", "early")[1]["accuracy"]
    )
    _, lost, _ = finetuned(capsys, "--out", "lost", "--lr", "0.5")
    assert lost["source"]["after"] != lost["source"]["before"]
    _, chosen, _ = finetuned(capsys, "--out", "chosen", "--hold-out", "12")
    assert chosen["source"] is None, "the old run has learned from what would be measured with"


def test_with_images_held_out_the_old_classes_are_measured_with_held_out_images(capsys):
    """Both runs hold out the same images, though their classes differ: none of them has been learned from."""
    train_early = ("train", *QUICK, "--model", "separable_mini", "--classes", "0-2", "--hold-out", "30")
    _, before, _ = asked(capsys, *train_early, "--out", "early-held", "--seed", "4")
    which = ("early-held", "--classes", "2-5", "--hold-out", "30", "--epochs", "2", "--train", "head")
    _, report, _ = asked(capsys, "finetune", *which, "--out", "late", "--seed", "4")
    assert report["source"] == {"before": before["accuracy"], "after": before["accuracy"]}
    _, report, _ = asked(capsys, "finetune", *which, "--out", "other", "--seed", "5")
    assert report["source"] is None, "another seed holds out other images"
    digits = data.load("mnist5k")
    seen = [as_seen(recipe(classes=c, hold_out=30, seed=4), digits).test for c in ("0-2", "2-5", "")]
    early, late, all_of_them = [[image.tobytes() for image in split.images] for split in seen]
    assert (len(early), len(late), len(all_of_them)) == (15, 20, 30)
    assert set(early) | set(late) == set(all_of_them)
    assert len(set(early) & set(late)) == 5, "those of class 2"


def test_initial_weights(capsys):
    for init in ("mixed", "he_normal", "own"):
        code, report, _ = finetuned(capsys, "--out", init, "--init", init, "--lr", "0", "--train", "head")
        assert code == 0
        assert (report["source"] is None) == (init != "mixed")
    before = state("early")
    same = {init: {n for n, a in state(init).items() if n in before and a.shape == before[n].shape
                   and a.ndim > 1 and np.array_equal(a, before[n])} for init in ("mixed", "he_normal")}  # fmt: skip
    assert same["mixed"] == {"3.depthwise.weight", "4.depthwise.weight"}
    assert same["he_normal"] == set()


def test_an_interrupted_run_goes_on(capsys):
    finetuned(capsys, "--out", "whole", "--epochs", "3", "--train", "last")
    finetuned(capsys, "--out", "cut", "--epochs", "3", "--train", "last")
    saved = checkpoint.load("cut/checkpoint.npz")
    assert saved.meta["recipe"]["learn"] == "last"
    assert asked(capsys, "train", "--resume", "--out", "cut")[0] == 0
    for name, array in state("whole").items():
        np.testing.assert_array_equal(state("cut")[name], array)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--classes", "3-9"], "choose: mnist5k has no images of class 6"),
        (["--classes", "five"], "recipe: a class must be one of 0, 1, 2, 3, 4, 5, got 'five'"),
        (["--classes", "3,3"], "recipe: classes must be all different, got '3,3'"),
        (["--labels", "1000"], "cannot hold out 1000 of 60 images"),
        (["--run", "nowhere"], "one run at a time"),
    ],
)
def test_what_is_refused_leaves_nothing(capsys, tmp_path, argv, said):
    code, _, err = finetuned(capsys, "--out", "late", *argv)
    assert code == 2
    assert said in err
    assert not (tmp_path / "late").exists()


def test_another_network_is_refused(capsys):
    code, _, err = asked(
        capsys, "train", *QUICK, "--model", "dilated_separable", "--start", "early", "--init", "pretrained"
    )
    assert code == 2
    assert "early: its network (separable_mini) is not the one that is trained (dilated_separable)" in err
    code, _, err = asked(capsys, "train", *QUICK, "--init", "mixed")
    assert code == 2
    assert "recipe: init mixed does not go with no start: pretrained, mixed need one" in err


def test_the_nearest_mean_needs_no_learning():
    model, _, _ = load_model("early")
    digits = data.load("mnist5k")
    found = train.nearest_class_mean(model, digits.train, digits.test.images)
    body, expected = model[:7], []
    means = [body(digits.train.images[digits.train.labels == k] / np.float32(255)) for k in range(6)]
    means = [np.mean(m / np.linalg.norm(m, axis=1, keepdims=True), axis=0) for m in means]
    for image in digits.test.images:
        f = body(image[None] / np.float32(255))[0]
        expected.append(int(np.argmin([np.linalg.norm(f / np.linalg.norm(f) - m) for m in means])))
    assert np.mean(found == expected) > 0.98  # rounding may settle a tie in another way
