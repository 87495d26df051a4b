"""One step of training: by hand, what reaches it, what it leaves behind, what it refuses."""

import gc

import numpy as np
import pytest
from helpers import assert_same_state
from training import CLASSES, Watched, make_linear, make_model, make_split

from npdsconv import optim, train
from npdsconv.ops import softmax, softmax_cross_entropy, softmax_cross_entropy_backward


# --- one step -----------------------------------------------------------------------------------------------
def test_one_step_of_softmax_regression_by_hand():
    split, model = make_split(5), make_linear(dtype=np.float64)
    w, b = (p.value.copy() for p in model.parameters())
    x = split.images.reshape(5, -1) / np.float32(255)
    p = softmax(x @ w.T + b)
    target = np.eye(CLASSES)[split.labels]
    loss = train.train_step(model, split.images, split.labels, optim.SGD(model.parameters(), lr=0.5))
    assert type(loss) is float
    np.testing.assert_allclose(loss, -np.log((p * target).sum(axis=1)).mean(), rtol=1e-12)
    w_new, b_new = (p.value for p in model.parameters())
    np.testing.assert_allclose(w_new, w - 0.5 * (p - target).T @ x / 5, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(b_new, b - 0.5 * (p - target).mean(axis=0), rtol=1e-10, atol=1e-14)


def test_gradients_of_the_step_before_do_not_count():
    split, model = make_split(5), make_linear()
    for parameter in model.parameters():
        parameter.grad[...] = 1e6
    other = make_linear()
    for m in (model, other):
        train.train_step(m, split.images, split.labels, optim.SGD(m.parameters(), lr=0.5))
    assert_same_state(model.state_dict(), other.state_dict())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_are_scaled_and_cast_to_the_model(dtype):
    split = make_split(5)
    scaled = split.images / np.float32(255)
    states = []
    for images in (split.images, scaled, scaled.astype(np.float64)):
        model = make_linear(dtype=dtype)
        train.train_step(model, images, split.labels, optim.SGD(model.parameters(), lr=0.5))
        states.append(model.state_dict())
        assert all(array.dtype == dtype for array in states[-1].values())
    assert_same_state(states[1], states[0])
    assert_same_state(states[2], states[0])


def test_labels_may_be_any_integers_or_a_list():
    split, losses = make_split(5), []
    for labels in (split.labels, split.labels.tolist(), split.labels.astype(np.uint8)):
        model = make_linear()
        losses.append(train.train_step(model, split.images, labels, optim.SGD(model.parameters(), lr=0.1)))
    assert losses[0] == losses[1] == losses[2]


def test_lr_factor_and_label_smoothing_reach_the_step():
    split = make_split(5)

    def state(lr, **options):
        model = make_linear()
        loss = train.train_step(
            model, split.images, split.labels, optim.SGD(model.parameters(), lr=lr), **options
        )
        return loss, model.state_dict()

    assert_same_state(state(0.5, lr_factor=0.5)[1], state(0.25)[1])
    x = split.images / np.float32(255)
    expected, _ = softmax_cross_entropy(make_linear()(x), split.labels, label_smoothing=0.3)
    assert state(0.1, label_smoothing=0.3)[0] == expected
    assert not np.array_equal(state(0.1, label_smoothing=0.3)[1]["1.weight"], state(0.1)[1]["1.weight"])


def test_all_closures_die_with_the_step():
    split, model = make_split(5), Watched(make_model())
    gc.collect()
    gc.disable()
    try:
        train.train_step(model, split.images, split.labels, optim.Adam(model.parameters()))
        assert [closure() for closure in model.closures] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1], ValueError, r"train_step: labels have shape \(2,\), expected \(3,\), one for each image"),
        ([[0], [1], [2]], ValueError, r"train_step: labels have shape \(3, 1\), expected \(3,\)"),
        ([0.0, 1.0, 2.0], TypeError, r"labels have dtype float64, must be integers"),
        ([0, 1, 3], ValueError, r"labels lie in 0 … 3, must be in 0 … 2"),
        ([0, -1, 2], ValueError, r"labels lie in -1 … 2, must be in 0 … 2"),
    ],
)
def test_labels_that_do_not_fit(labels, error, message):
    model = make_linear()
    before = model.state_dict()
    with pytest.raises(error, match=message):
        train.train_step(model, make_split(3).images, np.array(labels), optim.SGD(model.parameters(), lr=0.1))
    assert_same_state(model.state_dict(), before)


def test_images_that_do_not_fit():
    split, model = make_split(3), make_linear()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"to_float: images are int64"):
        train.train_step(model, split.images.astype(np.int64), split.labels, optimizer)
    broken = split.images / np.float32(255)
    broken[1, 0, 2, 3], broken[2, 0, 0, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"to_float: 2 of 90 pixels are not finite"):
        train.train_step(model, broken, split.labels, optimizer)
    with pytest.raises(ValueError, match=r"the mean over an empty batch does not exist"):
        train.train_step(model, split.images[:0], split.labels[:0], optimizer)


def test_a_model_without_a_flat_output():
    split, model = make_split(3), make_model()[:-2]
    with pytest.raises(ValueError, match=r"expected \(3, 1, 1\) for logits \(3, 6, 1, 1\), .* a Flatten"):
        train.train_step(model, split.images, split.labels, optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match=r"evaluate: the model's output must have axes \(N, classes\)"):
        train.evaluate(model, split.images, split.labels)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_one_clear_error_and_moves_nothing(poison):
    split, model = make_split(5), make_linear()
    model.parameters()[0].value[1, 2] = poison
    before = model.state_dict()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    with pytest.raises(
        FloatingPointError, match=r"train_step: the loss is .* at learning rate 0\.25: use a l"
    ):
        train.train_step(model, split.images, split.labels, optimizer, lr_factor=0.5)
    assert_same_state(model.state_dict(), before)
    assert optimizer.state_dict()["steps"].max() == 0


# --- gradient accumulation ----------------------------------------------------------------------------------
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_micro_batches_add_up_to_one_batch(parts):
    """Gradients accumulate until zero_grad: k small batches make one large step (without batch norm)."""
    split = make_split(8)
    x = split.images / np.float64(255)
    whole, model = (make_linear(dtype=np.float64) for _ in range(2))
    optimizer, accumulated = optim.Adam(whole.parameters()), optim.Adam(model.parameters())
    train.train_step(whole, x, split.labels, optimizer)

    accumulated.zero_grad()
    for part in np.split(np.arange(8), parts):
        logits, backward = model.forward(x[part], train=True)
        _, probabilities = softmax_cross_entropy(logits, split.labels[part])
        backward(softmax_cross_entropy_backward(probabilities, split.labels[part]) / parts)
    accumulated.step()
    for mine, theirs in zip(model.parameters(), whole.parameters(), strict=True):
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-10, atol=1e-13)
