"""The README is true: its commands, its examples, its table of ops, its links."""

import re
from pathlib import Path

import numpy as np
import pytest

import npdsconv
from npdsconv import data, gradcheck, ops
from npdsconv.data import Dataset
from npdsconv.runs import recorded

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


def test_exactly_two_commands_install():
    commands = re.findall(r"^pip install .* && .*$", README, re.M)
    assert commands == ["pip install -e . && npdsconv train", 'pip install -e ".[test]" && pytest']


def test_the_example_differentiates_and_checks(capsys):
    scope = {}
    exec(BLOCKS[0], scope)
    assert scope["report"].ok
    assert "largest error" in capsys.readouterr().out


def test_the_example_can_fail():
    """What the README invites the reader to try: without the +=, the check fails and names an element."""
    wrong = BLOCKS[0].replace("+= w[:, u, v, None, None] * dy", "= w[:, u, v, None, None] * dy")
    scope = {}
    with pytest.raises(AssertionError):
        exec(wrong, scope)
    assert isinstance(scope["report"], gradcheck.Report)
    assert not scope["report"].ok


def test_the_training_example_runs(monkeypatch, capsys):
    full = data.load("mnist5k")
    few = Dataset("few", full.train.take(np.arange(0, 4000, 160)), full.test.take(np.arange(0, 1000, 90)))
    monkeypatch.setattr(data, "load", lambda name: few)
    shorter = BLOCKS[1].replace("separable_cnn(rng=0)", "separable_cnn(width=0.125, rng=0)")
    exec(shorter + "\nassert model is not None", {})
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_table_names_ops_that_exist():
    rows = re.findall(r"^\| (`.*) \| (`.*`) \|$", README, re.M)
    names = [name for row, _ in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(names) > 12
    for name in names:
        assert hasattr(ops, name), name
        assert hasattr(npdsconv, name), name


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_results_are_the_recorded_ones():
    for dataset, standard in {(r["dataset"], r["standard"]) for r in recorded.runs()}:
        scores = [
            100 * r["accuracy"]
            for r in recorded.runs()
            if (r["dataset"], r["standard"]) == (dataset, standard)
        ]
        assert f"{np.mean(scores):.2f} %" in README, (dataset, standard)
