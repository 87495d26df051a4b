"""Crop, flip, noise, cut-out: what they do to pixels, and that they depend on (seed, epoch, index) alone."""

import numpy as np
import pytest

from npdsconv.data import Affine, Compose, Crop, CutOut, Flip, GaussianNoise, SaltAndPepper

ALL = [
    Crop(2),
    Flip(),
    GaussianNoise(0.3),
    SaltAndPepper(0.2),
    CutOut(3),
    Compose(Affine(rotate=9), CutOut(4), Flip(0.4)),
]
every = pytest.mark.parametrize("augment", ALL, ids=repr)


def images(n=40, dtype=np.float32):
    return np.random.default_rng(3).uniform(0.1, 0.9, (n, 2, 7, 9)).astype(dtype)


def changed(augment, x, seed=1, epoch=2, first=0):
    return augment(x, seed=seed, epoch=epoch, index=np.arange(first, first + len(x)))


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_depend_on_seed_epoch_and_place_alone(augment, dtype):
    x = images(dtype=dtype)
    before = x.copy()
    y = changed(augment, x)
    np.testing.assert_array_equal(x, before)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    assert not np.shares_memory(x, y)
    in_parts = np.concatenate([changed(augment, x[:7]), changed(augment, x[7:], first=7)])
    np.testing.assert_array_equal(in_parts, y)
    for other in ({"seed": 9}, {"epoch": 3}, {"first": 1}):
        assert (changed(augment, x, **other) != y).any(), other


def test_a_crop_is_a_shift_by_whole_pixels_and_all_shifts_come():
    x = images(400)
    y, wide = changed(Crop(1), x), np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = set()
    for a, b in zip(wide, y, strict=True):
        fits = [(i, j) for i in range(3) for j in range(3) if np.array_equal(a[:, i : i + 7, j : j + 9], b)]
        assert len(fits) == 1
        found.update(fits)
    assert len(found) == 9


def test_a_flip_mirrors_about_half():
    x = images(400)
    y = changed(Flip(0.25), x)
    mirrored = [np.array_equal(b, a[..., ::-1]) for a, b in zip(x, y, strict=True)]
    same = [np.array_equal(b, a) for a, b in zip(x, y, strict=True)]
    assert sum(mirrored) + sum(same) == 400
    assert 60 < sum(mirrored) < 140
    np.testing.assert_array_equal(changed(Flip(0), x), x)
    np.testing.assert_array_equal(changed(Flip(1), x), x[..., ::-1])


def test_noise_has_its_spread_and_no_memory():
    x = np.zeros((300, 2, 7, 9))
    noise = changed(GaussianNoise(0.3), x)
    assert abs(noise.mean()) < 0.01
    np.testing.assert_allclose(noise.std(), 0.3, rtol=0.02)
    np.testing.assert_allclose(np.mean(np.abs(noise) < 0.3), 0.6827, atol=0.01)  # as of a normal number
    flat = noise.reshape(300, -1)
    assert abs(np.corrcoef(flat[:, 3], flat[:, 4])[0, 1]) < 0.2
    assert abs(np.corrcoef(flat[0], flat[1])[0, 1]) < 0.3


def test_salt_and_pepper_in_equal_parts():
    x = np.full((300, 2, 7, 9), 0.5)
    y = changed(SaltAndPepper(0.2), x)
    for value, share in ((0, 0.1), (1, 0.1), (0.5, 0.8)):
        np.testing.assert_allclose(np.mean(y == value), share, atol=0.01)


def test_a_cut_is_a_square_of_zeros_in_all_channels():
    x = images(200)
    y = changed(CutOut(3), x)
    sizes = set()
    for a, b in zip(x, y, strict=True):
        gone = b != a
        np.testing.assert_array_equal(gone[0], gone[1])
        rows, columns = np.flatnonzero(gone[0].any(axis=1)), np.flatnonzero(gone[0].any(axis=0))
        assert gone[0][np.ix_(rows, columns)].all()
        assert gone[0].sum() == len(rows) * len(columns)
        assert (b[gone] == 0).all()
        sizes.add((len(rows), len(columns)))
    assert (3, 3) in sizes
    assert sizes <= {(i, j) for i in (2, 3) for j in (2, 3)}  # at the rim one row or column is outside


def test_one_after_the_other():
    x = images()
    first, second = Affine(shift=2), CutOut(4)
    expected = changed(second, changed(first, x))
    np.testing.assert_array_equal(changed(Compose(first, second), x), expected)
    np.testing.assert_array_equal(changed(Compose(), x), x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Crop(-1), "Crop: padding must be at least 0, got -1"),
        (lambda: Flip(1.5), r"Flip: p must be in \[0, 1\], got 1.5"),
        (lambda: GaussianNoise(np.nan), "GaussianNoise: sigma must be at least 0 and finite, got nan"),
        (lambda: SaltAndPepper(-0.1), r"SaltAndPepper: share must be in \[0, 1\], got -0.1"),
        (lambda: CutOut(0), "CutOut: size must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be(make, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        make()


@every
def test_arguments_that_do_not_fit(augment):
    with pytest.raises(ValueError, match=r"images \(40, 2, 7, 9\) and index \(3,\)"):
        augment(images(), seed=0, epoch=0, index=np.arange(3))
    with pytest.raises(ValueError, match="seed -1"):
        augment(images(), seed=-1, epoch=0, index=np.arange(40))


def test_only_what_can_be_called_is_an_augmentation():
    with pytest.raises(TypeError, match="Compose: 3 is no augmentation"):
        Compose(Crop(1), 3)
