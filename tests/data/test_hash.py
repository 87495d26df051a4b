"""The random numbers themselves: a run goes on tomorrow, on another machine, with the same ones."""

import numpy as np
import pytest

from npdsconv.data import Affine, Crop, CutOut, Flip, GaussianNoise, SaltAndPepper, _hash, batches


def test_the_bits_are_these_for_ever():
    assert _hash.bits(1, 2, 3, np.arange(3)).tolist() == [
        9066125172764976289,
        2412988056632517656,
        1386873871410966970,
    ]
    np.testing.assert_allclose(_hash.uniform(5, 0, 7, np.array([9])), 0.4220614771934236, rtol=1e-15)
    assert _hash.permutation(4, 5, 6, 9).tolist() == [7, 5, 0, 2, 6, 1, 3, 8, 4]


def test_the_bits_are_split_mix_by_whole_numbers():
    """The finaliser of SplitMix64, written out in Python's integers."""
    most = 2**64 - 1

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & most
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & most
        return z ^ (z >> 31)

    key = 0
    for word in (1, 2, 3):
        key = mix((key + word + 0x9E3779B97F4A7C15) & most)
    expected = [mix(mix((index * 0x9E3779B97F4A7C15 + key) & most) ^ key) for index in (0, 1, 70_000)]
    assert _hash.bits(1, 2, 3, np.array([0, 1, 70_000])).tolist() == expected
    assert _hash.uniform(1, 2, 3, np.array([0, 1, 70_000])).tolist() == [
        (bits >> 11) / 2**53 for bits in expected
    ]


@pytest.mark.parametrize("value", [0, 2**64 - 1, np.int64(3), np.uint64(2**64 - 1)])
def test_keys_are_whole_numbers_of_64_bits(value):
    assert _hash.check_key("f", "seed", value) == value
    assert type(_hash.check_key("f", "seed", value)) is int


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (2**64, ValueError), (1.0, TypeError), ("1", TypeError)]
)
def test_other_keys_are_refused(value, error):
    with pytest.raises(error, match=r"^f: seed"):
        _hash.check_key("f", "seed", value)


@pytest.mark.parametrize(
    ("augment", "sums"),
    [
        (Crop(2), [0.09375, 3.0]),
        (Flip(), [2.4375, 6.9375]),
        (GaussianNoise(0.3), [1.138995, 7.498489]),
        (SaltAndPepper(0.6), [5.03125, 7.71875]),
        (CutOut(2), [1.5, 5.0]),
        (Affine(rotate=40, shift=1, scale=0.4, shear=20), [1.010362, 6.437574]),
    ],
    ids=repr,
)
def test_an_augmentation_is_the_same_in_every_version(augment, sums):
    """Each draws from a stream of its own: with another one all images would be others."""
    x = np.arange(1, 25.0).reshape(2, 1, 3, 4) / 32
    y = augment(x, seed=3, epoch=4, index=np.array([10, 11]))
    np.testing.assert_allclose(y.sum(axis=(1, 2, 3)), sums, atol=1e-6)


def test_the_order_of_the_images_is_the_same_in_every_version():
    images = np.zeros((7, 1, 1, 1), np.uint8)
    (found,) = (labels.tolist() for _, labels in batches(images, np.arange(7), 7, seed=2, epoch=3))
    assert found == [4, 1, 3, 6, 2, 5, 0]
