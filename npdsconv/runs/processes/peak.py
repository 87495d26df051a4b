"""A few training steps of a recipe; prints by how many bytes the memory of this process rose at its highest.

To be run in a fresh process: what was freed before could be used again, and would hide the growth.
"""

import json
import sys

import numpy as np

from npdsconv import train
from npdsconv.runs import peak_memory
from npdsconv.runs.recipe import Recipe


def growth(question: str) -> int:
    """What training steps take, the images excepted.

    Parameters
    ----------
    question : JSON of a recipe, of the shape (C, H, W) of an image and of the number of classes
    """
    asked = json.loads(question)
    recipe, shape, classes = Recipe(**asked["recipe"]), tuple(asked["shape"]), asked["classes"]
    model = recipe.build_model(shape, classes)
    optimizer = recipe.build_optimizer(model)
    rng = np.random.default_rng(1)
    x = rng.random((recipe.batch_size, *shape), np.float32)
    labels = rng.integers(0, classes, recipe.batch_size)
    return peak_memory.growth(lambda: train.train_step(model, x, labels, optimizer))["growth"]


if __name__ == "__main__":
    print(growth(sys.argv[1]))
