"""How much of the machine other programs took while something was measured; only Linux tells it."""

import os
from collections.abc import Sequence
from pathlib import Path

_STAT = Path("/proc/stat")


class Watch:
    """Others' share of all cores, from the moment this is made.

    Parameters
    ----------
    pids : processes that are ours, besides this one
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = ["self", *map(str, pids)]
        self._before = self._read()

    def others(self) -> float | None:
        """Between 0 and 1; None where the system does not tell."""
        after = self._read()
        if self._before is None or after is None:
            return None
        (busy, ours, total), (busy0, ours0, total0) = after, self._before
        if total <= total0:
            return None
        return min(1.0, max(0.0, (busy - busy0 - (ours - ours0)) / (total - total0)))

    def _read(self) -> tuple[int, int, int] | None:
        try:
            times = cpu_times(_STAT.read_text())
            ours = sum(own_times(Path("/proc", pid, "stat").read_text()) for pid in self._pids)
        except (OSError, ValueError, IndexError):
            return None
        return times[0], ours, times[1]


def cpu_times(stat: str) -> tuple[int, int]:
    """Busy and total ticks of all cores, from the text of /proc/stat; what a hypervisor took away is busy.

    >>> cpu_times("cpu  10 2 3 80 5 1 1 4 0 0\\n")
    (21, 106)
    """
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


def own_times(stat: str) -> int:
    """Ticks that a process and all its threads have run, from the text of /proc/PID/stat.

    >>> own_times("7 (a b) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 3")
    42
    """
    fields = stat.rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def load() -> list[float] | None:
    """The load averages, where there are any."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None
