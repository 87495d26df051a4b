"""Separable against standard convolution: at equal width, at equal multiply-adds, in equal time."""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

EPOCHS = 5
SEPARABLE = ("separable ×0.25", "separable ×0.5", "separable ×1", "separable ×2")
STANDARD = ("standard ×0.25", "standard ×0.35", "standard ×0.5", "standard ×1")
EQUAL_COSTS = ("separable ×1", "standard ×0.35")
EQUAL_TIME = ("separable ×1", "standard ×1, 1 epoch")


def words(results: Results) -> list[str]:
    """At equal width, at equal multiply-adds, in equal time."""
    found = []
    for width in ("×0.25", "×0.5", "×1"):
        one, other = f"separable {width}", f"standard {width}"
        share = results.first(one)["macs"] / results.first(other)["macs"]
        found.append(
            f"**Equal width {width}**: the separable network is right in {results.percent(one)}; it has {share:.0%} of "
            f"the standard network's multiply-adds and is {results.against(one, other, 'that one')}."
        )
    one, other = EQUAL_COSTS
    macs = [results.first(arm)["macs"] / 1e6 for arm in EQUAL_COSTS]
    found.append(
        f"**Equal multiply-adds** ({macs[0]:.2f} and {macs[1]:.2f} million): {one} with {results.percent(one)} stands "
        f"against {other} with {results.percent(other)}; the separable network is "
        f"{results.against(one, other, 'the other')}."
    )
    one, other = EQUAL_TIME
    seconds = [results.over(arm, "processor_seconds").mean for arm in EQUAL_TIME]
    found.append(
        f"**About equal time**: {EPOCHS} epochs of {one} took {seconds[0]:.0f} s of processor time, one epoch of the "
        f"standard network {seconds[1]:.0f} s. The separable network is {results.against(one, other, 'the other')}."
    )
    return found


def draw(results: Results) -> Figure:
    """Errors over multiply-adds, and over processor time."""
    figure, axes = figures.panels(2, sharey=True)
    for k, (name, arms) in enumerate((("separable", SEPARABLE), ("standard", STANDARD))):
        errors = [results.over(arm) for arm in arms]
        figures.line(axes[0], [results.first(arm)["macs"] / 1e6 for arm in arms], errors, k, name)
        figures.line(axes[1], [results.over(arm, "processor_seconds").mean for arm in arms], errors, k, name)
    short = EQUAL_TIME[1]
    figures.line(
        axes[1],
        [results.over(short, "processor_seconds").mean],
        [results.over(short)],
        2,
        short,
        linestyle="",
    )
    for axis, label in zip(
        axes, ("multiply-adds for an image (million)", "processor time of a run (s)"), strict=True
    ):
        axis.set(xscale="log", yscale="log", xlabel=label)
        figures.finish(axis)
    axes[0].set_ylabel("errors on held-out images (%)")
    return figure


STUDY = Study(
    name="widths",
    title="Separable against standard convolution",
    question="What does a separable network lose against one of standard convolutions: at equal width, "
    "at equal multiply-adds, in equal time?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 12000, "epochs": EPOCHS},
    arms={
        "separable ×0.25": Arm({"width": 0.25}),
        "separable ×0.5": Arm({"width": 0.5}),
        "separable ×1": Arm({}),
        "separable ×2": Arm({"width": 2}),
        "standard ×0.25": Arm({"width": 0.25, "standard": True}),
        "standard ×0.35": Arm({"width": 0.35, "standard": True}),
        "standard ×0.5": Arm({"width": 0.5, "standard": True}),
        "standard ×1": Arm({"standard": True}),
        "standard ×1, 1 epoch": Arm({"standard": True, "epochs": 1}),
    },
    words=words,
    figure=draw,
    alt="Errors of separable and standard networks of several widths, over multiply-adds and over processor time",
)
