"""The report by itself: how many kinks are too many, verdicts, and every line of text."""

import math

import pytest

from npdsconv.gradcheck import Row
from npdsconv.gradcheck.report import Report, _number, _plain


def report(*rows, threshold=1e-7):
    return Report("mine", rows, threshold)


@pytest.mark.parametrize(
    ("checked", "kinks", "too_many"),
    [
        (96, 10, False),
        (96, 11, True),
        (90, 10, False),  # a tenth
        (89, 10, True),
        (4, 4, False),  # few, and as many checked
        (5, 4, False),
        (3, 4, True),
        (5, 5, True),
        (0, 1, True),
        (1, 1, False),
        (0, 0, False),
    ],
)
def test_too_many_kinks(checked, kinks, too_many):
    """More than a tenth and more than four; or more than were checked."""
    found = report(Row("x", (2,), checked=checked, kinks=kinks))
    assert found.too_many_kinks is too_many
    assert found.ok is (checked > 0 and not too_many)
    assert any("move the arrays off it" in reason for reason in found.reasons()) is too_many


@pytest.mark.parametrize(
    ("checked", "kinks", "said"),
    [
        (5, 5, "5 of 10 probes lie on a kink, more than 10%"),
        (2, 3, "3 of 5 probes lie on a kink, more than half"),
    ],
)
def test_what_is_said_of_too_many_kinks(checked, kinks, said):
    (reason,) = report(Row("x", (2,), checked=checked, kinks=kinks)).reasons()
    assert reason == f"{said}: move the arrays off it, e.g. with x + 0.1 * rng.standard_normal(x.shape)"


def test_verdicts():
    right, wrong = Row("a", (1,), checked=1), Row("b", (1,), checked=1, ok=False)
    unseen = Row("c", (1,), checked=1, ok=False, seen=False)
    assert [row.verdict for row in (right, wrong, unseen)] == ["ok", "FAILED", "cannot say"]
    assert report(right).verdict == "ok"
    assert report(right, wrong, unseen).verdict == "FAILED"
    assert report(right, unseen).verdict == "cannot say"
    assert report(right, Row("d", (1,))).ok, "one that was not checked says so itself"
    nothing = report(Row("d", (1,), reason="frozen"))
    assert (nothing.ok, nothing.verdict, nothing.max_error) == (False, "cannot say", 0)
    assert nothing.reasons() == ["d: frozen", "nothing was compared, so nothing is shown to be right"]
    assert report().max_error == 0
    assert report(unseen, Row("d", (1,))).reasons() == []


def test_the_text():
    found = report(
        Row("x", (2, 3), "elements", 2.5e-9, (1, 2), 1 / 3, 0.25, 6, 1),
        Row(
            "weight",
            (),
            "4 directions",
            math.inf,
            "direction 1",
            1e-9,
            1234567.891234,
            4,
            0,
            False,
            True,
            "it is off",
        ),
    )
    lines = str(found).splitlines()
    assert lines[0] == "mine: FAILED, largest error inf (limit 1e-07), 10 checked, 1 on kinks"
    assert [line.split() for line in lines[2:]] == [
        ["ok", "x", "(2,", "3)", "elements", "2.5e-09", "(1,", "2)", "0.3333333333", "0.25", "6", "1"],
        [
            "FAIL",
            "weight",
            "()",
            "4",
            "directions",
            "inf",
            "direction",
            "1",
            "1e-09",
            "1234567.891",
            "4",
            "0",
        ],
        ["weight:", "it", "is", "off"],
    ]
    assert {line.index("elements") for line in lines[2:3]} == {
        line.index("4 directions") for line in lines[3:4]
    }
    assert lines[1].index("method") == lines[2].index("elements"), "columns are aligned"
    assert found.max_error == math.inf
    assert (found.checked, found.kinks) == (10, 1)


def test_numbers_as_text_and_as_json():
    assert [_number(v) for v in (math.nan, 1 / 3, 1.0, 12345678901.5)] == [
        "-",
        "0.3333333333",
        "1",
        "1.23456789e+10",
    ]
    assert [_plain(v) for v in (math.inf, math.nan, 0.5, (1, 2), "a", 3)] == [None, None, 0.5, [1, 2], "a", 3]
