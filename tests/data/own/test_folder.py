"""A folder of pictures for each class: what becomes of the pictures, how they are divided, and what is refused."""

import re

import numpy as np
import pytest
from PIL import Image

from npdsconv import data
from npdsconv.data import images

RNG = np.random.default_rng(5)


def save(path, height, width, colour=True, **options):
    """A picture of noise, which no other is equal to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3) if colour else (height, width), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Three classes with 10, 5 and 2 coloured pictures of many sizes."""
    root = tmp_path / "zoo"
    for name, count in (("owl", 10), ("Ant", 5), ("bee", 2)):
        for k in range(count):
            save(root / name / f"{k}.png", 20 + 7 * k, 90 - 3 * k)
    return root


def test_classes_are_called_as_their_folders_and_each_gives_a_share_to_the_test(folder):
    found = data.from_folder(folder, size=12)
    assert (found.name, found.names, found.classes) == ("zoo", ("Ant", "bee", "owl"), 3)
    assert found.shape == (3, 12, 12)
    assert found.train.images.dtype == np.uint8
    assert np.bincount(found.train.labels).tolist() == [4, 1, 8]
    assert np.bincount(found.test.labels).tolist() == [1, 1, 2]
    assert found.notes == ()
    half = data.from_folder(folder, size=12, test=0.5)
    assert np.bincount(half.test.labels).tolist() == [2, 1, 5]


def test_the_test_part_is_a_function_of_its_seed(folder):
    first, again, other = (data.from_folder(folder, size=8, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.test.images, again.test.images)
    assert (first.test.images != other.test.images).any()
    every = {image.tobytes() for split in (first.train, first.test) for image in split.images}
    assert len(every) == 17, "each picture is in one part"


def test_a_picture_keeps_its_proportions_and_lies_in_the_middle(tmp_path):
    for name in "ab":
        for k in range(2):
            Image.new("RGB", (60, 20), (250, 100 + k, 0)).save(tmp_path / f"{name}{k}.png")
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / f"{name}{k}.png").rename(tmp_path / name / f"{k}.png")
    image = data.from_folder(tmp_path, size=(30, 24)).train.images[0]
    assert image.shape == (3, 30, 24)
    assert (image[0, 11:19] == 250).all(), "60 × 20 becomes 24 × 8"
    assert not image[:, :11].any()
    assert not image[:, 19:].any()


def test_sizes_and_channels_are_found_out(tmp_path):
    def made(name, sizes, colour):
        for k, size in enumerate(sizes):
            for label in "ab":
                save(tmp_path / name / label / f"{k}.png", *size, colour)
        return data.from_folder(tmp_path / name)

    assert made("equal", [(20, 33)] * 3, colour=False).shape == (1, 20, 33)
    assert made("small", [(20, 33), (30, 31), (11, 9)], colour=True).shape == (3, 31, 31)
    large = made("large", [(200, 33), (300, 31), (11, 90)], colour=True)
    assert large.shape == (3, 64, 64)
    assert made("large-equal", [(80, 80)] * 2, colour=False).shape == (1, 64, 64)
    grey = data.from_folder(tmp_path / "large", size=16, channels=1)
    assert grey.shape == (1, 16, 16)
    assert data.from_folder(tmp_path / "equal", channels=3).shape == (3, 20, 33)


def test_one_picture_of_one_size_comes_through_as_it_is(tmp_path):
    pixels = [save(tmp_path / label / f"{k}.png", 9, 7) for label in "ab" for k in range(2)]
    found = data.from_folder(tmp_path, test=0.5)
    every = [image.transpose(1, 2, 0) for split in (found.train, found.test) for image in split.images]
    assert {image.tobytes() for image in every} == {p.tobytes() for p in pixels}
    path = tmp_path / "a" / "0.png"
    np.testing.assert_array_equal(images.picture(path, (3, 9, 7)), pixels[0].transpose(2, 0, 1))
    luma = np.asarray(Image.open(path).convert("L")).astype(int)
    assert np.abs(images.picture(path, (1, 9, 7))[0] - luma).max() <= 1
    with pytest.raises(ValueError, match=r"frame: channels must be 1 \(grey\) or 3 .*, got 2"):
        images.picture(path, (2, 9, 7))


def test_kinds_of_pictures(tmp_path):
    """Turned by EXIF, with a palette, transparent, of 16 bits, in black and white, in print colours."""
    turned, upright = np.zeros((20, 40, 3), np.uint8), Image.Exif()
    turned[:, :10] = 255  # white on the left, which the camera held on its side
    upright[0x0112] = 6
    Image.fromarray(turned).save(tmp_path / "turned.png", exif=upright)
    assert images.image_size(tmp_path / "turned.png") == (40, 20)
    seen = images.picture(tmp_path / "turned.png", (1, 40, 20))[0]
    assert seen[:10].all()
    assert not seen[10:].any()
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    red.quantize(4).save(tmp_path / "palette.png")
    red.convert("CMYK").save(tmp_path / "print.jpg")
    np.testing.assert_array_equal(images.picture(tmp_path / "palette.png", (3, 8, 8))[:, 0, 0], [255, 0, 0])
    np.testing.assert_allclose(
        images.picture(tmp_path / "print.jpg", (3, 8, 8))[:, 0, 0], [255, 0, 0], atol=9
    )
    drawn = np.zeros((8, 8, 4), np.uint8)
    drawn[2:4, :, 3] = 255  # black ink on nothing: the ground is white
    Image.fromarray(drawn).save(tmp_path / "ink.png")
    seen = images.picture(tmp_path / "ink.png", (1, 8, 8))[0]
    assert not seen[2:4].any()
    assert (seen[4:] == 255).all()
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "deep.png")
    Image.new("1", (8, 8), 1).save(tmp_path / "bits.png")
    for name in ("deep.png", "bits.png"):
        assert (images.picture(tmp_path / name, (3, 8, 8)) == 255).all()


@pytest.mark.parametrize("second", ["test", "val", "Validation"])
def test_folders_for_training_and_test_stay_as_they_are(tmp_path, second):
    for half, count in (("train", 4), (second, 2)):
        for name in ("no", "yes"):
            for k in range(count):
                save(tmp_path / half / name / f"{k}.png", 10, 10)
    found = data.from_folder(tmp_path, test=0.9)
    assert (found.names, len(found.train), len(found.test)) == (("no", "yes"), 8, 4)
    save(tmp_path / second / "yse" / "0.png", 10, 10)
    with pytest.raises(
        ValueError, match=r"class 'yse', and there is nothing to learn of it, did you mean 'yes'\?"
    ):
        data.from_folder(tmp_path)
    save(tmp_path / "maybe" / "0.png", 10, 10)
    with pytest.raises(
        ValueError, match=rf"has train and {second}, and beside them 'maybe': put each class into"
    ):
        data.from_folder(tmp_path)


def test_a_class_may_be_called_test(tmp_path):
    for name in ("test", "train"):
        for k in range(3):
            save(tmp_path / name / f"{k}.png", 10, 10)
    assert data.from_folder(tmp_path).names == ("test", "train")


def test_what_is_no_picture_is_passed_over(folder):
    (folder / "owl" / "notes.txt").write_text("of owls")
    (folder / "owl" / ".hidden.png").write_text("no picture")
    (folder / ".git").mkdir()
    (folder / "__MACOSX").mkdir()
    assert (
        sum(map(len, (data.from_folder(folder, size=8).train, data.from_folder(folder, size=8).test))) == 17
    )


def test_a_bad_picture_is_named_and_can_be_left_out(folder):
    (folder / "owl" / "z.jpg").write_text("no picture")
    (folder / "bee" / "empty.png").touch()
    save(folder / "stray.png", 8, 8)
    with pytest.raises(ValueError, match=r"from_folder: .*stray\.png lies beside the folders of the classes"):
        data.from_folder(folder)
    (folder / "stray.png").rename(folder.parent / "stray.png")
    for size in (None, 8):
        with pytest.raises(
            ValueError, match=r"from_folder: .*bee/empty\.png is not a picture .*; skip_bad leaves out such"
        ):
            data.from_folder(folder, size=size)
        found = data.from_folder(folder, size=size, skip_bad=True)
        assert len(found.train) + len(found.test) == 17
        (said,) = found.notes
        assert said.startswith("left out, for they cannot be read: ")
        assert "bee/empty.png" in said
        assert "owl/z.jpg" in said
    save(folder / "stray.png", 8, 8)
    stray, _ = data.from_folder(folder, size=8, skip_bad=True).notes
    assert re.fullmatch(r"left out, for they belong to no class: '.*stray\.png'", stray)
    for path in (folder / "bee").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="none of the pictures of class 'bee' can be read"):
        data.from_folder(folder, skip_bad=True)


def test_pictures_that_are_in_both_parts_are_told(tmp_path):
    for name in "ab":
        save(tmp_path / name / "0.png", 10, 10)
        for k in range(1, 6):
            (tmp_path / name / f"{k}.png").write_bytes((tmp_path / name / "0.png").read_bytes())
    (said,) = data.from_folder(tmp_path).notes
    assert said == "2 of the 2 test images are among those to learn from, to the last pixel"


def refused(match, path, error=ValueError, **how):
    with pytest.raises(error, match=match):
        data.from_folder(path, **how)


def test_folders_that_cannot_be_learned_from(folder, tmp_path):
    refused("from_folder: there is no folder .*nowhere", tmp_path / "nowhere", FileNotFoundError)
    refused("0.png is a file, not a folder", folder / "owl" / "0.png", NotADirectoryError)
    refused(r"owl has no class folders: .*; 10 pictures lie directly in it", folder / "owl")
    (tmp_path / "empty").mkdir()
    refused("empty has no class folders: .*; there are no pictures in it", tmp_path / "empty")
    (tmp_path / "empty").rmdir()
    save(tmp_path / "one" / "owl" / "0.png", 8, 8)
    refused(r"one has only one class, \['owl'\]: at least two", tmp_path / "one")
    refused(
        r"class folder .*one has no pictures .*; there are folders in it, 'owl': is .*one meant", tmp_path
    )
    (folder / "cat").mkdir()
    refused(r"class folder .*cat has no pictures \(avif bmp", folder)
    save(folder / "cat" / "0.png", 8, 8)
    refused("class 'cat' has too few images for a test part: 1; at least 2 are needed", folder)
    (folder / "cat").rename(folder / ("x" * 41))
    save(folder / ("x" * 41) / "1.png", 8, 8)
    refused("the name of a class must be 1 to 40 characters that can be printed, got 'xxx", folder)


@pytest.mark.parametrize(
    ("how", "said", "error"),
    [
        ({"size": 0}, "from_folder: size must be at least 1, got 0", ValueError),
        ({"size": (8, 2000)}, r"from_folder: size must be at most 1024, got \(8, 2000\)", ValueError),
        ({"size": "8"}, "from_folder: size must be an int or a pair", ValueError),
        ({"channels": 4}, "from_folder: channels must be 1, 3 or None, got 4", ValueError),
        ({"test": 1.0}, r"from_folder: test must be a number in \(0, 1\), got 1.0", ValueError),
        ({"seed": -1}, "from_folder: seed -1 is not in 0", ValueError),
        ({"seed": "x"}, "from_folder: seed 'x' is not an integer", TypeError),
    ],
)
def test_settings_against_their_rules(folder, how, said, error):
    refused(said, folder, error, **how)


def test_the_split_would_be_caught_if_it_took_the_first_of_each_class(folder):
    """The choice is by seed: over several seeds every picture of a class is tested at some time."""
    seen = {
        image.tobytes()
        for seed in range(12)
        for image in data.from_folder(folder, size=4, seed=seed).test.images
    }
    assert len(seen) > 14
