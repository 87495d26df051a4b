"""`npdsconv predict`: which network reads, what is printed, and what happens to pictures that cannot be read."""

import json

import numpy as np
import pytest
from helpers import call
from PIL import Image

from npdsconv import checkpoint, data
from npdsconv.runs import load_model, pretrained, shipped
from npdsconv.runs.recipe import RECIPES, Recipe, recipe

TEST = data.load("mnist5k").test


@pytest.fixture(autouse=True)
def run(monkeypatch, tmp_path):
    """A run folder of an untrained narrow network, and three pictures and a bad one, in the working directory."""
    monkeypatch.chdir(tmp_path)
    chosen = recipe(width=0.125, impl="im2col")
    model = chosen.build_model((1, 28, 28), 10)
    checkpoint.save(
        "runs/mine/checkpoint.npz",
        model=model,
        epoch=1,
        recipe=chosen.as_dict(),
        shape=(1, 28, 28),
        classes=10,
    )
    (tmp_path / "pictures").mkdir()
    for k in range(3):
        Image.fromarray(TEST.images[k, 0]).resize((90, 90)).save(f"pictures/{k}.png")
    Image.new("L", (30, 40), 255).save("blank.png")


def asked(capsys, *argv):
    code, out, err = call(capsys, "predict", *argv, "--json")
    return code, json.loads(out), err


def test_pictures_are_read_and_what_was_seen_is_saved(capsys):
    code, report, _ = asked(capsys, "pictures", "--run", "runs/mine", "--save", "seen")
    assert code == 0
    assert report["run"] == "runs/mine"
    assert report["left_out"] == []
    assert [p["file"] for p in report["predictions"]] == [f"pictures/{k}.png" for k in range(3)]
    for found in report["predictions"]:
        assert abs(sum(found["probabilities"]) - 1) < 1e-4
        assert found["digit"] == np.argmax(found["probabilities"])
    with Image.open("seen/0.png") as seen:
        np.testing.assert_array_equal(seen, data.images.prepare("pictures/0.png"))


def test_pictures_of_one_name_are_saved_under_two(capsys, tmp_path):
    (tmp_path / "more").mkdir()
    Image.fromarray(TEST.images[9, 0]).save("more/0.png")
    assert asked(capsys, "pictures", "more", "--run", "runs/mine", "--save", "seen")[0] == 0
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["0-3.png", "0.png", "1.png", "2.png"]


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_read(capsys, tmp_path):
    (tmp_path / "pictures" / "1a.jpg").write_text("no picture")
    argv = ["pictures", "blank.png", "gone.png", "--run", "runs/mine"]
    code, report, err = asked(capsys, *argv, "--save", "seen")
    assert code == 1
    assert [p["file"] for p in report["predictions"]] == [f"pictures/{k}.png" for k in range(3)]
    assert report["left_out"] == [
        {
            "file": "pictures/1a.jpg",
            "reason": "is not a picture that can be read: cannot identify image file 'pictures/1a.jpg'",
        },
        {"file": "blank.png", "reason": "blank: in 40x30 pixels nothing stands out from the border"},
        {"file": "gone.png", "reason": "no file or folder"},
    ]
    assert "npdsconv: 3 of 6 pictures left out" in err
    assert len(list((tmp_path / "seen").iterdir())) == 3
    code, out, err = call(capsys, "predict", *argv)
    lines = [line.split(maxsplit=2) for line in out.splitlines()[-6:]]
    assert code == 1
    assert [line[0] for line in lines] == [
        *(f"pictures/{name}" for name in ("0.png", "1.png", "1a.jpg", "2.png")),
        "blank.png",
        "gone.png",
    ]
    assert lines[4][1:] == ["-", "left out: blank: in 40x30 pixels nothing stands out from the border"]
    assert err == "npdsconv: 3 of 6 pictures left out\n"


def test_if_none_can_be_read_it_is_an_error_and_json_says_why(capsys):
    code, report, err = asked(capsys, "blank.png", "gone.png", "--run", "runs/mine")
    assert code == 2
    assert (report["predictions"], len(report["left_out"])) == ([], 2)
    assert "npdsconv: error: predict: nothing to read: blank.png: blank: in 40x30 pixels" in err
    assert "and 1 more" in err


# ---- the network that comes with the package ----


def test_where_no_run_is_named_the_packages_own_network_reads(capsys):
    code, out, _ = call(capsys, "predict", "pictures")
    assert code == 0
    assert (
        "the network that comes with npdsconv: 99.52% of MNIST's test images; --run RUN takes another" in out
    )
    _, report, _ = asked(capsys, "pictures")
    assert report["run"] is None
    assert [p["digit"] for p in report["predictions"]] == TEST.labels[:3].tolist()
    assert min(max(p["probabilities"]) for p in report["predictions"]) > 0.9
    _, named, _ = asked(capsys, "pictures", "--run", str(shipped.path()))
    assert named["predictions"] == report["predictions"]


def test_the_shipped_network_is_whole():
    """A sanity check alone: it has learned from these images."""
    digits = np.stack([data.images.prepare(image[0]) for image in TEST.images[:50]])
    network = pretrained("mnist")
    assert (
        network(digits[:, None].astype(np.float32) / 255).argmax(axis=1).tolist() == TEST.labels[:50].tolist()
    )
    saved = load_model(shipped.path())[2]
    assert Recipe(**saved.meta["recipe"]) == RECIPES["mnist"]
    assert saved.optimizer == {}
    assert shipped.path().stat().st_size < 400_000
    assert f"{shipped.ACCURACY['mnist']:.2%}".replace("%", " %") in (shipped.FOLDER / "README.md").read_text()
    with pytest.raises(ValueError, match=r"pretrained: a network must be one of mnist, got 'cifar'"):
        pretrained("cifar")


def test_it_is_never_measured_on_what_it_learned_from(capsys):
    code, _, err = call(capsys, "evaluate", str(shipped.path()), "--dataset", "mnist5k")
    assert code == 2
    assert "among the training images of mnist" in err


def test_a_checkpoint_of_the_first_versions_is_read(capsys):
    chosen = recipe(width=0.125, impl="im2col")
    checkpoint.save("old.npz", model=chosen.build_model((1, 28, 28), 10), epoch=1, recipe=chosen.as_dict())
    code, report, _ = asked(capsys, "old.npz", "pictures")
    assert (code, len(report["predictions"])) == (0, 3)
