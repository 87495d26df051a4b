"""A run folder after a kill: whatever the moment, the last whole state is there, and going on gives the same bits."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "kill_moments.py"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the moments are chosen in forked processes")


@needs_fork
def test_a_run_killed_at_the_worst_moments_goes_on_to_the_same_bits(tmp_path):
    """Around and within each step of writing the settings, the checkpoint and the table, in the first and a later
    epoch. `benchmarks/kills.py` does the same at random moments."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    code, whole = report["whole"]
    assert code == 0
    assert whole["epoch"] == 3
    assert [row[0] for row in whole["rows"]] == ["1", "2", "3"]
    assert whole["files"] == ["checkpoint.npz", "config.json", "metrics.csv"]
    reached, litter = set(), 0
    for moment, codes, after, end in report["killed"]:
        assert codes == [-9, 0], moment
        assert end == whole, moment
        reached.add(after["epoch"])
        litter += any(re.fullmatch(r"\..*\.\d+\.tmp", name) for name in after["files"])
        assert len(after["rows"]) in (after["epoch"] or 0, (after["epoch"] or 0) - 1), (
            f"{moment}: a row too many"
        )
    assert reached == {None, 0, 1, 2}, "the kills came when they should"
    assert litter >= 8, "the kills left something to sweep"
