"""A few of the hostile files of `benchmarks/hostile_files.py`, which makes as many of them as one likes."""

import os
import sys
from pathlib import Path

import pytest
from helpers import load

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "hostile_files.py"
FILES = int(os.environ.get("NPDSCONV_HOSTILE_FILES", "324"))  # from 1,000 on with bombs, which takes a minute


@pytest.fixture(scope="module")
def hostile():
    return load(SCRIPT)


@pytest.mark.skipif(sys.platform == "win32", reason="the memory of a process is not told there")
def test_hostile_files_get_an_answer_or_one_clear_error(hostile, tmp_path, capsys):
    assert hostile.run(FILES, 7, tmp_path) == []
    table = capsys.readouterr().out.splitlines()[1:-1]
    kinds = len(table)
    for line in table:
        kind, read, refused, wrong, _ = line.split()
        assert int(read) + int(refused) == FILES // kinds, "each kind has its share"
        assert wrong == "0"
        if kind not in ("metrics", "config"):
            assert int(refused) > FILES // (4 * kinds), f"{kind}: the harm is real"


def raised(error):
    raise error


def test_the_judge_can_be_dissatisfied(hostile, tmp_path):
    from npdsconv.data import read_idx

    assert hostile.verdict(lambda: 1) == ("read", "")
    assert hostile.verdict(lambda: read_idx(tmp_path / "none"))[0] == "refused"
    assert hostile.verdict(lambda: raised(RuntimeError("own")))[0] == "WRONG", "of the wrong type"
    assert hostile.verdict(lambda: raised(ValueError("deep in a library")))[0] == "WRONG", "not raised by us"
    assert hostile.verdict(lambda: read_idx(tmp_path / "two\nlines"))[0] == "WRONG", "more than a line"
