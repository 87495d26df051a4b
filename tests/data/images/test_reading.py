"""Picture files: every mode, size and kind of transparency comes back as one brightness."""

import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from npdsconv.data import load
from npdsconv.data.images import list_images, prepare, read_image, reading

DIGITS = load("mnist5k").test.images[:25, 0]


def alike(found, expected):
    return np.corrcoef(found.ravel(), expected.ravel())[0, 1]


GREY = np.array([[0, 51, 255], [102, 204, 153]], np.uint8)


def save(path, array, mode=None, **settings):
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **settings)
    return path


@pytest.mark.parametrize("suffix", ["png", "pgm", "bmp", "tiff"])
def test_read_grey(tmp_path, suffix):
    found = read_image(save(tmp_path / f"a.{suffix}", GREY))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, GREY / 255, rtol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_read_colour_palette_and_opaque_alpha(tmp_path, mode):
    np.testing.assert_allclose(read_image(save(tmp_path / "a.png", GREY, mode)), GREY / 255, atol=0.003)


def test_read_black_and_white(tmp_path):
    found = read_image(save(tmp_path / "a.png", GREY > 100))
    np.testing.assert_array_equal(found, GREY > 100)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_read_16_bits(tmp_path, suffix):
    deep = np.array([[0, 1, 300], [65535, 40000, 7]], np.uint16)
    np.testing.assert_allclose(read_image(save(tmp_path / f"a.{suffix}", deep)), deep / 65535, rtol=1e-6)


def test_read_pgm_with_ten_bits_and_in_ascii(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P2\n# by hand\n3 1\n1023\n0 1023 341\n")
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm"), [[0, 1, 1 / 3]], atol=1e-4)


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    turned = read_image(save(tmp_path / "a.png", GREY, exif=exif))
    np.testing.assert_allclose(turned, np.rot90(GREY, -1) / 255, rtol=1e-6)


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_background_takes_the_colour_far_from_the_ink(tmp_path, ink):
    digit = DIGITS[3]
    colour = np.full((28, 28, 4), ink, np.uint8)
    colour[..., 3] = digit
    path = save(tmp_path / "a.png", colour)
    np.testing.assert_allclose(read_image(path)[0, 0], 1 if ink == 0 else 0)
    assert alike(prepare(path), digit) > 0.999


def test_a_transparent_palette_colour(tmp_path):
    palette = Image.fromarray((DIGITS[3] > 100).astype(np.uint8)).convert("P")
    palette.putpalette([9, 9, 9, 10, 10, 10])  # ink hardly lighter than what is transparent
    palette.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(prepare(tmp_path / "a.png"), prepare(DIGITS[3] > 100))


def test_prepare_takes_a_path(tmp_path):
    path = save(tmp_path / "a.png", np.kron(255 - DIGITS[1], np.ones((3, 3), np.uint8)), "RGB")
    assert alike(prepare(path), DIGITS[1]) > 0.999
    assert alike(prepare(str(path)), DIGITS[1]) > 0.999


def test_what_is_not_a_picture(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ValueError, match=r"read_image: .*a\.png is not a picture that can be read"):
        prepare(tmp_path / "a.png")
    packed = io.BytesIO()
    Image.fromarray(np.random.default_rng(6).integers(0, 256, (90, 90)).astype(np.uint8)).save(packed, "png")
    (tmp_path / "b.png").write_bytes(packed.getvalue()[:3000])
    with pytest.raises(
        ValueError, match=r"read_image: .*b\.png is not a picture that can be read: .*truncated"
    ):
        read_image(tmp_path / "b.png")
    with pytest.raises(FileNotFoundError, match=r"read_image: there is no file .*c\.png"):
        read_image(tmp_path / "c.png")
    with pytest.raises(OSError, match=r"read_image: cannot read .*: it is a folder, not a file"):
        read_image(tmp_path)
    blank = save(tmp_path / "d.png", np.full((9, 9), 255, np.uint8))
    with pytest.raises(ValueError, match=r"prepare: .*d\.png: blank: in 9x9 pixels"):
        prepare(blank)


def test_list_images(tmp_path):
    for name in ("b.png", "a.PGM", "c.jpeg", "notes.txt", "d"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.PGM", "b.png", "c.jpeg"]
    assert list_images(str(tmp_path / "d")) == [tmp_path / "d"]
    with pytest.raises(
        FileNotFoundError, match=r"list_images: no picture in the folder .*folder\.png \(\.avif \.bmp "
    ):
        list_images(tmp_path / "folder.png")
    with pytest.raises(FileNotFoundError, match=r"list_images: no file or folder .*absent"):
        list_images(tmp_path / "absent")


# ---- what Pillow does not give as it is meant ----


@pytest.mark.parametrize("full", [1, 255, 65535])
def test_floating_point_by_the_scale_that_holds_it(tmp_path, full):
    path = save(tmp_path / "a.tiff", (GREY / 255 * full).astype(np.float32))
    np.testing.assert_allclose(read_image(path), GREY / 255, rtol=1e-6)


def test_floating_point_of_a_scale_of_its_own(tmp_path):
    path = save(tmp_path / "a.tiff", np.array([[-3, 1], [5, -1]], np.float32))
    np.testing.assert_allclose(read_image(path), [[0, 0.5], [1, 0.25]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"can be read: 1 of its 2 pixels are not finite"):
        read_image(save(tmp_path / "b.tiff", np.array([[0, np.nan]], np.float32)))


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ((255, 0, 0), (0, 130, 0)),  # luma 76 and 76
        ((255, 255, 90), (255, 255, 255)),  # yellow on white
        ((40, 60, 200), (110, 60, 20)),
    ],
)
def test_colours_of_almost_one_luma_are_kept_apart(tmp_path, ink, paper):
    share = DIGITS[3][..., None] / 255
    path = save(tmp_path / "a.png", np.round(share * ink + (1 - share) * paper).astype(np.uint8))
    assert alike(prepare(path), DIGITS[3]) > 0.99


def test_luma_is_kept_where_it_shows_the_ink(tmp_path):
    colours = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)
    expected = colours @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(read_image(save(tmp_path / "a.png", colours)), expected, atol=1e-6)


@pytest.mark.parametrize("shadow", [0, 60])
def test_a_transparent_rim_takes_the_colour_of_the_page(tmp_path, shadow):
    page = np.pad(255 - DIGITS[4], 20, constant_values=235)
    alpha = np.full_like(page, shadow)
    alpha[3:-3, 3:-3] = 255
    path = save(tmp_path / "a.png", np.dstack([page // 3, page // 2, page, alpha]))
    assert alike(prepare(path), DIGITS[4]) > 0.99


def test_a_transparent_picture_is_blank(tmp_path):
    with pytest.raises(ValueError, match="blank"):
        prepare(save(tmp_path / "a.png", np.zeros((9, 9, 4), np.uint8)))


# ---- size ----


def test_a_jpeg_of_many_pixels_is_reduced_while_it_is_decoded(tmp_path, monkeypatch):
    page = np.kron(255 - DIGITS[2], np.ones((24, 24), np.uint8))
    monkeypatch.setattr(reading, "_SIDE", 100)
    monkeypatch.setattr(reading, "_MEGAPIXELS", 0.03)
    found = read_image(save(tmp_path / "a.jpg", page))
    assert max(found.shape) < 200
    assert alike(prepare(found), DIGITS[2]) > 0.97
    with pytest.raises(ValueError, match=r"a\.png has 672 x 672 pixels, .* at most 0.03 are read: make"):
        read_image(save(tmp_path / "a.png", page))


def test_more_pixels_than_pillow_allows_are_refused_in_our_words(tmp_path):
    Image.new("1", (16320, 12240), 1).save(tmp_path / "a.png")
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(
        ValueError, match=r"a\.png has 16320 x 12240 pixels, 200 megapixels; at most 170 are read"
    ):
        read_image(tmp_path / "a.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_large_picture_is_reduced_by_a_whole_factor(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_SIDE", 5)
    page = np.arange(96, dtype=np.uint8).reshape(8, 12)
    found = read_image(save(tmp_path / "a.png", page))
    np.testing.assert_allclose(found, page.reshape(4, 2, 6, 2).mean(axis=(1, 3)) / 255, atol=0.003)


# ---- HEIC ----

HEIC = b"\0\0\0\x18ftypheic" + bytes(40)


def test_heic_names_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    assert list_images(tmp_path) == [tmp_path / "a.heic"]
    with pytest.raises(ValueError, match=r"a\.heic is a HEIC picture, .* pip install pillow-heif, or save"):
        read_image(tmp_path / "a.heic")


def test_heic_is_read_where_the_package_is_installed(tmp_path, monkeypatch):
    asked = []
    package = types.SimpleNamespace(register_heif_opener=lambda: asked.append("register"))
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(ValueError, match="is not a picture that can be read"):  # there is nothing in it
        read_image(tmp_path / "a.heic")
    assert asked == ["register"]
