"""Colours and transparency by hand."""

import numpy as np
import pytest

from npdsconv.data.images import colour
from npdsconv.data.images.colour import brightness

LUMA = [0.299, 0.587, 0.114]


def painted(paper, ink, alpha_paper=1.0, alpha_ink=1.0, size=12):
    """A square of ink in the middle of the paper, a quarter of it."""
    picture = np.empty((size, size, 3), np.float32)
    picture[...] = paper
    alpha = np.full((size, size), alpha_paper, np.float32)
    middle = slice(size // 4, -(size // 4))
    picture[middle, middle], alpha[middle, middle] = ink, alpha_ink
    return picture, alpha


def test_luma_where_it_tells_at_least_half_as_much():
    picture, alpha = painted((1, 1, 1), (0.2, 0.4, 0.1))
    for found in (brightness(picture), brightness(picture, alpha)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, picture @ np.array(LUMA, np.float32), rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_another_mixture_where_luma_hides_the_ink(sign):
    """Red falls as green rises, at one luma: the mixture is r - g, made to lie in 0 to 1."""
    paper, ink = np.array([0.2, 0.5, 0.3]), np.array([0.2, 0.5, 0.3]) + sign * np.array([0.2936, -0.1495, 0])
    found = brightness(painted(paper, ink)[0])
    assert 0 <= found.min() < found.max() <= 1
    assert np.ptp(found) > 0.2
    assert np.ptp(painted(paper, ink)[0] @ LUMA) < 1e-4


def test_what_is_transparent_takes_the_colour_of_the_page_beside_it():
    picture = np.full((20, 20, 3), 0.7, np.float32)
    picture[8:12, 8:12] = 0.1
    picture[:2] = 0.3  # under what is transparent
    alpha = np.ones((20, 20), np.float32)
    alpha[:2] = 0.5
    np.testing.assert_allclose(colour.on_paper(picture, alpha)[:2], 0.7)
    np.testing.assert_array_equal(colour.on_paper(picture, alpha)[2:], picture[2:])
    alpha[:2] = 0.96
    np.testing.assert_array_equal(colour.on_paper(picture, alpha), picture, "nearly opaque is opaque")
    # 0.95 of the greatest opacity there is.
    np.testing.assert_allclose(colour.on_paper(picture, 0.5 * alpha)[:2], 0.3)


@pytest.mark.parametrize(("level", "ground"), [(0.0, 1), (0.45, 1), (0.55, 0), (1.0, 0)])
def test_ink_alone_lies_on_the_colour_farthest_from_it(level, ground):
    picture, alpha = painted((0.5, 0.5, 0.5), (level, level, level), 0.0, 1.0)
    alpha[4, 4] = 0.25
    found = colour.on_paper(picture, alpha)
    np.testing.assert_allclose(found[0, 0], ground)
    np.testing.assert_allclose(found[6, 6], level, atol=1e-6)
    np.testing.assert_allclose(found[4, 4], 0.75 * ground + 0.25 * level, atol=1e-6)


@pytest.mark.parametrize(
    ("share", "spread", "page"),
    [
        (0.5, 0.2, True),
        (0.49, 0.2, False),
        (0.51, 0.2, True),
        (1.0, 0.2, True),
        (1.0, 0.14, False),
        (0.6, 0.16, True),
    ],
)
def test_a_page_is_half_opaque_and_has_colours(share, spread, page):
    picture = np.full((10, 10, 3), 0.5, np.float32)
    picture[0, 0, 1] += spread
    opaque = np.arange(100).reshape(10, 10) < 100 * share
    assert colour._is_page(picture, opaque) is page
