"""Arguments can be named, all of them; and `train` of a layer has to be."""

import importlib
import inspect
import math
import pkgutil

import pytest

import npdsconv
from npdsconv import data, gradcheck, layers, optim, train
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


# ---- defaults ------------------------------------------------------------------------------------------------

EVERYWHERE = {
    # geometry
    "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "depth_multiplier": 1,
    # layers and losses
    "eps": 1e-5, "momentum": 0.1, "negative_slope": 0.01, "axis": -1, "dy": 1.0, "label_smoothing": 0.0, "smooth": 1.0,
    "temperature": 4.0, "margin": 0.2, "least": -math.inf,
    # learning
    "lr": 1e-3, "lr_factor": 1.0, "weight_decay": 0.0, "decay": 0.99, "batch_size": 128, "micro_batches": 1, "seed": 0,
    "start_epoch": 0, "patience": 5, "min_delta": 0.0, "low": 1e-5, "high": 1.0, "steps": 100,
    "initial_accumulator_value": 0.0, "lr_decay": 0.0,
    # schedules
    "every": 1, "gamma": 0.1, "final": 0.0, "growth": 1, "warm": 0.3, "start": 1 / 25,
    # augmentation, and the check of gradients
    "p": 0.5, "rotate": 0.0, "shift": 0.0, "scale": 0.0, "shear": 0.0, "directions": 4, "threshold": 1e-7,
}  # fmt: skip
"""An argument that has a number as its default has the same one wherever it occurs."""
ELSEWHERE = {
    ("Adam", "eps"): 1e-8, ("AdamW", "eps"): 1e-8, ("Adagrad", "eps"): 1e-10, ("Adagrad", "lr"): 1e-2,
    ("AdamW", "weight_decay"): 1e-2, ("SGD", "momentum"): 0.0, ("one_cycle", "final"): 1e-4,
    ("from_folder", "test"): 0.2, ("from_path", "test"): 0.2,
    ("evaluate", "batch_size"): 256, ("predict", "batch_size"): 256, ("nearest_class_mean", "batch_size"): 256,
}  # fmt: skip
"""But for these: they are PyTorch's, or of inference, which needs less memory for an image."""


@pytest.mark.parametrize("room", [npdsconv, layers, optim, train, data, gradcheck])
def test_a_number_that_is_not_given_is_the_one_of_that_name(room):
    seen = 0
    for name in room.__all__:
        function = getattr(room, name)
        if (
            not (inspect.isfunction(function) or inspect.isclass(function)) or name == "Row"
        ):  # a result, no setting
            continue
        for argument, p in inspect.signature(function).parameters.items():
            if isinstance(p.default, int | float) and not isinstance(p.default, bool):
                expected = ELSEWHERE.get((name, argument), EVERYWHERE.get(argument))
                assert p.default == expected, f"{name}: {argument}={p.default}"
                seen += 1
    assert seen > 2
