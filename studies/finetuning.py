"""Fine-tuning: which part learns, from how many labels; what is won on the new digits, what is lost of the old ones."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from npdsconv import checkpoint, models
from npdsconv.models.transfer import head_of
from npdsconv.runs import load_model
from studies import figures
from studies.results import Results
from studies.study import Arm, Study

HOLD_OUT = {"dataset": "mnist", "hold_out": 2000}
LABELS = (20, 100, 1000)
SCRATCH, MIXED = "from scratch", "mixed start"
INITS = {MIXED: "mixed", SCRATCH: "own"}  # of networks in which everything learns
TASKS = {"5-9": ("0-4", LABELS), "4-9": ("0-6", (100,))}
"""Classes to learn: the classes that the network knows already, and how many labels there are."""


def name(new: str, part: str, labels: int) -> str:
    """The arm in which a part learns a task from so many labels."""
    return f"{new}, {part}, {labels} labels"


def arms() -> dict[str, Arm]:
    """A source for each task, and from there every part with every number of labels."""
    found = {}
    for new, (old, numbers) in TASKS.items():
        found[source := f"source {old}"] = Arm({"classes": old, "labels": 12000, "epochs": 4})
        for labels in numbers:
            for part in models.PARTS:
                settings = {"classes": new, "labels": labels, "train": part}
                found[name(new, part, labels)] = Arm(settings, source)
            for how, init in INITS.items():
                found[name(new, how, labels)] = Arm({"classes": new, "labels": labels, "init": init}, source)
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


def words(results: Results) -> list[str]:
    """What is won for each number of labels, and what is forgotten for it."""
    found = []
    for new, (old, numbers) in TASKS.items():
        for labels in numbers:
            best = results.best([name(new, part, labels) for part in models.PARTS])
            arm = {how: name(new, how, labels) for how in (*models.PARTS, *INITS)}
            scratch = "starting from scratch"
            found.append(
                f"**{old} known, {new} from {labels} labels.** Without any learning, by the nearest class mean, "
                f"{results.mean(best, 'without_learning')} are right; from scratch {results.percent(arm[SCRATCH])}. Of "
                f"the parts, `{best.split(', ')[1]}` comes out best with {results.percent(best)}. Where everything "
                f"learns, going on from the old network is {results.against(arm['all'], arm[SCRATCH], scratch)}; from "
                f"its depthwise filters alone, {results.against(arm[MIXED], arm[SCRATCH], scratch)}. "
                f"What is forgotten, told by the old head put back on the new network: of the old digits it read "
                f"{results.mean(best, 'source_before')}; after `all` it reads "
                f"{results.percent(arm['all'], 'source_after')}, after `depthwise` "
                f"{results.percent(arm['depthwise'], 'source_after')}."
            )
    return [
        *found,
        "`head` forgets nothing: after each of these runs, what is frozen is compared with the source to the last bit.",
    ]


def draw(results: Results) -> Figure:
    """Errors on the new digits over labels, and errors on the old ones after the same runs."""
    figure, axes = figures.panels(2, sharex=True)
    new, (old, numbers) = next(iter(TASKS.items()))
    for k, part in enumerate((*models.PARTS, SCRATCH)):
        arms = [name(new, part, labels) for labels in numbers]
        figures.line(axes[0], numbers, [results.over(arm) for arm in arms], k, part)
        if part != SCRATCH:
            figures.line(axes[1], numbers, [results.over(arm, "source_after") for arm in arms], k, part)
    for axis, digits in zip(
        axes, (f"new digits, {new}", f"old digits, {old}, with the old head"), strict=True
    ):
        axis.set(xscale="log", yscale="log", xlabel="labels of new digits", ylabel="errors (%)", title=digits)
        figures.finish(axis, legend=axis is axes[0])
        figures.ticks(axis, numbers)
    return figure


STUDY = Study(
    name="finetuning",
    title="Fine-tuning: which part learns, and what is forgotten",
    question="A network knows some digits and is to learn others from few labels: which of its parts should learn, "
    "and what does it cost on the digits that it knew?",
    base=HOLD_OUT,
    arms=arms(),
    measure=check_frozen,
    columns={
        "learning": "learning",
        "without learning": "without_learning",
        "old digits before": "source_before",
        "old digits after": "source_after",
    },
    words=words,
    figure=draw,
    alt="Errors on new digits over the number of labels for each part that learns, and on the old digits after that",
)
