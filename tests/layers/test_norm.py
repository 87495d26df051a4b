"""Batch norm: running statistics by hand, frozen, against PyTorch; what its constructor refuses."""

from functools import partial

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, normal, settled

from npdsconv.layers import BatchNorm2d


def test_running_statistics_by_hand():
    """Channel 0: 1 2 3 6, mean 3, unbiased variance 14/3. Channel 1: 0 0 4 4, mean 2 and 16/3."""
    layer = BatchNorm2d(2, momentum=0.1, impl="numpy").astype(np.float64)
    x = np.array([[1.0, 0], [2, 0], [3, 4], [6, 4]]).reshape(4, 2, 1, 1)
    layer.forward(x, train=True)
    np.testing.assert_allclose(layer.running_mean.value, [0.3, 0.2], 1e-12)
    np.testing.assert_allclose(layer.running_var.value, [0.9 + 1.4 / 3, 0.9 + 1.6 / 3], 1e-12)
    layer.forward(-x, train=True)
    np.testing.assert_allclose(layer.running_mean.value, [0.27 - 0.3, 0.18 - 0.2], 1e-12)
    np.testing.assert_allclose(layer.running_var.value, [0.81 + 0.19 * 14 / 3, 0.81 + 0.19 * 16 / 3], 1e-12)
    expected = (x[:, 0] + 0.03) / np.sqrt(0.81 + 0.19 * 14 / 3 + 1e-5)
    np.testing.assert_allclose(layer(x)[:, 0], expected, 1e-12)


@pytest.mark.parametrize("impl", ["numpy", "numba"])
def test_batch_norm_is_pytorchs(impl):
    torch = pytest.importorskip("torch")
    ours = settled(BatchNorm2d(3, eps=1e-3, momentum=0.3, impl=impl))
    theirs = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.3).double()
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state | {"num_batches_tracked": torch.tensor(0)})
    for seed in range(3):
        x, dy = 2 + 3 * normal(4, 3, 2, 5, seed=seed), normal(4, 3, 2, 5, seed=seed + 10)
        tx = torch.tensor(x, requires_grad=True)
        ty = theirs(tx)
        theirs.zero_grad()
        ty.backward(torch.tensor(dy))
        dx, grads = gradients(ours, x, dy)
        expected = {"weight": theirs.weight.grad.numpy(), "bias": theirs.bias.grad.numpy()}
        assert_same_gradients((dx, grads), (tx.grad.numpy(), expected), 1e-9, 1e-9)
        np.testing.assert_allclose(ours.running_mean.value, theirs.running_mean.numpy(), 1e-12)
        np.testing.assert_allclose(ours.running_var.value, theirs.running_var.numpy(), 1e-12)
    x = torch.tensor(normal(4, 3, 2, 5, seed=20))
    np.testing.assert_allclose(ours(x.numpy()), theirs.eval()(x).detach().numpy(), 1e-9)


def test_frozen_batch_norm_uses_its_running_statistics_and_keeps_them():
    x, dy = normal(4, 3, 2, 5), normal(4, 3, 2, 5, seed=1)
    layer = settled(BatchNorm2d(3, impl="numpy")).freeze()
    state = layer.state_dict()
    y, backward = layer.forward(x, train=True)
    mean, var = (layer.running_mean.value, layer.running_var.value)
    scale = layer.weight.value / np.sqrt(var + 1e-5)
    column = partial(np.reshape, shape=(3, 1, 1))
    np.testing.assert_allclose(y, (x - column(mean)) * column(scale) + column(layer.bias.value), 1e-12)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)
    layer.unfreeze().forward(5 * x + 3, train=True)  # moves the statistics, which the pullback must not see
    np.testing.assert_allclose(backward(dy), dy * column(scale), 1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BatchNorm2d(-2), ValueError, "BatchNorm2d: num_features must be .*, got -2"),
        (lambda: BatchNorm2d(2, impl="x"), ValueError, "BatchNorm2d: impl must be one of naive, im2col"),
        (
            lambda: BatchNorm2d(2, eps=-1),
            ValueError,
            r"BatchNorm2d: eps must be a number in \(0, inf\), got -1",
        ),
        (
            lambda: BatchNorm2d(2, eps=0),
            ValueError,
            r"BatchNorm2d: eps must be a number in \(0, inf\), got 0",
        ),
        (lambda: BatchNorm2d(2, eps=float("nan")), ValueError, "BatchNorm2d: eps must be .*, got nan"),
        (lambda: BatchNorm2d(2, eps="1"), ValueError, "BatchNorm2d: eps must be a number .*, got '1'"),
        (lambda: BatchNorm2d(2, momentum=7), ValueError, r"momentum must be a number in \[0, 1\], got 7"),
        (lambda: BatchNorm2d(2, momentum=None), ValueError, "momentum must be a number .*, got None"),
    ],
)
def test_constructors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
