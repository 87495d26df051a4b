"""Settings that describe themselves: one line says what a setting is for, what it may be, and what it is by default.

From that line come the check of a value, its error, and its argument on the command line.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from npdsconv.shapes import check_choice


class Rule(NamedTuple):
    """Which numbers a setting may be: a test, and the words for it."""

    holds: Callable[[Any], bool]
    text: str


POSITIVE = Rule(lambda v: v > 0, "above 0")
COUNT = Rule(lambda v: v >= 1, "at least 1")
NOT_NEGATIVE = Rule(lambda v: v >= 0, "at least 0")
PART = Rule(lambda v: 0 < v < 1, "above 0 and below 1")
SHARE = Rule(lambda v: 0 <= v < 1, "in [0, 1)")
ANGLE = Rule(lambda v: 0 <= v < 90, "in [0, 90)")
ONE_OR_TWO = Rule(lambda v: v in (1, 2), "1 or 2")
GREY_OR_COLOURS = Rule(lambda v: v in (0, 1, 3), "0, 1 or 3")

_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a text",
}


def setting(default: Any, group: str, help: str, what: Rule | Iterable[str] | None = None) -> Any:
    """A field of a dataclass: its default, the subject under which it is listed, and what it may be.

    Parameters
    ----------
    what : the rule for a number, or the known names
    """
    rule = what if isinstance(what, Rule) else None
    choices = () if rule or what is None else tuple(what)
    return dataclasses.field(
        default=default, metadata={"group": group, "help": help, "rule": rule, "choices": choices}
    )


def check(where: str, settings: Any) -> None:
    """Hold every field of a dataclass instance against its type and its rule.

    Raises
    ------
    TypeError, ValueError
        The first that does not fit: its name, the rule and the value.
    """
    for field in dataclasses.fields(settings):
        value, rule = getattr(settings, field.name), field.metadata["rule"]
        if not _is_a(field.type, value):
            raise TypeError(f"{where}: {field.name} must be {_KINDS[field.type]}, got {value!r}")
        if field.metadata["choices"]:
            check_choice(where, field.name, value, field.metadata["choices"])
        if rule and not rule.holds(value):
            raise ValueError(f"{where}: {field.name} must be {rule.text}, got {value!r}")


def _is_a(kind: Any, value: object) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is kind
