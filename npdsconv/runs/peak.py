"""The peak memory of a training step, measured."""

import json
import statistics
import subprocess

from npdsconv.runs import processes
from npdsconv.runs.recipe import Recipe

REPEATS = 3  # processes: how a heap is laid out differs from one to the next


def training_peak(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> int:
    """By how many bytes memory rises during training steps of a recipe, at its highest; the median of fresh processes.

    Parameters
    ----------
    shape, classes : as for `Recipe.build_model`

    Raises
    ------
    ChildProcessError
        A process failed, or was ended because there was too little memory.
    """
    question = json.dumps({"recipe": recipe.as_dict(), "shape": shape, "classes": classes})
    return int(statistics.median(_growth(question) for _ in range(REPEATS)))


def _growth(question: str) -> int:
    done = subprocess.run(
        processes.command("peak", question), env=processes.environment(), capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ChildProcessError(f"training_peak: exit code {done.returncode} of the process: {said[0]}")
    return int(done.stdout)
