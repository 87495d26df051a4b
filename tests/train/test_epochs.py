"""Epochs: exact counting, validation, stopping early, progress, what is refused at the call."""

import io

import numpy as np
import pytest
from helpers import assert_same_state
from training import CLASSES, SETTINGS, Watched, assert_same_results, make_linear, make_model, make_split, run

from npdsconv import layers, optim, train
from npdsconv.data import Affine, Split


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


def test_seconds_are_those_of_training_alone(monkeypatch):
    """A clock that says 10, 12.5 at the end of the epoch, and so on; validation is not in between."""
    times = iter([10.0, 12.5, 100.0, 107.0])
    monkeypatch.setattr("npdsconv.train.loop.time.perf_counter", lambda: next(times))
    model, split = make_linear(), make_split(6)
    results = run(model, optim.SGD(model.parameters(), lr=0.1), split, epochs=2, validation=split)
    assert [result.seconds for result in results] == [2.5, 7.0]


def test_a_loss_that_is_not_finite_is_told_with_its_place():
    """20 images in batches of 6: the seventh step is the third of the second epoch."""
    model, seen = make_linear(), []

    def loss(output, labels):
        seen.append(output.shape)
        return (np.inf if len(seen) == 7 else 1.0), np.zeros_like(output)

    optimizer = optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(
        FloatingPointError,
        match=r"^epochs: epoch 2, step 3 of 4: the loss is inf at learning rate 0\.125: use a lower one$",
    ):
        run(model, optimizer, make_split(20), loss=loss, schedule=lambda step: 0.25 if step == 6 else 1.0)
    assert len(seen) == 7


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


# --- progress -----------------------------------------------------------------------------------------------
def test_progress_wraps_the_step_numbers_of_each_epoch():
    split, model, seen = make_split(20), make_linear(), []

    def progress(numbers):
        seen.append(list(numbers))
        return numbers

    run(model, optim.Adam(model.parameters()), split, epochs=3, start_epoch=1, progress=progress)
    assert seen == [[4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("wrap", [lambda numbers: numbers[:-1], lambda numbers: [*numbers, 99]])
def test_a_progress_that_loses_steps_is_noticed(wrap):
    model = make_linear()
    with pytest.raises(ValueError, match="zip"):
        run(model, optim.SGD(model.parameters(), lr=0.1), make_split(20), progress=wrap)


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


def test_labels_that_no_output_answers_for_are_refused_at_the_call():
    split, model = make_split(), make_model()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for label in (-1, CLASSES):
        labels = split.labels.copy()
        labels[-1] = label
        with pytest.raises(
            ValueError, match=rf"epochs: labels are from .*, and the model has {CLASSES} outputs"
        ):
            train.epochs(model, Split(split.images, labels), optimizer, epochs=1)
    maps = layers.Sequential(layers.PointwiseConv2d(1, 2, rng=0, impl="im2col"), layers.Flatten())
    pixels = Split(split.images[:, :1, :3, :3], split.labels % 17)
    train.epochs(
        maps, pixels, optim.SGD(maps.parameters(), lr=0.1), epochs=1
    )  # 18 outputs: one a pixel and channel


def test_a_data_set_without_images():
    model, split = make_linear(), make_split(4)
    empty = Split(split.images[:0], split.labels[:0])
    with pytest.raises(ValueError, match=r"epochs: 0 images give no batch of 6"):
        run(model, optim.Adam(model.parameters()), empty)
    with pytest.raises(ValueError, match=r"the mean over an empty batch does not exist"):
        train.evaluate(model, empty.images, empty.labels)


# --- an optimiser that does not belong to the model ---------------------------------------------------------
def of_a_copy(model):
    return optim.SGD(model.copy().parameters(), lr=0.1)


def of_one_more(model):
    return optim.SGD([*model.parameters(), *make_linear().parameters()], lr=0.1)


def made_before_the_head_was_replaced(model):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    head = next(k for k, layer in enumerate(model) if isinstance(layer, layers.Linear))
    model.layers[head] = model[head].copy()
    return optimizer


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            of_a_copy,
            r"2 of the optimiser's 2 parameters are not the model's, and it does not move '\d.weight', '\d.bias'",
        ),
        (of_one_more, r"2 of the optimiser's 4 parameters are not the model's, and it does not move nothing"),
        (
            made_before_the_head_was_replaced,
            r"2 of the optimiser's 2 .*make the optimiser anew, from model.parameters",
        ),
    ],
)
def test_an_optimiser_that_is_not_the_models_is_refused(make, said):
    model, split = make_linear(), make_split(20)
    optimizer = make(model)
    with pytest.raises(ValueError, match=f"^epochs: {said}"):
        train.epochs(model, split, optimizer, **SETTINGS)
    with pytest.raises(ValueError, match=f"^train_step: {said}"):
        train.train_step(model, split.images, split.labels, optimizer)


def test_an_optimiser_may_move_some_of_the_parameters():
    """The others stay as they are: one way to train a head alone."""
    model, split = make_linear(), make_split(20)
    weight, bias = model.parameters()
    before = bias.value.copy(), weight.value.copy()
    run(model, optim.SGD([weight], lr=0.1), split, epochs=1)
    np.testing.assert_array_equal(bias.value, before[0])
    assert (weight.value != before[1]).any()


# --- a last batch of one image ------------------------------------------------------------------------------
def with_batch_norm():
    rng = np.random.default_rng(4)
    return layers.Sequential(
        layers.Conv2d(1, 3, 4, rng=rng),
        layers.BatchNorm2d(3),
        layers.Flatten(),
        layers.Linear(3, CLASSES, rng=rng),
    )


def test_a_last_batch_of_one_is_refused_before_the_first_epoch_where_batch_norm_cannot_take_it():
    split, model = make_split(13), with_batch_norm()
    split = Split(split.images[:, :, :4, :4], split.labels)
    before, optimizer = model.state_dict(), optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        ValueError, match=r"^epochs: 13 images in batches of 6 leave a last batch of one.*drop_last=True"
    ):
        train.epochs(model, split, optimizer, **SETTINGS)
    assert_same_state(model.state_dict(), before)
    (result, *_) = run(model, optimizer, split, drop_last=True)
    assert result.steps == 2
    # a model that cannot take these images at all says so itself, in the first step
    with pytest.raises(ValueError, match=r"channels"):
        run(model, optimizer, Split(np.repeat(split.images, 2, axis=1), split.labels))


@pytest.mark.parametrize(("n", "batch_size"), [(12, 6), (14, 6), (12, 5), (13, 13)])
def test_other_last_batches_are_none_of_one(n, batch_size):
    split, model = make_split(n, size=(4, 4)), with_batch_norm()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    (result, *_) = run(model, optimizer, split, batch_size=batch_size)
    assert result.steps == -(-n // batch_size)


def test_where_no_epoch_is_left_a_last_batch_of_one_does_not_matter():
    split, model = make_split(13, size=(4, 4)), with_batch_norm()
    assert run(model, optim.SGD(model.parameters(), lr=0.1), split, start_epoch=4) == []


def test_a_last_batch_of_one_is_fine_where_nothing_is_averaged():
    model = make_linear()
    (result, *_) = run(model, optim.SGD(model.parameters(), lr=0.1), make_split(13))
    assert result.steps == 3
