"""What lies around and under a digit is not the digit: frames, a desk, printed lines, strips at the edge."""

import io

import numpy as np
import pytest
from PIL import Image

from npdsconv.data import load
from npdsconv.data.images import prepare

TEST = load("mnist5k").test
DIGITS = [TEST.images[37 * k, 0] for k in range(0, 12, 2)]


def page(digit, margin=60, paper=245, ink=200):
    """A sheet with the digit in dark ink, 8 times as large."""
    return np.pad(paper - np.kron(digit, np.ones((8, 8))) * ink / 255, margin, constant_values=paper)


def framed(picture, width, level, inset=0):
    framed = picture.copy()
    outer = slice(inset, -inset or None)
    inner = slice(inset + width, -(inset + width))
    framed[outer, outer] = level
    framed[inner, inner] = picture[inner, inner]
    return framed


def lined(picture, period, level, width=1, axes=(0,)):
    lined = picture.copy()
    for axis in axes:
        for k in range(width):
            place = (slice(None),) * axis + (slice(7 + k, None, period),)
            lined[place] = np.minimum(lined[place], level)
    return lined


def turned(picture, degrees, fill):
    image = Image.fromarray(np.asarray(picture, np.float32))
    return np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill))


def on_desk(sheet, desk, top=70, left=110):
    desk = desk.copy()
    there = desk[top : top + sheet.shape[0], left : left + sheet.shape[1]]
    there[:] = np.where(sheet < 0, there, sheet)
    return desk


def wood(height, width, seed):
    rng = np.random.default_rng(seed)
    grain = np.sin(2 * np.cumsum(rng.normal(size=height)) / np.sqrt(height))
    return 90 + 20 * grain[:, None] + rng.normal(0, 4, (height, width))


def compressed(picture):
    """As JPEG changes it."""
    file = io.BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(file, "jpeg", quality=90)
    return np.asarray(Image.open(file))


def shadow(picture):
    """Half of it at 0.7 of the light, with noise."""
    lit = np.add.outer(np.arange(picture.shape[0]), np.arange(picture.shape[1])) > picture.shape[0]
    return compressed(picture * np.where(lit, 1, 0.7) + np.random.default_rng(6).normal(0, 3, picture.shape))


def strip(picture):
    return np.hstack([np.full((len(picture), 25), 90), picture])


def corner(picture):
    changed = picture.copy()
    changed[:40, :60] = 30
    return changed


KINDS = {
    "frame of one pixel on a small picture": lambda d: framed(255.0 - d, 1, 0),
    "the same in grey": lambda d: framed(255.0 - d, 1, 179),
    "frame of two pixels": lambda d: framed(page(d), 2, 0),
    "frame inside the edge": lambda d: framed(page(d), 3, 60, inset=9),
    "light frame on black": lambda d: framed(255 - page(d), 2, 200),
    "squared paper": lambda d: lined(page(d), 20, 145, axes=(0, 1)),
    "ruled paper": lambda d: lined(page(d), 40, 125),
    "ruled paper, held askew": lambda d: turned(lined(page(d, 120), 40, 130, 2), 2.5, 245)[60:-60, 60:-60],
    "one line under the digit": lambda d: np.minimum(
        page(d), np.where(np.arange(344) == 290, 100, 255)[:, None]
    ),
    "dark desk all round": lambda d: on_desk(page(d, 40), np.full((480, 560), 60.0)),
    "desk with a grain": lambda d: on_desk(page(d, 50), wood(540, 600, seed=3)),
    "white ink on a black card on a light desk": lambda d: on_desk(
        275 - page(d, 50), np.full((540, 600), 190.0)
    ),
    "a shadow's edge across the digit": lambda d: shadow(page(d)),
    "strip of the desk": lambda d: strip(page(d)),
    "something dark in a corner": lambda d: corner(page(d)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_digit_is_prepared_as_if_it_were_alone(kind):
    found = [np.corrcoef(prepare(KINDS[kind](d)).ravel(), prepare(d).ravel())[0, 1] for d in DIGITS]
    assert min(found) > 0.8


def test_a_sheet_that_lies_askew_on_a_desk():
    for digit in DIGITS:
        askew = turned(page(digit, 50), 14, -1000)
        found, alone = (
            prepare(on_desk(askew, np.full((600, 640), 70.0))),
            prepare(turned(page(digit, 50), 14, 245)),
        )
        assert np.corrcoef(found.ravel(), alone.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("label", range(10))
@pytest.mark.parametrize("size", [20, 60, 200])
def test_a_digit_cropped_to_its_ink_is_neither_frame_nor_line(label, size):
    for digit in TEST.images[TEST.labels == label][:2, 0]:
        rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
        ink = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = (max(1, size * n // max(ink.shape)) for n in ink.shape)
        tight = np.asarray(Image.fromarray(255 - ink).resize((width, height), Image.Resampling.BICUBIC))
        assert np.corrcoef(prepare(tight).ravel(), prepare(digit).ravel())[0, 1] > 0.8
        if label != 1:  # of which it is mostly the border
            noisy = prepare(compressed(240 - 0.7 * tight))
            assert np.corrcoef(noisy.ravel(), prepare(digit).ravel())[0, 1] > 0.65


def test_a_bold_zero_is_no_sheet_of_paper():
    y, x = np.mgrid[:300, :260]
    outer = ((y - 150) / 120) ** 4 + ((x - 130) / 90) ** 4 < 1  # squarish: 0.9 of its box
    inner = ((y - 150) / 60) ** 2 + ((x - 130) / 35) ** 2 < 1
    found = prepare(np.where(outer & ~inner, 0.1, 0.9))
    assert found[14, 14] == 0
    assert found[14, 8] == 255
    assert found[4:24].any(axis=1).all()


def test_printed_lines_alone_are_left_as_they_are():
    """Nobody can say what is meant; a frame without a digit is read as what it looks like."""
    found = prepare(framed(np.full((100, 100), 255.0), 3, 0, inset=20))
    assert found[4, 4:24].all()
    assert not found[12:16, 12:16].any()


@pytest.mark.parametrize("digit", DIGITS[:6])
def test_faint_strokes_with_a_dark_crossing_become_full_ink(digit):
    faint = digit * 0.4
    middle = np.unravel_index(digit.argmax(), digit.shape)
    faint[middle] = 255
    found = prepare(faint)
    assert np.median(found[found > 0]) > 0.9 * np.median(digit[digit > 0])
