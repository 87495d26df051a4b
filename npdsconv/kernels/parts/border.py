"""A zero-bordered copy of one image, so that no inner loop has to ask whether it has left the picture."""

# mypy: ignore-errors
from npdsconv.kernels.machine.jit import serial
from npdsconv.kernels.machine.lanes import advance, copy


@serial
def lay(image, size, channels, border, bordered, corner, spread):
    """Write pixel (i, j) of `image` to (top + i·sh, left + j·sw) of `border`, as far as that lies inside.

    Both are pointers, to `size` and `bordered` pixels (height, width). The rest of `border` is left as it is.
    """
    (top, left), (sh, sw) = corner, spread
    first, last = max(0, -left), min(size[1], bordered[1] - left)
    for i in range(size[0]):
        p = top + i * sh
        source, target = advance(image, i * size[1] * channels), advance(border, p * bordered[1] * channels)
        if 0 <= p < bordered[0]:
            if sw > 1:
                for j in range(size[1]):
                    if 0 <= left + j * sw < bordered[1]:
                        to = advance(target, (left + j * sw) * channels)
                        copy(advance(source, j * channels), to, channels)
            elif last > first:
                run = (last - first) * channels
                copy(advance(source, first * channels), advance(target, (left + first) * channels), run)


@serial
def place(image, border, corner, spread, m):
    """The same for arrays, where channel c goes to channels c·m … c·m + m - 1."""
    (top, left), (sh, sw) = corner, spread
    for i in range(image.shape[0]):
        p = top + i * sh
        if 0 <= p < border.shape[0]:
            for j in range(image.shape[1]):
                q = left + j * sw
                if 0 <= q < border.shape[1]:
                    source, target = image[i, j], border[p, q]
                    for c in range(target.shape[0]):
                        target[c] = source[c // m]
