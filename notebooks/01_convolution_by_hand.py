# %% [markdown]
# # 1. Convolution by hand
#
# A convolution slides a small matrix of weights over an image. Here you do it by hand, with whole numbers,
# until nothing about it is mysterious. Then you take two worked examples from the
# [first source document](21_document_theory_and_pytorch_project.ipynb) of this project, a text on *depthwise
# separable* convolution, and find that their printed results cannot be.
#
# At the end you can compute standard, depthwise and pointwise convolutions with a pencil, say how large the
# output is, prove that a printed result is impossible, and repair it.
#
# You need matrix products, and a little Python and NumPy. Every number below is computed in the cell that
# claims it, and an `assert` stands behind it. Run the cells in order, change them, and see what breaks.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x$ | $(N, C, H, W)$ | the input: $N$ images of $C$ channels, $H$ rows and $W$ columns |
# | $w$ | ends in $K_H \times K_W$ | the weights, or *kernel*; one weight of it is a *tap* |
# | $b$ | $(O)$ | the bias: one number added to each output channel |
# | $y$ | $(N, O, O_H, O_W)$ | the output: $O$ channels of $O_H$ rows and $O_W$ columns |
#
# Indices count from 0: $n$ for the image, $c$ and $o$ for input and output channels, $(i, j)$ for an output
# pixel, $(u, v)$ for a tap. Code and printed text write KH, KW, OH, OW for $K_H, K_W, O_H, O_W$; $K$ is the
# size of a kernel along one axis.
#
# ## A window slides over an image
#
# One channel and one kernel first. Lay the kernel (green) on the upper left corner of the image (blue). It
# covers a *window* (orange). Multiply each pixel in the window by the weight on it, and add up. That sum is
# one output pixel (red). Move the window and repeat:
#
# $$y_{i,j} = \sum_{u,v} w_{u,v}\; x_{i+u,\,j+v}$$
#
# Small green numbers are the weights that lie on the pixels.

# %%
import inspect
from fractions import Fraction

import numpy as np
from scipy import signal

from npdsconv import conv2d, depthwise_conv2d, im2col, pointwise_conv2d, relu
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.ops import depthwise, standard
from npdsconv.shapes import resolve_window

x = worked_examples.two_equal_filters.x  # one image, one channel: the numbers 1 to 9
w = np.array([[0.0, 1], [1, 0]])
assert x.shape == (1, 1, 3, 3)
pictures.sliding(x[0, 0], w)

# %% [markdown]
# ## The formula is the code
#
# The library holds every convolution in three versions. The slowest, *naive*, is the formula, index by
# index. Here is its source, with all that a real convolution needs: many images ($n$), a sum over input
# channels ($k$, counted within a group of channels; there is one group unless you ask for more), and a
# stride and a dilation, which come below.
#
# `_terms` lists the products that have to be added: each entry is a place in $y$, a place in $w$ and a
# place in $x$. `naive` walks through the list and adds them up. `window` holds the kernel's size, stride,
# padding, dilation and the output's size; `xpad` is $x$ with its padding. (The docstring says `dy` where you
# may read $y$. The same list of terms serves the [backward pass](05_the_backward_pass.ipynb).)

# %%
print(inspect.getsource(standard._terms))
print(inspect.getsource(standard.naive))

y = conv2d(x, w[None, None], impl="naive")  # the kernel as (O, C, KH, KW) = (1, 1, 2, 2)
show("y", y)
assert y[0, 0].tolist() == [[1 * 2 + 1 * 4, 1 * 3 + 1 * 5], [1 * 5 + 1 * 7, 1 * 6 + 1 * 8]]

# %% [markdown]
# ## Flipped or not?
#
# Mathematicians turn the kernel by 180° before they slide it. They call *that* convolution. What we just
# did they call *cross-correlation*. Deep learning means cross-correlation and says convolution. The weights
# are learned, so it does not matter there. In a worked example it does.
#
# Our kernel cannot tell the two apart: turned by 180° it is itself. A kernel that can is
# $\begin{bmatrix}1&0\\0&-1\end{bmatrix}$. The smallest example of all is a row of two pixels. SciPy has
# both operations under their proper names, and is our independent witness.

# %%
for name, image, kernel in [
    ("symmetric", x[0, 0], w),
    ("not symmetric", x[0, 0], np.array([[1.0, 0], [0, -1]])),
    ("two pixels", np.array([[1.0, 2]]), np.array([[1.0, 0]])),
]:
    straight = conv2d(image[None, None], kernel[None, None], impl="naive")[0, 0].astype(int)
    flipped = conv2d(image[None, None], kernel[None, None, ::-1, ::-1], impl="naive")[0, 0].astype(int)
    np.testing.assert_array_equal(straight, signal.correlate2d(image, kernel, mode="valid"))
    np.testing.assert_array_equal(flipped, signal.convolve2d(image, kernel, mode="valid"))
    verdict = "the same" if np.array_equal(straight, flipped) else "different"
    print(f"{name + ':':15}{verdict:10} {straight.tolist()} as it is, {flipped.tolist()} flipped")
    assert (verdict == "the same") == (name == "symmetric")

# %% [markdown]
# ## How large is the output?
#
# Three choices decide where windows land:
#
# * **stride** $s$: move by $s$ pixels from one window to the next;
# * **padding**: first surround the image with rows and columns of zeros, $\text{pad}$ of them on each side;
# * **dilation** $d$: leave $d-1$ pixels between the taps, so that the kernel spans $d(K-1)+1$ pixels.
#
# Along one axis, with $H$ pixels and $K$ taps, the windows that fit are
#
# $$O_H = \left\lfloor \frac{H + 2\,\text{pad} - d(K-1) - 1}{s} \right\rfloor + 1 .$$
#
# Nothing has to divide. If the last window does not fit, the last pixels are simply not read.
#
# In the picture, frames surround the taps of the first window; a dot marks the first tap of every window.

# %%
settings = {
    "plain": {},
    "stride 2": {"stride": 2},
    "dilation 2": {"dilation": 2},
    "padding 1": {"padding": 1},
    "padding 1, stride 2": {"padding": 1, "stride": 2},
}
for title, how in settings.items():
    H, K = 3, 2
    s, d, pad = how.get("stride", 1), how.get("dilation", 1), how.get("padding", 0)
    rule = (H + 2 * pad - d * (K - 1) - 1) // s + 1
    y = conv2d(x, w[None, None], **how, impl="naive")[0, 0]
    assert y.shape == (rule, rule)
    print(f"{title:20} size {rule}   {y.astype(int).tolist()}")
pictures.geometries(x[0, 0], (2, 2), settings)

# %% [markdown]
# ## im2col: the same sums as one matrix product
#
# Write each window as a column. Write the kernel as a row. Then every output pixel is the row times a
# column, and the whole convolution is **one matrix product**. The rearrangement is called *im2col*, "image
# to columns". It costs memory, since pixels are repeated, and gains speed, since nothing on a computer is
# tuned so well as a matrix product.
#
# Each colour (and letter) is one window: a square in the image, a column in the matrix, a pixel of the
# output. ([im2col and its transpose](03_im2col_and_its_transpose.ipynb) tells the rest of the story.)

# %%
cols = im2col(x, 2)  # (N, C·KH·KW, OH·OW)
row = w.reshape(1, 4)
assert (row @ cols[0]).tolist() == [[6, 8, 12, 14]]
assert np.array_equal((row @ cols[0]).reshape(2, 2), conv2d(x, w[None, None], impl="naive")[0, 0])
repeats = {int(pixel): int((cols == pixel).sum()) for pixel in x.ravel()}
print("how often each pixel appears in cols:", repeats)
assert repeats[5] == 4  # the pixel in the middle is in every window
pictures.im2col_matrix(x[0, 0], w)

# %% [markdown]
# ## Standard, depthwise, pointwise
#
# An image has channels: red, green and blue, or hundreds of learned ones. Three operators treat them
# differently. (Stride 1 and no padding here, to keep the formulas short.)
#
# **Standard**: every output channel looks at every input channel, each time with its own $K_H \times K_W$
# kernel.
# $$y_{o,i,j} = b_o + \sum_{c}\sum_{u,v} w_{o,c,u,v}\; x_{c,\,i+u,\,j+v}$$
#
# **Depthwise**: every channel is filtered by itself. *There is no sum over channels.* With $M$ filters for
# each channel (the *depth multiplier*), filter $m$ of channel $c$ fills output channel $cM + m$.
# $$d_{cM+m,\,i,j} = \sum_{u,v} w^{\text{depth}}_{c,m,u,v}\; x_{c,\,i+u,\,j+v}$$
#
# **Pointwise**: at every pixel one matrix mixes the channels, here those of $d$. *There is no sum over
# pixels.* It is a 1×1 convolution.
# $$p_{o,i,j} = b_o + \sum_{c,m} w^{\text{point}}_{o,\,cM+m}\; d_{cM+m,\,i,j}$$
#
# Depthwise looks around but not across. Pointwise looks across but not around. One after the other they
# form a **depthwise separable** convolution.
#
# It is not another kind of mathematics. Put the depthwise sum into the pointwise one and sort the factors:
# with nothing in between, the two steps are one standard convolution, whose kernel is
#
# $$w^{\text{eff}}_{o,c,u,v} = \sum_{m} w^{\text{point}}_{o,\,cM+m}\; w^{\text{depth}}_{c,m,u,v} .$$
#
# So its kernel has a special form. [Depthwise separable convolution](07_depthwise_separable.ipynb) says which
# kernels have it. The letters in `einsum` below are the indices of the formula: a comment that is executed.
#
# In the picture a thick line is a whole $K \times K$ kernel, a thin one a single number. Thick lines are
# dear. Count them on the left, and count those of the two steps together.

# %%
rng = np.random.default_rng(1)
N, C, M, O, H, W, KH, KW = 2, 3, 2, 7, 6, 5, 4, 3
images = rng.integers(-3, 4, (N, C, H, W)).astype(float)
w_depth = rng.integers(-3, 4, (C, M, KH, KW)).astype(float)
w_point = rng.integers(-3, 4, (O, C * M)).astype(float)

d = depthwise_conv2d(images, w_depth, impl="naive")
for c, m in np.ndindex(C, M):  # each map comes from one channel and one filter
    alone = conv2d(images[:, c : c + 1], w_depth[c, m][None, None], impl="naive")
    np.testing.assert_array_equal(d[:, c * M + m], alone[:, 0])
p = pointwise_conv2d(d, w_point, impl="naive")
for i, j in np.ndindex(p.shape[2:]):  # each pixel is mixed by the same matrix
    np.testing.assert_array_equal(p[0, :, i, j], w_point @ d[0, :, i, j])

w_eff = np.einsum("ocm,cmuv->ocuv", w_point.reshape(O, C, M), w_depth)
np.testing.assert_array_equal(p, conv2d(images, w_eff, impl="naive"))
print(f"two steps and one step agree on all {p.size} outputs")
print(f"weights: {w_depth.size + w_point.size} in two steps, {w_eff.size} in one")
pictures.wiring(inputs=3, outputs=4)

# %% [markdown]
# ## The first worked example
#
# The [first source document](21_document_theory_and_pytorch_project.ipynb) prints this, in
# letters of its own:
#
# * the input is 3×3: $X=\begin{bmatrix}1&2&3\\4&5&6\\7&8&9\end{bmatrix}$;
# * the depthwise kernel is 3×3: $W_d=\begin{bmatrix}0&1\\1&0\end{bmatrix}$;
# * there are two output channels: pointwise weights $W_p=\begin{bmatrix}1&0\\0&1\end{bmatrix}$, bias $b=0$;
# * the depthwise result is $D=\begin{bmatrix}5&4\\6&5\end{bmatrix}$, the pointwise result is $P=D$, and
#   after ReLU $Y=P$. (ReLU replaces negative numbers by 0.)
#
# Three things do not fit together before any arithmetic:
#
# * the kernel is announced as 3×3, and a 2×2 matrix is given;
# * one channel and one filter give one map, but $W_p$ reads two;
# * two output channels are announced, and one is shown.
#
# Perhaps the author padded, or used a stride or a dilation? Let us try the usual readings. The 2×2 kernel may
# also be a 3×3 kernel with zeros, in four ways: $W_d$ is then in one of its corners.

# %% tags=["E10"]
printed = np.array([[5.0, 4], [6, 5]])
readings = {
    "2×2 plain": (w, {}),
    "2×2 stride 2": (w, {"stride": 2}),
    "2×2 dilation 2": (w, {"dilation": 2}),
    "2×2 same size, zeros below and right": (w, {"padding": "same"}),
    "2×2 same size, zeros above and left": (w, {"padding": ((1, 0), (1, 0))}),
    "2×2 padding 1": (w, {"padding": 1}),
    "2×2 padding 1, stride 2": (w, {"padding": 1, "stride": 2}),
}
for top, left in np.ndindex(2, 2):
    corner = f"{('top', 'bottom')[top]} {('left', 'right')[left]}"
    embedded = np.pad(w, ((top, 1 - top), (left, 1 - left)))
    readings[f"3×3 ({corner}) plain"] = (embedded, {})
    readings[f"3×3 ({corner}) padding 1, stride 2"] = (embedded, {"padding": 1, "stride": 2})

for name, (kernel, how) in readings.items():
    out = conv2d(x, kernel[None, None], **how, impl="naive")[0, 0]
    verdict = "another size"
    if out.shape == printed.shape:
        verdict = f"{out.astype(int).tolist()}, {int((out == printed).sum())} of 4 right"
        assert not (out == printed).any()
    print(f"{name:38} {out.shape}  {verdict}")

# %% [markdown]
# ## No kernel can print these numbers
#
# None fits. And without padding none ever could, whatever the kernel:
#
# The image counts up evenly. One row down adds 3 to a pixel, one column to the right adds 1. Move a window
# down by one row and all its pixels grow by 3, so its sum grows by $3S$, where $S = \sum_{u,v} w_{u,v}$.
# Move it right and the sum grows by $S$. Stride multiplies both steps by positive numbers; dilation and
# bias change neither. So **the step down and the step to the right have the same sign** (or both are zero),
# for every kernel of every size.
#
# The printed map goes *up* from row to row and *down* from column to column. Such a map cannot be.
#
# The first cell below checks the argument on random kernels, strides and dilations, then lets least squares
# look for the 2×2 kernel and bias that come closest.
#
# Padding breaks the even counting at the border, so the argument does not cover it. The second cell
# searches: it pads with zeros, repeated or mirrored borders, up to two pixels on each side separately. It
# tries strides up to 3 and dilations up to 2 on each axis separately, the kernel and its mirror image, and
# each of them with zeros around it in a 3×3 frame. And it turns and mirrors the image, in case the author
# did.

# %% tags=["E10"]
assert (np.diff(x[0, 0], axis=0) == 3).all()
assert (np.diff(x[0, 0], axis=1) == 1).all()
even = np.arange(70.0).reshape(1, 1, 7, 10)  # counts up evenly too: 10 more for each row, 1 for each column
for _ in range(50):
    kernel = rng.integers(-9, 10, rng.integers(1, 4, 2)).astype(float)
    stride, dilation = [tuple(int(k) for k in rng.integers(1, 3, 2)) for _ in range(2)]
    out = conv2d(even, kernel[None, None], stride=stride, dilation=dilation, impl="naive")[0, 0]
    assert (np.diff(out, axis=0) == 10 * stride[0] * kernel.sum()).all()
    assert (np.diff(out, axis=1) == stride[1] * kernel.sum()).all()

down, right = np.diff(printed, axis=0), np.diff(printed, axis=1)
print("printed steps down:", down.ravel(), " to the right:", right.ravel())
assert (down > 0).all()
assert (right < 0).all()

equations = np.column_stack([im2col(x, 2)[0].T, np.ones(4)])  # four taps and a bias for each of four pixels
best, *_ = np.linalg.lstsq(equations, printed.ravel())
miss = np.abs(equations @ best - printed.ravel())
print("the closest kernel and bias still miss the four numbers by", miss.round(3))
assert miss.min() > 0.3

# %% tags=["E10"]
MODES = {"zeros": "constant", "repeated": "edge", "mirrored": "reflect"}
kernels = {2: np.stack([w, w[:, ::-1]])}
kernels[3] = np.stack([np.pad(k, ((t, 1 - t), (l, 1 - l))) for k in kernels[2] for t, l in np.ndindex(2, 2)])
turned = [np.rot90(side, k) for side in (x[0, 0], x[0, 0].T) for k in range(4)]  # the first is x itself

tried, as_printed, hits = 0, 0, []
for mode in MODES:
    for top, bottom, left, right in np.ndindex(3, 3, 3, 3):
        border = (top, bottom), (left, right)
        padded = np.stack([np.pad(image, border, MODES[mode]) for image in turned])[:, None]
        for size, (sh, sw, dh, dw) in ((size, steps) for size in kernels for steps in np.ndindex(3, 3, 2, 2)):
            how = {"stride": (sh + 1, sw + 1), "dilation": (dh + 1, dw + 1)}
            try:
                window = resolve_window("search", padded.shape[2:], (size, size), **how)
            except ValueError:  # the kernel is larger than the padded image
                continue
            if window.output == (2, 2):
                maps = kernels[size].reshape(-1, size**2) @ im2col(padded, size, **how)  # (8, kernels, 4)
                agree = (maps == printed.ravel()).sum(axis=2)
                tried, as_printed = tried + agree.size, max(as_printed, int(agree[0].max()))
                hits += [(turned[i], kernels[size][k], mode, border, how) for i, k in np.argwhere(agree == 4)]

print(f"{tried} readings give a 2×2 map")
print(f"with the image as printed, at best {as_printed} of the 4 numbers agree")
print(f"with the image turned or mirrored, all 4 agree {len(hits)} times; the first time:")
for label, value in zip(("image", "kernel", "padding with", "padding", "and"), hits[0], strict=True):
    print(f"  {label:13}{value.astype(int).tolist() if isinstance(value, np.ndarray) else value}")

made_up = np.linalg.solve(im2col(x, 2, padding=1, stride=2)[0].T, printed.ravel())
print("four weights made up to fit, with padding 1 and stride 2:", made_up.round(3))
np.testing.assert_allclose(
    conv2d(x, made_up.reshape(1, 1, 2, 2), padding=1, stride=2, impl="naive")[0, 0], printed
)
assert tried > 50_000
assert as_printed == 2
for image, kernel, mode, border, how in hits:
    assert mode == "zeros"
    assert how["stride"] == how["dilation"] in [(1, 2), (2, 1)]
    products = kernel.reshape(-1, 1) * im2col(np.pad(image, border)[None, None], kernel.shape, **how)[0]
    assert (np.count_nonzero(products, axis=0) == 1).all()  # a single pixel in every sum

# %% [markdown]
# The image as it is printed never gives the printed map. But with the image on its side or upside down, a
# few hits turn up. Look at the one shown: the image turned, the kernel mirrored, zeros on two sides only,
# and stride and dilation of 2 along one axis only. In every sum one single product is left, all others are
# zero. Nobody would call that a reading of the text. It is an accident, and a lesson about searching: try
# enough forms, and something fits. (With padding one can also make up four weights to hit four numbers. The
# last line shows such a kernel. It has nothing to do with the printed one.)
#
# ## The example, repaired
#
# Change as little as possible. Read the kernel as 2×2, without padding. Two output channels and a 2×2 matrix
# $W_p$ then ask for two depthwise maps: use the given filter twice, with depth multiplier $M = 2$. Both maps
# are the result of the sliding window above.
#
# This tests little: any kernel with the same sum and the same balance point gives the same numbers on such
# an even image, and flipping changes nothing. A better exercise gives the second filter a shape of its own,
# $\begin{bmatrix}1&0\\0&-1\end{bmatrix}$. Each window then subtracts its lower right pixel from its upper
# left one: always −4. ReLU cuts these off. With a flipped kernel they would be +4 and stay. So this example
# notices a flip, and shows what ReLU does. Follow every number:


# %%
def step_by_step(example):
    """Print every intermediate of a worked example and hold it against the stored integers."""
    x, w_d, w_p = example.x, example.w_depthwise, example.w_pointwise
    first = w_d[0].reshape(len(w_d[0]), -1)
    cols = im2col(x[:, :1], w_d.shape[2:], padding=example.padding)[0]
    d = depthwise_conv2d(x, w_d, padding=example.padding, impl="naive")
    p = pointwise_conv2d(d, w_p, example.b, impl="naive")
    y = relu(p, impl="numpy")
    show("x", x[0])
    show("windows of channel 0, one in each column", cols)
    show("filters of channel 0, one in each row", first)
    show("filters times windows", first @ cols)
    show("d, the same numbers as maps" + (", and those of the other channels" if len(w_d) > 1 else ""), d[0])
    show("w_point", w_p)
    show("p = w_point times the channels, at every pixel", p[0])
    show("y = p with negative numbers cut off", y[0])
    np.testing.assert_array_equal((first @ cols).ravel(), d[0, : len(first)].ravel())
    for mine, stored in ((d, example.d), (p, example.p), (y, example.y)):
        np.testing.assert_array_equal(mine, stored)


plain, example = worked_examples.two_equal_filters, worked_examples.two_filters_one_channel
assert np.array_equal(plain.y[0], [conv2d(x, w[None, None])[0, 0]] * 2)
for same_balance in ([[1, 0], [0, 1]], [[0.5, 0.5], [0.5, 0.5]]):  # they sum to 2, their centre is the middle
    assert np.array_equal(conv2d(x, np.array([[same_balance]], dtype=float)), plain.d[:, :1])

step_by_step(example)
flipped = depthwise_conv2d(example.x, example.w_depthwise[..., ::-1, ::-1], impl="naive")
assert (example.d[0, 1] == -4).all()
assert (example.y[0, 1] == 0).all()
assert (relu(flipped, impl="numpy")[0, 1] == 4).all()

# %% [markdown]
# ## The second worked example
#
# The same document goes on:
#
# * the input is 4×4×3: $X=\begin{bmatrix}1&2&3&4\\5&6&7&8\\9&10&11&12\\13&14&15&16\end{bmatrix}$;
# * the depthwise kernels are 2×2: $W_d=\begin{bmatrix}0&1&0&1\\1&0&1&0\end{bmatrix}$;
# * there are four output channels: $W_p=\begin{bmatrix}1&0&1&0\\0&1&0&1\\1&0&1&0\\0&1&0&1\end{bmatrix}$,
#   $b=0$;
# * the results are $D=P=Y=\begin{bmatrix}14&15&12&13\\17&16&15&14\\12&13&10&11\\13&12&11&10\end{bmatrix}$.
#
# Again the parts do not fit. Three channels are announced and one is given. $W_d$ is 2×4: two kernels side
# by side, or one wide kernel, but not three. $W_p$ reads four channels. Four output channels are announced
# and one is shown.
#
# And two printed claims are impossible on their own:
#
# 1. **$P = D$ contradicts $W_p$.** Rows 0 and 2 of $W_p$ are equal, so rows 0 and 2 of any $W_p D$ are
#    equal. Those of the printed $P$ are not. Multiply from the other side, and columns 0 and 2 would have
#    to be equal. In other words, $W_p$ has rank 2, so has every product with it at most, and the printed
#    $P$ has more.
# 2. **No kernel gives $D$.** A 4×4 output of a 4×4 image needs padding. Try 2×2, 2×4 and 3×3 kernels, with
#    up to three rows or columns of padding on each side, strides up to 2 and dilations up to 3. Let least
#    squares choose *any* real weights and bias. If some of them gave $D$, it would find them. It never gets
#    there.

# %% tags=["E11"]
X = worked_examples.three_equal_channels.x[:, :1]
D = np.array([[14.0, 15, 12, 13], [17, 16, 15, 14], [12, 13, 10, 11], [13, 12, 11, 10]])
W_p = worked_examples.four_equal_channels.w_pointwise

rank = {"W_p": int(np.linalg.matrix_rank(W_p)), "printed P": int(np.linalg.matrix_rank(D))}
print("ranks:", rank)
assert rank["W_p"] == 2 < rank["printed P"]
for name, product in (("W_p @ D", W_p @ D), ("D @ W_p", D @ W_p)):
    show(name, product)
    assert not np.array_equal(product, D)
assert np.array_equal((W_p @ D)[0], (W_p @ D)[2])
assert not np.array_equal(D[0], D[2])
assert np.array_equal((D @ W_p)[:, 0], (D @ W_p)[:, 2])
assert not np.array_equal(D[:, 0], D[:, 2])

geometries, closest = 0, np.inf
for kernel_size in ((2, 2), (2, 4), (3, 3)):
    for mode in MODES.values():
        for top, bottom, left, right in np.ndindex(4, 4, 4, 4):
            padded = np.pad(X[0, 0], ((top, bottom), (left, right)), mode)[None, None]
            for sh, sw, dh, dw in np.ndindex(2, 2, 3, 3):
                how = {"stride": (sh + 1, sw + 1), "dilation": (dh + 1, dw + 1)}
                try:
                    window = resolve_window("search", padded.shape[2:], kernel_size, **how)
                except ValueError:  # the kernel is larger than the padded image
                    continue
                if window.output == (4, 4):
                    equations = np.column_stack([im2col(padded, kernel_size, **how)[0].T, np.ones(16)])
                    best, *_ = np.linalg.lstsq(equations, D.ravel())
                    closest = min(closest, np.abs(equations @ best - D.ravel()).max())
                    geometries += 1
print(f"{geometries} geometries; even the closest fit misses a pixel by {closest:.2f}")
assert geometries > 1000
assert closest > 0.49

# %% [markdown]
# ## Repaired, with everything the text announces
#
# Keep the announced shapes: three channels, 2×2 kernels, four output channels. Put the given plane on each
# of three channels. Give each the kernel $\begin{bmatrix}0&1\\1&0\end{bmatrix}$. Keep the first three
# columns of $W_p$, since it reads three channels now.
#
# Three equal channels hide any mistake that mixes up channels. So number the pixels of all three channels
# in one go, 1 to 48. Channel 1 is then channel 0 plus 16, and its map is that of channel 0 plus 32, because
# the kernel adds two pixels. Rows 0 and 2 of $W_p$ add maps 0 and 2; rows 1 and 3 copy map 1.

# %%
equal, example = worked_examples.three_equal_channels, worked_examples.three_distinct_channels
step_by_step(example)
assert np.array_equal(equal.x[0], [example.x[0, 0]] * 3)
assert np.array_equal(example.d[0, 1], example.d[0, 0] + 2 * 16)
for row, maps in enumerate(([0, 2], [1], [0, 2], [1])):
    assert np.array_equal(example.p[0, row], example.d[0, maps].sum(axis=0))

# %% [markdown]
# There are more ways to make the parts fit. The library stores the results of all of them as integers,
# worked out without its own code. Hold all three versions of the library against them, and the one standard
# convolution that each pair amounts to. The last cell of the lesson does so, and counts weights on the way.
#
# ## What did separating save?
#
# Count weights. A standard convolution has $O \cdot C \cdot K_H K_W$. The separable pair has
# $CM \cdot K_H K_W$ for the depthwise step and $O \cdot CM$ for the pointwise one. Divide, and $C$ cancels:
#
# $$\frac{\text{separable}}{\text{standard}} = M\left(\frac1O + \frac1{K_H K_W}\right)$$
#
# Where the first example has two filters for its one channel, the ratio is above one: there separating
# *costs*. It pays when $O$ is large and $M$ is small, which is the case in real networks. Each weight
# multiplies once for each output pixel, so the ratio of multiplications is the same.
# [What it costs](08_what_it_costs.ipynb) counts those, and looks at the clock.

# %%
names = {id(value): name for name, value in vars(worked_examples).items()}
print(f"{'':27}{'x':12}{'p':12}{'weights':9}  ratio")
for example in worked_examples.ALL:
    (C, M, KH, KW), O = example.w_depthwise.shape, len(example.b)
    for impl in depthwise.IMPLS:
        d = depthwise_conv2d(example.x, example.w_depthwise, padding=example.padding, impl=impl)
        p = pointwise_conv2d(d, example.w_pointwise, example.b, impl=impl)
        np.testing.assert_array_equal(d, example.d)
        np.testing.assert_array_equal(p, example.p)
    w_eff = np.einsum("ocm,cmuv->ocuv", example.w_pointwise.reshape(O, C, M), example.w_depthwise)
    np.testing.assert_array_equal(conv2d(example.x, w_eff, padding=example.padding), example.p)

    few, many = example.w_depthwise.size + example.w_pointwise.size, w_eff.size
    assert Fraction(few, many) == M * (Fraction(1, O) + Fraction(1, KH * KW))
    assert (few > many) == (M == 2)
    shapes = f"{example.x.shape[1:]!s:12}{example.p.shape[1:]!s:12}"
    print(f"{names[id(example)]:27}{shapes}{few:3} : {many:<3}  {few / many:.2f}")
assert (example.p == example.d[:, :1]).all()
print("In the last one every channel of p is d, as the text says.")

# %% [markdown]
# ## Exercises
#
# Put your answer in the place of the line that raises, and run the cell and the one below it: it says
# whether you are right.
#
# ### Exercise 1: how many zeros?
#
# With padding "same" the output has $\lceil H / s \rceil$ pixels. How many zeros does that take, at least?
# Count those at both ends together. *Hint: where does the last window begin, and where does it end? The rule
# for the size of the output need not be solved.*


# %% tags=["exercise"]
def zeros_needed(size, taps, stride, dilation):
    """The number of zeros that an axis of `size` pixels needs, so that ceil(size / stride) windows fit."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    for size, taps, stride, dilation in np.ndindex(12, 5, 4, 3):
        size, taps, stride, dilation = size + 1, taps + 1, stride + 1, dilation + 1
        same = resolve_window(
            "same", (size, size), (taps, taps), stride=stride, padding="same", dilation=dilation
        )
        mine, right = zeros_needed(size, taps, stride, dilation), sum(same.padding[0])
        assert mine == right, (
            f"{size} pixels, {taps} taps, stride {stride}, dilation {dilation}: {mine} zeros?"
        )


# %% [markdown]
# ### Exercise 2: by hand
#
# Take the first example with two different filters (you find its $d$ above), and change its pointwise matrix
# to $\begin{bmatrix}1&1\\1&-1\end{bmatrix}$. What is $y$, after ReLU? Use a pencil.


# %% tags=["exercise"]
def two_channels():
    """Both channels of y: two matrices, each two rows of two numbers."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    example = worked_examples.two_filters_one_channel
    mixed = pointwise_conv2d(example.d, np.array([[1.0, 1], [1, -1]]), impl="naive")
    mine, right = np.array(two_channels()), relu(mixed, impl="numpy")[0]
    assert mine.shape == right.shape, f"the shape is {mine.shape}"
    for channel in range(2):
        assert np.array_equal(mine[channel], right[channel]), f"channel {channel} is not right"


# %% [markdown]
# ### Exercise 3: write it
#
# Write depthwise convolution for one image ($M = 1$, stride 1, no padding), with loops or without.


# %% tags=["exercise"]
def my_depthwise(x, w):
    """x (C, H, W), w (C, KH, KW) -> y (C, OH, OW)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    for C, H, W, KH, KW in ((3, 6, 5, 2, 3), (2, 7, 9, 4, 1)):
        photo, filters = rng.standard_normal((C, H, W)), rng.standard_normal((C, KH, KW))
        mine = my_depthwise(photo, filters)
        right = depthwise_conv2d(photo[None], filters[:, None], impl="naive")[0]
        assert mine.shape == right.shape, f"the shape is {mine.shape}, not {right.shape}"
        assert np.allclose(mine, right)
