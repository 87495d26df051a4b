"""Depth, with and without residual connections: what is reached, and how the gradient arrives layer by layer."""

from pathlib import Path
from typing import Any

import numpy as np

from npdsconv import data, train
from npdsconv.layers import DepthwiseConv2d, Sequential
from npdsconv.optim import SGD
from npdsconv.runs import load_model
from npdsconv.runs.job import prepare
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


STUDY = Study(
    name="depth",
    title="Depth, with and without residual connections",
    question="How deep may a separable network be before training fails, and what do residual connections change?",
    base={"dataset": "mnist", "hold_out": 5000, "labels": 4000, "epochs": 6, "model": "separable_resnet"},
    arms={
        f"{STAGES * n} blocks, {kind}": Arm(
            {"options": f"filters=16,32 blocks={n}" + ("" if kind == "residual" else " residual=false")}
        )
        for kind in ("residual", "plain")
        for n in BLOCKS
    },
    measure=gradient_norms,
)
