"""Accuracy against the number of labels, for a separable network and its standard twin."""

from studies.study import Arm, Study

LABELS = (400, 2000, 10000, 40000)
SEEN = 40000  # images in all, so that every arm makes about as many updates

STUDY = Study(
    name="labels",
    title="Accuracy against labels",
    question="What is one more label worth, and does a separable network need fewer of them than its standard twin?",
    base={"dataset": "mnist", "hold_out": 2000, "model": "separable_mini"},
    arms={
        f"{kind}, {n} labels": Arm({"labels": n, "epochs": SEEN // n} | twin)
        for kind, twin in (("separable", {}), ("standard", {"standard": True}))
        for n in LABELS
    },
)
