"""Weights from elsewhere: which layout they seem to have, and what to do about it.

Keras keeps the kernel's rows and columns first, PyTorch has four axes for pointwise weights and no axis of filters for
depthwise ones. Where shapes do not fit, the error says so. Where a shape can be read in two ways it is read in ours:
a (3, 3, 3, 3) of Keras is a (3, 3, 3, 3) here.
"""

from npdsconv.shapes import Array, check_ndim

STANDARD = "(KH, KW, C, O)", "transpose(3, 2, 0, 1)"
DEPTHWISE = "(KH, KW, C, M)", "transpose(2, 3, 0, 1)"
TRANSPOSED = "(KH, KW, O, C)", "transpose(3, 2, 0, 1)"
WIDE = 8  # columns; a kernel so wide and so low is none: these are filters


def like_keras(w: Array, axis: int, channels: int, known: tuple[str, str]) -> str:
    """What to do about a kernel that seems to be Keras', which has the channels on this axis."""
    names, transposed = known
    return f"; {w.shape} looks like Keras' {names}: w.{transposed}" if w.shape[axis] == channels else ""


def like_torch_depthwise(w: Array, channels: int) -> str:
    """The same for PyTorch's weights of a convolution with as many groups as channels."""
    if w.shape[1] != 1 or w.shape[0] % max(channels, 1):
        return ""
    return f"; {w.shape} looks like PyTorch's (C·M, 1, KH, KW): w.reshape({channels}, -1, {w.shape[2]}, {w.shape[3]})"


def check_kernel(op: str, w: Array, known: tuple[str, str]) -> None:
    """`w` fits the channels; but as many rows and outputs as channels, and columns in plenty: that is Keras' layout.

    RGB images have three channels and most kernels three rows, so this happens.
    """
    a, b, c, d = w.shape
    if a == b == c > 1 and d >= WIDE and d > 2 * c:
        names, transposed = known
        raise ValueError(
            f"{op}: w {w.shape} would be a kernel of {c} × {d}; it looks like Keras' {names}: w.{transposed}"
        )


def check_matrix(op: str, w: Array) -> None:
    """`w` has two axes, (O, C); or it is said where a 1×1 kernel with four comes from."""
    if w.ndim == 2:
        check_ndim(op, "w", w, "O, C")
        return
    hint = ""
    if w.ndim == 4 and w.shape[:2] == (1, 1):
        hint = "; it looks like Keras' (1, 1, C, O): w[0, 0].T"
    elif w.ndim == 4 and w.shape[2:] == (1, 1):
        hint = "; it looks like PyTorch's (O, C, 1, 1): w[:, :, 0, 0]"
    raise ValueError(f"{op}: w must have axes (O, C), got shape {w.shape}{hint}")


def like_keras_matrix(w: Array, channels: int) -> str:
    """What to do about a matrix that seems to be Keras' (C, O)."""
    return f"; {w.shape} looks like Keras' (C, O): w.T" if w.shape[0] == channels else ""
