"""Settings written as words: classes and sizes."""

from collections.abc import Sequence

from npdsconv.shapes import check_choice


def parse_classes(text: str, names: Sequence[str]) -> tuple[int, ...]:
    """Labels as one writes them: names of classes, labels, and spans of labels, with commas between.

    Parameters
    ----------
    names : of the classes, by label

    Raises
    ------
    ValueError
        A name that there is not, or a class twice.

    Examples
    --------
    >>> parse_classes("0-2,cat", ["ant", "bee", "owl", "cow", "cat"])
    (0, 1, 2, 4)
    """
    found: list[int] = []
    for word in map(str.strip, text.split(",")):
        first, _, last = word.partition("-")
        if word in names:
            found.append(names.index(word))
        elif first.isdecimal() and (last or first).isdecimal() and len(word) < 12:
            # One label too many is enough to be refused, where the span is too long.
            found += range(int(first), min(int(last or first), int(first) + len(names)) + 1)
        else:
            check_choice("recipe", "a class", word, names)
    if len(set(found)) < len(found):
        raise ValueError(f"recipe: classes must be all different, got {text!r}")
    return tuple(found)


def parse_size(text: str) -> tuple[int, int] | None:
    """Height and width from a side, or from both; None where nothing is said.

    Raises
    ------
    ValueError
        It is something else.

    Examples
    --------
    >>> parse_size("48"), parse_size("48x64")
    ((48, 48), (48, 64))
    """
    if not text:
        return None
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) < 6 for side in sides) or "0" in sides:
        raise ValueError(f"recipe: size must be like 48 or 48x64 (height x width), got {text!r}")
    return int(sides[0]), int(sides[-1])
