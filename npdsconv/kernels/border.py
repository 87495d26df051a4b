"""A zero-bordered copy of one image, so that no inner loop has to ask whether it has left the picture."""

# mypy: disable-error-code="no-untyped-def"
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
            for j in range(image.shape[1]):
                q = left + j * sw
                if 0 <= q < border.shape[1]:
                    source, target = image[i, j], border[p, q]
                    if m == 1:
                        for c in range(source.shape[0]):
                            target[c] = source[c]
                    else:
                        for c in range(target.shape[0]):
                            target[c] = source[c // m]


@serial
def take(border, image, corner):
    """The transpose of :func:`place` for spread 1 and m = 1: read the image back out of its border."""
    top, left = corner
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            source, target = border[top + i, left + j], image[i, j]
            for c in range(source.shape[0]):
                target[c] = source[c]
