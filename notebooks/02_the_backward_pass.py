# %% [markdown]
# # 2. The backward pass
#
# A network learns by asking one question about each of its numbers: *if this number grew a little, how much
# would the loss grow?* The answer is a derivative. The backward pass computes all of them at once. Here you
# derive it for depthwise and pointwise convolution, work two examples by hand in whole numbers, and then
# meet the checker that catches a wrong backward pass.
#
# You need notebook 1 and the chain rule. New symbols:
#
# | symbol | meaning |
# |---|---|
# | $L$ | the loss: one number that depends on everything |
# | $dy$ | $\partial L / \partial y$: an array of the shape of $y$, one derivative for each of its numbers |
# | $dx, dw, db$ | the same for $x$, $w$, $b$ |
#
# Backward walks from the loss to the input. At every operator it is given $dy$ and has to return $dx$, $dw$
# and $db$. It need not know what the loss is.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np
from scipy import signal

from npdsconv import (
    col2im,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    im2col,
    pictures,
    pointwise_conv2d,
    pointwise_conv2d_backward,
    relu,
    relu_backward,
    worked_examples,
)
from npdsconv.gradcheck import check
from npdsconv.layers import DepthwiseSeparableConv2d
from npdsconv.ops import depthwise
from npdsconv.pictures import show
from npdsconv.shapes import resolve_window

# %% [markdown]
# ## One sum, three ways to read it
#
# Near the present point any loss is as good as linear: change $y$ a little, and $L$ changes by
# $\sum dy \cdot y$'s change. So take $L = \sum dy \cdot y$ with fixed numbers $dy$, and put in what $y$ is.
# For one channel:
#
# $$L = \sum_{i,j}\sum_{u,v} \; dy_{i,j}\; w_{u,v}\; x_{i+u,\,j+v}$$
#
# Every term is a product of three numbers: one from $dy$, one from $w$, one from $x$. To differentiate for
# one of them, leave it out and add up what stood beside it:
#
# * leave out $dy$: what remains beside $dy_{i,j}$ is $y_{i,j}$, the **forward pass**;
# * leave out $x$: what remains is $dx$;
# * leave out $w$: what remains is $dw$.
#
# That is the whole backward pass. Now with everything: $N$ images, $C$ channels, $M$ filters for each,
# stride $s$, padding $p$, dilation $d$. Collect "which pixel does output $i$ read with tap $u$?" in a table
# of zeros and ones, $R_{h,i,u} = 1$ where row $h = i\,s + u\,d - p$. Let $Q_{k,j,v}$ be the same for
# columns $k$. Then the three readings are three lines, and differ only in which letters stand after the
# arrow:


# %%
def reads(size, outputs, taps, stride, padding, dilation):
    """R[h, i, u] = 1 where output i reads pixel h with tap u."""
    R = np.zeros((size, outputs, taps))
    for i, u in np.ndindex(outputs, taps):
        h = i * stride + u * dilation - padding
        if 0 <= h < size:  # otherwise it reads a padded zero
            R[h, i, u] = 1
    return R


rng = np.random.default_rng(2)
N, C, M, H, W, KH, KW = 2, 3, 2, 7, 8, 3, 2
how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 3)}
OH, OW = resolve_window("example", (H, W), (KH, KW), **how).output
x = rng.integers(-4, 5, (N, C, H, W)).astype(float)
w = rng.integers(-4, 5, (C, M, KH, KW)).astype(float)
dy = rng.integers(-4, 5, (N, C, M, OH, OW)).astype(float)
R, Q = (reads(*sizes, *(how[k][a] for k in how)) for a, sizes in enumerate([(H, OH, KH), (W, OW, KW)]))

y = np.einsum("cmuv, nchk, hiu, kjv -> ncmij", w, x, R, Q)
dx = np.einsum("ncmij, cmuv, hiu, kjv -> nchk", dy, w, R, Q)
dw = np.einsum("ncmij, nchk, hiu, kjv -> cmuv", dy, x, R, Q)
db = np.einsum("ncmij -> cm", dy)

flat = dy.reshape(N, C * M, OH, OW)  # the library numbers output channels c·M + m
np.testing.assert_array_equal(depthwise_conv2d(x, w, **how, impl="im2col"), y.reshape(flat.shape))
for mine, library in zip(
    (dx, dw, db.ravel()), depthwise_conv2d_backward(flat, x, w, **how, impl="im2col"), strict=True
):
    np.testing.assert_array_equal(mine, library)

print("Σ dy·y =", (dy * y).sum(), "  Σ dx·x =", (dx * x).sum(), "  Σ dw·w =", (dw * w).sum())
assert (dy * y).sum() == (dx * x).sum() == (dw * w).sum()

# %% [markdown]
# The last line is a free test. All three sums are the same $L$, so they must agree to the last digit. It is
# called the *adjoint identity*, and needs no small steps and no tolerance beyond rounding.
#
# The bias is simpler still. It is added to every pixel of its channel, so its derivative is the sum of $dy$
# over that channel.
#
# ## The loops
#
# The naive version says the same index by index. `_terms` lists the triples of indices once. Forward, `dx`
# and `dw` walk through the same list, and only the array that collects the products changes. Note the `+=`:
# a pixel is read by several windows, a weight is used at every position, and each use adds its share.

# %%
print(inspect.getsource(depthwise._terms))
for function in (depthwise.naive, depthwise.naive_dx, depthwise.naive_dw):
    print(inspect.getsource(function))

# %% [markdown]
# ## By hand: the first example
#
# Take the repaired first example of notebook 1: the image 1 to 9, two different filters, a pointwise
# identity, ReLU. Choose some $dy$, and walk back:
#
# 1. **ReLU** lets $dy$ pass where its input $p$ was positive, and stops it elsewhere. The second map was −4
#    throughout. So nothing comes through, and the second filter will learn nothing from this image.
# 2. **Pointwise** is a matrix product at each pixel, $p = w\,d + b$. With the pixels in a row, the maps $d$
#    and $dp$ are matrices of (channels, pixels), and the rules are those of a matrix product:
#    $dw = dp\; d^{\mathsf T}$, and $dd = w^{\mathsf T} dp$; and $db$ sums each row of $dp$.
# 3. **Depthwise** is the sum above.
#
# Every sum is written out for the depthwise weights. Follow one with your finger.


# %%
def sum_of_products(a, b):
    """The text "1·1 − 2·2 + 3·4 + 1·5 = 14"; products with a zero of `a` are left out."""
    parts = [(p, q) for p, q in zip(np.ravel(a), np.ravel(b), strict=True) if p]
    text = " ".join(f"{'−' if p < 0 else '+'} {abs(p):g}·{q:g}" for p, q in parts).removeprefix("+ ")
    return f"{text or 0} = {sum(p * q for p, q in parts):g}"


def backward_by_hand(example):
    """Print every step back through a worked example; hold it against the stored integers and the library."""
    known = example.gradients
    C, M, KH, KW = example.w_depthwise.shape
    as_rows = lambda maps: maps[0].reshape(maps.shape[1], -1)  # (channels, pixels)

    show("dy, chosen", known.dy[0])
    dp = np.where(example.p > 0, known.dy, 0)
    show("dp: dy where p is positive", dp[0])
    dw_p, db, dd = (
        as_rows(dp) @ as_rows(example.d).T,
        as_rows(dp).sum(axis=1),
        example.w_pointwise.T @ as_rows(dp),
    )
    show("dw_pointwise = dp times d transposed", dw_p)
    show("db = row sums of dp", db)
    show("dd = w_pointwise transposed times dp", dd.reshape(example.d[0].shape))

    dw_d, dcols = np.zeros((C, M, KH * KW)), []
    for c in range(C):
        cols, dd_c, w_c = (
            im2col(example.x[:, c : c + 1], (KH, KW))[0],
            dd[c * M : (c + 1) * M],
            example.w_depthwise[c],
        )
        dw_d[c] = dd_c @ cols.T
        dcols.append(w_c.reshape(M, -1).T @ dd_c)
        for m, tap in np.ndindex(M, KH * KW):
            place = f"{c},{m},{tap // KW},{tap % KW}"
            print(f"  dw_depthwise[{place}] = {sum_of_products(dd_c[m], cols[tap])}")
    dx = col2im(np.concatenate(dcols)[None], example.x.shape[2:], (KH, KW))
    show("\ndw_depthwise", dw_d.reshape(C, M, KH, KW))
    show("dx", dx[0])

    dd, dw_d = dd.reshape(example.d.shape), dw_d.reshape(C, M, KH, KW)
    for name, mine in {
        "dp": dp,
        "dw_pointwise": dw_p,
        "db": db,
        "dd": dd,
        "dw_depthwise": dw_d,
        "dx": dx,
    }.items():
        np.testing.assert_array_equal(mine, getattr(known, name), err_msg=name)
    np.testing.assert_array_equal(relu_backward(known.dy, example.p, impl="numpy"), dp)
    for mine, library in zip(
        (dd, dw_p, db), pointwise_conv2d_backward(dp, example.d, example.w_pointwise), strict=True
    ):
        np.testing.assert_array_equal(mine, library)
    for mine, library in zip(
        (dx, dw_d), depthwise_conv2d_backward(dd, example.x, example.w_depthwise), strict=False
    ):
        np.testing.assert_array_equal(mine, library)


first = worked_examples.two_filters_one_channel
backward_by_hand(first)
assert not first.gradients.dw_depthwise[0, 1].any()  # the second filter learns nothing

# %% [markdown]
# ## The picture of dx: every window pays back
#
# Forward, a window of pixels flows into one output pixel. Backward, that output pixel sends its $dy$ back
# to the window, each share multiplied by the weight it came through. Windows overlap, so the shares
# **add**. This is *col2im*, "columns to image". It is the transpose of im2col, not its inverse.
#
# Here the kernel has four different weights, so that you can see it lie on each window.

# %%
kernel, arriving = np.array([[1.0, 2], [3, 4]]), first.gradients.dy[0, 0]
dx, _, _ = depthwise_conv2d_backward(arriving[None, None], first.x, kernel[None, None], impl="naive")
dcols = kernel.reshape(4, 1) * arriving.reshape(1, 4)
np.testing.assert_array_equal(col2im(dcols[None], (3, 3), 2), dx)
pictures.scatter(arriving, kernel, (3, 3))

# %% [markdown]
# Look at the pictures again and you find two more convolutions. With stride 1, $dx$ is the kernel
# *flipped*, slid over $dy$ with as much padding as fits. And $dw$ is $dy$ itself used as a kernel, slid
# over $x$. SciPy agrees:

# %%
image = first.x[0, 0]
_, dw, _ = depthwise_conv2d_backward(arriving[None, None], first.x, kernel[None, None], impl="naive")
np.testing.assert_array_equal(dx[0, 0], signal.convolve2d(arriving, kernel, mode="full"))
np.testing.assert_array_equal(dw[0, 0], signal.correlate2d(image, arriving, mode="valid"))
show("dx, the full true convolution of dy and w", dx[0, 0])
show("dw, the cross-correlation of x with dy", dw[0, 0])

# %% [markdown]
# ## How often is a pixel read?
#
# Send a 1 back from every column entry, and col2im counts how often each pixel is read. The count shapes
# the gradient: corners hear from one window, the middle from many. Stride 2 leaves a pattern, which is
# where the checkerboards in upsampled pictures come from. With stride 4 some rows and columns are never
# read at all, and their $dx$ is exactly zero. Padding evens out the border. Dilation spreads the reads.


# %%
def times_read(size, taps, **how):
    ones = np.ones_like(im2col(np.zeros((1, 1, size, size)), taps, **how))
    return col2im(ones, (size, size), taps, **how)[0, 0]


reads_of = {
    "plain": times_read(7, 3),
    "stride 2": times_read(7, 3, stride=2),
    "stride 4": times_read(7, 3, stride=4),
    "padding 1": times_read(7, 3, padding=1),
    "dilation 3": times_read(7, 3, dilation=3),
}
assert (reads_of["plain"].min(), reads_of["plain"].max()) == (1, 9)
assert (reads_of["stride 4"] == 0).any()

photo, taken = rng.standard_normal((1, 1, 7, 7)), {"kernel_size": 3, "stride": 2}
cols = im2col(photo, **taken)
other = rng.standard_normal(cols.shape)
np.testing.assert_allclose(
    (cols * other).sum(), (photo * col2im(other, (7, 7), **taken)).sum()
)  # the transpose
np.testing.assert_allclose(col2im(cols, (7, 7), **taken), photo * reads_of["stride 2"])  # not the inverse
pictures.counts(reads_of)

# %% [markdown]
# ## By hand: the second example
#
# Three channels of different numbers, one filter each, four output channels. All of $p$ is positive, so
# ReLU is transparent. Row 0 and row 2 of the pointwise matrix both read channels 0 and 2. Going back, its
# columns matter: channels 0 and 2 hear the same, namely the sum of what arrives at outputs 0 and 2. So they
# get the same $dd$, and since their filters are equal, the same $dx$. Their $dw$ differ, because their
# pixels do.

# %%
second = worked_examples.three_distinct_channels
backward_by_hand(second)
assert np.array_equal(second.gradients.dx[0, 0], second.gradients.dx[0, 2])
assert not np.array_equal(second.gradients.dw_depthwise[0], second.gradients.dw_depthwise[2])

# %% [markdown]
# ## Do not trust, measure
#
# Is a backward pass right? Ask the forward pass. Move one weight a little to either side and look at what
# $L$ does:
#
# $$\frac{\partial L}{\partial w} \approx \frac{L(w+h) - L(w-h)}{2h}$$
#
# Convolution is linear in its weights, so here the quotient is exact for every $h$, even $h = 1$. In whole
# numbers there is not even rounding:


# %%
def loss(w):
    return (first.gradients.dd * depthwise_conv2d(first.x, w, impl="naive")).sum()


measured = np.zeros_like(first.w_depthwise)
for at in np.ndindex(measured.shape):
    nudge = np.zeros_like(measured)
    nudge[at] = 1
    measured[at] = (loss(first.w_depthwise + nudge) - loss(first.w_depthwise - nudge)) / 2
show("measured dw", measured)
np.testing.assert_array_equal(measured, first.gradients.dw_depthwise)

# %% [markdown]
# ## The checker
#
# `npdsconv.gradcheck.check` does this with care, for any pair of functions `forward(*arrays) -> y` and
# `backward(dy, *arrays) -> gradients`, yours included. It draws a random $dy$, works in float64, moves
# every element of every array, and reports the largest error of each array with the element where it
# happened. With `bilinear=True` it also tests the adjoint identity. The error is relative to the largest
# gradient; below 10⁻⁷ passes.

# %% tags=["rounding"]
x, w, b = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((3, 2, 2, 3)), rng.standard_normal(6)
how = {"stride": (2, 1), "padding": (1, 0)}


def forward(x, w, b):
    return depthwise_conv2d(x, w, b, **how, impl="im2col")


def backward(dy, x, w, b):
    return depthwise_conv2d_backward(dy, x, w, **how, impl="im2col")


report = check(forward, backward, x, w, b, bilinear=True, title="depthwise_conv2d")
assert report.ok
assert report.max_error < 1e-9
report

# %% [markdown]
# ## Does it bite?
#
# A test that has never failed has not been tested. Here are wrong backward passes, each a mistake that has
# been made in real code:
#
# * **flipped**: $dy$ is turned by 180° first (convolution taken for cross-correlation);
# * **assigned**: `=` where `+=` belongs, so that the last window wins;
# * **first filter only**: with $M = 2$ filters a channel hears from both, and here only from the first;
# * **bias over pixels only**: the images of the batch are not added up.


# %%
def flipped(dy, x, w, b):
    return backward(dy[:, :, ::-1, ::-1], x, w, b)


def assigned(dy, x, w, b):
    dx, dw, db = backward(dy, x, w, b)
    window = resolve_window("assigned", x.shape[2:], w.shape[2:], **how)
    (top, bottom), (left, right) = window.padding
    padded = np.zeros((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    for at_y, at_w, at_x in depthwise._terms((len(x), *w.shape[:2]), window):
        padded[at_x] = dy[at_y] * w[at_w]  # not +=
    return padded[:, :, top : top + x.shape[2], left : left + x.shape[3]], dw, db


def first_filter_only(dy, x, w, b):
    _, dw, db = backward(dy, x, w, b)
    dx, _, _ = depthwise_conv2d_backward(dy[:, ::2].copy(), x, w[:, :1], **how, impl="im2col")
    return dx, dw, db


def bias_over_pixels_only(dy, x, w, b):
    dx, dw, _ = backward(dy, x, w, b)
    return dx, dw, dy.sum(axis=(2, 3))


wrong = (flipped, assigned, first_filter_only, bias_over_pixels_only)
for mistake in wrong:
    report = check(forward, mistake, x, w, b)
    failed = [row.name for row in report.rows if not row.ok]
    print(
        f"{mistake.__name__:24} caught: {not report.ok},  wrong in {', '.join('d' + name for name in failed)}"
    )
    assert not report.ok

# %% [markdown]
# This is what a failing report looks like. Each array has its row. `backward` and `numeric` are the two
# values at the worst element. For `first_filter_only` it is $dx$ that disagrees; $dw$ and $db$ are
# innocent, and the report says so.

# %% tags=["rounding"]
report = check(forward, first_filter_only, x, w, b, title="depthwise_conv2d, first filter only")
assert [row.ok for row in report.rows] == [False, True, True]
report

# %% [markdown]
# ## Why never with all ones?
#
# The most common test of a backward pass takes the loss $L = \sum y$, because it is easy to write. Then
# $dy$ is all ones. But a sheet of ones, turned by 180°, is the same sheet of ones. So is one whose images
# or channels have been exchanged. The test cannot see such mistakes, whatever the tolerance. A random $dy$
# sees all of them.

# %%
ones, noise = np.ones_like(forward(x, w, b)), rng.standard_normal(forward(x, w, b).shape)


def images_exchanged(dy, x, w, b):
    return backward(dy[::-1], x, w, b)


for mistake in (flipped, images_exchanged):
    seen = [
        not all(np.allclose(p, q) for p, q in zip(backward(dy, x, w, b), mistake(dy, x, w, b), strict=True))
        for dy in (ones, noise)
    ]
    print(f"{mistake.__name__:18} seen with all ones: {seen[0]},  seen with random dy: {seen[1]}")
    assert seen == [False, True]

# %% [markdown]
# ## Why not in float32?
#
# A curved function forces a compromise. A large step $h$ misses the curvature: the error grows like $h^2$.
# A small step subtracts two nearly equal numbers, and divides their rounding error by $2h$. Numbers in
# float32 have about 7 digits, in float64 about 16. So in float32 even the best step leaves an error that a
# real mistake can hide behind. The checker therefore casts to float64, and says so if your forward pass
# falls back.


# %%
def best_step(dtype):
    """Largest relative error of the central difference of Σ dy·exp(conv / 4), for many steps."""
    inputs, weights = x[:1].astype(dtype), w.astype(dtype)
    c = dtype(0.25)
    value = lambda w: (
        noise[:1].astype(dtype) * np.exp(c * depthwise_conv2d(inputs, w, **how, impl="im2col"))
    ).sum()
    y = depthwise_conv2d(x[:1], w, **how, impl="im2col")
    _, exact, _ = depthwise_conv2d_backward(noise[:1] * np.exp(y / 4) / 4, x[:1], w, **how, impl="im2col")
    errors = []
    for step in steps:
        nudges = np.eye(w.size, dtype=dtype).reshape(-1, *w.shape) * dtype(step)
        quotient = [(value(weights + n) - value(weights - n)) / dtype(2 * step) for n in nudges]
        errors.append(np.abs(np.array(quotient) - exact.ravel()).max() / np.abs(exact).max())
    return errors


steps = 2.0 ** -np.arange(0, 34, 2)
errors = {"float32": best_step(np.float32), "float64": best_step(np.float64)}
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, error), colour in zip(errors.items(), (pictures.OUTPUT, pictures.INPUT), strict=True):
    ax.loglog(steps, error, "o-", color=colour, markersize=4, label=name)
ax.set(xlabel="step h", ylabel="largest relative error", title="Central differences, dw of a curved loss")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
assert min(errors["float32"]) > 1e-5
assert min(errors["float64"]) < 1e-8

careless = check(
    lambda x, w: depthwise_conv2d(x.astype(np.float32), w.astype(np.float32), impl="im2col"),
    lambda dy, x, w: depthwise_conv2d_backward(dy, x, w, impl="im2col")[:2],
    x,
    w,
)
print(careless.reasons()[0])
assert not careless.ok

# %% [markdown]
# ## The kink of ReLU
#
# ReLU has no derivative at zero: to the right the slope is 1, to the left 0, and the central difference
# says ½. The library returns 0 there. Nobody is wrong. A checker that reports such a point as an error
# teaches people to ignore errors. This one recognises a kink from the forward pass alone, counts it and
# leaves it out. If more than a tenth of the points lie on kinks, it refuses to say "ok" and asks you to
# move.


# %%
def relu_report(values):
    report = check(lambda x: relu(x, impl="numpy"), lambda dy, x: relu_backward(dy, x, impl="numpy"), values)
    print(
        f"ok: {report.ok},  {report.checked} points compared,  {report.kinks} on a kink",
        *report.reasons(),
        sep="\n   ",
    )
    return report


h = 1e-3
print(
    "slope of ReLU at 0, by central difference:",
    (max(h, 0) - max(-h, 0)) / (2 * h),
    " by relu_backward:",
    relu_backward(np.ones(1), np.zeros(1), impl="numpy")[0],
)
values = rng.standard_normal(40)
values[7] = 0
some = relu_report(values)
assert some.ok
assert some.kinks == 1
many = relu_report(np.where(rng.random(40) < 0.5, 0, values))
assert not many.ok

# %% [markdown]
# ## A whole block in one line
#
# A layer of the library brings its own backward pass and its own parameters, so the checker needs only the
# layer and an input. Here is a complete depthwise separable block: depthwise, batch norm, ReLU, pointwise,
# batch norm, ReLU.

# %% tags=["rounding"]
block = DepthwiseSeparableConv2d(3, 4, 3, stride=2, padding=1, rng=np.random.default_rng(5), impl="im2col")
report = check(block, rng.standard_normal((2, 3, 7, 6)))
assert report.ok
report

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell. Solutions are in the last cell.
#
# 1. The image is 3×3, the kernel $\begin{bmatrix}1&2\\3&4\end{bmatrix}$, stride 1, no padding. Only the
#    lower right output pixel has $dy = 10$, the others have 0. What is $dx$?
# 2. A 10×10 image meets a 3×3 kernel with stride 4 and no padding. How many pixels get a $dx$ of exactly
#    zero, whatever $dy$ and $w$ are?
# 3. Write $dw$ of a depthwise convolution with $M = 1$, stride 1, no padding, for one image.
# 4. Write a *wrong* backward pass for $y = w \cdot x$ (two arrays of one shape, multiplied number by
#    number) that a test with all-ones $dy$ cannot see, but `check` does.

# %%
dx_1 = ...  # exercise 1: 3 rows of 3 numbers
unread = ...  # exercise 2: a number


def my_dw(dy, x, shape):  # exercise 3: dy (C, OH, OW), x (C, H, W) -> an array of `shape`, (C, KH, KW)
    return ...


def sly(dy, x, w):  # exercise 4: -> wrong (dx, dw), but right where dy is all ones
    return ...


def mark(dx_1, unread, my_dw, sly):
    """Say for each answer whether it is right; True if all are."""
    lower_right = np.array([[0.0, 0], [0, 10]])[None, None]
    exact_dx, _, _ = depthwise_conv2d_backward(lower_right, first.x, kernel[None, None], impl="naive")
    photo, filters, dy = (rng.standard_normal(shape) for shape in ((1, 3, 7, 6), (3, 1, 2, 3), (1, 3, 6, 4)))
    _, exact_dw, _ = depthwise_conv2d_backward(dy, photo, filters, impl="naive")
    p, q, ones = *rng.standard_normal((2, 4, 3)), np.ones((4, 3))
    trick = sly(ones, p, q)
    if trick is not ...:
        blind = np.allclose(trick[0], q) and np.allclose(trick[1], p)
        trick = blind and not check(lambda x, w: w * x, sly, p, q).ok
    answers = {
        1: (dx_1, exact_dx[0, 0]),
        2: (unread, (times_read(10, 3, stride=4) == 0).sum()),
        3: (my_dw(dy[0], photo[0], (3, 2, 3)), exact_dw[:, 0]),
        4: (trick, True),
    }
    right = {}
    for number, (mine, expected) in answers.items():
        right[number] = (
            mine is not ... and np.shape(mine) == np.shape(expected) and np.allclose(mine, expected)
        )
        said = "still open" if mine is ... else "right" if right[number] else "not yet right"
        print(f"exercise {number}: {said}")
    return all(right.values())


all_right = mark(dx_1, unread, my_dw, sly)

# %% [markdown]
# ## Solutions
#
# 1. The kernel, multiplied by 10, lies on the lower right window. All other pixels get nothing.
# 2. Windows start at 0 and 4 and cover rows 0–2 and 4–6. Rows 3, 7, 8, 9 are never read, nor are those
#    columns. Six rows by six columns are read, and the other pixels are not.
# 3. For each tap, multiply $dy$ with the pixels that this tap has met, and add up.
# 4. Anything that rearranges $dy$, for instance reading it backwards. A sheet of ones does not change.


# %%
def my_solution(dy, x, shape):
    (_, OH, OW), dw = dy.shape, np.zeros(shape)
    for u, v in np.ndindex(shape[1:]):
        dw[:, u, v] = (dy * x[:, u : u + OH, v : v + OW]).sum(axis=(1, 2))
    return dw


def backwards(dy, x, w):
    return dy[::-1] * w, dy[::-1] * x


assert mark([[0, 0, 0], [0, 10, 20], [0, 30, 40]], 10 * 10 - 6 * 6, my_solution, backwards)
