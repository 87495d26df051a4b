# %% [markdown]
# # 7. Depthwise separable convolution
#
# A standard convolution looks around and across channels in one step. A depthwise separable one does the two one
# after the other: first space, then channels.
#
# At the end you can turn a standard convolution into a separable one and back, say exactly which kernels are lost
# on the way, and decide where an activation belongs.
#
# You need standard, depthwise and pointwise convolution from [lesson 1](01_convolution_by_hand.ipynb), matrix rank,
# and the singular value decomposition (SVD): $A = \sum_k \sigma_k\, a_k b_k^{\mathsf T}$, orthonormal $a_k$ and $b_k$,
# $\sigma_1 \ge \sigma_2 \ge \dots \ge 0$.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x$ | $(N, C, H, W)$ | the input |
# | $w^d$ | $(C, M, K_H, K_W)$ | depthwise weights: $M$ filters for each input channel ($M$ is the depth multiplier) |
# | $b^d$ | $(CM)$ | depthwise bias |
# | $d$ | $(N, CM, O_H, O_W)$ | what depthwise returns; filter $m$ of channel $c$ fills channel $cM + m$ |
# | $w^p$ | $(O, CM)$ | pointwise weights |
# | $b^p$ | $(O)$ | pointwise bias |
# | $p$ | $(N, O, O_H, O_W)$ | what pointwise returns |
# | $w$ | $(O, C, K_H, K_W)$ | the kernel of a standard convolution |
#
# Indices: $c$ and $o$ for input and output channels, $m$ for the filters of a channel, $q = cM + m$ for the channels
# in the middle, $(i, j)$ for an output pixel, $(u, v)$ for a tap.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import complexity, conv2d, data, depthwise_conv2d, pointwise_conv2d, relu
from npdsconv.layers import Conv2d, DepthwiseSeparableConv2d
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import INPUT, KERNEL, OUTPUT, PALE, WINDOW, show
from npdsconv.lessons.pictures.separable import chain, equation, reached
from npdsconv.models import separable_cnn

rng = np.random.default_rng(7)


def block(w_d, w_p, b_d=None, b_p=None, **options):
    """The library's layer with given weights, in float64; without batch norm."""
    (c, m, kh, kw), o = w_d.shape, len(w_p)
    options = {"mid_activation": None, "activation": None, **options}
    layer = DepthwiseSeparableConv2d(
        c, o, (kh, kw), depth_multiplier=m, batch_norm=False, impl="im2col", **options
    ).astype(np.float64)
    layer.depthwise.weight.value[...], layer.pointwise.weight.value[...] = w_d, w_p
    layer.depthwise.bias.value[...] = 0 if b_d is None else b_d
    layer.pointwise.bias.value[...] = 0 if b_p is None else b_p
    return layer


print(inspect.getsource(DepthwiseSeparableConv2d.steps))
pictures.wiring(inputs=3, outputs=4)

# %% [markdown]
# ## Space first, then channels
#
# The source above is the whole operator: a list of steps, to be run one after the other. (The fast tier runs all of
# them as one op where it can; the results are the same.) In the picture a thick line is a
# whole $K_H \times K_W$ filter, a thin line a single number. Two steps do the work:
#
# $$d_{cM+m,\,i,j} = b^d_{cM+m} + \sum_{u,v} w^d_{c,m,u,v}\; x_{c,\,i+u,\,j+v}
# \qquad\qquad
# p_{o,i,j} = b^p_o + \sum_{q} w^p_{o,q}\; d_{q,i,j}$$
#
# The first sum runs over the taps and not over channels. The second runs over channels and not over pixels. (Stride
# 1 and no padding here, to keep it short.) Follow a worked example in whole numbers: three channels, one filter
# each, four outputs. Rows 0 and 2 of $w^p$ add channels 0 and 2; rows 1 and 3 pick channel 1.

# %%
example = worked_examples.three_distinct_channels
d = depthwise_conv2d(example.x, example.w_depthwise, impl="naive")
p = pointwise_conv2d(d, example.w_pointwise, example.b, impl="naive")
show("w_depthwise", example.w_depthwise[:, 0])
show("w_pointwise", example.w_pointwise)
assert np.array_equal(p[0, 0], d[0, 0] + d[0, 2])
assert np.array_equal(p[0, 1], d[0, 1])

for each in worked_examples.ALL:
    layer = block(each.w_depthwise, each.w_pointwise, b_p=each.b, padding=each.padding, activation="relu")
    np.testing.assert_array_equal(layer(each.x), each.y)
print(
    len(worked_examples.ALL), "worked examples: the layer returns the integers that were worked out by hand"
)
chain([("x", example.x[0], INPUT), ("d", d[0], WINDOW), ("p", p[0], OUTPUT)], ["depthwise", "pointwise"])

# %% [markdown]
# ## Around and across
#
# Change one single number of the input: channel 1, the pixel in the middle. Which outputs notice? With 3×3 filters
# and padding 1, so that the size stays:
#
# * **depthwise**: the pixels around it, in the same channel only;
# * **pointwise**: the same pixel only, in all channels;
# * **one after the other**: the pixels around it, in all channels, exactly as for a standard convolution.

# %% tags=["E01", "E04"]
photo = rng.standard_normal((1, 3, 5, 6))
touched = photo.copy()
touched[0, 1, 2, 3] += 1
w_d, w_p = rng.standard_normal((3, 1, 3, 3)), rng.standard_normal((4, 3))
operators = {
    "depthwise": lambda x: depthwise_conv2d(x, w_d, padding=1, impl="im2col"),
    "pointwise": lambda x: pointwise_conv2d(x, w_p, impl="im2col"),
    "separable": block(w_d, w_p, padding=1),
    "standard": lambda x: conv2d(x, np.ones((4, 3, 3, 3)), padding=1, impl="im2col"),
}
change = {name: (f(touched) - f(photo))[0] for name, f in operators.items()}
change = {name: np.where(np.abs(values) > 1e-9, values, 0) for name, values in change.items()}
reach = {name: np.argwhere(values) for name, values in change.items()}
for name, places in reach.items():
    print(
        f"{name:10} channels {np.unique(places[:, 0]).tolist()!s:13} {len(np.unique(places[:, 1:], axis=0))} pixels"
    )
assert np.unique(reach["depthwise"][:, 0]).tolist() == [1]
assert np.unique(reach["pointwise"][:, 1:], axis=0).tolist() == [[2, 3]]
assert np.array_equal(reach["separable"], reach["standard"])
reached(change)

# %% [markdown]
# ## One after the other, never added
#
# Two shortcuts are found in print, and both are wrong.
#
# * The first source document ends its depthwise step by *adding all output channels up*. They are stacked. Adding
#   over channels is the pointwise step's work, once for each output, each time with its own weights.
# * The fifth source document writes the result as a sum, $y = y_d + y_p$. It is a composition: pointwise acts *on*
#   what depthwise returned. As a sum it does not even have matching shapes, unless $O$ happens to equal $CM$. And
#   where the shapes do match, the sum is wrong: the last example has a pointwise step that changes nothing, and
#   the sum is twice what it should be.

# %% tags=["E07", "E61"]
added_up = d.sum(axis=1)
show("d added up: one map, and no channels left", added_up)
assert added_up.shape[0] == 1 != d.shape[1]

try:
    d + p
except ValueError as error:
    print("d + p:", error, "\n")
else:
    raise AssertionError("the shapes must not fit")

one = worked_examples.one_filter_one_channel
y_d = depthwise_conv2d(one.x, one.w_depthwise, impl="naive")
y_p = pointwise_conv2d(y_d, np.ones((1, 1)), impl="naive")  # one channel, weight 1: pointwise changes nothing
show("composition", y_p[0])
show("sum", (y_d + y_p)[0])
assert np.array_equal(y_p, one.d)
assert np.array_equal(y_d + y_p, 2 * one.d)

# %% [markdown]
# ## The effective kernel
#
# Put the first formula into the second, with $q = cM + m$, and sort the factors:
#
# $$p_{o,i,j} = b^p_o + \sum_{c,m} w^p_{o,cM+m} \Big( b^d_{cM+m} + \sum_{u,v} w^d_{c,m,u,v}\, x_{c,i+u,j+v} \Big)
# = b^{\text{eff}}_o + \sum_{c,u,v} w^{\text{eff}}_{o,c,u,v}\, x_{c,i+u,j+v}$$
#
# $$w^{\text{eff}}_{o,c,u,v} = \sum_m w^p_{o,cM+m}\, w^d_{c,m,u,v} \qquad\qquad
# b^{\text{eff}}_o = b^p_o + \sum_q w^p_{o,q}\, b^d_q$$
#
# So without an activation in between, the pair *is* a standard convolution, for any stride, padding and dilation.


# %%
def effective(w_d, w_p):
    """(C, M, KH, KW) and (O, C·M) to the kernel (O, C, KH, KW) of one standard convolution."""
    c, m = w_d.shape[:2]
    return np.einsum("ocm,cmuv->ocuv", w_p.reshape(-1, c, m), w_d)


C, M, O, KH, KW = 3, 2, 5, 3, 2
w_d, w_p = rng.integers(-3, 4, (C, M, KH, KW)).astype(float), rng.integers(-3, 4, (O, C * M)).astype(float)
b_d, b_p = rng.integers(-3, 4, C * M).astype(float), rng.integers(-3, 4, O).astype(float)
x = rng.integers(-5, 6, (2, C, 9, 8)).astype(float)
w_eff, b_eff = effective(w_d, w_p), b_p + w_p @ b_d

for how in ({}, {"stride": (2, 1)}, {"padding": 2}, {"padding": "same", "stride": 3}, {"dilation": (1, 3)}):
    two_steps = block(w_d, w_p, b_d, b_p, **how)(x)
    one_step = conv2d(x, w_eff, b_eff, **how, impl="im2col")
    np.testing.assert_array_equal(two_steps, one_step)
    print(f"{how!s:36} {two_steps.size:4} outputs, all equal")
print(f"weights: {w_d.size} + {w_p.size} in two steps, {w_eff.size} in one")

# %% [markdown]
# ## A slice of rank M
#
# Fix one input channel $c$. Write its part of the kernel as a matrix: a row for each output, a column for each tap.
# Then the formula for $w^{\text{eff}}$ is a matrix product, with $M$ columns times $M$ rows. So
#
# > **for each input channel, the $O \times K_H K_W$ slice of the effective kernel has rank at most $M$.**
#
# With $M = 1$ every output sees the channel through the *same* filter. It chooses only how much of it, and the sign.
# More filters raise the rank, one by one, and the costs with it: the last column soon passes 1. The rank stops at
# the smaller side of the slice.

# %%
c = 1
columns, filters = w_p[:, c * M : (c + 1) * M], w_d[c].reshape(M, -1)
slices = w_eff[:, c].reshape(O, -1)
np.testing.assert_array_equal(columns @ filters, slices)

for m in range(1, KH * KW + 1):
    random = effective(rng.standard_normal((C, m, KH, KW)), rng.standard_normal((O, C * m)))
    ranks = [int(np.linalg.matrix_rank(random[:, k].reshape(O, -1))) for k in range(C)]
    weights, standard = C * m * (KH * KW + O), O * C * KH * KW
    print(f"M = {m}: ranks {ranks}, {weights:3} weights, {weights / standard:.2f} of the standard layer's")
    assert ranks == [min(m, O, KH * KW)] * C
    assert np.isclose(weights / standard, complexity.ratio(O, (KH, KW), m))
equation(
    [
        (f"$w^p$, columns of channel {c}", columns, KERNEL),
        (f"$w^d$ of channel {c}", filters, KERNEL),
        (f"$w^{{eff}}$ of channel {c}", slices, KERNEL),
    ],
    "·=",
)

# %% [markdown]
# ## What it cannot express
#
# One input channel, two outputs: output 0 wants to see vertical edges, output 1 horizontal ones. A standard kernel
# does that easily. Its slice has two independent rows, so its rank is 2, and **no** separable layer with $M = 1$
# equals it. How close can one get?
#
# The theorem of Eckart and Young answers. The nearest matrix of rank $M$ keeps the first $M$ terms of the SVD, and
# its distance is what was thrown away:
#
# $$\min_{\operatorname{rank} \le M} \lVert A - B \rVert = \sqrt{\sigma_{M+1}^2 + \sigma_{M+2}^2 + \dots}$$
#
# where $\lVert A\rVert$ is the root of the sum of squares. Do not take it on trust. Search: start from random
# factors, fit one factor with the other held (least squares), then the other, and so on. No start gets closer.

# %%
vertical = np.outer([1.0, 2, 1], [-1.0, 0, 1])
edges = np.stack([vertical, vertical.T])[:, None]  # (O, C, KH, KW) = (2, 1, 3, 3)
A = edges.reshape(2, 9)
sigma = np.linalg.svd(A, compute_uv=False)
print("singular values", sigma.round(3), " distance of the nearest kernel of rank 1:", sigma[1].round(3))


def fitted(A, m, rng, rounds=200):
    """The distance that alternating least squares reaches from a random start."""
    rows = rng.standard_normal((m, A.shape[1]))
    for _ in range(rounds):
        columns = np.linalg.lstsq(rows.T, A.T)[0].T
        rows = np.linalg.lstsq(columns, A)[0]
    return np.linalg.norm(A - columns @ rows)


ends = [fitted(A, 1, rng) for _ in range(20)]
print(f"20 random starts end at distances from {min(ends):.3f} to {max(ends):.3f}")
assert np.linalg.matrix_rank(A) == 2
assert min(ends) > sigma[1] - 1e-9
assert np.isclose(sigma[1], np.linalg.norm(vertical))

skewed = rng.standard_normal((6, 9))  # here the singular values differ, and the best answer is unique
tail = np.sqrt((np.linalg.svd(skewed, compute_uv=False)[2:] ** 2).sum())
assert abs(min(fitted(skewed, 2, rng) for _ in range(5)) - tail) < 1e-6

# %% [markdown]
# The distance is the size of one whole filter. The best that one filter can do for two such outputs is to serve one
# of them and give up the other, or a mixture that is just as bad.
#
# ## From a standard kernel to separable weights
#
# The SVD does not only measure, it also builds. For each input channel, $b_k^{\mathsf T}$ reshaped is a filter,
# $\sigma_k a_k$ its pointwise column. Keep the first $M$. Since channels do not share anything, the best choice for
# each channel is the best for the whole kernel. With $M = \min(O, K_H K_W)$ nothing is lost.
#
# Now the experiment: a random kernel, 16 outputs, 4 inputs, 3×3 taps. How good is the nearest separable kernel for
# $M = 1, \dots, 9$?


# %%
def separate(w, m):
    """The nearest separable weights (C, M, KH, KW) and (O, C·M) to a standard kernel (O, C, KH, KW)."""
    o, c, kh, kw = w.shape
    a, sigma, b = np.linalg.svd(w.transpose(1, 0, 2, 3).reshape(c, o, kh * kw), full_matrices=False)
    w_d = b[:, :m].reshape(c, m, kh, kw)
    w_p = (a[:, :, :m] * sigma[:, None, :m]).transpose(1, 0, 2).reshape(o, c * m)
    return w_d, w_p


def distances(w):
    """The relative distance of the nearest separable kernel, for each M."""
    most = min(len(w), w.shape[2] * w.shape[3])
    return np.array(
        [np.linalg.norm(w - effective(*separate(w, m))) for m in range(1, most + 1)]
    ) / np.linalg.norm(w)


kernels = rng.standard_normal((200, 16, 4, 3, 3))
errors = np.array([distances(w) for w in kernels])
w = kernels[0]
noise = rng.standard_normal((1, 4, 30, 31))
wanted = conv2d(noise, w, impl="im2col")
print(" M   kernel   output   average of 200   cost, relative to standard")
for m, error in enumerate(errors[0], 1):
    got = block(*separate(w, m))(noise)
    missed = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    cost = complexity.ratio(16, 3, m)
    print(f"{m:2}   {error:6.3f}   {missed:6.3f}   {errors[:, m - 1].mean():14.3f}   {cost:.3f}")
    assert abs(missed - error) < 0.05  # on white noise the output is as wrong as the kernel
assert (np.diff(errors, axis=1) < 0).all()
assert errors[:, -1].max() < 1e-12
assert 0.8 < errors[:, 0].mean() < 0.9

# %% [markdown]
# With $M = 1$ the nearest kernel misses by about 85 per cent: almost everything. The error falls nearly in a straight
# line to zero at $M = 9$, where the "cheap" layer costs more than the standard one. The worst kernels of all are
# those whose nine singular values are equal, so that every term matters as much as the others: they miss by
# $\sqrt{1 - M/9}$, the dotted line in the picture. A random kernel is the next to them.
#
# Networks hope for something better. They *learn* kernels of rank $M$ from the start, and kernels with structure
# need few terms. Take 16 edge detectors, one for every angle. Sixteen different filters! But each is a mixture of
# the vertical and the horizontal one, $\cos\theta\, E_v + \sin\theta\, E_h$. So two filters suffice for all.

# %%
angles = np.linspace(0, np.pi, 16, endpoint=False)
steered = np.stack([np.cos(t) * vertical + np.sin(t) * vertical.T for t in angles])[:, None]
decay = 0.5 ** np.arange(9)
a, _, b = np.linalg.svd(rng.standard_normal((16, 9)), full_matrices=False)
fading = ((a * decay) @ b).reshape(16, 1, 3, 3)
worst = np.sqrt(1 - np.arange(1, 10) / 9)
kinds = {
    "random": errors.mean(axis=0),
    "singular values halve": distances(fading),
    "edges at 16 angles": distances(steered),
}
assert (errors <= worst + 1e-12).all()
assert np.allclose(distances(a.reshape(16, 1, 3, 3)), worst, atol=1e-7)  # nine orthonormal columns
assert kinds["edges at 16 angles"][0] > 0.5
assert kinds["edges at 16 angles"][1] < 1e-12

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), width_ratios=[3, 2], layout="constrained")
for (name, curve), colour in zip(kinds.items(), (OUTPUT, WINDOW, KERNEL), strict=True):
    axes[0].plot(range(1, 10), curve, "o-", color=colour, label=name)
axes[0].plot(range(1, 10), worst, ":", color="0.4", label="the worst: all equal")
axes[0].set(
    xlabel="depth multiplier M", ylabel="relative distance", title="nearest separable kernel, O = 16, K = 3"
)
free = 1 / complexity.ratio(16, 3)
axes[0].axvspan(free, 9.2, color=PALE, alpha=0.2, linewidth=0)
axes[0].text((free + 9.2) / 2, 0.95, "dearer than\nstandard", ha="center", va="top", color="0.35")
axes[0].set_ylim(-0.04, 1)
figure.legend(frameon=False, fontsize=9, ncols=4, loc="outside lower left")
axes[0].grid(alpha=0.3)
mosaic = np.block(
    [[np.pad(steered[4 * r + k, 0], 1, constant_values=np.nan) for k in range(4)] for r in range(4)]
)
axes[1].imshow(mosaic, cmap="RdBu_r", vmin=-2.5, vmax=2.5)
axes[1].set_title(f"the 16 edge detectors {steered.shape}", fontsize=10)
axes[1].axis("off")
plt.show()

# %% [markdown]
# ## Large kernels are not the problem
#
# The fourth source document warns that a large kernel "cannot capture local features" in such a layer. But a $K
# \times K$ kernel contains every smaller one: put zeros around it. What limits the layer is the rank, which has
# nothing to do with $K$. And a larger kernel makes the separable layer *cheaper* beside the standard one, since the
# pointwise part does not grow.

# %% tags=["E51"]
small_d, small_p = rng.standard_normal((3, 1, 3, 3)), rng.standard_normal((64, 3))
for k in (3, 5, 7):
    border = (k - 3) // 2
    large_d = np.pad(small_d, ((0, 0), (0, 0), (border, border), (border, border)))
    outputs = [block(w, small_p, padding=w.shape[2] // 2)(photo) for w in (small_d, large_d)]
    np.testing.assert_allclose(*outputs, atol=1e-12)
    cost = complexity.ratio(64, k)
    print(f"{k}×{k} holds the 3×3 layer; with 64 outputs it costs {cost:.3f} of a standard {k}×{k} layer")
assert complexity.ratio(64, 7) < complexity.ratio(64, 5) < complexity.ratio(64, 3)

# %% [markdown]
# ## The first layer: one channel, one filter
#
# A grey image has one channel. With $M = 1$ the whole depthwise step is *one* filter, and every output is a scaled
# copy of one and the same map. Ten or a thousand output channels, the same picture ten or a thousand times. A
# bias and an activation after it can cut each copy off at a level of its own, and that is all.
#
# So networks of separable blocks begin with one standard convolution, which costs little there. (A depthwise layer
# with a large $M$ would do: for $C = 1$ it *is* a standard convolution, with $O = M$.)

# %%
digit = data.load("mnist5k").train.images[2500:2501] / 255
O = 6
separable = block(rng.standard_normal((1, 1, 3, 3)), rng.standard_normal((O, 1)), padding=1)
standard = Conv2d(1, O, 3, padding=1, bias=False, rng=rng, impl="im2col").astype(np.float64)
maps = {"separable, M = 1": separable(digit)[0], "standard": standard(digit)[0]}
figure, axes = plt.subplots(2, O + 1, figsize=(9.8, 3.1), layout="constrained")
for row, (name, channels) in zip(axes, maps.items(), strict=True):
    rank = int(np.linalg.matrix_rank(channels.reshape(O, -1)))
    print(f"{name:17} {O} output channels span {rank} dimension{'s' * (rank > 1)}")
    assert rank == (1 if "separable" in name else O)
    row[0].imshow(digit[0, 0], cmap="Greys")
    row[0].set_title(f"x {digit.shape[1:]}", fontsize=9)
    for k, ax in enumerate(row[1:]):
        size = np.abs(channels[k]).max()
        ax.imshow(channels[k], cmap="RdBu_r", vmin=-size, vmax=size)
        ax.set_title(f"{name}\n{channels.shape}" if k == 0 else f"channel {k}", fontsize=9)
for ax in axes.flat:
    ax.axis("off")
same = maps["separable, M = 1"] / separable.pointwise.weight.value[:, :, None]
assert np.allclose(same, same[0])  # divided by its pointwise weight, every channel is the same map

filters = standard.weight.value  # (O, 1, 3, 3); as (1, O, 3, 3) they are depthwise weights with M = O
assert np.array_equal(
    depthwise_conv2d(digit, filters.swapaxes(0, 1), padding=1, impl="im2col")[0], maps["standard"]
)
total = complexity.summary(separable_cnn(rng=0), (1, 28, 28))
print(
    f"in the package's default network the first convolution has {total.rows[0].macs / total.macs:.1%} of all MACs"
)
assert total.rows[0].kind == "Conv2d"
assert total.rows[0].macs < 0.1 * total.macs

# %% [markdown]
# Each picture has a colour scale of its own, as strong as its largest value. In the upper row only the sign differs.
#
# ## Where does the activation go?
#
# Three habits, all in use:
#
# * **between and after** (MobileNet): depthwise, batch norm, ReLU, pointwise, batch norm, ReLU;
# * **not in between** (Xception, and the formula of the first source document: ReLU only at the end);
# * **between and after, without batch norm**: the *code* of that same document. Its formula and its code are two
#   different functions.
#
# With something non-linear in between there is no $w^{\text{eff}}$: a standard convolution is affine, and the layer
# is not. The test: $f(x_1 + x_2) - f(x_1) - f(x_2) + f(0)$ is zero for every affine $f$. The layer's options are
# `mid_activation` and `activation`.

# %% tags=["E14"]
w_d, w_p, b_d, b_p = (rng.standard_normal(shape) for shape in ((3, 2, 3, 3), (5, 6), 6, 5))
x_1, x_2 = rng.standard_normal((2, 1, 3, 8, 7))
for mid in (None, "relu", "relu6"):
    f = block(w_d, w_p, b_d, b_p, mid_activation=mid)
    bend = np.abs(f(x_1 + x_2) - f(x_1) - f(x_2) + f(np.zeros_like(x_1))).max()
    print(f"mid_activation={mid!r:8} affine: {bend < 1e-12}")
    assert (bend < 1e-12) == (mid is None)

normed = DepthwiseSeparableConv2d(3, 5, 3, mid_activation=None, activation=None, rng=rng, impl="im2col")
normed.astype(np.float64).bn1.running_mean.value += rng.standard_normal(3)
for train in (False, True):
    zero, first, second, both = (
        normed.copy().forward(x, train=train)[0] for x in (0 * x_1, x_1, x_2, x_1 + x_2)
    )
    bend = np.abs(both - first - second + zero).max()
    print(f"batch norm, no activation, in {'training' if train else 'evaluation'}: affine: {bend < 1e-12}")
    assert (bend < 1e-12) == (not train)

example = worked_examples.two_filters_one_channel
subtract = np.array([[1.0, 0], [0, -1]])  # output 1 is the second filter's map with its sign turned
for name, options in {
    "formula: only after": {"activation": "relu"},
    "code: between and after": {"mid_activation": "relu", "activation": "relu"},
}.items():
    y = block(example.w_depthwise, subtract, **options)(example.x)
    show(f"y, {name}", y[0])
    assert np.array_equal(
        y[0, 1], relu(-example.d[0, 1], impl="numpy") if "formula" in name else np.zeros((2, 2))
    )

# %% [markdown]
# The second filter returned −4. Only after: pointwise turns it into +4, and it lives. Between: it is cut off before
# pointwise can turn it. Neither is the right one, but they are not the same network.
#
# Note the lines about batch norm. In evaluation it is affine and disturbs nothing: an effective kernel still exists.
# In training it is not, since it divides by a spread that depends on $x$.
#
# ## Exercises
#
# Replace the line that raises, and run the cell and the one below it: it says whether you are right.
#
# ### Exercise 1: every standard kernel, without an SVD
#
# With $M = K_H K_W$ a separable layer can be *any* standard convolution. Write the weights down directly: return
# `(w_d, w_p)` whose effective kernel is `w`. *Hint: what does a filter with a single 1 do?*


# %% tags=["exercise"]
def as_separable(w):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    w = np.random.default_rng(1).standard_normal((5, 3, 3, 2))
    w_d, w_p = as_separable(w)
    assert w_d.shape == (3, 6, 3, 2)
    assert w_p.shape == (5, 18)
    np.testing.assert_allclose(effective(w_d, w_p), w, atol=1e-12)


# %% [markdown]
# ### Exercise 2: how many filters does a kernel need?
#
# Return the smallest $M$ for which some separable kernel lies within the relative distance `tolerance` of `w`. Use
# singular values only. *Hint: squared distances of the channels add up.*


# %% tags=["exercise"]
def multiplier_needed(w, tolerance):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    w = np.random.default_rng(2).standard_normal((8, 3, 3, 3))
    for tolerance in (0.9, 0.5, 0.2, 0.05, 1e-9):
        m = multiplier_needed(w, tolerance)
        assert distances(w)[m - 1] <= tolerance, f"M = {m} is not close enough for {tolerance}"
        assert m == 1 or distances(w)[m - 2] > tolerance, f"M = {m} is more than needed for {tolerance}"
    assert multiplier_needed(steered, 1e-9) == 2


# %% [markdown]
# ### Exercise 3: the other way round
#
# Turn the two steps round: pointwise first, $w^p$ of shape $(Q, C)$, then depthwise on $Q$ channels with one filter
# each, $w^d$ of shape $(Q, 1, K_H, K_W)$; no bias. Return the effective kernel, and the rank that the
# $C \times K_H K_W$ slice of each *output* channel has at most.


# %% tags=["exercise"]
def pointwise_first(w_p, w_d):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    r = np.random.default_rng(3)
    w_p, w_d, x = r.standard_normal((5, 3)), r.standard_normal((5, 1, 3, 2)), r.standard_normal((2, 3, 7, 6))
    kernel, rank = pointwise_first(w_p, w_d)
    two_steps = depthwise_conv2d(pointwise_conv2d(x, w_p, impl="im2col"), w_d, padding=1, impl="im2col")
    np.testing.assert_allclose(conv2d(x, kernel, padding=1, impl="im2col"), two_steps, atol=1e-12)
    assert rank == max(np.linalg.matrix_rank(each.reshape(3, -1)) for each in kernel)
