"""Every network by its name, and building one from its name and options."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from npdsconv.layers import Sequential
from npdsconv.models.branches import parallel_separable
from npdsconv.models.first_blocks import class_maps, multiplied, one_block, two_blocks
from npdsconv.models.large_kernel import large_kernel_cnn
from npdsconv.models.mobilenet import mobilenet_v1, mobilenet_v2
from npdsconv.models.mobilenet_v3 import mobilenet_v3_small
from npdsconv.models.separable_cnn import separable_cnn
from npdsconv.models.separable_compact import separable_compact
from npdsconv.models.separable_mini import dilated_separable, separable_mini
from npdsconv.models.separable_resnet import separable_resnet
from npdsconv.models.small_cnn import small_cnn
from npdsconv.models.vgg_mini import vgg_mini
from npdsconv.models.xception import xception, xception_mini
from npdsconv.shapes import check_choice

BUILDERS: Mapping[str, Callable[..., Sequential]] = {
    builder.__name__: builder
    for builder in (
        separable_cnn,
        separable_compact,
        separable_mini,
        dilated_separable,
        parallel_separable,
        separable_resnet,
        large_kernel_cnn,
        xception_mini,
        small_cnn,
        vgg_mini,
        one_block,
        two_blocks,
        multiplied,
        class_maps,
        mobilenet_v1,
        mobilenet_v2,
        mobilenet_v3_small,
        xception,
    )
}
"""Name -> function that builds the network."""


def build(
    name: str,
    *,
    in_channels: int = 1,
    classes: int = 10,
    rng: np.random.Generator | int | None = None,
    **options: Any,
) -> Sequential:
    """Build a network by its name.

    Parameters
    ----------
    name : one of `BUILDERS`, such as "separable_cnn"
    in_channels, classes : int
    rng : generator or seed for the initial weights
    options : what else that network takes, such as ``width=0.5``; see `options_of`

    Raises
    ------
    ValueError
        An unknown network or option; those that look alike are named.

    Examples
    --------
    >>> build("dilated_separable", dilations=(1, 1, 1), rng=0)(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    check_choice("build", "a network", name, BUILDERS)
    for option in options:
        check_choice(f"build {name}", "an option", option, options_of(name))
    return BUILDERS[name](in_channels=in_channels, classes=classes, rng=rng, **options)


def options_of(name: str) -> dict[str, Any]:
    """The options of a network and their defaults.

    >>> options_of("dilated_separable")
    {'dilations': (1, 2, 4), 'width': 1.0, 'dropout': 0.0}
    """
    common = ("in_channels", "classes", "rng")
    parameters = inspect.signature(BUILDERS[name]).parameters
    return {option: p.default for option, p in parameters.items() if option not in common}


def parse_options(name: str, text: str) -> dict[str, Any]:
    """Options as one writes them on a command line: names and values, each of the kind that its default has.

    Raises
    ------
    ValueError
        An unknown option, or a value of another kind.

    Examples
    --------
    >>> parse_options("dilated_separable", "dilations=1,1,2 width=0.5")
    {'dilations': (1, 1, 2), 'width': 0.5}
    """
    known, found = options_of(name), {}
    for word in text.split():
        option, _, value = word.partition("=")
        check_choice(f"build {name}", "an option", option, known)
        found[option] = _parsed(f"build {name}: {word}", known[option], value)
    return found


def _parsed(where: str, default: Any, value: str) -> Any:
    """A value of the kind of its default."""
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        return tuple(map(int, value.split(","))) if kind is tuple else kind(value)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", tuple: "whole numbers such as 1,2,4", int: "a whole number"}
        raise ValueError(f"{where}: expected {wanted.get(kind, 'a number')}, got {value!r}") from None
