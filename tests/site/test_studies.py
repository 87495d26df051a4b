"""The studies: commands are understood, what is written of them is what was recorded, and sentences can be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import import_from

from npdsconv import cli, layers
from npdsconv.complexity import summary
from npdsconv.runs import recorded
from npdsconv.runs.recipe import recipe

ROOT = Path(__file__).parents[2]
if not (ROOT / "studies").exists():
    pytest.skip("an installed package has no studies", allow_module_level=True)

STUDIES = import_from(ROOT, "studies.all").STUDIES
pages = import_from(ROOT, "studies.pages")
runner = import_from(ROOT, "studies.runner")
Results = import_from(ROOT, "studies.results").Results
robustness = import_from(ROOT, "studies.robustness")
depth = import_from(ROOT, "studies.depth")


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Records of two arms over three seeds, the second 0.1, 0.2 and 0.3 points better."""
    lines = [
        {"study": "widths", "arm": arm, "seed": seed, "accuracy": 0.9 + gain * (seed + 1) / 1000}
        for arm, gain in (("separable ×1", 0), ("standard ×1", 1))
        for seed in (2, 0, 1)
    ]
    monkeypatch.setattr(recorded, "FILE", tmp_path / "recorded.jsonl")
    for line in lines:
        runner.record(line)
    return lines


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_every_command_is_understood_and_starts_from_an_arm_of_the_study(study):
    for arm, of_arm in study.arms.items():
        words = study.command(arm, 7)
        if of_arm.train:
            recipe(**{**study.base, **of_arm.settings})
            assert words == ["python", "-m", "studies", "run", study.name]
            continue
        args = cli._parser().parse_args(words[1:])
        assert (args.command, args.seed) == ("finetune" if of_arm.start else "train", 7)
        assert not of_arm.start or of_arm.start in study.arms
        if args.command == "train":
            recipe(**{**study.base, **of_arm.settings})
    assert len({study.folder(arm, 0) for arm in study.arms}) == len(study.arms)


def test_only_the_recipes_are_scored_on_test_images():
    for study in STUDIES.values():
        for arm in study.arms.values():
            settings = {**study.base, **arm.settings}
            assert ("hold_out" in settings) == (study.name != "recipes"), study.name
    for run in recorded.runs():
        assert (run["scored_on"] == "held-out training images") == (run["study"] != "recipes")


def test_what_is_recorded_belongs_to_an_arm_as_it_is_now():
    for run in recorded.runs():
        study = STUDIES[run["study"]]
        assert runner.is_recorded(study, run["arm"], run["seed"]), (run["study"], run["arm"], run["seed"])
        assert run["settings"] == {**study.base, **study.arms[run["arm"]].settings}


def test_what_is_recorded_has_the_sizes_of_the_networks_as_they_are_now():
    sizes = {}
    for run in recorded.runs():
        if run["command"].startswith("npdsconv train") and "classes" not in run["settings"]:
            key = json.dumps(run["settings"], sort_keys=True)
            if key not in sizes:
                model = recipe(**run["settings"]).build_model((1, 28, 28), 10)
                costs = summary(model, (1, 28, 28))
                sizes[key] = (costs.params, costs.macs)
            assert (run["params"], run["macs"]) == sizes[key], (run["study"], run["arm"])


@pytest.mark.parametrize("path", sorted(pages.texts()), ids=str)
def test_the_pages_are_what_the_records_give(path):
    written = pages.texts()[path]
    assert written == (ROOT / path).read_text(encoding="utf-8"), f"{path}: python -m studies pages"


def test_every_study_with_runs_of_all_arms_has_a_page_and_a_figure():
    for study in pages.shown():
        if study.figure:
            assert (ROOT / pages.FOLDER / f"{study.name}.png").exists()
            assert len(study.words(study.results())) > 1
            assert study.alt


def test_another_number_gives_another_page(monkeypatch, tmp_path):
    path, _ = before = max(pages.texts().items())
    runs = recorded.runs()
    for run in runs:
        run["accuracy"] -= 0.01 * (run["seed"] + 1)
    (tmp_path / "changed.jsonl").write_text("\n".join(map(json.dumps, runs)), encoding="utf-8")
    monkeypatch.setattr(recorded, "FILE", tmp_path / "changed.jsonl")
    assert (path, pages.texts()[path]) != before
    assert pages.readme_table() not in (ROOT / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no table of accuracies stands between the marks"):
        pages.fill("no marks")


def test_a_run_takes_the_place_of_an_earlier_one(made_up):
    again = {**made_up[1], "accuracy": 0.5}
    runner.record(again)
    assert recorded.runs() == [made_up[0], again, *made_up[2:]]


def test_sentences_are_by_differences_seed_by_seed(made_up):
    results = Results("widths", ["standard ×1", "not recorded", "separable ×1"])
    assert list(results.runs) == ["standard ×1", "separable ×1"]
    assert results.against("standard ×1", "separable ×1") == "0.20 ± 0.10 points above separable ×1"
    assert results.against("separable ×1", "standard ×1", "it") == "0.20 ± 0.10 points below it"
    assert results.percent("standard ×1") == "90.20 % ± 0.10"
    assert results.best([*results.runs]) == "standard ×1"
    one = {**made_up[0], "arm": "separable ×2", "accuracy": 0.91}
    runner.record(one)
    more = Results("widths", ["standard ×1", "separable ×2"])
    assert more.over("separable ×2").seeds == 1
    assert more.against("separable ×2", "standard ×1", "it") == "0.70 points above it (one seed)"
    runner.record({**made_up[0], "accuracy": 0.91})  # one seed that is far off makes the difference doubtful
    results = Results("widths", ["standard ×1", "separable ×1"])
    assert results.against("standard ×1", "separable ×1", "it").startswith("level with it (-0.13 ±")


def test_fgsm_raises_the_loss_and_stays_within_its_bounds():
    model = layers.set_impl(recipe(model="separable_mini").build_model((1, 12, 10), 10), "im2col")
    rng = np.random.default_rng(0)
    x, labels = rng.random((5, 1, 12, 10), np.float32), np.array([1, 7, 3, 3, 0])
    state = model.state_dict()
    moved = robustness.fgsm(model, x, labels, 0.03)
    assert (moved.min(), moved.max()) >= (0, 0)
    assert moved.max() <= 1
    np.testing.assert_allclose(np.abs(moved - x).max(), 0.03, rtol=1e-5)
    assert loss(model, moved, labels) > loss(model, x, labels)
    assert loss(model, np.clip(2 * x - moved, 0, 1), labels) < loss(model, x, labels)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert all(p.trainable and not p.grad.any() for p in model.parameters())


def loss(model, x, labels):
    logits = model(x).astype(np.float64)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(x)), labels])


def test_gradient_norms_are_of_each_depthwise_step_and_move_nothing():
    options = "filters=4,6 blocks=2"
    model = recipe(model="separable_resnet", options=options, impl="im2col").build_model((1, 12, 10), 10)
    rng = np.random.default_rng(1)
    split = depth.data.Split(rng.integers(0, 256, (6, 1, 12, 10), np.uint8), np.arange(6))
    weights = [p.value.copy() for p in model.parameters()]
    norms = depth.relative_norms(model, split)
    assert len(norms) == 4
    assert min(norms) > 0
    for p, before in zip(model.parameters(), weights, strict=True):
        np.testing.assert_array_equal(p.value, before)
