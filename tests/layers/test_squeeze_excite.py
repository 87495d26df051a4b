"""Squeeze-and-excite: PyTorch's numbers, its names, and what it refuses. The rest is in house/test_every_layer.py."""

import numpy as np
import pytest
from helpers import assert_same_gradients, gradients, normal, settled

from npdsconv.layers import SqueezeExcite, set_impl
from npdsconv.layers.activations import ACTIVATIONS


def layer(impl="im2col", **options):
    return set_impl(settled(SqueezeExcite(6, 4, rng=0, **options)), impl)


@pytest.mark.parametrize("gate", ACTIVATIONS)
@pytest.mark.parametrize("impl", ["naive", "loops", "numba"])
def test_all_tiers_agree(impl, gate):
    x, dy = normal(2, 6, 3, 5), normal(2, 6, 3, 5, seed=1)
    reference, other = layer(gate=gate), layer(impl, gate=gate)
    assert_same_gradients(gradients(other, x, dy), gradients(reference, x, dy), 1e-12, 1e-12)
    np.testing.assert_allclose(other(x), reference.forward(x, train=True)[0], 1e-12)


def test_pytorch_finds_the_same_numbers(torch):
    squeeze, x, dy = layer(), normal(2, 6, 3, 5), normal(2, 6, 3, 5, seed=1)
    state = squeeze.state_dict()
    assert list(state) == ["reduce.weight", "reduce.bias", "expand.weight", "expand.bias"]
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in state.items()}
    image = torch.tensor(x, requires_grad=True)
    means = image.mean(dim=(2, 3))
    hidden = torch.relu(means @ tensors["reduce.weight"].T + tensors["reduce.bias"])
    s = torch.sigmoid(hidden @ tensors["expand.weight"].T + tensors["expand.bias"])
    y = image * s[:, :, None, None]
    np.testing.assert_allclose(squeeze(x), y.detach().numpy(), 1e-12)
    dx, *rest = torch.autograd.grad(y, [image, *tensors.values()], torch.tensor(dy))
    theirs = dx.numpy(), dict(zip(tensors, (tensor.numpy() for tensor in rest), strict=True))
    assert_same_gradients(gradients(squeeze, x, dy), theirs)


def test_parameters_learn_without_dx():
    squeeze, x, dy = layer(), normal(2, 6, 3, 5), normal(2, 6, 3, 5, seed=1)
    _, expected = gradients(squeeze, x, dy)
    for p in squeeze.parameters():
        p.grad[...] = 0
    squeeze.forward(x, train=True)[1](dy, dx=False)
    for name, p in squeeze.named_parameters():
        np.testing.assert_array_equal(p.grad, expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SqueezeExcite(0, 2), "SqueezeExcite: channels must be an int of at least 1, got 0"),
        (lambda: SqueezeExcite(4, 2.0), "SqueezeExcite: squeezed must be an int of at least 1, got 2.0"),
        (lambda: SqueezeExcite(4, 2, gate="gelu"), "SqueezeExcite: gate must be one of relu, .*, got 'gelu'"),
        (lambda: SqueezeExcite(4, 2, activation=None), "SqueezeExcite: activation must be .*, got None"),
        (lambda: SqueezeExcite(4, 2, impl="x"), "SqueezeExcite: impl must be one of naive, im2col, loops"),
    ],
)
def test_constructors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
