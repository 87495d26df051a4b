"""Numbers in the environment: read in one place, so that one that is none is one clear error."""

import os

__all__ = ["threads"]


def threads() -> int | None:
    """How many threads NUMBA_NUM_THREADS asks for; None where it is not set.

    Raises
    ------
    ValueError
        It is no whole number of at least 1.
    """
    text = os.environ.get("NUMBA_NUM_THREADS")
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(
            f"the environment variable NUMBA_NUM_THREADS must be a whole number of at least 1, got {text!r}"
        )
    return number
