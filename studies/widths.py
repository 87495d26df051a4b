"""Separable against standard convolution: at equal width, at equal multiply-adds, in equal time."""

from studies.study import Arm, Study

EPOCHS = 5

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
)
