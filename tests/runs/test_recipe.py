"""Recipes: what each setting may be, and what they build for which images."""

import dataclasses

import numpy as np
import pytest

from npdsconv import data, optim
from npdsconv.complexity import summary
from npdsconv.data import Dataset, Split
from npdsconv.layers import Dropout
from npdsconv.models import BUILDERS, options_of
from npdsconv.runs import recorded
from npdsconv.runs.job import prepare
from npdsconv.runs.recipe import GROUPS, Recipe, recipe
from npdsconv.runs.settings import Rule, check, setting


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "recipe: batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, r"recipe: batch_size must be a whole number, got 2\.5"),
        ({"epochs": True}, TypeError, "recipe: epochs must be a whole number, got True"),
        ({"lr": "0.1"}, TypeError, "recipe: lr must be a finite number, got '0.1'"),
        ({"lr": float("inf")}, TypeError, "recipe: lr must be a finite number, got inf"),
        ({"standard": 1}, TypeError, "recipe: standard must be True or False, got 1"),
        ({"scale": 1.0}, ValueError, r"recipe: scale must be in \[0, 1\), got 1\.0"),
        ({"hold_out": -1}, ValueError, "recipe: hold_out must be at least 0, got -1"),
        ({"model": "vgg"}, ValueError, "recipe: model must be one of separable_cnn, .*, got 'vgg'"),
        ({"dataset": "cifar"}, ValueError, "recipe: dataset must be one of mnist5k, mnist, own, got 'cifar'"),
        ({"lrr": 1.0}, ValueError, "recipe: a setting must be one of dataset, .*, seed, got 'lrr'"),
    ],
)
def test_a_setting_against_its_rule_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        recipe(**changes)


def test_a_whole_number_is_a_number():
    assert recipe(lr=1, width=2).lr == 1


def test_every_field_says_what_it_may_be():
    for field in dataclasses.fields(Recipe):
        assert field.metadata["group"] in GROUPS
        assert field.metadata["help"]
        numeric = field.type in (int, float)
        assert bool(field.metadata["rule"]) == (numeric and not field.metadata["choices"]), field.name
        named = field.type is str and field.name not in (
            "options",
            "classes",
            "start",
            "folder",
            "size",
        )  # which have rules of their own
        assert bool(field.metadata["choices"]) == named, field.name


def test_the_first_that_does_not_fit_is_named():
    @dataclasses.dataclass
    class Two:
        even: int = setting(2, "a", "b", Rule(lambda v: v % 2 == 0, "even"))
        name: str = setting("x", "a", "b", "xyz")

    check("two", Two(4, "z"))
    with pytest.raises(ValueError, match="two: even must be even, got 3"):
        check("two", Two(3, "w"))
    with pytest.raises(ValueError, match="two: name must be one of x, y, z, got 'w'"):
        check("two", Two(4, "w"))


@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize("model", sorted(BUILDERS.keys() - {"xception"}))  # of 23 million parameters
def test_a_model_is_built_for_its_images(model, standard):
    narrow = {"width": 0.25} if "width" in options_of(model) else {}
    built = recipe(model=model, **narrow, standard=standard, impl="im2col").build_model((2, 33, 33), 7)
    x = np.random.default_rng(0).random((3, 2, 33, 33), np.float32)
    assert built(x).shape == (3, 7)
    assert {layer.impl for layer in built.modules() if hasattr(layer, "impl")} == {"im2col"}


@pytest.mark.parametrize("model", sorted(BUILDERS.keys() - {"xception"}))
def test_every_network_can_be_prepared_for_training(model):
    rng = np.random.default_rng(2)
    halves = [Split(rng.integers(0, 256, (n, 1, 28, 28), np.uint8), np.arange(n) % 3) for n in (6, 3)]
    job = prepare(recipe(model=model, impl="im2col"), Dataset("mnist5k", *halves))
    assert all(parameter.trainable for parameter in job.model.parameters())


def test_settings_reach_what_is_built():
    slow = recipe(stem_stride=1).build_model((1, 28, 28), 10)
    assert summary(slow, (1, 28, 28)).macs > summary(recipe().build_model((1, 28, 28), 10), (1, 28, 28)).macs
    model = recipe(dropout=0.3, optimizer="sgd", lr=0.2, weight_decay=0.1).build_model((1, 28, 28), 10)
    assert [layer.p for layer in model.modules() if isinstance(layer, Dropout)] == [0.3]
    optimizer = recipe(optimizer="sgd", lr=0.2, weight_decay=0.1).build_optimizer(model)
    assert isinstance(optimizer, optim.SGD)
    assert (optimizer.lr, optimizer.weight_decay) == (0.2, 0.1)
    with pytest.raises(ValueError, match="recipe: small_cnn takes square images, got 28×20"):
        recipe(model="small_cnn").build_model((1, 28, 20), 10)


def test_options_of_a_network():
    by_name = recipe(model="dilated_separable", options="dilations=1,3 width=0.5", impl="im2col")
    model = by_name.build_model((1, 28, 28), 10)
    assert [block.depthwise.dilation for block in model[3:5]] == [(1, 1), (3, 3)]
    assert len(model[0].weight.value) == 8
    flat = recipe(model="one_block", options="ending=flatten", impl="im2col")
    assert flat.build_model((3, 20, 20), 10)[-1].weight.value.shape == (10, 10 * 20 * 20)
    with pytest.raises(ValueError, match="recipe: one_block takes square images, got 20×24"):
        flat.build_model((3, 20, 24), 10)
    with pytest.raises(ValueError, match=r"recipe: one_block takes no width, got 0\.5"):
        recipe(model="one_block", width=0.5).build_model((1, 28, 28), 10)
    with pytest.raises(
        ValueError, match="build one_block: an option must be one of ending, size, got 'dilations'"
    ):
        recipe(model="one_block", options="dilations=1")


def test_a_data_set_says_what_a_network_has_to_take():
    rng = np.random.default_rng(0)
    halves = [
        Split(rng.integers(0, 256, (n, 3, 8, 6), np.uint8), np.arange(n) % k) for n, k in ((9, 4), (5, 2))
    ]
    made = Dataset("made", *halves)
    assert (made.shape, made.classes) == ((3, 8, 6), 4)
    digits = data.load("mnist5k")
    assert (digits.shape, digits.classes) == ((1, 28, 28), 10)


def test_what_is_prepared_has_learned_nothing_and_trains_when_it_is_gone_through():
    rng = np.random.default_rng(1)
    halves = [Split(rng.integers(0, 256, (n, 1, 8, 8), np.uint8), np.arange(n) % 3) for n in (30, 11)]
    chosen = recipe(epochs=2, batch_size=7, width=0.125, impl="im2col", hold_out=6)
    job = prepare(chosen, Dataset("mnist5k", *halves))
    assert (len(job.learn), len(job.score), job.scored_on) == (24, 6, "held-out training images")
    before = job.model.state_dict()
    assert [result.epoch for result in job.results] == [1, 2]
    assert any(np.any(before[name] != value) for name, value in job.model.state_dict().items())
    whole = prepare(dataclasses.replace(chosen, hold_out=0), Dataset("mnist5k", *halves))
    assert (len(whole.learn), len(whole.score), whole.scored_on) == (30, 11, "mini test")
    with pytest.raises(ValueError, match="cannot hold out 30 of 30 images"):
        prepare(dataclasses.replace(chosen, hold_out=30), Dataset("mnist5k", *halves))


def test_recorded_networks_are_those_that_the_recipes_build():
    """So the README's parameters and multiply-adds cannot drift away from the code."""
    for runs in recorded.arms("recipes").values():
        chosen = recipe(**runs[0]["settings"])
        costs = summary(chosen.build_model((1, 28, 28), 10), (1, 28, 28))
        for run in runs:
            assert (run["params"], run["macs"]) == (costs.params, costs.macs)
            assert run["epochs"] == chosen.epochs


def test_what_is_recorded_is_read_by_study_and_arm():
    mean, spread, seeds = recorded.over_seeds("recipes", "mnist5k, standard")
    values = [run["accuracy"] for run in recorded.arms("recipes")["mnist5k, standard"]]
    np.testing.assert_allclose((mean, spread, seeds), (np.mean(values), np.std(values, ddof=1), len(values)))
    with pytest.raises(ValueError, match=r"an arm of recipes must be one of .*, got 'mnist5k, standart'"):
        recorded.over_seeds("recipes", "mnist5k, standart")
    with pytest.raises(ValueError, match=r"a number of recipes must be one of .*accuracy.*, got 'speed'"):
        recorded.over_seeds("recipes", "mnist5k, standard", "speed")
    with pytest.raises(ValueError, match=r"a study must be one of .*, got 'width'"):
        recorded.arms("width")
