"""Initial weights and the course of the learning rate, each with each."""

from studies.study import Arm, Study

INITS = ("he_normal", "he_uniform", "xavier_normal")
SCHEDULES = ("constant", "step", "cosine", "one_cycle")

STUDY = Study(
    name="initialisation",
    title="Initial weights and schedules",
    question="How much do the scheme of the initial weights and the course of the learning rate matter, "
    "in a network with batch norm?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 4000, "epochs": 8, "model": "separable_mini"},
    arms={
        f"{init}, {schedule}": Arm(
            {"init": init, "schedule": schedule} | ({} if schedule == "one_cycle" else {"warm_up": 0.0})
        )
        for schedule in SCHEDULES
        for init in INITS
    },
)
