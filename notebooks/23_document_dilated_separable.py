# %% [markdown]
# # 23. The third source document, read critically: dilated separable convolution
#
# The third source document, 《从零开始大模型开发与微调：PyTorch的深度可分离膨胀卷积详解》 ("depthwise
# separable dilated convolution explained with PyTorch"), describes a real and useful operator. Its formulas
# and its code describe something else. Here you take each claim, compute what it really says, and compute
# what should stand there.
#
# **At the end you can** tell a composition from a product of maps, find the one kernel behind two layers,
# say what dilation changes and what it does not, find holes in a receptive field, and build the block that
# the document means.
#
# **You need** notebooks [1](01_convolution_by_hand.ipynb) (convolution by hand) and [8](08_what_it_costs.ipynb) (what
# it costs). [Notebook 10](10_dilation_and_receptive_field.ipynb) (dilation) goes deeper into what is only touched here.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x$ | $(C, H, W)$ | the input |
# | $g$ | $(C, K, K)$ | depthwise taps: one filter for each channel. The document: 浅层卷积核, "shallow kernel" |
# | $h$ | $(O, C)$ | pointwise matrix. The document gives it the name of the whole operator |
# | $u$, $y$ | $(C, OH, OW)$, $(O, OH, OW)$ | after the depthwise step, after the pointwise step |
# | $d$, $p$ | numbers | dilation (distance between taps) and padding |
#
# $g$, $h$, $u$ are the document's letters. Since $u$ and $v$ are maps in it, the taps are numbered $a$, $b$ here
# (elsewhere $u$, $v$), and the bias is $\beta$ (elsewhere $b$).

# %%
# %matplotlib inline
import numpy as np
from matplotlib.figure import Figure

from npdsconv import complexity, conv2d, depthwise_conv2d, pointwise_conv2d
from npdsconv.data import Split, load
from npdsconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
)
from npdsconv.lessons import exercise, pictures, worked_examples
from npdsconv.lessons.pictures import show
from npdsconv.lessons.pictures.documents import Claims
from npdsconv.optim import Adam
from npdsconv.shapes import resolve_window
from npdsconv.train import evaluate, fit

rng = np.random.default_rng(23)
claims = Claims()  # each cell adds its verdicts after its assertions; the table comes last

# %% [markdown]
# ## Who does what?
#
# **The document (1.1, 2.1, 2.2):** 浅层卷积核用于提取输入数据的局部特征，深度可分离卷积则负责捕捉通道之间的依赖关系
# ("the shallow kernel extracts local features, the depthwise separable convolution captures the
# dependences between channels"); shallow convolution "does not consider dependences between channels". In
# 3.4 the second step also extracts 全局特征, "global features".
#
# **Test it.** Poke one pixel of one channel. See which channels and how many pixels of the output notice.

# %% tags=["E36"]
g, h = rng.standard_normal((3, 1, 3, 3)), rng.standard_normal((4, 3))
photo = rng.standard_normal((1, 3, 9, 9))


def notices(op):
    """Output channels and number of output pixels that change when one pixel of channel 1 changes."""
    poked = photo.copy()
    poked[0, 1, 4, 4] += 1
    changed = op(poked) != op(photo)
    return changed.any(axis=(0, 2, 3)).nonzero()[0].tolist(), int(changed.any(axis=(0, 1)).sum())


def depthwise(x):
    return depthwise_conv2d(x, g, padding=1, impl="naive")


def pointwise(x):
    return pointwise_conv2d(x, h, impl="naive")


seen = {
    "depthwise": notices(depthwise),
    "pointwise": notices(pointwise),
    "one after the other": notices(lambda x: pointwise(depthwise(x))),
}
for name, (channels, pixels) in seen.items():
    print(f"{name:20} channels {channels!s:14} pixels {pixels}")
assert seen["depthwise"] == ([1], 9)
assert seen["pointwise"] == ([0, 1, 2, 3], 1)
assert seen["one after the other"] == ([0, 1, 2, 3], 9)
claims.add(
    "shallow = local features, depthwise separable = channel dependences",
    "wrong",
    "shallow is the depthwise half, the second step the pointwise half; separable is both together",
)
claims.add("the second step extracts global features", "wrong", "a 1×1 step sees a single pixel")
claims.add(
    "spatial locality and dependences between channels are kept",
    "imprecise",
    "both are read; but there is one mix of the channels for all taps, not one for each tap",
)

# %% [markdown]
# So the idea is sound and the names are not. The document's first step is the *depthwise* half. Its second
# step is the *pointwise* half. "Depthwise separable" is the name of the two together.
#
# ## What does dilation change?
#
# **The document (2.2):** 膨胀卷积：一种可以控制卷积核大小和步长的卷积运算 ("a convolution that can control the size
# of the kernel and the stride").
#
# And then (3.2, 4.2, 4.3): 膨胀因子为 1 ("the dilation factor is 1"), while 3.4 promises multi-scale features.
#
# **The truth:** dilation spaces the taps. Along one axis the kernel then *spans* $d(K-1)+1$ pixels. The
# number of weights, the work for each output pixel and the stride stay. With $d=1$ the taps touch: an
# ordinary convolution. The document's *dilated* model never dilates.

# %% tags=["E37", "E41"]
H = 33
print("dilation   span  weights    MACs   output of 33×33")
for d in (1, 2, 4, 8):
    window = resolve_window("dilation", (H, H), (3, 3), padding=d, dilation=d)
    cost = complexity.summary(DepthwiseConv2d(1, 3, padding=d, dilation=d, bias=False, rng=rng), (1, H, H))
    print(f"{d:8} {window.span[0]:6} {cost.params:8} {cost.macs:7,}   {cost.output[1]}×{cost.output[2]}")
    assert window.span[0] == d * (3 - 1) + 1
    assert (cost.params, cost.macs, window.stride) == (9, 9 * H * H, (1, 1))
    assert cost.output == (1, H, H)
claims.add(
    "dilation controls kernel size and stride",
    "wrong",
    "it spaces the taps: span d(K−1)+1; weights, MACs and stride stay",
)

ordinary = depthwise_conv2d(photo, g, padding=1, impl="naive")
dilated = {d: depthwise_conv2d(photo, g, padding=d, dilation=d, impl="naive") for d in (1, 2)}
spread = np.zeros((3, 1, 5, 5))
spread[:, :, ::2, ::2] = g  # dilation 2 as a 5×5 kernel with holes
assert np.array_equal(dilated[1], ordinary)
assert not np.allclose(dilated[2], ordinary)
np.testing.assert_allclose(dilated[2], depthwise_conv2d(photo, spread, padding=2, impl="naive"), atol=1e-12)
claims.add(
    "a dilation factor of 1, and features on several scales",
    "wrong",
    "d = 1 is an ordinary convolution; other scales need d > 1",
)
figure = pictures.geometries(
    np.zeros((11, 12)), (3, 3), {f"dilation {d}": {"dilation": d} for d in (1, 2, 4)}
)
for text in (text for ax in figure.axes for text in ax.texts):
    text.set_visible(False)  # the image's numbers do not matter here
figure

# %% [markdown]
# Nine frames in every picture: nine weights, whatever the dilation. The dots mark where the upper left taps of
# *all* windows land: the windows still move by one. Without padding fewer of them fit.
#
# ## The main formula
#
# **The document (3.1, 3.2, 4.1, 4.2):** $y = (g \star u) \ast (h \star v)$, where "$u$ and $v$ are the
# feature maps of the input data and of the kernel, $\star$ is convolution and $\ast$ dilated convolution".
#
# This convolves one *result* with another *result*. What should a "feature map of the kernel" be? If both
# maps come from the input, then the input occurs twice, as in $x^2$. But a convolution layer is **linear**:
# doubling the image must double the output. And if $v$ does not come from the input, the second bracket is a
# constant.
#
# **The truth** is a composition: first one step, then the other *on its result*.
#
# $$u_{c,i,j} = \sum_{a,b} g_{c,a,b}\, x_{c,\,i+ad-p,\,j+bd-p} \qquad y_{o,i,j} = \beta_o + \sum_c h_{o,c}\, u_{c,i,j}$$

# %% tags=["E38"]
plane = worked_examples.three_equal_channels.x[:, :1]  # one channel: the numbers 1 to 16
kernel = np.array([[[[0.0, 1], [1, 0]]]])


def as_printed(x):
    left = conv2d(x, kernel, impl="naive")
    right = conv2d(x, kernel, impl="naive")
    return conv2d(left, right, impl="naive")  # a map convolved with a map


def composed(x):
    return pointwise_conv2d(depthwise_conv2d(x, kernel, impl="naive"), np.array([[1.0]]), impl="naive")


show("as printed, both maps from x", as_printed(plane)[0, 0])
show("composed", composed(plane)[0, 0])
assert np.array_equal(as_printed(2 * plane), 4 * as_printed(plane))  # quadratic in the image
assert np.array_equal(composed(2 * plane), 2 * composed(plane))  # linear, as a convolution is
assert as_printed(plane).shape == (1, 1, 1, 1) != composed(plane).shape
claims.add("y = (g⋆u)∗(h⋆v)", "wrong", "a composition, y = PW_h(DW_g(x)), not a product of two maps")

# %% [markdown]
# Doubling the image quadruples the printed formula. It cannot be a convolution layer.
#
# ## The two steps
#
# **The document (3.2, 4.2):** $g \star u = \sum_{i,j} g_{i,j}\, u_{i,j}$ and
# $h \star v = \sum_{i,j,k} h_{i,j,k}\, v_{i,j,k}$.
#
# All indices are summed, so each is **one number**, not a map. The first is one output pixel of one channel.
# The second also adds up all channels, which is one output pixel of a *standard* convolution.

# %% tags=["E39"]
example = worked_examples.three_distinct_channels  # 4×4 image with three channels, 2×2 kernels
x, g, h = example.x, example.w_depthwise, example.w_pointwise
corner = x[0, :, :2, :2]  # the upper left window of all channels

first = np.sum(g[0, 0] * corner[0])  # sum over i, j
second = np.sum(g[:, 0] * corner)  # sum over i, j, k
print(f"the document: {first:g} and {second:g}, one number each")

u = depthwise_conv2d(x, g, impl="naive")
y = pointwise_conv2d(u, h, impl="naive")
show("u, one map for each channel", u[0])
show("y, one map for each output channel", y[0])
assert np.ndim(first) == np.ndim(second) == 0
assert first == u[0, 0, 0, 0]
assert second == u[0, :, 0, 0].sum() == 117
assert second not in y[0, :, 0, 0]
np.testing.assert_array_equal(u, example.d)
np.testing.assert_array_equal(y, example.p)
claims.add("g⋆u = Σ g_ij u_ij", "wrong", "one number; the step gives a map for each channel")
claims.add("h⋆v = Σ h_ijk v_ijk", "wrong", "one number for all; the step is one matrix at every pixel")

# %% [markdown]
# ## The worked case
#
# **The document (4.3)** runs the two steps as $u = g \star u$, then $v = h \star v$, then
# $y = v \ast (h \star v)$. It takes "a kernel of size $n$" for an image of size $n$, and lets $k$ be both
# the depth of the image and the size of a kernel.
#
# * An *equation* $u = g \star u$ says that filtering changes nothing. Take the kernel
#   $\begin{bmatrix}0&1\\1&0\end{bmatrix}$ and 3×3 images, with a row and a column of zeros added so that the size
#   stays. Then only $u = 0$ does that: write the filter as a matrix $A$; then $(A - I)u = 0$, and $A - I$ has full
#   rank.
# * As an *assignment*, in a loop, the map shrinks until no window fits.
# * The last line applies $h$ twice and contradicts the main formula.
# * A kernel as large as the image has a single position: one output pixel.

# %% tags=["E40"]
basis = np.eye(9).reshape(9, 1, 3, 3)  # nine images with one bright pixel each
A = conv2d(basis, kernel, padding=((0, 1), (0, 1)), impl="naive").reshape(9, 9).T  # 3×3 stays 3×3
print("rank of A − I:", np.linalg.matrix_rank(A - np.eye(9)), "of 9")
assert np.linalg.matrix_rank(A - np.eye(9)) == 9

steps = [worked_examples.two_equal_filters.x]
while steps[-1].shape[2] >= 2:
    steps.append(conv2d(steps[-1], kernel, impl="naive"))
print("u = g⋆u as a loop:", " → ".join(str(step[0, 0].astype(int).tolist()) for step in steps))
assert [step.shape[2] for step in steps] == [3, 2, 1]

n = 28
print("kernel n on image n:", resolve_window("case", (n, n), (n, n)).output)
assert resolve_window("case", (n, n), (n, n)).output == (1, 1)
print(f"h applied twice: h reads {h.shape[1]} channels, v = h·u has {h.shape[0]}")
assert h.shape[0] != h.shape[1]
claims.add("u = g⋆u, v = h⋆v, y = v∗(h⋆v)", "wrong", "u = g⋆x, v = h·u, y = v (then batch norm, activation)")
claims.add("kernel of size n, k for two things", "wrong", "K, C, O and d are four different numbers")
claims.add(
    "inference is the same without gradients",
    "right",
    "only convolutions; batch norm then uses kept statistics",
)

# %% [markdown]
# ## How far do several layers see?
#
# The document says nothing about it, and it is the reason to dilate at all. The **receptive field** of a stack of
# layers is how many pixels along one axis an output can depend on. With kernels $K_l$, strides $s_l$ and dilations
# $d_l$ it is
#
# $$R = 1 + \sum_l d_l (K_l - 1) \prod_{k<l} s_k .$$
#
# But a receptive field can have **holes** ("gridding"). We measure: one bright pixel goes through layers whose
# weights are all 1, and we count the columns it reaches in its row. As many can reach one output, seen the other
# way round.


# %%
def response(dilations, size=35):
    """Where one bright pixel arrives after 3×3 layers of ones with these dilations."""
    image = np.zeros((1, 1, size, size))
    image[0, 0, size // 2, size // 2] = 1
    for d in dilations:
        image = depthwise_conv2d(image, np.ones((1, 1, 3, 3)), padding=d, dilation=d, impl="im2col")
    return image[0, 0]


stacks = {
    (1, 1, 1): (7, 7),
    (1, 2, 4): (15, 15),
    (1, 2, 5): (17, 17),
    (2, 2, 2): (13, 7),
    (1, 2, 4, 8): (31, 31),
}
for dilations, expected in stacks.items():
    reached = np.flatnonzero(response(dilations)[17])
    formula = 1 + sum(2 * d for d in dilations)
    width, taps_hit = int(np.ptp(reached)) + 1, len(reached)
    print(f"dilations {dilations!s:13} formula {formula:3}, measured {width:3}, pixels used {taps_hit:3}")
    assert (width, taps_hit) == expected
    assert width == formula
stem = 1 + 2 + sum(2 * d * 2 for d in (1, 2, 4))  # a stem of stride 2 first: all later steps count double
print("stem of stride 2, then dilations 1, 2, 4:", stem, "pixels: a whole digit")
assert stem == 31 > 28
claims.add(
    "膨胀卷积实现多尺度特征提取 (dilation extracts features on several scales)",
    "imprecise",
    "if d varies: a stack sees 1 + Σ d(K−1)Πs pixels, and equal dilations leave holes",
)

figure = Figure(figsize=(9, 3), layout="constrained")
for ax, dilations in zip(figure.subplots(1, 3), [(1, 1, 1), (1, 2, 4), (2, 2, 2)], strict=True):
    ax.imshow(response(dilations)[8:27, 8:27] > 0, cmap="Oranges", vmin=0, vmax=1.4)
    ax.set_title(f"dilations {dilations}: y, middle {response(dilations)[8:27, 8:27].shape}", fontsize=10)
    ax.set(xticks=[], yticks=[])
figure

# %% [markdown]
# Three layers, 27 weights each time. Dilations 1, 2, 4 see 15×15 pixels without a hole. Dilations 2, 2, 2
# span 13×13 but use only every second row and column.
#
# ## The block that the document means
#
# Depthwise with dilation $d$ and padding $d(K-1)/2$, then pointwise. With 3 input channels, 64 output
# channels and $K=3$, as in the document's code. The size of the image stays for every $d$.


# %%
def ds_dcn(c, o, k, d, **how):
    """The dilated depthwise separable block; odd k."""
    return DepthwiseSeparableConv2d(c, o, k, dilation=d, padding=d * (k - 1) // 2, rng=rng, **how)


for d in (1, 2, 4):
    block = ds_dcn(3, 64, 3, d, batch_norm=False)
    cost = complexity.summary(block, (3, 32, 32))
    print(f"d = {d}: (3, 32, 32) → {cost.output}, {cost.params} parameters, {cost.macs:,} MACs")
    assert cost.output == (64, 32, 32)
    assert (cost.params, cost.macs) == (286, 224_256)

    impulse = np.zeros((1, 3, 32, 32), np.float32)
    impulse[0, :, 16, 16] = 1
    rows, columns = (block.depthwise(impulse)[0, 0] != 0).nonzero()
    assert {(r - 16, c - 16) for r, c in zip(rows, columns, strict=True)} == {
        (d * a, d * b) for a in (-1, 0, 1) for b in (-1, 0, 1)
    }
weights = block.depthwise.weight.value.size + block.pointwise.weight.value.size
print("without biases:", weights)
assert weights == 219
claims.add(
    "特征图压缩 (the second step compresses feature maps, for detection)",
    "imprecise",
    "a 1×1 step changes the number of maps, not their size: fewer if O < C; the document's code has 3 in, 64 out",
)

# %% [markdown]
# ## The printed code
#
# **The document (5.2):** the decisive lines are
#
# ```python
# self.conv1 = nn.Conv2d(in_channels, kernel_size, kernel_size)
# self.conv2 = nn.Conv2d(kernel_size, out_channels, kernel_size)
# ...
# model = DS_DCN(3, 64, 3)
# ```
#
# The first two arguments of `Conv2d` are numbers of channels. So `kernel_size` is used as a *channel count*.
# There is no `groups`, no `dilation`, no 1×1 and no padding: two standard convolutions with nothing in
# between. Two linear steps are one linear step. We find it from outside: a black image shows the bias, and
# one bright pixel shows the kernel.

# %% tags=["E43"]
printed = Sequential(Conv2d(3, 3, 3, rng=rng, impl="im2col"), Conv2d(3, 64, 3, rng=rng, impl="im2col"))
printed.astype(np.float64)
for layer in printed:
    layer.bias.value[...] = rng.standard_normal(layer.bias.value.shape)

probe = np.zeros((3, 3, 9, 9))
probe[range(3), range(3), 4, 4] = 1  # image c has its bright pixel in channel c
bias = printed(np.zeros((1, 3, 9, 9)))[0, :, 0, 0]
kernel_5 = (printed(probe) - bias[:, None, None]).transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
photo = rng.standard_normal((1, 3, 32, 32))
single = conv2d(photo, np.ascontiguousarray(kernel_5), bias, impl="im2col")
np.testing.assert_allclose(printed(photo), single, atol=1e-12, rtol=0)
print("one kernel of shape", kernel_5.shape, "does the work of both layers")

rivals = {
    "printed code": printed,
    "standard 3×3": Conv2d(3, 64, 3, padding=1, rng=rng),
    "the block meant": ds_dcn(3, 64, 3, 1, batch_norm=False),
}
costs = {name: complexity.summary(model, (3, 32, 32)) for name, model in rivals.items()}
for name, cost in costs.items():
    print(f"{name:16} {cost.params:5,} parameters {cost.macs:10,} MACs  output {cost.output}")
assert [cost.params for cost in costs.values()] == [1876, 1792, 286]
assert 1876 > 6 * 286
assert costs["printed code"].macs == 1_427_652
print(f"printed code: {1876 / 286:.1f} times the parameters of the block")
assert costs["printed code"].output == (64, 28, 28)  # without padding each layer takes a border of one
assert resolve_window("direct", (32, 32), (5, 5)).output == (28, 28)
claims.add(
    "the code is a dilated separable convolution",
    "wrong",
    "two standard convolutions that equal one 5×5; more parameters than the 3×3 they should replace",
)

# %% [markdown]
# The printed code has more parameters than the one convolution that it is meant to replace, and more than six times
# as many as the block.
#
# ## Cheap and dear at once
#
# **The document** says that parameters are few and computation is small (3.3, advantages), that
# 计算复杂度高 ("the computational complexity is high", 3.3, drawbacks; 8.2; 8.3), and that 参数量仍较大 ("the
# number of parameters is still rather large", 8.3, beside newer light networks). Both cannot be. It also calls the
# learning rate hard to set and training long, without a measurement.

# %% tags=["E42"]
print("   O  separable / standard, K = 3")
for o in (16, 64, 256):
    values = {
        d: complexity.summary(ds_dcn(32, o, 3, d, batch_norm=False, bias=False), (32, 28, 28))
        for d in (1, 2, 4)
    }
    standard = complexity.summary(Conv2d(32, o, 3, padding=1, bias=False, rng=rng), (32, 28, 28))
    ratios = {d: value.macs / standard.macs for d, value in values.items()}
    print(f"{o:4}  " + "  ".join(f"d = {d}: {r:.4f}" for d, r in ratios.items()))
    for value in values.values():
        assert value.macs / standard.macs == value.params / standard.params == complexity.ratio(o, 3)
    assert max(ratios.values()) < 0.2
claims.add(
    "splitting the kernel saves parameters and work", "right", "the ratio is 1/O + 1/K², for every dilation"
)
claims.add("the complexity is high, the parameters still many", "wrong", "contradicts the line above")
claims.add("the learning rate is hard to set, training is long", "unsupported", "nothing is measured")
claims.add(
    "weak on foreign data, a black box (8.3); gradient accumulation, prior knowledge as remedies (8.4)",
    "unsupported",
    "nothing is measured; true of any network, and the remedies have nothing to do with this operator",
)

# %% [markdown]
# ## Showing 64 maps
#
# **The document (5.2):** `plt.imshow(y[0].detach().numpy(), cmap='gray')` with `y[0]` of shape (64, 28, 28).
# `imshow` draws one map (H, W), or a colour image (H, W, 3) or (H, W, 4).

# %% tags=["E44"]
maps = printed(photo)[0]
try:
    Figure().subplots().imshow(maps, cmap="gray")
except TypeError as error:
    print("TypeError:", error)
else:
    raise AssertionError("imshow took 64 maps")
claims.add(
    "imshow(y[0]) shows the result", "does not run", "64 maps are no image: show one, or a grid of them"
)

# %% [markdown]
# ## Edges out of noise?
#
# **The document (5.4):** 输出数据 y 的特征图具有明显的边缘和纹理特征 ("the feature map of the output has clear edges
# and texture"). The input was `torch.randn`: noise. The weights were random: nothing was trained. (5.1 has
# you install TensorFlow and TensorBoard, which are never used.)
#
# An edge is a relation between *distant* pixels: a line goes on. In noise no two pixels are related. A 5×5
# kernel can relate output pixels up to 4 apart, by reading the same inputs. Beyond that nothing.


# %% tags=["E45"]
def correlation(maps, lags):
    """Mean absolute correlation between pixels `lag` columns apart, over the maps."""
    z = maps - maps.mean(axis=(1, 2), keepdims=True)
    power = (z**2).mean(axis=(1, 2))
    return [
        float(np.mean(np.abs((z[:, :, : -lag or None] * z[:, :, lag:]).mean(axis=(1, 2)) / power)))
        for lag in lags
    ]


digits = load("mnist5k")
lags = range(9)
of_noise = correlation(printed(rng.standard_normal((1, 3, 160, 160)))[0], lags)
digit = np.pad(digits.train.images[7, 0] / 255.0, 2)
of_digit = correlation(printed(np.tile(digit, (1, 3, 1, 1)))[0], lags)
print("lag      " + "".join(f"{lag:7}" for lag in lags))
print("noise    " + "".join(f"{r:7.2f}" for r in of_noise))
print("a digit  " + "".join(f"{r:7.2f}" for r in of_digit))
assert max(of_noise[5:]) < 0.03
assert min(of_noise[1:4]) > max(of_noise[5:])
assert max(of_digit[5:]) > 3 * max(of_noise[5:])
claims.add(
    "the output shows clear edges and texture",
    "wrong",
    "noise through random weights: pixels further apart than the kernel are unrelated",
)

# %% [markdown]
# Up to lag 4 the kernel relates pixels with each other: a grain that looks like texture. From lag 5 on there
# is nothing. A digit is different: its strokes are long.
#
# ## What training does
#
# Now a fair test. Digits in random colours (3 channels, 32×32) are the input. After the block come pooling
# and a dense layer. We train three models shortly: the block with dilation 2, its standard twin, and the
# printed code. The score is the share of 500 images of the mini test that come out right.

# %% tags=["rounding"]
inks = rng.uniform(0.3, 1, (1500, 3, 1, 1))


def coloured(split, n, inks):
    images = np.pad(split.images[:n], ((0, 0), (0, 0), (2, 2), (2, 2)))
    return Split((images * inks).astype(np.uint8), split.labels[:n])


train, test = coloured(digits.train, 1000, inks[:1000]), coloured(digits.test, 500, inks[1000:])
trunks = {
    "block, d = 2": [block := ds_dcn(3, 64, 3, 2)],
    "standard twin": [Conv2d(3, 64, 3, padding=1, bias=False, rng=rng), BatchNorm2d(64), ReLU()],
    "printed code": [Conv2d(3, 3, 3, rng=rng), Conv2d(3, 64, 3, rng=rng)],
}
untrained, scores = block.copy(), {}
for name, trunk in trunks.items():
    trunk_cost = complexity.summary(Sequential(*trunk), (3, 32, 32))
    pooled = 64 * (trunk_cost.output[1] // 8) ** 2
    model = Sequential(*trunk, AvgPool2d(8), Flatten(), Linear(pooled, 10, rng=rng))
    fit(model, train, Adam(model.parameters(), lr=5e-3), epochs=4, batch_size=50, seed=0)
    scores[name] = evaluate(model, test.images, test.labels).accuracy
    print(
        f"{name:14} {trunk_cost.params:5,} parameters, {trunk_cost.macs:9,} MACs, mini test {scores[name]:.3f}"
    )
assert min(scores.values()) > 0.3  # chance is 0.1

# %% [markdown]
# All three models learn. We do not rank them: the data are few, the training short, and most parameters sit in the
# dense layer. What is certain is the cost.
#
# Now the picture that the document wanted to show: the block's 64 output maps, for noise and for a digit, before and
# after training. They are taken before the last ReLU, which would cut them off.


# %% tags=["rounding"]
def mosaic(maps):
    """64 maps as one 8×8 picture, each stretched to its own range."""
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    framed = np.pad((maps - low) / (high - low + 1e-9), ((0, 0), (1, 1), (1, 1)), constant_values=1)
    _, h, w = framed.shape
    return framed.reshape(8, 8, h, w).transpose(0, 2, 1, 3).reshape(8 * h, 8 * w)


def before_relu(block, image):
    """Depthwise, batch norm, ReLU, pointwise: the maps without the last activation."""
    return block.pointwise(block.mid_activation(block.bn1(block.depthwise(image))))[0]


one = test.images[3:4].astype(np.float32) / 255
noise = rng.standard_normal(one.shape).astype(np.float32)
panels = {
    "noise, random weights": before_relu(untrained, noise),
    "a digit, random weights": before_relu(untrained, one),
    "a digit, trained": before_relu(block, one),
}
figure = Figure(figsize=(10, 3.7), layout="constrained")
for ax, (title, maps) in zip(figure.subplots(1, 3), panels.items(), strict=True):
    assert maps.shape == (64, 32, 32)
    ax.imshow(mosaic(maps), cmap="gray")
    ax.set_title(f"{title}\ny {maps.shape}", fontsize=10)
    ax.axis("off")
figure

# %% [markdown]
# Edges appear when the input has edges, even with random weights (middle). Training chooses *which* (right).
# The left picture is the document's case: noise through random weights.
#
# ## Results, history, citations
#
# **The document (6.1 to 6.5)** reports experiments on CIFAR-10, PASCAL VOC (twice), IMDB and AISHELL-1: accuracy
# kept, work and memory "clearly" reduced. **(2.1, 7.1, 7.3)** It names an inventor, papers and courses.
#
# The next cell sets a source beside each claim; the table below it shows them. "Not found" means that a search of
# public texts found nothing; that is no proof. Which sources were looked up again is said in
# [sources](../docs/sources.md).

# %% tags=["E35", "E46", "E47"]
sources = Claims()
sources.add(
    "experiments on five data sets",
    "unsupported",
    "no number, no table, no code; the eight figures are addresses under www.example.com, a domain reserved "
    "for examples",
)
sources.add(
    "DS-DCN was proposed by 张晓华 (Zhang Xiaohua) and others in 2018, paper Deep Separable Dilated Convolution",
    "unsupported",
    "not found. Separable and dilated together: “atrous separable convolution”, DeepLabv3+ (Chen et al., ECCV "
    "2018, arXiv:1802.02611); “depth-wise dilated separable”, ESPNetv2 (Mehta et al., CVPR 2019, arXiv:1811.11431)",
)
sources.add(
    "(nothing on where the two halves come from)",
    "imprecise",
    "holes: algorithme à trous (Holschneider et al., 1989); Chen et al., ICLR 2015, arXiv:1412.7062; Yu and "
    "Koltun, ICLR 2016, arXiv:1511.07122. Separable: Sifre, thesis, 2014; Chollet, CVPR 2017, arXiv:1610.02357",
)
sources.add(
    "(nothing on its weakness)",
    "imprecise",
    "gridding: Wang et al., WACV 2018, arXiv:1702.08502; Park et al., arXiv:1812.04920",
)
sources.add(
    "AISHELL-1: Mandarin Multilingual Corpus",
    "wrong",
    "An Open-Source Mandarin Speech Corpus and A Speech Recognition Baseline (Bu et al., 2017, arXiv:1709.05522)",
)
sources.add(
    "Efficient Pyramid Networks improves DS-DCN",
    "unsupported",
    "not found; perhaps Feature Pyramid Networks (Lin et al., CVPR 2017) or ESPNet (Mehta et al., ECCV 2018)",
)
sources.add(
    "SSD and U-Net improve DS-DCN",
    "wrong",
    "both use standard convolutions and are older than the date given for DS-DCN (Liu et al., ECCV 2016; "
    "Ronneberger et al., MICCAI 2015)",
)
sources.add(
    "CS231n, the PyTorch documentation and Transformer from the Inside Out explain DS-DCN",
    "unsupported",
    "the first two treat convolution, PyTorch also grouped and dilated; the third was not found",
)
sources.add(
    "these papers are the latest progress in fine-tuning large models (大模型微调)",
    "wrong",
    "none of those named above is about it",
)
assert "right" not in sources.counts()

# %% [markdown]
# ## The whole document in one table
#
# First what was computed, in the order of the cells, each row after its assertions had passed; then what was looked
# up.

# %%
claims.extend(sources)
assert {"right", "wrong", "unsupported", "does not run"} <= set(claims.counts())
claims

# %% [markdown]
# ## Exercises
#
# Write the function in place of `raise NotImplementedError`, run both cells, and you are told.
#
# ### Exercise 1: merge two layers
#
# We found the 5×5 kernel behind the printed code by probing. Now compute it: `merge(first, second)` takes the
# weights of the first layer $(B, A, K, K)$ and of the second $(O, B, L, L)$ ($A$ channels in, $B$ between, $O$ out)
# and returns $(O, A, K+L-1, K+L-1)$. *Hint: tap $(s, t)$ of the second layer reads the first layer's output shifted
# by $(s, t)$.*


# %% tags=["exercise"]
def merge(first, second):
    """The kernel of `conv2d(conv2d(x, first), second)`."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1_merge():
    first, second = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal((5, 4, 2, 2))
    x = rng.standard_normal((2, 3, 8, 7))
    merged = merge(first, second)
    assert merged.shape == (5, 3, 4, 4)
    two = conv2d(conv2d(x, first, impl="im2col"), second, impl="im2col")
    np.testing.assert_allclose(conv2d(x, merged, impl="im2col"), two, atol=1e-12)
    np.testing.assert_allclose(merge(*(layer.weight.value for layer in printed)), kernel_5, atol=1e-12)


# %% [markdown]
# ### Exercise 2: the formula that should stand there
#
# Write the two corrected formulas ("The main formula", above) in plain NumPy, for one image at stride 1, with
# the padding that keeps the size. Use no convolution of the library. *Hint: pad once; then each of the
# $K^2$ taps is a shifted copy of the padded image.*


# %% tags=["exercise"]
def dilated_separable(x, g, h, beta, d):
    """x (C, H, W), g (C, K, K) with odd K, h (O, C), beta (O,) -> y (O, H, W)."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2_dilated_separable():
    for k, d in ((3, 1), (3, 2), (5, 3)):
        x, beta = rng.standard_normal((3, 14, 13)), rng.standard_normal(4)
        taps, mix = rng.standard_normal((3, k, k)), rng.standard_normal((4, 3))
        pad = d * (k - 1) // 2
        between = depthwise_conv2d(x[None], taps[:, None], padding=pad, dilation=d, impl="naive")
        expected = pointwise_conv2d(between, mix, beta, impl="naive")[0]
        np.testing.assert_allclose(dilated_separable(x, taps, mix, beta, d), expected, atol=1e-12)
