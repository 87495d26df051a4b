# %% [markdown]
# # 5. The backward pass
#
# A network learns by asking one question about each of its numbers: *if this number grew a little, how much
# would the loss grow?* The answer is a derivative. The backward pass computes all of them at once.
#
# At the end you can derive it for depthwise and pointwise convolution, carry it out by hand in whole numbers,
# write it, and catch a wrong one with a checker.
#
# You need the three convolutions and the two worked examples of [lesson 1](01_convolution_by_hand.ipynb), col2im
# from [lesson 3](03_im2col_and_its_transpose.ipynb), and the chain rule. New symbols:
#
# | symbol | meaning |
# |---|---|
# | $L$ | the loss: one number that depends on everything |
# | $dy$ | $\partial L / \partial y$: an array of the shape of $y$, one derivative for each of its numbers |
# | $dx, dw, db$ | the same for $x$, $w$, $b$: each has the shape of its array |
#
# Backward walks from the loss to the input. At every operator it is given $dy$ and has to return $dx$, $dw$
# and $db$. It need not know what the loss is.

# %%
import inspect

import numpy as np
from scipy import signal

from npdsconv import (
    col2im,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    im2col,
    pointwise_conv2d_backward,
    relu_backward,
)
from npdsconv.gradcheck import check
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show, sum_of_products
from npdsconv.ops import depthwise
from npdsconv.shapes import resolve_window

# %% [markdown]
# ## One sum, three ways to read it
#
# Change $y$ by a little $\delta$, and the loss changes by $\sum dy \cdot \delta$: that is what a derivative
# means. So as far as derivatives go, we may take $L = \sum dy \cdot y$ with fixed numbers $dy$. Now put in
# what $y$ is. For one channel:
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
# That is the whole backward pass. Here it is once more, with everything: $N$ images, $C$ channels, $M$
# filters for each, stride, padding and dilation. Which pixel row $p$ does output row $i$ read with tap $u$?
# Keep the answer in a table of zeros and ones, and the same for columns in a table $Q_{q,j,v}$:
#
# $$R_{p,i,u} = 1 \quad\text{where}\quad p = i \cdot \text{stride} + u \cdot \text{dilation} - \text{padding}.$$
#
# Now the sum may run over all pixels $(p, q)$. The tables pick those that are read:
#
# $$L = \sum dy_{n,c,m,i,j}\; w_{c,m,u,v}\; x_{n,c,p,q}\; R_{p,i,u}\; Q_{q,j,v}$$
#
# So the three readings are three lines of code. Each leaves one array out; the letters after the arrow say
# what is *not* summed over. The first print shows $R$ for a row of three pixels: the middle one is read by
# output 0 with tap 1, and by output 1 with tap 0.


# %%
def reads(size, outputs, taps, stride=1, padding=0, dilation=1):
    """R[p, i, u] = 1 where output i reads pixel p with tap u."""
    R = np.zeros((size, outputs, taps))
    for i, u in np.ndindex(outputs, taps):
        p = i * stride + u * dilation - padding
        if 0 <= p < size:  # otherwise it reads a padded zero
            R[p, i, u] = 1
    return R


show("R for 3 pixels: one matrix for each, rows are outputs, columns are taps", reads(3, outputs=2, taps=2))

rng = np.random.default_rng(2)
N, C, M, H, W, KH, KW = 2, 3, 2, 7, 8, 3, 2
how = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 3)}  # downwards and to the right
OH, OW = resolve_window("example", (H, W), (KH, KW), **how).output
R = reads(H, OH, KH, stride=2, padding=1, dilation=1)
Q = reads(W, OW, KW, stride=1, padding=2, dilation=3)

x = rng.integers(-4, 5, (N, C, H, W)).astype(float)
w = rng.integers(-4, 5, (C, M, KH, KW)).astype(float)
dy = rng.integers(-4, 5, (N, C, M, OH, OW)).astype(float)

y = np.einsum("cmuv, ncpq, piu, qjv -> ncmij", w, x, R, Q)
dx = np.einsum("ncmij, cmuv, piu, qjv -> ncpq", dy, w, R, Q)
dw = np.einsum("ncmij, ncpq, piu, qjv -> cmuv", dy, x, R, Q)
db = np.einsum("ncmij -> cm", dy)

print("Σ dy·y =", (dy * y).sum(), "  Σ dx·x =", (dx * x).sum(), "  Σ dw·w =", (dw * w).sum())
assert (dy * y).sum() == (dx * x).sum() == (dw * w).sum()

dy_flat = dy.reshape(N, C * M, OH, OW)  # the library numbers its output channels c·M + m
y_lib = depthwise_conv2d(x, w, **how, impl="im2col")
dx_lib, dw_lib, db_lib = depthwise_conv2d_backward(dy_flat, x, w, **how, impl="im2col")
for mine, library in ((y, y_lib), (dx, dx_lib), (dw, dw_lib), (db, db_lib)):
    np.testing.assert_array_equal(mine.reshape(library.shape), library)

# %% [markdown]
# The three printed sums are the same $L$, grouped in three ways. In whole numbers they must agree to the last
# digit. This free test of a backward pass is called the *adjoint identity*. And $dx$, $dw$ and $db$ are what
# the library returns.
#
# The bias is simpler still. It is added to every pixel of its channel, in every image. So its derivative is
# the sum of $dy$ over these pixels.
#
# ## The loops
#
# The library's naive version says the same index by index. `_terms` lists the triples of indices. Forward, `dx`
# and `dw` walk through the same list, and only the array that collects the products changes. Note the `+=`:
# a pixel is read by several windows, a weight is used at every position, and each use adds its share.

# %%
print(inspect.getsource(depthwise._terms))
for function in (depthwise.naive, depthwise.naive_dx, depthwise.naive_dw):
    print(inspect.getsource(function))

# %% [markdown]
# ## By hand: the first example
#
# Take the repaired first example of lesson 1: the image 1 to 9, two different filters, a pointwise identity,
# ReLU. From here on $d$ is what depthwise returns, $p$ what pointwise makes of it, and $y$ what ReLU leaves.
# So $dd$, $dp$ and $dy$ are their derivatives. Choose some $dy$, and walk back:
#
# 1. **ReLU** lets $dy$ pass where its input $p$ was positive, and stops it elsewhere. The second map was −4
#    throughout. So nothing comes through, and the second filter learns nothing from this image.
# 2. **Pointwise** works at one pixel at a time. Number the pixels $r = 0, 1, 2, \dots$ and write each map as a
#    row. Then $p = w\,d + b$ is a product of matrices, $L = \sum dp_{o,r}\, w_{o,c}\, d_{c,r} + \dots$, and the
#    same reading works: leave out $w$, then $d$, then $b$:
#    $$dw_{o,c} = \sum_r dp_{o,r}\, d_{c,r} \qquad dd_{c,r} = \sum_o w_{o,c}\, dp_{o,r} \qquad
#    db_o = \sum_r dp_{o,r}$$
#    In matrices: $dw = dp\; d^{\mathsf T}$ and $dd = w^{\mathsf T} dp$, and $db$ sums the rows of $dp$.
# 3. **Depthwise** is the sum from above. Take one tap at a time. It has met one pixel for each output. Multiply
#    these pixels by what arrives at the outputs and add up: that is its $dw$. Send what arrives, times the
#    weight, back to these pixels: that is its share of $dx$.
#
# The sums for the depthwise weights are written out below, each product as *what arrives · pixel*, without the
# outputs where nothing arrives. Follow one with your finger.


# %%
def backward_by_hand(example):
    """Print every step back through a worked example; return what was found."""
    dy, M = example.gradients.dy, example.w_depthwise.shape[1]
    pixels = dy[0, 0].size

    show("dy, chosen", dy[0])
    dp = np.where(example.p > 0, dy, 0)
    show("dp: dy where p is positive", dp[0])

    dp_rows, d_rows = dp.reshape(-1, pixels), example.d.reshape(-1, pixels)  # (channels, pixels)
    dw_pointwise, db = dp_rows @ d_rows.T, dp_rows.sum(axis=1)
    dd = (example.w_pointwise.T @ dp_rows).reshape(example.d.shape)
    show("dw_pointwise = dp times d transposed", dw_pointwise)
    show("db = row sums of dp", db)
    show("dd = w_pointwise transposed times dp", dd[0])

    dw_depthwise, dx = np.zeros(example.w_depthwise.shape), np.zeros(example.x.shape)
    for c, m, u, v in np.ndindex(dw_depthwise.shape):
        down, right = slice(u, u + dd.shape[2]), slice(v, v + dd.shape[3])
        met = example.x[0, c, down, right]  # the pixels that this tap has met, one for each output
        arriving = dd[0, c * M + m]
        dw_depthwise[c, m, u, v] = (arriving * met).sum()
        dx[0, c, down, right] += arriving * example.w_depthwise[c, m, u, v]
        written_out = sum_of_products(arriving[arriving != 0], met[arriving != 0])
        print(f"  dw_depthwise[{c},{m},{u},{v}] = {written_out}")
    show("\ndw_depthwise", dw_depthwise)
    show("dx", dx[0])
    return {
        "dp": dp,
        "dw_pointwise": dw_pointwise,
        "db": db,
        "dd": dd,
        "dw_depthwise": dw_depthwise,
        "dx": dx,
    }


def compare(example, found):
    """Hold what was found against the stored integers and against the library."""
    for name, mine in found.items():
        np.testing.assert_array_equal(mine, getattr(example.gradients, name), err_msg=name)
    dp = relu_backward(example.gradients.dy, example.p, impl="numpy")
    dd, dw_pointwise, db = pointwise_conv2d_backward(dp, example.d, example.w_pointwise, impl="naive")
    dx, dw_depthwise, _ = depthwise_conv2d_backward(dd, example.x, example.w_depthwise, impl="naive")
    for mine, library in zip(found.values(), (dp, dw_pointwise, db, dd, dw_depthwise, dx), strict=True):
        np.testing.assert_array_equal(mine, library)


first = worked_examples.two_filters_one_channel
compare(first, backward_by_hand(first))
assert (first.p[0, 1] == -4).all()
assert not first.gradients.dw_depthwise[0, 1].any()  # the second filter learns nothing

# %% [markdown]
# ## The picture of dx: every window pays back
#
# Forward, a window of pixels flows into one output pixel. Backward, that output pixel sends its $dy$ back
# to the window, each share multiplied by the weight it came through. Windows overlap, so the shares
# **add**. That is col2im, "columns to image", from lesson 3: the transpose of im2col, and not its inverse.
# (The kernel here has four different weights, so that you can see it lie on each window.)
#
# Look again and you find two more convolutions. With stride 1, $dx$ is the kernel *flipped*, slid over
# $dy$ with $K - 1$ zeros around it. And $dw$ is $dy$ itself used as a kernel, slid over $x$. SciPy agrees:

# %%
kernel, image, arriving = np.array([[1.0, 2], [3, 4]]), first.x[0, 0], first.gradients.dy[0, 0]
dx, dw, _ = depthwise_conv2d_backward(arriving[None, None], first.x, kernel[None, None], impl="naive")
dcols = kernel.reshape(4, 1) * arriving.reshape(1, 4)
np.testing.assert_array_equal(col2im(dcols[None], (3, 3), 2), dx)
np.testing.assert_array_equal(dx[0, 0], signal.convolve2d(arriving, kernel, mode="full"))  # flips its kernel
np.testing.assert_array_equal(dw[0, 0], signal.correlate2d(image, arriving, mode="valid"))
show("dw, the cross-correlation of x with dy", dw[0, 0])
pictures.scatter(arriving, kernel, (3, 3))

# %% [markdown]
# ## How often is a pixel read?
#
# Send a 1 back from every column entry, and col2im counts how often each pixel is read; so many shares does
# its $dx$ add up. Corners belong to one window, the middle to many. Stride 2 leaves a pattern. (Networks that
# *enlarge* images run this step forward, and their pictures show the pattern as a checkerboard.) With stride
# 4, one row and one column are never read, and there $dx$ is exactly zero. Padding helps the border. Dilation
# spreads the reads. Here dilation 2 paints the same picture as stride 2, and that is no accident: it reads
# rows $i + 2u$ where stride 2 reads $2i + u$, and both $i$ and $u$ run over 0, 1, 2.


# %%
def times_read(size, taps, **how):
    ones = np.ones_like(im2col(np.zeros((1, 1, size, size)), taps, **how))
    return col2im(ones, (size, size), taps, **how)[0, 0]


reads_of = {
    "plain": times_read(7, 3),
    "stride 2": times_read(7, 3, stride=2),
    "stride 4": times_read(7, 3, stride=4),
    "padding 1": times_read(7, 3, padding=1),
    "dilation 2": times_read(7, 3, dilation=2),
}
assert (reads_of["plain"].min(), reads_of["plain"].max()) == (1, 9)
never = reads_of["stride 4"] == 0
assert np.array_equal(np.argwhere(never.all(axis=1)), [[3]])
assert np.array_equal(np.argwhere(never.all(axis=0)), [[3]])
assert reads_of["padding 1"].min() > reads_of["plain"].min()
assert np.array_equal(reads_of["stride 2"], reads_of["dilation 2"])
pictures.counts(reads_of)

# %% [markdown]
# ## By hand: the second example
#
# Three channels of different numbers, one filter each, four output channels. All of $p$ is positive, so
# ReLU lets everything through. Outputs 0 and 2 add up channels 0 and 2; outputs 1 and 3 copy channel 1. Going
# back, the *columns* of the pointwise matrix matter: channels 0 and 2 both hear the sum of what arrives at
# outputs 0 and 2. So they get the same $dd$, and since their filters are equal, the same $dx$. Their $dw$
# differ, because their pixels do.

# %%
second = worked_examples.three_distinct_channels
assert (second.p > 0).all()
compare(second, backward_by_hand(second))
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
# numbers there is not even rounding. Here are the depthwise weights of the first example once more, measured:


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
# `backward(dy, *arrays) -> gradients`, yours included. It draws a random $dy$, works in float64, and moves every
# element of every array. It reports the largest error of each array, relative to the largest gradient, and
# the element where it happened. An array passes if its error is below the printed limit. (A *kink* is a point
# without a derivative, such as ReLU at 0; convolution has none.) With `bilinear=True`
# the adjoint identity is tested too.

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
# * **images exchanged**: the order of the batch is reversed;
# * **assigned**: `=` where `+=` belongs, so that the last window wins;
# * **first filter only**: with $M = 2$ filters a channel hears from both, and here only from the first;
# * **bias over pixels only**: the images of the batch are not added up.
#
# And a second question. The most common test takes the loss $L = \sum y$, because it is easy to write. Then $dy$
# is all ones. Compare the wrong gradients with the right ones for such a $dy$, and for a random one: which
# mistakes can be seen at all?


# %%
def flipped(dy, x, w, b):
    return backward(dy[:, :, ::-1, ::-1], x, w, b)


def images_exchanged(dy, x, w, b):
    return backward(dy[::-1], x, w, b)


def assigned(dy, x, w, b):
    _, dw, db = backward(dy, x, w, b)
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


mistakes = (flipped, images_exchanged, assigned, first_filter_only, bias_over_pixels_only)
noise = rng.standard_normal(forward(x, w, b).shape)
visible = {}
print(f"{'':24} {'seen with ones':15} {'seen with random dy':20} found wrong by the checker")
for mistake in mistakes:
    visible[mistake] = [
        not all(np.allclose(p, q) for p, q in zip(backward(dy, x, w, b), mistake(dy, x, w, b), strict=True))
        for dy in (np.ones_like(noise), noise)
    ]
    report = check(forward, mistake, x, w, b)
    failed = [f"d{row.name}" for row in report.rows if not row.ok]
    print(f"{mistake.__name__:24} {visible[mistake][0]!s:15} {visible[mistake][1]!s:20} {', '.join(failed)}")
    assert failed
assert all(with_noise for _, with_noise in visible.values())
assert [mistake for mistake in mistakes if not visible[mistake][0]] == [flipped, images_exchanged]

# %% [markdown]
# The checker catches all of them, and says which gradient is wrong. With ones, two cannot be seen, whatever
# the tolerance: a sheet of ones, turned by 180°, is the same sheet of ones, and so is a stack of such sheets
# in another order. **Never test a backward pass with $dy$ of all ones.**
#
# This is what a failing report looks like. `backward` and `numeric` are the two values at the worst element. It
# is $dx$ that disagrees; $dw$ and $db$ are innocent, and the report says so.

# %% tags=["rounding"]
report = check(forward, first_filter_only, x, w, b, title="depthwise_conv2d, first filter only")
assert [row.ok for row in report.rows] == [False, True, True]
report

# %% [markdown]
# Convolution is easy to check, because it is linear. How to check what is curved, such as batch norm, or has
# kinks, such as ReLU, why float32 will not do, and how to check a layer or a whole model, is the subject of
# [lesson 6](06_gradient_checking.ipynb).
#
# ## Exercises
#
# Put your answer in the place of the line that raises, and run the cell and the one below it: it says
# whether you are right.
#
# ### Exercise 1: by hand
#
# The image is 3×3, the kernel $\begin{bmatrix}1&2\\3&4\end{bmatrix}$, stride 1, no padding. The lower right
# output pixel has $dy = 10$, the upper right one has $dy = 1$, the others have 0. What is $dx$?


# %% tags=["exercise"]
def dx_by_hand():
    """dx, as three rows of three numbers."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    dy = np.array([[0.0, 1], [0, 10]])[None, None]
    right, _, _ = depthwise_conv2d_backward(dy, first.x, np.array([[[[1.0, 2], [3, 4]]]]), impl="naive")
    mine = np.array(dx_by_hand())
    assert mine.shape == (3, 3), f"the shape is {mine.shape}"
    assert np.array_equal(mine, right[0, 0])


# %% [markdown]
# ### Exercise 2: the pixels that nobody reads
#
# How many pixels get a $dx$ of exactly zero, whatever $dy$ and $w$ are? No padding, dilation 1. Try 10×10
# pixels, 3×3 taps and stride 4 with a pencil first.


# %% tags=["exercise"]
def unread(size, taps, stride):
    """The number of pixels of a size × size image that no window of taps × taps pixels covers."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    for size, taps, stride in ((10, 3, 4), (9, 3, 3), (11, 2, 1), (12, 4, 3), (13, 2, 5)):
        mine, right = unread(size, taps, stride), (times_read(size, taps, stride=stride) == 0).sum()
        assert mine == right, f"{size} pixels, {taps} taps, stride {stride}: {mine}?"


# %% [markdown]
# ### Exercise 3: write $dw$
#
# Write $dw$ of a depthwise convolution for one image: $M = 1$, no padding, and a stride.


# %% tags=["exercise"]
def my_dw(dy, x, kernel_size, stride):
    """dy (C, OH, OW), x (C, H, W), kernel_size (KH, KW) -> dw (C, KH, KW)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    for stride in (1, 2):
        photo, filters = rng.standard_normal((1, 3, 8, 7)), rng.standard_normal((3, 1, 2, 3))
        y = depthwise_conv2d(photo, filters, stride=stride, impl="naive")
        dy = rng.standard_normal(y.shape)
        _, right, _ = depthwise_conv2d_backward(dy, photo, filters, stride=stride, impl="naive")
        mine = my_dw(dy[0], photo[0], (2, 3), stride)
        assert mine.shape == (3, 2, 3), f"the shape is {mine.shape}"
        assert np.allclose(mine, right[:, 0]), f"not right with stride {stride}"


# %% [markdown]
# ### Exercise 4: fool a bad test
#
# Write a *wrong* backward pass for $y = w \cdot x$ (two arrays of one shape, multiplied number by number). A
# test with $dy$ of all ones must not see it; `check` does.


# %% tags=["exercise"]
def sly(dy, x, w):
    """Wrong (dx, dw), but right where dy is all ones."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_4():
    x, w = rng.standard_normal((2, 4, 3))
    dx, dw = sly(np.ones((4, 3)), x, w)
    assert np.allclose(dx, w), "the test with all ones sees that dx is wrong"
    assert np.allclose(dw, x), "the test with all ones sees that dw is wrong"
    assert not check(lambda x, w: w * x, sly, x, w).ok, "this one is right"
