"""The size of a batch: with as many epochs, and with as many updates."""

from studies.study import Arm, Study

SIZES = (16, 64, 256)
LABELS, EPOCHS, MIDDLE = 4096, 8, 64
UPDATES = LABELS // MIDDLE * EPOCHS

STUDY = Study(
    name="batch_size",
    title="The size of a batch",
    question="Is a small batch better, or does it only make more updates of as many images?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": LABELS, "model": "separable_mini"},
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
)
