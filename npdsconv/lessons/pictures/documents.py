"""The table that closes a critical reading: what a document says, and what became of it. Used by the notebooks."""

import html
from typing import NamedTuple

VERDICTS = {
    "right": "#2E8536",
    "imprecise": "#A56900",
    "unsupported": "#A56900",
    "wrong": "#D13A30",
    "does not run": "#D13A30",
}
"""The possible verdicts and the colours of their words: nothing to mend, something to add, something to replace.

The colours can be read on a white and on a dark page (contrast at least 4.5 and 3.8).
"""


class Claim(NamedTuple):
    """One line of the table."""

    said: str
    verdict: str
    truth: str


class Claims:
    """Claims of a document, each with its verdict and the truth; a notebook shows it as a table.

    >>> claims = Claims()
    >>> claims.add("depthwise convolution keeps the channels apart", "right", "no sum over channels")
    >>> claims.add("and keeps the size", "wrong", "only with padding")
    >>> claims
    right  depthwise convolution keeps the channels apart -> no sum over channels
    wrong  and keeps the size -> only with padding
    2 claims: 1 right, 1 wrong
    """

    def __init__(self) -> None:
        self.rows: list[Claim] = []

    def add(self, said: str, verdict: str, truth: str) -> None:
        """Keep one claim; a claim that is already there is replaced, so that a cell may run twice."""
        if verdict not in VERDICTS:
            raise ValueError(f"Claims.add: verdict must be one of {', '.join(VERDICTS)}, got {verdict!r}")
        claim = Claim(said, verdict, truth)
        places = [k for k, row in enumerate(self.rows) if row.said == said]
        if places:
            self.rows[places[0]] = claim
        else:
            self.rows.append(claim)

    def extend(self, other: "Claims") -> None:
        """Take over the claims of another table."""
        for row in other.rows:
            self.add(*row)

    def counts(self) -> dict[str, int]:
        """How many claims got each verdict, in the order of :data:`VERDICTS`, verdicts never given left out."""
        found = [row.verdict for row in self.rows]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    def _total(self) -> str:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in self.counts().items())
        return f"{len(self.rows)} claims: {counts}"

    def __repr__(self) -> str:
        width = max((len(row.verdict) for row in self.rows), default=0)
        lines = [f"{row.verdict.ljust(width)}  {row.said} -> {row.truth}" for row in self.rows]
        return "\n".join([*lines, self._total()])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        head = "".join(f"<th {left}>{title}</th>" for title in ("the document says", "verdict", "the truth"))
        body = []
        for row in self.rows:
            said, verdict, truth = map(html.escape, row)
            colour = VERDICTS[row.verdict]
            body.append(
                f"<tr><td {left}>{said}</td>"
                f'<td style="text-align:left;white-space:nowrap;color:{colour}"><b>{verdict}</b></td>'
                f"<td {left}>{truth}</td></tr>"
            )
        return "\n".join(
            ["<table>", f"<tr>{head}</tr>", *body, "</table>", f"<p>{html.escape(self._total())}</p>"]
        )
