"""A user's file runs, and has nothing to explain to the type checker."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import user_code
from helpers import INTERPRETED

import npdsconv

FILE = Path(user_code.__file__)


def test_it_runs():
    losses, shapes = user_code.run()
    assert losses[-1] < 0.9 * losses[0]
    assert shapes == [(2, 3, 7, 6), (3, 2, 3, 2), (6,), (5, 6), (5,), (5,)]


def strictly_checked(path, tmp_path):
    """What ``mypy --strict`` says of a file that uses the package as installed."""
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file="]
    paths = {"MYPYPATH": str(Path(npdsconv.__file__).parents[1])}
    return subprocess.run(
        [*command, f"--cache-dir={tmp_path}", str(path)],
        capture_output=True,
        text=True,
        env=os.environ | paths,
        cwd=tmp_path,
    )


@pytest.mark.skipif(INTERPRETED, reason="mypy runs no kernel, and is slow")
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_has_nothing_to_say_of_it(tmp_path):
    done = strictly_checked(FILE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"  # the other half: this checker sees what is wrong
    wrong.write_text(
        "import numpy as np\nimport npdsconv\nx = np.ones((1, 2, 3, 4))\n"
        "dx, dw, db = npdsconv.depthwise_conv2d_backward(x, x, x, strides=2)\n"
        "y: str = npdsconv.relu(x)\n"
    )
    done = strictly_checked(wrong, tmp_path)
    assert done.returncode == 1
    assert "strides" in done.stdout
    assert "Incompatible types" in done.stdout
