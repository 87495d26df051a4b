"""One thread for all of these tests: their arrays are so small that waking a second one takes longer than it saves."""

import pytest

import npdsconv


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = npdsconv.get_num_threads()
    npdsconv.set_num_threads(1)
    yield
    npdsconv.set_num_threads(threads)
