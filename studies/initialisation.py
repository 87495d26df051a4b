"""Initial weights and the course of the learning rate, each with each."""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

INITS = ("he_normal", "he_uniform", "xavier_normal")
SCHEDULES = ("constant", "step", "cosine", "one_cycle")


def words(results: Results) -> list[str]:
    """How far apart schemes lie within a schedule, and schedules within a scheme."""
    best = results.best([*results.runs])

    def apart(arms: list[str]) -> str:
        means = [results.over(arm).mean for arm in arms]
        return f"{100 * (max(means) - min(means)):.2f}"

    by_schedule = [apart([f"{init}, {schedule}" for init in INITS]) for schedule in SCHEDULES]
    by_init = [apart([f"{init}, {schedule}" for schedule in SCHEDULES]) for init in INITS]
    sd = max(results.over(arm).spread for arm in results.runs)
    return [
        f"Under one schedule the schemes lie {', '.join(by_schedule)} points apart ({', '.join(SCHEDULES)}).",
        f"With one scheme the schedules lie {', '.join(by_init)} points apart ({', '.join(INITS)}).",
        f"The best mean is that of {best}: {results.percent(best)}. One arm's own spread over seeds goes up to "
        f"{100 * sd:.2f} points: smaller differences than that are not worth a sentence.",
    ]


def draw(results: Results) -> Figure:
    """Errors by schedule, a line for each scheme."""
    figure, (axis,) = figures.panels(1, width=6)
    for k, init in enumerate(INITS):
        places = [s + 0.1 * (k - 1) for s in range(len(SCHEDULES))]
        errors = [results.over(f"{init}, {schedule}") for schedule in SCHEDULES]
        figures.line(axis, places, errors, k, init, linestyle="")
    axis.set_xticks(range(len(SCHEDULES)), SCHEDULES)
    axis.set_ylabel("errors on held-out images (%)")
    figures.finish(axis)
    return figure


STUDY = Study(
    name="initialisation",
    title="Initial weights and schedules",
    question="How much do the scheme of the initial weights and the course of the learning rate matter, "
    "in a network with batch norm?",
    base={"dataset": "mnist", "hold_out": 2000, "labels": 4000, "epochs": 8, "model": "separable_mini"},
    arms={
        f"{init}, {schedule}": Arm(
            {"init": init, "schedule": schedule} | ({} if schedule == "one_cycle" else {"warm_up": 0.0})
        )
        for schedule in SCHEDULES
        for init in INITS
    },
    words=words,
    figure=draw,
    alt="Errors for each schedule of the learning rate, with three schemes of initial weights",
)
