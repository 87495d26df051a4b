"""The affine warp against its formula written out pixel by pixel, SciPy, and maps with known results."""

import math

import numpy as np
import pytest

from npdsconv.data import Affine
from npdsconv.data.augment import warp

rng = np.random.default_rng(21)
IDENTITY = np.eye(2)[None]


def by_hand(image, matrix, offset):
    """The warp of one image (H,W), index by index."""
    height, width = image.shape
    centre = ((height - 1) / 2, (width - 1) / 2)
    out = np.zeros_like(image)
    for p in range(height):
        for q in range(width):
            y = matrix[0][0] * (p - centre[0]) + matrix[0][1] * (q - centre[1]) + centre[0] + offset[0]
            x = matrix[1][0] * (p - centre[0]) + matrix[1][1] * (q - centre[1]) + centre[1] + offset[1]
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        out[p, q] += (1 - abs(y - i)) * (1 - abs(x - j)) * image[i, j]
    return out


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_warp_is_its_formula(dtype, atol):
    x = rng.normal(size=(5, 3, 7, 10)).astype(dtype)
    matrix = np.eye(2) + 0.4 * rng.normal(size=(5, 2, 2))
    offset = 2 * rng.normal(size=(5, 2))
    y = warp(x, matrix, offset)
    assert y.dtype == dtype
    expected = np.array(
        [[by_hand(c, m, o) for c in image] for image, m, o in zip(x, matrix, offset, strict=True)]
    )
    np.testing.assert_allclose(y, expected, rtol=0, atol=atol)


def test_warp_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = rng.random((4, 1, 28, 28))
    matrix, offset = Affine(rotate=30, shift=4, scale=0.3, shear=20).transforms(
        seed=1, epoch=1, index=np.arange(4)
    )
    y = warp(x, matrix, offset)
    centre = np.array([13.5, 13.5])
    for image, m, o, ours in zip(x, matrix, offset, y, strict=True):
        theirs = ndimage.affine_transform(image[0], m, centre + o - m @ centre, order=1, mode="grid-constant")
        np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-9)


def test_more_images_than_are_warped_at_once():
    x = rng.random((75, 2, 28, 28), dtype=np.float32)
    matrix, offset = Affine(rotate=30, shift=3).transforms(seed=0, epoch=0, index=np.arange(75))
    y = warp(x, matrix, offset)
    for n in (0, 31, 32, 63, 64, 74):
        np.testing.assert_array_equal(y[n], warp(x[n : n + 1], matrix[n : n + 1], offset[n : n + 1])[0])


@pytest.mark.parametrize(
    "shape", [(3, 1, 28, 28), (3, 2, 5, 8), (0, 1, 28, 28), (2, 0, 4, 5), (2, 1, 1, 1), (1, 1, 200, 300)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identity_returns_the_image_exactly(shape, dtype):
    x = rng.normal(size=shape).astype(dtype)
    x.flags.writeable = False
    y = Affine()(x, seed=3, epoch=1, index=np.arange(shape[0]))
    np.testing.assert_array_equal(y, x)
    assert y.shape == x.shape
    assert not np.shares_memory(x, y)


def test_any_memory_layout():
    x = rng.random((6, 3, 9, 8), dtype=np.float32)
    affine = Affine(rotate=15, shift=1)
    index = np.arange(6)
    expected = affine(x, seed=0, epoch=0, index=index)
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    for same in (channels_last, backwards, np.asfortranarray(x)):
        np.testing.assert_array_equal(affine(same, seed=0, epoch=0, index=index), expected)


def test_a_quarter_turn_and_a_shift_with_known_results():
    x = rng.random((1, 1, 6, 6))
    turned = warp(x, np.array([[[0.0, 1.0], [-1.0, 0.0]]]), np.zeros((1, 2)))
    np.testing.assert_allclose(turned[0, 0], np.rot90(x[0, 0]), atol=1e-14)
    moved = warp(x, IDENTITY, np.array([[-2.0, 1.0]]))  # reads two rows above and one column to the right
    expected = np.zeros((6, 6))
    expected[2:, :5] = x[0, 0, :-2, 1:]
    np.testing.assert_array_equal(moved[0, 0], expected)


@pytest.mark.parametrize("distance", [6, 6.5, 40, 1e9])
def test_all_that_lies_outside_is_zero(distance):
    x = np.ones((1, 1, 5, 6))
    for direction in ([1, 0], [-1, 0], [0, 1], [0, -1]):
        assert not warp(x, IDENTITY, distance * np.array([direction])).any()


def recover(affine, index):
    """Angle, zoom, slant and shift of each map, from its matrix and offset."""
    matrix, offset = affine.transforms(seed=5, epoch=9, index=index)
    forward = np.linalg.inv(matrix)
    shift = -np.einsum("nij,nj->ni", forward, offset)
    # matrix = [[1, 0], [tan, 1]] @ rotation / zoom, so its first row is (cos, sin) / zoom.
    zoom = 1 / np.hypot(matrix[:, 0, 0], matrix[:, 0, 1])
    angle = np.degrees(np.arctan2(matrix[:, 0, 1], matrix[:, 0, 0]))
    slant = np.degrees(np.arctan(np.einsum("ni,ni->n", matrix[:, 0], matrix[:, 1]) * zoom**2))
    return angle, zoom, slant, shift


def test_parameters_fill_their_ranges():
    index = np.arange(4000)
    affine = Affine(rotate=12, shift=3, scale=0.25, shear=8)
    angle, zoom, slant, shift = recover(affine, index)
    matrix, _ = affine.transforms(seed=5, epoch=9, index=index)
    np.testing.assert_allclose(np.linalg.det(matrix), zoom**-2, rtol=1e-12)  # a shear keeps areas
    for values, low, high in (
        (angle, -12, 12),
        (zoom, 0.75, 1.25),
        (slant, -8, 8),
        (shift[:, 0], -3, 3),
        (shift[:, 1], -3, 3),
    ):
        unit = (values - low) / (high - low)
        assert unit.min() > -1e-9
        assert unit.max() < 1 + 1e-9
        np.testing.assert_allclose(
            np.quantile(unit, [0.001, 0.25, 0.5, 0.75, 0.999]), [0, 0.25, 0.5, 0.75, 1], atol=0.04
        )
    correlation = np.corrcoef([angle, zoom, slant, *shift.T])
    assert np.abs(correlation - np.eye(5)).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize(("name", "bound"), [("rotate", 30), ("shift", 4), ("scale", 0.5), ("shear", 20)])
def test_each_parameter_alone_leaves_the_others_at_rest(name, bound):
    index = np.arange(50)
    angle, zoom, slant, shift = recover(Affine(**{name: bound}), index)
    spread = {
        "rotate": np.abs(angle).max(),
        "scale": np.abs(zoom - 1).max(),
        "shear": np.abs(slant).max(),
        "shift": np.abs(shift).max(),
    }
    assert spread.pop(name) > 0.8 * bound
    np.testing.assert_allclose(list(spread.values()), 0, atol=1e-12)


def test_an_image_is_a_function_of_seed_epoch_and_index():
    affine = Affine(rotate=20, shift=2, scale=0.1, shear=5)
    x = rng.random((6, 1, 28, 28), dtype=np.float32)
    index = np.array([70, 3, 59_999, 0, 12, 500])
    y = affine(x, seed=1, epoch=2, index=index)
    some = [4, 1, 2]
    np.testing.assert_array_equal(affine(x[some], seed=1, epoch=2, index=index[some]), y[some])
    for changed in ({"seed": 2}, {"epoch": 3}, {"index": index + 1}):
        other = affine(x, **{"seed": 1, "epoch": 2, "index": index, **changed})
        assert (other != y).any(axis=(1, 2, 3)).all()


def test_nothing_is_written_to():
    x = rng.random((3, 1, 8, 8), dtype=np.float32)
    before = x.copy()
    Affine(rotate=20)(x, seed=0, epoch=0, index=np.arange(3))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotate": -1}, r"Affine: rotate -1 is not in \[0, inf\)"),
        ({"shift": float("nan")}, r"Affine: shift nan is not in \[0, inf\)"),
        ({"shift": float("inf")}, r"Affine: shift inf is not in"),
        ({"scale": 1.0}, r"Affine: scale 1\.0 is not in \[0, 1\)"),
        ({"shear": 90}, r"Affine: shear 90 is not in \[0, 90\)"),
    ],
)
def test_affine_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Affine(**settings)


def test_affine_refuses_data():
    affine, index = Affine(rotate=5), np.arange(3)
    x = np.zeros((3, 1, 28, 28), np.float32)
    with pytest.raises(ValueError, match=r"Affine: images \(3, 28, 28\) and index \(3,\) are not"):
        affine(x[:, 0], seed=0, epoch=0, index=index)
    with pytest.raises(ValueError, match=r"Affine: images \(3, 1, 28, 28\) and index \(2,\) are not"):
        affine(x, seed=0, epoch=0, index=index[:2])
    with pytest.raises(TypeError, match=r"warp: images are uint8, not float32 or float64"):
        affine(x.astype(np.uint8), seed=0, epoch=0, index=index)
    with pytest.raises(ValueError, match=r"Affine: epoch -2 is not in"):
        affine(x, seed=0, epoch=-2, index=index)
    with pytest.raises(ValueError, match=r"warp: 3 images, but matrix \(1, 2, 2\) and offset \(3, 2\)"):
        warp(x, IDENTITY, np.zeros((3, 2)))
