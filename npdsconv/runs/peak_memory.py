"""Peak memory of a process: Linux says it, and lets one set the mark anew."""

import ctypes
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM, MEASURED = 3, 3  # calls
_STATUS = Path("/proc/self/status")


def available() -> bool:
    """Whether this system can tell."""
    return sys.platform.startswith("linux") and Path("/proc/self/clear_refs").exists()


def free() -> int:
    """Bytes that programs can still take without anything being swapped out."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def growth(call: Callable[[], Any]) -> dict[str, int]:
    """Bytes by which the resident memory of this process rises, at its highest, while it does `call`.

    The process is warmed first, so that code, pools and caches do not count, and what the C library holds in reserve
    is given back. Then writing 5 to ``clear_refs`` sets the high-water mark VmHWM to what is resident now.
    """
    if not available():
        raise OSError("peak_memory: peak memory is read from /proc/self/status, which only Linux has")
    for _ in range(WARM):
        call()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes(_STATUS, "VmHWM")
    for _ in range(MEASURED):
        call()
    return {"before": before, "growth": _kilobytes(_STATUS, "VmHWM") - before}


def _kilobytes(path: Path, name: str) -> int:
    """A line such as ``VmHWM:  1234 kB``, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.M)
    if found is None:
        raise OSError(f"peak_memory: {path} has no {name}")
    return 1024 * int(found[1])
