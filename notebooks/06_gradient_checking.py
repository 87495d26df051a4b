# %% [markdown]
# # 6. Gradient checking
#
# A wrong backward pass does not crash. Often the loss still falls, only slower, and nobody knows why. This lesson
# is about finding out.
#
# At the end you can test any backward pass in four different ways, say how small a mistake each of them sees, and
# read from the pattern of the errors what went wrong.
#
# You need [lesson 5](05_the_backward_pass.ipynb): given $dy$, the derivative of the loss for the output, a backward
# pass returns the derivative for each input. What follows works for any function; you need not know its formula.
#
# | symbol | meaning |
# |---|---|
# | $f(x)$ | the function under test; $x$ stands for any of its arrays, weights included |
# | $dy$ | the *cotangent*: an array of the shape of $f(x)$, chosen by us |
# | $dx$ | what backward returns for $x$: the claim that we test |
# | $v$ | a direction: an array of the shape of $x$ (here not the index of a tap) |
# | $h$ | a step: a small number |
# | $\langle p, q\rangle$ | $\sum p\,q$, the sum of the products of two arrays of one shape |
#
# The patient for most of the lesson is depthwise convolution, with the usual sizes: $N$ images of $C$ channels,
# $H \times W$ pixels, $M$ filters of $K_H \times K_W$ taps for each channel.

# %%
import inspect
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npdsconv import (
    batch_norm2d,
    batch_norm2d_backward,
    catalogue,
    data,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    max_pool2d,
    max_pool2d_backward,
    relu,
    relu_backward,
)
from npdsconv.gradcheck import check, numeric
from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Sequential,
    set_impl,
)
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures import INPUT, KERNEL, OUTPUT, PALE, WINDOW, show
from npdsconv.ops import depthwise
from npdsconv.shapes import resolve_window

rng = np.random.default_rng(6)
N, C, M, H, W, KH, KW = 5, 3, 2, 6, 4, 3, 2
HOW = {"stride": 2, "dilation": 1, "padding": ((1, 0), (0, 0))}  # one row of zeros above, none elsewhere
x, w, b = (rng.standard_normal(shape) for shape in ((N, C, H, W), (C, M, KH, KW), (C * M,)))


def forward(x, w, b, how=HOW):
    return depthwise_conv2d(x, w, b, **how, impl="im2col")


def backward(dy, x, w, b, how=HOW):
    return depthwise_conv2d_backward(dy, x, w, **how, impl="im2col")


dy = rng.standard_normal(forward(x, w, b).shape)
print("x", x.shape, " w", w.shape, " b", b.shape, " ->  y", dy.shape)

# %% [markdown]
# ## One claim, four questions
#
# Backward claims this: *move $x$ a little along $v$, and $\langle f, dy\rangle$ changes at the rate
# $\langle dx, v\rangle$*. In symbols, for every direction $v$,
#
# $$\left.\frac{d}{dt}\right|_{t=0} \langle f(x + t\,v),\; dy\rangle \;=\; \langle dx, v\rangle .$$
#
# The left side needs only forward. The right side needs only backward. Every test of a gradient compares the
# two. The tests differ in their $v$:
#
# | test | direction $v$ | the left side is found by |
# |---|---|---|
# | adjoint identity | any, for a *linear* $f$ | $\langle f(v) - f(0), dy\rangle$: no step at all |
# | element by element | one 1, the rest 0, for each element in turn | a difference quotient |
# | directional | random | a difference quotient |
# | complex step | any | an imaginary step |
#
# ## The adjoint identity
#
# Convolution is linear in $x$ (take off the bias), and linear in $w$. Then the derivative is the function
# itself. So $\langle f(v) - f(0), dy\rangle = \langle dx, v\rangle$ for every $v$, large or small. In whole
# numbers both sides must be *equal*.


# %%
def adjoint(forward, backward, arrays, dy, rng):
    """Both sides of the identity for each array: a list of (from forward, from backward)."""
    sides = []
    for k, gradient in enumerate(backward(dy, *arrays)):
        v = rng.integers(-9, 10, arrays[k].shape).astype(float)
        at_v, at_0 = ([*arrays[:k], each, *arrays[k + 1 :]] for each in (v, np.zeros_like(v)))
        change = forward(*at_v) - forward(*at_0)
        sides.append((float((change * dy).sum()), float((gradient * v).sum())))
    return sides


integers = [rng.integers(-9, 10, array.shape).astype(float) for array in (x, w, b)]
whole_dy = rng.integers(-9, 10, dy.shape).astype(float)
for name, (left, right) in zip(
    "xwb", adjoint(forward, backward, integers, whole_dy, np.random.default_rng(1)), strict=True
):
    print(f"{name}:  from forward {left:7.0f}   from backward {right:7.0f}")
    assert left == right

# %% [markdown]
# Equal to the last digit. This is the cheapest test there is: two forward passes for each array. But it only
# works for linear functions, and it returns one number for a whole array. When the two sides differ, you know
# that something is wrong, and not where.
#
# ## Element by element
#
# Move one element at a time, a step $h$ up and a step $h$ down:
#
# $$dx_k \;\approx\; \frac{\langle f(x + h e_k) - f(x - h e_k),\; dy\rangle}{2h} ,$$
#
# where $e_k$ is 1 at element $k$ and 0 elsewhere. It costs two forward passes for every *element*, and it
# tells you exactly which one is wrong. To see it at work, the cell makes one tap of $dw$ one per cent too large.


# %%
def by_elements(forward, dy, arrays, position, h=1e-4, back=1):
    """The quotient from -back·h to h for every element of one array, in the dtype of the array."""
    before, array, after = arrays[:position], arrays[position], arrays[position + 1 :]
    found = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        up, down = array.copy(), array.copy()
        up[at] += array.dtype.type(h)
        down[at] -= array.dtype.type(back * h)
        change = forward(*before, up, *after) - forward(*before, down, *after)
        found[at] = (change * dy).sum() / ((1 + back) * h)
    return found


TAP = (1, 0, 2, 1)


def one_tap(dy, x, w, b, how=HOW):
    dx, dw, db = backward(dy, x, w, b, how)
    at = tuple(min(k, size - 1) for k, size in zip(TAP, dw.shape, strict=True))  # later w is also smaller
    dw[at] *= 1.01
    return dx, dw, db


numeric_dw = by_elements(forward, dy, [x, w, b], 1)
for name, claim in (("right", backward), ("one tap wrong", one_tap)):
    difference = np.abs(claim(dy, x, w, b)[1] - numeric_dw)
    worst = tuple(map(int, np.unravel_index(difference.argmax(), w.shape)))
    error = difference.max() / np.abs(numeric_dw).max()
    print(f"{name:14}", "error below 1e-9" if error < 1e-9 else f"error {error:.1e}, worst at {worst}")
    assert (error < 1e-9) == (name == "right")
assert worst == TAP

# %% [markdown]
# ## One random direction
#
# A model has millions of elements, and two forward passes for each are too many. So move *all* of them at once,
# along a random $v$, and compare one number with $\langle dx, v\rangle$. That is two forward passes in all. Can
# a mistake hide? Only if the error of $dx$ is exactly at right angles to $v$, which does not happen to a random $v$.
#
# But it becomes faint. One completely wrong element among $n$ adds one wrong number to a sum of $n$ numbers of
# both signs. Such a sum is about $\sqrt n$ large. So the relative error that the test sees is about $1/\sqrt n$.
# For one in a million that is still more than a thousand times the limit of the library's checker.
#
# And *where* is the mistake? Halve. Move only the first half of the elements, then only the second; keep the
# half that disagrees more; go on until one element is left. Twenty halvings find one element in a million. The
# printed `locate` is the library's code for it. The last line is what its checker says about the tap from above.

# %%
sizes = 10 ** np.arange(1, 7)
seen = []
for n in sizes:
    errors = []
    for _ in range(9):
        gradient, v = rng.standard_normal((2, n))
        errors.append(abs(v[0]) / np.linalg.norm(gradient))  # element 0 is off by 1, like a typical gradient
    seen.append(np.median(errors))
    print(f"one wrong element in {n:9,}: elements see an error of about 1, a direction sees {seen[-1]:.1e}")
slope = np.polyfit(np.log(sizes), np.log(seen), 1)[0]
print(f"slope in the logarithms: {slope:.2f}")
assert abs(slope + 0.5) < 0.1

print(inspect.getsource(numeric.locate))
report = check(forward, one_tap, x, w, b, method="directions")
row = next(row for row in report.rows if not row.ok)
print(
    f"d{row.name}: found by {row.method}, worst at {row.index}, off by {row.analytic / row.numeric - 1:.2%}"
)
assert (row.name, row.index) == ("w", TAP)
assert min(seen) > 1000 * report.threshold
assert sizes[-1] < 2**20

# %% [markdown]
# ## How large a step?
#
# Convolution is linear, so for it every $h$ is good. Most functions are curved. Take a smooth one: depthwise
# convolution followed by *batch norm*, as a function of the filters. Batch norm takes the mean off each channel
# (over all images and pixels), divides by its standard deviation, then multiplies by a gain and adds a shift.
#
# A difference quotient has two enemies:
#
# * **truncation**: it measures the slope of a chord, not of the curve. With
#   $\phi(t) = \langle f(x + t v), dy\rangle$, the error is $\frac{h^2}{6}\phi'''$. It *falls* with $h$. (A
#   one-sided quotient, from $0$ to $h$ instead of from $-h$ to $h$, has $\frac h2 \phi''$, which is far worse.)
# * **rounding**: it subtracts two nearly equal numbers. Each is rounded by about $\varepsilon$ of its size, and
#   the difference is divided by $2h$. This error is about $\varepsilon / h$: it *grows* when $h$ falls. Here
#   $\varepsilon$ is the spacing of the numbers beside 1: about $10^{-7}$ in float32, $2 \cdot 10^{-16}$ in
#   float64.
#
# On logarithmic axes these are straight lines of slope $+2$ and $-1$. The best step lies where they cross, near
# $\varepsilon^{1/3}$, and leaves an error near $\varepsilon^{2/3}$.

# %% tags=["rounding"]
images, filters = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((3, 2, 2, 3))
gain, shift = rng.standard_normal((2, 6))


def normalised(images, filters):
    """Depthwise convolution, then batch norm in training mode; in the dtype of its arguments."""
    d = depthwise_conv2d(images, filters, impl="im2col")
    return batch_norm2d(d, gain.astype(d.dtype), shift.astype(d.dtype), impl="numpy")[0]


def normalised_backward(dy, images, filters):
    d = depthwise_conv2d(images, filters, impl="im2col")
    _, mean, var = batch_norm2d(d, gain, shift, impl="numpy")
    dd, _, _ = batch_norm2d_backward(dy, d, gain, mean, var, impl="numpy")
    return depthwise_conv2d_backward(dd, images, filters, impl="im2col")[:2]


cotangent = rng.standard_normal(normalised(images, filters).shape)
exact = normalised_backward(cotangent, images, filters)[1]  # the test below confirms it


def chord_error(h, dtype, back):
    """The largest error of the quotients, all arithmetic in `dtype`; relative to the largest gradient."""
    arrays = [images.astype(dtype), filters.astype(dtype)]
    found = by_elements(normalised, cotangent.astype(dtype), arrays, 1, h, back)
    return np.abs(found - exact).max() / np.abs(exact).max()


steps = 10.0 ** -np.arange(0, 12.1, 0.5)
curves = {
    (dtype.__name__, name): [chord_error(h, dtype, back) for h in steps]
    for dtype in (np.float32, np.float64)
    for name, back in (("one-sided", 0), ("central", 1))
}
for dtype in (np.float32, np.float64):
    error = curves[dtype.__name__, "central"]
    best, epsilon = steps[np.argmin(error)], np.finfo(dtype).eps
    print(
        f"{dtype.__name__}, central: least error {min(error):.1e} at step {best:.0e};",
        f"ε^(2/3) = {epsilon ** (2 / 3):.1e}, ε^(1/3) = {epsilon ** (1 / 3):.0e}",
    )
    assert 0.02 < min(error) / epsilon ** (2 / 3) < 50
    assert 0.02 < best / epsilon ** (1 / 3) < 50

figure, ax = plt.subplots(figsize=(7.4, 4.2), layout="constrained")
for (dtype, name), error in curves.items():
    style = {"color": OUTPUT if dtype == "float32" else INPUT, "alpha": 1 if name == "central" else 0.45}
    ax.loglog(
        steps, error, "o-" if name == "central" else "s--", markersize=4, label=f"{dtype}, {name}", **style
    )
central = curves["float64", "central"]
ax.loglog(steps[:12], central[4] * (steps[:12] / steps[4]) ** 2, ":", color=PALE)
ax.loglog(steps[8:], central[20] * steps[20] / steps[8:], ":", color=PALE)
ax.text(2e-3, 3e-8, "truncation $h^2$", color="0.4", ha="left")
ax.text(3e-10, 1e-8, "rounding $\\varepsilon/h$", color="0.4", ha="right")
ax.axvline(1e-5, color=PALE, linewidth=0.8)
ax.set(xlabel="step h", ylabel="largest relative error", ylim=(1e-12, 1e2))
ax.set_title("The error of a difference quotient; backward is right all the time", fontsize=10)
ax.legend(frameon=False, fontsize=9, loc="lower right")
ax.grid(alpha=0.3)

# %% [markdown]
# ## Why not in float32
#
# Read the full red curve. Even at its best step, float32 is wrong by more than one part in a hundred thousand. At the
# popular step $10^{-5}$ (the grey line), which suits float64, its error is one per cent. So the usual advice
# for float32 is to accept anything below one per cent. Then a gradient that is wrong by half a per cent passes.
#
# In float64 one can do better still. Combine the quotients of $h$, $2h$ and $4h$ so that $h^2$ and $h^4$ drop
# out (Richardson's extrapolation). What is left is of order $h^6$, so a *longer* step will do, and longer steps
# suffer less from rounding. The checker does this, with six values for each element. It casts your arrays to
# float64 first, and complains if your forward falls back:

# %% tags=["rounding"]
print(inspect.getsource(numeric.quotient))


def richardson_error(h):
    found = np.zeros(filters.shape)
    for at in np.ndindex(filters.shape):
        unit = np.zeros(filters.shape)
        unit[at] = 1

        def phi(t, unit=unit):
            moved = normalised(images, filters + t * unit)
            return float(((moved - normalised(images, filters)) * cotangent).sum())

        found[at] = numeric.quotient(phi, h).value
    return np.abs(found - exact).max() / np.abs(exact).max()


single, double = curves["float32", "central"], curves["float64", "central"]
at_popular = chord_error(1e-5, np.float32, back=1)
best_of_six = min(richardson_error(2.0**-k) for k in (8, 9, 10, 11))
print(f"float32 at h = 1e-5   {at_popular:.0e}")
print(f"float32 at its best   {min(single):.0e}")
print(f"float64 at its best   {min(double):.0e}")
print(f"float64, six values   {best_of_six:.0e}")
assert at_popular > 1e-2
assert 1e-6 < min(single) < 1e-3
assert best_of_six < min(1e-11, min(double))

careless = check(
    lambda images: relu(images.astype(np.float32), impl="numpy"),
    lambda dy, images: relu_backward(dy, images, impl="numpy"),
    images,
)
print("a careless forward:", careless.reasons()[0])
assert not careless.ok

# %% [markdown]
# ## The complex step
#
# Can one avoid the subtraction? Take an *imaginary* step. For a function with a Taylor series,
#
# $$\phi(ih) = \phi(0) + i\,h\,\phi'(0) - \tfrac{h^2}{2}\phi''(0) - \dots
# \qquad\Rightarrow\qquad \phi'(0) \approx \operatorname{Im}\phi(ih) \,/\, h .$$
#
# The real part keeps the value, the imaginary part collects the derivative, and nothing is subtracted. So $h$
# may be $10^{-30}$, and the error is rounding alone.
#
# The price: forward must accept complex arrays, and must be *analytic*. The library's operators take real
# numbers only, so here is the same function in NumPy. And beware: some operations look harmless and
# are not analytic: `abs`, comparisons, `max`, conjugation (`np.vdot` conjugates). Even `np.var`: of complex numbers
# it averages $|d|^2$, which is real and forgets the derivative. Then the *check* is wrong, and blames a correct
# backward. The printed lines show it.


# %%
def by_hand(images, filters, variance=lambda d: (d**2).mean(axis=(0, 2, 3), keepdims=True)):
    windows = sliding_window_view(images, filters.shape[2:], axis=(2, 3))
    d = np.einsum("ncijuv,cmuv->ncmij", windows, filters)
    d = d.reshape(len(d), -1, *d.shape[3:])
    d = d - d.mean(axis=(0, 2, 3), keepdims=True)
    return gain[:, None, None] * d / np.sqrt(variance(d) + 1e-5) + shift[:, None, None]


np.testing.assert_allclose(by_hand(images, filters), normalised(images, filters), atol=1e-12)


def complex_error(h):
    found = np.zeros(filters.shape)
    for at in np.ndindex(filters.shape):
        moved = filters.astype(complex)
        moved[at] += 1j * h
        found[at] = (by_hand(images, moved).imag * cotangent).sum() / h
    return np.abs(found - exact).max() / np.abs(exact).max()


tiny = 10.0 ** -np.arange(0, 41, 2)
imaginary = np.array([complex_error(h) for h in tiny])
assert imaginary[-1] < 1e-13
figure, ax = plt.subplots(figsize=(7.4, 3.2), layout="constrained")
ax.loglog(steps, curves["float64", "central"], "o-", color=INPUT, markersize=4, label="central difference")
ax.loglog(tiny, imaginary, "^-", color=KERNEL, markersize=5, label="complex step")
ax.set(xlabel="step h", ylabel="largest relative error")
ax.set_title("float64: no subtraction, no lower limit for the step", fontsize=10)
ax.legend(frameon=False)
ax.grid(alpha=0.3)

verdicts = {}
for name, variance in {
    "mean of squares": lambda d: (d**2).mean(axis=(0, 2, 3), keepdims=True),
    "np.var": lambda d: d.var(axis=(0, 2, 3), keepdims=True),
}.items():
    same = np.allclose(by_hand(images, filters, variance), normalised(images, filters))
    report = check(
        partial(by_hand, variance=variance), normalised_backward, images, filters, method="complex"
    )
    verdicts[name] = report.ok
    print(f"{name:16} the same values: {same},  the complex step accepts the right backward: {report.ok}")
    assert same
assert verdicts == {"mean of squares": True, "np.var": False}

# %% [markdown]
# ## What wrong gradients look like
#
# Now break the backward pass on purpose, in ways that real code has been broken:
#
# * **flipped**: $dy$ is turned by 180°, as if convolution flipped its kernel;
# * **images exchanged**: the order of the batch is reversed;
# * **assigned**: `=` where `+=` belongs: of overlapping windows only the last counts;
# * **first filter only**: with $M = 2$ filters a channel must hear from both, and hears from one;
# * **bias of one image**: $db$ sums over the pixels of the first image only;
# * **padding exchanged**: above and below are mixed up;
# * **stride for dilation**: the two are mixed up;
# * **one tap**: the one from above, off by one per cent;
# * **all of dw**: off by 0.1 per cent.
#
# First look at $dx$ of one channel: what backward returns, minus the right answer. (An empty cell has no error.)


# %%
def flipped(dy, x, w, b, how=HOW):
    return backward(dy[:, :, ::-1, ::-1], x, w, b, how)


def images_exchanged(dy, x, w, b, how=HOW):
    return backward(dy[::-1], x, w, b, how)


def assigned(dy, x, w, b, how=HOW):
    window = resolve_window("assigned", x.shape[2:], w.shape[2:], **how)
    (top, bottom), (left, right) = window.padding
    padded = np.zeros((w.shape[1], *x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    for at_y, at_w, at_x in depthwise._terms((len(x), *w.shape[:2]), window):
        padded[at_w[1]][at_x] = dy[at_y] * w[at_w]
    dx = padded.sum(axis=0)[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return dx, *backward(dy, x, w, b, how)[1:]


def first_filter_only(dy, x, w, b, how=HOW):
    dx, _, _ = backward(dy[:, :: w.shape[1]], x, w[:, :1], b, how)
    return dx, *backward(dy, x, w, b, how)[1:]


def bias_of_one_image(dy, x, w, b, how=HOW):
    return *backward(dy, x, w, b, how)[:2], dy[0].sum(axis=(1, 2))


def padding_exchanged(dy, x, w, b, how=HOW):
    (top, bottom), sides = how["padding"]
    return backward(dy, x, w, b, {**how, "padding": ((bottom, top), sides)})


def stride_for_dilation(dy, x, w, b, how=HOW):
    return backward(dy, x, w, b, {**how, "stride": how["dilation"], "dilation": how["stride"]})


def all_of_dw(dy, x, w, b, how=HOW):
    dx, dw, db = backward(dy, x, w, b, how)
    return dx, dw * 1.001, db


MISTAKES = (
    flipped,
    images_exchanged,
    assigned,
    first_filter_only,
    bias_of_one_image,
    padding_exchanged,
    stride_for_dilation,
    one_tap,
    all_of_dw,
)
shown = (flipped, assigned, first_filter_only, padding_exchanged, stride_for_dilation)
right = backward(dy, x, w, b)[0][0, 1]
limit = 1.2 * np.abs(right).max()
figure, axes = plt.subplots(1, 1 + len(shown), figsize=(11, 3), layout="constrained")
for ax, mistake in zip(axes, (None, *shown), strict=True):
    picture = right if mistake is None else mistake(dy, x, w, b)[0][0, 1] - right
    ax.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (i, j), value in np.ndenumerate(picture):
        if abs(value) > 1e-12:
            ink = "white" if abs(value) > limit / 2 else "black"
            ax.text(j, i, f"{round(value, 1) + 0:.1f}", ha="center", va="center", fontsize=7, color=ink)
    title = "right dx" if mistake is None else "error of\n" + mistake.__name__.replace("_", " ")
    ax.set_title(f"{title} {picture.shape}", fontsize=9)
    ax.axis("off")
overlap = [row for row in range(H) if sum(0 <= row + 1 - 2 * i < KH for i in range(dy.shape[2])) > 1]
wrong_rows = np.flatnonzero(np.abs(assigned(dy, x, w, b)[0][0, 1] - right).max(axis=1) > 1e-12).tolist()
print(f"'assigned' is wrong in the rows {wrong_rows}; two windows share the rows {overlap}")
assert wrong_rows == overlap
lacking = first_filter_only(dy, x, w, b)[0] - backward(dy, x, w, b)[0]
np.testing.assert_allclose(lacking, -backward(dy[:, 1::M], x, w[:, 1:], b)[0], atol=1e-12)

# %% [markdown]
# Patterns speak. *Assigned* is wrong in exactly those rows where windows overlap. *First filter only* lacks just what
# the second filter would have sent. *Stride for dilation* is right here and there, where both readings happen to send
# the same. If the pattern follows the grid of windows, suspect the geometry. If it is everywhere, suspect $dy$, or a
# sum that is missing.
#
# ## Which test catches which mistake
#
# Six tests, from the laziest to the most careful:
#
# * **sum of y**: the loss is $\sum y$, so that $dy$ is all ones; element by element;
# * **small and square**: random $dy$, but one image, one channel, one filter, a 5×5 image, a 3×3 kernel, stride
#   and dilation 1, and the same padding on all sides;
# * **float32**: $h = 10^{-3}$, accepts an error of one per cent;
# * **adjoint**: the identity, once for each array, accepts $10^{-9}$;
# * **directions** and **elements**: `npdsconv.gradcheck.check` with the two methods, random $dy$, accepts
#   $10^{-7}$.
#
# All but *small and square* use the sizes above, which are nearly all different.


# %%
def sum_of_y(claim):
    def ones(dy, x, w, b):
        return claim(dy * np.ones_like(forward(x, w, b)), x, w, b)

    return check(lambda x, w, b: np.asarray(forward(x, w, b).sum()), ones, x, w, b, method="elements").ok


def small_and_square(claim):
    plain = {"stride": 1, "dilation": 1, "padding": ((1, 1), (1, 1))}
    arrays = (np.random.default_rng(1).standard_normal(s) for s in ((1, 1, 5, 5), (1, 1, 3, 3), 1))
    return check(partial(forward, how=plain), partial(claim, how=plain), *arrays, method="elements").ok


def float32(claim):
    arrays = [array.astype(np.float32) for array in (x, w, b)]
    for k, gradient in enumerate(claim(dy, x, w, b)):
        found = by_elements(forward, dy.astype(np.float32), arrays, k, h=1e-3)
        if np.abs(found - gradient).max() > 0.01 * np.abs(gradient).max():
            return False
    return True


def adjoint_only(claim):
    sides = np.array(adjoint(forward, claim, [x, w, b], dy, np.random.default_rng(2)))
    return bool(np.all(np.abs(sides[:, 0] - sides[:, 1]) < 1e-9 * np.abs(sides[:, 0])))


def directions(claim):
    return check(forward, claim, x, w, b, method="directions").ok


reports = []


def elements(claim):
    reports.append(check(forward, claim, x, w, b, method="elements"))
    return reports[-1].ok


TESTS = (sum_of_y, small_and_square, float32, adjoint_only, directions, elements)
caught = np.array([[not test(claim) for test in TESTS] for claim in (backward, *MISTAKES)])
assert not caught[0].any()  # nobody accuses the right one
assert caught[1:, 3:].all()  # adjoint, directions and elements catch everything
missed = {
    test.__name__: [m.__name__ for m, hit in zip(MISTAKES, column, strict=True) if not hit]
    for test, column in zip(TESTS, caught[1:].T, strict=True)
}
assert missed["sum_of_y"] == ["flipped", "images_exchanged"]
assert missed["float32"] == ["one_tap", "all_of_dw"]
assert len(missed["small_and_square"]) == 5

names = [f.__name__.replace("_", " ") for f in (backward, *MISTAKES)]
figure, ax = plt.subplots(figsize=(8.6, 4.2), layout="constrained")
for (i, j), hit in np.ndenumerate(caught):
    word, colour = ("caught", KERNEL) if hit else ("accepted", OUTPUT)
    word, colour = ("accepted", KERNEL) if i == 0 and not hit else (word, colour)
    ax.add_patch(plt.Rectangle((j, i), 1, 1, facecolor=colour, alpha=0.75, edgecolor="white", linewidth=2))
    ax.text(j + 0.5, i + 0.5, word, ha="center", va="center", color="white", fontsize=9)
ax.set(xlim=(0, len(TESTS)), ylim=(len(names), 0))
ax.set_xticks(np.arange(len(TESTS)) + 0.5, [test.__name__.replace("_", " ") for test in TESTS])
ax.set_yticks(np.arange(len(names)) + 0.5, ["the right backward", *names[1:]])
ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
ax.spines[:].set_visible(False)

for mistake, report in zip(MISTAKES, reports[1:], strict=True):
    for row in (row for row in report.rows if not row.ok):
        print(
            f"{mistake.__name__.replace('_', ' '):20} d{row.name} wrong, worst at {row.index!s:14}",
            f"backward {row.analytic:8.4f}   numeric {row.numeric:8.4f}",
        )
assert [row.name for row in reports[5].rows if not row.ok] == ["b"]

# %% [markdown]
# Read the columns. *Sum of y* is blind to everything that only rearranges $dy$. *Small and square* is blind to
# everything that needs two of something to go wrong, or two different numbers to be mixed up. *Float32* lets
# through what is merely slightly wrong. The last three see all, and cost little.
#
# And the report names the place: the printed lines give the worst element of every wrong array, as `check` with
# `elements` found it. Note `bias of one image`: $dx$ and $dw$ are innocent, and the report says so.
#
# ## Why the cotangent is random and never ones
#
# A mistake in backward is an error $e(dy)$ that depends on $dy$: mostly linearly. The test asks whether $e(dy)$
# is zero for *the one $dy$ that you chose*. Ones are a special choice, in three ways:
#
# * they look the same flipped, shuffled or shifted, as we saw;
# * they add up all channels alike, so that mixed-up channels cancel;
# * some functions have outputs whose *sum does not depend on the input at all*. Softmax is one: the sum is 1.
#   Batch norm is another: each channel has mean zero before the gain and shift. Its true $dx$ for a sheet of
#   ones is therefore zero, and a backward pass that returns *nothing but zeros* passes with full marks.


# %%
def no_gradient(dy, images):
    return np.zeros_like(images)


def sum_of_output(images):
    return np.asarray(normalised(images, filters).sum())


with_ones = check(sum_of_output, no_gradient, images)
with_random = check(lambda images: normalised(images, filters), no_gradient, images)
print("a backward of zeros for depthwise + batch norm")
print("  loss = sum of y:   accepted:", with_ones.ok)
print("  random cotangent:  accepted:", with_random.ok)
assert with_ones.ok
assert not with_random.ok

# %% [markdown]
# ## Kinks
#
# ReLU has a corner at 0. To the right its slope is 1, to the left it is 0, and there is no derivative. The
# library returns 0, and the central difference says ½. Neither is wrong, since there is nothing to be right
# about.
#
# Max pooling has the same corner wherever two pixels of a window are equal and largest: raise one of them and
# the maximum follows; lower it and the maximum stays. The library gives all of $dy$ to the first of the equals.
# The central difference gives half of it to each.
#
# Near a corner there *is* a derivative, but a chord that is too long cuts across (the panel in the middle).
#
# What should a checker do? It must neither cry wolf at every corner nor wave through whatever it likes to call
# one. The rule: **decide from forward alone**. If the chords of a long stretch do not agree with each other, try
# a shorter stretch. If right and left differ by the same jump however short the stretch, there is a corner *at*
# the point: count it, leave it out, and say so. The gradient under test has no say in this. And if more than a
# tenth of all probes are corners, the check says too little, and it fails.
#
# That last rule meets real images at once. A handwritten digit is mostly black: windows full of equal zeros. So
# check with random numbers, or shake the image a little.


# %%
def corner(ax, at, h, title):
    t = np.linspace(-1, 1, 201)
    ax.plot(t, np.maximum(t - at, 0), color=INPUT, linewidth=2.5)
    ax.plot([-h, h], np.maximum(np.array([-h, h]) - at, 0), "o--", color=OUTPUT)
    slope = (max(h - at, 0) - max(-h - at, 0)) / (2 * h)
    ax.set(title=f"{title}\nslope of the chord {slope:.2f}", xlabel="t", ylim=(-0.1, 1))
    ax.title.set_fontsize(10)
    ax.grid(alpha=0.3)
    return slope


figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained", sharey=True)
slopes = [
    corner(axes[0], 0, 0.8, "at the kink: no derivative"),
    corner(axes[1], 0.3, 0.8, "near it, long step: wrong"),
    corner(axes[2], 0.3, 0.2, "near it, short step: right"),
]
assert slopes[0] == 0.5
assert slopes[2] == 0
assert relu_backward(np.ones(1), np.zeros(1), impl="numpy") == 0  # the library's answer at the kink

tie = np.array([[5.0, 5], [1, 2]])[None, None]
halves = by_elements(lambda x: max_pool2d(x, 2, impl="im2col"), np.ones((1, 1, 1, 1)), [tie], 0)
winner = max_pool2d_backward(np.ones((1, 1, 1, 1)), tie, 2, impl="im2col")
show("a window with a tie", tie[0])
show("its gradient by central differences", halves[0].round(9))
show("its gradient in the library", winner[0])
assert np.allclose(halves.ravel(), [0.5, 0.5, 0, 0])
assert winner.ravel().tolist() == [1, 0, 0, 0]

values = rng.standard_normal(40)
values[7] = 0
report = check(lambda x: relu(x, impl="numpy"), lambda dy, x: relu_backward(dy, x, impl="numpy"), values)
print(f"ReLU with one zero      ok: {report.ok}, {report.checked} compared, {report.kinks} on a kink")
assert report.ok
assert report.kinks == 1

digit = data.load("mnist5k").train.images[:1, :, 4:18, 7:21] / 255
pooling = [partial(f, kernel_size=2, impl="im2col") for f in (max_pool2d, max_pool2d_backward)]
for name, image in (("digit", digit), ("digit, shaken", digit + 0.01 * rng.standard_normal(digit.shape))):
    report = check(*pooling, image)
    print(f"max pool of a {name:14} ok: {report.ok}, {report.checked} compared, {report.kinks} on a kink")
    print(*report.reasons(), end="\n" if report.reasons() else "")
    assert report.ok == (name != "digit")

# %% [markdown]
# ## A layer with parameters
#
# A layer's backward returns $dx$ and *adds* to the `grad` of its parameters. `check(layer, x)` tests all of
# them. It works on a float64 copy, so your layer stays as it was. And it runs backward twice, since `=` instead
# of `+=` is right the first time. The cell holds a small layer with this mistake.
#
# Its second half shows something else that fools careless checks. A bias in front of batch norm has a gradient of
# exactly zero: batch norm takes the mean off again. What backward returns is rounding noise, and so is what the
# differences return. The relative error of noise against noise is around one. So `check` divides by the largest of
# three: both values, and a thousandth of the largest gradient of all arrays.


# %%
class Scale(Layer):
    """Multiply each channel by a number of its own."""

    def __init__(self, channels):
        self.weight = Parameter(np.linspace(0.5, 1.5, channels))

    def forward(self, x, *, train):
        factor = self.weight.value[:, None, None]

        def backward(dy):
            self.weight.grad = (dy * x).sum(axis=(0, 2, 3))
            return dy * factor

        return x * factor, backward


report = check(Scale(3), x)
print(*report.reasons(), sep="\n")
assert [row.ok for row in report.rows] == [True, False]

block = DepthwiseSeparableConv2d(3, 4, 3, padding=1, bias=True, rng=rng, impl="im2col").astype(np.float64)
y, back = block.forward(x, train=True)
out = rng.standard_normal(y.shape)
back(out)


def with_bias(bias):
    block.pointwise.bias.value[...] = bias
    return block.forward(x, train=True)[0]


noise, bias = by_elements(with_bias, out, [block.pointwise.bias.value.copy()], 0), block.pointwise.bias.grad
relative = np.abs(noise - bias).max() / np.maximum(np.abs(noise), np.abs(bias)).max()
sizes = {name: np.abs(p.grad).max() for name, p in block.named_parameters()}
print("gradients of the bias before batch norm below 1e-10:", sizes["pointwise.bias"] < 1e-10)
print("their plain relative error above 10 %:", relative > 0.1)
print("largest gradient of the block:", round(max(sizes.values()), 1))
assert sizes["pointwise.bias"] < 1e-10
assert relative > 0.1
report = check(block, x)
assert report, report
print("check:", "ok" if report.ok else "failed")

# %% [markdown]
# ## A whole model, and where its mistake is
#
# A model is checked like a layer. With `labels`, the loss is the cross-entropy. (Up to 1,500 elements in all,
# `check` moves each of them. Above, it moves along random directions. This model is a small one.)
#
# Suppose that one layer in the middle is wrong. Backward walks from the loss to the input. Every gradient that
# it computes *before* it meets the wrong layer is right, and every gradient after it is wrong. So the failing
# rows are those of the layers nearer to the input, and **the mistake sits between the last failing row and the
# first passing one**.
#
# The wrong layer below is a ReLU whose backward asks whether $dy$ is positive, instead of $x$.


# %%
class WrongReLU(Layer):
    def forward(self, x, *, train):
        return relu(x, impl="numpy"), lambda dy: dy * (dy > 0)


def small_model(middle):
    r = np.random.default_rng(0)
    layers = [
        Conv2d(1, 4, 3, padding=1, bias=False, rng=r),
        BatchNorm2d(4),
        ReLU(),
        DepthwiseSeparableConv2d(4, 6, 3, stride=2, padding=1, mid_activation="relu", activation=None, rng=r),
        middle,
        DepthwiseSeparableConv2d(6, 5, 3, padding=1, rng=r),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(5, 3, rng=r),
    ]
    return set_impl(Sequential(*layers), "im2col")


photos, labels = np.random.default_rng(3).standard_normal((3, 1, 6, 7)), np.array([0, 2, 1])
reports = {
    name: check(small_model(layer), photos, labels=labels)
    for name, layer in (("right", ReLU()), ("wrong", WrongReLU()))
}
assert reports["right"], reports["right"]
failing = [row.name for row in reports["wrong"].rows if not row.ok]
passing = [row.name for row in reports["wrong"].rows if row.ok]
print("failing:", ", ".join(failing))
print("passing:", ", ".join(passing))
assert all(name == "x" or int(name.split(".")[0]) < 4 for name in failing)
assert all(int(name.split(".")[0]) > 4 for name in passing)

figure, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
for name, marker in (("right", "o"), ("wrong", "X")):
    rows = reports[name].rows
    colours = [INPUT if row.ok else OUTPUT for row in rows]
    ax.scatter(
        range(len(rows)), [max(row.error, 1e-16) for row in rows], c=colours, marker=marker, s=45, zorder=3
    )
    ax.scatter([], [], color="0.3", marker=marker, label=f"model with the {name} ReLU in the middle")
ax.axhline(reports["right"].threshold, color=PALE, linestyle="--")
ax.axvline(len(failing) - 0.5, color=WINDOW, linewidth=3)
ax.text(len(failing) - 0.4, 3e-4, "the layer\nin the middle", color=WINDOW, va="top")
ax.set_xticks(range(len(rows)), [row.name for row in rows], rotation=60, ha="right", fontsize=8)
ax.set(yscale="log", ylabel="error", title="red: fails; dashed: the limit")
ax.legend(frameon=False, fontsize=9, loc="upper right")
ax.grid(alpha=0.3)

# %% [markdown]
# ## Everything in the library, and what no check can see
#
# `npdsconv.catalogue` holds cases for every operator, every layer and every model, with sizes that are all
# different. The cell runs all operators and layers. (The models take longer: `python -m npdsconv gradcheck model`
# checks them.) Every gradient fits its forward.
#
# But that is all a gradient check can ask: does backward fit forward? It does not ask whether forward is what you
# *meant*. Flip the kernel in both, and the check is content, as the last lines show. So test forward too, against
# numbers that somebody worked out by hand.


# %% tags=["rounding"]
families = {}
for kind, name, report in catalogue.run(["op", "layer"], impl="im2col"):
    assert report, report
    families.setdefault((kind, name.split()[0]), []).append(report)
for (kind, family), found in families.items():
    compared, largest = sum(report.checked for report in found), max(report.max_error for report in found)
    print(f"{kind:5} {family:25} cases {len(found)}  derivatives {compared:5,}  largest error {largest:.0e}")
print(f"{sum(report.checked for found in families.values() for report in found):,} derivatives in all\n")


def turned_forward(x, w, b):
    return forward(x, w[..., ::-1, ::-1], b)


def turned_backward(dy, x, w, b):
    dx, dw, db = backward(dy, x, w[..., ::-1, ::-1], b)
    return dx, dw[..., ::-1, ::-1], db


report = check(turned_forward, turned_backward, x, w, b, bilinear=True)
same = np.allclose(turned_forward(x, w, b), forward(x, w, b))
print(f"flipped in both: gradients fit forward: {report.ok}, forward is depthwise_conv2d: {same}")
assert report.ok
assert not same

# %% [markdown]
# ## In short
#
# * Work in float64. Step near $\varepsilon^{1/3}$, about $10^{-5}$, or use several values and a longer step.
# * Random cotangent. All sizes different; stride, dilation and padding different too.
# * Linear function: the adjoint identity. Few elements: all of them. Many: random directions, then halve.
# * Keep away from kinks, and count those that you meet.
# * Check backward twice in a row, for `+=`.
# * Break your backward on purpose once, and see the test fail.
#
# ## Exercises
#
# Replace the line that raises, and run the cell and the one below it: it says whether you are right.
#
# ### Exercise 1: a directional check
#
# Write `directional_error(forward, backward, x, rng)` for a function of one array. Draw a random cotangent and a
# random direction $v$. Return $|a - n| / \max(|a|, |n|)$, where $a = \langle dx, v\rangle$, and $n$ is a central
# difference of $\langle f(x + t v), dy\rangle$ with a good step.


# %% tags=["exercise"]
def directional_error(forward, backward, x, rng):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    r = np.random.default_rng(1)
    point = r.standard_normal((4, 5))
    cube = (lambda x: x**3, lambda dy, x: 3 * x**2 * dy)
    for _ in range(5):
        assert directional_error(*cube, point, r) < 1e-6, "the right backward must pass"
        assert directional_error(cube[0], lambda dy, x: 3.003 * x**2 * dy, point, r) > 1e-4, (
            "0.1 per cent wrong"
        )
        assert directional_error(cube[0], lambda dy, x: 3 * x**2 * dy[::-1], point, r) > 1e-4, "dy turned"


# %% [markdown]
# ### Exercise 2: a backward of your own
#
# $y = x / r$ with $r_{n,i,j} = \sqrt{\sum_c x_{n,c,i,j}^2}$ brings the channel vector of each pixel to length 1.
# Write its backward. *Hint: each $x_c$ acts on its own $y_c$, and through $r$ on all channels of the pixel. What
# must come out if $dy$ points along $y$?*


# %% tags=["exercise"]
def unit_length_backward(dy, x):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    def unit_length(x):
        return x / np.sqrt((x**2).sum(axis=1, keepdims=True))

    point = np.random.default_rng(2).standard_normal((2, 3, 4, 5))
    report = check(unit_length, unit_length_backward, point)
    assert report, report
