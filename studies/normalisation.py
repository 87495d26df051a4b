"""Batch norm, and the ReLU between the two steps of a block: with and without."""

from studies.study import Arm, Study

CASES = {
    "batch norm, ReLU between": "",
    "batch norm, no ReLU between": "mid_activation=false",
    "no batch norm, ReLU between": "batch_norm=false",
    "no batch norm, no ReLU between": "batch_norm=false mid_activation=false",
}
RATES = (0.01, 0.002)

STUDY = Study(
    name="normalisation",
    title="Batch norm, and a ReLU between the two steps",
    question="What do batch norm and the activation between the depthwise and the pointwise step contribute?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 4000, "epochs": 8, "model": "separable_mini"},
    arms={
        f"{case}, rate {rate}": Arm({"lr": rate} | ({"options": options} if options else {}))
        for case, options in CASES.items()
        for rate in RATES
    },
)
