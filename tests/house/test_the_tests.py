"""The tests are tested: wrong kernels go in, and every one of them has to be caught.

One slow implementation serves them all. As it stands it is right, which the first test shows; each slip changes
one thing in it, a mistake that somebody has made somewhere. It is then put through the comparison that the
tiers have to pass, and its backward through the gradient checker.
"""

import numpy as np
import pytest
from geometries import CONVOLUTIONS, TYPICAL, Pair, assert_pair_agrees, case_of, geometries, gradients, tier

from npdsconv.gradcheck import check
from npdsconv.lessons import worked_examples
from npdsconv.ops.windows import pad, scatter_columns, windows
from npdsconv.shapes import resolve_window

CONTROL = "none"


class Loops:
    """Convolution by loops over every product, with one slip."""

    def __init__(self, op, slip=CONTROL):
        self.op, self.slip = op, slip

    def terms(self, x, w, window, groups):
        """Indices of y, of w and of x for every product."""
        (sh, sw), (dh, dw) = window.stride, window.dilation
        (top, bottom), (left, right) = window.padding
        (kh, kw), (oh, ow) = window.kernel, window.output
        if self.slip == "stride and dilation swapped":
            (sh, sw), (dh, dw) = (dh, dw), (sh, sw)
        if self.slip == "padding swapped":
            top, left = bottom, right
        if self.slip == "padding forgotten":
            top = left = 0
        if self.slip == "the axes of the stride swapped":
            sh, sw = sw, sh
        if self.slip == "last column missing":
            ow -= 1
        for n, o, k in self.channels(x, w, groups):
            for i, j, u, v in np.ndindex(oh, ow, kh, kw):
                at_w = (kh - 1 - u, kw - 1 - v) if self.slip == "kernel flipped" else (u, v)
                p, q = i * sh + u * dh - top, j * sw + v * dw - left
                if self.slip == "kernel axes swapped":
                    p, q = i * sh + v * dh - top, j * sw + u * dw - left
                if 0 <= p < x[2] and 0 <= q < x[3]:
                    yield (
                        (n, o, i, j),
                        (*self.filter(w, o, k), *at_w),
                        (n, self.source(w, o, k, groups), p, q),
                    )

    def channels(self, x, w, groups):
        """Image, output channel and, for a standard convolution, the input channel within the group."""
        images = range(x[0] - 1) if self.slip == "last image missing" else range(x[0])
        outputs, inputs = (w[0] * w[1], 1) if self.op == "depthwise_conv2d" else w[:2]
        return ((n, o, k) for n in images for o in range(outputs) for k in range(inputs))

    def filter(self, w, o, k):
        if self.op != "depthwise_conv2d":
            return o, k
        return (o % w[0], o // w[0]) if self.slip == "channels m·C + c" else divmod(o, w[1])

    def source(self, w, o, k, groups):
        """The input channel."""
        if self.op == "depthwise_conv2d":
            return self.filter(w, o, k)[0]
        group = o % groups if self.slip == "groups interleaved" else o // (w[0] // groups)
        return group * w[1] + k

    def prepared(self, x, w, options):
        options = dict(options)
        groups = options.pop("groups", 1)
        w = w.reshape(*w.shape[:2], *(w.shape[2:] or (1, 1)))  # pointwise is a kernel of one pixel
        return w, resolve_window("loops", x.shape[2:], w.shape[2:], **options), groups

    def forward(self, x, w, b, **options):
        original = w
        w, window, groups = self.prepared(x, w, options)
        y = np.zeros((len(x), len(b), *window.output), x.dtype)
        for at_y, at_w, at_x in self.terms(x.shape, w.shape, window, groups):
            y[at_y] += w[at_w] * x[at_x]
        if self.slip == "zeros":
            return np.zeros_like(y)
        if self.slip == "float32 inside":
            return (y.astype(np.float32)).astype(original.dtype)
        if self.slip == "bias over the wrong axes":
            return y + np.resize(b, y.shape)
        return y + b[:, None, None]

    def backward(self, dy, x, w, **options):
        shape = w.shape
        w, window, groups = self.prepared(x, w, options)
        db = (
            dy.reshape(-1, dy.shape[1]).sum(0)
            if self.slip == "bias over the wrong axes"
            else dy.sum((0, 2, 3))
        )
        if self.slip == "dy flipped":
            dy = dy[:, :, ::-1, ::-1]
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for at_y, at_w, at_x in self.terms(x.shape, w.shape, window, groups):
            if self.slip == "dx assigned, not added":
                dx[at_x] = dy[at_y] * w[at_w]
            else:
                dx[at_x] += dy[at_y] * w[at_w]
            if self.slip == "dw assigned, not added":
                dw[at_w] = dy[at_y] * x[at_x]
            else:
                dw[at_w] += dy[at_y] * x[at_x]
        if self.slip == "zeros":
            dx, dw, db = (np.zeros_like(a) for a in (dx, dw, db))
        if self.slip == "float32 inside":
            dx, dw = dx.astype(np.float32).astype(x.dtype), dw.astype(np.float32).astype(x.dtype)
        if self.slip == "mean over the batch":
            dw, db = dw / max(1, len(x)), db / max(1, len(x))
        return dx, dw.reshape(shape), db


# Where each slip can be made: in which ops, and in which pass.
BOTH, FORWARD, BACKWARD = ("forward", "backward"), ("forward",), ("backward",)
WINDOWED = ("conv2d", "depthwise_conv2d")
SLIPS = {
    "zeros": (CONVOLUTIONS, BOTH),
    "last image missing": (CONVOLUTIONS, BOTH),
    "last column missing": (CONVOLUTIONS, BOTH),
    "bias over the wrong axes": (CONVOLUTIONS, BOTH),
    "float32 inside": (CONVOLUTIONS, BOTH),
    "stride and dilation swapped": (WINDOWED, BOTH),
    "the axes of the stride swapped": (WINDOWED, BOTH),
    "padding swapped": (WINDOWED, BOTH),
    "padding forgotten": (WINDOWED, BOTH),
    "kernel flipped": (WINDOWED, BOTH),
    "kernel axes swapped": (WINDOWED, BOTH),
    "groups interleaved": (("conv2d",), BOTH),
    "channels m·C + c": (("depthwise_conv2d",), BOTH),
    "dy flipped": (CONVOLUTIONS, BACKWARD),
    "dx assigned, not added": (CONVOLUTIONS, BACKWARD),
    "dw assigned, not added": (CONVOLUTIONS, BACKWARD),
    "mean over the batch": (CONVOLUTIONS, BACKWARD),
}
MUTANTS = [(op, slip, where) for slip, (ops, passes) in SLIPS.items() for op in ops for where in passes]
WRONG_BACKWARDS = [(op, slip) for op, slip, where in MUTANTS if where == "backward"]


def mutant(op, slip, where=BOTH):
    """The pair with the slip in one pass or in both; a pass without it is right."""
    wrong, right = Loops(op, slip), Loops(op)
    return Pair(
        f"{op} with slip: {slip}",
        (wrong if "forward" in where else right).forward,
        (wrong if "backward" in where else right).backward,
    )


def is_caught(pair, cases, dtype=np.float64):
    """Whether the comparison of test_tiers.py fails for at least one case."""
    for case in cases:
        try:
            assert_pair_agrees(pair, case, dtype)
        except AssertionError:
            return True
    return False


def first_block(op):
    """What the first test of test_tiers.py sees."""
    return [case_of(geometry) for geometry in geometries(op, 0, 20)]


# ---- the comparison of tiers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_without_a_slip_nothing_is_caught(op, dtype):
    assert not is_caught(mutant(op, CONTROL), [*first_block(op), case_of(TYPICAL[op])], dtype)


@pytest.mark.parametrize(("op", "slip", "where"), MUTANTS)
def test_the_comparison_of_tiers_catches(op, slip, where):
    """By random geometries, whatever they happen to be, and by the typical one alone."""
    assert is_caught(mutant(op, slip, (where,)), first_block(op))
    assert is_caught(mutant(op, slip, (where,)), [case_of(TYPICAL[op])])


@pytest.mark.parametrize(("op", "slip", "where"), [m for m in MUTANTS if m[1] != "float32 inside"])
def test_the_comparison_in_float32_is_sharp_enough(op, slip, where):
    assert is_caught(mutant(op, slip, (where,)), [case_of(TYPICAL[op])], np.float32)


def test_shape_dtype_and_missing_gradients_are_compared():
    right, case = tier("conv2d", "im2col"), case_of(TYPICAL["conv2d"])
    for forward, message in (
        (lambda *a, **k: right.forward(*a, **k)[:, :, 1:], "y in float64 .*: shape "),
        (lambda *a, **k: right.forward(*a, **k).astype(np.float32), "y in float64 .*: dtype float32"),
    ):
        with pytest.raises(AssertionError, match=message):
            assert_pair_agrees(Pair("wrong", forward, right.backward), case)
    without_db = Pair("wrong", right.forward, lambda *a, **k: right.backward(*a, **k)[:2])
    with pytest.raises(AssertionError, match=r"wrong found \['y', 'dx', 'dw'\]"):
        assert_pair_agrees(without_db, case)


def test_writing_to_an_argument_is_caught():
    def in_place(x, w, b, **options):
        x *= 2
        return tier("conv2d", "im2col").forward(x, w, b, **options)

    with pytest.raises(ValueError, match="read-only"):
        assert_pair_agrees(Pair("wrong", in_place, Loops("conv2d").backward), case_of(TYPICAL["conv2d"]))


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_a_cotangent_of_ones_would_miss_a_flipped_one(op):
    """Why dy is random, always: the loss y.sum() has dy = 1, and ones flipped are ones."""
    flipped = mutant(op, "dy flipped")
    assert not is_caught(flipped, [case_of(TYPICAL[op], np.ones)])
    assert is_caught(flipped, [case_of(TYPICAL[op])])


# ---- pooling -------------------------------------------------------------------------------------------------


def last_of_equals(dy, x, kernel_size, **options):
    """The gradient goes to the last of several largest."""
    window = resolve_window("test", x.shape[2:], kernel_size, **options)
    fields = windows(pad(x, window.padding, -np.inf), window).reshape(*dy.shape, window.taps)
    taps = np.arange(window.taps)
    winner = np.where(fields == fields.max(axis=-1, keepdims=True), taps, -1).max(axis=-1)
    shares = np.moveaxis(dy[..., None] * (winner[..., None] == taps), -1, 2)
    return scatter_columns(shares, x.shape, window)


def test_the_last_of_equals_is_not_the_first():
    right = tier("max_pool2d", "naive")
    wrong = Pair("last of equals", right.forward, last_of_equals)
    case = case_of(TYPICAL["max_pool2d"])
    assert is_caught(wrong, first_block("max_pool2d"))
    assert is_caught(wrong, [case])
    # Without equals nothing tells them apart. That is why the images for pooling are small integers.
    x = np.random.default_rng(0).permutation(case.arrays["x"].size).reshape(case.arrays["x"].shape) * 1.0
    distinct = case._replace(arrays={"x": x})
    expected = gradients(right.backward, distinct)["dx"]
    np.testing.assert_array_equal(gradients(last_of_equals, distinct)["dx"], expected)


def padding_that_wins(x, kernel_size, **options):
    """Max pooling over zeros, not -∞, as padding."""
    window = resolve_window("test", x.shape[2:], kernel_size, **options)
    return tier("max_pool2d", "naive").forward(
        np.pad(x, ((0, 0), (0, 0), *window.padding)), kernel_size, **{**options, "padding": 0}
    )


def padding_that_counts(x, kernel_size, count_include_pad, **options):
    return tier("avg_pool2d", "naive").forward(x, kernel_size, count_include_pad=True, **options)


@pytest.mark.parametrize(
    ("op", "forward"), [("max_pool2d", padding_that_wins), ("avg_pool2d", padding_that_counts)]
)
def test_wrong_padding_in_pooling_is_caught(op, forward):
    wrong = Pair("wrong padding", forward, tier(op, "naive").backward)
    assert is_caught(wrong, first_block(op))
    assert is_caught(wrong, [case_of(TYPICAL[op])])


# ---- the gradient checker ------------------------------------------------------------------------------------


def report_on(pair, op, **how):
    """The gradient checker's report for a pair at the typical geometry."""
    case = case_of(TYPICAL[op])
    options = case.geometry.options
    return check(
        lambda x, w, b: pair.forward(x, w, b, **options),
        lambda dy, x, w, b: pair.backward(dy, x, w, **options),
        *case.arrays.values(),
        **how,
    )


def with_backward_of(loops, op):
    """The package's forward with a backward from here."""
    return Pair(op, tier(op, "im2col").forward, loops.backward)


@pytest.mark.parametrize("how", [{"method": "elements"}, {"method": "directions", "bilinear": True}])
@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_the_gradient_checker_passes_what_is_right(op, how):
    report = report_on(with_backward_of(Loops(op), op), op, **how)
    assert report.ok, report


@pytest.mark.parametrize("how", [{"method": "elements"}, {"method": "directions"}])
@pytest.mark.parametrize(("op", "slip"), [m for m in WRONG_BACKWARDS if m[1] != "float32 inside"])
def test_the_gradient_checker_catches(op, slip, how):
    report = report_on(with_backward_of(Loops(op, slip), op), op, **how)
    assert not report.ok, report
    wrong = {row.name for row in report.rows if not row.ok}
    expected = {
        "bias over the wrong axes": {"b"},
        "dx assigned, not added": {"x"},
        "dw assigned, not added": {"w"},
        "mean over the batch": {"w", "b"},
        "zeros": {"x", "w", "b"},
    }
    assert wrong == expected.get(slip, {"x", "w"}), report


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_the_adjoint_identity_catches_even_float32_inside(op):
    report = report_on(
        with_backward_of(Loops(op, "float32 inside"), op),
        op,
        method="directions",
        bilinear=True,
        threshold=1e-9,
    )
    assert not report.ok, report


# ---- what only another oracle can catch ----------------------------------------------------------------------


@pytest.mark.parametrize("op", WINDOWED)
def test_true_convolution_has_right_gradients_and_is_still_wrong(op):
    """A slip in both passes alike is a different operator, whose gradient is right. Values have to be compared."""
    consistent = mutant(op, "kernel flipped")
    report = report_on(consistent, op, method="directions", bilinear=True)
    assert report.ok, report
    assert is_caught(consistent, [case_of(TYPICAL[op])])


def test_the_worked_example_tells_convolution_from_correlation():
    """And the symmetric kernel of the first example alone would not."""
    flipped = Loops("depthwise_conv2d", "kernel flipped")
    example = worked_examples.two_filters_one_channel
    d = flipped.forward(example.x, example.w_depthwise, np.zeros(2))
    np.testing.assert_array_equal(d[0, 1], -example.d[0, 1])
    blind = worked_examples.two_equal_filters
    np.testing.assert_array_equal(flipped.forward(blind.x, blind.w_depthwise, np.zeros(2)), blind.d)
