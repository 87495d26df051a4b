"""The page of questions: 23 short answers, each with a link to the cell or the page that shows it."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not DOCS.exists():
    pytest.skip("an installed package has no docs", allow_module_level=True)

PAGE = (DOCS / "questions.md").read_text(encoding="utf-8")
ANSWERS = [part.split("\n## ")[0] for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]


def test_each_document_has_its_questions_and_they_are_numbered_through():
    sections = {part.split()[1]: part.count("\n### ") for part in PAGE.split("\n## ")[1:]}
    assert sections == {"first": 5, "second": 6, "fourth": 9, "fifth": 3}
    assert [int(answer.split(".")[0]) for answer in ANSWERS] == list(range(1, 24))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.split(".")[0])
def test_an_answer_is_short_and_names_headings_that_are_there(answer):
    question, _, text = answer.partition("\n")
    assert question.endswith((".", "?"))
    prose = re.sub(r"\[[^\]]*\]\([^)]*\)", "", text)
    assert 2 <= len(re.findall(r"[.?](?=\s|$)", prose)) <= 8
    links = re.findall(r"\[(\d+): ([^\]]+)\]\(\.\./notebooks/(\S+)\.ipynb\)", " ".join(text.split()))
    assert links
    for number, heading, name in links:
        assert name.startswith(f"{number:0>2}_")
        twin = (DOCS.parent / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
        assert re.search(rf"^# ##+ {re.escape(heading)}$", twin, re.MULTILINE), f"{name} has no {heading!r}"
