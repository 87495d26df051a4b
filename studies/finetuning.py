"""Fine-tuning: which part learns, from how many labels; what is won on the new digits, what is lost of the old ones."""

from pathlib import Path
from typing import Any

import numpy as np

from npdsconv import checkpoint, models
from npdsconv.models.transfer import head_of
from npdsconv.runs import load_model
from studies.study import Arm, Study

HOLD_OUT = {"dataset": "mnist", "hold_out": 2000}
LABELS = (20, 100, 1000)
SCRATCH = "from scratch"
TASKS = {"5-9": ("0-4", LABELS), "4-9": ("0-6", (100,))}
"""Classes to learn: the classes that the network knows already, and how many labels there are."""


def arms() -> dict[str, Arm]:
    """A source for each task, and from there every part with every number of labels."""
    found = {}
    for new, (old, numbers) in TASKS.items():
        found[source := f"source {old}"] = Arm({"classes": old, "labels": 12000, "epochs": 4})
        for labels in numbers:
            for part in models.PARTS:
                settings = {"classes": new, "labels": labels, "train": part}
                found[f"{new}, {part}, {labels} labels"] = Arm(settings, source)
            found[f"{new}, {SCRATCH}, {labels} labels"] = Arm(
                {"classes": new, "labels": labels, "init": "own"}, source
            )
    return found


def check_frozen(folder: Path, start: Path | None, seed: int) -> dict[str, Any]:
    """How many parameters learned; that all others, and statistics beside them, are those of the source to the bit."""
    model, recipe, saved = load_model(folder)
    models.learn_only(model, recipe.learn)
    learning = {name: p.value.size for name, p in model.named_parameters() if p.trainable}
    if start is not None and recipe.init == "pretrained":
        old = checkpoint.load(start / "checkpoint.npz").state
        prefixes = {name.rpartition(".")[0] for name in learning} | {str(head_of(model)[0])}
        for name, array in saved.state.items():
            if name.rpartition(".")[0] not in prefixes:
                np.testing.assert_array_equal(array, old[name], err_msg=f"{folder}: {name} is frozen")
    return {"learning": sum(learning.values())}


STUDY = Study(
    name="finetuning",
    title="Fine-tuning: which part learns, and what is forgotten",
    question="A network knows some digits and is to learn others from few labels: which of its parts should learn, "
    "and what does it cost on the digits that it knew?",
    base=HOLD_OUT,
    arms=arms(),
    measure=check_frozen,
)
