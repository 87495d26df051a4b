# %% [markdown]
# # 24. The fourth source document, read critically: large models and fine-tuning
#
# The fourth source document, 《从零开始大模型开发与微调：深度可分离卷积的定义》 ("large models and fine-tuning
# from scratch: the definition of depthwise separable convolution"), is a table of contents that became an
# essay: large models, the operator, its formulas, its limits, code for classification and detection, and
# fine-tuning. Here each claim meets a computation.
#
# **At the end you can** say in which sense a convolution *is* a matrix product, refute a false rule about
# sizes with one example, see why initialisation needs the right fan, find out what a code snippet would
# compute, and measure what fine-tuning gains and forgets.
#
# **You need** [notebook 1](01_convolution_by_hand.ipynb) (convolution by hand). Notebooks [8](08_what_it_costs.ipynb)
# (what it costs) and [11](11_normalisation_activations_initialisation.ipynb) (initialisation) help.
#
# | symbol | meaning |
# |---|---|
# | $C$, $O$ | channels going in, channels coming out |
# | $K$, $s$, $p$, $d$ | the kernel is $K \times K$; stride, padding on each side, dilation |
# | $M$ | depth multiplier: depthwise filters for each channel |
# | $W^d$, $W^p$ | depthwise filters $(C, K, K)$, pointwise matrix $(O, C)$ |
# | fan-in | how many products each sum of a layer has |

# %%
# %matplotlib inline
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from npdsconv import (
    complexity,
    conv2d,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    im2col,
    init,
    pointwise_conv2d,
    relu,
    softmax_cross_entropy,
)
from npdsconv.data import Split, load
from npdsconv.layers import (
    Conv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    PointwiseConv2d,
    Sequential,
)
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.documents import Claims
from npdsconv.models import separable_cnn
from npdsconv.optim import Adam
from npdsconv.plots import INPUT, KERNEL, OUTPUT
from npdsconv.shapes import resolve_window
from npdsconv.train import evaluate, fit, nearest_class_mean

rng = np.random.default_rng(24)
claims = Claims()  # each cell adds its verdicts after its assertions; the table comes last

# %% [markdown]
# ## How large is large?
#
# **The document (chapter 1):** 大模型通常指的是那些拥有数十亿甚至千亿参数的神经网络模型。例如，BERT … 和 GPT ("models
# with billions or even hundreds of billions of parameters, for example BERT and GPT"). AlexNet and VGG are
# 早期大模型 ("early large models"). GPT-3 has 1750亿, 175 billion.
#
# Do not look it up: count. The published widths and depths are enough. BERT and GPT are Transformers: stacks of
# equal layers that hold mostly square matrices. One layer of width $w$ has $12w^2 + 13w$ parameters: four
# $w \times w$ matrices for attention, two $w \times 4w$ matrices, the rest biases and norms. Add a vector of length
# $w$ for each word and each position. For AlexNet and VGG, add up the layers.


# %% tags=["E57"]
def transformer(layers, width, words, positions, extra=0):
    """Parameters of the layers, of the words' and positions' vectors, and what else there is."""
    return layers * (12 * width**2 + 13 * width) + (words + positions) * width + extra


def plain(convolutions, dense):
    """Weights and biases: (C/groups, O, K) for convolutions, (inputs, outputs) for dense layers."""
    return sum(o * (c * k * k + 1) for c, o, k in convolutions) + sum((c + 1) * o for c, o in dense)


widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
vgg16 = [(c, o, 3) for c, o in pairwise(widths)]
alexnet = [(3, 96, 11), (48, 256, 5), (256, 384, 3), (192, 384, 3), (192, 256, 3)]
bert_extra = 2 * 1024 + 2 * 1024 + 1024**2 + 1024  # sentence types, norm, pooler
sizes = {
    "AlexNet": plain(alexnet, [(9216, 4096), (4096, 4096), (4096, 1000)]),
    "GPT": transformer(12, 768, 40_478, 512),
    "VGG16": plain(vgg16, [(25_088, 4096), (4096, 4096), (4096, 1000)]),
    "BERT-large": transformer(24, 1024, 30_522, 512, bert_extra),
    "GPT-3": transformer(96, 12_288, 50_257, 2048, 2 * 12_288),
}
for name, size in sizes.items():
    print(f"{name:10} {size:15,}")
assert sizes["VGG16"] == 138_357_544
assert sizes["BERT-large"] < 0.4e9  # not billions
assert sizes["GPT"] < 0.2e9
assert round(sizes["GPT-3"] / 1e9, 1) == 174.6
assert [round(sizes[name] / 1e9, 2) for name in ("AlexNet", "VGG16")] == [0.06, 0.14]
claims.add("billions of parameters, for example BERT", "wrong", "BERT-large has a third of one billion")
claims.add("GPT-3 has 175 billion parameters", "right", "counted: 174.6 billion")
claims.add("AlexNet and VGG are early large models", "imprecise", "0.06 and 0.14 billion: large in their day")

figure = Figure(figsize=(7, 2.2), layout="constrained")
ax = figure.subplots()
ax.scatter(list(sizes.values()), list(sizes), s=60, color=INPUT)
ax.axvline(1e9, color=OUTPUT)
ax.text(1.2e9, 0.3, "one billion", color=OUTPUT)
ax.set(xscale="log", xlabel="parameters (each step to the right: ten times as many)", xlim=(3e7, 5e11))
ax.grid(axis="y", alpha=0.3)
ax.invert_yaxis()
figure

# %% [markdown]
# ## "A convolution is a matrix product"
#
# **The document (3.1):** $\text{output}_{ij} = \sum_k \text{weight}_{ik} \times \text{input}_{kj}$, where
# weight is the kernel and input the feature map. That is the definition of the matrix product
# `weight @ input`.
#
# Take the 3×3 image 1 … 9 and the kernel $\begin{bmatrix}0&1\\1&0\end{bmatrix}$. A 2×2 matrix times a 3×3
# matrix does not exist. Put the kernel into a corner of a 3×3 matrix of zeros, and the product exchanges two
# rows of the image. Nothing slides.
#
# **The truth:** a convolution becomes a matrix product *after im2col*, which writes every window as a column.

# %% tags=["E48"]
X = worked_examples.two_equal_filters.x[0, 0]
w = np.array([[0.0, 1], [1, 0]])
try:
    w @ X
except ValueError:
    print("2×2 @ 3×3: no such product")
else:
    raise AssertionError("the product should not exist")

large = np.zeros((3, 3))
large[:2, :2] = w
show("as printed, kernel set into 3×3", large @ X)
y = conv2d(X[None, None], w[None, None], impl="naive")[0, 0]
show("the convolution", y)
assert (large @ X).tolist() == [[4, 5, 6], [1, 2, 3], [0, 0, 0]]
assert y.tolist() == [[6, 8], [12, 14]]
assert np.array_equal(w.reshape(1, 4) @ im2col(X[None, None], 2)[0], y.reshape(1, 4))
claims.add(
    "output_ij = Σ_k weight_ik · input_kj is a convolution",
    "wrong",
    "a plain matrix product; true once the windows are written as columns (im2col)",
)
pictures.im2col_matrix(X, w)

# %% [markdown]
# ## Three more formulas
#
# **The document (3.2):**
#
# 1. depthwise: $\sum_k \text{filter}_{ik} \times \text{input}_{kj}$: the same matrix product again, with
#    neither channels nor a window;
# 2. pointwise: $\sum_j \text{weight}_{ij} \times \text{depth\_conv}_{ij}$: each row of the map is added up,
#    so one index is left;
# 3. together: $\text{output}_{ij} = \sum_k \text{weight}_{ik} (\sum_j \text{filter}_{ik} \times
#    \text{input}_{kj})$: here $j$ is summed *and* free. Summed inside, nothing depends on it outside.
#
# **The truth**, at stride 1 without padding:
#
# $$y_{o,i,j} = b_o + \sum_c W^p_{o,c} \sum_{u,v} W^d_{c,u,v}\, x_{c,\,i+u,\,j+v}$$

# %% tags=["E49"]
ones = np.ones((3, 3))
pointwise_printed = np.einsum("ij,ij->i", X, ones)
total_printed = np.repeat(np.einsum("ik,ik,kj->i", X, ones, X)[:, None], 3, axis=1)
print("printed pointwise:", pointwise_printed, "has shape", pointwise_printed.shape)
show("printed total, weight = input = 1 … 9, filter = 1", total_printed)
assert pointwise_printed.shape == (3,)
assert (total_printed == total_printed[:, :1]).all()  # the same in every column
assert total_printed[:, 0].tolist() == [108, 243, 378]

example = worked_examples.three_distinct_channels
windows = np.lib.stride_tricks.sliding_window_view(example.x[0], (2, 2), axis=(1, 2))  # (C, i, j, u, v)
true = np.einsum("oc,cuv,cijuv->oij", example.w_pointwise, example.w_depthwise[:, 0], windows)
true += example.b[:, None, None]
show("the true formula, on the example with channels 1 … 48", true)
np.testing.assert_array_equal(true, example.p[0])
claims.add("depthwise: Σ_k filter_ik · input_kj", "wrong", "the same matrix product; no channel, no window")
claims.add(
    "pointwise: Σ_j weight_ij · depth_ij", "wrong", "adds up each row; it must mix channels at each pixel"
)
claims.add("together: Σ_k weight_ik (Σ_j filter_ik · input_kj)", "wrong", "constant along j")
claims.add(
    "逐点乘以权重并相加 (point by point, multiplied by weights and added up)",
    "imprecise",
    "right if “added up” means over the channels",
)

# %% [markdown]
# ## Must the size be a multiple of $K$?
#
# **The document (4.2):** 输入数据的宽度（或高度）需要是卷积核尺寸的整数倍，否则在逐点卷积步骤中会出现边缘填充问题 ("the
# width or height must be a multiple of the kernel size, otherwise a problem of border padding appears in the
# pointwise step").
#
# **The truth:** all that is needed is that the kernel fits: $H + 2p \ge d(K-1) + 1$. A 1×1 step fits
# everywhere and never needs padding. What is true: with a stride, the last $(H + 2p - d(K-1) - 1) \bmod s$ rows of
# the padded image are not read.

# %% tags=["E50"]
print("  H  K  s  p  d   H mod K   output")
cases = [
    (28, 3, 1, 1, 1),
    (29, 3, 1, 1, 1),
    (5, 3, 1, 0, 1),
    (7, 5, 2, 2, 1),
    (28, 5, 1, 2, 1),
    (28, 5, 3, 0, 1),
]
for H, K, s, p, d in cases:
    out = resolve_window("case", (H, H), (K, K), s, p, d).output[0]
    print(f"{H:3} {K:2} {s:2} {p:2} {d:2} {H % K:9} {out:8}")
    assert H % K != 0

for H, K, s, p, d in np.ndindex(30, 7, 3, 3, 2):  # every size, multiple or not
    H, K, s, d = H + 1, K + 1, s + 1, d + 1
    try:
        resolve_window("all", (H, H), (K, K), s, p, d)
        fits = True
    except ValueError:
        fits = False
    assert fits == (H + 2 * p >= d * (K - 1) + 1)
try:
    resolve_window("a multiple", (3, 3), (3, 3), dilation=2)
except ValueError as error:
    print(error, "(although 3 is a multiple of 3)")

prime = rng.standard_normal((1, 3, 5, 7))  # sizes that are multiples of nothing
assert pointwise_conv2d(prime, np.ones((2, 3)), impl="naive").shape == (1, 2, 5, 7)
dy = np.ones((1, 1, *resolve_window("rows", (28, 28), (5, 5), 3).output))
dx, _, _ = depthwise_conv2d_backward(
    dy, np.ones((1, 1, 28, 28)), np.ones((1, 1, 5, 5)), stride=3, impl="im2col"
)
unread = int((dx[0, 0].sum(axis=1) == 0).sum())
print("28 rows, K = 5, stride 3:", unread, "rows are never read")
assert unread == (28 - 4 - 1) % 3 == 2
claims.add(
    "the size must be a multiple of K", "wrong", "it must fit: H + 2p ≥ d(K−1) + 1; a multiple may not fit"
)
claims.add("otherwise the pointwise step has a padding problem", "wrong", "1×1 never needs padding")

# %% [markdown]
# ## Is a large kernel bad for separable convolution?
#
# **The document (4.2):** 当卷积核尺寸较大时，深度可分离卷积可能无法有效地捕捉到局部特征 ("with a large kernel
# it may not capture local features effectively").
#
# **The truth:** a large kernel contains every smaller one: set the outer weights to zero. What is
# restricted is something else, at every $K$: for each input channel, the kernels towards all outputs are
# multiples of the $M$ filters. As a matrix (outputs × taps) they have rank at most $M$. And large kernels are
# where separating saves *most*: the ratio $M(1/O + 1/K^2)$ falls with $K$.

# %% tags=["E51"]
photo = rng.standard_normal((1, 4, 12, 11))
small = rng.standard_normal((4, 1, 3, 3))
wide = np.pad(small, ((0, 0), (0, 0), (2, 2), (2, 2)))  # 7×7, zeros around
same = depthwise_conv2d(photo, wide, padding=3, impl="naive")
np.testing.assert_allclose(same, depthwise_conv2d(photo, small, padding=1, impl="naive"), atol=1e-12)

for M in (1, 2, 4):
    filters, mix = rng.standard_normal((4, M, 3, 3)), rng.standard_normal((16, 4, M))
    kernels = np.einsum("ocm,cmuv->ocuv", mix, filters)  # the standard kernel of the pair
    ranks = [int(np.linalg.matrix_rank(kernels[:, c].reshape(16, 9))) for c in range(4)]
    print(f"M = {M}: rank for each input channel {ranks}")
    assert ranks == [M] * 4

K = np.arange(1, 12)
ratios = {o: [complexity.ratio(o, int(k)) for k in K] for o in (16, 64, 256)}
assert all(np.all(np.diff(values) < 0) for values in ratios.values())
claims.add(
    "a large kernel captures local features badly",
    "wrong",
    "it contains all smaller ones; the limit is rank ≤ M for each channel, and the saving grows with K",
)
figure = Figure(figsize=(6, 3), layout="constrained")
ax = figure.subplots()
for (o, values), colour in zip(ratios.items(), (INPUT, KERNEL, OUTPUT), strict=True):
    ax.plot(K, values, marker=".", color=colour, label=f"O = {o}")
ax.axhspan(1, 1.4, color="0.9")
ax.text(11, 1.03, "nothing saved", ha="right", va="bottom", fontsize=8)
ax.set(xlabel="kernel size K", ylabel="separable / standard", yscale="log", xticks=K, ylim=(None, 1.4))
ax.legend(frameon=False)
figure

# %% [markdown]
# ## High complexity, slow updates?
#
# **The document** praises the low computational complexity (4.1). In 7.1 深度可分离卷积的计算复杂度较高 ("its
# computational complexity is rather high") and its parameters update slowly. In 7.2 the remedy is Xavier or
# He initialisation.
#
# The first two exclude each other: the ratio above decides. The remedy is good advice *if the fan-in is right*. He
# draws random weights with variance 2 / fan-in, Xavier with 2 / (fan-in + fan-out), so that a signal neither grows
# nor fades from layer to layer. A depthwise filter sums $K^2$ products; one channel sees itself alone. A program
# that reads the fan-in off the array as if it were a standard kernel takes $C K^2$ and makes the weights too small
# by $\sqrt C$. Send noise through ten blocks (depthwise, ReLU, pointwise, ReLU) and look at the size of the signal
# (root mean square).


# %% tags=["E52"]
def after_ten_blocks(depthwise_weights, pointwise_weights):
    signal = np.random.default_rng(0).standard_normal((2, 64, 10, 10)).astype(np.float32)
    for _ in range(10):
        ring = np.pad(signal, ((0, 0), (0, 0), (1, 1), (1, 1)), "wrap")  # no border effects
        signal = relu(depthwise_conv2d(ring, depthwise_weights(), impl="im2col"), impl="numpy")
        signal = relu(pointwise_conv2d(signal, pointwise_weights(), impl="im2col"), impl="numpy")
    return float(np.sqrt(np.mean(signal**2)))


C, shape = 64, (64, 1, 3, 3)
fan_in, fan_out = init.fans("depthwise", shape)
left = {
    "He, right fan-in 9": after_ten_blocks(
        lambda: init.he_normal(shape, fan_in, rng), lambda: init.he_normal((C, C), C, rng)
    ),
    "He, fan-in 64·9": after_ten_blocks(
        lambda: init.he_normal(shape, C * fan_in, rng), lambda: init.he_normal((C, C), C, rng)
    ),
    "Xavier, right fans": after_ten_blocks(
        lambda: init.xavier_normal(shape, fan_in, fan_out, rng), lambda: init.xavier_normal((C, C), C, C, rng)
    ),
}
for name, size in left.items():
    print(f"{name:20} signal after ten blocks: {size:.0e}")
assert left["He, right fan-in 9"] > 0.05
assert left["He, fan-in 64·9"] < 1e-6
assert left["He, fan-in 64·9"] < left["Xavier, right fans"] < left["He, right fan-in 9"]
assert complexity.ratio(64, 3) < 0.13
claims.add(
    "its computational complexity is rather high", "wrong", "about an eighth of the standard at O = 64, K = 3"
)
claims.add("few parameters, less work (参数减少，计算效率提升)", "right", "by the factor M(1/O + 1/K²)")
claims.add("parameters update slowly", "unsupported", "nothing measured; a wrong fan-in would be a reason")
claims.add(
    "Xavier or He initialisation helps", "imprecise", "He, with fan-in K² for depthwise, keeps the signal"
)

# %% [markdown]
# With He and the right fan-in the signal stays of order one. With the wrong one it dies on the way, and so does the
# gradient. Xavier fades too, more slowly: it does not reckon with ReLU, which takes away half of the mean square.
# Batch norm would hide all this, by bringing each channel back to size one after every step.
#
# ## The snippets of chapter 5
#
# ```python
# conv1 = tf.keras.layers.DepthwiseConv2D(kernel_size=(3, 3), activation='relu')
# conv2 = tf.keras.layers.PointwiseConv2D(kernel_size=(1, 1), activation='relu')
# x = conv2(conv1(x))                                          # shortened
# output = tf.keras.layers.Dense(10, activation='softmax')(x)
# ```
#
# **What is wrong:** Keras has no `PointwiseConv2D`; a pointwise step is `Conv2D(filters, 1)`, or
# `SeparableConv2D` for both steps. The number of filters is never given. `x` is never defined. And `Dense` on
# a 4-D tensor acts on the last axis, so there is one softmax *for each pixel*. The detection snippet is the
# same with one more convolution: "classification and regression" out of a single softmax, without a box.

# %% tags=["E53", "E54"]
N, C, O = 2, 8, 32
features = rng.standard_normal((N, C, 26, 26)).astype(np.float32)
step = PointwiseConv2d(C, O, rng=rng, impl="im2col")  # the number of outputs has to be said
twin = Conv2d(C, O, 1, rng=rng, impl="im2col")
twin.weight.value[...] = step.weight.value[:, :, None, None]
np.testing.assert_allclose(step(features), twin(features), atol=1e-5)
print(
    "a pointwise step is a 1×1 convolution:", step.weight.value.size, "=", twin.weight.value.size, "weights"
)

dense, labels = rng.standard_normal((O, 10)).astype(np.float32), np.array([3, 7])
channels_last = step(features).transpose(0, 2, 3, 1)
per_pixel = channels_last @ dense  # what Dense does with 4 axes
pooled = channels_last.mean(axis=(1, 2)) @ dense
print("Dense on 4 axes:", per_pixel.shape, "  after global pooling:", pooled.shape, "  labels:", labels.shape)
assert per_pixel.shape == (N, 26, 26, 10)
assert np.isfinite(softmax_cross_entropy(pooled, labels)[0])
try:
    softmax_cross_entropy(per_pixel, labels)
except ValueError as error:
    print("the loss says:", error)
else:
    raise AssertionError("676 answers for a picture should not fit one label")
claims.add("tf.keras.layers.PointwiseConv2D", "does not run", "no such class; Conv2D(filters, 1)")
claims.add("Dense(10) classifies", "does not run", "x undefined; one softmax per pixel: pool first")
claims.add("detection: classification and regression", "wrong", "one softmax of 10, no box, no grid, no loss")
claims.add(
    "检测网络的前几层 (in a detector's first layers it raises accuracy and speed)",
    "unsupported",
    "nothing is measured; MobileNet itself begins with a standard convolution",
)

# %% [markdown]
# ## The classifier it should have been
#
# Depthwise 3×3 with 8 filters for the one channel ($M = 8$) and ReLU, pointwise to 32 and ReLU, global average
# pooling, dense layer to 10 classes. We train it for a few seconds on 2,000 of the embedded digits.

# %% tags=["rounding"]
digits = load("mnist5k")
some = Split(digits.train.images[:2000], digits.train.labels[:2000])
classifier = Sequential(
    DepthwiseSeparableConv2d(1, 32, 3, depth_multiplier=8, batch_norm=False, rng=rng),
    GlobalAvgPool2d(),
    Flatten(),
    Linear(32, 10, rng=rng),
)
cost = complexity.summary(classifier, (1, 28, 28))
assert cost.params == (8 * 9 + 8) + (32 * 8 + 32) + (32 * 10 + 10) == 698
history = fit(classifier, some, Adam(classifier.parameters(), lr=3e-2), epochs=5, batch_size=50, seed=0)
for result in history:
    print(f"epoch {result.epoch}: loss {result.train_loss:.2f}, right {result.train_accuracy:.2f}")
score = evaluate(classifier, digits.test.images, digits.test.labels).accuracy
print(f"{cost.params} parameters, {cost.macs:,} MACs, mini test {score:.3f}")
assert 0.2 < score < 0.8
claims.add(
    "such a network classifies images",
    "imprecise",
    "repaired it learns, but one block and averaging are weak: far from what a digit classifier reaches",
)

# %% [markdown]
# It learns, far above chance (0.1) and far below a good classifier. Averaging over all positions keeps only
# *how much* of each 3×3 pattern there is, not *where*.
#
# ## Fine-tuning VGG16
#
# **The document (8.1):**
#
# ```python
# base_model = tf.keras.applications.VGG16(weights='imagenet', include_top=False)
# x = tf.keras.layers.Flatten()(base_model.output)
# x = tf.keras.layers.Dense(10, activation='softmax')(x)
# ```
#
# **What is wrong:** without `input_shape` height and width are unknown, so `Flatten` has no length and the
# dense layer no weights. The backbone is not frozen and gets no preprocessing. And VGG16 has **no** depthwise
# separable layer, so it shows nothing about the subject. Count both heads (the dense layer at the end) and the
# backbone (all before it):

# %% tags=["E55"]
try:
    512 * None * None  # channels · unknown height · unknown width
except TypeError as error:
    print("Flatten of an unknown size:", error)

side = 224 // 2**5  # five poolings
heads = {"flatten": (512 * side**2 + 1) * 10, "global pooling": (512 + 1) * 10}
standard = sum(c * o * k * k for c, o, k in vgg16)
separable = sum(c * k * k + c * o for c, o, k in vgg16)
print("heads:", {name: f"{count:,}" for name, count in heads.items()})
print(f"VGG16's {len(vgg16)} convolutions: {standard:,} weights; as separable ones: {separable:,}")
assert heads == {"flatten": 250_890, "global pooling": 5_130}
assert len(vgg16) == 13
assert 8 < standard / separable < 9
claims.add(
    "VGG16, Flatten, Dense(10)",
    "does not run",
    "input size unknown; head 250,890 weights, 5,130 with pooling",
)
claims.add("VGG16 as a case of separable convolution", "wrong", "13 standard convolutions, none separable")
claims.add("fine-tuned in 5 epochs, performance is optimised", "unsupported", "no data, no number")

# %% [markdown]
# ## Fine-tuning YOLOv5
#
# **The document (8.2):**
#
# ```python
# base_model = tf.keras.applications.YOLOv5(weights='yolov5s', include_top=False)
# x = tf.keras.layers.Conv2D(3, kernel_size=(1, 1), activation='sigmoid')(x)
# model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
# ```
#
# **What is wrong:** `tf.keras.applications` has no YOLO model. A YOLO head needs, for each of 3 anchors, 4
# numbers for the box, 1 for "something is here" and one for each class: $3(5 + n)$ channels, not 3. Binary
# cross-entropy alone knows no boxes. And accuracy hides everything: most cells are empty.

# %% tags=["E56"]
print("channels of a head:", {classes: 3 * (5 + classes) for classes in (1, 20, 80)})
assert 3 * (5 + 80) == 255
assert 3 * (5 + 1) == 18

truth = np.zeros((100, 20, 20), bool)  # 100 pictures, a grid of 20×20 cells
for picture in truth:
    picture.flat[rng.choice(400, size=2, replace=False)] = True  # two objects in each
lazy = np.zeros_like(truth)  # a detector that never finds anything
accuracy, recall = float(np.mean(lazy == truth)), float(np.mean(lazy[truth]))
print(f"a detector that says “nothing” everywhere: accuracy {accuracy:.3f}, objects found {recall:.0%}")
assert accuracy == 0.995
assert recall == 0
claims.add("tf.keras.applications.YOLOv5", "does not run", "no such model, no weights 'yolov5s'")
claims.add("Conv2D(3, 1, sigmoid) is a detection head", "wrong", "3(5 + n) channels; box loss missing")
claims.add("accuracy measures detection", "wrong", "0.995 for finding nothing; use IoU and mAP")

# %% [markdown]
# ## Zero, partial and full fine-tuning
#
# **The document (6.1, 6.2):** 零微调 ("zero fine-tuning", use the model as it is) suits easy tasks with few
# data; partial and full fine-tuning follow. Fine-tuning 保持原有模型的泛化能力 ("keeps the original model's
# generalisation").
#
# **Test it.** A small separable network learns the digits 0 to 4. Then there are 200 new images, and two new
# tasks: 5 to 9, which share nothing with the old one, and 3 to 7, which *overlap*: 3 and 4 are in both.
#
# * *as it is*: use the network unchanged;
# * *class means*: unchanged features, each new class is the mean of its images' features, nothing is trained;
# * *head only*: freeze all but the dense layer; *full*: train everything.
#
# All have ten outputs from the beginning. Training is repeated with three seeds.

# %% tags=["E58", "rounding"]
old = np.arange(5)
TASKS = {"5 to 9": np.arange(5, 10), "3 to 7": np.arange(3, 8)}


def only(split, classes, n=None):
    return split.take(np.flatnonzero(np.isin(split.labels, classes))[:n])


def score_on(model, classes):
    test = only(digits.test, classes)
    return evaluate(model, test.images, test.labels).accuracy


source = separable_cnn(width=0.25, stem_stride=2, rng=rng)
fit(
    source, only(digits.train, old, 1500), Adam(source.parameters(), lr=5e-3), epochs=5, batch_size=64, seed=0
)
before = source.state_dict()


def tuned(how, few, seed):
    """A copy of the source that has learned from a few images."""
    model = source.copy()
    if how == "head only":
        model[:-1].freeze()
    learn = [parameter for parameter in model.parameters() if parameter.trainable]
    fit(model, few, Adam(learn, lr=5e-3), epochs=10, batch_size=20, seed=seed)
    same = sum(np.array_equal(value, before[key]) for key, value in model.state_dict().items())
    assert same == (len(before) - 2 if how == "head only" else 0)
    return model


results = {}
for task, new in TASKS.items():
    few, test = only(digits.train, new, 200), only(digits.test, new)
    gone, shared = np.setdiff1d(old, new), np.intersect1d(old, new)
    groups = {"new task": new, "only in the old task": gone} | ({"in both": shared} if len(shared) else {})
    nearest = nearest_class_mean(source, few, test.images)
    nets = {"as it is": [source]} | {
        how: [tuned(how, few, k) for k in range(3)] for how in ("head only", "full")
    }
    print(f"the new task is {task}, 200 images; class means read {np.mean(nearest == test.labels):.2f}")
    for how, found in nets.items():
        for group, classes in groups.items():
            results[task, how, group] = [score_on(net, classes) for net in found]
        shown = ", ".join(f"{g} {np.mean(results[task, how, g]):.2f}" for g in groups)
        spread = max(np.std(results[task, how, g], ddof=1) for g in groups) if len(found) > 1 else 0
        print(f"  {how:10} {shown}   (largest spread {spread:.2f})")
    assert np.mean(nearest == test.labels) > 0.35
    assert min(results[task, "as it is", "only in the old task"]) > 0.7
    assert max(results[task, "head only", "only in the old task"]) < 0.4
    assert max(results[task, "full", "only in the old task"]) < 0.3  # forgotten
    assert min(results[task, "full", "new task"]) > 0.6
assert max(results["5 to 9", "as it is", "new task"]) < 0.05  # it never answers 5 to 9
assert min(results["3 to 7", "full", "in both"]) > 0.6  # kept: the new images have them too

figure = Figure(figsize=(8, 2.8), layout="constrained")
colours = {"new task": OUTPUT, "only in the old task": INPUT, "in both": KERNEL}
for ax, task in zip(figure.subplots(1, 2, sharey=True), TASKS, strict=True):
    for k, (group, colour) in enumerate(colours.items()):
        hows = [how for how in nets if (task, how, group) in results]
        heights = [np.mean(results[task, how, group]) for how in hows]
        ax.bar(np.arange(len(hows)) + 0.27 * (k - 1), heights, 0.25, color=colour, label=group)
    ax.set_xticks(range(len(nets)), list(nets))
    ax.set_title(f"new task: {task}", fontsize=9)
    ax.set_ylim(0, 1)
figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
figure.axes[0].set_ylabel("share right")
figure

# %% [markdown]
# Used as it is, the network gets *none* of the digits 5 to 9 right: it has no answer for classes that were not in
# its training. Its features are useful, though: class means work without any training (and leave the old answers
# alone). Full fine-tuning learns the new task best. What of the old one? **What the new images hold too is
# kept; what they do not hold is forgotten**, since nothing in the loss reminds of it. Training the head alone does it
# already: the outputs of the missing classes are pushed down. So the document's promise holds for the overlap
# alone. It also holds where old data are mixed in, or where each task has a head of its own on a frozen body:
# [lesson 16](16_fine_tuning_in_eight_steps.ipynb) measures that one. One source network, 200 images, 10 epochs: the
# numbers belong to these.
#
# ## Sources, and the whole document in one table
#
# The document has no reference at all. The last rows of the table supply them. Which were looked up again is said in
# [sources](../docs/sources.md).

# %%
claims.add(
    "zero fine-tuning suits easy tasks with few data",
    "imprecise",
    "only for the same classes; new classes need a new head or class means",
)
claims.add(
    "fine-tuning keeps the model's generalisation",
    "wrong",
    "measured above: classes that the new data share are kept, the others forgotten",
)
claims.add("partial and full fine-tuning (局部微调, 全微调)", "right", "both exist and behave as described")

sources = Claims()
sources.add(
    "Xavier and He initialisation, learning rate with periodic restarts (no reference)",
    "right",
    "Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015; Loshchilov and Hutter, SGDR, ICLR 2017",
)
sources.add(
    "depthwise separable convolution (no reference)",
    "imprecise",
    "Sifre, thesis, 2014; Chollet, CVPR 2017, arXiv:1610.02357; Howard et al., arXiv:1704.04861",
)
sources.add(
    "ResNet brought residual connections, Inception parallel branches (no reference)",
    "right",
    "He et al., CVPR 2016; Szegedy et al., CVPR 2015",
)
sources.add(
    "sizes of BERT and the GPT models (no reference)",
    "imprecise",
    "Devlin et al., NAACL 2019; Radford et al., 2018; Brown et al., NeurIPS 2020: counted above",
)
sources.add(
    "局部感知野 (local perception field)", "imprecise", "the usual term is 局部感受野, receptive field"
)
sources.add(
    "the workflows and best practices of chapters 9 and 10 (data, design, training, evaluation; recall, F1)",
    "right",
    "general advice, usual everywhere; nothing in it is particular to the operator",
)
sources.add(
    "元学习、模型压缩 speed up fine-tuning (meta-learning, model compression)",
    "imprecise",
    "meta-learning aims at quick adaptation; compression makes a model smaller, it does not adapt it",
)
sources.add(
    "常见问题与解答 (frequent questions and answers, appendix B)",
    "imprecise",
    "nine questions and not one answer",
)
sources.add(
    "Matplotlib and Seaborn evaluate models (appendix A)",
    "imprecise",
    "they draw; scikit-learn has the measures",
)
sources.add("a biography of the author 梅汝敖", "unsupported", "nothing to verify it by")
claims.extend(sources)
assert set(claims.counts()) == {"right", "imprecise", "unsupported", "wrong", "does not run"}
claims

# %% [markdown]
# ## Exercises
#
# Write the function in place of `raise NotImplementedError`, run both cells, and you are told.
#
# ### Exercise 1: the matrix that a convolution is
#
# im2col rearranges the image. One can also leave the image alone and build a matrix $A$ from the *kernel*, so
# that $y = A x$ with $x$ and $y$ written as vectors, row after row. Write `conv_matrix(w, H, W)` for stride 1
# and no padding. *Hint: row $(i, j)$ of $A$ is an $H \times W$ image of zeros with $w$ laid on it at
# $(i, j)$.*


# %% tags=["exercise"]
def conv_matrix(w, H, W):
    """w (KH, KW) -> A (OH·OW, H·W) with (A @ x.ravel()) = the convolution of x (H, W) with w."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_conv_matrix():
    x, kernel = rng.standard_normal((5, 7)), rng.standard_normal((2, 3))
    expected = conv2d(x[None, None], kernel[None, None], impl="naive").ravel()
    A = conv_matrix(kernel, 5, 7)
    assert A.shape == (4 * 5, 5 * 7)
    np.testing.assert_allclose(A @ x.ravel(), expected, atol=1e-12)


# %% [markdown]
# ### Exercise 2: intersection over union
#
# The measure that detection needs. A box is `(left, top, right, bottom)`. IoU is the area that both boxes
# cover, divided by the area that at least one covers. *Hint: the common part has its left edge at the larger
# of both left edges; it may be empty.*


# %% tags=["exercise"]
def iou(a, b):
    """Intersection over union of two boxes (left, top, right, bottom)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_iou():
    box = (0, 0, 4, 4)
    assert iou(box, box) == 1
    assert iou(box, (4, 0, 8, 4)) == iou(box, (9, 9, 10, 10)) == 0
    assert np.isclose(iou(box, (2, 0, 6, 4)), 8 / 24)
    assert np.isclose(iou((1, 1, 3, 2), box), 2 / 16)
