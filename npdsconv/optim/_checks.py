"""The one check that optimisers and schedules share."""

import math


def require(where: str, name: str, value: float, ok: bool, rule: str) -> float:
    if not (ok and math.isfinite(value)):
        raise ValueError(f"{where}: {name} {value} must be {rule} and finite")
    return value
