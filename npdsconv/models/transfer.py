"""Fine-tuning: give a network a new head, take over weights that another has learned, choose what goes on learning.

model = runs.pretrained()                                   # ten digits
replace_head(model, classes=5, rng=0)                       # five classes from here on
learn_only(model, "head")                                   # the rest stays as it is, to the last bit
optimizer = Adam(learning(model), lr=1e-2)                  # made after the head was replaced
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from npdsconv import init
from npdsconv.layers import (
    BatchNorm2d,
    Conv1d,
    Conv2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
    Layer,
    Linear,
    Parameter,
    PointwiseConv2d,
    Sequential,
)
from npdsconv.models.blocks import generator
from npdsconv.shapes import Array, check_counts

PARTS = ("head", "last", "pointwise", "depthwise", "all")
"""What can go on learning: the head alone, with the last block, with all layers of a kind, or everything."""


# ---- the head ----------------------------------------------------------------------------------------------------


def head_of(model: Sequential) -> tuple[int, Linear | PointwiseConv2d]:
    """The layer that makes the logits, which is the last one that has weights, and its position.

    Raises
    ------
    ValueError
        That layer is neither dense nor pointwise.
    """
    position, last = next(
        ((k, layer) for k, layer in reversed([*enumerate(model)]) if layer.parameters()), (0, None)
    )
    if isinstance(last, Linear | PointwiseConv2d):
        return position, last
    what = type(last).__name__ if last else "nothing"
    raise ValueError(
        f"head_of: the last layer with weights must be Linear or PointwiseConv2d, and it is {what}"
    )


def replace_head(
    model: Sequential, classes: int, *, rng: np.random.Generator | int | None = None
) -> Sequential:
    """Put a new last layer for other classes in the place of the old one; all other layers stay what they are.

    Parameters
    ----------
    model : Sequential that ends in a dense or pointwise layer; it is changed, and returned
    classes : outputs of the new layer
    rng : generator or seed for its initial weights

    Notes
    -----
    An optimiser that was made before knows the old layer's parameters only: make it anew.

    Raises
    ------
    ValueError
        `classes` below 1, or a model with another ending.
    """
    check_counts("replace_head", classes=classes)
    position, old = head_of(model)
    inputs, bias = old.weight.value.shape[1], old.bias is not None
    new = type(old)(inputs, classes, bias=bias, rng=generator(rng), impl=old.impl)
    model.layers[position] = new.astype(old.weight.value.dtype)
    return model


def without_head(model: Sequential) -> dict[str, Array]:
    """The state of a network but for its head: what another head can be put on."""
    head = f"{head_of(model)[0]}."
    return {name: array for name, array in model.state_dict().items() if not name.startswith(head)}


# ---- weights by name ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Matched:
    """What `load_matching` did: the names that were taken, and for the others, why not."""

    taken: tuple[str, ...]
    left: Mapping[str, str]

    def __str__(self) -> str:
        """A line for each name."""
        width = max(map(len, (*self.taken, *self.left)), default=0)
        lines = [f"{name:<{width}}  taken" for name in self.taken]
        lines += [f"{name:<{width}}  {why}" for name, why in self.left.items()]
        return "\n".join([*lines, f"{len(self.taken)} taken, {len(self.left)} left as they are"])


def load_matching(
    model: Layer, state: Mapping[str, Array], *, only: str | Iterable[str] | None = None
) -> Matched:
    """Take over from `state` what has the name and the shape of an array of the model; leave the rest as it is.

    Parameters
    ----------
    model : Layer
    state : another model's ``state_dict()``
    only : one or several of "depthwise", "pointwise" (kinds of layer), or patterns such as ``"3.*"``
        Statistics and batch norms go with the step in front of them. ``only="depthwise"`` is the mixed start: filters
        in space from the old network, and everything that mixes channels new.

    Returns
    -------
    Matched
        Printed, a table.

    Raises
    ------
    ValueError
        Nothing at all could be taken.
    """
    wanted = names(model, only) if only is not None else None
    target = model.state_dict()
    taken, left = [], {}
    for name, array in target.items():
        if wanted is not None and name not in wanted:
            left[name] = "not asked for"
        elif name not in state:
            left[name] = "not there"
        elif np.shape(state[name]) != array.shape:
            left[name] = f"of another shape: {np.shape(state[name])} there, {array.shape} here"
        else:
            taken.append(name)
    if not taken:
        reasons = sorted(set(left.values()))[:3]
        raise ValueError(f"load_matching: nothing fits: of {len(left)} arrays {'; '.join(reasons)}")
    model.load_state_dict({**target, **{name: state[name] for name in taken}})
    return Matched(tuple(taken), left)


def draw_weights(
    model: Layer,
    scheme: str,
    *,
    only: str | Iterable[str] | None = None,
    rng: np.random.Generator | int | None = None,
) -> Layer:
    """Draw the weights of convolutions and dense layers anew; biases and batch norms stay as they are.

    Parameters
    ----------
    scheme : one of ``npdsconv.init.SCHEMES``: he, lecun or xavier, normal or uniform, such as "xavier_uniform"
    only : as for `load_matching`; None draws all of them
    rng : generator or seed

    Raises
    ------
    ValueError
        An unknown scheme, or a word in `only` that fits nothing.
    """
    wanted = names(model, only) if only is not None else None
    rng = generator(rng)
    for path, layer in _all_below(model):
        kind = next((word for word, kinds in _KINDS.items() if isinstance(layer, kinds)), None)
        if kind is None or (wanted is not None and f"{path}.weight" not in wanted):
            continue
        weight = layer.weight  # type: ignore[attr-defined]
        fan_in, fan_out = init.fans(kind, weight.value.shape, getattr(layer, "groups", 1))
        weight.value[...] = init.draw(scheme, weight.value.shape, fan_in, fan_out, rng)
    return model


_KINDS: dict[str, tuple[type[Layer], ...]] = {
    "standard": (Conv2d, Conv1d),
    "depthwise": (DepthwiseConv2d, DepthwiseConv1d),
    "pointwise": (PointwiseConv2d,),
    "dense": (Linear,),
}
"""Kinds of weights, as `npdsconv.init.fans` has them."""


def _all_below(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    for name, child in layer.children():
        yield f"{path}{name}", child
        yield from _all_below(child, f"{path}{name}.")


# ---- which of them learn -----------------------------------------------------------------------------------------


def names(model: Layer, which: str | Iterable[str]) -> set[str]:
    """Names of parameters and buffers: of a kind of layer, or that match a pattern.

    Parameters
    ----------
    which : one or several of "depthwise", "pointwise", or patterns as in a shell: ``"*.bias"``, ``"3.*"``

    Raises
    ------
    ValueError
        A word that fits nothing.
    """
    everything = [*model.state_dict()]
    kinds = {word: _KINDS[word] for word in ("depthwise", "pointwise")}
    found: set[str] = set()
    for word in [which] if isinstance(which, str) else which:
        if word in kinds:
            layers = _followed(model, kinds[word])
            fits = {f"{path}.{rest}" for path, layer in layers for rest in layer.state_dict()}
        else:
            fits = {name for name in everything if fnmatchcase(name, word)}
        if not fits:
            raise ValueError(
                f"names: {word!r} fits none of {len(everything)} names, such as {everything[0]!r}; "
                f"kinds are {', '.join(kinds)}"
            )
        found |= fits
    return found


def depthwise_weights(model: Layer) -> list[Parameter]:
    """The weights of all depthwise steps: few numbers, which MobileNet's authors hardly let decay."""
    return [layer.weight for layer in model.modules() if isinstance(layer, DepthwiseConv2d | DepthwiseConv1d)]


def learn_only(model: Sequential, part: str | Iterable[str]) -> Sequential:
    """Freeze everything but one part; what is frozen stays as it is to the last bit, running statistics too.

    Parameters
    ----------
    part : one of `PARTS`, or patterns of names; with a part the head learns too
    """
    of_part = isinstance(part, str) and part in PARTS
    wanted = _of_part(model, str(part)) if of_part else names(model, part)
    for name, parameter in model.named_parameters():
        parameter.trainable = name in wanted
    return model


def learn_last(model: Sequential, blocks: int) -> Sequential:
    """Let the head and the last blocks before it learn, and freeze the rest: called with more each epoch, a thaw.

    Parameters
    ----------
    blocks : how many of the layers and blocks with weights in front of the head; as many as there are is everything

    Examples
    --------
    ::

        for result in epochs(model, ...):
            learn_last(model, result.epoch)     # one block more in each epoch
    """
    if blocks < 0:
        raise ValueError(f"learn_last: blocks must be at least 0, got {blocks}")
    found = _blocks(model)
    chosen = {head_of(model)[0], *(k for block in found[max(0, len(found) - blocks) :] for k in block)}
    for k, layer in enumerate(model):
        if k in chosen:
            layer.unfreeze()
        else:
            layer.freeze()
    return model


def learning(model: Layer) -> list[Parameter]:
    """The parameters that are not frozen: what an optimiser needs."""
    return [parameter for parameter in model.parameters() if parameter.trainable]


def _of_part(model: Sequential, part: str) -> set[str]:
    everything = set(model.state_dict())
    if part == "all":
        return everything
    head = everything - without_head(model).keys()
    if part == "head":
        return head
    if part == "last":
        *_, last = [[], *_blocks(model)]
        return head | {f"{k}.{name}" for k in last for name in model[k].state_dict()}
    return head | names(model, part)


def _blocks(model: Sequential) -> list[list[int]]:
    """Positions of what is in front of the head, a convolution together with the batch norm behind it."""
    found: list[list[int]] = []
    for k in range(head_of(model)[0]):
        if isinstance(model[k], BatchNorm2d) and found:
            found[-1].append(k)
        elif model[k].parameters():
            found.append([k])
    return found


def _followed(layer: Layer, kind: tuple[type[Layer], ...], path: str = "") -> list[tuple[str, Layer]]:
    """Every layer of a kind, and the batch norms that come right behind one, with their paths."""
    found: list[tuple[str, Layer]] = []
    follows = False
    for name, child in layer.children():
        here = f"{path}{name}"
        if isinstance(child, kind) or (follows and isinstance(child, BatchNorm2d)):
            found.append((here, child))
            follows = isinstance(child, kind)
        else:
            found += _followed(child, kind, f"{here}.")
            follows = False
    return found
