"""Robustness: pictures that are shifted, turned, noisy, or changed on purpose (FGSM), and what training does for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from npdsconv import data, train
from npdsconv.complexity import summary
from npdsconv.data import Affine, Augment, GaussianNoise, Split, to_float
from npdsconv.layers import Sequential
from npdsconv.ops.losses import softmax_cross_entropy, softmax_cross_entropy_backward
from npdsconv.runs import RunFolder, load_model
from npdsconv.runs.job import prepare
from npdsconv.runs.recipe import recipe
from studies import figures
from studies.results import Results
from studies.study import Arm, Study

EPSILON = 0.1
CHANGES: dict[str, tuple[float, ...]] = {
    "shift": (2, 4, 6),
    "rotation": (20, 40, 60),
    "noise": (0.1, 0.2, 0.3),
    "FGSM": (0.05, 0.1, 0.2),
}
UNITS = {
    "shift": "up to so many pixels",
    "rotation": "up to so many degrees",
    "noise": "standard deviation, of full ink",
    "FGSM": "step, of full ink",
}
Images = npt.NDArray[Any]


def fgsm(model: Sequential, x: Images, labels: Images, epsilon: float) -> Images:
    """Every pixel one step in the direction in which the loss rises, within [0, 1].

    Goodfellow et al., *Explaining and Harnessing Adversarial Examples*, arXiv:1412.6572.
    """
    frozen = [p for p in model.parameters() if p.trainable]
    for p in frozen:
        p.trainable = False  # only the gradient of the picture is wanted
    logits, back = model.forward(x, train=False)
    _, probabilities = softmax_cross_entropy(logits, labels)
    dx = back(softmax_cross_entropy_backward(probabilities, labels))
    for p in frozen:
        p.trainable = True
    return np.clip(x + np.float32(epsilon) * np.sign(dx), 0, 1)


@dataclass(frozen=True)
class Adversarial:
    """An augmentation that changes each picture against the model as it is at that moment."""

    model: Sequential
    labels: Images
    epsilon: float
    first: Augment | None

    def __call__(self, x: Images, *, seed: int, epoch: int, index: Images) -> Images:
        """A batch (n,C,H,W) to the same shape."""
        if self.first:
            x = self.first(x, seed=seed, epoch=epoch, index=index)
        return fgsm(self.model, x, self.labels[index], self.epsilon)


def train_with_fgsm(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """As ``npdsconv train`` does it, with every picture changed against the model first."""
    chosen = recipe(**settings)
    job, place = prepare(chosen, data.load(chosen.dataset)), RunFolder(folder)
    results = train.epochs(
        job.model,
        job.learn,
        job.optimizer,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
        schedule=chosen.build_schedule(len(job.learn)),
        augment=Adversarial(job.model, job.learn.labels, EPSILON, chosen.build_augment()),
    )
    seconds = 0.0
    with place.held():
        place.begin(chosen)
        for result in results:
            place.record(job, result)
            seconds += result.seconds
    measured, counted = job.measure(), summary(job.model, job.shape)
    return {
        "scored_on": job.scored_on,
        "accuracy": measured.accuracy,
        "loss": measured.loss,
        "epochs": chosen.epochs,
        "train_seconds": seconds,
        "model": {"params": counted.params, "macs": counted.macs},
    }


def under_changes(folder: Path, start: Path | None, seed: int) -> dict[str, Any]:
    """Accuracy on the held-out images after each change."""
    model, chosen, _ = load_model(folder)
    held = prepare(chosen, data.load(chosen.dataset)).score
    found = {
        f"{kind} {strength}": train.evaluate(
            model, changed(kind, strength, model, held, seed), held.labels
        ).accuracy
        for kind, strengths in CHANGES.items()
        for strength in strengths
    }
    return {"under": found}


def changed(kind: str, strength: float, model: Sequential, held: Split, seed: int) -> Images:
    """The images after a change, as floats in [0, 1]."""
    x = to_float(held.images)
    if kind == "FGSM":
        parts = [slice(k, k + 500) for k in range(0, len(x), 500)]
        return np.concatenate([fgsm(model, x[part], held.labels[part], strength) for part in parts])
    augment: Augment = GaussianNoise(strength)
    if kind != "noise":
        augment = Affine(shift=strength) if kind == "shift" else Affine(rotate=strength)
    return np.clip(augment(x, seed=seed, epoch=0, index=np.arange(len(x))), 0, 1)


PLAIN, AUGMENTED, TWIN, HARDENED = (
    "images as they are",
    "augmented",
    "augmented, standard twin",
    "augmented, FGSM in training",
)


def words(results: Results) -> list[str]:
    """What training does for each kind of change, at its middle strength."""
    found = [
        f"On held-out images as they are the augmented network is right in {results.percent(AUGMENTED)}."
    ]
    for kind, strengths in CHANGES.items():
        what = f"under/{kind} {strengths[1]}"
        found.append(
            f"**{kind}, {UNITS[kind]}: {strengths[1]}.** Trained on images as they are, {results.percent(PLAIN, what)} "
            f"are right; on augmented ones {results.percent(AUGMENTED, what)}, its standard twin "
            f"{results.percent(TWIN, what)}; on images changed on purpose {results.percent(HARDENED, what)}, which is "
            f"{results.against(HARDENED, AUGMENTED, 'augmentation alone', what)}."
        )
    found.append(
        f"Its price, on images as they are: the network that learned from images changed on purpose is right in "
        f"{results.percent(HARDENED)}, {results.against(HARDENED, AUGMENTED, 'the other')}."
    )
    return found


def draw(results: Results) -> Figure:
    """A panel for each kind of change, errors over its strength."""
    figure, axes = figures.panels(len(CHANGES), width=3, height=3.2, sharey=True)
    for axis, (kind, strengths) in zip(axes, CHANGES.items(), strict=True):
        for k, arm in enumerate(results.runs):
            errors = [results.over(arm), *(results.over(arm, f"under/{kind} {s}") for s in strengths)]
            figures.line(axis, (0, *strengths), errors, k, arm)
        axis.set(xlabel=UNITS[kind], title=kind, yscale="log")
        figures.finish(axis, legend=kind == "noise")
        figures.ticks(axis, (0, *strengths))
    axes[0].set_ylabel("errors on held-out images (%)")
    return figure


STUDY = Study(
    name="robustness",
    title="Robustness",
    question="What do shifts, rotations, noise and changes made on purpose cost, and what can training do about it?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 10000, "epochs": 5, "model": "separable_mini"},
    arms={
        PLAIN: Arm(dict.fromkeys(("rotate", "shift", "scale", "shear"), 0.0)),
        AUGMENTED: Arm({}),
        TWIN: Arm({"standard": True}),
        HARDENED: Arm({}, train=train_with_fgsm),
    },
    measure=under_changes,
    words=words,
    figure=draw,
    alt="Errors over the strength of shifts, rotations, noise and FGSM, for four ways of training",
)
