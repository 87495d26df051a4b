"""No op reads or writes beside an array: calls on arrays that lie between pages without access."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/guard_pages.py"
CALLS = int(os.environ.get("NPDSCONV_GUARDED_CALLS", "400"))

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mmap and mprotect as Linux has them"),
    pytest.mark.skipif(
        os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="only compiled code reads beside arrays"
    ),
]


def test_calls_right_and_hostile_end_in_numbers_or_in_a_clear_error():
    command = [sys.executable, str(SCRIPT), "--calls", str(CALLS), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, last = done.stdout.splitlines()
    assert last.startswith(f"{CALLS} calls: ")
    assert last.endswith(", 0 wrong, 0 ended their process")


@pytest.mark.parametrize(("after", "place"), [(True, "array.nbytes"), (False, "-8")])
def test_a_read_beside_an_array_ends_the_process(after, place):
    code = f"""
        import ctypes, sys
        sys.path.insert(0, {str(SCRIPT.parent)!r})
        import numpy as np
        from guarded import guarded_arrays, lie
        with guarded_arrays():
            lie(after={after})
            array = np.arange(7.0) + np.zeros((3, 1))
            print(array.sum(), np.sort(-array, axis=None)[0], flush=True)
            ctypes.c_double.from_address(array.ctypes.data + {place}).value
            print("still here")
    """
    lines = "\n".join(line[8:] for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.stdout.split() == ["63.0", "-6.0"]
    assert done.returncode < 0
