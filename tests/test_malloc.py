"""Freed memory is kept: a second pass over new arrays faults no new pages in."""

import pytest
from helpers import fresh

PROGRAM = """
import resource, numpy as np
from npdsconv.malloc import keep_freed_memory
kept = {keep} and keep_freed_memory()
def step():
    arrays = [np.full(2_000_000, 1.0, np.float32) for _ in range(6)]
    del arrays
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    (line,) = fresh(PROGRAM.format(keep=keep))
    return [int(n) for n in line.split()]


def test_freed_memory_is_kept_where_the_c_library_listens():
    kept, with_it = faults(True)
    if not kept:
        pytest.skip("the C library is not GNU's")
    _, without = faults(False)
    assert with_it < without / 2
