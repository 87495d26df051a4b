"""Arguments can be named, all of them; and `train` of a layer has to be."""

import importlib
import inspect
import pkgutil

import pytest

import npdsconv
from npdsconv.layers import Layer

BY_PLACE = {"check"}  # it takes a function or a layer, and what comes next depends on that


def modules():
    names = [module.name for module in pkgutil.walk_packages(npdsconv.__path__, "npdsconv.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def signatures():
    """Every function and method that is written out in a module, with its place."""
    for module in modules():
        for name, found in vars(module).items():
            if getattr(found, "__module__", None) != module.__name__:
                continue
            for method, f in vars(found).items() if inspect.isclass(found) else [("", found)]:
                if inspect.isfunction(f) and method != "_replace":  # of every NamedTuple
                    yield f"{module.__name__}.{name}.{method}".rstrip("."), inspect.signature(f).parameters


SIGNATURES = dict(signatures())


def test_every_argument_can_be_named():
    assert len(SIGNATURES) > 1000
    for place, parameters in SIGNATURES.items():
        unnamed = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
        assert not unnamed or place.split(".")[-1] in BY_PLACE, f"{place}: {unnamed} cannot be named"


def kinds(base):
    return [base, *(below for kind in base.__subclasses__() for below in kinds(kind))]


@pytest.mark.parametrize("kind", [k for k in kinds(Layer) if k.__module__.startswith("npdsconv.")])
def test_whether_a_layer_trains_is_said_by_name(kind):
    assert inspect.signature(kind.forward).parameters["train"].kind is inspect.Parameter.KEYWORD_ONLY
