"""Depth, with and without residual connections: what is reached, and how the gradient arrives layer by layer."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from npdsconv import data, train
from npdsconv.layers import DepthwiseConv2d, Sequential
from npdsconv.optim import SGD
from npdsconv.runs import load_model
from npdsconv.runs.job import prepare
from studies import figures
from studies.results import Results
from studies.study import Arm, Study

BLOCKS = (1, 4, 8)
STAGES = 2
IMAGES = 256


def gradient_norms(folder: Path, start: Path | None, seed: int) -> dict[str, Any]:
    """Norm of the gradient of each depthwise step relative to its weights, before training, from the first block on."""
    _, recipe, _ = load_model(folder)
    job = prepare(recipe, data.load(recipe.dataset))
    few = job.learn.take(np.arange(IMAGES))
    return {"gradients": [float(f"{norm:.3g}") for norm in relative_norms(job.model, few)]}


def relative_norms(model: Sequential, split: data.Split) -> list[float]:
    """‖gradient‖ / ‖weights‖ of every depthwise step, in their order, for one batch."""
    optimizer = SGD(model.parameters(), lr=0.0)  # nothing moves; the gradients stay behind
    train.train_step(model, split.images, split.labels, optimizer)
    steps = [layer.weight for layer in model.modules() if isinstance(layer, DepthwiseConv2d)]
    return [float(np.linalg.norm(w.grad) / np.linalg.norm(w.value)) for w in steps]


KINDS = ("residual", "plain")


def arm(n: int, kind: str) -> str:
    """The arm with so many blocks a stage."""
    return f"{STAGES * n} blocks, {kind}"


def words(results: Results) -> list[str]:
    """What is reached at each depth, and how gradients compare between the ends."""
    found = []
    for n in BLOCKS:
        residual, plain = (arm(n, kind) for kind in KINDS)
        found.append(
            f"{STAGES * n} blocks: with residual connections {results.percent(residual)}, "
            f"without {results.percent(plain)}: "
            f"with them {results.against(residual, plain, 'without')}."
        )
    for kind in KINDS:
        gradients = mean_gradients(results, arm(BLOCKS[-1], kind))
        times = gradients[0] / gradients[-1]
        found.append(
            f"In {arm(BLOCKS[-1], kind)}, before training, the gradient of the first depthwise step, relative to its "
            f"weights, is {times:,.{0 if times > 10 else 1}f} times that of the last one."
        )
    return found


def mean_gradients(results: Results, name: str) -> list[float]:
    """Of each depthwise step, over the seeds."""
    return [float(g) for g in np.mean([run["gradients"] for run in results.runs[name]], axis=0)]


def draw(results: Results) -> Figure:
    """Errors over depth; gradients layer by layer in the deepest networks."""
    figure, axes = figures.panels(2)
    for k, kind in enumerate(KINDS):
        errors = [results.over(arm(n, kind)) for n in BLOCKS]
        figures.line(axes[0], [STAGES * n for n in BLOCKS], errors, k, kind)
        gradients = mean_gradients(results, arm(BLOCKS[-1], kind))
        places, colour = range(1, len(gradients) + 1), figures.COLOURS[k]
        axes[1].plot(places, gradients, color=colour, marker=figures.MARKERS[k], label=arm(BLOCKS[-1], kind))
    axes[0].set(xlabel="blocks", ylabel="errors on held-out images (%)", yscale="log")
    axes[1].set(
        xlabel="block, from the input on", ylabel="‖gradient‖ / ‖weights‖ before training", yscale="log"
    )
    for axis in axes:
        figures.finish(axis)
    figures.ticks(axes[0], [STAGES * n for n in BLOCKS])
    return figure


STUDY = Study(
    name="depth",
    title="Depth, with and without residual connections",
    question="How deep may a separable network be before training fails, and what do residual connections change?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 4000, "epochs": 6, "model": "separable_resnet"},
    arms={
        arm(n, kind): Arm(
            {"options": f"filters=16,32 blocks={n}" + ("" if kind == "residual" else " residual=false")}
        )
        for kind in KINDS
        for n in BLOCKS
    },
    measure=gradient_norms,
    words=words,
    figure=draw,
    alt="Errors over the number of blocks, with and without residual connections, and gradients block by block",
)
