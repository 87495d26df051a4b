"""Batch norm, and the ReLU between the two steps of a block: with and without."""

from matplotlib.figure import Figure

from studies import figures
from studies.results import Results
from studies.study import Arm, Study

CASES = {
    "batch norm, ReLU between": "",
    "batch norm, no ReLU between": "mid_activation=false",
    "no batch norm, ReLU between": "batch_norm=false",
    "no batch norm, no ReLU between": "batch_norm=false mid_activation=false",
}
RATES = (0.01, 0.05)


def words(results: Results) -> list[str]:
    """Each case at its better learning rate, against the network as it is."""
    at_best = {case: results.best([f"{case}, rate {rate}" for rate in RATES]) for case in CASES}
    plain, *others = at_best.values()
    found = [
        f"Each case is taken at the better of its two learning rates. The network as it is: {results.percent(plain)}, "
        f"at rate {plain.split()[-1]}."
    ]
    found += [
        f"{other}: {results.percent(other)}, {results.against(other, plain, 'the network as it is')}."
        for other in others
    ]
    for case in CASES:
        high, low = (f"{case}, rate {rate}" for rate in RATES)
        found.append(f"{case}: the rate {RATES[0]} is {results.against(high, low, f'{RATES[1]}')}.")
    return found


def draw(results: Results) -> Figure:
    """A bar for each case and rate."""
    figure, axes = figures.panels(len(RATES), width=5, height=2.6, sharex=True)
    for k, (axis, rate) in enumerate(zip(axes, RATES, strict=True)):
        figures.bars(axis, [*CASES], [results.over(f"{case}, rate {rate}") for case in CASES], k)
        axis.set_title(f"learning rate {rate}", fontsize=10)
        if k:
            axis.set_yticklabels([])
    return figure


STUDY = Study(
    name="normalisation",
    title="Batch norm, and a ReLU between the two steps",
    question="What do batch norm and the activation between the depthwise and the pointwise step contribute?",
    base={"dataset": "mnist", "hold_out": 2000, "labels": 4000, "epochs": 8, "model": "separable_mini"},
    arms={
        f"{case}, rate {rate}": Arm({"lr": rate} | ({"options": options} if options else {}))
        for case, options in CASES.items()
        for rate in RATES
    },
    words=words,
    figure=draw,
    alt="Errors with and without batch norm and the ReLU in the middle, at two learning rates",
)
