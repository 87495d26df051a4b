# %% [markdown]
# # 21. The first source document, read critically
#
# This package grew out of five texts on depthwise separable convolution. The first is a long Chinese article:
# definitions, formulas, two worked examples, a PyTorch project, applications, references. Much of it sounds
# right. Here you put every claim to the test: the document's words, the truth, and a cell that shows it.
#
# At the end you can tell a formula that cannot be computed from one that can, count what a layer really
# costs, find the mistakes in a small training script, and see that a printed training log was never printed.
#
# You need notebook [1](01_convolution_by_hand.ipynb) (convolution by hand); notebooks
# [5](05_the_backward_pass.ipynb) (the backward pass) and [8](08_what_it_costs.ipynb) (what it costs) help. Quotes
# are short and translated.
#
# | symbol | meaning |
# |---|---|
# | $N$, $C$, $O$ | images; channels going in; channels coming out (the document writes $C'$) |
# | $H \times W$, $OH \times OW$ | image size going in and coming out (the document: $H' \times W'$) |
# | $K$, $M$ | the kernel is $K \times K$; $M$ kernels for each channel (the document: always 1) |
# | $s$, $p$, $d$ | stride, padding (zeros on each side), dilation (distance between taps) |
# | $X, D, P, Y$ | the document's names: input, after depthwise, after pointwise, after ReLU |
# | $W^d$, $W^p$, $b$ | depthwise filters $(C, K, K)$, pointwise matrix $(O, C)$, bias $(O)$ |

# %%
# %matplotlib inline
import inspect
from fractions import Fraction
from itertools import pairwise, product
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

from npdsconv import (
    complexity,
    conv2d,
    conv2d_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    plots,
    pointwise_conv2d,
    pointwise_conv2d_backward,
    relu,
    softmax,
)
from npdsconv.data import load, to_float
from npdsconv.layers import (
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    PointwiseConv2d,
    Sequential,
    set_impl,
)
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.documents import Claims
from npdsconv.optim import Adam
from npdsconv.shapes import resolve_window
from npdsconv.train import evaluate, fit, train_step

claims = Claims()  # every cell below adds its verdicts; the table is printed at the end
rng = np.random.default_rng(21)
threadpool_limits(limits=1, user_api="blas")  # for small products, more threads only wait for each other
assert not claims.rows

# %% [markdown]
# ## What the two steps do
#
# The document says of the depthwise step: "只改变通道维度，不改变空间维度" (*it changes only the channel
# dimension, not the spatial dimension*). Of the pointwise step: "只涉及每个通道内的乘法和加法运算" (*it
# involves only multiplications and additions within each channel*).
#
# Do not argue, look. Take one output number and ask which input numbers it depends on. The backward pass
# answers: send back a gradient that is 1 at this output number and 0 elsewhere; wherever `dx` is not zero, the
# input was read.
#
# In the picture each row is one kind of layer, and its three panels are the three channels of the input. Orange
# is what *one* output number reads: the one in output channel 1, row 2, column 3.


# %% tags=["E01", "E04"]
def footprint(backward, x, w, output_shape, place):
    """Which numbers of x the output number at `place` depends on: booleans (C, H, W)."""
    dy = np.zeros(output_shape)
    dy[0][place] = 1
    dx, _, _ = backward(dy, x, w, impl="naive")
    return dx[0] != 0


C, O, K, H, W = 3, 4, 3, 6, 7
x = rng.standard_normal((1, C, H, W))
w_standard, w_depth, w_point = (rng.standard_normal(s) for s in ((O, C, K, K), (C, 1, K, K), (O, C)))
d = depthwise_conv2d(x, w_depth, impl="naive")
p = pointwise_conv2d(x, w_point, impl="naive")

reads = {
    "standard": footprint(conv2d_backward, x, w_standard, (1, O, H - 2, W - 2), (1, 2, 3)),
    "depthwise": footprint(depthwise_conv2d_backward, x, w_depth, d.shape, (1, 2, 3)),
    "pointwise": footprint(pointwise_conv2d_backward, x, w_point, p.shape, (1, 2, 3)),
}
window = {"standard": (K, K), "depthwise": (K, K), "pointwise": (1, 1)}
figure, axes = plt.subplots(3, C, figsize=(6.5, 6.6), layout="constrained")
for row, (name, read) in zip(axes, reads.items(), strict=True):
    for c, ax in enumerate(row):
        pictures.tensor(ax, x[0, c], f"{name}: x[{c}]", plots.INPUT, empty=np.ndindex(H, W))
        for r, q in np.argwhere(read[c]):
            ax.add_patch(plt.Rectangle((q, r), 1, 1, facecolor=plots.WINDOW, edgecolor="white"))

for name, read in reads.items():
    channels, pixels = np.flatnonzero(read.any(axis=(1, 2))), np.count_nonzero(read.any(axis=0))
    print(f"{name:10} one output number reads channels {channels.tolist()} at {pixels} pixels")
assert reads["depthwise"][1].sum() == K * K
assert not reads["depthwise"][[0, 2]].any()  # one channel only
assert reads["pointwise"].sum() == C  # all channels, one pixel
print("depthwise:", x.shape, "to", d.shape, "  pointwise:", x.shape, "to", p.shape)
assert d.shape == (1, C, H - 2, W - 2)  # the channels are kept, the size is not
assert p.shape == (1, O, H, W)  # the other way round

claims.add(
    "深度卷积只改变通道维度，不改变空间维度 (depthwise changes channels, not space)",
    "wrong",
    "the reverse: it keeps the channels apart and shrinks the image unless padded",
)
claims.add(
    "逐点卷积只涉及每个通道内的运算 (pointwise works within each channel)",
    "wrong",
    "it is the step across channels, at one pixel at a time",
)

# %% [markdown]
# Depthwise looks around inside one channel; pointwise looks across all channels at one pixel. The document
# has them the wrong way round, three times. (It is right elsewhere: "将每个通道与对应的卷积核进行卷积",
# *each channel is convolved with its own kernel*.)
#
# ## Pointwise is not "point by point"
#
# "将深度卷积的结果与权重矩阵进行逐点相乘，并加上偏置项" (*multiply the depthwise result element by element with
# the weight matrix and add the bias*). The name misleads here: it is one matrix product for every pixel.
# Elementwise, the shapes do not even meet: weights $(O, C)$, maps $(C, OH, OW)$.

# %% tags=["E02"]
D = worked_examples.three_distinct_channels.d  # (1, 3, 3, 3)
W_p = worked_examples.three_distinct_channels.w_pointwise  # (4, 3)
try:
    W_p * D[0]
except ValueError as error:
    print("element by element:", error)
else:
    raise AssertionError("the shapes should not fit")

P = pointwise_conv2d(D, W_p, impl="naive")
assert np.array_equal(P[0].reshape(4, 9), W_p @ D[0].reshape(3, 9))
print(f"as a matrix product: {W_p.shape} @ {(3, 9)} = {(4, 9)}, the {P.shape[1]} output channels")

# The document's second example has square shapes, so there element by element can be computed. It is something else:
printed_D = np.array([[14.0, 15, 12, 13], [17, 16, 15, 14], [12, 13, 10, 11], [13, 12, 11, 10]])
W_p4 = worked_examples.four_equal_channels.w_pointwise
show("W_p * D, element by element", W_p4 * printed_D)
show("W_p @ D", W_p4 @ printed_D)
assert not np.array_equal(W_p4 * printed_D, W_p4 @ printed_D)
claims.add(
    "逐点卷积 = 逐点乘以权重并加偏置 (multiply element by element, add a bias)",
    "wrong",
    "one O×C matrix times the vector of channels, at every pixel",
)

# %% [markdown]
# ## How many kernels?
#
# "每个卷积层只需要一个卷积核" (*each convolution layer needs only one kernel*). Count what a layer holds:
# one $K \times K$ kernel *for each channel*, and $O \cdot C$ numbers that mix.

# %% tags=["E03"]
layer = DepthwiseSeparableConv2d(32, 64, 3, padding=1, batch_norm=False, bias=False, rng=rng)
kernels, mixing = layer.depthwise.weight.value, layer.pointwise.weight.value
print(f"32 to 64 channels: depthwise weights {kernels.shape}, pointwise weights {mixing.shape}")
assert kernels.shape == (32, 1, 3, 3)
assert kernels.size + mixing.size == 32 * 3 * 3 + 64 * 32 == complexity.summary(layer, (32, 8, 8)).params
print(f"{len(kernels)} kernels of 9 weights = {kernels.size}, and {mixing.size} weights that mix")
claims.add(
    "每个卷积层只需要一个卷积核 (one kernel is enough for a layer)",
    "wrong",
    "C kernels of K×K weights, and O·C mixing weights",
)

# %% [markdown]
# ## Stacked or added up?
#
# For both steps the document ends with "空间叠加：将所有输出通道进行叠加，得到最终的特征图" (*superposition:
# add up all output channels to get the final feature map*). Depthwise results are laid side by side, never
# added. Adding happens in the pointwise step, with different weights for each output channel. Add the
# channels up, and you have a *standard* convolution with a single output.
#
# The same slip is in its picture of the standard convolution: dot products with each region, then
# "将这些点积结果进行空间上的叠加" (*these dot products are superposed in space*). What is added up are channels.
# Results at different positions stay apart.

# %% tags=["E07"]
d = depthwise_conv2d(x, w_depth, impl="naive")
added = d.sum(axis=1, keepdims=True)  # over the channels
print("side by side:", d.shape, "  added up:", added.shape)
np.testing.assert_allclose(added, conv2d(x, w_depth.transpose(1, 0, 2, 3), impl="naive"))
np.testing.assert_allclose(added, pointwise_conv2d(d, np.ones((1, C)), impl="naive"))
assert d.shape[1] == C
assert added.shape[1] == 1
claims.add(
    "空间叠加：将所有输出通道进行叠加 (all output channels are added up)",
    "wrong",
    "depthwise maps are kept side by side; adding them gives a standard convolution",
)
claims.add(
    "标准卷积: 点积结果进行空间上的叠加 (standard: dot products, superposed in space)",
    "wrong",
    "one dot product over all channels of a window is one output number; nothing is added over space",
)

# %% [markdown]
# ## The depthwise formula
#
# The document prints it three times:
#
# $$D_{ij,kl} = \sum_{p=1}^{C}\sum_{q=1}^{K} W_{pq,ik}\cdot X_{ij,pq}$$
#
# "其中 $i,j,k,l$ 分别表示输入和输出特征图中的位置索引" (*where i, j, k, l are position indices*). Read it letter by
# letter:
#
# * $\sum_{p=1}^{C}$ adds over channels, which a depthwise step does not do;
# * one tap index $q = 1 \dots K$, where a $K\times K$ kernel has two;
# * $X_{ij,pq}$ stays at the position $(i, j)$: nothing slides;
# * $W_{pq,ik}$: the weights depend on where the output is;
# * $l$ stands on the left and nowhere on the right.
#
# The last point can be put to a machine. `np.einsum` computes exactly such sums, and it refuses a letter
# that comes from nowhere. What the document means is this (stride 1, no padding, no dilation):
#
# $$D_{n,c,i,j} = \sum_{u,v} W^d_{c,u,v}\; X_{n,\,c,\,i+u,\,j+v}$$

# %% tags=["E05"]
try:
    np.einsum("pqik,ijpq->ijkl", np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 2)))
except ValueError as error:
    refusal = str(error).strip()
    print("the printed formula:", refusal)
else:
    raise AssertionError("the printed formula should not compute")

assert "'l'" in refusal

example = worked_examples.three_distinct_channels  # the numbers 1 to 48 on three channels
windows = np.lib.stride_tricks.sliding_window_view(example.x, (2, 2), axis=(2, 3))
right = np.einsum("cuv,ncijuv->ncij", example.w_depthwise[:, 0], windows)
with_channel_sum = np.einsum("cuv,ncijuv->nij", example.w_depthwise[:, 0], windows)
show("the sum that slides, channel by channel", right[0])
show("the same with the document's sum over channels", with_channel_sum)
assert np.array_equal(right, example.d)
assert with_channel_sum[0].tolist() == (right[0, 0] + right[0, 1] + right[0, 2]).tolist()
claims.add(
    "D = Σₚ Σ_q W X, the depthwise formula",
    "wrong",
    "cannot be computed (l has no source); mended, it has no sum over channels and two tap indices",
)

# %% [markdown]
# Three channels give three maps, as it must be; the document's $\sum_p$ leaves a single one.
#
# ## The pointwise formula
#
# $$P_{ij,kl} = \sum_{p=1}^{C'}\sum_{q=1}^{C} W_{pq,ik}\cdot D_{ij,pq} + b_p$$
#
# The same lost $l$. And $p$ counts the *output* channels but is summed over: nothing is left to number the
# output channels with. In one place $b_p$ even stands outside the sum that defines $p$. What is meant:
#
# $$P_{n,o,i,j} = b_o + \sum_{c} W^p_{o,c}\, D_{n,c,i,j}$$
#
# Compute both at one pixel:

# %% tags=["E06"]
b = np.array([1.0, 2, 3, 4])
at_pixel = example.d[0, :, 0, 0]
summed = sum(example.w_pointwise[p] @ at_pixel + b[p] for p in range(4))  # b inside the sum over p
right = np.einsum("oc,ncij->noij", example.w_pointwise, example.d) + b[:, None, None]
print("channels of d at pixel (0, 0):", at_pixel.astype(int).tolist())
print("the document's double sum:", int(summed), "   what is meant:", right[0, :, 0, 0].astype(int).tolist())
np.testing.assert_array_equal(right, pointwise_conv2d(example.d, example.w_pointwise, b, impl="naive"))
assert np.ndim(summed) == 0
assert summed == right[0, :, 0, 0].sum()
claims.add(
    "P = Σₚ Σ_q W D + bₚ, the pointwise formula",
    "wrong",
    "the sum over output channels leaves one number per pixel; sum over input channels only",
)

# %% [markdown]
# ## What is right, and what is missing: shapes
#
# The document's list of shapes is right: $D \in \mathbb R^{N\times C\times H'\times W'}$, $W_d \in \mathbb
# R^{C\times K\times K}$, $W_p \in \mathbb R^{C'\times C}$, $P, Y \in \mathbb R^{N\times C'\times H'\times W'}$.
# (It contradicts the formulas beside it.) But how large $H'$ is, our $OH$, is never said:
#
# $$OH = \left\lfloor\frac{H + 2p - d(K-1) - 1}{s}\right\rfloor + 1$$
#
# The composition $Y = \text{ReLU}(\text{Pointwise}(\text{Depthwise}(X)))$ is right too: depthwise, *then*
# pointwise. With nothing in between, the pair is one standard convolution with kernel
# $W_{o,c,u,v} = W^p_{o,c} W^d_{c,u,v}$.

# %%
N = 2
images = rng.standard_normal((N, C, 9, 8))
for s, pad, dil in ((1, 0, 1), (1, 1, 1), (2, 1, 1), (2, 0, 2), (3, 2, 3)):
    D = depthwise_conv2d(images, w_depth, stride=s, padding=pad, dilation=dil, impl="im2col")
    P = pointwise_conv2d(D, w_point, impl="im2col")
    rule = tuple((size + 2 * pad - dil * (K - 1) - 1) // s + 1 for size in (9, 8))
    assert D.shape == (N, C, *rule)
    assert P.shape == (N, O, *rule)
    both = conv2d(
        images,
        np.einsum("oc,cuv->ocuv", w_point, w_depth[:, 0]),
        stride=s,
        padding=pad,
        dilation=dil,
        impl="im2col",
    )
    np.testing.assert_allclose(P, both, atol=1e-12)
    print(f"stride {s}, padding {pad}, dilation {dil}: {images.shape} → D {D.shape} → P {P.shape}")
claims.add(
    "the shapes of X, D, P, Y, W_d, W_p", "right", "but OH and OW need the output-size rule, which is missing"
)
claims.add("Y = ReLU(PW(DW(X)))", "right", "depthwise, then pointwise: a composition")

# %% [markdown]
# ## Which size counts?
#
# The document's costs: depthwise $O(C K^2 H W)$ with "$H$ 和 $W$ 是输入的空间大小" (*the spatial size of the
# input*), pointwise $O(C' C H' W')$ where $H', W'$ are again "输入的空间大小". A kernel does its work once for
# every *output* position. For the pointwise step the formula is right, if "input" means the input of *this*
# step, which is the depthwise output. For the depthwise step it has to be
#
# $$C\,K^2 \cdot OH \cdot OW \qquad\text{and both steps together}\qquad OH \cdot OW\,(C K^2 + O\,C)$$
#
# The library's `complexity` has the formulas, and a counter that runs the loops with numbers that count
# their own multiplications.

# %% tags=["E08"]
print(inspect.getsource(complexity.depthwise_macs))
print(" H=W  K  stride padding dilation  OH=OW   document        true  too much")
for h, k, s, pad, dil in (
    (32, 3, 1, 1, 1),
    (32, 3, 2, 1, 1),
    (56, 3, 2, 1, 1),
    (224, 3, 2, 1, 1),
    (28, 3, 1, 0, 1),
    (28, 7, 1, 0, 1),
    (28, 7, 1, 3, 1),
    (28, 3, 1, 0, 4),
    (28, 3, 1, 4, 4),
):
    layer = DepthwiseConv2d(32, k, stride=s, padding=pad, dilation=dil, rng=rng)
    true, out = (
        complexity.summary(layer, (32, h, h)).macs,
        resolve_window("", (h, h), (k, k), s, pad, dil).output,
    )
    document = 32 * k**2 * h * h
    print(f"{h:4} {k:2} {s:6} {pad:7} {dil:8} {out[0]:6} {document:11,} {true:11,}  ×{document / true:.3f}")
    assert Fraction(document, true) == Fraction(h * h, out[0] * out[1])

small, step = DepthwiseConv2d(2, 3, stride=2, padding=1, rng=rng), PointwiseConv2d(2, 5, rng=rng)
counted = [
    complexity.count(small, (2, 7, 9)).multiplications,
    complexity.count(step, (2, 4, 5)).multiplications,
]
assert counted == [2 * 9 * 4 * 5, 5 * 2 * 4 * 5]  # C·K²·OH·OW and O·C·OH·OW
assert sum(counted) == 4 * 5 * (2 * 9 + 5 * 2) == complexity.separable_macs(2, 5, 3, (4, 5))
print("\ncounted multiplications, 7×9 to 4×5:", counted)
claims.add(
    "depthwise cost O(C·K²·H·W), H and W of the input",
    "imprecise",
    "OH·OW of the output; with stride 2 the document counts four times too much",
)
claims.add(
    "pointwise cost O(C'·C·H'·W'), H' and W' “of the input”",
    "right",
    "OH, OW: the input of this step is the depthwise output",
)

# %% [markdown]
# ## Compared with what?
#
# "显著降低了计算复杂度" (*significantly reduces the complexity*), says the document, several times. It never
# gives the cost of the standard convolution, $O\,C\,K^2 \cdot OH \cdot OW$, and no ratio. Divide the one by the
# other; $OH$, $OW$ and $C$ cancel. Without biases the ratio of the weights is the same:
#
# $$\frac{\text{separable}}{\text{standard}} = \frac{M\,C K^2 + O\,M\,C}{O\,C\,K^2}
# = M\left(\frac{1}{O} + \frac{1}{K^2}\right)$$
#
# The first table below is this formula. The loop behind it builds *real* layers and compares their weights
# and multiplications with the formula, as fractions, so without rounding.

# %% tags=["E09"]
print("ratio    K\\O" + "".join(f"{o:8}" for o in (1, 2, 4, 10, 32, 64, 256)))
for k, m in ((1, 1), (2, 1), (3, 1), (5, 1), (7, 1), (3, 2), (3, 9)):
    cells = [complexity.ratio(o, k, m) for o in (1, 2, 4, 10, 32, 64, 256)]
    print(f"K={k} M={m}    " + "".join(f"{r:8.3f}" for r in cells))
    assert cells[0] > 1  # one output channel: never a saving
    assert k > 1 or min(cells) > 1
    assert m < k * k or min(cells) > 1

print("\n  C    O  K      standard          separable    ratio (weights; MACs at 28×28)")
shown = {(3, 64, 3), (32, 64, 3), (64, 128, 3), (64, 128, 5), (64, 128, 7)}  # of 48 that are checked
for c, o, k in product((3, 32, 64, 128), (32, 64, 128, 256), (3, 5, 7)):
    how = {"padding": k // 2, "bias": False, "rng": rng}
    standard = complexity.summary(Conv2d(c, o, k, **how), (c, 28, 28))
    pair = complexity.summary(DepthwiseSeparableConv2d(c, o, k, batch_norm=False, **how), (c, 28, 28))
    exact = Fraction(1, o) + Fraction(1, k * k)
    assert Fraction(pair.params, standard.params) == Fraction(pair.macs, standard.macs) == exact
    if (c, o, k) in shown:
        cells = f"{standard.params:9,} {standard.macs:12,} {pair.params:7,} {pair.macs:11,}"
        print(f"{c:3} {o:4} {k:2} {cells}  {float(exact):.4f}")

claims.add(
    "显著降低计算复杂度 (a significant saving), without a number",
    "imprecise",
    "M(1/O + 1/K²): about 1/9 for K = 3 and many channels, above 1 if O = 1, K = 1 or M ≥ K²",
)
claims.add(
    "减少计算时间 (less time)",
    "unsupported",
    "fewer multiplications; time is not proportional to them and has to be measured (next cell)",
)
figure = plots.ratio_curves([1, 2, 4, 8, 16, 32, 64, 128, 256], kernels=(3, 5, 7), multipliers=(1,))
figure.axes[0].set_xlabel("output channels O")
figure

# %% [markdown]
# The document also promises less *time* ("减少…计算时间", "实时推理", *real-time inference*). Multiplications are
# not time. The next cell measures the three layers in NumPy. If multiplications were time, its last column would
# be three times the same number. They differ widely: layers with a window spend their time on moving numbers,
# and only the pointwise step is a bare matrix product.
# [Notebook 8](08_what_it_costs.ipynb) measures this carefully, in the fast tier.


# %% tags=["timing"]
def best_time(layer, x, repeats=5):
    """The shortest of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        layer(x)
        times.append(perf_counter() - began)
    return min(times)


batch = rng.standard_normal((4, 64, 28, 28)).astype(np.float32)
rows = {
    "standard": Conv2d(64, 64, 3, padding=1, bias=False, rng=rng, impl="im2col"),
    "depthwise": DepthwiseConv2d(64, 3, padding=1, bias=False, rng=rng, impl="im2col"),
    "pointwise": PointwiseConv2d(64, 64, bias=False, rng=rng, impl="im2col"),
}
for name, layer in rows.items():
    macs, seconds = 4 * complexity.summary(layer, (64, 28, 28)).macs, best_time(layer, batch)
    print(
        f"{name:10} {macs:12,} multiplications {1e3 * seconds:8.2f} ms {1e9 * seconds / macs:8.3f} ns for each"
    )

# %% [markdown]
# ## What does the saving cost?
#
# "标准卷积可能更能捕捉输入数据的局部特征" (*standard convolution may capture local features better*). Locality is
# not the difference: both look at the same windows. The difference is *rank*. For one input channel, write
# the standard kernel as a matrix with one row for every output channel and one column for every tap. The
# separable pair can only make matrices of rank $\le M$: sums of $M$ products column · row, where the row is a
# depthwise filter and the column holds its pointwise weights. So how much of a kernel is lost? The singular value
# decomposition writes a matrix as a sum of such products, the largest first. The best approximation of rank $M$
# keeps the first $M$ and loses the others.

# %%
kernel = rng.standard_normal((16, 4, 3, 3))  # random: the worst case; learned kernels are easier
slices = kernel.transpose(1, 0, 2, 3).reshape(4, 16, 9)
U, S, V = np.linalg.svd(slices, full_matrices=False)
errors = []
for m in range(1, 10):
    w_d, w_p = (
        V[:, :m].reshape(4, m, 3, 3),
        (U[:, :, :m] * S[:, None, :m]).transpose(1, 0, 2).reshape(16, 4 * m),
    )
    rebuilt = np.einsum("ocm,cmuv->ocuv", w_p.reshape(16, 4, m), w_d)
    errors.append(float(np.linalg.norm(rebuilt - kernel) / np.linalg.norm(kernel)))
    ranks = np.linalg.matrix_rank(rebuilt.transpose(1, 0, 2, 3).reshape(4, 16, 9))
    assert (ranks == m).all()
    np.testing.assert_allclose(errors[-1], np.sqrt((S[:, m:] ** 2).sum() / (S**2).sum()), atol=1e-9)
assert all(a > b for a, b in pairwise(errors))
assert errors[-1] < 1e-12  # M = K² reaches every standard kernel

figure, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
ax.plot(range(1, 10), errors, "o-", color=plots.KERNEL)
ax.set(
    xlabel="depth multiplier M",
    ylabel="relative error",
    ylim=(0, 1),
    title="a random 16×4×3×3 kernel, rebuilt from separable pieces",
)
ax.title.set_fontsize(10)
ax.grid(alpha=0.3)
claims.add(
    "标准卷积可能更能捕捉局部特征 (standard sees local features better)",
    "imprecise",
    "both see the same windows; separable kernels have rank ≤ M for each input channel",
)

# %% [markdown]
# With $M = 9 = K^2$ nothing is lost, and nothing is saved.
#
# The outlook names "空间可分离卷积" (*spatially separable convolution*) as a better algorithm of the same
# family. It is another idea: one $K \times K$ kernel split into a column and a row, $2K$ weights instead of
# $K^2$. That restricts the shape of each kernel; depthwise separable convolution restricts how kernels and
# channels combine. ("频率可分离卷积", *frequency separable*, is not an established operator; the nearest is octave
# convolution, Chen et al. 2019.)

# %%
column, row = rng.standard_normal((2, 1, 1, 5))
picture = rng.standard_normal((1, 1, 9, 8))
two_steps = conv2d(
    conv2d(picture, column.reshape(1, 1, 5, 1), impl="naive"), row.reshape(1, 1, 1, 5), impl="naive"
)
one_step = conv2d(picture, np.outer(column, row)[None, None], impl="naive")
np.testing.assert_allclose(two_steps, one_step, atol=1e-12)
assert np.linalg.matrix_rank(np.outer(column, row)) == 1
print(
    f"spatially separable: {column.size + row.size} weights act as a kernel of {np.outer(column, row).size}"
)
claims.add(
    "空间可分离 as the next step (spatially separable)",
    "imprecise",
    "another factorisation: rank 1 in space, 2K weights",
)

# %% [markdown]
# ## The first worked example
#
# Input $X$ = 1 … 9 (3×3), kernel "3×3" given as $W_d=\begin{bmatrix}0&1\\1&0\end{bmatrix}$, $W_p = I_2$, $b = 0$,
# "输出通道数为2" (*two output channels*). Printed result: $D = P = Y = \begin{bmatrix}5&4\\6&5\end{bmatrix}$.
#
# The kernel is not 3×3; one channel and one kernel give one map but $W_p$ reads two; two output channels are
# announced and one is shown. And without padding *no* kernel gives these numbers. Move a window one row down, and
# each number that it reads grows by 3; one column to the right, by 1. So from one output to the one below the
# filter adds $3S$, to its right neighbour $S$, where $S$ is the sum of the weights: two steps of the same sign.
# The printed map rises downwards and falls to the right.
#
# [Notebook 1](01_convolution_by_hand.ipynb) does this in depth, with a search over paddings, strides and
# dilations. In the kernel forms and settings searched there, no reading of the image as printed gives the printed
# map. Here the essentials, and the repair: kernel 2×2, used twice ($M = 2$).

# %% tags=["E10"]
example, printed = worked_examples.two_equal_filters, np.array([[5.0, 4], [6, 5]])
for _ in range(10):
    any_kernel = rng.integers(-9, 10, (1, 1, 2, 2)).astype(float)
    out, S = conv2d(example.x, any_kernel, impl="naive")[0, 0], any_kernel.sum()
    assert (np.diff(out, axis=0) == 3 * S).all()
    assert (np.diff(out, axis=1) == S).all()
assert (np.diff(printed, axis=0) > 0).all()
assert (np.diff(printed, axis=1) < 0).all()

D = depthwise_conv2d(example.x, example.w_depthwise, impl="naive")
P = pointwise_conv2d(D, example.w_pointwise, example.b, impl="naive")
np.testing.assert_array_equal(relu(P, impl="numpy"), example.y)
show("Y of the repaired example", P[0])
assert D[0, 0].tolist() == [[2 + 4, 3 + 5], [5 + 7, 6 + 8]]
assert complexity.ratio(2, 2, multiplier=2) > 1
print(
    "cost against a standard convolution:",
    complexity.ratio(2, 2, multiplier=2),
    "times: here separating costs more",
)
claims.add(
    "example 1: D = P = Y = [[5, 4], [6, 5]]",
    "wrong",
    "[[6, 8], [12, 14]] on both channels; no kernel without padding gives the printed map",
)

# %% [markdown]
# ## The second worked example
#
# "4×4×3" announced, one 4×4 plane given (1 … 16). "2×2" kernels, a 2×4 matrix given. $W_p$ is 4×4 and would
# read four channels. Four output channels, one shown. And $P = D$ is printed, which $W_p$ forbids: it has rank
# 2, so $W_p D$ and $D W_p$ have rank at most 2; the printed $P$ has more. Repaired with the announced shapes:
# the plane on each of three channels, a kernel for each, the first three columns of $W_p$. ([Notebook
# 1](01_convolution_by_hand.ipynb) also searches for *any* kernel that gives the printed $D$, and finds none.)

# %% tags=["E11"]
ranks = {"W_p": int(np.linalg.matrix_rank(W_p4)), "printed P": int(np.linalg.matrix_rank(printed_D))}
print("ranks:", ranks)
assert ranks["W_p"] == 2 < ranks["printed P"]
assert not np.array_equal(W_p4 @ printed_D, printed_D)
assert not np.array_equal(printed_D @ W_p4, printed_D)

example = worked_examples.three_equal_channels
D = depthwise_conv2d(example.x, example.w_depthwise, impl="naive")
P = pointwise_conv2d(D, example.w_pointwise, example.b, impl="naive")
np.testing.assert_array_equal(relu(P, impl="numpy"), example.y)
show("D of the repaired example", D[0])
show("P of the repaired example", P[0])
assert complexity.ratio(4, 2) == 1 / 4 + 1 / 4
claims.add(
    "example 2: D = P = Y, starting 14, 15, 12, 13",
    "wrong",
    "P = D contradicts the printed W_p; repaired, P has four maps, the first starting 14, 18, 22",
)

# %% [markdown]
# ## The PyTorch project: is it depthwise at all?
#
# The decisive line, in the project and again in the last section of the document:
#
# ```python
# self.depth_conv = nn.Conv2d(in_channels, in_channels, kernel_size, padding=1)
# ```
#
# Without `groups=in_channels` this is a full standard convolution: every channel reads every channel. Our
# `Conv2d` has the same argument, so the effect can be counted, here for both steps together. The script itself
# never shows it: it runs with one input channel, where both are the same.

# %% tags=["E12"]
print(" C to O    without groups   depthwise   plain standard")
for c, o in ((1, 10), (3, 64), (32, 64)):
    mixing = PointwiseConv2d(c, o, rng=rng)
    as_written = complexity.summary(
        Sequential(Conv2d(c, c, 3, padding=1, rng=rng), mixing), (c, 32, 32)
    ).params
    meant = complexity.summary(
        Sequential(DepthwiseConv2d(c, 3, padding=1, rng=rng), mixing), (c, 32, 32)
    ).params
    plain = complexity.summary(Conv2d(c, o, 3, padding=1, rng=rng), (c, 32, 32)).params
    print(f"{c:2} to {o:3} {as_written:16,} {meant:11,} {plain:16,}")
    assert as_written - meant == (c * c - c) * 9
    assert (as_written == meant) == (c == 1)
assert (as_written, meant, plain) == (11_360, 2_432, 18_496)

grouped = Conv2d(C, C, 3, groups=C, padding=1, bias=False, rng=rng, impl="naive").astype(np.float64)
depthwise = depthwise_conv2d(x, grouped.weight.value, padding=1, impl="naive")
np.testing.assert_allclose(grouped(x), depthwise)  # groups=C is depthwise, to the weight's layout
claims.add(
    "nn.Conv2d(C, C, K) is the depthwise layer",
    "wrong",
    "groups=C is missing: 11,360 parameters (both steps) instead of 2,432 for 32 to 64 channels; hidden if C = 1",
)

# %% [markdown]
# ## Does the project run?
#
# ```python
# self.fc = nn.Linear(out_channels * 32 * 32, 10)      # 10,240 features
# x = F.adaptive_avg_pool2d(x, 1)                      # ... but one number for each of 10 channels
# ```
#
# Global pooling leaves 10 features. The dense layer wants 10,240. The first forward pass fails, here as in
# PyTorch. Two repairs are possible: keep the pooling and use `Linear(10, 10)`, or drop the pooling. Further down
# they are called the *pooled* and the *flat* head.

# %% tags=["E13"]
block = DepthwiseSeparableConv2d(1, 10, 3, padding=1, batch_norm=False, rng=rng)
as_written = set_impl(
    Sequential(block, GlobalAvgPool2d(), Flatten(), Linear(10 * 32 * 32, 10, rng=rng)), "im2col"
)
noise = rng.standard_normal((32, 1, 32, 32)).astype(np.float32)
print("features after pooling:", as_written[:3](noise).shape)
try:
    as_written(noise)
except ValueError as error:
    print("ValueError:", error)
else:
    raise AssertionError("the network as written should not run")
assert as_written[:3](noise).shape == (32, 10)
claims.add(
    "the project's network", "does not run", "Linear(10240, 10) after a pooling that leaves 10 features"
)

# %% [markdown]
# ## padding=1, whatever the kernel
#
# `kernel_size` is a parameter of the class, `padding=1` is not. It keeps the size for $K = 3$ only. For odd
# $K$ one needs $(K-1)/2$.

# %% tags=["E15"]
for k in (1, 3, 5, 7):
    fixed = DepthwiseConv2d(1, k, padding=1, rng=rng, impl="im2col")(noise[:1]).shape[2]
    fitting = DepthwiseConv2d(1, k, padding=k // 2, rng=rng, impl="im2col")(noise[:1]).shape[2]
    print(f"K = {k}: 32 → {fixed} with padding 1, {fitting} with padding {k // 2}")
    assert fixed == 32 + 2 - (k - 1)
    assert fitting == 32
claims.add("padding=1 for every kernel size", "wrong", "keeps the size for K = 3 only; use (K − 1)/2")

# %% [markdown]
# ## Formula and code do not agree
#
# The formula is $\text{ReLU}(\text{PW}(\text{DW}(X)))$. The project's class puts a ReLU *between* the steps as
# well; the short snippet at the end of the document (`activation(pointwise_conv(x))` after `depth_conv(x)`)
# follows the formula. Both are reasonable designs, but not the same function: with nothing in between, the pair
# before the last ReLU is linear (leave the biases out), so $f(-x) = -f(x)$. With a ReLU in between it is not.
#
# In the library this is an option, `mid_activation`. The snippet, repaired, is the option `None`:

# %% tags=["E14"]
how = {"padding": 1, "batch_norm": False, "bias": False, "impl": "im2col"}
plain = DepthwiseSeparableConv2d(3, 8, 3, mid_activation=None, rng=np.random.default_rng(5), **how).astype(
    np.float64
)
w_d, w_p = plain.depthwise.weight.value, plain.pointwise.weight.value
picture = rng.standard_normal((2, 3, 9, 8))


def snippet(x):  # the document's four lines, with groups in place
    x = depthwise_conv2d(x, w_d, padding=1, impl="im2col")
    return relu(pointwise_conv2d(x, w_p, impl="im2col"), impl="numpy")


assert np.array_equal(snippet(picture), plain(picture))  # not only close: the same bits


def before_last_relu(x, between):
    d = depthwise_conv2d(x, w_d, padding=1, impl="im2col")
    return pointwise_conv2d(relu(d, impl="numpy") if between else d, w_p, impl="im2col")


linear = np.abs(before_last_relu(-picture, False) + before_last_relu(picture, False)).max()
bent = np.abs(before_last_relu(-picture, True) + before_last_relu(picture, True)).max()
assert linear < 1e-12 < 1 < bent
with_relu = DepthwiseSeparableConv2d(3, 8, 3, mid_activation="relu", rng=np.random.default_rng(5), **how)
differ = np.mean(~np.isclose(with_relu.astype(np.float64)(picture), plain(picture)))
print(f"snippet and layer agree; a ReLU in between changes {differ:.0%} of the outputs")
assert differ > 0.3
claims.add(
    "the code computes the formula",
    "wrong",
    "the class has a ReLU between the steps, the formula has none; the closing snippet agrees with it",
)

# %% [markdown]
# ## The training log
#
# The project trains for 100 epochs on 32 images of noise with random labels and prints a loss "every epoch"
# ("每个epoch"; the code: every tenth). The document shows nine of these lines. Three independent ways to see
# that they were not printed by this program:
#
# * the loop prints ten lines, `Epoch [100/100]` is missing;
# * the loss is a float32. Printed by `loss.item()`, it must be one of the numbers that float32 can hold.
#   Send each printed number through float32 and see whether it comes back;
# * run it (next cell).

# %% tags=["E16"]
log = {  # as printed, letter by letter
    10: "2.2726133123196973",
    20: "2.104332060767749",
    30: "2.0463223465212446",
    40: "2.0773424968874756",
    50: "2.0838752944458008",
    60: "2.106957836652575",
    70: "2.1062782964620117",
    80: "2.1083564356560059",
    90: "2.1062782964620117",
}
due = [epoch + 1 for epoch in range(100) if (epoch + 1) % 10 == 0]
print("missing lines:", sorted(set(due) - set(log)))
assert sorted(set(due) - set(log)) == [100]
print("epoch   printed               nearest float32       what Python prints for the printed number")
for epoch, text in log.items():
    print(f"{epoch:5}   {text:20}  {float(np.float32(text))!r:20}  {float(text)!r}")
survive = [epoch for epoch, text in log.items() if repr(float(np.float32(text))) == text]
repeated = [epoch for epoch, text in log.items() if repr(float(text)) == text]
print(
    f"{len(survive)} of {len(log)} are float32 numbers; {len(repeated)} of {len(log)} are what Python would print"
)
assert not survive
assert len(repeated) < len(log) / 2

# %% [markdown]
# Not one of them. Most are not even what Python prints for *any* number: it uses as few digits as it needs.
#
# Now run the program in its two repaired forms, each with four seeds: all 32 images at once, Adam with
# learning rate 0.001, 100 epochs, as in the document. The dotted grey lines in the figure are the *entropy of the
# labels*, $-\sum_k q_k \ln q_k$ with the share $q_k$ of class $k$: the best loss of a model that gives the same
# answer to every image.
#
# With random labels there is nothing to learn. Below its dotted line a loss can come only by memorising the 32
# images.


# %%
def document_network(head, size, seed):
    """DW, ReLU, PW (1 to 10 channels), ReLU, then one of the two heads that fit; PyTorch's initial weights."""
    rng = np.random.default_rng(seed)
    block = DepthwiseSeparableConv2d(1, 10, 3, padding=1, batch_norm=False)
    tail = {
        "pooled": [GlobalAvgPool2d(), Flatten(), Linear(10, 10)],
        "flat": [Flatten(), Linear(10 * size * size, 10)],
    }
    for layer in (block.depthwise, block.pointwise, tail[head][-1]):
        bound = layer.weight.value[0].size ** -0.5  # weights and biases are uniform in ±1/√fan-in
        for parameter in layer.parameters():
            parameter.value[...] = rng.uniform(-bound, bound, parameter.value.shape)
    return set_impl(Sequential(block, *tail[head]), "im2col")


def run(head, seed):
    """The document's experiment: 100 losses, and the entropy of the labels."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((32, 1, 32, 32)).astype(np.float32), rng.integers(0, 10, 32)
    model = document_network(head, 32, seed)
    optimizer = Adam(model.parameters(), lr=0.001)
    share = np.bincount(y)[np.bincount(y) > 0] / len(y)
    return [train_step(model, x, y, optimizer) for _ in range(100)], float(-(share * np.log(share)).sum())


params = {
    head: complexity.summary(document_network(head, 32, 0), (1, 32, 32)).params for head in ("pooled", "flat")
}
assert params == {"pooled": 140, "flat": 102_440}

# %% tags=["E16", "rounding"]
colours = {"pooled": plots.INPUT, "flat": plots.KERNEL}
figure, (ax, near) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for head, colour in colours.items():
    for seed in range(4):
        losses, floor = run(head, seed)
        shown = losses[9::10]
        label = f"{head} head, {params[head]:,} parameters" if seed == 0 else None
        for axis in (ax, near):
            axis.plot(range(1, 101), losses, color=colour, alpha=0.8, label=label)
            axis.axhline(floor, color="0.6", linestyle=":", linewidth=0.8)
        ends = f"epoch 10: {shown[0]:.3f}   epoch 100: {shown[-1]:.3f}"
        print(f"{head:6} seed {seed}: {ends}   label entropy {floor:.3f}")
        assert all(a > b for a, b in pairwise(shown))  # both only ever fall
        if head == "pooled":
            assert shown[-1] > floor
        else:
            assert shown[-1] < 0.1
printed = np.array(list(log.values()), float)
for axis in (ax, near):
    axis.plot(list(log), printed, "o", color=plots.OUTPUT, label="printed in the document")
    axis.set(xlabel="epoch", ylabel="loss")
near.set(ylim=(1.85, 2.5), title="the same, enlarged")
ax.legend(frameon=False, fontsize=9)
assert printed[2] < printed[1:].min() + 1e-9
assert (printed[3:] > printed[2]).all()  # the printed losses rise again from epoch 30 on

claims.add(
    "the training log, nine losses",
    "wrong",
    "no float32 numbers, one line missing, and no repair of the program gives such a curve",
)
claims.add(
    "random images with random labels as a demonstration",
    "imprecise",
    "only memorising is possible: nothing is learned",
)

# %% [markdown]
# The small network (blue) creeps down; each run stays above its own dotted line: it has not even learned to ignore the
# images. The big one (green) memorises all 32. From one printed line to the next both only fall. Neither drops
# to 2.05, rises again and stalls at 2.106.
#
# ## The test output
#
# `Test Output: tensor([5.6039, 6.6039, …, 4.6039], grad_fn=<SoftmaxBackbone>)`. The model returns one row for
# each image: shape (1, 10), not (10,). It was computed under `no_grad`, so there is no `grad_fn`. There is no
# softmax in the network, and a softmax would sum to 1. "SoftmaxBackbone" is no name of PyTorch's. And look
# at the numbers:

# %% tags=["E17"]
output = np.array([5.6039, 6.6039, 7.6039, 8.6039, 9.6039, 0.6039, 1.6039, 2.6039, 3.6039, 4.6039])
print(
    "minus 0.6039:", (output - 0.6039).round(4).astype(int).tolist(), "  sum:", round(float(output.sum()), 3)
)
assert np.allclose(output - 0.6039, (np.arange(10) + 5) % 10)  # the digits 5 … 9, 0 … 4, with a decoration
assert not np.isclose(output.sum(), 1)

logits = document_network("pooled", 32, 0)(noise[:1])
probabilities = softmax(logits)
print("a real output:", logits.shape, "  after softmax it sums to", round(float(probabilities.sum()), 6))
assert logits.shape == (1, 10)
assert np.isclose(probabilities.sum(), 1)
claims.add(
    "the test output",
    "wrong",
    "wrong shape, a gradient node under no_grad, and k + 0.6039 for k = 5 … 9, 0 … 4",
)

# %% [markdown]
# ## What the project teaches after all
#
# Give the two repaired networks real digits: a small part of MNIST. One network learns, the other stays
# poor. The reason is in the first layer. With *one* input channel and $M = 1$ there is *one* 3×3 filter: all
# ten output channels are multiples of one filtered image (cut off by ReLU). The kernel of the pair has rank 1.
# Then pooling throws away *where* things are. Hence MobileNet begins with a standard convolution.

# %% tags=["rounding"]
digits = load("mnist5k")
part = np.arange(0, 4000, 4)
train, test = digits.train.take(part), digits.test.take(np.arange(0, 1000, 2))
models, scores = {}, {}
for head in ("pooled", "flat"):
    models[head] = model = document_network(head, 28, 0)
    fit(model, train, Adam(model.parameters(), lr=0.003), epochs=6, batch_size=32, seed=0)
    scores[head] = evaluate(model, test.images, test.labels).accuracy
    total = complexity.summary(model, (1, 28, 28))
    print(f"{head:6} head: {total.params:6,} parameters, {scores[head]:.0%} of the mini test right")
assert scores["flat"] > 0.75 > 0.35 > scores["pooled"]

block = models["flat"][0]
w_eff = np.einsum(
    "ocm,cmuv->ocuv", block.pointwise.weight.value.reshape(10, 1, 1), block.depthwise.weight.value
)
assert np.linalg.matrix_rank(w_eff.reshape(10, 9)) == 1
digit = to_float(test.images[7:8])
maps = block.pointwise(block.mid_activation(block.depthwise(digit)))[0]
flat = (maps - block.pointwise.bias.value[:, None, None]).reshape(10, -1)
assert np.linalg.svd(flat, compute_uv=False)[1] < 1e-4 * np.linalg.norm(flat)  # ten maps, one picture

figure, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
panels = {"x  (28, 28)": digit[0, 0], **{f"p[{o}]  (28, 28)": maps[o] for o in range(5)}}
for ax, (title, picture) in zip(axes, panels.items(), strict=True):
    ax.imshow(picture, cmap="gray_r")
    ax.set_title(title, fontsize=9, color=plots.INPUT if title[0] == "x" else plots.OUTPUT)
    ax.axis("off")

# %% [markdown]
# Some channels are the negative of others; there is nothing else between them.
#
# ## A replacement for GPT-3, BERT and ViT?
#
# The opening: large models such as "GPT-3、BERT和ViT" need too many resources, so depthwise separable
# convolution was explored "作为一种有效的替代方法" (*as an effective replacement*). These models consist of dense
# layers and attention. A dense layer that acts on each token by itself *is* a pointwise convolution already:
# $K = 1$. There is no spatial kernel to take out, and at $K = 1$ separating only adds cost. (ViT has one
# convolution, its first layer, with a stride as large as its kernel.)

# %% tags=["E21"]
tokens, dense = rng.standard_normal((2, 5, 16)), rng.standard_normal((24, 16))  # (N, length, features)
as_dense = tokens @ dense.T
as_pointwise = pointwise_conv2d(tokens.transpose(0, 2, 1)[..., None].copy(), dense, impl="naive")
np.testing.assert_allclose(as_pointwise[..., 0].transpose(0, 2, 1), as_dense, atol=1e-12)
for features in (768, 3072, 12288):  # widths met in BERT-base and GPT-3
    ratio = complexity.ratio(features, 1)
    print(f"a dense layer with {features:6,} outputs, separated: {ratio:.5f} times its cost")
    assert ratio > 1
claims.add(
    "a replacement for GPT-3, BERT, ViT",
    "wrong",
    "their dense layers are 1×1 convolutions already; at K = 1 nothing can be saved",
)

# %% [markdown]
# ## Installing, applications, references
#
# The rest of the document is claims about the world. They cannot be computed, only looked up. The next three
# cells set beside each what the sources say; the table at the end shows them. "Not found" means: not in the
# sources we could search. It is no proof that something does not exist.

# %% tags=["E18"]
setup = Claims()
setup.add(
    "Python版本：3.8及以上, built from the source of 3.8.10",
    "imprecise",
    "Python 3.8 reached its end of life in October 2024; PyTorch 2.13 declares Python 3.10 or later, so "
    "there `pip install torch` can only find an old release",
)
setup.add(
    "PyTorch版本：1.8及以上 (1.8 or later)",
    "imprecise",
    "with no version pinned nobody can repeat the results",
)
setup.add(
    "./configure; make; sudo make install",
    "imprecise",
    "may overwrite the system's python3; use `make altinstall` or a packaged Python",
)
setup.add("torch.nn.Conv2d函数 (function)", "wrong", "a class; the function is torch.nn.functional.conv2d")
assert len(setup.rows) == 4

# %% tags=["E19"]
uses = Claims()
uses.add(
    "MobileNet classifies ImageNet with it", "right", "Howard et al., MobileNets, arXiv:1704.04861, 2017"
)
uses.add(
    "Faster R-CNN uses it",
    "wrong",
    "standard convolutions of ZF and VGG networks (Ren et al., NeurIPS 2015); "
    "a detector that does: SSDLite (Sandler et al., CVPR 2018, arXiv:1801.04381)",
)
uses.add(
    "U-Net uses it",
    "wrong",
    "standard 3×3 convolutions (Ronneberger et al., MICCAI 2015); "
    "a segmenter that does: DeepLabv3+ (Chen et al., ECCV 2018, arXiv:1802.02611)",
)
uses.add("BERT uses it", "wrong", "attention and dense layers; no convolution at all")
uses.add(
    "the Transformer uses it for translation",
    "wrong",
    "attention and dense layers; a translator that does: SliceNet (Kaiser et al., ICLR 2018, arXiv:1706.03059)",
)
uses.add(
    "speech recognition, no example given",
    "imprecise",
    "true of QuartzNet (Kriman et al., ICASSP 2020) and of Conformer's convolution module "
    "(Gulati et al., Interspeech 2020)",
)
uses.add("recommender systems, no example given", "unsupported", "we know of none")
uses.add(
    "video, text classification and sentiment, no example given",
    "unsupported",
    "possible, also along time or along words; no source is given, and nothing is measured",
)
uses.add(
    "outlook: faster hardware, quantum and neuro-symbolic computing; open: interpretability, data, energy",
    "unsupported",
    "wishes without a source; the open questions are those of any network, not of this operator",
)
assert uses.counts()["wrong"] == 4

# %% tags=["E20"]
references = Claims()
references.add(
    "“Depthwise Separable Convolution”, “byhesion and Xiao Yang”, IEEE TPAMI 2017, as the first introduction",
    "unsupported",
    "no such paper found. The idea: Sifre and Mallat, CVPR 2013; Sifre, PhD thesis, École Polytechnique 2014; "
    "Vanhoucke, ICLR 2014 (talk); Chollet, Xception, CVPR 2017, arXiv:1610.02357",
)
references.add(
    "MobileNets, CVPR 2017, by six authors",
    "wrong",
    "arXiv:1704.04861, a preprint, not in the CVPR proceedings; the authors Andreetto and Adam are left out",
)
references.add(
    "《卷积神经网络：理论与实践》 (CNNs: theory and practice), by Eitelshoeffel; elsewhere by Srinivasan, 2018",
    "unsupported",
    "the two entries contradict each other; neither book found",
)
references.add(
    "《深度可分离卷积网络：理论与实践》 (a book on separable networks)", "unsupported", "not found"
)
references.add("Keras runs on Theano", "imprecise", "no longer: Keras 3 runs on TensorFlow, JAX and PyTorch")
references.add("Udacity: Deep Learning Engineer Nanodegree", "imprecise", "called Deep Learning Nanodegree")
references.add("Deep Learning, by Goodfellow, Bengio and Courville, 2016", "right", "MIT Press, 2016")
references.add(
    "fast.ai and the blogs of TensorFlow and Hugging Face tell how, “for example to optimise BERT with it”",
    "unsupported",
    "only front pages are given; BERT has no convolution "
    "(ConvBERT adds one: Jiang et al., NeurIPS 2020, arXiv:2008.02496)",
)
assert len(references.rows) == 8

# %% [markdown]
# ## The whole document in one table
#
# First what was computed, in the order of the cells; then what was looked up.

# %%
for table in (setup, uses, references):
    claims.extend(table)
assert len(claims.rows) == sum(claims.counts().values())
claims

# %% [markdown]
# ## Exercises
#
# Write the function in place of `raise NotImplementedError`, run both cells, and you are told.
#
# ### Exercise 1: the padding that keeps the size
#
# The project fixes `padding=1`. Write `padding_that_keeps(k, dilation)`: the padding on each side for which a
# kernel of odd size `k` with this dilation and stride 1 keeps the image's size.


# %% tags=["exercise"]
def padding_that_keeps(k, dilation):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def padding_keeps_the_size():
    for k in (1, 3, 5, 7):
        for dilation in (1, 2, 4):
            pad = padding_that_keeps(k, dilation)
            assert resolve_window("check", (20, 17), (k, k), 1, pad, dilation).output == (20, 17)


# %% [markdown]
# ### Exercise 2: the honest cost
#
# Write `costs(c, o, k, h, w, stride, padding)`: the pair (multiplications of the separable layer, of the standard
# layer) for one image. Mind which size counts.


# %% tags=["exercise"]
def costs(c, o, k, h, w, stride, padding):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def costs_use_the_output_size():
    for c, o, k, h, w, s, pad in ((3, 5, 3, 9, 8, 1, 1), (4, 7, 5, 11, 6, 2, 1), (2, 1, 1, 5, 4, 3, 0)):
        how = {"stride": s, "padding": pad, "bias": False}
        layers = DepthwiseSeparableConv2d(c, o, k, batch_norm=False, **how), Conv2d(c, o, k, **how)
        assert tuple(costs(c, o, k, h, w, s, pad)) == tuple(
            complexity.summary(a, (c, h, w)).macs for a in layers
        )


# %% [markdown]
# ### Exercise 3: the loss of a model that does not look
#
# A model that gives every image the same probabilities does best with the shares of the labels. Write
# `blind_loss(labels)`: its cross-entropy in nats. Hold it beside any training log: a loss above it means that
# the model has not learned to look.


# %% tags=["exercise"]
def blind_loss(labels):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def blind_loss_is_the_entropy():
    assert np.isclose(blind_loss(np.arange(10)), np.log(10))
    assert np.isclose(blind_loss(np.array([3, 3, 3])), 0)
    assert np.isclose(blind_loss(np.array([0, 0, 0, 7])), 0.75 * np.log(4 / 3) + 0.25 * np.log(4))
