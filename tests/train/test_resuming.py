"""Runs that resume to the last bit, and runs that end before their time."""

import numpy as np
import pytest
from helpers import assert_same_state
from training import SETTINGS, assert_same_results, make_linear, make_model, make_split, run

from npdsconv import checkpoint, optim, train
from npdsconv.data import Affine

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

    optimizer = Keeping(model.parameters(), lr=1e60)
    with pytest.raises(
        FloatingPointError,
        match=r"epochs: epoch \d, step \d of 4: the loss is (nan|inf) at learning rate 1e\+60",
    ):
        run(model, optimizer, split, epochs=9)
    assert_same_state(model.state_dict(), states[-1])
