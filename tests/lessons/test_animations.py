"""The films show the library's own numbers, and their pages are small, self-contained and usable without a mouse."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from npdsconv import col2im, conv2d, conv2d_backward, im2col
from npdsconv.lessons.pictures import number
from npdsconv.lessons.pictures.animate import col2im_film, im2col_film
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

RNG = np.random.default_rng(2)
GEOMETRIES = {
    "plain": {},
    "stride": {"stride": (2, 1)},
    "padding": {"padding": ((1, 0), (0, 2)), "stride": 2},
    "dilation": {"dilation": (1, 2)},
    "same": {"padding": "same", "stride": (3, 2)},
}
STATIC = Path(__file__).parents[2] / "docs" / "_static" / "animations"


def ints(*shape):
    return RNG.integers(-4, 5, shape).astype(float)


def images(how):
    x, w = ints(4, 5), ints(2, 3)
    y = conv2d(x[None, None], w[None, None], **how, impl="naive")[0, 0]
    return x, w, y, ints(*y.shape)


def cells(state, name):
    """What a film shows of one grid, as numbers; blank cells are NaN."""
    found = {(r, c): text for (grid, r, c), text in state.items() if grid == name}
    rows, columns = (max(k) + 1 for k in zip(*found, strict=True))
    values = [
        float(found[r, c].replace("−", "-")) if found[r, c] else np.nan for r, c in np.ndindex(rows, columns)
    ]
    return np.array(values).reshape(rows, columns)


@pytest.mark.parametrize("how", GEOMETRIES.values(), ids=GEOMETRIES)
def test_im2col_shows_the_librarys_numbers(how):
    x, w, y, _ = images(how)
    film = im2col_film(x, w, **how)
    cols = im2col(x[None, None], w.shape, **how)[0]
    start, end = film.state(0), film.state(len(film) - 1)
    assert np.isnan(cells(start, "cols")).all()
    assert np.isnan(cells(start, "y")).all()
    np.testing.assert_array_equal(cells(end, "cols"), cols)
    np.testing.assert_array_equal(cells(end, "y"), y)
    np.testing.assert_array_equal(cells(end, "yrow"), y.reshape(1, -1))
    for k in range(y.size):  # window k is copied in step 2k + 1 and multiplied in step 2k + 2
        state, frame = film.state(2 * k + 2), film.frames[2 * k + 2]
        np.testing.assert_array_equal(cells(state, "cols")[:, k], cols[:, k])
        assert np.isnan(cells(state, "cols")[:, k + 1 :]).all()
        assert frame.say.endswith(f"= {number(y.ravel()[k])}")
        marked = [float(state[place].replace("−", "-")) for place in frame.marks if place[0] == "x"]
        assert marked == cols[:, k].tolist()


@pytest.mark.parametrize("by", ["window", "tap"])
@pytest.mark.parametrize("how", GEOMETRIES.values(), ids=GEOMETRIES)
def test_col2im_shows_the_librarys_numbers(how, by):
    x, w, _, dy = images(how)
    film = col2im_film(dy, w, x.shape, **how, by=by)
    dx, _, _ = conv2d_backward(dy[None, None], x[None, None], w[None, None], **how, impl="naive")
    end = film.state(len(film) - 1)
    np.testing.assert_array_equal(cells(film.state(0), "dx"), np.zeros(x.shape))
    np.testing.assert_array_equal(cells(end, "dx"), dx[0, 0])
    np.testing.assert_array_equal(cells(end, "dcols"), w.reshape(-1, 1) @ dy.reshape(1, -1))
    ones = np.ones((1, w.size, dy.size))
    read = col2im(ones, x.shape, w.shape, **how)[0, 0]
    counts = {place[1:]: text for place, text in film.frames[-1].notes.items()}
    assert counts == {at: f"{int(n)}×" for at, n in np.ndenumerate(read) if n}


def test_col2im_adds_window_by_window():
    dy, w = np.array([[1.0, 10.0]]), np.array([[1.0, 2.0]])
    film = col2im_film(dy, w, (1, 3))
    steps = [cells(film.state(k), "dx").ravel().tolist() for k in range(len(film))]
    assert steps == [[0, 0, 0], [0, 0, 0], [1, 2, 0], [1, 2, 0], [1, 12, 20], [1, 12, 20]]


FILMS = {
    "im2col": lambda: im2col_film(ints(4, 4), ints(2, 2)),
    "im2col_stride": lambda: im2col_film(ints(6, 6), ints(3, 3), padding=1, stride=2),
    "col2im": lambda: col2im_film(ints(3, 4), ints(3, 4), (5, 7)),
    "by_tap": lambda: col2im_film(ints(3, 3), ints(2, 2), (4, 4), by="tap"),
}


class Page(HTMLParser):
    """Tags with their attributes, and what stands in scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("input", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


@pytest.mark.parametrize("make", FILMS.values(), ids=FILMS)
def test_pages_are_small_and_self_contained(make):
    film = make()
    html = film.html()
    page = Page(html)
    assert page.open == [], "every tag is closed"
    assert len(html) <= 40_000
    assert html.isascii()
    assert film._repr_html_() == html
    assert not re.search(r"https?:|//\w|@import|url\(|src=|href=", html), "nothing comes from elsewhere"
    for colour in (INPUT, WINDOW, KERNEL, OUTPUT):
        assert colour in html
    names = {a["aria-label"] for tag, a in page.tags if tag in ("button", "input")}
    assert names == {"first step", "step back", "play", "step forward", "step"}
    for word in ("ArrowLeft", "ArrowRight", "Home", "End", "prefers-reduced-motion", "@container"):
        assert word in html, word


@pytest.mark.parametrize("make", FILMS.values(), ids=FILMS)
def test_the_page_holds_the_film(make):
    """What the script plays is what `state` says, and what is drawn without it is the last frame."""
    film = make()
    html = film.html()
    steps = json.loads(Page(html).scripts[0])
    assert [step[0] for step in steps] == [frame.say for frame in film.frames]
    places = [(g.name, r, c) for g in film.grids for r, c in np.ndindex(g.values.shape)]
    drawn = re.findall(r'<g data-k="(\d+)"[^>]*><rect [^>]*/><text [^>]*>([^<]*)</text>', html)
    end = film.state(len(film) - 1)
    drawn = {places[int(k)]: text.replace("&#8722;", "−") for k, text in drawn}
    assert drawn == end
    played = dict(drawn)
    for k, (_, writes, marks, notes) in enumerate(steps):
        played |= {places[int(i)]: text for i, text in writes.items()}
        assert played == film.state(k)
        assert [places[i] for i in marks] == list(film.frames[k].marks)
        noted = {places[int(i)]: text.replace("x", "×") for i, text in notes.items()}
        assert noted == film.frames[k].notes
    titles = re.findall(r"<figcaption><b>(.*?)</b> \((\d+), (\d+)\)", html)
    assert sorted((int(r), int(c)) for _, r, c in titles) == sorted(g.values.shape for g in film.grids)


def test_bad_input_says_what_is_wrong():
    with pytest.raises(
        ValueError, match=r"^im2col_film: 25 windows of 4 taps on a padded image \(6, 6\): at most 12"
    ):
        im2col_film(ints(6, 6), ints(2, 2))
    with pytest.raises(ValueError, match=r"^im2col_film: kernel 5 with dilation 1 spans 5 > padded height 4"):
        im2col_film(ints(4, 4), ints(5, 5))
    with pytest.raises(ValueError, match=r"^im2col_film: x must have axes \(H, W\), got shape \(1, 4, 4\)"):
        im2col_film(ints(1, 4, 4), ints(2, 2))
    with pytest.raises(
        ValueError, match=r"^col2im_film: dy has shape \(2, 3\), expected \(3, 3\) \(OH, OW\)"
    ):
        col2im_film(ints(2, 3), ints(2, 2), (4, 4))
    with pytest.raises(ValueError, match=r"^col2im_film: by must be one of window, tap, got 'pixel'"):
        col2im_film(ints(3, 3), ints(2, 2), (4, 4), by="pixel")


@pytest.mark.skipif(not STATIC.exists(), reason="an installed package has no docs")
def test_the_written_films_are_complete():
    pages = {path.stem: path.read_text(encoding="ascii") for path in STATIC.glob("*.html")}
    assert set(pages) == {"im2col", "im2col_stride", "col2im", "col2im_by_tap"}
    current = im2col_film(ints(3, 3), ints(2, 2)).html()
    style = re.search(r"<style>.*?</style>", current, re.S).group()
    script = current[current.rindex("<script>") :]
    for name, html in pages.items():
        assert len(html) <= 40_000, name
        assert style in html, f"{name} is out of date: python docs/make_figures.py"
        assert script in html, f"{name} is out of date: python docs/make_figures.py"
