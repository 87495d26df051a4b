# %% [markdown]
# # 2. Three tiers: slow and obvious, then fast and equal
#
# At the end you can write the same convolution three ways (as loops, as a matrix product, as compiled
# loops), prove each fast one equal to the slow one, and say what each step of speed has cost. You also know
# why any forward pass here may be followed by any backward pass.
#
# You need [Convolution by hand](01_convolution_by_hand.ipynb): windows, stride, padding, dilation, and the
# difference between a standard and a depthwise convolution.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x$ | $(N, C, H, W)$ | the input: $N$ images of $C$ channels, $H$ rows and $W$ columns |
# | $w$ | $(C, M, K_H, K_W)$ | depthwise weights: $M$ filters for each channel |
# | $w$ | $(O, C, K_H, K_W)$ | standard weights: $O$ output channels, each reads all $C$ channels |
# | $y$ | $(N, CM, O_H, O_W)$ or $(N, O, O_H, O_W)$ | the output; channel $cM+m$ is filter $m$ of channel $c$ |

# %%
import inspect
from itertools import product
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from threadpoolctl import threadpool_limits

from npdsconv import (
    conv2d,
    conv2d_backward,
    data,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    get_num_threads,
    set_num_threads,
)
from npdsconv.kernels.loops import depthwise as loops
from npdsconv.lessons import exercise, pictures
from npdsconv.lessons.pictures import number, sum_of_products
from npdsconv.lessons.pictures.code import SideBySide
from npdsconv.ops import _tiers, depthwise, standard, windows
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW
from npdsconv.shapes import resolve_window

digits = data.load("mnist5k").train
first_three = int(np.flatnonzero(digits.labels == 3)[0])
digit = digits.images[first_three : first_three + 1].astype(float)  # one image, one channel, 0 to 255
edges = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # Sobel's filter: right side minus left side
w_edges = edges[None, None]  # as (C, M, KH, KW): one channel, one filter
assert digit.shape == (1, 1, 28, 28)

# %% [markdown]
# ## Tier 1: naive
#
# The formula of a depthwise convolution has a sum over the taps $(u, v)$, and asks for one such sum for
# every image $n$, channel $c$, filter $m$ and output pixel $(i, j)$:
#
# $$y_{n,\,cM+m,\,i,\,j} = \sum_{u,v} w_{c,m,u,v}\; x_{n,\,c,\,i s_h + u d_h,\,j s_w + v d_w}$$
#
# ($s_h, s_w$ is the stride, $d_h, d_w$ the dilation, $x$ is already padded.) Seven indices, seven loops.
# This is the library's slowest tier. `_terms` runs through all seven indices, and `naive` adds up one
# product at a time. The marked line does the multiplying. `window` holds what the caller has chosen: the
# sizes of kernel and output, stride, padding and dilation. `xpad` is $x$ with its padding, `b` an optional
# bias. (Where the docstring says `dy`, read $y$: the list serves the backward pass too, as you will see.)

# %%
SideBySide(
    {"naive": [depthwise._terms, depthwise.naive]},
    marked=["y[at_y] += w[at_w] * xpad[at_x]"],
)

# %% [markdown]
# Run it on a digit. The kernel subtracts what is left of a pixel from what is right of it, so it answers to
# edges that stand upright: coming from the left, positive (red) where the ink begins and negative (grey)
# where it ends. The orange frame is one window. Its nine products are written out below the picture.

# %%
y = depthwise_conv2d(digit, w_edges, impl="naive")
i, j = (int(k) for k in np.unravel_index(y[0, 0].argmax(), y.shape[2:]))  # where the answer is strongest
seen = digit[0, 0, i : i + 3, j : j + 3]
assert y[0, 0, i, j] == (edges * seen).sum()

inks = LinearSegmentedColormap.from_list("ink", ["white", INPUT])
signed = LinearSegmentedColormap.from_list("signed", ["0.35", "white", OUTPUT])
figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.2), width_ratios=[3, 1.4, 1.4, 3], layout="constrained")
axes[0].imshow(digit[0, 0], cmap=inks)
axes[0].set_title(f"x  {digit.shape}", fontsize=10)
pictures.outline(axes[0], (i - 0.5, j - 0.5), (3, 3))
pictures.tensor(axes[1], seen, "window", WINDOW)
pictures.tensor(axes[2], edges, "w", KERNEL)
axes[3].imshow(y[0, 0], cmap=signed, vmin=-np.abs(y).max(), vmax=np.abs(y).max())
axes[3].set_title(f"y  {y.shape}", fontsize=10)
pictures.outline(axes[3], (i - 0.5, j - 0.5), (1, 1))
for ax in (axes[0], axes[3]):
    ax.set(xticks=[], yticks=[])
plt.show()
print(f"y[0, 0, {i}, {j}] =", sum_of_products(edges.ravel(), seen.ravel()))

window = resolve_window("digit", digit.shape[2:], edges.shape)
turns = sum(1 for _ in depthwise._terms((1, 1, 1), window))
print(f"{turns:,} turns of the loop, for {y.size} output pixels")
assert turns == y.size * edges.size

# %% [markdown]
# Nobody can doubt this tier: it *is* the formula. That is its whole value. But look how often its loop turns
# for this one small digit and one filter. A network has hundreds of filters and sees millions of images.
# Each turn is interpreted by Python, which looks up names, types and indices, to do one multiplication.
#
# ## Tier 2: im2col
#
# NumPy is fast when it is called a few times on large arrays, and slow when it is called often on small
# ones. So let *one* call make all windows (`windows`, then `columns`), and *one* matrix product `@` do all
# the sums. The loops have not gone. They run inside NumPy, in compiled C, which was written by others.
#
# First the formula once more, then, beside or below it, the same sum as a product. Look for what became of
# each index: $i$ and $j$ are the last axis of `cols`, $u$ and $v$ the axis before it, and `@` sums over
# $u, v$. The images $n$ and channels $c$ are axes in front: `@` makes one small product for each of them.

# %%
SideBySide(
    {"naive": [depthwise._terms, depthwise.naive], "im2col": [windows.columns, depthwise.im2col]},
    marked=["y[at_y] += w[at_w] * xpad[at_x]", "y = w.reshape(c, m, kh * kw) @ cols"],
)

# %% [markdown]
# Is it the same? Never believe a fast version, compare it. Pixels and weights are whole numbers here, and
# so are all sums. Whole numbers up to $2^{53}$ are exact in float64, so the two must agree to the last
# bit, not only roughly.

# %%
fast = depthwise_conv2d(digit, w_edges, impl="im2col")
np.testing.assert_array_equal(fast, y)

cols = windows.columns(digit, window)
print(f"all {y.size} pixels are equal; the largest is {number(np.abs(y).max())}, the limit {2**53:,}")
print(f"the price: cols has {cols.size} numbers where x has {digit.size}")
assert np.abs(y).max() < 2**53
assert cols.size == edges.size * y.size

# %% [markdown]
# ## One comparison is no proof
#
# Here is a fast version with a mistake: it exchanges the two strides. On our digit it is perfect. The
# stride is 1 both ways, so nothing can be exchanged. A test that cannot fail proves nothing.
#
# So draw a problem in which *whatever could be mixed up is different*: height and width, kernel height and
# kernel width, both strides, all four paddings, both dilations, channels and filters. And fill it with random
# numbers. Then every mix-up changes either a shape or a number.


# %%
def hasty(x, w, stride=(1, 1), **how):
    return depthwise_conv2d(x, w, stride=stride[::-1], **how, impl="im2col")


rng = np.random.default_rng(3)
N, C, M, O = 2, 3, 4, 5
odd = {"stride": (2, 1), "padding": ((1, 2), (0, 3)), "dilation": (1, 2)}
x = rng.integers(-9, 10, (N, C, 8, 7)).astype(float)
w = rng.integers(-9, 10, (C, M, 3, 2)).astype(float)
expected = depthwise_conv2d(x, w, **odd, impl="naive")

on_digit = np.array_equal(hasty(digit, w_edges), y)
shapes = hasty(x, w, **odd).shape, expected.shape
print("the hasty version is right on the digit:", on_digit)
print("on the odd problem its shape is", shapes[0], "instead of", shapes[1])
assert on_digit
assert shapes[0] != shapes[1]
np.testing.assert_array_equal(depthwise_conv2d(x, w, **odd, impl="im2col"), expected)

# %% [markdown]
# The library's im2col passes the odd problem too: that is the last line of the cell.
#
# ## Tier 3: loops
#
# im2col bought its speed with memory. A compiler buys it otherwise: Numba translates Python loops into machine
# code, the first time they are called. Then loops cost no more than they do in C, and the formula can stay as it
# is. Here are all three. The compiled one has the loops over $i, j, u, v$ again, and the marked line.
#
# Three things differ from the naive tier, and all have to do with the machine:
#
# * the channel $c$ is the *innermost* loop. Pixels are stored with their channels side by side (*channels last*:
#   look at the order of the indices), so this loop runs straight through memory, and the processor does several
#   channels with one instruction. [Memory layout](04_memory_layout.ipynb) is about that;
# * the outermost loop is a `prange`, whose turns are shared out among the cores. The comment says what each turn
#   *owns*: it alone writes to its row of $y$, so no two cores ever write to the same place;
# * the image is not padded. A tap that falls outside of the picture would read zero, so it is left out.
#
# (`@kernel` is the library's way to say "compile this, and run it on several cores". `steps` holds the padding at
# the top and left, the stride and the dilation. The $M$ filters for a channel are treated as one filter each for $M$
# copies of the channel, so there is no loop over $m$.)

# %%
SideBySide(
    {
        "naive": [depthwise._terms, depthwise.naive],
        "im2col": [windows.columns, depthwise.im2col],
        "loops": [loops.depthwise],
    },
    marked=[
        "y[at_y] += w[at_w] * xpad[at_x]",
        "y = w.reshape(c, m, kh * kw) @ cols",
        "y[n, i, j, c] += w[u, v, c] * x[n, p, q, c]",
    ],
)

# %% [markdown]
# What you have just read is what runs when you ask for `impl="loops"`: nothing is left out. Again, compare. The
# cell also calls the same function *without* compiling it, as the plain Python that it is. It takes images and
# taps with channels last. On whole numbers nothing differs. Compilation changes the speed, and of real numbers at
# most the last bits.

# %%
np.testing.assert_array_equal(depthwise_conv2d(digit, w_edges, impl="loops"), y)
np.testing.assert_array_equal(depthwise_conv2d(x, w, **odd, impl="loops"), expected)

by_python = np.empty((1, *y.shape[2:], 1))  # (N, OH, OW, C)
image, taps = digit.transpose(0, 2, 3, 1), edges[..., None]  # (N, H, W, C) and (KH, KW, C)
no_padding, steps_of_one = (0, 0), (1, 1)
plain = inspect.unwrap(loops.depthwise)
plain(image, taps, np.zeros(1), (no_padding, steps_of_one, steps_of_one), by_python)
np.testing.assert_array_equal(by_python[..., 0], y[0])
print("loops agrees, compiled and uncompiled")

# %% [markdown]
# ## And once more, tuned: numba
#
# There is a fourth name, `impl="numba"`, and it is what you get when you name none. It is the third tier once
# more, and adds up the same products. But its inner loops are written for the processor rather than for the
# reader. They keep numbers in registers for as long as they are needed, and fetch from memory early what comes
# next. That is a craft of its own, and not needed to understand the operator. If you want to know how it is done,
# `npdsconv/kernels/README.md` is the place to begin.
#
# It is held against the naive tier like the others:

# %%
np.testing.assert_array_equal(depthwise_conv2d(digit, w_edges, impl="numba"), y)
np.testing.assert_array_equal(depthwise_conv2d(x, w, **odd, impl="numba"), expected)
print("numba agrees too")

# %% [markdown]
# ## The same for the standard convolution
#
# Every convolution in the library comes in these tiers. For the standard one, the formula has a sum over
# channels as well. In the naive tier that is one loop more. In the im2col tier it is nothing new: the
# columns already hold the windows of all channels below each other, and one product sums over everything.
# (`groups` splits the channels into parts that do not see each other. With one group all see all.)
#
# All tiers give one answer, also here. And a bridge between the two operators: a standard convolution with as
# many groups as channels is a depthwise one, since each group then holds one channel. So there are two ways
# to a depthwise result, each in every tier. All of them agree.

# %%
w_standard = rng.integers(-9, 10, (O, C, 3, 2)).astype(float)
slow = conv2d(x, w_standard, **odd, impl="naive")
for impl in standard.IMPLS:
    np.testing.assert_array_equal(conv2d(x, w_standard, **odd, impl=impl), slow)

regrouped = w.reshape(C * M, 1, 3, 2)  # (C, M, KH, KW) is (O, C/groups, KH, KW) without moving a number
assert np.shares_memory(regrouped, w)
for impl in standard.IMPLS:
    np.testing.assert_array_equal(conv2d(x, regrouped, **odd, groups=C, impl=impl), expected)
print("all tiers agree: standard", slow.shape, "and, with groups = C, depthwise", expected.shape)
SideBySide(
    {"naive": [standard._terms, standard.naive], "im2col": [standard.im2col]},
    marked=["y[at_y] += w[at_w] * xpad[at_x]", "y = w.reshape(groups, len(w) // groups, -1) @ cols"],
)

# %% [markdown]
# ## Any forward, any backward
#
# How does the library choose? With a table. A tier is three functions: the forward pass, `dx` and `dw`.
# `impl="..."` looks one up. That is all.
#
# Look below at what `dx` and `dw` ask for: $dy$, the derivatives of the loss for the outputs; $x$ and $w$;
# shapes. Nothing that only one forward pass could know, such as its columns. (How the two work is derived in
# [The backward pass](05_the_backward_pass.ipynb).) So tiers can be mixed: run fast forward, check with the
# slow backward, or the other way round.
#
# Try all pairs. The loss is $L = \frac12 \sum y^2$, whose derivative for the outputs is $dy = y$: so each
# backward starts from what that forward gave. Numbers are whole, so equal means equal.
#
# The last assertion is a check that costs nothing. Multiply $dy$ with $y$, $dx$ with $x$, or $dw$ with $w$,
# number by number, and add up: all three are the same sum of $dy \cdot w \cdot x$ over the same terms. That
# is what the docstring of `_terms` calls the *trilinear form*, and why one list of terms serves all three
# functions.

# %%
print(inspect.getsource(_tiers.Tier))
assert list(depthwise.IMPLS) == list(standard.IMPLS) == ["naive", "im2col", "loops", "numba"]

operators = {
    "depthwise": (depthwise_conv2d, depthwise_conv2d_backward, w),
    "standard": (conv2d, conv2d_backward, w_standard),
}
for name, (forward, backward, weights) in operators.items():
    truth = backward(forward(x, weights, **odd, impl="naive"), x, weights, **odd, impl="naive")
    pairs = list(product(depthwise.IMPLS, repeat=2))
    for there, back in pairs:
        y_pair = forward(x, weights, **odd, impl=there)
        gradients = backward(y_pair, x, weights, **odd, impl=back)
        for mine, true in zip(gradients, truth, strict=True):
            np.testing.assert_array_equal(mine, true)
        dx, dw, _ = gradients
        assert (y_pair * y_pair).sum() == (dx * x).sum() == (dw * weights).sum()  # all three are Σ dy·w·x
    print(f"{name}: {len(pairs)} pairs of tiers, the same dx, dw and db from all")

# %% [markdown]
# ## Equal, up to the last bits
#
# With real numbers the tiers need not agree to the last bit. Each adds up the same products in another
# order, and rounded sums depend on the order. Compare with a tolerance that fits the type of the numbers:
# float32 holds about 7 digits, float64 about 16. `eps` is the step from 1 to the next number of that type; we
# allow a hundred such steps of the largest output.

# %% tags=["rounding"]
for dtype in (np.float32, np.float64):
    real_x = rng.standard_normal((2, 16, 12, 10)).astype(dtype)
    real_w = rng.standard_normal((7, 16, 3, 3)).astype(dtype)
    results = {impl: conv2d(real_x, real_w, impl=impl) for impl in standard.IMPLS}
    naive = results.pop("naive")
    limit = 100 * np.finfo(dtype).eps * np.abs(naive).max()
    for name, other in results.items():
        error = np.abs(other - naive).max()
        print(
            f"{np.dtype(dtype).name}: {name:6} differs from naive by at most {error:.1e}, limit {limit:.1e}"
        )
        assert error < limit

# %% [markdown]
# ## What speed is there to gain?
#
# Now the clock. The figures differ from machine to machine, and nothing is asserted about them. Expect the
# compiled tiers and the NumPy tier to be faster than the naive one by several powers of ten: the scale is
# logarithmic. The first run is not timed: a compiled tier is compiled then, which takes seconds the very first
# time and is remembered on disk. Everything runs on one core, so that code is compared with code; the compiled
# tiers can use more.
#
# Compare im2col and loops as well. A large matrix product is what im2col is good at. A standard convolution
# gives it one for each image, a depthwise convolution only a small one for each channel. And from loops to numba
# you see what tuning still brings. (The depthwise batch has four images, the standard one a single image: the
# naive tier is slow enough.)

# %% tags=["timing"]
images, channels, outputs, repeats = 4, 16, 16, 20
batch = rng.standard_normal((images, channels, 28, 28)).astype(np.float32)
per_channel = rng.standard_normal((channels, 1, 3, 3)).astype(np.float32)
across = rng.standard_normal((outputs, channels, 3, 3)).astype(np.float32)


def best_time(function, *arrays, times, **how):
    """The shortest of several runs, in seconds; the first run does not count."""
    seconds = []
    for _ in range(times):
        begun = perf_counter()
        function(*arrays, **how)
        seconds.append(perf_counter() - begun)
    return min(seconds[1:] or seconds)


threads = get_num_threads()
set_num_threads(1)
cases = {"depthwise": (depthwise_conv2d, batch, per_channel), "standard": (conv2d, batch[:1], across)}
figure, axes = plt.subplots(1, 2, figsize=(9, 2.5), sharex=True, layout="constrained")
for ax, (name, (function, *arrays)) in zip(axes, cases.items(), strict=True):
    seconds = {}
    for impl in depthwise.IMPLS:
        with threadpool_limits(1):  # BLAS, which does the matrix products of im2col
            seconds[impl] = best_time(function, *arrays, times=1 if impl == "naive" else repeats, impl=impl)
        ratio = seconds["naive"] / seconds[impl]
        print(f"{name:10} {impl:7} {1e3 * seconds[impl]:10.3f} ms   {ratio:8,.0f} times as fast as naive")
    ax.plot([1e3 * s for s in seconds.values()], list(seconds), "o", color="0.2", markersize=8)
    ax.set(xscale="log", xlabel="milliseconds", title=name)
    ax.margins(0.1, 0.3)
    ax.grid(axis="x", alpha=0.4)
    ax.invert_yaxis()
plt.show()
set_num_threads(threads)

# %% [markdown]
# ## Why keep the slow one?
#
# | tier | reads like | costs | use it |
# |---|---|---|---|
# | naive | the formula | time | as the truth that others are held against |
# | im2col | linear algebra | memory, $K_H K_W$ times | to understand, and where Numba is not wanted |
# | loops | the formula, in another order | a compiler, and care for memory | to read; a quick check at real sizes |
# | numba | a craft | many more lines | to train |
#
# The order of work is always this: write the slow one, make sure of it by hand, write the fast one, hold
# it against the slow one on odd problems.
#
# ## Exercises
#
# Now do the same: write two more tiers. Put your answer in the place of the line that raises, then run the
# cell and the check below it.
#
# ### Exercise 1: a tier that loops over taps only
#
# `by_taps(x, w, stride)` is a depthwise convolution without padding and dilation. It may loop over the
# $K_H K_W$ taps, and over nothing else. *Hint: all pixels that tap $(u, v)$ meets form one slice of $x$,
# which begins at row $u$ and column $v$, and steps by the stride. Where must it end, so that it has $O_H$
# rows? A slice is $(N, C, O_H, O_W)$, one weight for each filter is $(C, M)$: give both the missing axes of
# length one, so that their product is $(N, C, M, O_H, O_W)$.*


# %% tags=["exercise"]
def by_taps(x, w, stride):
    """x (N, C, H, W), w (C, M, KH, KW), stride (sh, sw) -> y (N, C·M, OH, OW)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_by_taps():
    for stride in ((1, 1), (2, 1), (1, 3), (3, 2)):
        mine = by_taps(x, w, stride)
        np.testing.assert_array_equal(mine, depthwise_conv2d(x, w, stride=stride, impl="naive"))


# %% [markdown]
# ### Exercise 2: a tier in one line
#
# `windows.windows(padded, window)` gives all windows as an array $(N, C, O_H, O_W, K_H, K_W)$, without
# copying. Write a depthwise convolution as one `np.einsum` of it with $w$, then a `reshape`. *Hint: give
# each axis the letter that it has in the formula, and leave out of the result the letters that are summed.
# `window.output` is $(O_H, O_W)$, and `windows.pad(x, window.padding)` pads.*


# %% tags=["exercise"]
def by_einsum(x, w, window):
    """x (N, C, H, W), w (C, M, KH, KW), window as resolve_window returns it -> y (N, C·M, OH, OW)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_by_einsum():
    window = resolve_window("exercise", x.shape[2:], w.shape[2:], **odd)
    np.testing.assert_array_equal(by_einsum(x, w, window), expected)


# %% [markdown]
# ### Exercise 3: a backward pass for your tier
#
# Write `dx` for `by_taps`, again with a loop over taps only. Forward, a tap read a slice of $x$. Backward,
# it *adds* to the same slice of $dx$ what arrives at the outputs, times its weight, summed over the $M$
# filters. $H$ and $W$ come with `shape`. The check mixes it with the library's forward passes, as above.


# %% tags=["exercise"]
def by_taps_dx(dy, w, shape, stride):
    """dy (N, C·M, OH, OW), w (C, M, KH, KW), shape (N, C, H, W) of x -> dx of that shape."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3_by_taps_dx():
    for stride, impl in product(((1, 1), (2, 1), (3, 2)), depthwise.IMPLS):
        dy = depthwise_conv2d(x, w, stride=stride, impl=impl)  # the loss Σ y²/2 again
        dx, _, _ = depthwise_conv2d_backward(dy, x, w, stride=stride, impl="naive")
        np.testing.assert_array_equal(by_taps_dx(dy, w, x.shape, stride), dx)
