"""Accuracy against the number of labels, for a separable network and its standard twin."""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

LABELS = (400, 2000, 10000)
SEEN = 20000  # images in all, so that every arm makes about as many updates


def arm(kind: str, labels: int) -> str:
    """The arm of a network with so many labels."""
    return f"{kind}, {labels} labels"


def words(results: Results) -> list[str]:
    """Both networks with each number of labels."""
    found = [
        f"Every row sees {SEEN:,} images in all: few labels come again more often, differently augmented."
    ]
    for n in LABELS:
        one, other = (arm(kind, n) for kind in ("separable", "standard"))
        found.append(
            f"{n:,} labels: separable {results.percent(one)}, standard {results.percent(other)}: the separable network "
            f"is {results.against(one, other, 'its twin')}."
        )
    return found


def draw(results: Results) -> Figure:
    """Errors over labels, a line for each network."""
    figure, (axis,) = figures.panels(1, width=5.4)
    for k, kind in enumerate(("separable", "standard")):
        figures.line(axis, LABELS, [results.over(arm(kind, n)) for n in LABELS], k, kind)
    axis.set(xscale="log", yscale="log", xlabel="labels", ylabel="errors on held-out images (%)")
    figures.finish(axis)
    figures.ticks(axis, LABELS)
    return figure


STUDY = Study(
    name="labels",
    title="Accuracy against labels",
    question="What is one more label worth, and does a separable network need fewer of them than its standard twin?",
    base={"dataset": "mnist", "hold_out": 2000, "model": "separable_mini", "batch_size": 16},
    arms={
        f"{kind}, {n} labels": Arm({"labels": n, "epochs": SEEN // n} | twin)
        for kind, twin in (("separable", {}), ("standard", {"standard": True}))
        for n in LABELS
    },
    words=words,
    figure=draw,
    alt="Errors over the number of labels, of a separable network and of its standard twin",
)
