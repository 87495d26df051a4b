"""Groups of parameters: each moves as with an optimiser of its own."""

import numpy as np
import pytest

from npdsconv import optim
from npdsconv.layers import Parameter

KINDS = {
    "sgd": (optim.SGD, {"momentum": 0.9}),
    "adam": (optim.Adam, {}),
    "adamw": (optim.AdamW, {}),
}


def parameters(seed):
    rng = np.random.default_rng(seed)
    return [Parameter(rng.standard_normal(shape)) for shape in ((4, 3), (5,), (2, 3, 1))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_moves_as_with_an_optimiser_of_its_own(kind):
    build, options = KINDS[kind]
    together, apart = (parameters(0) + parameters(1) for _ in range(2))
    first, second = {"lr": 0.03, "weight_decay": 0.2}, {"weight_decay": 0.05}
    one = build(
        [{"params": together[:3], **first}, {"params": iter(together[3:]), **second}], lr=0.1, **options
    )
    two = [
        build(apart[:3], **{"lr": 0.1, **options, **first}),
        build(apart[3:], **{"lr": 0.1, **options, **second}),
    ]
    rng = np.random.default_rng(2)
    for step in range(6):
        for a, b in zip(together, apart, strict=True):
            a.grad[...] = b.grad[...] = rng.standard_normal(a.value.shape)
        if step == 3:  # the rates of groups follow the optimiser's
            one.lr *= 0.5
            two[0].lr *= 0.5
            two[1].lr *= 0.5
        one.step(0.7)
        for optimizer in two:
            optimizer.step(0.7)
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12, atol=1e-14)


def test_vectors_of_a_group_can_be_spared():
    w, b = Parameter(np.ones((2, 3))), Parameter(np.ones(3))
    optim.SGD([{"params": [w, b], "weight_decay": 0.5}], lr=0.1, decay_1d=False).step()
    np.testing.assert_allclose(w.value, 0.95)
    np.testing.assert_array_equal(b.value, 1)


@pytest.mark.parametrize(
    ("groups", "error", "said"),
    [
        (
            lambda a, b: [{"params": a}, *b],
            TypeError,
            "SGD: parameters holds groups and parameters: give groups only",
        ),
        (
            lambda a, b: [{"params": a, "momentum": 0}],
            ValueError,
            "SGD: group 0 has 'momentum'; params, lr",
        ),
        (
            lambda a, b: [{"params": a}, {"params": a[:1]}],
            ValueError,
            "SGD: 1 parameters of group 1 are in an earlier",
        ),
        (lambda a, b: [{"params": a}, {"params": []}], ValueError, "SGD: group 1: no parameters"),
        (lambda a, b: [{"params": a, "lr": -1}], ValueError, "SGD: lr of group 0 -1 must be >= 0"),
        (
            lambda a, b: [{"params": a, "weight_decay": np.nan}],
            ValueError,
            "SGD: weight_decay of group 0 nan must be",
        ),
        (lambda a, b: [{"params": [3.0]}], TypeError, "SGD: group 0: parameters holds a float"),
    ],
)
def test_groups_that_cannot_work(groups, error, said):
    with pytest.raises(error, match=f"^{said}"):
        optim.SGD(groups(parameters(0), parameters(1)), lr=0.1)


@pytest.mark.parametrize("rate", [0.1, 1, 1.0])
def test_a_rate_of_its_own_needs_a_rate_to_compare_with(rate):
    with pytest.raises(
        ValueError, match=r"SGD: lr of group 1 .* must be >= 0, and 0 where lr is 0, and finite"
    ):
        optim.SGD([{"params": parameters(0)}, {"params": parameters(1), "lr": rate}], lr=0.0)


def test_groups_that_rest():
    """With a rate of 0, whether the others move or not."""
    still, moving = Parameter(np.ones((2, 3))), Parameter(np.ones((2, 3)))
    for p in (still, moving):
        p.grad[...] = 1
    for lr, value in ((0, 1), (0.25, 0.75)):
        optim.SGD([{"params": [still], "lr": 0}, {"params": [moving]}], lr=lr).step()
        np.testing.assert_array_equal(still.value, 1)
        np.testing.assert_array_equal(moving.value, value)


def test_how_many_parameters_are_in_two_groups():
    a, b = parameters(0), parameters(1)
    with pytest.raises(ValueError, match=r"^SGD: 2 parameters of group 1 are in an earlier group too$"):
        optim.SGD([{"params": a}, {"params": [*b, *a[:2]]}], lr=0.1)
