"""Measuring: statistics, the budget and the table, on canned timings."""

import json

import numpy as np
import pytest

from npdsconv.bench import (
    measuring,
    statistics,
    table,
)
from npdsconv.bench.measuring import Entry, Timing
from npdsconv.bench.workloads import op

TINY = op("relu", "both", (2, 3, 5, 4))


def test_a_ratio_is_that_of_the_medians_and_its_quartiles_those_of_the_rounds():
    mine = [[1.0, 1.2, 9.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
    theirs = [[2.4, 2.4], [4.0, 4.0], [3.0, 3.0]]
    found = statistics.ratio(mine, theirs)
    np.testing.assert_allclose(found, (0.5, 0.5, 0.75))  # rounds: 0.5, 0.5, 1


def test_statistics_refuse_what_has_no_answer():
    with pytest.raises(ValueError, match="there are no numbers"):
        statistics.spread([])
    with pytest.raises(ValueError, match="2 blocks against 1"):
        statistics.ratio([[1.0], [1.0]], [[1.0]])


def test_the_crossover_lies_where_the_ratio_is_one():
    sizes = np.array([1.0, 3.0, 10.0, 40.0])
    found = statistics.crossover(sizes, (sizes / 7.0) ** -0.5)  # a straight line between logarithms
    np.testing.assert_allclose(found, 7.0)
    assert statistics.crossover([1, 2, 4], [0.9, 0.5, 0.3]) is None
    assert statistics.crossover([2], [3.0]) is None


@pytest.mark.parametrize("seconds", [0.5, 4.0])
@pytest.mark.parametrize("calls", [(2e-5, 3e-3), (0.05, 0.08, 0.01), (1.5, 0.4)])
def test_the_budget_is_kept_where_it_can_be(calls, seconds):
    chosen = measuring.plans(calls, seconds)
    assert len({p.rounds for p in chosen}) == 1
    assert 3 <= chosen[0].rounds <= measuring.ROUNDS
    for call, p in zip(calls, chosen, strict=True):
        assert p.calls * call >= measuring.SAMPLE
        assert p.samples >= 1
        share, least = seconds / (p.rounds * len(calls)), p.calls * call
        assert p.samples * least <= max(1.5 * share, least)


def test_long_calls_have_no_untimed_ones_before_them():
    assert [p.lead_in for p in measuring.plans([1.5, 0.1], 2.0)] == [False, False]
    assert [p.lead_in for p in measuring.plans([0.5, 0.1], 2.0)] == [True, True]


def canned(library, variant, column, *blocks):
    return Timing(Entry(library, variant, TINY, column), 1.0, 0.1, [list(b) for b in blocks])


def canned_row():
    return measuring.row(
        TINY,
        2,
        [
            canned("npdsconv", "numba", "npdsconv", (1.0, 1.0), (1.4, 1.4)),
            canned("npdsconv", "im2col", "npdsconv", (9.0, 9.0), (9.0, 9.0)),
            canned("torch", "nchw", "PyTorch", (4.0, 4.0), (4.0, 4.0)),
            canned("torch", "channels_last", "PyTorch", (2.0, 2.0), (2.0, 2.0)),
        ],
        others=0.01,
    )


def test_of_several_variants_the_fastest_counts():
    row = canned_row()
    assert row["ratios"].keys() == {"PyTorch"}
    found = row["ratios"]["PyTorch"]
    assert found["variant"] == "channels_last"
    np.testing.assert_allclose([found[k] for k in ("ratio", "q1", "q3")], (0.6, 0.55, 0.65))
    assert [(t["library"], t["variant"]) for t in row["times"]] == [
        ("npdsconv", "numba"),
        ("npdsconv", "im2col"),
        ("torch", "nchw"),
        ("torch", "channels_last"),
    ]
    assert row["times"][0].keys() == {
        "library",
        "variant",
        "column",
        "median",
        "q1",
        "q3",
        "best",
        "rounds",
        "samples",
    }
    assert json.loads(json.dumps(row)) == row


def test_a_line_says_who_is_faster():
    line = table.line(canned_row(), ["PyTorch", "ONNX Runtime"], 30)
    assert "1.20 s (1.00-1.40)" in line
    assert "2.00 s (2.00-2.00) channels_last" in line
    assert "0.60 (0.55-0.65)" in line
    assert line.split()[-2:] == ["npdsconv", "-"]
    head = table.header(["PyTorch", "ONNX Runtime"], ["numba"], 30)
    assert head.index("PyTorch") == line.index("2.00 s")
    assert head.index("ratio") == line.index("0.60 (")
    assert head.index("ONNX") == len(line) - 1
    assert table.winner({"ratio": 1.3, "q1": 1.2, "q3": 1.4}, "PyTorch, BN folded") == "PyTorch"
    assert table.winner({"ratio": 1.1, "q1": 0.9, "q3": 1.4}, "PyTorch") == "level"


def test_markdown_has_one_cell_for_each_column():
    lines = table.rows_as_markdown([canned_row()]).splitlines()
    assert len(lines) == 3
    assert {line.count("|") for line in lines} == {lines[0].count("|")} == {6}
    assert "**0.60** (0.55-0.65)" in lines[2]
