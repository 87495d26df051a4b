"""Results as text: one line for each workload, printed as soon as it is measured, and as Markdown."""

from collections.abc import Sequence
from typing import Any

NAMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "npdsconv": "npdsconv"}


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(0.0123), duration(1.5e-5), duration(12.3456)
    ('12.3 ms', '15.0 µs', '12.3 s')
    """
    scale, unit = (1, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    value = seconds * scale
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def between(time: dict[str, Any]) -> str:
    """A median with its quartiles: ``12.3 ms (12.1-12.8)``."""
    low, high = (
        f"{value * time['median'] ** -1 * float(duration(time['median']).split()[0]):.3g}"
        for value in (time["q1"], time["q3"])
    )
    return f"{duration(time['median'])} ({low}-{high})"


def header(against: Sequence[str], impls: Sequence[str], width: int) -> str:
    """The first line."""
    cells = [f"{'':{width}}", *(f"{impl if len(impls) > 1 else 'npdsconv':>23}" for impl in impls)]
    cells += ["GFLOP/s", f"{'GB/s':>6}"]
    for name in against:
        cells += [f"{NAMES[name]:>37}", f"{'ratio':>18}", "faster"]
    return "  ".join(cells)


def line(row: dict[str, Any], against: Sequence[str], width: int) -> str:
    """One workload: times of npdsconv, what that attains, and each opponent with the ratio and the winner."""
    own = [t for t in row["times"] if t["library"] == "npdsconv"]
    cells = [f"{row['workload']:{width}}", *(f"{between(t):>23}" for t in own)]
    cells.append(f"{row['flops'] / own[0]['median'] / 1e9:7.1f}" if row["flops"] else f"{'':7}")
    cells.append(f"{row['bytes'] / own[0]['median'] / 1e9:6.1f}" if row["bytes"] else f"{'':6}")
    for name in against:
        cells += _opponent(row, name)
    return "  ".join(cells).rstrip()


def _opponent(row: dict[str, Any], name: str) -> list[str]:
    found = row["ratios"].get(name)
    if found is None:
        return [f"{'-':>37}", f"{'':18}", f"{'':6}"]
    time = fastest(row, name)
    ratio = f"{found['ratio']:.2f} ({found['q1']:.2f}-{found['q3']:.2f})"
    return [f"{between(time):>23} {found['variant']:13}", f"{ratio:>18}", winner(found, name)]


def fastest(row: dict[str, Any], name: str) -> dict[str, Any]:
    """The time of an opponent's fastest variant."""
    variant = row["ratios"][name]["variant"]
    return next(t for t in row["times"] if (t["library"], t["variant"]) == (name, variant))


def winner(ratio: dict[str, Any], name: str) -> str:
    """Who is faster; nobody where the quartiles of the ratio lie on both sides of one."""
    if ratio["q1"] <= 1 <= ratio["q3"]:
        return "level"
    return "npdsconv" if ratio["ratio"] < 1 else NAMES[name]
