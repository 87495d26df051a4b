"""What the catalogue says of an op and of a layer: a row each, with examples.

An example is small, and no two of its sizes are equal, so that swapped axes show. One row is used by all that has to
know every op or layer: gradient checks, warming up, the tests of what all of them promise, and the tables of the pages.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from npdsconv.layers import Layer
from npdsconv.shapes import Array

ANY, SAME = "any shape", "the same"
"""Shapes, as the tables of ops have them."""
SIZE = 2, 4, 7, 5
"""Of most arrays in examples."""

# ---- ops --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """One call of an op.

    Attributes
    ----------
    label : what tells it from the other examples of its op; may be empty
    arrays : by name, in the order in which forward takes them; float64, or not floats at all (labels, a mask)
    options : what else forward takes, `impl` excepted
    """

    label: str
    arrays: dict[str, Array]
    options: dict[str, Any] = field(default_factory=dict)

    def astype(self, dtype: Any) -> "Example":
        """A copy with its floats cast to a dtype."""
        return replace(self, arrays={name: cast(array, dtype) for name, array in self.arrays.items()})


@dataclass(frozen=True)
class OpRow:
    """An op: a forward, its backward, and examples.

    Attributes
    ----------
    forward, backward : the public pair
    impls : its table of tiers, or None for an op in NumPy alone
    takes, gives : the shapes, as docs/shapes.md has them
    examples : calls of forward; their arrays are made read-only, for all checks of a process share them
    about : what README.md says behind its name; may be empty
    bilinear : whether forward is linear in each of its arrays while the others are held, up to a constant
    pull : (dy, *arrays, **options) -> gradients, in the order of the arrays; None where they have none
        For a backward that takes something other than dy and some of forward's arrays, under the same names.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    impls: Mapping[str, Any] | None
    takes: str
    gives: str
    examples: tuple[Example, ...]
    about: str = ""
    bilinear: bool = False
    pull: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        for example in self.examples:
            for array in example.arrays.values():
                array.setflags(write=False)

    @property
    def name(self) -> str:
        """The public name of forward."""
        return self.forward.__name__

    @property
    def tiers(self) -> tuple[str, ...]:
        """The names of its implementations, if it has several."""
        return tuple(self.impls or ())

    def value(self, example: Example, **options: Any) -> Array:
        """What forward computes; where that is several things, the first. `options` are added to the example's."""
        y = self.forward(*example.arrays.values(), **example.options, **options)
        return np.asarray(y[0] if isinstance(y, tuple) else y)

    def gradients(self, dy: Array, example: Example, **options: Any) -> dict[str, Any]:
        """The gradient for each float array of the example, by its name; None where there is none."""
        arrays, options = example.arrays, {**example.options, **options}
        if self.pull:
            found = self.pull(dy, *arrays.values(), **options)
        else:
            known = inspect.signature(self.backward).parameters
            found = self.backward(
                dy, **{name: array for name, array in arrays.items() if name in known}, **options
            )
        floats = [name for name, array in arrays.items() if array.dtype.kind == "f"]
        return dict(zip(floats, found if isinstance(found, tuple) else (found,), strict=False))


# ---- layers, and networks, which are layers too -----------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One layer, and the shape of an input for it.

    Attributes
    ----------
    shape : of the input, the batch included
    arguments : of the constructor; `impl` and `rng` are added where it takes them
    label : what tells it from the other settings of its layer; may be empty
    build : rng -> layer; instead of `arguments`, where a layer is made of others or something is done to it
    check : what :func:`npdsconv.gradcheck.check` is told besides
    """

    shape: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    build: Callable[[np.random.Generator], Layer] | None = None
    check: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRow:
    """A layer or a network, with examples.

    Attributes
    ----------
    kind : the class, or the function that builds the network
    examples : settings; between them, no argument of the constructor stays at its default
    op : the op that the layer is, called with x, the parameters, and those arguments that the op has too; or None
    bilinear : as for an op
    """

    kind: Callable[..., Layer]
    examples: tuple[Setting, ...]
    op: Callable[..., Any] | None = None
    bilinear: bool = False

    @property
    def name(self) -> str:
        """The public name."""
        return self.kind.__name__

    def build(self, setting: Setting, rng: np.random.Generator) -> Layer:
        """The layer of this setting, with weights from `rng`."""
        if setting.build:
            return setting.build(rng)
        drawn = {"rng": rng} if "rng" in inspect.signature(self.kind).parameters else {}
        return self.kind(**setting.arguments, **drawn)


# ---- for writing rows -------------------------------------------------------------------------------------------


def cast(array: Array, dtype: Any) -> Array:
    """The array in a dtype, if it holds floats."""
    return array.astype(dtype) if array.dtype.kind == "f" else array


def normal(**shapes: tuple[int, ...]) -> dict[str, Array]:
    """Normal numbers for arrays of these names and shapes, upon which alone they depend."""
    return {
        name: np.random.default_rng([*name.encode(), *shape]).standard_normal(shape)
        for name, shape in shapes.items()
    }
