"""Settings of a recipe beyond the plain step: penalties, parts of a batch, an early end, a test of rates."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same_state

from npdsconv import checkpoint, cli, data, models, optim
from npdsconv.data import Dataset, Split
from npdsconv.runs.recipe import Recipe

QUICK = ["train", "--model", "separable_mini", "--impl", "im2col", "--batch-size", "10", "--no-augment"]
ENDLESS = [*QUICK, "--hold-out", "12", "--epochs", "9", "--lr", "0", "--patience", "2"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own_with_a_small_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 4
    split = Split(rng.integers(0, 255, (60, 1, 8, 9), np.uint8), labels)
    monkeypatch.setattr(data, "load", lambda name, data_dir=None: Dataset(name, split, split))


def mini():
    return models.separable_mini(rng=0).astype(np.float64)


def trained(capsys, *argv):
    capsys.readouterr()
    assert cli.main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_stops_where_nothing_is_won_any_more(capsys):
    """At a rate of 0 the weights stay, and the loss falls only while batch norm's statistics settle."""
    report = trained(capsys, *ENDLESS, "--out", "run")
    rows = Path("run/metrics.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[6]) for row in rows]
    assert report["epochs"] == len(rows) < 9
    assert int(np.argmin(losses)) == len(rows) - 3
    before = checkpoint.load("run/checkpoint.npz").state
    assert trained(capsys, "train", "--resume", "--out", "run")["epochs"] == len(rows)
    assert_same_state(checkpoint.load("run/checkpoint.npz").state, before)


def test_patience_needs_something_to_measure_with(capsys):
    assert cli.main([*QUICK, "--patience", "3"]) == 2
    assert "patience needs images to measure with: set hold_out too" in capsys.readouterr().err


def test_rates_are_tried_and_nothing_is_trained(capsys, tmp_path):
    report = trained(capsys, *QUICK, "--range-test", "rates.png")
    assert [path.name for path in tmp_path.iterdir()] == ["rates.png"]
    assert report["picture"] == "rates.png"
    assert report["suggestion"] == pytest.approx(report["lowest"] / 10)


def test_depthwise_weights_decay_in_their_own_way():
    model = mini()
    before = model.state_dict()
    recipe = Recipe(optimizer="sgd", lr=0.5, weight_decay=0.1, depthwise_decay=0.3)
    optimizer = recipe.build_optimizer(model)
    optimizer.zero_grad()
    optimizer.step()
    depthwise = models.depthwise_weights(model)
    assert 0 < len(depthwise) < len(list(model.parameters())) / 3
    for name, p in model.named_parameters():
        factor = 1 - 0.5 * 0.1 * (0.3 if any(p is d for d in depthwise) else 1)
        np.testing.assert_allclose(p.value, factor * before[name], rtol=1e-12, err_msg=name)


def test_l1_and_clipping_reach_the_gradients():
    model = mini()
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.grad[...] = rng.standard_normal(p.grad.shape)
    expected = {}
    depthwise = models.depthwise_weights(model)
    for name, p in model.named_parameters():
        factor = 0.02 * (0.5 if any(p is d for d in depthwise) else 1) * (p.value.ndim > 1)
        expected[name] = p.grad + factor * np.sign(p.value)
    length = np.sqrt(sum((g**2).sum() for g in expected.values()))
    Recipe(l1=0.02, depthwise_decay=0.5, clip=0.7).build_before_update(model)()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad, expected[name] * 0.7 / length, rtol=1e-9, err_msg=name)
    assert Recipe().build_before_update(model) is None


@pytest.mark.parametrize("schedule", ["restarts", "exponential"])
def test_schedules_fill_the_run(schedule):
    recipe = dataclasses.replace(Recipe(), schedule=schedule, warm_up=0.0, epochs=14, batch_size=10)
    factor = recipe.build_schedule(60)
    rates = [factor(step) for step in range(84)]
    expected = {
        "restarts": optim.cosine_restarts(12, growth=2),
        "exponential": lambda step: 1e-3 ** (step / 84),
    }[schedule]
    np.testing.assert_allclose(rates, [expected(step) for step in range(84)], rtol=1e-12)


def test_every_optimiser_and_parts_of_a_batch_train(capsys):
    for name in ("sgd", "adagrad", "adam", "adamw"):
        how = ["--optimizer", name, "--micro-batches", "3", "--l1", "1e-4", "--clip", "1", "--epochs", "1"]
        report = trained(capsys, *QUICK, *how, "--out", name)
        assert report["config"]["optimizer"] == name
