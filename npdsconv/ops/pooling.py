"""What the pooling ops share: where their windows lie, and what is asked of their arguments."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from npdsconv.ops._memory import check_memory, check_window_memory
from npdsconv.shapes import (
    Array,
    Padding,
    PaddingLike,
    Stride,
    Window,
    check_floats,
    check_ndim,
    check_shape,
    pair,
    resolve_pooling,
)


class PoolTier(NamedTuple):
    """One implementation of a pooling op; `how` is its window, and for a mean the share of each pixel in it.

    Backward takes x, or where nothing else of it is read, its shape.
    """

    forward: Callable[..., Array]  # (x, *how) -> y
    backward: Callable[..., Array]  # (dy, x or x.shape, *how) -> dx


def positions(shape: tuple[int, ...], window: Window) -> Iterator[tuple[tuple[int, ...], tuple]]:
    """Every output position, and the index of its window in the padded input."""
    (sh, sw), (dh, dw), (span_h, span_w) = window.stride, window.dilation, window.span
    for n, c, i, j in np.ndindex(*shape[:2], *window.output):
        field = (n, c, slice(i * sh, i * sh + span_h, dh), slice(j * sw, j * sw + span_w, dw))
        yield (n, c, i, j), field


def taps_inside(size: tuple[int, ...], window: Window, margin: Padding = ((0, 0), (0, 0))) -> list[Array]:
    """For each axis: how many taps of each window fall on the image, or on a margin around it."""
    counts = []
    for n, out, k, s, d, (before, _), (above, below) in zip(
        size,
        window.output,
        window.kernel,
        window.stride,
        window.dilation,
        window.padding,
        margin,
        strict=True,
    ):
        start = np.arange(out) * s - before
        # the taps that lie before the image and its margin, and before what is behind them
        first, behind = -((start + above) // d), -((start - n - below) // d)
        counts.append(np.maximum(np.minimum(behind, k) - np.maximum(first, 0), 0))
    return counts


def always_inside(size: tuple[int, ...], window: Window) -> bool:
    """Whether it is plain that every window meets the image; False where one has to count.

    A window that begins no further out than its span, on both sides, has taps on both sides of an edge, and its steps
    cannot jump over an image as wide as they are.
    """
    return all(
        max(sides) < span and step <= n
        for n, sides, span, step in zip(size, window.padding, window.span, window.dilation, strict=True)
    )


def check_images(op: str, x: Array) -> None:
    check_floats(op, x=x)
    check_ndim(op, "x", x, "N, C, H, W")
    if min(x.shape[2:]) < 1:
        raise ValueError(f"{op}: x must have at least one pixel, got shape {x.shape}")


def check_window(
    op: str,
    x: Array,
    kernel_size: Stride,
    stride: Stride | None,
    padding: PaddingLike,
    dilation: Stride,
    ceil_mode: bool,
    impl: str,
) -> Window:
    """The geometry of a pooling op, if its arguments fit together and every window meets the image."""
    check_images(op, x)
    kernel = pair(op, "kernel_size", kernel_size)
    window = resolve_pooling(op, x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    check_window_memory(op, x.shape, x.dtype, window, x.shape[1], im2col=impl == "im2col")
    kinds = min(window.output[1], window.kernel[1])
    check_memory(op, "a list of the taps of windows", (kinds, window.taps), np.int64)
    if always_inside(x.shape[2:], window):
        return window
    for axis, inside in zip(("rows", "columns"), taps_inside(x.shape[2:], window), strict=True):
        if inside.min() == 0:
            raise ValueError(
                f"{op}: padding {window.padding} puts a window of kernel {kernel} wholly into the padding "
                f"(output {axis} {np.flatnonzero(inside == 0).tolist()}): every window must meet the image"
            )
    return window


def check_dy(op: str, dy: Array, x: Array, window: Window) -> None:
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, (*x.shape[:2], *window.output), "N, C, OH, OW")


def check_global_dy(op: str, dy: Array, x: Array) -> None:
    check_images(op, x)
    check_floats(op, dy=dy, x=x)
    check_shape(op, "dy", dy, (*x.shape[:2], 1, 1), "N, C, 1, 1")
