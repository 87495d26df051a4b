# %% [markdown]
# # 22. The second source document, read critically
#
# The second of the five texts behind this package is titled "从零开始大模型开发与微调：深度可分离卷积的定义"
# (*Developing and fine-tuning large models from zero: the definition of depthwise separable convolution*). It has
# interview questions, two programming exercises, application examples, advice on fine-tuning, and two longer
# Keras programs. It has hardly a formula; its claims are in words and in code. Here you test both.
#
# At the end you can write the document's interview function so that it works, say what a network costs before
# you build it, follow shapes through a residual block, and avoid five traps of fine-tuning code.
#
# You need notebooks [1](01_convolution_by_hand.ipynb) (convolution by hand) and [8](08_what_it_costs.ipynb) (what it
# costs). Quotes are short and translated. Keras is not needed: the decisive lines are quoted and their consequences
# computed in NumPy.
#
# | symbol | meaning |
# |---|---|
# | $N, H, W$ | images, their height and width |
# | $C$, $O$, $K$, $M$ | channels in and out, kernel size, kernels for each channel (here 1) |
# | NHWC, NCHW | order of the axes: channels last (Keras) or channels second (this package) |
# | MACs | multiply-adds of one forward pass for one image |
# | backbone, head | the layers that find features; the last, dense layer that names the classes |

# %%
# %matplotlib inline
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

from npdsconv import (
    complexity,
    conv2d,
    depthwise_conv2d,
    plots,
    pointwise_conv2d,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from npdsconv.data import Affine, holdout, load, to_float
from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.lessons import exercise, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.documents import Claims
from npdsconv.models import mobilenet_v1, mobilenet_v2, separable_cnn, standard_twin
from npdsconv.optim import Adam
from npdsconv.shapes import resolve_window
from npdsconv.train import evaluate, fit, train_step

claims = Claims()  # every cell below adds its verdicts; the table is printed at the end
rng = np.random.default_rng(22)
threadpool_limits(limits=1, user_api="blas")  # for small products, more threads only wait for each other
assert not claims.rows


def refuses(call, *args, **kwargs):
    """The message with which a call fails; a call that does not fail is an error here."""
    try:
        call(*args, **kwargs)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("this call should have failed")


# %% [markdown]
# ## The definition is right, the reason is not
#
# "深度卷积用于…空间上的特征提取，逐点卷积则用于对特征进行线性组合" (*depthwise convolution extracts spatial features,
# pointwise convolution combines them linearly*). That is right, and so is "space first, channels second"
# further down. Then the reason for the saving: "由于拆分后的卷积操作可以并行执行，因此计算量大大减少" (*since the split
# operations can run in parallel, the amount of computation is much reduced*).
#
# Running in parallel changes *when* multiplications happen, not *how many*. And the two steps cannot run side by
# side: the second reads what the first writes. Count: give the output channels of a layer to 1, 2 or 4 workers,
# and let every worker count its own multiplications in the naive loops.

# %% tags=["E22"]
C, O, K = 4, 8, 3
together = {}
for name, channels, layer in (
    ("standard", O, lambda n: Conv2d(C, n, K, rng=rng)),
    ("depthwise", C, lambda n: DepthwiseConv2d(n, K, rng=rng)),
    ("pointwise", O, lambda n: PointwiseConv2d(C, n, rng=rng)),
):
    for workers in (1, 2, 4):
        n = channels // workers
        size = (n, 5, 6) if name == "depthwise" else (C, 3, 4) if name == "pointwise" else (C, 5, 6)
        each = [complexity.count(layer(n), size).multiplications for _ in range(workers)]
        print(f"{name:10} workers: {workers}   {' + '.join(map(str, each))} = {sum(each)}")
        assert sum(each) == together.setdefault(name, sum(each))
ratio = (together["depthwise"] + together["pointwise"]) / together["standard"]
print(f"separable / standard: {ratio:.4f} for any number of workers")
assert ratio == 1 / O + 1 / K**2 == complexity.ratio(O, K)

claims.add(
    "深度卷积提取空间特征，逐点卷积线性组合 (depthwise: space; pointwise: combination)",
    "right",
    "the definition",
)
claims.add(
    "可以并行执行，因此计算量减少 (parallel, therefore less computation)",
    "wrong",
    "parallel work is as much work, and the two steps run one after the other; the ratio is M(1/O + 1/K²)",
)

# %% [markdown]
# ## Few parameters, or a huge number of them?
#
# In one place the document says "较少的参数数量" (*fewer parameters*), in another "参数数量庞大" (*a huge number of
# parameters*). And: "大量的逐点卷积操作…需要更多的计算资源" (*many pointwise convolutions need more resources*). Put
# numbers beside it: MobileNet v1 and its standard twin, which has one standard convolution for each
# separable block.

# %% tags=["E32"]
mobilenet = mobilenet_v1(rng=0)
total = complexity.summary(mobilenet, (3, 224, 224))
twin = complexity.summary(standard_twin(mobilenet, rng=0), (3, 224, 224))
for name, which in (("MobileNet v1", total), ("standard twin", twin)):
    print(f"{name:14} {which.params:11,} parameters {which.macs:14,} MACs")
share = {
    kind: (
        sum(row.macs for row in total.rows if row.kind == kind) / total.macs,
        sum(row.params for row in total.rows if row.kind == kind) / total.params,
    )
    for kind in ("PointwiseConv2d", "DepthwiseConv2d")
}
for kind, (macs, params) in share.items():
    print(f"{kind:16} {macs:.2%} of the MACs, {params:.2%} of the parameters")
assert (total.params, total.macs, twin.macs) == (4_231_976, 568_740_352, 4_867_293_184)
assert share["PointwiseConv2d"][0] > 0.9
assert 8 < twin.macs / total.macs < 9
assert total.params < twin.params / 6

one_standard = complexity.summary(Conv2d(64, 64, 3, padding=1, bias=False), (64, 14, 14)).params
block = DepthwiseSeparableConv2d(64, 64, 3, padding=1, batch_norm=False, bias=False)
one_block = complexity.summary(block, (64, 14, 14)).params
print(
    f"\none standard layer 64 to 64: {one_standard:,} weights, as many as {one_standard / one_block:.1f} blocks"
)
assert one_standard // one_block == 7

claims.add(
    "逐点卷积需要更多资源 (pointwise convolutions need more resources)",
    "imprecise",
    f"they are {share['PointwiseConv2d'][0]:.1%} of MobileNet's MACs, but the whole is "
    f"{twin.macs / total.macs:.1f} times smaller than the standard network",
)
claims.add("参数数量庞大 (a huge number of parameters)", "wrong", "contradicts the document's own first page")
claims.add(
    "保持参数数量的同时增加网络深度 (deeper for the same number of parameters)",
    "right",
    "quantified: seven separable blocks for the weights of one standard 3×3 layer, 64 to 64 channels",
)
plots.shares(total, {"parameters": [r.params for r in total.rows], "MACs": [r.macs for r in total.rows]})

# %% [markdown]
# Half true, then: pointwise convolution is nearly all that is left. But what is left is little.
#
# That fewer parameters mean "降低过拟合风险" (*less risk of overfitting*) and "易于微调" (*easier fine-tuning*) is
# plausible, and nothing is shown for it. Such claims have to be measured for a task.
#
# ## The interview question
#
# "编写一个Python函数，实现一个简单的深度可分离卷积算法" (*write a Python function for a simple depthwise separable
# convolution*). Input: an array (batch, height, width, channels), and "a kernel (depth, height, width)". Output:
# (batch, depth, height, width). This is the document's answer, whole, since it is short. Before you run it: how many
# mistakes can you find?


# %% tags=["E23"]
def document_answer(input_data, conv_kernel):
    # depthwise
    depth_conv = np.zeros((input_data.shape[0], conv_kernel[0], input_data.shape[2], input_data.shape[3]))
    for i in range(input_data.shape[0]):
        depth_conv[i] = np.convolve(input_data[i], conv_kernel, mode="valid")
    # pointwise
    point_conv = np.zeros((input_data.shape[0], conv_kernel[0], input_data.shape[2], input_data.shape[3]))
    for i in range(depth_conv.shape[0]):
        for j in range(depth_conv.shape[2]):
            for k in range(depth_conv.shape[3]):
                point_conv[i, :, j, k] = np.dot(depth_conv[i, :, j, k], conv_kernel[1])
    return point_conv


x = rng.integers(0, 9, (2, 5, 6, 3)).astype(float)  # (N, H, W, C), as the document asks
attempts = {
    "kernel (3, 2, 2)": (x, np.ones((3, 2, 2))),
    "kernel (3, 2, 2) of whole numbers": (x, np.ones((3, 2, 2), int)),
    "the kernel's shape, as a tuple": (x, (3, 2, 2)),
    "the kernel's shape, as a list": (x, [3, 2, 2]),
    "a kernel for each step": (x, [np.ones((3, 2, 2)), np.ones((4, 3))]),
    "channels second": (x.transpose(0, 3, 1, 2), np.ones((3, 2, 2))),
}
for name, arguments in attempts.items():
    print(f"{name:34} {refuses(document_answer, *arguments)}")
assert len(attempts) == 6

# %% [markdown]
# None of these six calls works. Some of the mistakes:
#
# * `np.convolve` takes rows of numbers, not images;
# * it *flips* its kernel; deep learning does not;
# * `conv_kernel[0]` is used as a number of channels and is a matrix; `conv_kernel[1]`, another slice of the same
#   kernel, is used as the pointwise weights. The pointwise weights are not among the arguments at all;
# * the input has its channels last, and `shape[2], shape[3]` is taken for height and width;
# * the arrays have the input's size, and `mode="valid"` gives less.
#
# The flip can be seen on a row of four numbers, the first mistake on an image. And a curiosity: with zeros between
# the rows, the one-dimensional `np.convolve` *can* convolve images. Since it flips, the result is `conv2d` with the
# kernel turned by 180°.

# %% tags=["E23"]
row, taps = np.array([1.0, 2, 4, 8]), np.array([1.0, 0, -1])
flipped, straight = np.convolve(row, taps, "valid"), np.correlate(row, taps, "valid")
by_library = conv2d(row[None, None, None], taps[None, None, None], impl="naive")[0, 0, 0]
print("np.convolve:", flipped, "  np.correlate:", straight, "  conv2d:", by_library)
assert np.array_equal(straight, by_library)
assert np.array_equal(flipped, -straight)
print(refuses(np.convolve, x[0, :, :, 0], np.ones((2, 2)), mode="valid"))

image, kernel = x[0, :, :, 0], rng.integers(-3, 4, (3, 2)).astype(float)
(H, W), (KH, KW) = image.shape, kernel.shape
width = W + KW - 1  # a full row of the result
flat_image = np.pad(image, ((0, 0), (0, KW - 1))).ravel()
flat_kernel = np.pad(kernel, ((0, 0), (0, W - 1))).ravel()
full = np.convolve(flat_image, flat_kernel)[: (H + KH - 1) * width].reshape(H + KH - 1, width)
turned = np.ascontiguousarray(kernel[::-1, ::-1])
np.testing.assert_array_equal(
    full, conv2d(image[None, None], turned[None, None], padding=(KH - 1, KW - 1), impl="naive")[0, 0]
)
print("np.convolve on flattened images =", "conv2d with the turned kernel, on all", full.size, "pixels")

# %% [markdown]
# ## The function, written properly
#
# Two kernels as arguments; every axis named; one view of all windows; the letters of `einsum` say what is
# summed over ($u, v$) and what is not ($c$). "same" is what Keras does: output size $\lceil H/s \rceil$, the
# smaller half of the zeros first.


# %% tags=["E23"]
def depth_separable_conv(x, dw_kernel, pw_kernel, stride=1, padding="valid", channels_last=False):
    """x (N, H, W, C), dw_kernel (C, KH, KW), pw_kernel (O, C) -> (N, O, OH, OW), or (N, OH, OW, O)."""
    (_, H, W, C), (_, KH, KW) = x.shape, dw_kernel.shape
    if len(dw_kernel) != C or pw_kernel.shape[1] != C:
        raise ValueError(
            f"depth_separable_conv: x has {C} channels, dw_kernel {len(dw_kernel)}, "
            f"pw_kernel reads {pw_kernel.shape[1]}: they must be equal"
        )
    if padding not in ("valid", "same"):
        raise ValueError(f"depth_separable_conv: padding must be 'valid' or 'same', got {padding!r}")
    if padding == "same":
        zeros = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in ((H, KH), (W, KW))]
        x = np.pad(x, ((0, 0), *((z // 2, z - z // 2) for z in zeros), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), axis=(1, 2))[:, ::stride, ::stride]
    d = np.einsum("nijcuv,cuv->nijc", windows, dw_kernel)  # depthwise: no sum over c
    y = d @ pw_kernel.T  # pointwise: one matrix for every pixel
    return y if channels_last else y.transpose(0, 3, 1, 2)


for stride in (1, 2, 3):
    for padding in ("valid", "same"):
        dw, pw = rng.standard_normal((3, 3, 2)), rng.standard_normal((4, 3))
        mine = depth_separable_conv(x, dw, pw, stride, padding)
        d = depthwise_conv2d(
            x.transpose(0, 3, 1, 2), dw[:, None], stride=stride, padding=padding, impl="naive"
        )
        np.testing.assert_allclose(mine, pointwise_conv2d(d, pw, impl="naive"), atol=1e-12)
        nhwc = depth_separable_conv(x, dw, pw, stride, padding, channels_last=True)
        assert np.array_equal(nhwc.transpose(0, 3, 1, 2), mine)
        print(f"stride {stride}, {padding:5}: {x.shape} → {mine.shape}")

example = worked_examples.three_distinct_channels  # whole numbers, worked out by hand
by_hand = depth_separable_conv(
    example.x.transpose(0, 2, 3, 1), example.w_depthwise[:, 0], example.w_pointwise
)
np.testing.assert_array_equal(by_hand, example.p)
show("P of the worked example in notebook 1", by_hand[0])
print(refuses(depth_separable_conv, x, np.ones((2, 3, 3)), np.ones((4, 3))))
print(refuses(depth_separable_conv, x, np.ones((3, 3, 3)), np.ones((4, 3)), padding="full"))
claims.add(
    "题1: depth_separable_conv(input_data, conv_kernel)",
    "does not run",
    "np.convolve is one-dimensional and flips; the pointwise weights are no argument; axes are mixed up",
)

# %% [markdown]
# ## The second programming question: a network
#
# "编写一个基于深度可分离卷积的神经网络" (*write a network based on depthwise separable convolution*). Each of its
# "depthwise separable" blocks is
#
# ```python
# conv1 = Conv2D(filters=32, kernel_size=(3, 3), activation='relu', padding='same')(input_data)
# conv1 = DepthwiseConv2D(kernel_size=(3, 3), activation='relu', padding='same')(conv1)
# ```
#
# The order is reversed, and the first step is no pointwise convolution: it is a full 3×3 one. The depthwise step
# comes on top of it. Nothing is saved, something is added. The text speaks of "三个" (*three*) such layers; there
# are two. (And `Model(inputs=input_data)` needs a `keras.Input`, not the data set that the question announces.)
#
# Count it beside what was meant, and beside a plain network without the depthwise layers.


# %% tags=["E24"]
def network(step, channels):
    """Two blocks made by `step`, global pooling, ten classes."""
    layers = [*step(channels, 32), *step(32, 64), GlobalAvgPool2d(), Flatten(), Linear(64, 10, rng=rng)]
    return Sequential(*layers)


def plain(c, o):
    return [Conv2d(c, o, 3, padding=1, rng=rng), ReLU()]


def as_written(c, o):
    return [*plain(c, o), DepthwiseConv2d(o, 3, padding=1, rng=rng), ReLU()]


def as_meant(c, o):
    return [DepthwiseConv2d(c, 3, padding=1, rng=rng), ReLU(), PointwiseConv2d(c, o, rng=rng), ReLU()]


variants = {"as written": as_written, "plain standard": plain, "as meant": as_meant}
table = {}
for channels in (1, 3):
    for name, step in variants.items():
        cost = complexity.summary(network(step, channels), (channels, 28, 28))
        table[channels, name] = cost.params, cost.macs
        print(f"28×28×{channels}  {name:15} {cost.params:7,} parameters {cost.macs:12,} MACs")
assert [table[1, name][0] for name in variants] == [20_426, 19_466, 3_156]
assert all(table[c, "as written"][0] // table[c, "as meant"][0] == 6 for c in (1, 3))
assert all(table[c, "as written"] > table[c, "plain standard"] > table[c, "as meant"] for c in (1, 3))
separable = [
    row
    for row in complexity.summary(network(as_written, 1), (1, 28, 28)).rows
    if row.kind == "PointwiseConv2d"
]
assert separable == []  # no 1×1 convolution anywhere

figure, axes = plt.subplots(1, 2, figsize=(9, 2), layout="constrained")
for ax, (k, quantity) in zip(axes, enumerate(("parameters", "MACs")), strict=True):
    amounts = [table[1, name][k] for name in variants]
    bars = ax.barh(list(variants), amounts, color=[plots.OUTPUT, "0.6", plots.KERNEL])
    ax.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=9)
    ax.set(xlim=(0, 1.4 * max(amounts)), xticks=[], title=f"{quantity}, images 28×28×1")
    ax.title.set_fontsize(10)
    ax.invert_yaxis()
claims.add(
    "题2: Conv2D, then DepthwiseConv2D, called separable",
    "wrong",
    "reversed, and no pointwise step: larger than the plain network; as meant, six times smaller",
)
claims.add("题2: 三个深度可分离卷积层 (three separable layers)", "wrong", "two blocks, and not separable")

# %% [markdown]
# The "efficient" network is *larger* than the plain one. The one that was meant is six times smaller.
#
# ## Fine-tuning: what to cut off
#
# "对于图像分类任务，可以保留卷积层和全连接层，去除中间的全连接层；对于文本分类任务，可以保留词向量嵌入层和全连接层，
# 去除中间的卷积层" (*for image classification keep the convolution and dense layers and remove the dense layers in
# between; for text keep the embedding and the dense layers and remove the convolutions in between*).
#
# For images that says to keep and to remove the dense layers at once. What is usual is simpler: keep the
# pretrained backbone, replace the head that names the old classes. And the advice for text does damage. Without
# the convolutions between embedding and head, only an average of word vectors is left, and an average does not see
# the order of words:

# %% tags=["E26"]
words = {word: rng.standard_normal(8) for word in ("dog", "bites", "man")}
sentences = ["dog bites man", "man bites dog"]
embedded = np.stack([np.stack([words[w] for w in s.split()], axis=1) for s in sentences])  # (N, C, 3)
embedded = embedded[:, :, None]  # (N, C, 1, 3): an image of height 1
width_2 = rng.standard_normal((6, 8, 1, 2))  # a convolution that looks at two neighbouring words
without = embedded.mean(axis=(2, 3))
with_conv = np.maximum(conv2d(embedded, width_2, impl="naive"), 0).mean(axis=(2, 3))
for name, features in (("embedding and head only", without), ("with the convolution", with_conv)):
    difference = float(np.abs(features[0] - features[1]).max())
    print(f"{name:24} largest difference between the two sentences: {difference:.3f}")
assert np.allclose(without[0], without[1])
assert not np.allclose(with_conv[0], with_conv[1])
claims.add(
    "微调: 去除中间的卷积层 / 全连接层 (remove the layers in the middle)",
    "wrong",
    "keep the backbone, replace the head; without its convolutions a text model cannot see word order",
)

# %% [markdown]
# ## Fine-tuning: a new head
#
# ```python
# base_model = MobileNetV2(weights='imagenet', include_top=False, input_shape=(224, 224, 3))
# x = GlobalAveragePooling2D()(base_model.output)
# x = Dense(1000, activation='softmax')(x)
# model.layers[-1].set_weights(tf.random.normal([1000, 2048]))
# ```
#
# Four things are wrong with the last line. A dense layer has *two* arrays, kernel and bias, so Keras refuses the
# call: it wants a list of 2 and gets 1,000 rows. The kernel is (inputs, outputs), not the reverse. MobileNetV2
# ends in 1,280 channels, not 2,048. And normal numbers with variance 1 are far too large: Keras' own choice
# (Glorot) has standard deviation $\sqrt{2/(1280+1000)}$. What does that do? Feed both heads the same features
# and look at the first loss and at the gradient that reaches the backbone.

# %% tags=["E27"]
features_out = mobilenet_v2(rng=0).layers[-1].weight.value.shape[1]
print("MobileNetV2's last feature vector has", features_out, "numbers")
head = Linear(features_out, 1000, rng=rng)
print(refuses(head.load_state_dict, {"weight": np.zeros((1000, 2048), np.float32), "bias": head.bias.value}))
needed = head.weight.value.size + head.bias.value.size
assert needed == 1280 * 1000 + 1000 != 1000 * 2048
print(f"the head has {needed:,} numbers, the document hands it {1000 * 2048:,}")

features = np.abs(rng.standard_normal((32, features_out)))  # what comes out of a ReLU is not negative
labels = rng.integers(0, 1000, 32)
losses, reach = {}, {}
for name, scale in (("variance 1", 1.0), ("Glorot", np.sqrt(2 / (features_out + 1000)))):
    w = scale * rng.standard_normal((1000, features_out))
    losses[name], p = softmax_cross_entropy(features @ w.T, labels)
    reach[name] = float(np.linalg.norm(softmax_cross_entropy_backward(p, labels) @ w))
    print(
        f"{name:11} first loss {losses[name]:6.2f} (guessing: {np.log(1000):.2f})   "
        f"gradient to the backbone {reach[name]:.3f}"
    )
assert losses["variance 1"] > 5 * np.log(1000) > losses["Glorot"]
assert reach["variance 1"] > 20 * reach["Glorot"]
claims.add(
    "set_weights(tf.random.normal([1000, 2048]))",
    "does not run",
    "two arrays are needed, (1280, 1000) and (1000,); with variance 1 the first loss is far worse than guessing",
)

# %% [markdown]
# ## Fine-tuning: which half to keep
#
# For the start the document offers three ways: take all pretrained weights; draw the pointwise weights at random;
# or combine both, "在逐点卷积层采用随机初始化，而在深度卷积层采用预训练模型初始化" (*random in the pointwise
# layers, pretrained in the depthwise layers*), which is said to balance (平衡) their advantages. (Of the depthwise
# weights the second way says nothing. With pretrained ones it is the third; with random ones all is random.)
#
# First count what the third way throws away. Then try: a small network learns the digits 0 to 4. From each start,
# with a new head, it goes on to learn 5 to 9 from 200 images, three times with other random numbers.

# %% tags=["rounding"]
digits = load("mnist5k")


def only(split, classes, n=None):
    """The first n images of these classes."""
    return split.take(np.flatnonzero(np.isin(split.labels, classes))[:n])


def small_network(seed):
    return set_impl(separable_cnn(width=0.25, stem_stride=2, rng=seed), "im2col")


source = small_network(0)
fit(
    source,
    only(digits.train, range(5), 1000),
    Adam(source.parameters(), lr=5e-3),
    epochs=4,
    batch_size=32,
    seed=0,
)
few, unseen = only(digits.train, range(5, 10), 200), only(digits.test, range(5, 10))

weights = {name: value for name, value in source[:-1].state_dict().items() if value.ndim > 1}
lost = sum(value.size for name, value in weights.items() if "pointwise" in name)
print(
    f"pointwise: {lost:,} of the {sum(value.size for value in weights.values()):,} kernel weights of the backbone"
)
assert lost > 0.7 * sum(value.size for value in weights.values())

kept = {
    "all pretrained": lambda name: True,
    "depthwise pretrained, pointwise random": lambda name: "pointwise" not in name and "bn2" not in name,
    "all random": lambda name: False,
}
reached = {}
for start, keep in kept.items():
    scores = []
    for seed in (1, 2, 3):
        model = small_network(seed)
        found = source[:-1].state_dict()
        chosen = {
            name: found[name] if keep(name) else value for name, value in model[:-1].state_dict().items()
        }
        model[:-1].load_state_dict(chosen)
        fit(model, few, Adam(model.parameters(), lr=5e-3), epochs=6, batch_size=32, seed=seed)
        scores.append(evaluate(model, unseen.images, unseen.labels).accuracy)
    reached[start] = float(np.mean(scores))
    print(f"{start:40} {reached[start]:.2f} of the unseen 5 to 9 right   {np.round(scores, 2).tolist()}")
pretrained, combined, nothing = reached.values()
assert nothing + 0.1 < combined < pretrained
claims.add(
    "逐点随机、深度预训练 balances both (pointwise random, depthwise pretrained)",
    "imprecise",
    "it throws away most pretrained weights; here it ends between all pretrained and all random",
)
claims.add(
    "random starts: Gaussian or uniform", "right", "both are usual; what counts is the variance (notebook 11)"
)

# %% [markdown]
# Both halves are worth keeping here: each step down the list loses points. With 200 images there is little to learn
# the pointwise weights anew from.
#
# ## Fine-tuning: what else goes wrong
#
# The rest of the program: `model.compile`, then `model.fit(train_data, train_labels, …, validation_split=0.2)`.
#
# * **The backbone is not frozen.** The large wrong gradients of the untrained head go through all pretrained
#   weights in the first steps. Train the head first.
# * **Batch norm** goes on collecting statistics of the new data as long as it runs in training mode. (In Keras, and
#   in this package, freezing the layer stops that too; in PyTorch it is a second switch.)
# * **`validation_split=0.2` takes the last fifth**, before shuffling. If files are read class by class, it holds
#   classes that the training part never sees.
# * `Dense(1000)` is ImageNet's own set of labels: this is no new task. The data are `...`; `preprocess_data` is
#   not defined; MobileNetV2 wants pixels in $[-1, 1]$.
#
# First the freezing, in this package: three steps with a new head on a small network, once with the backbone
# frozen and once without.

# %% tags=["E28"]
images, labels = digits.train.images[::25], digits.train.labels[::25]
moved = {}
for frozen in (True, False):
    model = small_network(0)
    backbone, before = model[:-1], model[:-1].state_dict()
    if frozen:
        backbone.freeze()
    optimizer = Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        train_step(model, images, labels, optimizer)
    after = backbone.state_dict()
    moved[frozen] = [name for name in before if not np.array_equal(before[name], after[name])]
    how = "frozen" if frozen else "not frozen"
    print(f"{how:10}: {len(moved[frozen])} of {len(before)} arrays of the backbone changed")
assert moved[True] == []  # to the last bit, running statistics of batch norm included
assert any("running_mean" in name for name in moved[False])
assert any("weight" in name for name in moved[False])

# %% [markdown]
# Frozen means unchanged to the last bit, batch norm's running statistics included. Now the split and the pixels:

# %% tags=["E28"]
in_order = np.sort(digits.train.labels)  # as files are read, folder by folder
cut = int(0.8 * len(in_order))
print("last fifth, unshuffled, holds the classes", np.unique(in_order[cut:]).tolist())
never = sorted(set(in_order[cut:].tolist()) - set(in_order[:cut].tolist()))
print("of these the training part never sees", never)
rest, held = holdout(digits.train, 0.2, seed=0)  # every class in proportion
counts = np.bincount(held.labels)
print("held out in proportion:", counts.tolist())
assert never == [8, 9]
assert (counts == len(held) // 10).all()

scaled = to_float(images) * 2 - 1
print(f"pixels from {images.min()} … {images.max()} to {scaled.min():g} … {scaled.max():g}")
assert scaled.min() == -1
assert scaled.max() == 1
claims.add(
    "the MobileNetV2 fine-tuning program",
    "does not run",
    "also: backbone not frozen, batch norm not held, the split takes the last fifth, and 1000 classes are no new task",
)

# %% [markdown]
# ## The residual block
#
# The last program builds four residual blocks:
#
# ```python
# depth_conv = DepthwiseConv2D(kernel_size=kernel_size, strides=strides, padding='same')(x)
# point_conv = Conv2D(filters=filters, kernel_size=1, strides=strides, padding='same')(depth_conv)
# if use_skip_connection:
#     skip_connection = x
# else:
#     skip_connection = Conv2D(filters=filters, kernel_size=1, strides=strides, padding='same')(x)
# output = Add()([point_conv, skip_connection])
# ```
#
# All four are called with `strides=(2, 2)` and the flag left at `True`. Follow the shapes. The stride is applied
# *twice*, and the skip connection is the untouched input. The flag is upside down as well: the identity fits only
# if stride is 1 and the channels stay; else a projection is needed. With the flag at `False` there is a projection,
# but it strides once and the body twice.

# %% tags=["E29"]
body = Sequential(
    DepthwiseConv2d(3, 3, stride=2, padding="same", rng=rng),
    Conv2d(3, 32, 1, stride=2, padding="same", rng=rng),
)
projection = Conv2d(3, 32, 1, stride=2, padding="same", rng=rng)
print("body:      ", complexity.summary(body, (3, 224, 224)).output)
print("projection:", complexity.summary(projection, (3, 224, 224)).output)
for flag, shortcut in ((True, None), (False, projection)):
    print(f"use_skip_connection={flag}:")
    print("   ", refuses(complexity.cost, Residual(body, shortcut), (3, 224, 224)))

size, sizes = 224, []
for _ in range(4):
    for _ in range(2):  # depthwise and pointwise
        size = resolve_window("", (size, size), (1, 1), 2, "same").output[0]
    sizes.append(size)
print("were both strides meant, the four blocks would end at", sizes)
assert sizes == [56, 14, 4, 1]
claims.add(
    "the residual block",
    "does not run",
    "the stride is applied twice, the identity is used where a projection is needed, and the flag is upside down",
)

# %% [markdown]
# Repaired: the stride once, in the depthwise step, and the identity only where it fits.


# %%
def residual_block(c, o, stride):
    """The stride once, in the depthwise step; the identity where it fits, else a projection."""
    body = DepthwiseSeparableConv2d(c, o, 3, stride=stride, padding=1, activation=None, rng=rng)
    fits = stride == 1 and c == o
    shortcut = (
        None if fits else Sequential(Conv2d(c, o, 1, stride=stride, bias=False, rng=rng), BatchNorm2d(o))
    )
    return [Residual(body, shortcut), ReLU()]


def repaired(channels):
    filters = (channels, 32, 64, 128, 256)
    blocks = [layer for c, o in pairwise(filters) for layer in residual_block(c, o, 2)]
    head = [
        PointwiseConv2d(256, 128, bias=False, rng=rng),
        BatchNorm2d(128),
        ReLU(),
        PointwiseConv2d(128, 10, rng=rng),
    ]
    return Sequential(*blocks, *head, GlobalAvgPool2d(), Flatten())


for shape in ((1, 28, 28), (3, 224, 224)):
    cost = complexity.summary(repaired(shape[0]), shape)
    path = [row.output[1] for row in cost.rows if row.kind == "Residual"]
    print(f"{shape}: blocks end at {path}, {cost.params:,} parameters, {cost.macs:,} MACs")
    assert path == ([14, 7, 4, 2] if shape[1] == 28 else [112, 56, 28, 14])

# %% [markdown]
# ## One answer for each picture
#
# The document's network ends with `Conv2D(10, 1, activation='softmax')` and nothing after it. For 224×224 that is
# a softmax at each of many pixels, while the labels are one row for each picture. The repaired network above averages
# over the pixels first (`GlobalAvgPool2d`).

# %% tags=["E30"]
maps = rng.standard_normal((2, 10, 14, 14))  # (N, classes, OH, OW), strides applied once each
per_pixel = softmax(np.ascontiguousarray(maps.transpose(0, 2, 3, 1)))
print("as written:", per_pixel.shape[1] * per_pixel.shape[2], "answers for each picture")
assert np.allclose(per_pixel.sum(axis=-1), 1)
print(refuses(softmax_cross_entropy, maps, np.array([3, 7])))
pooled = maps.mean(axis=(2, 3))
loss, _ = softmax_cross_entropy(pooled, np.array([3, 7]))
print("pooled first:", pooled.shape, "and a loss")
assert pooled.shape == (2, 10)
assert np.isfinite(loss)
claims.add(
    "Conv2D(10, 1, softmax) as the last layer",
    "does not run",
    "a softmax at every pixel against one label for each picture; global pooling is missing",
)

# %% [markdown]
# ## ReLU before the addition
#
# In the document's block the body ends with ReLU, *then* the input is added. So the body can only add, never
# take away. Stack such blocks, and the activations can only grow. The usual block (He et al. 2016) adds first and
# applies ReLU after.

# %% tags=["E31"]
steps = {}
for last in ("relu", None):
    generator, x = np.random.default_rng(0), np.abs(rng.standard_normal((8, 16, 10, 10))).astype(np.float32)
    levels = [float(x.mean())]
    for _ in range(10):
        body = DepthwiseSeparableConv2d(16, 16, 3, padding=1, activation=last, rng=generator)
        block = set_impl(Sequential(Residual(body), ReLU()), "im2col")
        y, _ = block.forward(x, train=True)
        if last == "relu":
            assert (y >= x).all()
        x = y
        levels.append(float(x.mean()))
    steps["ReLU, then add" if last else "add, then ReLU"] = levels
growth = {name: levels[-1] / levels[0] for name, levels in steps.items()}
for name, g in growth.items():
    print(f"{name}: after ten blocks the mean activation is {g:.1f} times as large")
assert growth["ReLU, then add"] > 2 * growth["add, then ReLU"]

figure, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
for (name, levels), colour in zip(steps.items(), (plots.OUTPUT, plots.KERNEL), strict=True):
    ax.plot(levels, "o-", color=colour, label=name)
ax.set(xlabel="blocks", ylabel="mean activation")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
claims.add(
    "ReLU at the end of the residual body",
    "imprecise",
    "the body can only add: activations grow from block to block",
)

# %% [markdown]
# ## Mirrored digits
#
# The program augments with `horizontal_flip=True` and asks `fit` for `validation_split=0.2` from a stream of files.
# Keras refuses the latter: that option is for arrays. (The split belongs into the generator, with `subset`; and
# that class is deprecated.)
#
# Mirror images are fine for cats. For ten classes that may be digits they are not. Take the simplest classifier
# there is (the class whose mean image is nearest) and show it mirrored digits.

# %% tags=["E31"]
x_train, y_train = to_float(digits.train.images)[:, 0], digits.train.labels
x_test, y_test = to_float(digits.test.images)[:, 0], digits.test.labels


def nearest_mean(images, labels, probes):
    """The class whose mean image is nearest."""
    means = np.stack([images[labels == k].mean(axis=0) for k in range(10)]).reshape(10, -1)
    flat = probes.reshape(len(probes), -1)
    return np.argmin((means**2).sum(axis=1) - 2 * flat @ means.T, axis=1)


both = np.concatenate([x_train, x_train[:, :, ::-1]]), np.concatenate([y_train, y_train])
scores = {
    "as they are": np.mean(nearest_mean(x_train, y_train, x_test) == y_test),
    "test digits mirrored": np.mean(nearest_mean(x_train, y_train, x_test[:, :, ::-1]) == y_test),
    "mirror images among the training digits": np.mean(nearest_mean(*both, x_test) == y_test),
}
for name, score in scores.items():
    print(f"{name:40} {score:.0%} of the mini test right")
best = scores["as they are"]
assert scores["test digits mirrored"] < best - 0.2
assert scores["mirror images among the training digits"] < best - 0.05

figure, axes = plt.subplots(2, 10, figsize=(9, 2.1), layout="constrained")
for k in range(10):
    digit = x_test[y_test == k][0]
    for ax, picture in zip(axes[:, k], (digit, digit[:, ::-1]), strict=True):
        ax.imshow(picture, cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    axes[0, k].set_title(str(k), fontsize=9)
for ax, name in zip(axes[:, 0], ("as it is", "mirrored"), strict=True):
    ax.set_ylabel(name, fontsize=9)
claims.add(
    "horizontal_flip=True for ten classes",
    "imprecise",
    "right for photographs, harmful for digits and letters",
)
claims.add(
    "fit(iterator, validation_split=0.2)",
    "does not run",
    "that option takes arrays; split the data beforehand",
)

# %% [markdown]
# ## Preparing is not augmenting
#
# Under "数据增强" (*augmentation*) the document lists "文本嵌入" and "词干提取" (*embedding* and *stemming*). These
# prepare data: the same input gives the same result, always. Augmentation draws something new in every epoch.

# %% tags=["E33"]
batch, index = to_float(digits.train.images[:4]), np.arange(4)
prepared = [to_float(digits.train.images[:4]) * 2 - 1 for _ in range(2)]
augment = Affine(rotate=10, shift=2)
augmented = [augment(batch, seed=0, epoch=epoch, index=index) for epoch in range(2)]
print(
    "prepared twice, equal:",
    np.array_equal(*prepared),
    "  augmented in two epochs, equal:",
    np.array_equal(*augmented),
)
assert np.array_equal(*prepared)
assert not np.array_equal(*augmented)

words_used = Claims()
words_used.add(
    "文本嵌入、词干提取 are augmentation",
    "wrong",
    "embedding and stemming prepare data; synonym replacement augments",
)
words_used.add(
    "对抗损失函数 as a loss like cross-entropy (adversarial loss)",
    "imprecise",
    "adversarial training: the usual loss, on inputs moved along its gradient (FGSM: Goodfellow et al., ICLR 2015)",
)
words_used.add(
    "模型压缩 explains a model (compression)",
    "wrong",
    "compression makes a model smaller; it explains nothing",
)
words_used.add(
    "WaveNet as a pretrained model for speech recognition",
    "unsupported",
    "WaveNet generates sound (van den Oord et al. 2016; beside that it tries phonemes on TIMIT); "
    "no source for its fine-tuning on LibriSpeech is given",
)
words_used.add(
    "词向量归一化到单位长度, pixels to [0, 1] or [−1, 1]", "right", "usual preparation (normalisation)"
)
assert len(words_used.rows) == 5

# %% [markdown]
# ## Who uses it, and other claims without evidence
#
# These cannot be computed, only looked up or left open. The table at the end shows them.

# %% tags=["E25"]
uses = Claims()
uses.add("MobileNets are built of it", "right", "Howard et al., arXiv:1704.04861, 2017")
uses.add("Faster R-CNN uses it", "wrong", "ZF and VGG-16, standard convolutions (Ren et al., NeurIPS 2015)")
uses.add("SSD uses it", "wrong", "VGG-16 (Liu et al., ECCV 2016); SSDLite does (Sandler et al., CVPR 2018)")
uses.add(
    "FaceNet uses it, with contrastive learning",
    "wrong",
    "Zeiler-Fergus and Inception networks, triplet loss (Schroff et al., CVPR 2015, arXiv:1503.03832); "
    "MobileFaceNets does (Chen et al. 2018, arXiv:1804.07573)",
)
uses.add(
    "TextCNN uses it",
    "wrong",
    "standard one-dimensional convolutions of widths 3, 4 and 5, then the maximum over time "
    "(Kim, EMNLP 2014, arXiv:1408.5882)",
)
uses.add(
    "in each of these it raises accuracy (提高人脸识别的准确性, 提高文本分类准确性)",
    "unsupported",
    "nothing is measured; a separable layer computes only what some standard layer also can",
)
assert uses.counts() == {"right": 1, "unsupported": 1, "wrong": 4}

# %% tags=["E34"]
others = Claims()
others.add(
    "one document",
    "imprecise",
    "seven articles, joined by six markers of a chat format (<|assistant|>) that were left in the text",
)
others.add("ResNet18 fine-tuned on CIFAR-10 reaches about 90 %", "unsupported", "no source, no settings")
others.add(
    "较大的批次大小可能导致过拟合 (large batches may overfit)",
    "imprecise",
    "what is documented is a gap in generalisation (Keskar et al., ICLR 2017), which a larger learning rate or "
    "longer training can close (Goyal et al. 2017; Hoffer et al., NeurIPS 2017)",
)
others.add(
    "fewer parameters: less overfitting, easier fine-tuning",
    "unsupported",
    "plausible; has to be measured for a task",
)
others.add(
    "the eight steps of fine-tuning, from the pretrained model to deployment",
    "right",
    "but for the third, what to cut off, and the fourth, which forgets that the new head has no old weights",
)
others.add(
    "Adam, cross-entropy, L1 and L2 penalties, dropout, learning rates that decay",
    "right",
    "usual and well described; the programs use the first two",
)
others.add(
    "残差块解决了梯度消失问题 (residual blocks solved vanishing gradients)",
    "imprecise",
    "with batch norm gradients did not vanish; residual blocks let deeper networks train better (He et al. 2016)",
)
others.add(
    "slow training and convergence, dependence on the data as weaknesses of the operator",
    "unsupported",
    "nothing is measured or compared; any network has these troubles",
)
others.add(
    "outlook: mixed convolutions; quantisation, pruning, distillation; transfer between fields",
    "right",
    "names of real directions; no source is given",
)
assert len(others.rows) == 9

# %% [markdown]
# ## The whole document in one table
#
# First what was computed, in the order of the cells; then what was looked up.

# %%
for part in (words_used, uses, others):
    claims.extend(part)
assert len(claims.rows) == sum(claims.counts().values())
claims

# %% [markdown]
# ## Exercises
#
# Write the function in place of `raise NotImplementedError`, run both cells, and you are told.
#
# ### Exercise 1: when does the identity fit?
#
# The document's flag is upside down. Write `shortcut(c, o, stride)`: `"identity"` where the input can be added as it
# is, else `"projection"`.


# %% tags=["exercise"]
def shortcut(c, o, stride):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def shortcut_fits():
    for c, o, stride in ((4, 4, 1), (4, 8, 1), (4, 4, 2), (3, 32, 2)):
        body = DepthwiseSeparableConv2d(c, o, 3, stride=stride, padding=1)
        same = complexity.summary(body, (c, 9, 8)).output == (c, 9, 8)
        assert shortcut(c, o, stride) == ("identity" if same else "projection")


# %% [markdown]
# ### Exercise 2: true convolution
#
# Write `true_convolution(x, w)` for one image (H, W) and one kernel (KH, KW), no padding: the mathematicians'
# convolution, with the flip. Use `conv2d(..., impl="naive")`, which wants four axes, $(N, C, H, W)$ and
# $(O, C, KH, KW)$, and gives four back.


# %% tags=["exercise"]
def true_convolution(x, w):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def true_convolution_flips():
    x, w = np.random.default_rng(1).standard_normal((2, 6, 5))
    w = w[:3, :2]
    y = true_convolution(x, w)
    assert y.shape == (4, 4)
    for i, j in np.ndindex(4, 4):
        terms = (w[u, v] * x[i + 2 - u, j + 1 - v] for u, v in np.ndindex(3, 2))
        assert np.isclose(y[i, j], sum(terms))


# %% [markdown]
# ### Exercise 3: a split that sees every class
#
# Write `last_share_by_class(labels, share)`: a mask (booleans) that holds out the last `share` of *each class*
# instead of the last `share` of all. Every class has a multiple of 10 images here, so no rounding is needed.


# %% tags=["exercise"]
def last_share_by_class(labels, share):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def every_class_is_held_out():
    labels = np.random.default_rng(2).permutation(np.repeat(np.arange(4), (10, 20, 30, 10)))
    for share in (0.1, 0.2):
        held = last_share_by_class(labels, share)
        assert held.dtype == bool
        for k in range(4):
            of_class = held[labels == k]
            n = round(share * len(of_class))
            assert of_class[-n:].all()
            assert of_class.sum() == n
