# %% [markdown]
# # 1. Convolution by hand
#
# A convolution slides a small matrix of weights over an image. Here you do it by hand, with whole numbers,
# until nothing about it is mysterious. Then you take two worked examples from the first source document of
# this project, a text on *depthwise separable* convolution, and find that their printed results cannot be.
#
# At the end you can compute standard, depthwise and pointwise convolutions with a pencil, say how large the
# output is, prove that a printed result is impossible, and repair it.
#
# You need matrix products and a little Python. Every number below is computed in the cell that claims it,
# and an `assert` stands behind it. Run the cells in order, change them, and see what breaks.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x$ | $(N, C, H, W)$ | the input: $N$ images of $C$ channels, $H$ rows and $W$ columns |
# | $w$ | ends in $K_H \times K_W$ | the weights, or *kernel*; one weight of it is a *tap* |
# | $b$ | $(O)$ | the bias: one number added to each output channel |
# | $y$ | $(N, O, O_H, O_W)$ | the output: $O$ channels of $O_H$ rows and $O_W$ columns |
#
# Indices count from 0: $n$ for the image, $c$ and $o$ for input and output channels, $(i, j)$ for an output
# pixel, $(u, v)$ for a tap.

# %%
import inspect
from fractions import Fraction

import numpy as np
from scipy import signal

from npdsconv import (
    conv2d,
    depthwise_conv2d,
    exercise,
    im2col,
    pictures,
    pointwise_conv2d,
    relu,
    worked_examples,
)
from npdsconv.ops import depthwise, standard
from npdsconv.pictures import show
from npdsconv.shapes import resolve_window

x = worked_examples.two_equal_filters.x  # one image, one channel: the numbers 1 to 9
w = np.array([[0.0, 1], [1, 0]])
assert x.shape == (1, 1, 3, 3)

# %% [markdown]
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
# place in $x$. `naive` walks through the list and adds them up.

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
    s, d, pad = how.get("stride", 1), how.get("dilation", 1), how.get("padding", 0)
    rule = (3 + 2 * pad - d * (2 - 1) - 1) // s + 1
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
# output.

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
# $$d_{cM+m,\,i,j} = \sum_{u,v} w_{c,m,u,v}\; x_{c,\,i+u,\,j+v}$$
#
# **Pointwise**: at every pixel one matrix mixes the channels. *There is no sum over pixels.* It is a 1×1
# convolution.
# $$p_{o,i,j} = b_o + \sum_{q} w_{o,q}\; d_{q,i,j}$$
#
# Depthwise looks around but not across. Pointwise looks across but not around. One after the other they
# form a **depthwise separable** convolution. In the picture a thick line is a whole $K_H \times K_W$
# kernel, a thin one a single number. Thick lines are dear. Count them: that is the whole saving.

# %%
pictures.wiring(inputs=3, outputs=4)

# %% [markdown]
# ## The pair is a standard convolution in disguise
#
# Put the depthwise sum into the pointwise one and sort the factors. With no bias and nothing in between, a
# depthwise and a pointwise step are together one standard convolution, whose kernel is
#
# $$w^{\text{eff}}_{o,c,u,v} = \sum_{m} w^{\text{point}}_{o,\,cM+m}\; w^{\text{depth}}_{c,m,u,v} .$$
#
# So separable convolution is not another kind of mathematics. It is a standard convolution whose kernel has
# a special form: for each input channel, the matrix with one row for every output channel and one column
# for every tap is a sum of $M$ products of a column and a row. Its rank is at most $M$.
#
# The letters in `einsum` below are the indices of the formula. They work as a comment that is executed.

# %%
rng = np.random.default_rng(1)
N, C, M, O, H, W, KH, KW = 2, 3, 2, 7, 6, 5, 4, 3
images = rng.integers(-3, 4, (N, C, H, W)).astype(float)
w_depth = rng.integers(-3, 4, (C, M, KH, KW)).astype(float)
w_point = rng.integers(-3, 4, (O, C * M)).astype(float)

two_steps = pointwise_conv2d(depthwise_conv2d(images, w_depth, impl="naive"), w_point, impl="naive")
w_eff = np.einsum("ocm,cmuv->ocuv", w_point.reshape(O, C, M), w_depth)
one_step = conv2d(images, w_eff, impl="naive")
np.testing.assert_array_equal(two_steps, one_step)

ranks = [int(np.linalg.matrix_rank(w_eff[:, c].reshape(O, KH * KW))) for c in range(C)]
print(f"two steps and one step agree on all {one_step.size} outputs")
print(f"weights: {w_depth.size + w_point.size} in two steps, {w_eff.size} in one")
print("rank of each input channel's slice:", ranks, "with M =", M)
assert max(ranks) <= M < min(O, KH * KW)

# %% [markdown]
# ## The first worked example
#
# The first source document prints this:
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
# Perhaps the author padded, or strode, or flipped the kernel? Let us try every usual reading. The 2×2
# kernel may also be a 3×3 kernel with zeros, in four ways.

# %% tags=["E10"]
printed = np.array([[5.0, 4], [6, 5]])
readings = {
    "2×2 plain": (w, {}),
    "2×2 stride 2": (w, {"stride": 2}),
    "2×2 dilation 2": (w, {"dilation": 2}),
    "2×2 same size, zeros below and right": (w, {"padding": "same"}),
    "2×2 same size, zeros above and left": (w, {"padding": ((1, 0), (1, 0))}),
    "2×2 padding 1 (every overlap)": (w, {"padding": 1}),
    "2×2 padding 1, stride 2": (w, {"padding": 1, "stride": 2}),
}
for top, left in np.ndindex(2, 2):
    corner = f"{('top', 'bottom')[top]} {('left', 'right')[left]}"
    embedded = np.pad(w, ((top, 1 - top), (left, 1 - left)))
    readings[f"3×3 ({corner}) plain"] = (embedded, {})
    readings[f"3×3 ({corner}) padding 1, stride 2"] = (embedded, {"padding": 1, "stride": 2})
    readings[f"3×3 ({corner}) the same, flipped"] = (embedded[::-1, ::-1], {"padding": 1, "stride": 2})

for name, (kernel, how) in readings.items():
    out = conv2d(x, kernel[None, None], **how, impl="naive")[0, 0]
    right = f"{int((out == printed).sum())} of 4 right" if out.shape == printed.shape else "another size"
    print(f"{name:42} {out.astype(int).tolist()!s:58} {right}")
    assert not np.array_equal(out, printed)

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
# The printed map goes *up* by 1 from row to row and *down* by 1 from column to column. Such a map cannot
# be.
#
# Check the argument on random kernels, then let least squares look for the best 2×2 kernel and bias.

# %% tags=["E10"]
for _ in range(20):
    kernel = rng.integers(-9, 10, (1, 1, 2, 2)).astype(float)
    out = conv2d(x, kernel, impl="naive")[0, 0]
    total = kernel.sum()
    assert (np.diff(out, axis=0) == 3 * total).all()
    assert (np.diff(out, axis=1) == total).all()

down, right = np.diff(printed, axis=0), np.diff(printed, axis=1)
print("printed steps down:", down.ravel(), " to the right:", right.ravel())
assert (down > 0).all()
assert (right < 0).all()

equations = np.column_stack([im2col(x, 2)[0].T, np.ones(4)])  # four taps and a bias for each of four pixels
best, *_ = np.linalg.lstsq(equations, printed.ravel())
miss = np.abs(equations @ best - printed.ravel())
print("the best kernel and bias still miss by", miss.round(3))
assert np.isclose(miss.max(), 0.8)

# %% [markdown]
# Padding breaks the even counting at the border, so the argument does not cover it. Let a search try many
# ways to pad: with zeros, repeated or mirrored borders, up to two pixels on each side separately. It also
# tries strides up to 3 and dilations up to 2 on each axis separately, the kernel and its mirror image, and
# each of them with zeros around it in a 3×3 frame. And it turns and mirrors the image, in case the author
# did.

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
print(f"with the image turned or mirrored, all 4 agree {len(hits)} times; the first time with")
print(*hits[0], sep="\n")

made_up = np.linalg.solve(im2col(x, 2, padding=1, stride=2)[0].T, printed.ravel())
print("a kernel made up to fit, with padding 1 and stride 2:", made_up.round(3))
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
# few hits turn up. Look at the one shown: the image turned, the *other* kernel, zeros on two sides only,
# and stride and dilation of 2 along one axis only. In every sum one single product is left, all others are
# zero. Nobody would call that a reading of the text. It is an accident, and a lesson about searching: try
# enough forms, and something fits. (With padding one can also make up four weights to hit four numbers. The
# last line shows such a kernel. It has nothing to do with the printed one.)
#
# ## The example, repaired
#
# Change as little as possible. Read the kernel as 2×2, without padding. Two output channels and a 2×2
# matrix $W_p$ then ask for two depthwise maps: use the given filter twice, with depth multiplier $M = 2$.
# Follow every number:


# %%
def step_by_step(example):
    """Print every intermediate of a worked example and hold it against the stored integers."""
    x, w_d, w_p = example.x, example.w_depthwise, example.w_pointwise
    C, M, KH, KW = w_d.shape
    show("x", x[0])
    for c in range(C):
        if c and np.array_equal(x[0, c], x[0, 0]) and np.array_equal(w_d[c], w_d[0]):
            print(f"channel {c} and its filter are those of channel 0\n")
            continue
        cols = im2col(x[:, c : c + 1], (KH, KW), padding=example.padding)[0]
        show(f"windows of channel {c}, one in each column", cols)
        show(f"filters of channel {c}, one in each row", w_d[c].reshape(M, -1))
        show("filters times windows", w_d[c].reshape(M, -1) @ cols)
    d = depthwise_conv2d(x, w_d, padding=example.padding, impl="naive")
    p = pointwise_conv2d(d, w_p, example.b, impl="naive")
    y = relu(p, impl="numpy")
    show("d, the same numbers as maps", d[0])
    show("w_pointwise", w_p)
    show("p = w_pointwise times the channels, at every pixel", p[0])
    show("y = p with negative numbers cut off", y[0])
    for mine, stored in ((d, example.d), (p, example.p), (y, example.y)):
        np.testing.assert_array_equal(mine, stored)


step_by_step(worked_examples.two_equal_filters)

# %% [markdown]
# This repaired example tests little: any kernel with the same sum and the same balance point gives the same
# numbers on such an even image, and flipping changes nothing. A better exercise gives the second filter a
# shape of its own, $\begin{bmatrix}1&0\\0&-1\end{bmatrix}$. Each window then subtracts its lower right
# pixel from its upper left one: always −4. ReLU cuts these off. With a flipped kernel they would be +4 and
# stay. So this example notices a flip, and shows what ReLU does.

# %%
example = worked_examples.two_filters_one_channel
step_by_step(example)

flipped = depthwise_conv2d(example.x, example.w_depthwise[..., ::-1, ::-1], impl="naive")
assert (example.y[0, 1] == 0).all()
assert (relu(flipped, impl="numpy")[0, 1] == 4).all()
twins = [np.array(k, dtype=float)[None, None] for k in ([[0, 1], [1, 0]], [[1, 0], [0, 1]])]
assert np.array_equal(*(conv2d(example.x, k, impl="naive") for k in twins))  # same sum, same balance point

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
# 2. **No kernel gives $D$.** A 4×4 output of a 4×4 image needs padding (or a dilated kernel and more
#    padding). Try every kernel shape below, with every padding up to 3, stride and dilation, and let least
#    squares choose *any* real weights and bias. It never gets there.

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
print(f"{geometries} geometries; the best weights and bias of all still miss a pixel by {closest:.2f}")
assert geometries > 1000
assert closest > 0.49

# %% [markdown]
# ## Repaired, with everything the text announces
#
# Keep the announced shapes: three channels, 2×2 kernels, four output channels. Put the given plane on each
# of three channels. Give each the kernel $\begin{bmatrix}0&1\\1&0\end{bmatrix}$. Keep the first three
# columns of $W_p$, since it reads three channels now.

# %%
step_by_step(worked_examples.three_equal_channels)

# %% [markdown]
# Three equal channels hide any mistake that mixes up channels. So number the pixels of all three channels
# in one go, 1 to 48. Channel 1 is then channel 0 plus 16, and its map is that of channel 0 plus 32, because
# the kernel adds two pixels. Rows 0 and 2 of $W_p$ add maps 0 and 2; rows 1 and 3 copy map 1.
#
# There are more ways to make the parts fit. The library stores the results of all of them as integers,
# worked out without its own code. Hold all three versions of the library against them, and the one standard
# convolution that each pair amounts to.

# %%
example = worked_examples.three_distinct_channels
show("d", example.d[0])
show("p", example.p[0])
assert np.array_equal(example.d[0, 1], example.d[0, 0] + 2 * 16)
assert np.array_equal(example.p[0, 0], example.d[0, 0] + example.d[0, 2])
assert np.array_equal(example.p[0, 1], example.d[0, 1])

names = {id(value): name for name, value in vars(worked_examples).items()}
for example in worked_examples.ALL:
    C, M = example.w_depthwise.shape[:2]
    for impl in depthwise.IMPLS:
        d = depthwise_conv2d(example.x, example.w_depthwise, padding=example.padding, impl=impl)
        p = pointwise_conv2d(d, example.w_pointwise, example.b, impl=impl)
        np.testing.assert_array_equal(d, example.d)
        np.testing.assert_array_equal(p, example.p)
    w_eff = np.einsum("ocm,cmuv->ocuv", example.w_pointwise.reshape(-1, C, M), example.w_depthwise)
    np.testing.assert_array_equal(conv2d(example.x, w_eff, padding=example.padding), example.p)
    same = example.p.shape[1] > 2 and (example.p == example.d[:, :1]).all()
    print(
        f"{names[id(example)]:26} {example.x.shape[1:]} → {example.p.shape[1:]}"
        + ("  every channel of p is d, as the text says" if same else "")
    )

# %% [markdown]
# ## What did separating save?
#
# Count weights, and count multiplications by running the naive loop and counting its steps.
#
# A standard convolution multiplies $O \cdot C \cdot K_H K_W$ times for each output pixel. The separable
# pair multiplies $CM \cdot K_H K_W$ times for the depthwise step and $O \cdot CM$ times for the pointwise
# one. Divide:
#
# $$\frac{\text{separable}}{\text{standard}} = M\left(\frac1O + \frac1{K_H K_W}\right)$$
#
# The channels $C$ cancel, and so does the size of the image. In the repaired first example the ratio is
# above one: there separating *costs*. It pays when $O$ is large and $M$ is small, which is the case in real
# networks. What these multiplications cost in *time* is another question, and the subject of notebook 8.


# %%
def costs(example):
    """Weights and multiplications: (separable, standard), both counted, not derived."""
    (C, M, KH, KW), O, pixels = example.w_depthwise.shape, len(example.b), example.y[0, 0].size
    window = resolve_window("costs", example.x.shape[2:], (KH, KW), padding=example.padding)
    depth = sum(1 for _ in depthwise._terms((1, C, M), window))
    whole = sum(1 for _ in standard._terms(1, (O, C, KH, KW), window, 1))
    weights = example.w_depthwise.size + example.w_pointwise.size, O * C * KH * KW
    return weights, (depth + example.w_pointwise.size * pixels, whole)


for name in ("two_equal_filters", "one_filter_one_channel", "three_equal_channels"):
    example = getattr(worked_examples, name)
    (few, many), (some, most) = costs(example)
    _, M, KH, KW = example.w_depthwise.shape
    ratio = M * (Fraction(1, len(example.b)) + Fraction(1, KH * KW))
    print(f"{name:24} weights {few} : {many}, multiplications {some} : {most}, ratio {float(ratio)}")
    assert Fraction(few, many) == Fraction(some, most) == ratio

# %% [markdown]
# ## Exercises
#
# Put your answer in the place of the line that raises, and run the cell and the one below it: it says
# whether you are right.
#
# ### Exercise 1: how many zeros?
#
# With padding "same" the output has $\lceil H / s \rceil$ pixels. How many zeros does that take, at least?
# Count those at both ends together. Solve the rule for the size of the output; begin with the last window.


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
# ### Exercise 2: find the kernel
#
# Find the 2×2 kernel with $y_{i,j} = x_{i,j+1} - x_{i,j}$: how much brighter is the next pixel?


# %% tags=["exercise"]
def brighter():
    """The kernel, as two rows of two numbers."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    photo = rng.standard_normal((6, 5))
    mine = conv2d(photo[None, None], np.array(brighter(), dtype=float)[None, None], impl="naive")[0, 0]
    assert np.allclose(mine, np.diff(photo, axis=1)[:-1])


# %% [markdown]
# ### Exercise 3: by hand
#
# Take the example with two different filters, and change its pointwise matrix to
# $\begin{bmatrix}1&1\\1&-1\end{bmatrix}$. What is $y$, after ReLU? Use a pencil.


# %% tags=["exercise"]
def two_channels():
    """Both channels of y: two matrices, each two rows of two numbers."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    example = worked_examples.two_filters_one_channel
    mixed = pointwise_conv2d(example.d, np.array([[1.0, 1], [1, -1]]), impl="naive")
    mine, right = np.array(two_channels()), relu(mixed, impl="numpy")[0]
    assert mine.shape == right.shape, f"the shape is {mine.shape}"
    for channel in range(2):
        assert np.array_equal(mine[channel], right[channel]), f"channel {channel} is not right"


# %% [markdown]
# ### Exercise 4: write it
#
# Write depthwise convolution for one image ($M = 1$, stride 1, no padding), with loops or without.


# %% tags=["exercise"]
def my_depthwise(x, w):
    """x (C, H, W), w (C, KH, KW) -> y (C, OH, OW)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_4():
    for C, H, W, KH, KW in ((3, 6, 5, 2, 3), (2, 7, 9, 4, 1)):
        photo, filters = rng.standard_normal((C, H, W)), rng.standard_normal((C, KH, KW))
        mine = my_depthwise(photo, filters)
        right = depthwise_conv2d(photo[None], filters[:, None], impl="naive")[0]
        assert mine.shape == right.shape, f"the shape is {mine.shape}, not {right.shape}"
        assert np.allclose(mine, right)
