"""Training: one step by hand, exact counting, and runs that resume to the last bit."""

import gc
import io
import math
import weakref

import numpy as np
import pytest

from npdsconv import checkpoint, layers, optim, train
from npdsconv.data import Affine, Split
from npdsconv.ops import softmax, softmax_cross_entropy, softmax_cross_entropy_backward

CLASSES = 3


def make_split(n=20, seed=0, classes=CLASSES, size=(6, 5)):
    """Images of noise in which a bright row gives the class away."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.integers(0, 100, (n, 1, *size), dtype=np.uint8)
    images[np.arange(n), 0, labels] += 120
    return Split(images, labels)


def make_model(seed=0, impl="im2col"):
    """Everything that has a state: batch norm, dropout, both separable convolutions, biases."""
    rng = np.random.default_rng(seed)
    model = layers.Sequential(
        layers.Conv2d(1, 4, (3, 2), padding=1, bias=False, rng=rng),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.DepthwiseSeparableConv2d(4, 6, 3, stride=2, padding=1, rng=rng),
        layers.Dropout(0.25, rng=rng),
        layers.GlobalAvgPool2d(),
        layers.Flatten(),
        layers.Linear(6, CLASSES, rng=rng),
    )
    return layers.set_impl(model, impl)


def make_linear(seed=0, pixels=30, dtype=np.float32):
    model = layers.Sequential(
        layers.Flatten(), layers.Linear(pixels, CLASSES, rng=np.random.default_rng(seed))
    )
    return layers.set_impl(model, "im2col").astype(dtype)


def assert_same_state(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


def assert_same_results(actual, expected):
    for mine, theirs in zip(actual, expected, strict=True):
        for name, value in mine._asdict().items():
            if name == "validation" and value is not None:
                for a, b in zip(value, theirs.validation, strict=True):
                    np.testing.assert_array_equal(a, b)
            elif name != "seconds":
                assert value == getattr(theirs, name), name


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


class Watched(layers.Layer):
    """Wraps a layer and counts its calls; remembers its closures weakly."""

    def __init__(self, inner):
        self.inner = inner
        self.closures, self.sizes, self.images = (), (), ()

    def forward(self, x, *, train):
        y, inner_backward = self.inner.forward(x, train=train)

        def backward(dy):
            return inner_backward(dy)

        if train:
            self.closures += (weakref.ref(backward),)
            self.sizes += (len(x),)
            self.images += (x.copy(),)
        return y, backward


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
    with pytest.raises(ValueError, match=r"logits must have axes \(N, K\), got shape \(3, 6, 1, 1\)"):
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


# --- epochs -------------------------------------------------------------------------------------------------
SETTINGS = {"epochs": 4, "batch_size": 6, "seed": 11}


def run(model, optimizer, split, **changes):
    return train.fit(model, split, optimizer, **{**SETTINGS, **changes})


@pytest.mark.parametrize(
    ("n", "drop_last", "sizes"), [(20, False, [6, 6, 6, 2]), (20, True, [6, 6, 6]), (18, False, [6, 6, 6])]
)
def test_epochs_steps_and_images_are_counted_exactly(n, drop_last, sizes):
    split, model = make_split(n), Watched(make_linear())
    optimizer = optim.Adam(model.parameters())
    results = run(model, optimizer, split, drop_last=drop_last)
    assert [result.epoch for result in results] == [1, 2, 3, 4]
    assert [result.steps for result in results] == [len(sizes) * k for k in (1, 2, 3, 4)]
    assert list(model.sizes) == sizes * 4
    np.testing.assert_array_equal(optimizer.state_dict()["steps"], len(sizes) * 4)
    assert train.steps_per_epoch(n, 6, drop_last=drop_last) == len(sizes)
    assert all(result.seconds > 0 and result.validation is None for result in results)
    if not drop_last:  # every image once in each epoch, in another order each time
        seen = np.concatenate(model.images).reshape(4, n, -1)
        everything = (split.images / np.float32(255)).reshape(n, -1)
        for epoch in seen:
            np.testing.assert_array_equal(np.sort(epoch.sum(axis=1)), np.sort(everything.sum(axis=1)))
        assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize(("drop_last", "seen"), [(False, 20), (True, 16)])
def test_an_epoch_is_its_steps(drop_last, seen):
    """The loop adds nothing to `train_step`: same weights, and the means of what the steps returned."""
    from npdsconv.data import batches

    split, schedule = make_split(20), optim.cosine(20, final=0.1)
    model, other = make_model(), make_model()
    optimizer, hand = optim.Adam(model.parameters(), lr=0.01), optim.Adam(other.parameters(), lr=0.01)
    augment = Affine(rotate=20, shift=1)
    common = {"augment": augment, "batch_size": 8, "seed": 11, "drop_last": drop_last}
    results = train.fit(model, split, optimizer, schedule=schedule, label_smoothing=0.1, epochs=2, **common)
    step = 0
    for epoch in range(2):
        total = 0.0
        for x, labels in batches(split.images, split.labels, epoch=epoch, **common):
            loss = train.train_step(other, x, labels, hand, label_smoothing=0.1, lr_factor=schedule(step))
            total, step = total + loss * len(x), step + 1
        assert results[epoch].train_loss == total / seen
        assert results[epoch].lr == 0.01 * schedule(step - 1)
    assert_same_state(model.state_dict(), other.state_dict())
    assert_same_state(optimizer.state_dict(), hand.state_dict())
    assert optimizer.lr == 0.01


def test_train_accuracy_is_that_of_the_logits_as_they_come():
    split, model = make_split(10), make_linear()
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    expected = train.evaluate(model, split.images, split.labels)
    (result,) = run(model, optimizer, split, epochs=1, batch_size=3)
    assert result.train_accuracy == expected.accuracy
    np.testing.assert_allclose(result.train_loss, expected.loss, rtol=1e-6)


def test_it_learns():
    split, model = make_split(60), make_linear()
    results = run(model, optim.Adam(model.parameters(), lr=0.05), split, epochs=12)
    assert results[-1].train_loss < results[0].train_loss / 3
    assert results[-1].train_accuracy == 1.0


def test_validation_is_the_evaluation_after_each_epoch_and_changes_nothing():
    split, held = make_split(20), make_split(9, seed=5)
    model, plain = make_model(), make_model()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    results = []
    for result in train.epochs(model, split, optimizer, validation=held, **SETTINGS):
        again = train.evaluate(model, held.images, held.labels)
        train.predict(model, split.images)
        for a, b in zip(result.validation, again, strict=True):
            np.testing.assert_array_equal(a, b)
        results.append(result._replace(validation=None))
    assert_same_results(results, run(plain, optim.Adam(plain.parameters(), lr=0.01), split))
    assert_same_state(model.state_dict(), plain.state_dict())


def test_nothing_happens_before_the_first_iteration_or_after_the_last():
    split, model = make_split(20), make_model()
    before, optimizer = model.state_dict(), optim.Adam(model.parameters())
    generator = train.epochs(model, split, optimizer, **SETTINGS)
    assert_same_state(model.state_dict(), before)
    assert len(list(generator)) == 4
    after = model.state_dict()
    assert list(generator) == []
    assert_same_state(model.state_dict(), after)


def test_stopping_early_is_harmless():
    split = make_split(20)
    model, short = make_model(), make_model()
    settings = {**SETTINGS, "schedule": optim.exponential(0.9)}
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    generator = train.epochs(model, split, optimizer, **settings)
    for result in generator:
        if result.epoch == 2:
            break
    generator.close()
    run(short, optim.Adam(short.parameters(), lr=0.01), split, epochs=2, schedule=settings["schedule"])
    assert_same_state(model.state_dict(), short.state_dict())
    assert optimizer.lr == 0.01


def test_nothing_global_is_held_across_a_yield():
    split, model = make_split(20), make_linear()
    with np.errstate(over="raise", invalid="call"):
        before = np.geterr()
        for _ in train.epochs(model, split, optim.Adam(model.parameters()), **SETTINGS):
            assert np.geterr() == before
        assert np.geterr() == before


def test_two_runs_may_be_interleaved():
    split = make_split(20)
    models = [make_model(1), make_model(2)]
    runs = [train.epochs(m, split, optim.Adam(m.parameters(), lr=0.01), **SETTINGS) for m in models]
    for _ in zip(*runs, strict=True):
        pass
    for seed, model in zip((1, 2), models, strict=True):
        alone = make_model(seed)
        run(alone, optim.Adam(alone.parameters(), lr=0.01), split)
        assert_same_state(model.state_dict(), alone.state_dict())


def test_frozen_layers_keep_their_bits_and_the_rest_learns():
    split, model = make_split(20), make_model()
    model[0].freeze()
    before = model.state_dict()
    run(model, optim.AdamW(model.parameters(), lr=0.01), split, epochs=2)
    after = model.state_dict()
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert (after["7.weight"] != before["7.weight"]).any()


# --- resuming -----------------------------------------------------------------------------------------------
OPTIMIZERS = {
    "adamw": lambda model: optim.AdamW(model.parameters(), lr=0.02, decay_1d=False),
    "nesterov": lambda model: optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize(
    ("name", "impl", "epochs"), [("adamw", "im2col", 4), ("nesterov", "im2col", 4), ("adamw", "numba", 2)]
)
def test_resuming_after_any_epoch_is_bit_identical(tmp_path, name, impl, epochs):
    """Through a file, into fresh objects with other weights; with dropout, batch norm and augmentation."""
    split, held = make_split(8), make_split(7, seed=5)
    steps = train.steps_per_epoch(8, 6)
    settings = {
        **SETTINGS,
        "epochs": epochs,
        "schedule": optim.warm_up(optim.cosine(epochs * steps), 3),
        "augment": Affine(rotate=15, shift=1, scale=0.1),
        "validation": held,
        "label_smoothing": 0.05,
    }

    def save(path, model, optimizer, epoch):
        checkpoint.save(path, model=model, optimizer=optimizer, epoch=epoch)

    model = make_model(impl=impl)
    optimizer = OPTIMIZERS[name](model)
    save(tmp_path / "0.npz", model, optimizer, 0)
    expected = []
    for result in train.epochs(model, split, optimizer, **settings):
        save(tmp_path / f"{result.epoch}.npz", model, optimizer, result.epoch)
        expected.append(result)

    for epoch in range(epochs + 1):
        saved = checkpoint.load(tmp_path / f"{epoch}.npz")
        resumed = make_model(seed=99, impl=impl)
        other = OPTIMIZERS[name](resumed)
        resumed.load_state_dict(saved.state)
        other.load_state_dict(saved.optimizer)
        results = train.fit(resumed, split, other, start_epoch=saved.meta["epoch"], **settings)
        assert_same_results(results, expected[epoch:])
        assert_same_state(resumed.state_dict(), model.state_dict())
        assert_same_state(other.state_dict(), optimizer.state_dict())


def test_resuming_needs_the_optimizer_and_the_buffers(tmp_path):
    """The test above can fail: leaving either out changes the weights."""
    split = make_split(20)
    model = make_model()
    optimizer = OPTIMIZERS["adamw"](model)
    run(model, optimizer, split, epochs=2)
    saved = (model.state_dict(), optimizer.state_dict())
    run(model, optimizer, split, start_epoch=2)
    for forget in ("optimizer", "buffers"):
        resumed = make_model(seed=99)
        other = OPTIMIZERS["adamw"](resumed)
        resumed.load_state_dict(saved[0])
        if forget != "optimizer":
            other.load_state_dict(saved[1])
        if forget == "buffers":
            for (_, buffer), (_, fresh) in zip(
                resumed.named_buffers(), make_model(seed=99).named_buffers(), strict=True
            ):
                buffer.value[...] = fresh.value
        run(resumed, other, split, start_epoch=2)
        assert not np.array_equal(resumed.state_dict()["7.weight"], model.state_dict()["7.weight"]), forget


def test_other_seeds_are_other_runs():
    split, states = make_split(20), []
    for seed in (11, 12):
        model = make_model()
        run(model, optim.Adam(model.parameters(), lr=0.01), split, seed=seed, epochs=1)
        states.append(model.state_dict()["7.weight"])
    assert not np.array_equal(*states)


# --- interruptions ------------------------------------------------------------------------------------------
def test_ctrl_c_goes_to_the_caller_and_ends_the_generator():
    split, model = make_split(20), make_model()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def interrupting(numbers):
        for step in numbers:
            if step == 6:
                raise KeyboardInterrupt
            yield step

    generator = train.epochs(model, split, optimizer, progress=interrupting, **SETTINGS)
    assert next(generator).epoch == 1
    with pytest.raises(KeyboardInterrupt):
        next(generator)
    assert list(generator) == []  # it does not go on with the next epoch
    np.testing.assert_array_equal(optimizer.state_dict()["steps"], 6)
    assert all(np.isfinite(array).all() for array in model.state_dict().values())


def test_a_diverging_run_says_where_and_keeps_the_last_good_parameters():
    split, model = make_split(20), make_linear()
    states = []

    class Keeping(optim.SGD):
        def step(self, factor=1.0):
            super().step(factor)
            states.append(model.state_dict())

    optimizer = Keeping(model.parameters(), lr=1e38)
    with pytest.raises(
        FloatingPointError,
        match=r"epochs: epoch \d, step \d of 4: the loss is (nan|inf) at learning rate 1e\+38",
    ):
        run(model, optimizer, split, epochs=9)
    assert_same_state(model.state_dict(), states[-1])


# --- progress -----------------------------------------------------------------------------------------------
def test_progress_wraps_the_step_numbers_of_each_epoch():
    split, model, seen = make_split(20), make_linear(), []

    def progress(numbers):
        seen.append(list(numbers))
        return numbers

    run(model, optim.Adam(model.parameters()), split, epochs=3, start_epoch=1, progress=progress)
    assert seen == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_tqdm_is_a_progress():
    tqdm = pytest.importorskip("tqdm").tqdm
    split, model, screen = make_split(20), make_linear(), io.StringIO()
    run(
        model,
        optim.Adam(model.parameters()),
        split,
        epochs=1,
        progress=lambda numbers: tqdm(numbers, file=screen, mininterval=0),
    )
    assert "4/4" in screen.getvalue()


# --- settings that cannot work ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"start_epoch": 5}, ValueError, r"epochs: start_epoch 5 must lie in 0 … 4, the number of epochs"),
        ({"start_epoch": -1}, ValueError, r"epochs: start_epoch -1 must lie in 0 … 4"),
        ({"epochs": -1}, ValueError, r"epochs: start_epoch 0 must lie in 0 … -1"),
        ({"batch_size": 0}, ValueError, r"batch size 0 is below 1"),
        ({"batch_size": 21, "drop_last": True}, ValueError, r"epochs: 20 images give no batch of 21"),
        ({"seed": -1}, ValueError, r"seed"),
        ({"batch_sise": 3}, TypeError, r"batch_sise"),
    ],
)
def test_bad_settings_are_refused_at_the_call(changes, error, message):
    model = make_linear()
    with pytest.raises(error, match=message):
        train.epochs(model, make_split(20), optim.Adam(model.parameters()), **{**SETTINGS, **changes})


def test_a_data_set_without_images():
    model, split = make_linear(), make_split(4)
    empty = Split(split.images[:0], split.labels[:0])
    with pytest.raises(ValueError, match=r"epochs: 0 images give no batch of 6"):
        run(model, optim.Adam(model.parameters()), empty)
    with pytest.raises(ValueError, match=r"the mean over an empty batch does not exist"):
        train.evaluate(model, empty.images, empty.labels)


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


# --- evaluate and predict -----------------------------------------------------------------------------------
def test_evaluate_by_hand():
    model = make_linear(pixels=2, dtype=np.float64)
    weight, bias = (p.value for p in model.parameters())
    weight[...], bias[...] = [[0, 0], [math.log(2), 0], [0, math.log(3)]], 0
    images = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).reshape(4, 1, 1, 2)
    # probabilities: 1/3 1/3 1/3; 1/4 1/2 1/4; 1/5 1/5 3/5 twice
    result = train.evaluate(model, images, np.array([0, 1, 2, 1]))
    assert result.accuracy == 0.75
    np.testing.assert_allclose(result.loss, math.log(3 * 2 * (5 / 3) * 5) / 4, rtol=1e-12)
    np.testing.assert_array_equal(result.predictions, [0, 1, 2, 2])
    np.testing.assert_allclose(result.probabilities[2], [0.2, 0.2, 0.6], rtol=1e-12)
    np.testing.assert_array_equal(result.confusion, [[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert type(result.accuracy) is float


@pytest.mark.parametrize("batch_size", [1, 7, 19, 20, 1000])
def test_the_batch_size_of_an_evaluation_does_not_matter(batch_size):
    split, model = make_split(20), make_model()
    result = train.evaluate(model, split.images, split.labels, batch_size=batch_size)
    expected = train.evaluate(model, split.images / np.float32(255), split.labels)
    np.testing.assert_allclose(result.probabilities, expected.probabilities, rtol=1e-5)
    np.testing.assert_allclose(result.loss, expected.loss, rtol=1e-5)
    np.testing.assert_array_equal(result.confusion, expected.confusion)
    np.testing.assert_allclose(
        train.predict(model, split.images, batch_size=batch_size), expected.probabilities, rtol=1e-5
    )


def test_evaluation_leaves_model_and_arrays_alone():
    split, model = make_split(20), make_model()
    run(model, optim.Adam(model.parameters(), lr=0.01), split, epochs=1)
    before = model.state_dict()
    gradients = [p.grad.copy() for p in model.parameters()]
    images = split.images.copy()
    split.images.flags.writeable = False
    train.evaluate(model, split.images, split.labels, batch_size=3)
    train.predict(model, split.images)
    assert_same_state(model.state_dict(), before)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    np.testing.assert_array_equal(split.images, images)


def test_probabilities_are_distributions_also_for_no_images():
    split, model = make_split(5), make_linear()
    probabilities = train.predict(model, split.images)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(5), rtol=1e-6)
    assert train.predict(model, split.images[:0]).shape == (0, CLASSES)


def test_bad_evaluations():
    split, model = make_split(5), make_linear()
    with pytest.raises(
        ValueError, match=r"evaluate: labels have shape \(4,\), expected \(5,\), one for each"
    ):
        train.evaluate(model, split.images, split.labels[:4])
    with pytest.raises(ValueError, match=r"labels lie in .* must be in 0 … 2"):
        train.evaluate(model, split.images, split.labels + 1)
    with pytest.raises(ValueError, match=r"predict: batch size 0 is below 1"):
        train.predict(model, split.images, batch_size=0)
    with pytest.raises(ValueError, match=r"evaluate: batch size -1 is below 1"):
        train.evaluate(model, split.images, split.labels, batch_size=-1)
