"""Pictures of digits, shown large, small, inverted, coloured or dusty, come back as MNIST has them."""

import numpy as np
import pytest
from PIL import Image

from npdsconv.data import load
from npdsconv.data.images import prepare

DIGITS = load("mnist5k").test.images[:25, 0]


def on_canvas(ink, height, width, top, left):
    """Ink (0 .. 255) on an empty canvas."""
    canvas = np.zeros((height, width))
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def enlarged(digit, factor):
    return np.kron(digit, np.ones((factor, factor)))


def assert_looks_like(found, digit, difference, correlation, shift=0):
    """Mean absolute difference and correlation, at the best of all shifts up to `shift` pixels."""
    assert found.shape == (28, 28)
    assert found.dtype == np.uint8
    shifts = range(-shift, shift + 1)
    moved = [np.roll(found, (i, j), (0, 1)).astype(float) for i in shifts for j in shifts]
    assert min(np.abs(m - digit).mean() for m in moved) <= difference
    assert max(np.corrcoef(m.ravel(), digit.ravel())[0, 1] for m in moved) >= correlation


@pytest.mark.parametrize("digit", DIGITS)
def test_a_digit_as_mnist_has_it_is_left_alone(digit):
    assert_looks_like(prepare(digit), digit, 0.3, 0.999)


@pytest.mark.parametrize("digit", DIGITS[:6])
@pytest.mark.parametrize("dark_on_light", [False, True])
@pytest.mark.parametrize("factor", [3, 5, 9])
def test_enlarged_moved_and_inverted(digit, dark_on_light, factor):
    canvas = on_canvas(enlarged(digit, factor), 320, 410, 7 * factor, 15 * factor)
    canvas = 240 - 0.8 * canvas if dark_on_light else 20 + 0.6 * canvas
    assert_looks_like(prepare(canvas), digit, 0.6, 0.99)


def smooth(digit, size):
    return np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), float)


@pytest.mark.parametrize("digit", DIGITS[8:20])
def test_a_smooth_enlargement_on_noisy_unevenly_lit_paper(digit):
    """A photograph: blurred, light from the left, noise, dark ink."""
    canvas = 1 - 0.7 * on_canvas(smooth(digit, 190), 260, 330, 20, 100) / 255
    canvas *= np.linspace(1, 0.7, 330)
    canvas += 0.02 * np.random.default_rng(5).normal(size=canvas.shape)
    assert_looks_like(prepare(canvas), digit, 16, 0.86, shift=1)


@pytest.mark.parametrize("digit", DIGITS[:6])
def test_uneven_light_without_noise(digit):
    light = np.linspace(0.6, 1, 120)[:, None] + np.linspace(0, 0.3, 150)
    assert_looks_like(
        prepare(light - on_canvas(enlarged(digit, 3), 120, 150, 20, 40) / 255), digit, 3, 0.97, shift=1
    )


@pytest.mark.parametrize("digit", DIGITS[:8])
def test_dust_does_not_move_the_digit(digit):
    clean = on_canvas(enlarged(digit, 9), 400, 500, 30, 200)
    dusty = clean.copy()
    dusty[[5, 390, 200], [7, 480, 3]] = 255
    np.testing.assert_array_equal(prepare(dusty), prepare(clean))


@pytest.mark.parametrize("digit", DIGITS[:8])
def test_a_digit_cropped_to_its_ink(digit):
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    ink = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert_looks_like(prepare(enlarged(ink, 4)), digit, 1, 0.99)


def ring(size, width):
    """An anti-aliased circle line."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip(width / 2 + 0.5 - np.abs(np.hypot(y, x) - 0.35 * size), 0, 1)


@pytest.mark.parametrize("width", [1, 2, 4, 12])
def test_thin_strokes_are_thickened_and_thick_ones_are_not(width):
    """At 200 pixels a ring of 0.35 has a box of 140: strokes of 1 .. 12 pixels are 0.14 .. 1.7 of the result."""
    found = prepare(ring(200, width)).astype(float) / 255
    area_per_length = found.sum() / (np.pi * 19)  # the mean stroke width
    assert 1.2 < area_per_length < 1.9
    rows = np.flatnonzero(found.any(axis=1))
    assert np.ptp(rows) + 1 == 20  # still in the box


def test_the_shape_is_kept():
    bar = np.zeros((90, 200))
    bar[10:70, 50:62] = 1  # 60 x 12
    found = prepare(bar)
    expected = np.zeros((28, 28))
    expected[4:24, 12:16] = 255
    np.testing.assert_array_equal(found, expected)


def test_the_centre_of_mass_is_centred():
    ell = np.zeros((100, 100))
    ell[20:60, 20:25] = 1
    ell[55:60, 25:50] = 1
    found = prepare(ell).astype(float)
    rows = (found.sum(axis=1) * np.arange(28)).sum() / found.sum()
    columns = (found.sum(axis=0) * np.arange(28)).sum() / found.sum()
    assert abs(rows - 14) <= 0.51
    assert abs(columns - 14) <= 0.51


@pytest.mark.parametrize(("height", "width"), [(1, 30), (40, 1), (3, 3)])
def test_tiny_pictures(height, width):
    picture = np.zeros((height, width))
    picture[height // 2, width // 2] = 5
    assert prepare(picture).max() == 255


def test_integers_and_booleans():
    digit = DIGITS[0]
    np.testing.assert_array_equal(prepare(digit.astype(np.int64) * 1000 - 7), prepare(digit))
    assert_looks_like(prepare(digit > 100), digit, 30, 0.85)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((30, 40)),
        np.full((30, 40), 255, np.uint8),
        np.full((30, 40), 0.1) + 1e-9 * np.arange(40),
        200 + np.random.default_rng(1).normal(size=(300, 400)),
        1 + 0.1 * np.linspace(0, 1, 300)[:, None] + 0.01 * np.random.default_rng(2).normal(size=(300, 400)),
    ],
)
def test_a_blank_picture(picture):
    with pytest.raises(ValueError, match=r"prepare: array: blank: in \d+x\d+ pixels nothing stands out"):
        prepare(picture)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((5, 6, 3)), r"prepare: array: expected brightness of shape \(H,W\), found \(5, 6, 3\)"),
        (np.zeros((0, 6)), r"prepare: array: expected brightness of shape \(H,W\), found \(0, 6\)"),
        (np.array([[0, np.nan]]), r"prepare: array: some pixels are not finite"),
    ],
)
def test_arrays_that_are_no_pictures(picture, message):
    with pytest.raises(ValueError, match=message):
        prepare(picture)
