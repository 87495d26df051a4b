"""What a gradient check has found: one row per array, a verdict, and a table to read."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass
from typing import Any

MAX_KINKS, FEW_KINKS = 0.1, 4
"""The largest share of the probes that may lie on a kink before the check says too little; so few may in any case,
if at least as many do not."""

OK, WRONG, UNSEEN = "ok", "FAILED", "cannot say"

_HEADER = ("", "array", "shape", "method", "error", "worst at", "backward", "numeric", "checked", "kinks")


@dataclass(frozen=True)
class Row:
    """The check of one array: an input or a parameter.

    Attributes
    ----------
    name, shape
        The array.
    method
        How it was checked: `"elements"`, `"4 directions"`, `"complex step"`, each perhaps with `"+ adjoint"`.
    error
        `max|a - n| / max(‖a‖∞, ‖n‖∞, floor)`, with `a` from backward and `n` the numeric value; infinite
        where no comparison was possible. The floor is described at `check`.
    index
        Where the error is worst: the index of an element, or the name of a direction.
    analytic, numeric
        The two values found there.
    checked, kinks
        How many elements (or directions) were compared, and for how many the one-sided derivatives of the
        function differ, so that there is only a range to compare with.
    ok
        Whether the row passes.
    seen
        Whether the check could tell right from wrong. A row that was not seen is never ok.
    reason
        What is wrong, or why there was nothing to compare; often empty.
    """

    name: str
    shape: tuple[int, ...]
    method: str = "-"
    error: float = 0.0
    index: tuple[int, ...] | str = "-"
    analytic: float = math.nan
    numeric: float = math.nan
    checked: int = 0
    kinks: int = 0
    ok: bool = True
    seen: bool = True
    reason: str = ""

    @property
    def verdict(self) -> str:
        """`"ok"`, `"FAILED"` or `"cannot say"`."""
        return OK if self.ok else WRONG if self.seen else UNSEEN

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of the table's header."""
        return (
            "FAIL" if self.verdict == WRONG else self.verdict,
            self.name,
            str(self.shape),
            self.method,
            f"{self.error:.1e}" if self.checked else "-",
            str(self.index),
            _number(self.analytic),
            _number(self.numeric),
            str(self.checked),
            str(self.kinks),
        )


@dataclass(frozen=True)
class Report:
    """The result of `check`. Truthy when the gradient is right, so `assert report, report` reads well.

    Attributes
    ----------
    title
        What was checked.
    rows
        One `Row` per input and per parameter.
    threshold
        The largest error that passes.
    """

    title: str
    rows: tuple[Row, ...]
    threshold: float

    @property
    def ok(self) -> bool:
        """Whether something was compared, every row passes, and not too many probes lie on kinks."""
        return self.checked > 0 and all(row.ok for row in self.rows) and not self.too_many_kinks

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """`"ok"`, `"FAILED"` if something is wrong, or `"cannot say"` if something could not be seen."""
        wrong = any(row.verdict == WRONG for row in self.rows)
        return OK if self.ok else WRONG if wrong else UNSEEN

    @property
    def max_error(self) -> float:
        """The largest error of all rows; infinite when something could not be compared."""
        return max((row.error for row in self.rows), default=0.0)

    @property
    def checked(self) -> int:
        """The number of elements and directions that were compared."""
        return sum(row.checked for row in self.rows)

    @property
    def kinks(self) -> int:
        """The number of elements and directions that lie on a kink of the function."""
        return sum(row.kinks for row in self.rows)

    @property
    def too_many_kinks(self) -> bool:
        """Whether more than a tenth of all probes, and more than four, had to be left out, or more than half."""
        few = max(MAX_KINKS * (self.kinks + self.checked), FEW_KINKS)
        return self.kinks > min(few, self.checked)

    def summary(self) -> str:
        """The verdict in one line."""
        error = f"largest error {self.max_error:.1e} (limit {self.threshold:.0e})"
        return f"{self.title}: {self.verdict}, {error}, {self.checked} checked, {self.kinks} on kinks"

    def reasons(self) -> list[str]:
        """What has to be said about single rows, and about the number of kinks."""
        said = [f"{row.name}: {row.reason}" for row in self.rows if row.reason]
        if not self.checked and all(row.ok for row in self.rows):
            said.append("nothing was compared, so nothing is shown to be right")
        if self.too_many_kinks:
            most = f"{MAX_KINKS:.0%}" if self.kinks <= self.checked or self.kinks > FEW_KINKS else "half"
            share = f"{self.kinks} of {self.kinks + self.checked} probes lie on a kink, more than {most}"
            said.append(f"{share}: move the arrays off it, e.g. with x + 0.1 * rng.standard_normal(x.shape)")
        return said

    def table(self) -> str:
        """The rows as aligned text."""
        lines = [_HEADER, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def __str__(self) -> str:
        return "\n".join([self.summary(), self.table(), *self.reasons()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table as a notebook shows it."""

        def line(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        rows = "".join(line(row.cells(), "td") for row in self.rows)
        notes = "".join(f"<br>{html.escape(reason)}" for reason in self.reasons()).replace("\n", "<br>")
        head = line(_HEADER, "th")
        return f"<p><b>{html.escape(self.summary())}</b>{notes}</p><table>{head}{rows}</table>"

    def raise_if_failed(self) -> Report:
        """Return the report, or raise `AssertionError` with its table."""
        if not self.ok:
            raise AssertionError(str(self))
        return self

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON; infinite and undefined numbers become None."""
        rows = [
            {"verdict": row.verdict, **{key: _plain(value) for key, value in asdict(row).items()}}
            for row in self.rows
        ]
        return {
            "title": self.title,
            "ok": self.ok,
            "verdict": self.verdict,
            "max_error": _plain(self.max_error),
            "threshold": self.threshold,
            "checked": self.checked,
            "kinks": self.kinks,
            "rows": rows,
        }


def _number(value: float) -> str:
    # Ten digits: a gradient that is wrong by one part in a million has to look wrong.
    return "-" if math.isnan(value) else f"{value:.10g}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
