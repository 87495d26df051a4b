# %% [markdown]
# # 25. The fifth source document, read critically: a short introduction
#
# The fifth source document has no title. It is a short introduction in nine sections: what depthwise
# separable convolution is, four formulas, one Keras program, a list of resources. Short texts are quoted
# often, so each sentence matters. Here you test them, and build the program it meant.
#
# **At the end you can** tell two operators apart by what they commute with, see why a sum is not a
# composition, follow a network's shapes to the place where they stop fitting, and say when separating makes a
# layer *dearer*.
#
# **You need** [lesson 1](01_convolution_by_hand.ipynb) (convolution by hand). Lessons
# [8](08_what_it_costs.ipynb) (what it costs) and [11](11_normalisation_activations_initialisation.ipynb) (batch
# norm) help. The numbers in brackets, as in "The document (2)", are the document's sections.
#
# | symbol | meaning |
# |---|---|
# | $x$ | the input, $C$ channels |
# | $y_d$ | after the depthwise step; $w_d$ are its filters, $M$ for each channel (here 1 unless said) |
# | $y_p$ | after the pointwise step; $w_p$ is its matrix, $b$ its bias |
# | $O$ | the output channels; the document has no letter for them |
# | $K$ | the kernel is $K \times K$ |
# | MAC | one multiply-add |

# %%
# %matplotlib inline
import numpy as np
from matplotlib.figure import Figure

from npdsconv import (
    batch_norm2d,
    complexity,
    conv2d,
    depthwise_conv2d,
    pointwise_conv2d,
    softmax,
    softmax_cross_entropy,
)
from npdsconv.data import Split, load
from npdsconv.layers import (
    AvgPool2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    Sequential,
)
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.documents import Claims
from npdsconv.optim import Adam
from npdsconv.plots import INPUT, OUTPUT, WINDOW
from npdsconv.train import evaluate, fit

rng = np.random.default_rng(25)
claims = Claims()  # each cell adds its verdicts after its assertions; the table comes last

# %% [markdown]
# ## Who learns what about positions?
#
# **The document (2):** 深度卷积负责学习通用的特征，点卷积负责学习特定于位置的特征 ("the depthwise step learns general
# features, the pointwise step features that are specific to positions").
#
# **Test it.** Cut the image into its pixels and shuffle them. A step that cares about positions must notice.
# A step that does the same thing at every pixel on its own does not: shuffle before or after, the result is
# the same. (Two such operations, whose order does not matter, are said to *commute*.)

# %% tags=["E59"]
photo = rng.standard_normal((2, 3, 6, 5))
filters, mix = rng.standard_normal((3, 1, 3, 3)), rng.standard_normal((4, 3))
order = rng.permutation(6 * 5)


def shuffled(maps):
    """The same shuffle of the pixels in every channel of every image."""
    return maps.reshape(*maps.shape[:2], -1)[:, :, order].reshape(maps.shape)


def depthwise(x):
    return depthwise_conv2d(x, filters, padding=1, impl="naive")


def pointwise(x):
    return pointwise_conv2d(x, mix, impl="naive")


for op, expected in ((depthwise, False), (pointwise, True)):
    commutes = np.allclose(op(shuffled(photo)), shuffled(op(photo)))
    print(f"{op.__name__:9} commutes with a shuffle of the pixels: {commutes}")
    assert commutes == expected
claims.add(
    "点卷积负责学习特定于位置的特征 (pointwise learns what is specific to positions)",
    "wrong",
    "it is the same at every pixel; what sees positions is the depthwise step",
)
claims.add(
    "深度卷积负责学习通用的特征 (depthwise learns general features)",
    "wrong",
    "it learns spatial patterns, one set for each channel",
)

# %% [markdown]
# The pointwise step commutes with *every* shuffle of the pixels. So it knows nothing about positions. The
# document has the roles the wrong way round.
#
# ## A standard layer, then a normalisation?
#
# **The document (3):** 首先，使用一个标准卷积层 … 然后使用一个1×1的卷积层对其结果进行归一化 ("first a standard
# convolution layer, then a 1×1 layer *normalises* its result"). This, it says, keeps the information of the
# input's features.
#
# **Test it.** A normalisation does not care about the contrast of the image: double the input, and nothing
# changes. A standard first layer would cost $C^2K^2$ weights instead of $CK^2$. And a step keeps information only
# if different inputs give different outputs: a matrix with fewer rows than columns cannot.


# %% tags=["E59"]
def normalised(x):
    return batch_norm2d(x, np.ones(x.shape[1]), np.zeros(x.shape[1]), impl="numpy")[0]


for op in (pointwise, normalised):
    factor = np.abs(op(2 * photo)).mean() / np.abs(op(photo)).mean()
    print(f"{op.__name__:10} a doubled input makes the output {factor:.3f} times as large")
np.testing.assert_allclose(pointwise(2 * photo), 2 * pointwise(photo))
np.testing.assert_allclose(normalised(2 * photo), normalised(photo), atol=1e-4)

C, K = 32, 3
first = {
    "standard": Conv2d(C, C, K, bias=False, rng=rng),
    "depthwise": DepthwiseConv2d(C, K, bias=False, rng=rng),
}
weights = {name: layer.weight.value.size for name, layer in first.items()}
print(f"weights of the first step for C = {C}:", weights)
assert weights["standard"] == C * weights["depthwise"]

narrow = mix[:2]  # from 3 channels to 2
*_, unseen = np.linalg.svd(narrow)[2]  # a direction in the space of channels that it maps to 0
other = photo + 5 * unseen[:, None, None]
same = np.allclose(
    pointwise_conv2d(photo, narrow, impl="naive"), pointwise_conv2d(other, narrow, impl="naive")
)
print(f"1×1 step from 3 channels to 2: two different images, the same result: {same}")
assert same
claims.add(
    "首先，使用一个标准卷积层 (first a standard convolution)", "wrong", "depthwise: C times fewer weights"
)
claims.add(
    "1×1的卷积层 … 归一化 (the 1×1 layer normalises)",
    "wrong",
    "it mixes channels linearly; batch norm is a layer of its own",
)
claims.add(
    "保留输入特征信息 (keeps the information of the input's features)",
    "unsupported",
    "nothing is shown; with fewer output than input channels a 1×1 step must lose some",
)

# %% [markdown]
# ## Three formulas
#
# **The document (4):**
#
# 1. standard: $y = \sum_{i=1}^{K}\sum_{j=1}^{K}\sum_{k=1}^{C} w_{i,j,k}\, x_{i,j,k} + b$: right for *one*
#    pixel of *one* output channel; the place of the window and the output channel are missing;
# 2. depthwise: "each channel is convolved by itself, then the results are concatenated", which is right, and
#    then $y_d = \sum_{k=1}^{C} w_{d,k}\, x_{d,k}$, which adds up the channels and has no taps. That is a
#    *pointwise* step with one output;
# 3. pointwise: $y_p = \sum_{k=1}^{C} w_{p,k}\, x_{p,k} + b$, followed by a "normalisation" that the formula
#    does not have. The form is right, but it must act on $y_d$, once for each output channel.
#
# **The truth**, at stride 1 without padding, with $M = 1$:
#
# $$y_{d,\,c,i,j} = \sum_{u,v} w_{d,\,c,u,v}\, x_{c,\,i+u,\,j+v} \qquad
#   y_{p,\,o,i,j} = b_o + \sum_{c} w_{p,\,o,c}\, y_{d,\,c,i,j}$$
#
# **The document (2, 4, 9)** also says that a standard convolution *is decomposed* (分解) into these two parts. Put
# $y_d$ into $y_p$: together they are a standard convolution with the kernel
# $w_{o,c,u,v} = w_{p,\,o,c}\, w_{d,\,c,u,v}$. For each channel $c$, written as a table with a row for each $o$ and
# a column for each tap $(u, v)$, that is an outer product: a matrix of rank 1. A standard kernel need not be one.

# %% tags=["E60"]
example = worked_examples.three_distinct_channels
x, w_d, w_p, b = example.x, example.w_depthwise, example.w_pointwise, example.b

w_all = rng.integers(-2, 3, (4, 3, 2, 2)).astype(float)
one_number = np.sum(w_all[1] * x[0, :, 0:2, 1:3])  # formula 1 on the window at row 0, column 1
standard = conv2d(x, w_all, impl="naive")
print(
    f"formula 1 is one of {standard.size} numbers: {one_number:g} = y[0, 1, 0, 1] = {standard[0, 1, 0, 1]:g}"
)
assert one_number == standard[0, 1, 0, 1]

printed = np.einsum("k,kij->ij", np.ones(3), x[0])  # formula 2 with all weights 1
show("formula 2, printed", printed)
show("the depthwise step", example.d[0])
assert np.array_equal(printed, pointwise_conv2d(x, np.ones((1, 3)), impl="naive")[0, 0])
assert printed.shape == x.shape[2:]
assert depthwise_conv2d(x, w_d, impl="naive").shape == (1, 3, 3, 3)

on_x = np.einsum("ok,kij->oij", w_p, x[0])
on_y_d = np.einsum("ok,kij->oij", w_p, example.d[0]) + b[:, None, None]
assert on_x.shape != on_y_d.shape
np.testing.assert_array_equal(on_y_d, example.p[0])

together = w_p[:, :, None, None] * w_d[None, :, 0]  # (O, C, K, K)
np.testing.assert_array_equal(conv2d(x, together, b, impl="naive"), example.p)
kernels = {"the two steps together": together, "a standard kernel": w_all}
for name, w in kernels.items():
    ranks = [int(np.linalg.matrix_rank(w[:, c].reshape(len(w), -1))) for c in range(w.shape[1])]
    print(f"{name:22} w {w.shape}, rank for each channel {ranks}")
    assert (max(ranks) == 1) == (w is together)

claims.add("standard: y = ΣΣΣ w x + b", "imprecise", "one pixel of one output channel")
claims.add(
    "标准卷积分解为两个部分 (a standard convolution is decomposed into two parts)",
    "imprecise",
    "it is replaced: only kernels of rank 1 for each channel can be decomposed so",
)
claims.add(
    "将每个输入通道单独进行卷积，然后将结果拼接在一起 (each channel by itself, then concatenated)",
    "right",
    "exactly so",
)
claims.add("depthwise: y_d = Σ_k w_k x_k", "wrong", "sums the channels, has no taps: a pointwise step")
claims.add(
    "pointwise: y_p = Σ_k w_k x_k + b", "imprecise", "on y_d, once for each output channel; no normalisation"
)

# %% [markdown]
# ## A sum?
#
# **The document (4):** 将这两个部分相加，可以得到最终的输出特征图 ("adding the two parts gives the final feature map"):
# $y = y_d + y_p$.
#
# **The truth:** the second step works *on the result of* the first: $y = y_p(y_d(x))$. The shapes of the two do not
# even fit a sum when $C \ne O$. Where they do, as with one channel, the sum is wrong without an error. Take the
# image 1 … 9, the kernel of [lesson 1](01_convolution_by_hand.ipynb), $w_p = 1$ and $b = 0$: the pointwise step
# changes nothing, and the sum doubles everything.

# %% tags=["E61"]
small = worked_examples.one_filter_one_channel
y_d = depthwise_conv2d(small.x, small.w_depthwise, impl="naive")
y_p = pointwise_conv2d(y_d, np.array([[1.0]]), impl="naive")
assert y_p[0, 0].tolist() == [[6, 8], [12, 14]]
assert (y_d + y_p)[0, 0].tolist() == [[12, 16], [24, 28]]
try:
    example.d[0] + example.p[0]
except ValueError as error:
    print("three channels, four outputs:", error)
else:
    raise AssertionError("3 and 4 channels should not add")
claims.add("y = y_d + y_p", "wrong", "a composition, y = y_p(y_d(x)); the sum gives 12 where 6 is right")

figure = Figure(figsize=(9, 2.6), layout="constrained")
x_ax, d_ax, right_ax, sum_ax = figure.subplots(1, 4)
room = (3, 3)
pictures.tensor(x_ax, small.x[0, 0], "x", INPUT, room=room)
pictures.tensor(d_ax, y_d[0, 0], "y_d", WINDOW, room=room)
pictures.tensor(right_ax, y_p[0, 0], "right: y = y_p(y_d)", OUTPUT, room=room)
pictures.tensor(sum_ax, (y_d + y_p)[0, 0], "wrong: y_d + y_p", OUTPUT, strong=np.ndindex(2, 2), room=room)
figure

# %% [markdown]
# ## The program: the depthwise layer
#
# **The document (5):**
#
# ```python
# input_shape = (28, 28, 1)
# output_shape = (10,)
# depthwise_conv = tf.keras.layers.DepthwiseConv2D(input_shape, depth=32, activation='relu', padding='same')
# ```
#
# **What is wrong:** the first argument of Keras's `DepthwiseConv2D` is `kernel_size`, two numbers. There is no
# argument `depth`; with `depth_multiplier=32` each channel gets 32 filters. Keras is not needed to see it: the
# layer of this package has a kernel size and a `depth_multiplier` too, and refuses both mistakes.

# %% tags=["E62"]
input_shape = (28, 28, 1)
try:
    DepthwiseConv2d(1, 3, depth=32)
except TypeError as error:
    print("TypeError:", str(error).partition("__init__() ")[2])
else:
    raise AssertionError("depth should be unknown")
try:
    DepthwiseConv2d(1, input_shape, depth_multiplier=32)
except ValueError as error:
    print("ValueError:", error)
else:
    raise AssertionError("a kernel has two sizes")

meant = DepthwiseConv2d(1, 3, depth_multiplier=32, padding="same", rng=rng, impl="im2col")
images = rng.random((4, 1, 28, 28)).astype(np.float32)
print("as meant:", images.shape, "→", meant(images).shape)
assert meant(images).shape == (4, 32, 28, 28)
claims.add(
    "DepthwiseConv2D(input_shape, depth=32)", "does not run", "DepthwiseConv2D(3, depth_multiplier=32)"
)

# %% [markdown]
# ## The program: the rest
#
# ```python
# pointwise_conv = tf.keras.layers.Conv2D(output_shape, (1, 1), activation='softmax', padding='same')
# model = tf.keras.Sequential([depthwise_conv, pointwise_conv])
# model.summary()
# ```
#
# **What is wrong:** the number of filters is a tuple, `(10,)`, and already Keras's first test of it, whether it is
# positive, fails. There is no input layer, so `summary` has nothing to count. And there is no pooling: the softmax
# stands at every pixel, $28 \cdot 28$ answers for one picture. Nothing is trained, although the section promises an
# image classifier.

# %% tags=["E63"]
try:
    (10,) <= 0  # noqa: B015  whether the number of filters is positive
except TypeError as error:
    print("filters=(10,):", error)
else:
    raise AssertionError("a tuple is not a number")

logits = pointwise_conv2d(meant(images), rng.standard_normal((10, 32)).astype(np.float32), impl="im2col")
answers = softmax(logits.transpose(0, 2, 3, 1).reshape(-1, 10))
labels = np.array([1, 2, 3, 4])
print(f"{len(images)} pictures, {len(answers)} answers of 10 classes, {len(labels)} labels")
assert len(answers) == 28 * 28 * len(images)
try:
    softmax_cross_entropy(logits, labels)
except ValueError as error:
    print("the loss says:", error)
else:
    raise AssertionError("maps should not fit labels")
pooled = logits.mean(axis=(2, 3))
assert np.isfinite(softmax_cross_entropy(pooled, labels)[0])
claims.add(
    "Conv2D((10,), (1, 1), softmax)", "does not run", "10 is a number; no input; pool before the softmax"
)

# %% [markdown]
# ## The program, repaired
#
# Depthwise 3×3 with 32 filters, ReLU, pointwise to 10, global average pooling; the softmax is part of the
# loss. Nothing else is changed. We train for a few seconds on 2,000 of the package's 5,000 digits, and measure on
# the *mini test*, 1,000 other digits.

# %% tags=["rounding"]
digits = load("mnist5k")
some = Split(digits.train.images[:2000], digits.train.labels[:2000])


def train_shortly(model, lr):
    fit(model, some, Adam(model.parameters(), lr=lr), epochs=5, batch_size=50, seed=0)
    return evaluate(model, digits.test.images, digits.test.labels).accuracy


block = DepthwiseSeparableConv2d(
    1, 10, 3, padding="same", depth_multiplier=32, batch_norm=False, activation=None, rng=rng
)
repaired = Sequential(block, GlobalAvgPool2d(), Flatten())
cost = complexity.summary(repaired, (1, 28, 28))
assert cost.params == (32 * 9 + 32) + (10 * 32 + 10) == 650
assert [row.macs for row in cost.rows if row.macs] == [225_792, 250_880]
scores = {"repaired": train_shortly(repaired, 2e-2)}
print(cost)
print(f"mini test {scores['repaired']:.3f}")
assert 0.15 < scores["repaired"] < 0.7  # chance is 0.1

# %% [markdown]
# It runs and learns a little. Global averaging keeps how much of each small pattern there is and forgets
# where.
#
# ## "Markedly fewer parameters"
#
# **The document (1, 2, 3, 9):** 显著减小模型参数量和计算复杂度 ("markedly reduces parameters and complexity"). From
# this it concludes better performance (2, 6, 7, 9: 提高模型性能), efficient work with large amounts of data (1, 6, 7)
# and a stronger, more efficient model (6, 8). No number is given. So use the ratio of the costs, separable to
# standard, $M(1/O + 1/K^2)$ ([lesson 8](08_what_it_costs.ipynb)), on the document's own layer: $M = 32$, $O = 10$,
# $K = 3$.

# %%
mine = sum(row.macs for row in cost.rows)
plain = complexity.summary(Conv2d(1, 10, 3, padding=1, bias=False, rng=rng), (1, 28, 28))
own, usual = complexity.ratio(10, 3, 32), complexity.ratio(64, 3, 1)
print(f"separable {mine:,} MACs, standard {plain.macs:,} MACs: ratio {mine / plain.macs:.2f}")
assert np.isclose(mine / plain.macs, own)
assert own > 6

print("\nratio for K = 3" + "".join(f"{f'O = {o}':>10}" for o in (1, 10, 64, 256)))
for M in (1, 2, 9, 32):
    row = [complexity.ratio(o, 3, M) for o in (1, 10, 64, 256)]
    print(f"M = {M:2}         " + "".join(f"{r:10.2f}" for r in row))
    assert (min(row) > 1) == (M >= 9)  # with M ≥ K² it never pays
claims.add(
    "显著减小模型参数量和计算复杂度 (markedly fewer parameters, less work)",
    "imprecise",
    f"M(1/O + 1/K²) is left, {usual:.2f} for M = 1, O = 64; the document's own layer takes {own:.1f} times the work",
)
claims.add(
    "提高模型性能 (and therefore better performance, a stronger model)",
    "unsupported",
    "nothing is measured; cheaper is not more accurate: lesson 14 compares",
)
claims.add(
    "实现高效的数据处理 (large amounts of data, handled efficiently)",
    "unsupported",
    "nothing is measured; fewer MACs are not always less time: lesson 14 has the clock",
)

# %% [markdown]
# The document's example costs *more*, by the factor above, than the standard layer from 1 to 10 channels. With
# $M \ge K^2$ separating never pays: so many filters for each channel can build every kernel.
#
# ## The program, made to work
#
# Three changes, each with its reason: batch norm after both steps (the "normalisation" that the document
# looks for in the 1×1 layer); a second block, so that patterns of patterns can be seen; and a head that keeps
# the place (pool to 7×7, then dense) instead of averaging it away.

# %% tags=["rounding"]
with_norm = Sequential(
    DepthwiseSeparableConv2d(1, 10, 3, padding="same", depth_multiplier=32, activation=None, rng=rng),
    GlobalAvgPool2d(),
    Flatten(),
)
complete = Sequential(
    DepthwiseSeparableConv2d(1, 10, 3, padding="same", depth_multiplier=32, rng=rng),
    DepthwiseSeparableConv2d(10, 32, 3, stride=2, padding="same", rng=rng),
    AvgPool2d(2),
    Flatten(),
    Linear(32 * 7 * 7, 10, rng=rng),
)
scores["with batch norm"] = train_shortly(with_norm, 5e-3)
scores["and second block, head with place"] = train_shortly(complete, 5e-3)
models = (repaired, with_norm, complete)
for (name, score), model in zip(scores.items(), models, strict=True):
    params = complexity.summary(model, (1, 28, 28)).params
    print(f"{name:34} {params:7,} parameters, mini test {score:.3f}")
best = max(scores, key=scores.get)
assert best == "and second block, head with place"
assert scores[best] > 0.85
head = complete[-1].weight.value.size
print(f"of these, in the dense head: {head:,}")
assert head > 0.9 * params
claims.add(
    "one such block classifies 28×28 images", "imprecise", "it learns little; depth and place are missing"
)

figure = Figure(figsize=(6.5, 2), layout="constrained")
ax = figure.subplots()
ax.barh(list(scores), list(scores.values()), color=[INPUT, INPUT, OUTPUT])
ax.axvline(0.1, color="0.5", linestyle=":")
ax.set(xlim=(0, 1), xlabel="share of the mini test that is right (dotted: chance)")
ax.invert_yaxis()
figure

# %% [markdown]
# Batch norm alone does not rescue, in so short a training, an architecture that throws the places away. The last
# model works; most of its parameters are in the dense head, and we say so rather than praise the blocks.
#
# ## Links and sources
#
# **The document (1, 6, 7, 8, 9)** names no paper and has two links. It says that the operator is widely used, in
# images, speech and language, and that challenges remain. The table says what the links are, and adds sources.
# Which were looked up again is said in [`docs/sources.md`](../docs/sources.md).

# %% tags=["E64"]
sources = Claims()
sources.add(
    "TensorFlow documentation of DepthwiseConv2D (7)",
    "right",
    "the page exists; its signature starts with kernel_size and has depth_multiplier, against the program",
)
sources.add(
    "深度学习入门 - 深度可分离卷积 (7), a link that promises an introduction to the operator",
    "unsupported",
    "its address is …/chapter5.html#deep-convolutional-network, a general section of a deep learning book; "
    "nothing in it names the operator",
)
sources.add(
    "广泛使用 (1, widely used; no reference)",
    "right",
    "Howard et al., MobileNets, arXiv:1704.04861; Chollet, Xception, CVPR 2017, arXiv:1610.02357",
)
sources.add(
    "图像分类、语音识别、自然语言处理 (6, 9, images, speech, language; no reference)",
    "right",
    "MobileNets; QuartzNet (Kriman et al., ICASSP 2020); SliceNet (Kaiser et al., ICLR 2018, arXiv:1706.03059)",
)
sources.add(
    "归一化 (3, 4, normalisation; no reference)",
    "imprecise",
    "Ioffe and Szegedy, ICML 2015, arXiv:1502.03167: a layer of its own",
)
sources.add(
    "仍然面临一定的挑战 (8, some challenges remain)",
    "unsupported",
    "none is named; one is that memory, not arithmetic, sets the pace: lesson 8",
)
sources.add(
    "Q3 (9): split into the two steps, write them in Python with a framework",
    "right",
    "in this order, and composed",
)
sources

# %% [markdown]
# ## The whole document in one table

# %%
claims.extend(sources)
assert set(claims.counts()) == {"right", "imprecise", "unsupported", "wrong", "does not run"}
claims

# %% [markdown]
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: when does it pay?
#
# Write `least_outputs(k, m)`: the smallest number of output channels $O$ for which the separable layer with
# $K$ = `k` and $M$ = `m` costs *less* than the standard one; `None` if there is none. *Hint: solve
# $M(1/O + 1/K^2) < 1$ for $O$. Stay with whole numbers, for rounding can hide an equality.*


# %% tags=["exercise"]
def least_outputs(k, m):
    """The smallest O with m·(1/O + 1/k²) < 1, or None."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_least_outputs():
    assert least_outputs(3, 32) is None  # the document's layer
    assert least_outputs(3, 9) is None
    for k, m in ((3, 1), (3, 2), (2, 2), (5, 4), (7, 32)):
        o = least_outputs(k, m)
        assert m * (k * k + o) < o * k * k
        assert o == 1 or m * (k * k + o - 1) >= (o - 1) * k * k


# %% [markdown]
# ### Exercise 2: what a 1×1 layer can absorb
#
# A 1×1 layer does not normalise. But once training is over, batch norm uses a fixed mean and variance: it is a
# scale and a shift for each channel, and these *can be folded into* the pointwise step before it. Write
# `fold(w, weight, bias, mean, var, eps)` that returns a matrix $\hat W$ and a bias $\hat b$ which do both steps at
# once. *Hint: write $(Wx - \text{mean})/\sqrt{\text{var} + \text{eps}} \cdot \text{weight} + \text{bias}$ as
# $\hat W x + \hat b$.*


# %% tags=["exercise"]
def fold(w, weight, bias, mean, var, eps):
    """w (O, C); weight, bias, mean, var (O,) of the batch norm after it -> (O, C) and (O,)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_fold():
    w = rng.standard_normal((4, 3))
    weight, bias, mean = rng.standard_normal((3, 4))
    var = rng.uniform(0.5, 2, 4)
    x = rng.standard_normal((2, 3, 5, 4))
    both, *_ = batch_norm2d(
        pointwise_conv2d(x, w, impl="naive"), weight, bias, mean, var, eps=1e-3, impl="numpy"
    )
    new_w, new_b = fold(w, weight, bias, mean, var, 1e-3)
    np.testing.assert_allclose(pointwise_conv2d(x, new_w, new_b, impl="naive"), both, atol=1e-12)
