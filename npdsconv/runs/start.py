"""Where a network starts: with weights of its own, by a scheme, or with those of another run."""

from npdsconv import models
from npdsconv.checkpoint import Checkpoint
from npdsconv.layers import Sequential
from npdsconv.models.transfer import head_of, without_head
from npdsconv.runs import shipped
from npdsconv.runs.recipe import FROM_START, Recipe
from npdsconv.runs.saved import load_model


def source(start: str) -> tuple[Sequential, Recipe, Checkpoint]:
    """The network to start from, its recipe and its checkpoint: the one in the package, or that of a run."""
    return load_model(shipped.path(start) if start in shipped.NAMES else start)


def begin(model: Sequential, recipe: Recipe) -> Sequential:
    """Give the network the weights with which its recipe begins. Its head is its own: it answers for other classes.

    Raises
    ------
    ValueError
        The network of ``recipe.start`` is another one.
    """
    if recipe.init in FROM_START:
        old, theirs, _ = source(recipe.start)
        only = "depthwise" if recipe.init == "mixed" else None
        matched = models.load_matching(model, without_head(old), only=only)
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
