"""CONTRIBUTING.md is true: its worked example is what the package has, and lists all that has to be touched."""

import re
import shutil
from pathlib import Path

import pytest
from helpers import fresh

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add an activation")[2]
NAMES = re.compile(r"hard_?swish", re.IGNORECASE)
USERS = {"models"}  # networks may use what the example adds


def steps():
    """File -> the blocks of code that the example puts there."""
    parts = re.split(r"^\*\*\d+\. ", SECTION, flags=re.MULTILINE)[1:]
    found = {}
    for part in parts:
        file = re.search(r"in `([\w./]+)`", part).group(1)
        found[file] = re.findall(r"^```\w+\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return found


STEPS = steps()


def test_ten_files_at_most_seven_of_them_code():
    code = [file for file in STEPS if file.startswith("npdsconv/")]
    assert len(STEPS) <= 10
    assert 3 < len(code) <= 7


@pytest.mark.parametrize("file", [file for file, blocks in STEPS.items() if blocks])
def test_every_block_stands_in_its_file(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for block in STEPS[file]:
        assert text.count(block) == 1, block


WITHOUT = """
import npdsconv
from npdsconv import layers
assert not hasattr(npdsconv, "hard_swish") and not hasattr(layers, "HardSwish")
layers.DepthwiseSeparableConv2d(3, 4, 3, mid_activation="relu6", activation="sigmoid")
try:
    layers.DepthwiseSeparableConv2d(3, 4, 3, mid_activation="hard_swish")
except ValueError as error:
    print(error)
"""

WITH = """
import numpy as np
from npdsconv import catalogue, layers
x = np.random.default_rng(0).standard_normal((2, 3, 7, 6))
models = [
    layers.DepthwiseSeparableConv2d(3, 4, 3, mid_activation="hard_swish", rng=1, fused=fused, impl=impl)
    for fused in (True, False) for impl in ("naive", "numba")
]
ys = [model.astype("float64").forward(x, train=True)[0] for model in models]
for y in ys[1:]:
    np.testing.assert_allclose(y, ys[0], rtol=0, atol=1e-12)
found = [report.ok for _, name, report in catalogue.run(["hard_swish", "HardSwish"], impl="im2col")]
print(found)
"""


def test_taken_out_again_nothing_else_knows_it(tmp_path):
    """So the example is complete: what it lists is all that has to be touched."""
    copy = tmp_path / "npdsconv"
    shutil.copytree(
        ROOT / "npdsconv", copy, ignore=shutil.ignore_patterns("__pycache__", "mnist5k", "models")
    )
    shutil.copytree(ROOT / "npdsconv" / "models", copy / "models")
    for file, blocks in STEPS.items():
        if file.startswith("npdsconv/"):
            path = tmp_path / file
            text = path.read_text(encoding="utf-8")
            for block in blocks:
                text = text.replace(block, "")
            path.write_text(text, encoding="utf-8")
    left = [
        str(path.relative_to(copy))
        for path in copy.rglob("*.py")
        if path.relative_to(copy).parts[0] not in USERS and NAMES.search(path.read_text(encoding="utf-8"))
    ]
    assert left == []
    message = fresh(WITHOUT, "-P", PYTHONPATH=str(tmp_path), NUMBA_DISABLE_JIT="1")
    assert message[-1].endswith(
        "mid_activation must be one of relu, relu6, leaky_relu, hard_sigmoid, sigmoid, got 'hard_swish', "
        "did you mean 'hard_sigmoid'?"
    )


def test_with_it_a_block_takes_the_name_fused_or_not():
    assert fresh(WITH, NUMBA_DISABLE_JIT="1")[-1] == "[True, True]"
