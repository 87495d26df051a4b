"""Fine-tuning: a new head, weights by name, and what is frozen stays as it is."""

import numpy as np
import pytest
from helpers import assert_same_state

from npdsconv import layers, models, optim, train
from npdsconv.data import Split
from npdsconv.models.transfer import head_of, names


def network(classes=4, seed=0):
    model = models.separable_mini(2, classes, width=0.25, rng=seed)
    return layers.set_impl(model, "im2col")


def split(classes=4, n=24):
    rng = np.random.default_rng(5)
    return Split(rng.integers(0, 256, (n, 2, 9, 8), np.uint8), rng.integers(0, classes, n))


# ---- the head ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["separable_mini", "separable_resnet", "small_cnn"])
def test_a_new_head_answers_for_other_classes_and_the_rest_stays(name):
    model = layers.set_impl(models.build(name, rng=0), "im2col")
    before, position = model.state_dict(), head_of(model)[0]
    assert models.replace_head(model, 7, rng=3) is model
    assert model(np.ones((2, 1, 28, 28), np.float32)).shape == (2, 7)
    after = model.state_dict()
    for key in before.keys() & after.keys():
        if not key.startswith(f"{position}."):
            np.testing.assert_array_equal(after[key], before[key])
    again = models.replace_head(layers.set_impl(models.build(name, rng=0), "im2col"), 7, rng=3)
    assert_same_state(again.state_dict(), after)


def test_a_new_head_has_the_dtype_and_the_tier_of_the_old_one():
    model = layers.set_impl(network().astype(np.float64), "loops")
    models.replace_head(model, 3, rng=0)
    assert model[-1].weight.value.dtype == np.float64
    assert model[-1].impl == "loops"


@pytest.mark.parametrize(
    ("model", "classes", "said"),
    [
        (
            layers.Sequential(layers.Conv2d(2, 3, 3), layers.ReLU()),
            3,
            "Linear or PointwiseConv2d, and it is Conv2d",
        ),
        (layers.Sequential(layers.ReLU()), 3, "and it is nothing"),
        (models.class_maps(), 3, "and it is DepthwiseSeparableConv2d"),
        (network(), 0, "classes must be .*0"),
    ],
)
def test_a_head_that_cannot_be_replaced(model, classes, said):
    with pytest.raises(ValueError, match=said):
        models.replace_head(model, classes)


# ---- weights by name ---------------------------------------------------------------------------------------------


def test_what_fits_is_taken_and_all_else_is_named_with_the_reason():
    old, new = network(4, seed=1), network(6, seed=2)
    before = new.state_dict()
    matched = models.load_matching(new, old.state_dict() | {"extra": np.zeros(3)})
    assert set(matched.left) == {"7.weight", "7.bias"}
    assert matched.left["7.weight"] == "of another shape: (4, 16) there, (6, 16) here"
    for name, value in new.state_dict().items():
        np.testing.assert_array_equal(value, before[name] if name in matched.left else old.state_dict()[name])
    assert str(matched).splitlines()[-1] == f"{len(before) - 2} taken, 2 left as they are"
    assert "7.bias" in str(matched)


def test_the_mixed_start_takes_filters_in_space_and_leaves_what_mixes_channels():
    old, new = network(seed=1), network(seed=2)
    old[3].bn1.running_mean.value[...] = 3
    matched = models.load_matching(new, old.state_dict(), only="depthwise")
    assert set(matched.taken) == {f"{k}.{name}" for k in (3, 4) for name in (
        "depthwise.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var")}  # fmt: skip
    np.testing.assert_array_equal(new[3].depthwise.weight.value, old[3].depthwise.weight.value)
    assert (new[3].bn1.running_mean.value == 3).all()
    assert (new[3].pointwise.weight.value != old[3].pointwise.weight.value).any()
    assert matched.left["3.pointwise.weight"] == "not asked for"
    assert set(models.load_matching(new, old.state_dict(), only=["3.*", "*.bias"]).taken) >= {
        "3.bn2.bias",
        "7.bias",
    }


def test_layers_of_a_chain_go_with_the_batch_norm_behind_them():
    model = layers.Sequential(
        layers.DepthwiseConv2d(2, 3), layers.BatchNorm2d(2), layers.ReLU(), layers.BatchNorm2d(2),
        layers.Residual(layers.PointwiseConv2d(2, 2)), layers.BatchNorm2d(2),
    )  # fmt: skip
    of_bn = ("weight", "bias", "running_mean", "running_var")
    assert names(model, "depthwise") == {"0.weight", "0.bias", *(f"1.{name}" for name in of_bn)}
    assert names(model, "pointwise") == {"4.body.weight", "4.body.bias"}


def test_where_nothing_fits_that_is_said():
    with pytest.raises(ValueError, match=r"^load_matching: nothing fits: of \d+ arrays not there$"):
        models.load_matching(network(), {"other": np.zeros(2)})
    with pytest.raises(ValueError, match=r"^names: '9\.\*' fits none of \d+ names, such as '0\.weight'"):
        models.load_matching(network(), network().state_dict(), only="9.*")


# ---- new weights -------------------------------------------------------------------------------------------------


def test_weights_are_drawn_with_the_fans_of_their_kind():
    model = models.draw_weights(models.separable_cnn(rng=0), "xavier_normal", rng=1)
    depthwise, pointwise = model[6].depthwise.weight.value, model[6].pointwise.weight.value
    np.testing.assert_allclose(depthwise.std(), np.sqrt(2 / (9 + 9)), rtol=0.05)
    np.testing.assert_allclose(pointwise.std(), np.sqrt(2 / (128 + 128)), rtol=0.05)
    np.testing.assert_allclose(model[0].weight.value.std(), np.sqrt(2 / (9 + 32 * 9)), rtol=0.15)
    np.testing.assert_allclose(model[-1].weight.value.std(), np.sqrt(2 / (128 + 10)), rtol=0.1)
    again = models.draw_weights(models.separable_cnn(rng=5), "xavier_normal", rng=1)
    np.testing.assert_array_equal(again[6].depthwise.weight.value, depthwise)


def test_only_some_weights_are_drawn():
    model = network()
    before = model.state_dict()
    models.draw_weights(model, "he_uniform", only="pointwise", rng=1)
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert changed == {"3.pointwise.weight", "4.pointwise.weight"}
    assert np.abs(model[4].pointwise.weight.value).max() <= np.sqrt(3 * 2 / 8)
    with pytest.raises(ValueError, match=r"draw: scheme must be one of he_normal, .*, got 'he'"):
        models.draw_weights(model, "he")


# ---- what learns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "count"),
    [("head", 2), ("last", 8), ("pointwise", 8), ("depthwise", 8), ("all", 17), (["*.bias"], 6)],
    ids=str,
)
def test_what_is_frozen_stays_to_the_last_bit(part, count):
    model = models.learn_only(network(), part)
    learning = {name for name, p in model.named_parameters() if p.trainable}
    assert len(learning) == count
    before = model.state_dict()
    train.fit(model, split(), optim.SGD(models.learning(model), lr=0.1), epochs=1, batch_size=6)
    after = model.state_dict()
    for name in learning:
        assert (after[name] != before[name]).any(), name
    frozen_norms = [
        m for m in model.modules() if isinstance(m, layers.BatchNorm2d) and not m.weight.trainable
    ]
    still = {name for name, p in model.named_parameters() if not p.trainable}
    still |= {
        name
        for name, b in model.named_buffers()
        if any(b in (m.running_mean, m.running_var) for m in frozen_norms)
    }
    for name in still:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def test_a_thaw_goes_from_the_end_to_the_start():
    model = network()
    counts = []
    for blocks in range(5):
        models.learn_last(model, blocks)
        counts.append(len(models.learning(model)))
    assert counts == [2, 8, 14, 17, 17]
    models.learn_last(model, 1)
    assert [p.trainable for p in model[3].parameters()] == [False] * 6
    assert [p.trainable for p in model[4].parameters()] == [True] * 6
    with pytest.raises(ValueError, match="learn_last: blocks must be at least 0, got -1"):
        models.learn_last(model, -1)
