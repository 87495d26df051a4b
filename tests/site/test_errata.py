"""The table of errata: every erratum has a cell that shows it, and the script notices when one has not."""

import json
from pathlib import Path

import pytest
from helpers import load

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "errata.py"
if not SCRIPT.exists():
    pytest.skip("an installed package has no docs", allow_module_level=True)


errata = load(SCRIPT)
NUMBERS = [erratum.number for erratum in errata.numbered()]


def cell(kind, source, *tags):
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)} if tags else {}}


def write(folder, name, *cells):
    (folder / name).write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def complete(tmp_path):
    """A folder with one notebook in which one cell shows everything, and the target of the page."""
    write(tmp_path, "21_all.ipynb", cell("markdown", "# All\n\n## Together"), cell("code", "1", *NUMBERS))
    return tmp_path, tmp_path / "errata.md"


def test_there_are_64_and_each_document_has_its_share():
    assert [f"E{k:02}" for k in range(1, 65)] == NUMBERS
    counts = {document: len(items) for document, items in errata.ERRATA.items()}
    assert counts == {"first": 21, "second": 13, "third": 13, "fourth": 11, "fifth": 6}
    assert len({erratum.about for erratum in errata.numbered()}) == 64
    assert not any("|" in erratum.about for erratum in errata.numbered())


def test_the_notebooks_show_all_errata_and_the_page_is_up_to_date():
    assert errata.main(["--check"]) == 0


def test_a_cell_stands_under_its_own_heading_or_the_last_one_before_it():
    notebook = {
        "cells": [
            cell("markdown", ["# Title\n", "text\n", "## First part"]),
            cell("code", "# not a heading", "E01", "rounding"),
            cell("markdown", "no heading\n```python\n# code\n```", "E02"),
            cell("markdown", "## Own\n## Later", "E03"),
            cell("code", "", "E04", "E05"),
        ]
    }
    assert list(errata.tagged_cells(notebook)) == [
        ("E01", "First part"),
        ("E02", "First part"),
        ("E03", "Own"),
        ("E04", "Later"),
        ("E05", "Later"),
    ]


def test_the_page_names_every_place_once(complete):
    folder, target = complete
    write(folder, "22_more.ipynb", cell("markdown", "# a | b"), *[cell("code", "", "E07")] * 2)
    assert errata.main([], folder, target) == 0
    rows = [line for line in target.read_text(encoding="utf-8").splitlines() if line.startswith("| E")]
    assert len(rows) == 64
    assert rows[6].startswith("| E07 | first | ")
    assert rows[6].endswith(
        "| [21: Together](../notebooks/21_all.ipynb); [22: a ¦ b](../notebooks/22_more.ipynb) |"
    )
    assert rows[21].startswith("| E22 | second | ")


def test_a_missing_erratum_is_an_error_and_nothing_is_written(tmp_path, capsys):
    write(tmp_path, "21_some.ipynb", cell("code", "", *[n for n in NUMBERS if n not in ("E10", "E64")]))
    assert errata.main([], tmp_path, tmp_path / "errata.md") == 1
    assert capsys.readouterr().err == "errata: no cell is tagged E10, E64\n"
    assert not (tmp_path / "errata.md").exists()


def test_an_unknown_tag_is_an_error(complete, capsys):
    folder, target = complete
    write(folder, "25_wrong.ipynb", cell("code", "", "E65"), cell("code", "", "exercise"))
    assert errata.main([], folder, target) == 1
    assert capsys.readouterr().err == "errata: no erratum has the tag E65 in 25_wrong.ipynb\n"


def test_check_sees_an_old_page_and_writes_nothing(complete, capsys):
    folder, target = complete
    assert errata.main(["--check"], folder, target) == 1
    assert not target.exists()
    errata.main([], folder, target)
    assert errata.main(["--check"], folder, target) == 0
    target.write_text("old", encoding="utf-8")
    assert errata.main(["--check"], folder, target) == 1
    assert "out of date: run python docs/errata.py" in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == "old"
