# %% [markdown]
# # 9. The other separable: spatially separable kernels
#
# "Separable convolution" means two different things. *Depthwise* separable: first space, then channels. *Spatially*
# separable: first rows, then columns.
#
# At the end you can tell which kernels split into a column and a row, split them, say what each of the two
# factorisations saves, and never mix them up again.
#
# You need lessons 1, 5, 7 and 8, matrix rank, and the singular value decomposition (SVD).
#
# | symbol | shape | meaning |
# |---|---|---|
# | $k$ | $(K, K)$ | the kernel of one filter, for one channel |
# | $a$ | $(K)$ | a column: its weights run down |
# | $b$ | $(K)$ | a row: its weights run to the right |
# | $a\,b^{\mathsf T}$ | $(K, K)$ | the outer product: $k_{u,v} = a_u\, b_v$ |
# | $w$ | $(O, C, K, K)$ | the kernel of a standard convolution |
#
# Indices as ever: $(i, j)$ for an output pixel, $(u, v)$ for a tap, $c$ and $o$ for input and output channels.

# %%
from functools import partial
from itertools import product
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

from npdsconv import complexity, conv2d, conv2d_backward, data, depthwise_conv2d
from npdsconv.gradcheck import check
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures import INPUT, KERNEL, OUTPUT, PALE, WINDOW, show
from npdsconv.lessons.pictures.separable import chain, equation

rng = np.random.default_rng(9)


def one(matrix):
    """A matrix as one image of one channel, or as the kernel of one filter: (1, 1, rows, columns)."""
    return np.asarray(matrix, dtype=float)[None, None]


# %% [markdown]
# ## A kernel that is a product
#
# The Sobel kernel responds to vertical edges: it smooths downwards and takes a difference to the right. It is a
# column times a row. Row $u$ of it is $a_u$ times the one row $b$.

# %%
smooth, difference = np.array([1.0, 2, 1]), np.array([-1.0, 0, 1])
sobel = np.outer(smooth, difference)
equation(
    [("a", smooth[:, None], KERNEL), ("bᵀ", difference[None], KERNEL), ("k = a bᵀ", sobel, KERNEL)], "·="
)

# %% [markdown]
# ## Two passes equal one
#
# Put $k_{u,v} = a_u b_v$ into the convolution, and take the factor that does not depend on $v$ out of the inner sum:
#
# $$y_{i,j} = \sum_{u,v} a_u\, b_v\; x_{i+u,\,j+v}
# = \sum_u a_u \underbrace{\Big(\sum_v b_v\; x_{i+u,\,j+v}\Big)}_{\text{a pass with the row } b}$$
#
# So one pass with a $1 \times K$ kernel and one with a $K \times 1$ kernel give the same as the $K \times K$ kernel.
# The sums can be swapped, so the order does not matter. Where is the gain? Each number of the row pass is computed
# once and then used by $K$ windows, those that lie one below the other.
#
# Stride, padding and dilation split too: each pass takes the part for its own axis.

# %%
x = rng.integers(0, 10, (1, 1, 5, 6)).astype(float)
row, column = one(difference[None]), one(smooth[:, None])
middle = conv2d(x, row, impl="naive")
y = conv2d(middle, column, impl="naive")
assert np.array_equal(y, conv2d(x, one(sobel), impl="naive"))
assert np.array_equal(y, conv2d(conv2d(x, column, impl="naive"), row, impl="naive"))
print("kernels", row.shape[2:], "and", column.shape[2:], "in either order, instead of", sobel.shape)

(sh, sw), (ph, pw), (dh, dw) = (2, 1), (1, 2), (1, 2)
at_once = conv2d(x, one(sobel), stride=(sh, sw), padding=(ph, pw), dilation=(dh, dw), impl="naive")
across = conv2d(x, row, stride=(1, sw), padding=(0, pw), dilation=(1, dw), impl="naive")
down = conv2d(across, column, stride=(sh, 1), padding=(ph, 0), dilation=(dh, 1), impl="naive")
assert np.array_equal(at_once, down)
print("with stride, padding and dilation: equal, too")
chain([("x", x[0], INPUT), ("middle", middle[0], WINDOW), ("y", y[0], OUTPUT)], ["row\n1×3", "column\n3×1"])

# %% [markdown]
# ## Which kernels split?
#
# Ask the SVD. It writes a matrix as a sum of outer products, the largest first:
#
# $$k = \sum_r \sigma_r\, a_r b_r^{\mathsf T}, \qquad \sigma_1 \ge \sigma_2 \ge \dots \ge 0,$$
#
# with columns $a_r$ of length 1 at right angles to each other, and rows $b_r$ alike. The number of singular values
# $\sigma_r$ that are not zero is the rank. So a kernel splits exactly if it has **rank 1**.
#
# The first term is also the nearest outer product of all (Eckart and Young;
# [lesson 7](07_depthwise_separable.ipynb) used it for channels). What it *misses* is the rest of the sum, compared
# with the whole kernel:
#
# $$\text{missed} = \sqrt{\frac{\sigma_2^2 + \sigma_3^2 + \dots}{\sigma_1^2 + \sigma_2^2 + \sigma_3^2 + \dots}}$$
#
# Here are the well-known kernels.
#
# * **Box** and **binomial** are outer products by construction. So is the **Gaussian**, for every width $s$, and
#   exactly: $e^{-(u^2+v^2)/2s^2} = e^{-u^2/2s^2}\, e^{-v^2/2s^2}$.
# * The **Laplacian** is not. It is a *sum* of two outer products, the second difference downwards plus the one to
#   the right. The version with eight neighbours is a sum of two as well: a box minus a single tap.
# * A **diagonal** line is the worst case. No row is a combination of the others, so the rank is $K$, and all $K$
#   terms are equally large: the first one misses all but $\frac1K$ of the sum of squares.
# * A **slanted Gaussian**, longer along the diagonal, does not split either, though it is just the usual one turned
#   and stretched. Rows and columns are special directions here.
#
# In the picture green weights are positive, pink ones negative. The bars below each kernel are its singular values,
# divided by the largest. A single bar means that the kernel splits.

# %%
K = 7
u, v = np.meshgrid(np.arange(K) - K // 2, np.arange(K) - K // 2, indexing="ij")
tap, bend = np.eye(3)[1], np.array([1.0, -2, 1])
binomial = np.array([1.0, 6, 15, 20, 15, 6, 1])
kernels = {
    "box": np.ones((K, K)),
    "binomial": np.outer(binomial, binomial),
    "Gaussian": np.exp(-(u**2 + v**2) / (2 * 1.5**2)),
    "Sobel": sobel,
    "Laplacian": np.outer(bend, tap) + np.outer(tap, bend),
    "Laplacian, 8 neighbours": np.ones((3, 3)) - 9 * np.outer(tap, tap),
    "slanted Gaussian": np.exp(-((u + v) ** 2) / 30 - (u - v) ** 2 / 4),
    "diagonal": np.eye(K),
    "random": rng.standard_normal((K, K)),
}
singular = {name: np.linalg.svd(k, compute_uv=False) for name, k in kernels.items()}
ranks = {name: int((s > 1e-12 * s[0]).sum()) for name, s in singular.items()}
missed = {name: np.sqrt((s[1:] ** 2).sum() / (s**2).sum()) for name, s in singular.items()}
for name, k in kernels.items():
    print(f"{name:24} {k.shape}  rank {ranks[name]}  the best a bᵀ misses {missed[name]:6.1%}")
assert all(ranks[name] == 1 for name in ("box", "binomial", "Gaussian", "Sobel"))
assert ranks["Laplacian"] == ranks["Laplacian, 8 neighbours"] == 2
assert ranks["diagonal"] == K
assert np.isclose(missed["diagonal"] ** 2, 1 - 1 / K)
assert ranks["slanted Gaussian"] > 1

figure, axes = plt.subplots(2, len(kernels), figsize=(12.5, 2.9), height_ratios=[3, 2], layout="constrained")
for (top, bottom), (name, k) in zip(axes.T, kernels.items(), strict=True):
    size = np.abs(k).max()
    top.imshow(k, cmap="PiYG", vmin=-size, vmax=size)
    top.set_title(
        f"{name.replace(', ', chr(10)).replace('slanted ', 'slanted' + chr(10))}\n{k.shape}", fontsize=8
    )
    top.axis("off")
    bottom.bar(range(1, len(k) + 1), singular[name] / singular[name][0], color=KERNEL)
    bottom.set(xticks=[1, len(k)], yticks=[], ylim=(0, 1.05), xlim=(0.3, 7.7))
axes[1, 0].set_ylabel("singular\nvalues", fontsize=8)
plt.show()

# %% [markdown]
# ## A few terms instead of one
#
# What does not split into one outer product splits into several: the terms of the SVD. With $R$ terms there are
# $2R$ short passes, and $2RK$ multiplications for each output pixel instead of $K^2$. That pays as long as
# $R < \frac K2$. For the 3×3 Laplacian, $R = 2$ is already too much. A large smooth kernel comes close with few
# terms. Here is the slanted Gaussian.


# %%
def terms(k, count):
    """The first terms of the SVD as pairs (column, row), with the singular value in the column."""
    a, sigma, b = np.linalg.svd(k)
    return [(a[:, r] * sigma[r], b[r]) for r in range(count)]


def by_passes(x, k, count):
    """Convolution with the first terms of a kernel, by short passes; the padding keeps the size."""
    p = len(k) // 2
    y = np.zeros_like(x)
    for a, b in terms(k, count):
        across = conv2d(x, one(b[None]), padding=(0, p), impl="im2col")
        y += conv2d(across, one(a[:, None]), padding=(p, 0), impl="im2col")
    return y


slanted = kernels["slanted Gaussian"]
digit = data.load("mnist5k").train.images[3000:3001] / 255
wanted = conv2d(digit, one(slanted), padding=K // 2, impl="im2col")
shown = {"x": digit, "7×7 at once": wanted}
print("terms  multiplications  kernel misses  output misses")
output_errors = {}
for count in (1, 2, 3, 7):
    rebuilt = sum(np.outer(a, b) for a, b in terms(slanted, count))
    shown[f"{count} term{'s' * (count > 1)}"] = got = by_passes(digit, slanted, count)
    kernel_error = np.linalg.norm(rebuilt - slanted) / np.linalg.norm(slanted)
    output_errors[count] = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    print(f"{count:5}  {2 * count * K:4} against {K * K}  {kernel_error:13.1%}  {output_errors[count]:13.1%}")
assert kernel_error < 1e-12  # with all seven terms
assert output_errors[7] < 1e-12
assert output_errors[3] < 0.02
assert 2 * ranks["Laplacian"] * 3 > 3 * 3  # two terms of the small Laplacian cost more than all of it
figure, axes = plt.subplots(1, len(shown), figsize=(11, 2.2), layout="constrained")
for ax, (name, image) in zip(axes, shown.items(), strict=True):
    ax.imshow(image[0, 0], cmap="Greys", vmin=0, vmax=digit.max() if name == "x" else wanted.max())
    ax.set_title(f"{name} {image.shape[2:]}", fontsize=9)
    ax.axis("off")
plt.show()

# %% [markdown]
# Three terms miss less than 2% of the output here, and still save a little. Seven are the whole kernel, at twice the
# price.
#
# ## Directions
#
# So spatial separability favours some orientations. Turn an edge detector, and ask at each angle how much the best
# $a\,b^{\mathsf T}$ misses. At 0° it answers to a vertical edge, at 90° to a horizontal one: there it misses nothing.
# The worst angle is 45°.

# %%
angles = np.arange(0, 181, 3)
fine_u, fine_v = np.meshgrid(np.arange(9) - 4.0, np.arange(9) - 4.0, indexing="ij")


def detector(degrees):
    """The derivative, across the edge, of a Gaussian that is stretched along the edge."""
    t = np.deg2rad(degrees)
    across, along = fine_v * np.cos(t) + fine_u * np.sin(t), fine_u * np.cos(t) - fine_v * np.sin(t)
    return -across * np.exp(-(across**2) / 3 - along**2 / 16)


sigmas = [np.linalg.svd(detector(angle), compute_uv=False) for angle in angles]
curve = dict(zip(angles, (np.sqrt((s[1:] ** 2).sum() / (s**2).sum()) for s in sigmas), strict=True))
print("missed:", ", ".join(f"at {angle}° {curve[angle]:.1%}" for angle in (0, 45, 90)))
assert max(curve[0], curve[90], curve[180]) < 1e-12
assert max(angles[:31], key=curve.get) == 45  # of all up to 90°

figure, axes = plt.subplots(1, 6, figsize=(11, 2.5), width_ratios=[3, 1, 1, 1, 1, 1], layout="constrained")
axes[0].plot(angles, 100 * np.array(list(curve.values())), color=KERNEL, linewidth=2)
axes[0].set(xlabel="angle (degrees)", ylabel="missed (%)", xticks=range(0, 181, 45))
axes[0].grid(alpha=0.3)
for ax, angle in zip(axes[1:], (0, 22, 45, 67, 90), strict=True):
    ax.imshow(detector(angle), cmap="PiYG", vmin=-1, vmax=1)
    ax.set_title(f"{angle}° (9, 9)", fontsize=9)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Two ways to factor one kernel
#
# A standard kernel $w_{o,c,u,v}$ has four indices. Each layer below computes with such a kernel, but with one of a
# restricted form. ($w^d$ are depthwise weights with one filter for each channel, $w^p$ pointwise weights.)
#
# | layer | its kernel $w_{o,c,u,v}$ | the restriction |
# |---|---|---|
# | standard | $w_{o,c,u,v}$ | none |
# | pointwise | $w^p_{o,c}$ | one tap, $K = 1$ |
# | depthwise | $w^d_{c,u,v}$ where $o = c$, else $0$ | output $c$ reads channel $c$ only |
# | depthwise separable | $w^p_{o,c}\; w^d_{c,u,v}$ | $(u,v)$ and $o$ in different factors |
# | spatially separable | $a_{o,c,u}\; b_{o,c,v}$ | $u$ and $v$ in different factors |
# | both | $w^p_{o,c}\; a_{c,u}\; b_{c,v}$ | $o$, $u$ and $v$ in three factors |
#
# Indices in different factors mean an outer product, and so rank 1. *Depthwise separable*: the $O \times K^2$ slice
# of each **input channel** has rank 1. *Spatially separable*: the $K \times K$ slice of each **pair of channels**
# has rank 1. The two restrictions are independent: a kernel can be the one, the other, both, or neither. The cell
# builds one of each, counts its weights, and measures both ranks.

# %%
C, O, K = 4, 6, 5
draw = rng.standard_normal
w_p, w_d = draw((O, C)), draw((C, K, K))
a_c, b_c, a_oc, b_oc = draw((C, K)), draw((C, K)), draw((O, C, K)), draw((O, C, K))
built = {
    "standard": (draw((O, C, K, K)), O * C * K * K),
    "depthwise separable": (np.einsum("oc,cuv->ocuv", w_p, w_d), w_p.size + w_d.size),
    "spatially separable": (np.einsum("ocu,ocv->ocuv", a_oc, b_oc), a_oc.size + b_oc.size),
    "both": (np.einsum("oc,cu,cv->ocuv", w_p, a_c, b_c), w_p.size + a_c.size + b_c.size),
}


def both_ranks(w):
    """The largest ranks: of the (O, K²) slices of input channels, of the (K, K) slices of pairs."""
    o, c, k, _ = w.shape
    by_channel = max(np.linalg.matrix_rank(w[:, i].reshape(o, k * k)) for i in range(c))
    by_pair = max(np.linalg.matrix_rank(w[i, j]) for i, j in product(range(o), range(c)))
    return int(by_channel), int(by_pair)


print(f"{'kernel ' + str((O, C, K, K)):22} weights   rank O×K²   rank K×K")
for name, (w, weights) in built.items():
    by_channel, by_pair = both_ranks(w)
    print(f"{name:22} {weights:7}   {by_channel:9}   {by_pair:8}")
    assert (by_channel == 1) == (name in ("depthwise separable", "both"))
    assert (by_pair == 1) == (name in ("spatially separable", "both"))

# %% [markdown]
# ## The same layers, in short passes
#
# *Both* is a row pass and a column pass for each channel, then a pointwise step. A *spatially separable* layer has a
# row and a column for each *pair* of channels. Its column passes are a depthwise step with $O$ filters for each input
# channel; its row passes, with the sum over input channels, are a grouped convolution with $O$ groups, one for each
# output. In between the $CO$ channels have to be sorted by output. Each gives what its standard kernel gives.

# %%
x = rng.standard_normal((2, C, 9, 8))
across = depthwise_conv2d(x, b_c[:, None, None, :], impl="im2col")
down = depthwise_conv2d(across, a_c[:, None, :, None], impl="im2col")
three_passes = np.einsum("oc,ncij->noij", w_p, down)
np.testing.assert_allclose(three_passes, conv2d(x, built["both"][0], impl="im2col"), atol=1e-12)

columns = a_oc.transpose(1, 0, 2)[..., None]  # (C, O, K, 1): depth multiplier O
down = depthwise_conv2d(x, columns, impl="im2col")  # channel c·O + o
n, _, h, wide = down.shape
by_output = down.reshape(n, C, O, h, wide).swapaxes(1, 2).reshape(n, O * C, h, wide)  # channel o·C + c
spatial = conv2d(by_output, b_oc[:, :, None, :], groups=O, impl="im2col")
np.testing.assert_allclose(spatial, conv2d(x, built["spatially separable"][0], impl="im2col"), atol=1e-12)
print("'both':", three_passes.shape, "equal to its standard convolution")
print("'spatially separable':", spatial.shape, "equal to its standard convolution")

# %% [markdown]
# ## What each of them saves
#
# Multiplications for one output pixel, and the ratio to the standard layer:
#
# | layer | multiplications | ratio |
# |---|---|---|
# | standard | $O C K^2$ | $1$ |
# | spatially separable | $2\, O C K$ | $\frac 2K$ |
# | depthwise separable | $C K^2 + O C$ | $\frac1O + \frac1{K^2}$ |
# | both | $2\, C K + O C$ | $\frac{2}{O K} + \frac1{K^2}$ |
#
# A spatially separable layer never gets below $\frac2K$: for $K = 3$ that is two thirds. A depthwise separable one is
# cheaper from two outputs on. With $K = 3$ and many outputs, *both* saves next to nothing more: what is left is the
# pointwise step. Only large kernels gain. And at $K = 1$ all of them cost more than the standard layer: there is
# nothing to separate.
#
# That is why networks, with hundreds of channels and small kernels, split channels from space, and image processing,
# with few channels and large kernels, rows from columns.
#
# The cell holds the formulas against the library's counts.

# %%
ratios = {
    "standard": lambda o, k: 1,
    "spatially separable": lambda o, k: 2 / k,
    "depthwise separable": lambda o, k: 1 / o + 1 / k**2,
    "both": lambda o, k: 2 / (o * k) + 1 / k**2,
}


def counted(o, c, k, pixels=(32, 32)):
    """Multiplications by the library's rules, for an output of `pixels`."""
    row_column = complexity.depthwise_macs(c, (1, k), pixels) + complexity.depthwise_macs(c, (k, 1), pixels)
    columns = complexity.depthwise_macs(c, (k, 1), pixels, multiplier=o)
    return {
        "standard": complexity.conv_macs(c, o, k, pixels),
        "spatially separable": columns + complexity.conv_macs(o * c, o, (1, k), pixels, groups=o),
        "depthwise separable": complexity.separable_macs(c, o, k, pixels),
        "both": row_column + complexity.pointwise_macs(c, o, pixels),
    }


for o, c, k in product((1, 2, 8, 64), (3, 32), (1, 3, 7)):
    macs = counted(o, c, k)
    for layer, ratio in ratios.items():
        assert np.isclose(macs[layer] / macs["standard"], ratio(o, k))
        assert k > 1 or layer == "standard" or ratio(o, k) > 1  # nothing to separate
assert all(ratios["depthwise separable"](o, 3) < ratios["spatially separable"](o, 3) for o in range(2, 65))

sizes = np.arange(1, 16, 2)
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True, layout="constrained")
for ax, outputs in zip(axes, (4, 64), strict=True):
    for (layer, ratio), colour in zip(ratios.items(), (PALE, INPUT, WINDOW, KERNEL), strict=True):
        values = [ratio(outputs, k) for k in sizes]
        ax.semilogy(sizes, values, "o-", color=colour, markersize=4, label=layer)
    ax.set(title=f"O = {outputs} outputs", xlabel="kernel size K", xticks=sizes)
    ax.grid(alpha=0.3)
axes[0].set_ylabel("multiplications,\nrelative to standard")
axes[0].legend(frameon=False, fontsize=9, loc="lower left")
plt.show()
print("K = 3, O = 64:", {layer: round(ratio(64, 3), 3) for layer, ratio in ratios.items()})
assert ratios["depthwise separable"](64, 3) < 0.2 * ratios["spatially separable"](64, 3)
assert ratios["both"](64, 3) > 0.95 * ratios["depthwise separable"](64, 3)
assert ratios["both"](64, 15) < 0.5 * ratios["depthwise separable"](64, 15)

# %% [markdown]
# ## Fewer multiplications, less time?
#
# Two passes read and write the image twice. For a 3×3 filter that may eat up the third that was saved. For a large
# one the saving wins. The cell compares one pass with two: first multiplications, then time, measured with SciPy's
# loops on one channel. Times differ from machine to machine, and nothing is asserted about them.


# %% tags=["timing"]
def best_time(f, repeats=15):
    times = []
    for _ in range(repeats):
        start = perf_counter()
        f()
        times.append(perf_counter() - start)
    return min(times)


photo = rng.standard_normal((96, 96))
print("one pass : two passes\n K   multiplications    time")
for k in (3, 7, 15):
    a, b = rng.standard_normal((2, k))
    whole = partial(ndimage.correlate, photo, np.outer(a, b), mode="constant")

    def passes(a=a, b=b):
        down = ndimage.correlate1d(photo, a, axis=0, mode="constant")
        return ndimage.correlate1d(down, b, axis=1, mode="constant")

    mine = conv2d(one(photo), one(np.outer(a, b)), padding=k // 2, impl="im2col")[0, 0]
    np.testing.assert_allclose(passes(), mine, atol=1e-9)
    np.testing.assert_allclose(whole(), mine, atol=1e-9)
    print(f"{k:2}   {k * k / (2 * k):11.1f} : 1   {best_time(whole) / best_time(passes):5.1f} : 1")

# %% [markdown]
# ## Learning a column and a row
#
# Can $a$ and $b$ be learned? Backward gives $dk$, the gradient for the whole kernel. Since $k_{u,v} = a_u b_v$, the
# chain rule does the rest:
#
# $$da_u = \sum_v dk_{u,v}\, b_v \qquad\qquad db_v = \sum_u dk_{u,v}\, a_u$$
#
# Or run backward through the two passes: it is the same. The gradient checker agrees. Then gradient descent finds the
# Sobel kernel from its outputs alone. It finds $a$ and $b$ only up to a factor, since $(2a)(b/2)^{\mathsf T}$ is the
# same kernel.


# %%
def forward(x, a, b):
    return conv2d(x, one(np.outer(a, b)), impl="im2col")


def backward(dy, x, a, b):
    _, dk, _ = conv2d_backward(dy, x, one(np.outer(a, b)), impl="im2col", needs=("w",))
    return None, dk[0, 0] @ b, dk[0, 0].T @ a  # no gradient for x here


def backward_by_passes(dy, x, a, b):
    row, column = one(b[None]), one(a[:, None])
    middle = conv2d(x, row, impl="im2col")
    dmiddle, da, _ = conv2d_backward(dy, middle, column, impl="im2col")
    _, db, _ = conv2d_backward(dmiddle, x, row, impl="im2col", needs=("w",))
    return None, da.ravel(), db.ravel()


images = rng.standard_normal((4, 1, 8, 9))
a, b, dy = rng.standard_normal(3), rng.standard_normal(4), rng.standard_normal((4, 1, 6, 6))
report = check(forward, backward, images, a, b)
assert report, report
print("gradients of a and b:", "right" if report.ok else "wrong", f"({report.checked} compared)")
for at_once, by_two in zip(
    backward(dy, images, a, b)[1:], backward_by_passes(dy, images, a, b)[1:], strict=True
):
    np.testing.assert_allclose(at_once, by_two)

target = conv2d(images, one(sobel), impl="im2col")
a, b = rng.standard_normal((2, 3))
for _ in range(400):
    error = forward(images, a, b) - target
    _, da, db = backward(2 * error / error.size, images, a, b)
    a, b = a - 0.05 * da, b - 0.05 * db
show("learned a bᵀ", np.outer(a, b).round(6) + 0.0)
print("a / a[0] =", (a / a[0]).round(6))
np.testing.assert_allclose(np.outer(a, b), sobel, atol=1e-4)
np.testing.assert_allclose(a / a[0], smooth, atol=1e-4)

# %% [markdown]
# ## Exercises
#
# Replace the line that raises. Each cell below an exercise checks your answer.
#
# ### Exercise 1: split a kernel without an SVD
#
# Return `(a, b)` with $a\,b^{\mathsf T} = k$ for a kernel of rank 1, and raise a `ValueError` for any other. *Hint:
# every row is a multiple of one row. Which row, and which column, are safe to pick? Then test the product.*


# %% tags=["exercise"]
def split(k):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    for name, k in kernels.items():
        if ranks[name] == 1:
            a, b = split(k)
            np.testing.assert_allclose(np.outer(a, b), k, atol=1e-12, err_msg=name)
        else:
            try:
                split(k)
            except ValueError:
                continue
            raise AssertionError(f"{name} has rank {ranks[name]} and must not split")


# %% [markdown]
# ### Exercise 2: a Gaussian blur for large widths
#
# Blur images $(N, C, H, W)$ with a Gaussian of standard deviation `s`, by two passes of `depthwise_conv2d`. The
# kernel has $2r + 1$ taps along each axis, with $r = \lceil 3s \rceil$. Its weights are proportional to
# $e^{-(u^2+v^2)/2s^2}$, with $u = v = 0$ in the middle, and add up to 1. The size stays; outside there are zeros.
# *Hint: depthwise weights have the shape $(C, 1, K_H, K_W)$.*


# %% tags=["exercise"]
def blur(x, s):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    photo, s = np.random.default_rng(1).standard_normal((2, 3, 20, 17)), 1.3
    r = int(np.ceil(3 * s))
    i, j = np.indices((2 * r + 1, 2 * r + 1)) - r
    k = np.exp(-(i**2 + j**2) / (2 * s**2))
    at_once = depthwise_conv2d(photo, np.stack([(k / k.sum())[None]] * 3), padding=r, impl="im2col")
    np.testing.assert_allclose(blur(photo, s), at_once, atol=1e-12)


# %% [markdown]
# ### Exercise 3: when do terms pay?
#
# A kernel has $K_H \times K_W$ taps. Return the largest $R$ for which $R$ column passes and $R$ row passes need
# *fewer* multiplications for each output pixel than the kernel at once; 0 if there is none.


# %% tags=["exercise"]
def most_terms(kh, kw):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    for kh, kw in product(range(1, 12), repeat=2):
        r = most_terms(kh, kw)
        assert r == 0 or r * (kh + kw) < kh * kw, f"{r} terms do not pay for {kh}×{kw}"
        assert (r + 1) * (kh + kw) >= kh * kw, f"{r + 1} terms would pay for {kh}×{kw}"
