"""What is recorded of a study, in the forms in which pages and figures ask for it."""

import math
from collections.abc import Mapping
from typing import Any

from npdsconv.runs import recorded
from npdsconv.runs.recorded import Recorded


class Results:
    """The recorded runs of a study by arm, in the order of its arms; what is not recorded is not there."""

    def __init__(self, study: str, arms: Mapping[str, Any]) -> None:
        found = recorded.arms(study)
        self.runs = {arm: found[arm] for arm in arms if arm in found}

    def first(self, arm: str) -> dict[str, Any]:
        """One of its runs, for what does not depend on the seed."""
        return self.runs[arm][0]

    def over(self, arm: str, what: str = "accuracy") -> Recorded:
        """Mean and spread over seeds. A name with a slash is inside something: ``under/noise 0.2``."""
        return recorded.spread([*self._values(arm, what).values()])

    def percent(self, arm: str, what: str = "accuracy") -> str:
        """As a percentage with its sample standard deviation: ``98.64 % ± 0.12``."""
        return percent(self.over(arm, what))

    def mean(self, arm: str, what: str = "accuracy") -> str:
        """The mean alone, as a percentage."""
        return f"{100 * self.over(arm, what).mean:.2f} %"

    def against(self, arm: str, other: str, called: str = "", what: str = "accuracy") -> str:
        """By how many points an arm is above or below another, by differences seed by seed.

        Level is what lies within two standard errors of the mean of the differences; of one seed nobody knows, and the
        sentence says so. `called` is how it names the other.
        """
        called = called or other
        values, others = self._values(arm, what), self._values(other, what)
        both = [100 * (values[seed] - others[seed]) for seed in values if seed in others]
        mean, sd, seeds = recorded.spread(both)
        where = "above" if mean > 0 else "below"
        if seeds == 1:
            return f"{abs(mean):.2f} points {where} {called} (one seed)"
        if abs(mean) <= 2 * sd / math.sqrt(seeds):
            return f"level with {called} ({mean:+.2f} ± {sd:.2f} points)"
        return f"{abs(mean):.2f} ± {sd:.2f} points {where} {called}"

    def best(self, arms: list[str], what: str = "accuracy") -> str:
        """The arm with the highest mean."""
        return max(arms, key=lambda arm: self.over(arm, what).mean)

    def _values(self, arm: str, what: str) -> dict[int, float]:
        """By seed."""
        outer, _, inner = what.partition("/")
        return {run["seed"]: run[outer][inner] if inner else run[outer] for run in self.runs[arm]}


def percent(value: Recorded) -> str:
    """Mean and sample standard deviation in per cent; the mean alone where there is one seed."""
    spread = f" ± {100 * value.spread:.2f}" if value.seeds > 1 else ""
    return f"{100 * value.mean:.2f} %{spread}"
