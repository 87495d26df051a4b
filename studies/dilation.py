"""Dilation: does it help to look far with few weights, on pictures as small as digits?"""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

DILATIONS = ("1,1,1", "1,2,4", "2,2,2")


def arm(dilations: str) -> str:
    """The arm with these dilations."""
    return f"dilations {dilations}"


def words(results: Results) -> list[str]:
    """Each against the dense one."""
    dense, *dilated = map(arm, DILATIONS)
    found = [f"Dense windows (`{DILATIONS[0]}`) are right in {results.percent(dense)}."]
    found += [
        f"`{other.removeprefix('dilations ')}` reaches {results.percent(other)}, {results.against(other, dense)}."
        for other in dilated
    ]
    return [
        *found,
        "Parameters and multiply-adds are the same to the last one: only where the windows look is different.",
    ]


def draw(results: Results) -> Figure:
    """A bar for each."""
    figure, (axis,) = figures.panels(1, width=6, height=2.4)
    figures.bars(axis, [*map(arm, DILATIONS)], [results.over(arm(d)) for d in DILATIONS])
    return figure


STUDY = Study(
    name="dilation",
    title="Dilation",
    question="Three blocks with the same weights see 15, 31 or 27 pixels, by dilation alone: what does it change?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 10000, "epochs": 5, "model": "dilated_separable"},
    arms={arm(d): Arm({"options": f"dilations={d}"}) for d in DILATIONS},
    words=words,
    figure=draw,
    alt="Errors of the three networks that differ in their dilations alone",
)
