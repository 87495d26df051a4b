"""How windows lie over an image, in the six numbers that loops need."""

from typing import NamedTuple

from npdsconv.shapes import Window


class Frame(NamedTuple):
    """Window (i, j) begins at pixel (i·sh - top, j·sw - left) of the image, and its taps lie dh and dw pixels apart."""

    top: int
    left: int
    sh: int
    sw: int
    dh: int
    dw: int


def frame_of(window: Window) -> Frame:
    """For forward, and for the gradient of the weights."""
    (top, _), (left, _) = window.padding
    return Frame(top, left, *window.stride, *window.dilation)


def frame_of_input_gradient(window: Window) -> Frame:
    """For dx, as a correlation of the rotated kernel with dy, whose pixels lie apart by the stride."""
    (top, _), (left, _) = window.padding
    return Frame(window.span[0] - 1 - top, window.span[1] - 1 - left, 1, 1, *window.dilation)
