"""A zero-bordered copy of one image, so that no inner loop has to ask whether it has left the picture."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np

from npdsconv.kernels._jit import serial


@serial
def place(image, border, corner, spread, m):
    """Write pixel (i, j) of `image` to (top + i·sh, left + j·sw) of `border`, as far as that lies inside.

    Channel c goes to channels c·m … c·m + m - 1. The rest of `border` is left as it is.
    """
    (top, left), (sh, sw) = corner, spread
    for i in range(image.shape[0]):
        p = top + i * sh
        if 0 <= p < border.shape[0]:
            if m == 1 and sw == 1:
                _copy_row(image[i], border[p], left)
            else:
                _spread_row(image[i], border[p], left, sw, m)


@serial
def _copy_row(source, target, left):
    """The pixels of one row, as one run of numbers."""
    channels = source.shape[1]
    first, last = max(0, -left), min(source.shape[0], target.shape[0] - left)
    numbers, places = source.reshape(-1), target.reshape(-1)
    begin, to = np.uint64(first * channels), np.uint64((first + left) * channels)
    for k in range(np.uint64(max(0, last - first) * channels)):
        places[to + k] = numbers[begin + k]


@serial
def _spread_row(source, target, left, sw, m):
    for j in range(source.shape[0]):
        q = left + j * sw
        if 0 <= q < target.shape[0]:
            pixel, place = source[j], target[q]
            if m == 1:
                for c in range(pixel.shape[0]):
                    place[c] = pixel[c]
            else:
                for c in range(place.shape[0]):
                    place[c] = pixel[c // m]
