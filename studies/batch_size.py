"""The size of a batch: with as many epochs, and with as many updates."""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

SIZES = (16, 64, 256)
LABELS, EPOCHS, MIDDLE = 4096, 8, 64
UPDATES = LABELS // MIDDLE * EPOCHS


def arm(size: int, equal: str) -> str:
    """The arm with such batches; the middle one is both."""
    return f"batch {size}" if size == MIDDLE else f"batch {size}, equal {equal}"


def words(results: Results) -> list[str]:
    """Small and large batches against the middle one, both ways."""
    middle = arm(MIDDLE, "")
    found = [f"Batches of {MIDDLE}, {EPOCHS} epochs, {UPDATES} updates: {results.percent(middle)}."]
    for equal, note in (("epochs", f"{EPOCHS} epochs"), ("updates", f"{UPDATES} updates")):
        for size in SIZES:
            if size != MIDDLE:
                one, called = arm(size, equal), f"batches of {MIDDLE}"
                found.append(
                    f"Batches of {size}, {note} too: {results.percent(one)}, {results.against(one, middle, called)}."
                )
    return found


def draw(results: Results) -> Figure:
    """Errors over the size, a line for each kind of fairness."""
    figure, (axis,) = figures.panels(1, width=5.4)
    for k, equal in enumerate(("epochs", "updates")):
        figures.line(axis, SIZES, [results.over(arm(size, equal)) for size in SIZES], k, f"equal {equal}")
    axis.set(xscale="log", xlabel="images in a batch", ylabel="errors on held-out images (%)")
    figures.finish(axis)
    figures.ticks(axis, SIZES)
    return figure


STUDY = Study(
    name="batch_size",
    title="The size of a batch",
    question="Is a small batch better, or does it only make more updates of as many images?",
    base={"dataset": "mnist", "hold_out": 2000, "labels": LABELS, "model": "separable_mini"},
    arms={
        f"batch {MIDDLE}": Arm({"batch_size": MIDDLE, "epochs": EPOCHS}),
        **{
            f"batch {n}, equal epochs": Arm({"batch_size": n, "epochs": EPOCHS}) for n in SIZES if n != MIDDLE
        },
        **{
            f"batch {n}, equal updates": Arm({"batch_size": n, "epochs": UPDATES * n // LABELS})
            for n in SIZES
            if n != MIDDLE
        },
    },
    words=words,
    figure=draw,
    alt="Errors over the size of a batch, for as many epochs and for as many updates",
)
