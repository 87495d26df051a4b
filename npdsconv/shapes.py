"""Every shape rule and every shape error.

The output-size rule, along one axis (stride s, dilation d, padding p before and q after)::

    span = d·(K - 1) + 1                    what the kernel covers
    out  = floor((H + p + q - span) / s) + 1          needs  H + p + q >= span

Nothing else is asked of the sizes: in particular they need not divide. A transposed convolution goes the other way::

    out = (H - 1)·s - p - q + span                    needs  out >= 1
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Stride = int | Pair
Same = Literal["same", "same_lower"]
PaddingLike = int | Pair | tuple[Pair, Pair] | str
SidesLike = int | Pair | str

MOST = 2**31 - 1
"""The largest stride, padding, dilation or number of channels: so that no product of two of them leaves an int64."""

MAY_BE_EMPTY = {
    "N",
    "H",
    "W",
    "L",
    "KH",
    "KW",
}  # a batch of no images, one that is all padding; kernels see below
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
OPTIONAL = ("b", "mean", "var")  # arguments that an op can do without


class Steps(TypedDict, total=False):
    """How a kernel moves over an image, as the keyword arguments of an op."""

    stride: Stride
    padding: PaddingLike
    dilation: Stride


class Geometry(Steps, total=False):
    """The same for a standard convolution."""

    groups: int


class Pooling(Steps, total=False):
    """The same for pooling."""

    ceil_mode: bool


class Window(NamedTuple):
    """How a kernel meets its input, every choice resolved to numbers: (height, width) pairs."""

    kernel: Pair
    stride: Pair
    padding: Padding  # ((top, bottom), (left, right))
    dilation: Pair
    output: Pair

    @property
    def span(self) -> Pair:
        """Rows and columns that the dilated kernel covers: d·(K - 1) + 1."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    @property
    def taps(self) -> int:
        """KH·KW."""
        return self.kernel[0] * self.kernel[1]

    @property
    def pixels(self) -> int:
        """OH·OW."""
        return self.output[0] * self.output[1]

    @property
    def steps(self) -> Steps:
        """As the keyword arguments of an op."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def pair(op: str, name: str, value: Stride, least: int = 1) -> Pair:
    """An int or (height, width) as a pair of ints, each at least `least`."""
    parts = value if isinstance(value, tuple | list) else (value, value)
    if len(parts) != 2 or not all(_is_int(v) for v in parts):
        raise ValueError(f"{op}: {name} must be an int or a pair of ints (height, width), got {value!r}")
    if min(parts) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    if max(parts) > MOST:
        raise ValueError(f"{op}: {name} must be at most {MOST}, got {value!r}")
    return int(parts[0]), int(parts[1])


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def parse_padding(op: str, padding: PaddingLike) -> Padding | Same:
    """Every form of padding as ((top, bottom), (left, right)); what depends on the image stays: the words of `Same`."""
    if isinstance(padding, str) and padding in ("same", "same_lower"):
        return cast(Same, padding)
    if isinstance(padding, str) and padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, tuple | list) and len(padding) == 2:
        vertical, horizontal = padding
        if isinstance(vertical, tuple | list) and isinstance(horizontal, tuple | list):
            return pair(op, "padding", vertical, 0), pair(op, "padding", horizontal, 0)
        if _is_int(vertical) and _is_int(horizontal):
            ph, pw = pair(op, "padding", padding, 0)  # type: ignore[arg-type]
            return (ph, ph), (pw, pw)
    elif _is_int(padding):
        ph, pw = pair(op, "padding", padding, 0)  # type: ignore[arg-type]
        return (ph, ph), (pw, pw)
    raise ValueError(
        f"{op}: padding must be an int, (height, width), ((top, bottom), (left, right)), "
        f'"valid", "same" or "same_lower", got {padding!r}'
    )


def parse_sides(op: str, padding: SidesLike) -> Pair | Same:
    """Every form of a sequence's padding as (left, right); what depends on the length stays."""
    if isinstance(padding, str) and padding in ("same", "same_lower"):
        return cast(Same, padding)
    if isinstance(padding, str) and padding == "valid":
        return 0, 0
    is_pair = isinstance(padding, tuple | list) and len(padding) == 2
    parts: Any = padding if is_pair else (padding, padding)
    if not all(_is_int(side) for side in parts):
        raise ValueError(
            f'{op}: padding must be an int, (left, right), "valid", "same" or "same_lower", got {padding!r}'
        )
    return pair(op, "padding", parts, 0)


def _same(how: Same, size: int, span: int, stride: int) -> Pair:
    """Padding for an output of ceil(size / stride), the smaller half first (TensorFlow, Keras, SAME_UPPER) or last."""
    out = -(-size // stride)
    total = max((out - 1) * stride + span - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if how == "same" else (large, small)


def resolve_pooling(
    op: str,
    size: Pair,
    kernel: Pair,
    stride: Stride | None = None,
    padding: PaddingLike = 0,
    dilation: Stride = 1,
    ceil_mode: bool = False,
) -> Window:
    """The window of a pooling op: the stride is the kernel where none is given, and the rule may round up."""
    stride = kernel if stride is None else stride
    if ceil_mode:
        padding = _rounded_up(op, size, kernel, stride, padding, dilation)
    return resolve_window(op, size, kernel, stride, padding, dilation)


def _rounded_up(
    op: str, size: Pair, kernel: Pair, stride: Stride, padding: PaddingLike, dilation: Stride
) -> PaddingLike:
    """The padding with which the output-size rule rounds up, as PyTorch's ceil_mode: more lies below and on the right.

    Where the rule leaves a rest one more window is taken, unless it would begin behind the picture. With "same" nothing
    is left over.
    """
    pads = parse_padding(op, padding)
    if isinstance(pads, str):
        return pads
    sides = []
    for n, k, s, d, (before, after) in zip(
        size, kernel, pair(op, "stride", stride), pair(op, "dilation", dilation), pads, strict=True
    ):
        span = d * (k - 1) + 1
        last = -(-(n + before + after - span) // s) * s  # where the last window begins
        if last >= n + before:
            last -= s
        sides.append((before, max(after, last + span - n - before)))
    return sides[0], sides[1]


def resolve_window(
    op: str, size: Pair, kernel: Pair, stride: Stride = 1, padding: PaddingLike = 0, dilation: Stride = 1
) -> Window:
    """Resolve stride, padding and dilation, and apply the output-size rule at the top of this file."""
    try:
        return _resolved(op, size, kernel, stride, padding, dilation)
    except TypeError:  # a list cannot be looked up; and a wrong type is found again
        return _resolved.__wrapped__(op, size, kernel, stride, padding, dilation)


@lru_cache(maxsize=256, typed=True)  # a network asks for the same few windows again and again
def _resolved(
    op: str, size: Pair, kernel: Pair, stride: Stride, padding: PaddingLike, dilation: Stride
) -> Window:
    stride, dilation = pair(op, "stride", stride), pair(op, "dilation", dilation)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    pads = parse_padding(op, padding)
    if isinstance(pads, str):
        pads = _same(pads, size[0], span[0], stride[0]), _same(pads, size[1], span[1], stride[1])
    out, steps = [], []
    for axis, n, k, s, d, (before, after) in zip(
        ("height", "width"), size, kernel, stride, dilation, pads, strict=True
    ):
        if k < 1:
            raise ValueError(f"{op}: kernel {axis} is {k}, must be at least 1")
        room = n + before + after - (d * (k - 1) + 1)
        if room < 0:
            raise ValueError(
                f"{op}: kernel {k} with dilation {d} spans {d * (k - 1) + 1} > "
                f"padded {axis} {n + before + after}: no output position"
            )
        out.append(room // s + 1)
        # What has no effect is put in its smallest form: kernels may set memory aside for as far as a step reaches.
        steps.append((min(s, n + before + after), d if k > 1 else 1))
    (sh, dh), (sw, dw) = steps
    return Window(kernel, (sh, sw), pads, (dh, dw), (out[0], out[1]))


def resolve_transposed(
    op: str, size: Pair, kernel: Pair, stride: Stride = 1, padding: PaddingLike = 0, dilation: Stride = 1
) -> Window:
    """The window of a transposed convolution of an image of `size`; its output is by the second rule above.

    It is the window of the convolution that leads from that output to `size`; its padding is what is cut off here.
    With "same" the output is H·s, the size of which that convolution makes H.
    """
    sides, grown = parse_padding(op, padding), []
    for k in range(2):
        n, (s, d) = (
            size[k],
            (pair(op, name, step)[k] for name, step in (("stride", stride), ("dilation", dilation))),
        )
        if n < 1:
            raise ValueError(f"{op}: x must have at least one pixel, got height and width {size}")
        grown.append(
            n * s if isinstance(sides, str) else (n - 1) * s - sum(sides[k]) + d * (kernel[k] - 1) + 1
        )
    window = resolve_window(op, (grown[0], grown[1]), kernel, stride, padding, dilation)
    if min(grown) < 1:
        raise ValueError(
            f"{op}: padding {window.padding} takes all of the output away: {grown[0]} × {grown[1]} would be left"
        )
    return window._replace(output=(grown[0], grown[1]))


def check_counts(op: str, **numbers: int) -> None:
    """All `numbers` (of channels, of features) are ints of at least 1."""
    for name, n in numbers.items():
        if not _is_int(n) or n < 1:
            raise ValueError(f"{op}: {name} must be an int of at least 1, got {n!r}")
        if n > MOST:
            raise ValueError(f"{op}: {name} must be at most {MOST}, got {n!r}")


def check_number(
    op: str,
    name: str,
    value: float,
    low: float,
    high: float = np.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as a float, if it is a finite real number from `low` to `high`; an open end does not count itself."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    above = real and (low < value if open_low else low <= value)
    below = real and (value < high if open_high or high == np.inf else value <= high)
    if not (above and below):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high or high == np.inf else ']'}"
        raise ValueError(f"{op}: {name} must be a number in {interval}, got {value!r}")
    return float(value)


def check_floats(op: str, **arrays: Array | None) -> None:
    """All arrays are NumPy arrays of one dtype, float32 or float64; only a bias or a statistic may be None."""
    dtype = None
    for name, a in arrays.items():  # most often all is well: seen at a glance, since every op asks
        if type(a) is np.ndarray and (dtype is None or a.dtype == dtype):
            dtype = a.dtype
        elif a is not None or name not in OPTIONAL:
            break
    else:
        if dtype in FLOATS:
            return
    given: dict[str, Any] = {name: a for name, a in arrays.items() if a is not None or name not in OPTIONAL}
    for name, a in given.items():
        check_plain(op, name, a)
        if a.dtype not in FLOATS:
            raise TypeError(f"{op}: {name} has dtype {a.dtype}, must be float32 or float64")
    if len({a.dtype for a in given.values()}) > 1:
        listing = ", ".join(f"{name} {a.dtype}" for name, a in given.items())
        raise TypeError(f"{op}: one dtype for all arrays, got {listing}")


def check_plain(op: str, name: str, array: object) -> None:
    """`array` is a NumPy array, and none of the kinds of array that calculate otherwise (np.matrix, masked arrays)."""
    if type(array) is np.ndarray:
        return
    kind = type(array).__name__
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{op}: {name} must be a NumPy array without a mask, got {kind}: fill it, {name}.filled(0)"
        )
    if isinstance(array, np.ndarray):
        raise TypeError(
            f"{op}: {name} must be a plain NumPy array, got {kind}: np.asarray({name}) makes it one"
        )
    raise TypeError(f"{op}: {name} must be a NumPy array, got {kind}")


def check_ndim(op: str, name: str, array: Array, axes: str) -> None:
    """`array` has one axis for each name in `axes`, for instance "N, C, H, W"; only batches and images may be empty."""
    names = axes.split(", ")
    if array.ndim != len(names):
        raise ValueError(f"{op}: {name} must have axes ({axes}), got shape {array.shape}")
    if array.size == 0:
        for axis, size in zip(names, array.shape, strict=True):
            if size == 0 and axis not in MAY_BE_EMPTY:
                raise ValueError(f"{op}: {name} ({axes}) has shape {array.shape}, {axis} must be at least 1")


def check_shape(op: str, name: str, array: Array, expected: tuple[int, ...], rule: str) -> None:
    if array.shape != expected:
        raise ValueError(f"{op}: {name} has shape {array.shape}, expected {expected} ({rule})")


def check_needs(op: str, needs: Iterable[str], known: tuple[str, ...]) -> None:
    """`needs` names gradients among `known`."""
    if (
        isinstance(needs, str)
        or not isinstance(needs, Collection)
        or not all(name in known for name in needs)
    ):
        raise ValueError(f"{op}: needs must be a tuple of names among {known}, got {needs!r}")


def check_choice(op: str, name: str, value: object, known: Iterable[str]) -> None:
    """`value` is one of the known names; if it is not, those that look like it are named."""
    if value not in (choices := tuple(known)):
        raise ValueError(
            f"{op}: {name} must be one of {', '.join(choices)}, got {value!r}{did_you_mean(value, choices)}"
        )


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """What to say behind a name that is unknown: those that look like it, or begin with it; empty if none does.

    >>> did_you_mean("separable", ["small_cnn", "separable_cnn"]), did_you_mean("resnet", ["small_cnn"])
    (", did you mean 'separable_cnn'?", '')
    """
    import difflib  # here, for it is needed only where there is a mistake

    if not isinstance(value, str) or len(value) < 2:
        return ""
    names = {name.lower(): name for name in known}
    alike = difflib.get_close_matches(value.lower(), names)
    alike += [name for name in names if name.startswith(value.lower()) and name not in alike]
    return f", did you mean {' or '.join(repr(names[name]) for name in alike[:3])}?" if alike else ""


def likely_layout(x: Array, channels: int) -> str:
    """What to do about images whose channels seem to be last: as many as wanted, and fewer than rows and columns.

    >>> likely_layout(np.zeros((2, 28, 28, 1)), 1)
    '; x must be (N, C, H, W), and (2, 28, 28, 1) looks like channels last: x.transpose(0, 3, 1, 2)'
    """
    if x.ndim != 4 or x.shape[3] != channels or channels >= min(x.shape[1:3]):
        return ""
    return f"; x must be (N, C, H, W), and {x.shape} looks like channels last: x.transpose(0, 3, 1, 2)"


def likely_weights(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to do about weights of another shape, where it can be told from where they come.

    >>> likely_weights((3, 3, 1, 8), (8, 1, 3, 3))
    '; that looks like the layout of Keras: transpose(3, 2, 0, 1)'
    """
    for axes in ((3, 2, 0, 1), (2, 3, 0, 1), (1, 0)):
        if len(given) == len(wanted) == len(axes) and tuple(given[k] for k in axes) == wanted:
            return f"; that looks like the layout of Keras: transpose{axes}"
    if given == (1, 1, *wanted[::-1]):
        return "; that looks like the layout of Keras: [0, 0].T"
    if given == (*wanted, 1, 1):
        return "; that looks like the layout of PyTorch: [:, :, 0, 0]"
    if len(given) == len(wanted) == 4 and given == (wanted[0] * wanted[1], 1, *wanted[2:]):
        return f"; that looks like the layout of PyTorch: reshape{wanted}"
    return ""
