"""The writer of plain tables."""

import pytest

from npdsconv import text

HEADER = ("layer", "MACs", "ratio")
ROWS = [("stem", 1234567, 0.5), ("a head", 89, None)]


def test_words_stand_to_the_left_and_numbers_to_the_right():
    assert text.as_text(HEADER, ROWS).splitlines() == [
        "layer        MACs  ratio",
        "------------------------",
        "stem    1,234,567  0.500",
        "------------------------",
        "a head         89      -",
    ]


def test_a_table_without_a_total_has_one_rule():
    lines = text.as_text(HEADER, ROWS, total=False).splitlines()
    assert [line[:4] for line in lines] == ["laye", "----", "stem", "a he"]


def test_a_line_alone_is_that_of_the_table():
    table = text.as_text(HEADER, ROWS).splitlines()
    columns = ("<6", ">9", ">5")
    assert [text.line(row, columns) for row in (HEADER, *ROWS)] == [table[0], table[2], table[4]]
    with pytest.raises(ValueError, match="shorter"):
        text.line(ROWS[0], columns[:2])


def test_a_notebook_gets_the_same_cells():
    made = text.as_html(("a & b", "n"), [("<x>", 1000), ("y", 2)])
    assert made.count("<tr>") == 3
    assert "a &amp; b" in made
    assert '<td style="text-align:left">&lt;x&gt;</td><td style="text-align:right">1,000</td>' in made
    assert '<th style="text-align:right">2</th></tr>\n</table>' in made
