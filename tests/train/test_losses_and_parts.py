"""A step with another loss, in parts, with a penalty; and averages of weights."""

import numpy as np
import pytest
from helpers import assert_same_state
from training import CLASSES, SETTINGS, make_linear, make_split, run

from npdsconv import layers, ops, optim, train

SPLIT = make_split(20)


def squared(output, labels):
    target = np.eye(CLASSES, dtype=output.dtype)[labels]
    return ops.mse_loss(output, target), ops.mse_loss_backward(output, target)


def learned(**how):
    model = make_linear(dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.3)
    loss = train.train_step(model, SPLIT.images, SPLIT.labels, optimizer, **how)
    return loss, model.state_dict()


# ---- losses ------------------------------------------------------------------------------------------------------


def test_the_default_is_cross_entropy():
    for how in ({}, {"label_smoothing": 0.2}):
        loss, state = learned(**how)
        other, same = learned(loss=train.cross_entropy(**how))
        assert loss == other
        assert_same_state(state, same)


def test_another_loss_by_hand():
    loss, state = learned(loss=squared)
    model = make_linear(dtype=np.float64)
    x = SPLIT.images.reshape(20, -1) / np.float32(255)
    error = model(SPLIT.images / np.float64(255)) - np.eye(CLASSES)[SPLIT.labels]
    np.testing.assert_allclose(loss, np.mean(error**2), rtol=1e-6)
    moved = model[1].weight.value - 0.3 * (2 * error / error.size).T @ x
    np.testing.assert_allclose(state["1.weight"], moved, rtol=1e-5, atol=1e-8)


def test_classes_that_count_more_and_labels_that_do_not_count():
    weight = np.array([1.0, 0, 0])
    only = SPLIT.labels == 0
    loss, state = learned(loss=train.cross_entropy(weight=weight))
    model = make_linear(dtype=np.float64)
    expected = train.train_step(
        model, SPLIT.images[only], SPLIT.labels[only], optim.SGD(model.parameters(), lr=0.3)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_allclose(state["1.weight"], model.state_dict()["1.weight"], rtol=1e-10)
    ignored, other = learned(loss=train.cross_entropy(ignore_index=1)), learned()
    assert ignored[0] != other[0]


def test_labels_of_another_kind_have_no_accuracy():
    """One number an image: a regression."""
    model = layers.set_impl(layers.Sequential(layers.Flatten(), layers.Linear(30, 1, rng=0)), "im2col")
    target = SPLIT.labels[:, None].astype(np.float32)

    def loss(output, wanted):
        return ops.mse_loss(output, wanted), ops.mse_loss_backward(output, wanted)

    optimizer = optim.Adam(model.parameters(), lr=0.01)
    seen = [train.train_step(model, SPLIT.images, target, optimizer, loss=loss) for _ in range(30)]
    assert seen[-1] < 0.5 * seen[0]


def test_a_loss_and_smoothing_exclude_each_other():
    model = make_linear()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="train_step: give loss or label_smoothing"):
        train.train_step(model, SPLIT.images, SPLIT.labels, optimizer, loss=squared, label_smoothing=0.1)
    with pytest.raises(ValueError, match="epochs: give loss or label_smoothing"):
        train.epochs(model, SPLIT, optimizer, loss=squared, label_smoothing=0.1, **SETTINGS)


# ---- parts of a batch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 3, 7, 20, 50])
def test_parts_of_a_batch_are_one_step(parts):
    """20 images do not divide by 3 or 7: the parts are of unequal size, and weigh as much as they have images."""
    loss, state = learned(micro_batches=parts)
    whole, expected = learned()
    np.testing.assert_allclose(loss, whole, rtol=1e-12)
    for name in expected:
        np.testing.assert_allclose(state[name], expected[name], rtol=1e-12, atol=1e-15)


def test_an_epoch_in_parts():
    results = []
    for parts in (1, 3):
        model = make_linear(dtype=np.float64)
        results.append(run(model, optim.Adam(model.parameters()), SPLIT, micro_batches=parts))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-9)
        assert one.train_accuracy == other.train_accuracy
    with pytest.raises(ValueError, match="train_step: micro_batches must be at least 1, got 0"):
        learned(micro_batches=0)
    with pytest.raises(ValueError, match="epochs: micro_batches must be at least 1, got 0"):
        train.epochs(model, SPLIT, optim.Adam(model.parameters()), micro_batches=0, **SETTINGS)


# ---- before the update, and after it -------------------------------------------------------------------------------


def test_gradients_can_be_changed_before_they_are_used():
    model = make_linear(dtype=np.float64)
    weight = model[1].weight
    before = weight.value.copy()
    plain = learned()[1]["1.weight"]
    penalties = []
    optimizer = optim.SGD(model.parameters(), lr=0.3)
    train.train_step(
        model,
        SPLIT.images,
        SPLIT.labels,
        optimizer,
        before_update=lambda: penalties.append(optim.add_l1([weight], 0.01)),
    )
    np.testing.assert_allclose(weight.value, plain - 0.3 * 0.01 * np.sign(before), rtol=1e-12)
    np.testing.assert_allclose(penalties, [0.01 * np.abs(before).sum()])


def test_clipping_reaches_the_step():
    model = make_linear(dtype=np.float64)
    before = model.state_dict()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    train.fit(
        model, SPLIT, optimizer, epochs=1, batch_size=20,
        before_update=lambda: optim.clip_gradients(model.parameters(), 1e-3),
    )  # fmt: skip
    moved = np.sqrt(sum(np.sum((value - before[name]) ** 2) for name, value in model.state_dict().items()))
    np.testing.assert_allclose(moved, 1e-3, rtol=1e-9)


def test_an_average_of_weights_by_hand():
    model = make_linear(dtype=np.float64)
    average = optim.Average(model.parameters(), decay=0.4)
    expected, seen = [p.value.copy() for p in model.parameters()], []

    class Watching(optim.SGD):
        def step(self, factor=1.0):
            super().step(factor)
            seen.append([p.value.copy() for p in self.parameters])

    run(model, Watching(model.parameters(), lr=0.5), SPLIT, average=average, epochs=2)
    for t, values in enumerate(seen, 1):
        decay = min(0.4, (1 + t) / (10 + t))
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, values, strict=True)]
    for a, b in zip(average.values, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    own = model.state_dict()
    with average.in_place():
        np.testing.assert_array_equal(model[1].weight.value, average.values[0])
        assert (model[1].weight.value != own["1.weight"]).any()
    assert_same_state(model.state_dict(), own)
    with pytest.raises(ValueError, match=r"Average: decay 1.0 must be in \[0, 1\)"):
        optim.Average(model.parameters(), decay=1.0)
