"""Two films for the lessons: windows become columns (im2col), and columns pay back to the image (col2im).

A film is a list of frames, each a sentence and the numbers it writes. Every number comes from the library's own
``im2col`` and ``col2im``; `player` makes a page of it. ::

    from npdsconv.lessons.pictures.animate import im2col_film
    im2col_film(x, w)  # the last line of a notebook's cell
"""

import numpy as np

from npdsconv.lessons.pictures.convolution import number, sum_of_products
from npdsconv.lessons.pictures.player import Film, Frame, Grid, Place
from npdsconv.ops.standard import conv2d
from npdsconv.ops.windows import col2im, im2col, pad
from npdsconv.plots import INPUT, KERNEL, OUTPUT
from npdsconv.shapes import Array, PaddingLike, Pair, Stride, Window, check_choice, check_ndim, resolve_window

__all__ = ["col2im_film", "im2col_film"]

MOST = 12  # windows, taps, rows and columns of an image: more cannot be read on a phone


def im2col_film(
    x: Array, w: Array, *, stride: Stride = 1, padding: PaddingLike = 0, dilation: Stride = 1
) -> Film:
    """The kernel slides, its windows become the columns of a matrix, and a product gives the output.

    Parameters
    ----------
    x : (H, W) float32 or float64, one channel of one image
    w : (KH, KW), of the same dtype
    stride, padding, dilation : as for :func:`npdsconv.conv2d`

    Returns
    -------
    film : shown by a notebook; ``film.html()`` is the page

    Raises
    ------
    ValueError
        More than 12 windows, taps, or rows and columns of the padded image.
    """
    window = _window("im2col_film", x, w, stride, padding, dilation)
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    cols = im2col(x[None, None], w.shape, **settings)[0]  # type: ignore[arg-type]
    y = conv2d(x[None, None], w[None, None], **settings, impl="im2col")[0, 0]  # type: ignore[arg-type]
    shown = pad(x[None, None], window.padding)[0, 0]
    taps, windows = list(np.ndindex(*window.kernel)), list(np.ndindex(*window.output))
    grids = [
        Grid(
            "x",
            "x, padded" if any(map(any, window.padding)) else "x",
            shown,
            INPUT,
            "a",
            pale=_border(shown.shape, window),
        ),
        Grid("w", "w", w, KERNEL, "a"),
        Grid("cols", "cols", cols, INPUT, "b", _labels(taps), _labels(windows)),
        Grid("row", "w as a row", w.reshape(1, -1), KERNEL, "c"),
        Grid("yrow", "w · cols", y.reshape(1, -1), OUTPUT, "d", [""], _labels(windows)),
        Grid("y", "y", y, OUTPUT, "e"),
    ]
    empty = [("cols", cols), ("yrow", y.reshape(1, -1)), ("y", y)]
    clear = {(name, *at): "" for name, array in empty for at in np.ndindex(array.shape)}
    frames = [
        Frame("The kernel w will slide over the image x. Each window becomes one column of cols.", clear)
    ]
    for k, at in enumerate(windows):
        read = [("x", *place) for place in _reads(at, window)]
        column: list[Place] = [("cols", t, k) for t in range(len(taps))]
        copied = {place: number(cols[place[1:]]) for place in column}
        weights = {place: f"×{number(w[tap])}" for place, tap in zip(read, taps, strict=True)}
        frames.append(
            Frame(f"Window {_at(at)}: copied row by row, it is column {k} of cols.", copied, [*read, *column])
        )
        text = f"y{list(at)} = {sum_of_products(w.ravel(), cols[:, k])}"
        answer: list[Place] = [("yrow", 0, k), ("y", *at)]
        frames.append(
            Frame(
                f"w as a row times column {k}: {text}",
                dict.fromkeys(answer, number(y[at])),
                [*column, *read, *answer, *(("row", 0, t) for t in range(len(taps)))],
                weights,
            )
        )
    for t, tap in enumerate(taps):
        seen = [("x", *_reads(at, window)[t]) for at in windows]
        marks = [*seen, ("w", *tap), *(("cols", t, k) for k in range(len(windows)))]
        frames.append(
            Frame(f"Read across: row {t} of cols is all that tap {_at(tap)} has seen of x.", {}, marks)
        )
    frames.append(Frame("All windows as columns, and one matrix product: that is the whole convolution.", {}))
    return Film("im2col: windows become columns", grids, frames)


def col2im_film(
    dy: Array,
    w: Array,
    size: Pair,
    *,
    stride: Stride = 1,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    by: str = "window",
) -> Film:
    """A gradient is scattered back onto the image; where windows overlap, it adds up.

    Parameters
    ----------
    dy : (OH, OW) float32 or float64, the gradient for the output
    w : (KH, KW), of the same dtype
    size : (H, W) of the image
    stride, padding, dilation : as for :func:`npdsconv.col2im`
    by : "window" (column by column, as one thinks of it) or "tap" (row by row, as the library does it)

    Returns
    -------
    film : shown by a notebook; ``film.html()`` is the page

    Raises
    ------
    ValueError
        Shapes that do not fit, more than 12 windows, taps, rows or columns, or another `by`.
    """
    op = "col2im_film"
    check_choice(op, "by", by, ("window", "tap"))
    check_ndim(op, "dy", dy, "OH, OW")
    window = _window(op, np.zeros(size, dy.dtype), w, stride, padding, dilation)
    if dy.shape != window.output:
        raise ValueError(f"{op}: dy has shape {dy.shape}, expected {window.output} (OH, OW)")
    dcols = w.reshape(-1, 1) @ dy.reshape(1, -1)

    def scattered(columns: Array) -> Array:
        how = {"stride": stride, "padding": padding, "dilation": dilation}
        return col2im(columns[None], size, w.shape, **how)[0, 0]  # type: ignore[arg-type]

    taps, windows = list(np.ndindex(*window.kernel)), list(np.ndindex(*window.output))
    dx = scattered(dcols)
    grids = [
        Grid("dy", "dy", dy, OUTPUT, "a"),
        Grid("w", "w", w, KERNEL, "a"),
        Grid("dcols", "dcols", dcols, INPUT, "b", _labels(taps), _labels(windows)),
        Grid("dx", "dx", dx, INPUT, "e"),
    ]
    nothing = {("dx", *at): number(0) for at in np.ndindex(dx.shape)}
    blank = {("dcols", *at): "" for at in np.ndindex(dcols.shape)}
    first = "Every output pixel has read a window of x. Now each pays back: dy times w, onto its window."
    if by == "tap":
        first = "dcols = wᵀ · dy is there already. The library scatters it row by row: one tap at a time."
        blank = {}
    frames = [Frame(first, nothing | blank)]
    done = np.zeros_like(dcols)
    times = np.zeros(size, int)
    for k in range(len(windows) if by == "window" else len(taps)):
        part = (slice(None), k) if by == "window" else (k, slice(None))
        cells: list[Place] = [
            ("dcols", t, n) for t, n in np.ndindex(dcols.shape) if k == (n if by == "window" else t)
        ]
        source = [_inside(_reads(windows[n], window)[t], window) for _, t, n in cells]
        onto = [at for at in source if 0 <= at[0] < size[0] and 0 <= at[1] < size[1]]
        done[part] = dcols[part]
        for at in onto:
            times[at] += 1
        partial = scattered(done)
        adds = {("dx", *at): number(partial[at]) for at in onto}
        counts = {("dx", *at): f"{n}×" for at, n in np.ndenumerate(times) if n}
        marks: list[Place] = [*cells, *(("dx", *at) for at in onto)]
        if by == "window":
            at = windows[k]
            written = {cell: number(dcols[cell[1:]]) for cell in cells}
            text = f"dy{list(at)} = {number(dy[at])} times w is column {k} of dcols."
            before = {key: f"{n}×" for key, n in _counts(times, onto).items()}
            weights: list[Place] = [("w", *tap) for tap in taps]
            frames.append(Frame(text, written, [("dy", *at), *weights, *cells], before))
            text = f"Add it to window {_at(at)} of dx. What lies there stays."
        else:
            text = f"Row {k} of dcols, tap {_at(taps[k])}: no pixel twice, so one strided += adds it all."
            marks.append(("w", *taps[k]))
        frames.append(Frame(text, adds, marks, counts))
    text = "Small numbers: how often each pixel was read, and so how many gradients have been added to it."
    frames.append(Frame(f"That is dx. {text}", {}, [], counts))
    order = "column by column" if by == "window" else "row by row, as the library does it"
    return Film(f"col2im: gradients add up, {order}", grids, frames)


def _window(op: str, x: Array, w: Array, stride: Stride, padding: PaddingLike, dilation: Stride) -> Window:
    check_ndim(op, "x", x, "H, W")
    check_ndim(op, "w", w, "KH, KW")
    window = resolve_window(op, x.shape, w.shape, stride, padding, dilation)
    padded = [n + sum(pads) for n, pads in zip(x.shape, window.padding, strict=True)]
    most = max(window.taps, window.pixels, *padded)
    if most > MOST:
        raise ValueError(
            f"{op}: {window.pixels} windows of {window.taps} taps on a padded image {tuple(padded)}: "
            f"at most {MOST} of each can be shown"
        )
    return window


def _reads(at: Pair, window: Window) -> list[Pair]:
    """The pixels of the padded image that window `at` reads, tap by tap."""
    (i, j), (sh, sw), (dh, dw) = at, window.stride, window.dilation
    return [(i * sh + u * dh, j * sw + v * dw) for u, v in np.ndindex(*window.kernel)]


def _inside(place: Pair, window: Window) -> Pair:
    """A place of the padded image as a place of the image."""
    return place[0] - window.padding[0][0], place[1] - window.padding[1][0]


def _border(shape: tuple[int, ...], window: Window) -> set[Pair]:
    (top, bottom), (left, right) = window.padding
    rows, columns = range(top, shape[0] - bottom), range(left, shape[1] - right)
    return {at for at in np.ndindex(*shape) if at[0] not in rows or at[1] not in columns}


def _counts(times: Array, newest: list[Pair]) -> dict[Place, int]:
    """How often each pixel was added to before the newest additions; pixels with none are left out."""
    earlier = times.copy()
    for at in newest:
        earlier[at] -= 1
    return {("dx", *at): int(n) for at, n in np.ndenumerate(earlier) if n}


def _labels(places: list[Pair]) -> list[str]:
    return [f"{a},{b}" for a, b in places]


def _at(place: Pair) -> str:
    return f"({place[0]}, {place[1]})"
