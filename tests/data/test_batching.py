"""Batches: every image once, an order and an augmentation that depend on (seed, epoch, index) alone."""

import numpy as np
import pytest

from npdsconv.data import Affine, _hash, batches, steps_per_epoch, to_float

N = 23


@pytest.fixture
def images():
    return np.random.default_rng(8).integers(0, 256, (N, 1, 9, 7)).astype(np.uint8)


LABELS = np.arange(N, dtype=np.int32)  # an image's label is its index


def order(size=5, **settings):
    pairs = list(
        batches(np.zeros((N, 1, 2, 3), np.uint8), LABELS, size, **{"seed": 0, "epoch": 0, **settings})
    )
    return np.concatenate([y for _, y in pairs]).tolist()


def test_every_image_comes_once_with_its_label(images):
    seen = []
    for x, labels in batches(images, LABELS, 5, seed=4, epoch=2):
        assert x.dtype == np.float32
        assert labels.dtype == np.int64
        np.testing.assert_allclose(x, images[labels] / 255.0, rtol=1e-6)
        seen += labels.tolist()
    assert sorted(seen) == list(range(N))
    assert seen != sorted(seen)


@pytest.mark.parametrize(
    ("size", "drop_last", "sizes"),
    [
        (5, False, [5, 5, 5, 5, 3]),
        (5, True, [5, 5, 5, 5]),
        (N, True, [N]),
        (100, False, [N]),
        (100, True, []),
        (np.int64(20), False, [20, 3]),
    ],
)
def test_sizes(images, size, drop_last, sizes):
    found = [len(y) for _, y in batches(images, LABELS, size, seed=0, epoch=0, drop_last=drop_last)]
    assert found == sizes
    assert steps_per_epoch(N, size, drop_last=drop_last) == len(sizes)


def test_an_epoch_of_no_size_is_refused():
    with pytest.raises(ValueError, match=r"steps_per_epoch: batch size 0 is below 1"):
        steps_per_epoch(N, 0)


def test_no_images_give_no_batches(images):
    assert list(batches(images[:0], LABELS[:0], 5, seed=0, epoch=0)) == []


def test_the_order_depends_on_seed_and_epoch_and_not_on_the_batch_size():
    first = order(seed=1, epoch=2)
    assert order(seed=1, epoch=2, size=7) == first
    others = [order(seed=2, epoch=2), order(seed=1, epoch=3), order(seed=2, epoch=1), order(seed=0, epoch=0)]
    assert len({tuple(o) for o in [first, *others]}) == 5


def test_the_order_never_changes_between_versions():
    """Pinned: a change would break every resumed run."""
    assert order(seed=1, epoch=2)[:8] == [21, 22, 6, 15, 10, 9, 17, 16]


def test_without_shuffle_the_order_is_kept():
    assert order(shuffle=False, seed=9, epoch=4) == list(range(N))


def test_augmentation_gets_the_place_of_each_image(images):
    calls = []

    def augment(x, *, seed, epoch, index):
        calls.append((x.copy(), seed, epoch, index))
        return x + 1

    for x, labels in batches(images, LABELS, 4, seed=6, epoch=3, augment=augment):
        before, seed, epoch, index = calls[-1]
        assert (seed, epoch) == (6, 3)
        np.testing.assert_array_equal(index, labels)
        np.testing.assert_array_equal(x, before + 1)
    assert len(calls) == 6


def test_augmented_images_do_not_depend_on_the_batch_size_or_the_order(images):
    def collect(size, **settings):
        result = np.empty(images.shape, np.float32)
        warp = Affine(rotate=20, shift=2, scale=0.2, shear=10)
        for x, labels in batches(images, LABELS, size, seed=1, augment=warp, **settings):
            result[labels] = x
        return result

    reference = collect(N, epoch=4)
    np.testing.assert_array_equal(collect(1, epoch=4), reference)
    np.testing.assert_array_equal(collect(6, epoch=4, shuffle=False), reference)
    assert (collect(N, epoch=5) != reference).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_images_keep_dtype_and_values(images, dtype):
    scaled = images.astype(dtype) / 100
    scaled.flags.writeable = False
    for x, labels in batches(scaled, LABELS, 5, seed=0, epoch=0):
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, scaled[labels])
        x[:] = 0  # a fresh array
    with pytest.raises(ValueError, match=r"to_float: 1 of 315 pixels are not finite"):
        list(
            batches(
                np.where(np.arange(N * 63).reshape(images.shape) == 5, np.inf, scaled),
                LABELS,
                5,
                seed=0,
                epoch=0,
            )
        )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, r"batches: batch size 0 is below 1"),
        ({"batch_size": -3}, ValueError, r"batches: batch size -3 is below 1"),
        ({"batch_size": 2.5}, TypeError, r"batches: batch size 2\.5 is not an integer"),
        ({"labels": LABELS[:-1]}, ValueError, r"batches: images \(23, 1, 9, 7\), labels \(22,\): expected"),
        ({"labels": LABELS[:, None]}, ValueError, r"batches: images .*, labels \(23, 1\): expected"),
        ({"labels": LABELS * 1.0}, TypeError, r"batches: labels are float64, not integers"),
        ({"images": np.zeros((N, 9, 7), np.uint8)}, ValueError, r"batches: images \(23, 9, 7\), labels"),
        ({"images": np.zeros((N, 1, 9, 7), np.int32)}, TypeError, r"batches: images are int32; uint8"),
        ({"seed": -1}, ValueError, r"batches: seed -1 is not in 0 \.\. 2\*\*64 - 1"),
        ({"seed": 2**64}, ValueError, r"batches: seed 18446744073709551616 is not in"),
        ({"epoch": 1.0}, TypeError, r"batches: epoch 1\.0 is not an integer"),
    ],
)
def test_batches_refuses_at_the_call(images, change, error, message):
    good = {"images": images, "labels": LABELS, "batch_size": 4, "seed": 0, "epoch": 0}
    with pytest.raises(error, match=message):
        batches(**{**good, **change})


def test_to_float_is_exact_at_both_ends():
    every = to_float(np.arange(256, dtype=np.uint8))
    assert every.dtype == np.float32
    assert every[0] == 0
    assert every[255] == 1
    np.testing.assert_array_equal(every, (np.arange(256) / 255).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_float_passes_floating_point_unchanged(dtype):
    x = np.array([-3, 0.25, 700], dtype)
    assert to_float(x) is x


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.bool_, np.int8, np.complex64])
def test_to_float_refuses_other_dtypes(dtype):
    with pytest.raises(
        TypeError, match=rf"to_float: images are {np.dtype(dtype)}; uint8, float32 or float64"
    ):
        to_float(np.zeros(3, dtype))


def test_to_float_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match=r"to_float: 2 of 3 pixels are not finite"):
        to_float(np.array([0.5, np.nan, -np.inf]))


def test_the_hash_is_splitmix64():
    """The first outputs of the published generator from state 0 are the mixed multiples of its constant."""
    multiples = np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F], np.uint64)
    np.testing.assert_array_equal(_hash._mix(multiples), expected)


def test_random_numbers_are_uniform_and_uncorrelated():
    index = np.arange(20_000)
    streams = np.array([[_hash.uniform(seed, epoch, 7, index) for epoch in range(3)] for seed in range(2)])
    flat = np.concatenate([streams.reshape(6, -1), _hash.uniform(0, 0, 8, index)[None]])
    assert flat.min() >= 0
    assert flat.max() < 1
    counts = np.array([np.histogram(row, 20, (0, 1))[0] for row in flat])
    chi2 = ((counts - 1000) ** 2 / 1000).sum(axis=1)  # 19 degrees of freedom: above 50 once in 10,000
    assert chi2.max() < 50
    correlation = np.corrcoef(
        np.concatenate([flat[:, :-1], flat[:, 1:]])
    )  # with each other and the next index
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(index))


def test_random_numbers_are_addressed_one_by_one():
    index = np.array([5, 0, 2**40])
    together = _hash.bits(3, 1, np.array([[0], [9]]), index)
    assert together.shape == (2, 3)
    for row, stream in enumerate((0, 9)):
        for column, i in enumerate(index):
            assert _hash.bits(3, 1, stream, np.array([i]))[0] == together[row, column]


@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_permutation(n):
    assert sorted(_hash.permutation(5, 0, 0, n).tolist()) == list(range(n))


@pytest.mark.parametrize(
    ("most", "full"),
    [(255, 255), (200.5, 255), (16, 16), (65535, 65535)],
    ids=["", "dark", "4 bits", "16 bits"],
)
def test_floating_point_images_of_another_scale_are_told(images, most, full):
    bright = (images / images.max() * most).astype(np.float32)
    with pytest.warns(
        UserWarning, match=rf"images are float32 from 0 to {most:g}: .* \[0, 1\]; divide by {full}, or"
    ):
        assert to_float(bright) is bright
    with pytest.warns(UserWarning, match="divide by"):
        list(batches(bright, LABELS, 5, seed=0, epoch=0))


def test_images_of_mean_zero_are_not_warned_of():
    to_float(np.array([-0.42, 2.8, 9.0]))
    to_float(np.array([0.0, 1.1]))  # interpolation
    to_float(np.zeros((0, 1, 2, 3)))


def test_labels_may_be_a_list():
    found = list(batches(np.zeros((3, 1, 2, 2), np.uint8), [2, 0, 1], 2, seed=0, epoch=0, shuffle=False))
    assert [y.tolist() for _, y in found] == [[2, 0], [1]]


@pytest.mark.parametrize(
    ("most", "full"), [(4, 16), (16, 16), (16.5, 255), (255, 255), (255.5, 65535), (65535, 65535)]
)
def test_bright_pixels_are_told_with_the_scale_that_holds_them(most, full):
    images = np.array([[0, most]], np.float64)
    with pytest.warns(
        UserWarning, match=rf"^images are float64 from 0 to {most:g}: .*; divide by {full}, or"
    ):
        assert to_float(images) is images


def test_a_little_beyond_one_or_below_zero_is_nothing_to_tell():
    for images in (np.array([0, 3.99]), np.array([-0.01, 255.0]), np.zeros(0)):
        assert to_float(images) is images
