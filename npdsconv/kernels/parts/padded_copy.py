"""A zero-padded copy of one image, so that no inner loop has to ask whether it has left the picture."""

# mypy: disable-error-code="no-untyped-def"
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import advance, copy
from npdsconv.shapes import Pair, Window


def padded_size(shape: tuple[int, ...], window: Window) -> Pair:
    """Height and width of images of this shape with their padding."""
    (top, bottom), (left, right) = window.padding
    return shape[2] + top + bottom, shape[3] + left + right


@serial
def padded_copy(image, size, channels, corner, apart, padded_size, padded):
    """Write pixel (i, j) of `image` to (top + i·sh, left + j·sw) of `padded`, as far as that lies inside.

    `corner` is (top, left), `apart` (sh, sw). Both images are pointers, to `size` and `padded_size` pixels (height,
    width). The rest of `padded` is left as it is.
    """
    (top, left), (sh, sw), (height, width) = corner, apart, padded_size
    first, last = max(0, -left), min(size[1], width - left)
    for i in range(size[0]):
        p = top + i * sh
        source, target = advance(image, i * size[1] * channels), advance(padded, p * width * channels)
        if 0 <= p < height:
            if sw > 1:
                for j in range(size[1]):
                    if 0 <= left + j * sw < width:
                        to = advance(target, (left + j * sw) * channels)
                        copy(advance(source, j * channels), to, channels)
            elif last > first:
                run = (last - first) * channels
                copy(advance(source, first * channels), advance(target, (left + first) * channels), run)


@serial
def padded_copy_repeated(image, corner, apart, m, padded):
    """The same for arrays, where channel c goes to channels c·m … c·m + m - 1."""
    (top, left), (sh, sw) = corner, apart
    for i in range(image.shape[0]):
        p = top + i * sh
        if 0 <= p < padded.shape[0]:
            for j in range(image.shape[1]):
                q = left + j * sw
                if 0 <= q < padded.shape[1]:
                    source, target = image[i, j], padded[p, q]
                    for c in range(target.shape[0]):
                        target[c] = source[c // m]
