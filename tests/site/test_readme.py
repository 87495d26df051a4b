"""The README is true: its commands, its examples, its table of ops, its links."""

import re
import sys
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


def tiers_of(op):
    """What the table has to say of an op: the keys of its IMPLS, "numpy" for two that are one."""
    impls = getattr(sys.modules[getattr(ops, op).__module__], "IMPLS", None)
    if impls is None:
        return "NumPy"
    names = list(impls)
    if impls["naive"] is impls["im2col"]:
        names[:2] = ["numpy"]
    return ", ".join(f"`{name}`" for name in names)


def test_the_table_has_every_op_with_its_tiers():
    table = README[README.index("| op, each with") :].partition("\n\n")[0]
    said = {
        name: tiers
        for ops_of_row, tiers in re.findall(r"^\| ([^|]*) \| (.*) \|$", table, re.M)
        for name in re.findall(r"`(\w+)`", ops_of_row)
    }
    forwards = [name for name in ops.__all__ if not name.endswith("_backward") and name != "softmax"]
    assert said == {name: tiers_of(name) for name in forwards}
    assert [name for name in forwards if not hasattr(npdsconv, name)] == []


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
