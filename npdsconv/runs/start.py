"""Where a network starts: with weights of its own, by a scheme, or with those of another run."""

from pathlib import Path

from npdsconv import models
from npdsconv.checkpoint import Checkpoint
from npdsconv.layers import Sequential
from npdsconv.models.transfer import head_of
from npdsconv.runs import saved as saved_run
from npdsconv.runs.recipe import FROM_START, Recipe

SHIPPED = "mnist"


def file_of(start: str) -> Path:
    """The checkpoint that `start` names: of a run folder, a file, or the one in the package."""
    if start == SHIPPED:
        return Path(__file__).parent / "trained" / f"{SHIPPED}.npz"
    path = Path(start)
    return path / "checkpoint.npz" if path.is_dir() else path


def source(start: str) -> tuple[Sequential, Recipe, Checkpoint]:
    """The network to start from, its recipe and its checkpoint."""
    file = file_of(start)
    recipe, saved = saved_run.read(file)
    return saved_run.build(file, recipe, saved), recipe, saved


def begin(model: Sequential, recipe: Recipe) -> Sequential:
    """Give the network the weights with which its recipe begins. Its head is its own: it answers for other classes.

    Raises
    ------
    ValueError
        The network of ``recipe.start`` is another one.
    """
    if recipe.init in FROM_START:
        old, theirs, _ = source(recipe.start)
        head = f"{head_of(old)[0]}."
        state = {name: array for name, array in old.state_dict().items() if not name.startswith(head)}
        matched = models.load_matching(model, state, only="depthwise" if recipe.init == "mixed" else None)
        own_head = f"{head_of(model)[0]}."
        strange = {
            n: why for n, why in matched.left.items() if why != "not asked for" and not n.startswith(own_head)
        }
        if strange:
            name, why = next(iter(strange.items()))
            raise ValueError(
                f"{recipe.start}: its network ({theirs.model}) is not the one that is trained ({recipe.model}): "
                f"{len(strange)} arrays do not fit, such as {name}, which is {why}"
            )
    elif recipe.init != "own":
        models.draw_weights(model, recipe.init, rng=recipe.seed)
    return model
