"""The checks that optimisers and schedules share."""

import math
import numbers


def require(where: str, name: str, value: float, ok: bool, rule: str) -> float:
    if not (ok and math.isfinite(value)):
        raise ValueError(f"{where}: {name} {value} must be {rule} and finite")
    return value


def check_real(where: str, **values: object) -> None:
    """All values are real numbers, so that they can be compared with a rule."""
    for name, value in values.items():
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise TypeError(f"{where}: {name} must be a number, got {value!r}")
