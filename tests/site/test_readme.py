"""The README is true: its commands, its examples, its table of ops, its links."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from helpers import compiled

from npdsconv import catalogue, cli, data, gradcheck, ops
from npdsconv.catalogue import tables
from npdsconv.data import Dataset
from npdsconv.ops._tiers import TIERS
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


@compiled
def test_the_training_example_runs(monkeypatch, capsys):
    full = data.load("mnist5k")
    few = Dataset("few", full.train.take(np.arange(0, 4000, 160)), full.test.take(np.arange(0, 1000, 90)))
    monkeypatch.setattr(data, "load", lambda name: few)
    shorter = BLOCKS[1].replace("separable_cnn(rng=0)", "separable_cnn(width=0.125, rng=0)")
    exec(shorter + "\nassert model is not None", {})
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(("page", "table"), [("README.md", "tiers"), ("docs/shapes.md", "shapes")])
def test_the_tables_of_ops_are_those_of_the_catalogue(page, table):
    """If not: python -m npdsconv.catalogue.tables README.md docs/shapes.md."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"<!-- table {table}: " in text
    assert tables.written(text) == text
    out_of_date = text.replace("| `relu` |", "| `reul` |").replace("| [`relu`]", "| [`reul`]")
    assert out_of_date != text
    assert tables.written(out_of_date) == text
    with pytest.raises(ValueError, match="no table stands between the marks"):
        tables.written(text.replace("<!--", "<!-"))


def test_every_op_is_in_the_table_with_its_tiers():
    rows = re.findall(r"^\| `(\w+)`[^|]* \| (.*) \|$", tables.tiers(), re.M)
    said = {name: tuple(re.findall(r"`(\w+)`", tiers)) for name, tiers in rows}
    assert said["conv2d"] == TIERS
    assert said["relu"] == ("numpy", "loops", "numba")
    assert said["dropout"] == ()
    forwards = {name for name in ops.__all__ if not name.endswith("_backward")}
    assert said.keys() == forwards


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_words_below_the_table_of_accuracies_are_what_is_recorded():
    """That the table is what is recorded is what tests/site/test_studies.py shows."""
    assert (
        "With an eighth of the parameters and of the multiply-adds the separable network is level with its twin"
        in (" ".join(README.split()))
    )
    separable, twin = (f"mnist5k, {kind}" for kind in ("separable", "standard"))
    one, other = (recorded.over_seeds("recipes", arm) for arm in (separable, twin))
    assert abs(one.mean - other.mean) < one.spread + other.spread
    for what in ("params", "macs"):
        costs = [recorded.over_seeds("recipes", arm, what).mean for arm in (separable, twin)]
        assert 7.5 < costs[1] / costs[0] < 8.5


def test_the_gradients_are_as_many_and_as_right_as_it_says():
    """That no case is worse than its threshold is what tests/test_catalogue.py shows."""
    cases, error = re.search(r"more\s+than (\d+) cases, no error above (\S+)\. ", README).groups()
    assert int(cases) < len(catalogue.CASES) < int(cases) + 30
    (report,) = [report for _, _, report in catalogue.run(["linear"], impl="im2col")][:1]
    assert report.threshold == float(error)


def test_the_commands_are_understood():
    """Each line of the first listings, up to its comment, by the command line's own parser."""
    lines = re.findall(r"^(?:pip install -e \. && )?npdsconv (.*?)(?: +#.*)?$", README, re.M)
    assert len(lines) > 5
    for line in lines:
        assert cli._parser().parse_args(shlex.split(line)).command in cli.COMMANDS
