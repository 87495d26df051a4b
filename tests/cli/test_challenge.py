"""`npdsconv challenge`: which rules an entry breaks, and what it is measured with."""

import json

import numpy as np
import pytest

from npdsconv import cli, data, train
from npdsconv.data import Dataset, Split
from npdsconv.runs import challenge, load_model

TRAIN = [
    *["train", "--dataset", "mnist", "--model", "separable_mini", "--impl", "im2col", "--no-augment"],
    *["--options", "width=0.25", "--batch-size", "30", "--epochs", "1"],
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own_with_a_small_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    halves = []
    for n in (60, 40):
        labels = np.arange(n) % 10
        images = rng.integers(0, 60, (n, 1, 10, 9), np.uint8)
        images[np.arange(n), 0, labels] += 150
        halves.append(Split(images, labels))
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, *halves))


def trained(seed, *changes):
    place = f"run{seed}{''.join(changes)}"
    assert cli.main([*TRAIN, "--seed", str(seed), "--out", place, *changes]) == 0
    return place


def judged(capsys, *argv):
    capsys.readouterr()
    code = cli.main(["challenge", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_an_honest_entry(capsys, monkeypatch):
    places = [trained(seed) for seed in range(5)]
    code, report = judged(capsys, *places, "--chosen-on", "held-out")
    assert all(report["rules"].values())
    assert report["accepted"]
    test = data.load("mnist").test
    scores = [train.evaluate(load_model(place)[0], test.images, test.labels).accuracy for place in places]
    assert report["accuracies"] == scores
    np.testing.assert_allclose([report["mean"], report["sd"]], [np.mean(scores), np.std(scores, ddof=1)])
    model = load_model(places[0])[0]
    assert report["params"] == sum(p.value.size for p in model.parameters())
    assert report["bytes"] == sum(a.nbytes for a in model.state_dict().values())
    assert report["class"] == "a thousand"
    assert (report["goal_reached"], code) == (False, 1)  # after one epoch of 60 images
    monkeypatch.setattr(challenge, "CLASSES", (challenge.Class("small", 5_000, None, report["mean"]),))
    code, report = judged(capsys, *places, "--chosen-on", "held-out")
    assert (report["goal_reached"], code) == (True, 0)


@pytest.mark.parametrize(
    ("changes", "declared", "broken"),
    [
        ([], [], "settings chosen on held-out images"),
        ([], ["--chosen-on", "test"], "settings chosen on held-out images"),
        (["--hold-out", "10"], ["--chosen-on", "held-out"], "no image held out of the last training"),
        (["--standard"], ["--chosen-on", "held-out"], "separable: there are depthwise steps"),
    ],
)
def test_broken_rules(changes, declared, broken, capsys, monkeypatch):
    monkeypatch.setattr(challenge, "SEEDS", 2)
    places = [trained(seed, *changes) for seed in range(2)]
    code, report = judged(capsys, *places, *declared)
    kept = {rule: kept for rule, kept in report["rules"].items() if "seeds or more" not in rule}
    assert [rule for rule, kept in kept.items() if not kept] == [broken]
    assert (report["accepted"], code) == (False, 1)


def test_seeds_and_recipes(capsys):
    one, other = trained(0), trained(1, "--lr", "0.02")
    _, report = judged(capsys, one, other, "--chosen-on", "held-out")
    broken = [rule for rule, kept in report["rules"].items() if not kept]
    assert broken == ["5 seeds or more, all different", "one recipe for all seeds"]
    _, report = judged(capsys, *[one] * 5, "--chosen-on", "held-out")
    assert [rule for rule, kept in report["rules"].items() if not kept] == ["5 seeds or more, all different"]


def test_other_tasks_are_refused(capsys):
    assert cli.main(["challenge", trained(0, "--classes", "0-4")]) == 2
    assert "challenge: entries are about full MNIST, all classes, from scratch; got mnist, classes 0-4" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("params", "epochs", "name"),
    [
        (1_000, 99, "a thousand"),
        (1_001, 15, "eight thousand"),
        (1_001, 16, "fifty thousand"),
        (8_000, 15, "eight thousand"),
        (8_001, 15, "fifty thousand"),
        (50_000, 99, "fifty thousand"),
        (50_001, 1, None),
    ],
)
def test_classes(params, epochs, name):
    found = challenge.class_of(params, epochs)
    assert (found and found.name) == name
