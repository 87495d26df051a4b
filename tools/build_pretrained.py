"""Make npdsconv/runs/trained/mnist.npz from a run folder: its last state without that of the optimiser.

npdsconv train --dataset mnist --out runs/mnist
python tools/build_pretrained.py runs/mnist
"""

import sys
from pathlib import Path

from npdsconv import checkpoint
from npdsconv.runs.folder import load_model
from npdsconv.runs.recipe import RECIPES
from npdsconv.runs.shipped import path


def main(run: Path, name: str = "mnist") -> None:
    """Write the file; exits where the run is not the whole recipe."""
    model, recipe, saved = load_model(run)
    if recipe != RECIPES[name] or saved.meta["epoch"] != recipe.epochs:
        sys.exit(f"{run} is not the whole recipe of {name}")
    checkpoint.save(path(name), model=model, **saved.meta)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
