"""Results as text: one line for each workload, printed as soon as it is measured, and as Markdown."""

from collections.abc import Sequence
from typing import Any

from npdsconv import text


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(0.0123), duration(1.5e-5), duration(12.3456), duration(0.00099999)
    ('12.3 ms', '15.0 µs', '12.3 s', '1.00 ms')
    """
    scale, unit = _unit(seconds)
    return f"{_three(seconds * scale)} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    for scale, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * scale >= 0.9995:
            return scale, unit
    return 1e6, "µs"


def _three(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def between(time: dict[str, Any]) -> str:
    """A median with its quartiles, in one unit.

    >>> between({"median": 0.0123, "q1": 0.0121, "q3": 0.0128})
    '12.3 ms (12.1-12.8)'
    """
    scale, unit = _unit(time["median"])
    return (
        f"{_three(time['median'] * scale)} {unit} ({_three(time['q1'] * scale)}-{_three(time['q3'] * scale)})"
    )


def header(opponents: Sequence[str], impls: Sequence[str], width: int, *, rates: bool = True) -> str:
    """The first line; `rates`: whether the rows have FLOPs and bytes."""
    cells = ["", impls[0] if len(impls) > 1 else "npdsconv", *(["GFLOP/s", "GB/s"] if rates else [])]
    for opponent in opponents:
        cells += [opponent, "ratio", "faster"]
    return text.line(cells, _columns(opponents, width, rates))


def line(row: dict[str, Any], opponents: Sequence[str], width: int) -> str:
    """One workload: times of npdsconv, what that attains, and each opponent with the ratio and the winner."""
    own, rates = row["times"][0], bool(row["bytes"])
    cells = [row["workload"], between(own)]
    if rates:
        cells.append(f"{row['flops'] / own['median'] / 1e9:.1f}" if row["flops"] else "")
        cells.append(f"{row['bytes'] / own['median'] / 1e9:.1f}")
    for opponent in opponents:
        found = row["ratios"].get(opponent)
        if found is None:
            cells += ["-", "", ""]
            continue
        cells.append(f"{between(fastest(row, opponent))} {found['variant'].removesuffix(' folded')}")
        cells.append(f"{found['ratio']:.2f} ({found['q1']:.2f}-{found['q3']:.2f})")
        cells.append(winner(found, opponent))
    return text.line(cells, _columns(opponents, width, rates))


def _columns(opponents: Sequence[str], width: int, rates: bool) -> list[str]:
    """Side and width of each column, wide enough for whatever is measured: rows are printed one by one."""
    own = [f"<{width}", ">25", *([">7", ">6"] if rates else [])]
    return own + [column for _ in opponents for column in ("<37", "<16", "<13")]


def fastest(row: dict[str, Any], column: str) -> dict[str, Any]:
    """The time of the variant that counts under a heading."""
    variant = row["ratios"][column]["variant"]
    return next(t for t in row["times"] if (t["column"], t["variant"]) == (column, variant))


def winner(ratio: dict[str, Any], column: str) -> str:
    """Who is faster; nobody where the quartiles of the ratio lie on both sides of one."""
    if ratio["q1"] <= 1 <= ratio["q3"]:
        return "level"
    return "npdsconv" if ratio["ratio"] < 1 else column.split(",")[0].removesuffix(" as installed")


# ---- Markdown -------------------------------------------------------------------------------------------------


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def rows_as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table of workloads; all rows have the same opponents."""
    columns = list(rows[0]["ratios"])
    head = ["", "threads", "npdsconv"]
    for column in columns:
        head += [column, "ratio"]
    cells = []
    for row in rows:
        cell = [row["workload"], str(row["threads"]), between(row["times"][0])]
        for column in columns:
            found, time = row["ratios"][column], fastest(row, column)
            format_ = found["variant"].removesuffix(" folded")
            name = f" {format_}" if format_ != "folded" else ""
            cell += [
                f"{between(time)}{name}",
                f"**{found['ratio']:.2f}** ({found['q1']:.2f}-{found['q3']:.2f})",
            ]
        cells.append(cell)
    return markdown(head, cells)
