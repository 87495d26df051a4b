# %% [markdown]
# # 10. Dilation and the receptive field
#
# How much of a picture can one output number know about? Here you compute that region, see it with a single
# backward pass, and widen it with dilation at no cost. Then you meet the price: holes.
#
# At the end you can choose strides and dilations so that a network of separable blocks sees all it has to
# see. You need [lesson 1](01_convolution_by_hand.ipynb) and [lesson 5](05_the_backward_pass.ipynb).
#
# | symbol | meaning |
# |---|---|
# | $K$, $s$, $d$ | taps, stride and dilation of a layer along one axis (both axes are alike here) |
# | $d(K-1)+1$ | the *span*: how many pixels a dilated kernel covers, taps and gaps together |
# | $\ell$ | the number of a layer, counted from 1 at the input |
# | $R$ | the *receptive field*: pixels from the first to the last one that an output reads, both included |

# %%
# %matplotlib inline
import inspect

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import complexity, conv2d, data, depthwise_conv2d
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
    Sequential,
    set_impl,
)
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.reach import reach, read_by, tree
from npdsconv.ops import depthwise

rng = np.random.default_rng(10)

# %% [markdown]
# ## Dilation pulls the taps apart
#
# Dilation $d$ leaves $d-1$ pixels between neighbouring taps. The formula of the depthwise step (here with one
# filter for each channel) changes in one place: tap $(u, v)$ reads $d$ times as far from the window's corner.
#
# $$y_{c,i,j} = \sum_{u,v} w_{c,u,v}\; x_{c,\;i s + u d,\;j s + v d}$$
#
# In the code that is two names, `dh` and `dw`, in the last line. Nothing else there knows about dilation.

# %%
print(inspect.getsource(depthwise._terms))

x = rng.integers(-4, 5, (1, 2, 13, 12)).astype(float)
w = rng.integers(-4, 5, (2, 1, 3, 3)).astype(float)
for d in (1, 2, 3, 4):
    holed = np.zeros((2, 1, d * 2 + 1, d * 2 + 1))
    holed[:, :, ::d, ::d] = w  # the same nine weights, zeros between them
    dilated = depthwise_conv2d(x, w, dilation=d, impl="naive")
    np.testing.assert_array_equal(dilated, depthwise_conv2d(x, holed, impl="naive"))
    print(f"d = {d}: a 3×3 kernel spans {holed.shape[2]}×{holed.shape[3]}, output {dilated.shape[2:]}")

# %% [markdown]
# So a dilated kernel equals a large kernel that is mostly zeros, with the zeros never stored or multiplied. (The
# French name is *à trous*, "with holes".)
#
# ## A microscope: one number sent back
#
# Which pixels does an output read? Do not follow the formula: ask the layer. Send back a $dy$ that is 1 at
# one output pixel and 0 everywhere else. The gradient $dx$ is then different from zero exactly where that
# output reads.
#
# Let all weights be 1 for now. Then nothing can cancel, and $dx$ even *counts*: each pixel gets the number of
# paths that lead from it to the output.
#
# The cell looks at depthwise layers, at a pointwise one, and at both in a row. It also tests the microscope:
# noise on all pixels that it calls unread must leave the output as it is, to the last bit.


# %%
def stack(*steps):
    """Depthwise layers (kernel, stride, dilation) on one channel, all weights 1."""
    how = {"bias": False, "impl": "im2col", "rng": rng}
    layers = [DepthwiseConv2d(1, K, stride=s, dilation=d, **how) for K, s, d in steps]
    for layer in layers:
        layer.weight.value[...] = 1
    return Sequential(*layers)


def paths(model, shape):
    """How many paths lead from each input pixel to the output pixel in the middle: (H, W)."""
    y, backward = model.forward(np.zeros(shape, np.float32), train=False)
    dy = np.zeros_like(y)
    dy[0, :, y.shape[2] // 2, y.shape[3] // 2] = 1
    return backward(dy)[0].sum(axis=0)


def middle(model, x):
    """The output pixel in the middle, all its channels."""
    y = model(x)
    return y[0, :, y.shape[2] // 2, y.shape[3] // 2]


layers = {f"K = 3, d = {d}": stack((3, 1, d)) for d in (1, 2, 3, 4)}
layers["pointwise, K = 1"] = PointwiseConv2d(1, 5, bias=False, rng=rng, impl="im2col")
layers["pointwise, K = 1"].weight.value[...] = 1
reads = {title: paths(layer, (1, 1, 13, 13)) for title, layer in layers.items()}
for (title, read), span in zip(reads.items(), (3, 5, 7, 9, 1), strict=True):
    rows = np.flatnonzero(read.any(axis=1))
    assert rows[-1] - rows[0] + 1 == span
    assert np.count_nonzero(read) == min(span, 3) ** 2  # nine taps, whatever the dilation; pointwise has one
    picture, noise = rng.standard_normal((2, 1, 1, 13, 13), np.float32)
    elsewhere = np.where(read > 0, picture, noise)
    assert np.array_equal(middle(layers[title], elsewhere), middle(layers[title], picture))
in_a_row = paths(Sequential(layers["K = 3, d = 4"], layers["pointwise, K = 1"]), (1, 1, 13, 13))
assert np.array_equal(in_a_row > 0, reads["K = 3, d = 4"] > 0)  # the pointwise step adds nothing
reach(reads)

# %% [markdown]
# Blue pixels are read, white ones are not. The orange frame is the span, the red dot its middle. The span grows
# with $d$; the number of blue pixels does not.
#
# ## What dilation costs, and what it is not
#
# The third source document, on "depthwise separable dilated convolution", says things that this picture already
# contradicts:
#
# * dilation is "an operation that controls the size of the kernel and the stride". It controls neither. The
#   kernel keeps its weights, and the output pixels stay one pixel apart;
# * the "dilation factor is 1" in all its formulas. A dilation of 1 is no dilation: no gaps;
# * "global features" come from the pointwise half of the block. But that half has $K = 1$ and reads a single pixel.
#   Only the depthwise half looks around.
#
# It also calls the cost of its block low on one page and high on the next. Count it: weights, and MACs
# (multiply-adds) for each output pixel. With $K = 3$, padding $d$ keeps the picture's size.

# %% tags=["E37", "E41", "E42"]
C, O = 32, 64
print(" d  span  output    weights  MACs per output pixel")
costs = {}
for d in (1, 2, 4, 8):
    block = DepthwiseSeparableConv2d(C, O, 3, padding=d, dilation=d, batch_norm=False, bias=False, rng=rng)
    total = complexity.summary(block, (C, 32, 32))
    costs[d] = total.params, total.macs / 32**2
    print(f"{d:2} {d * 2 + 1:5}  {total.output[1:]!s:9} {costs[d][0]:7,} {costs[d][1]:10,.0f}")
    assert total.output == (O, 32, 32)  # the output's size does not change, so the stride is still 1
    assert costs[d] == costs[1]  # neither do weights and work

weights = block.depthwise.weight.value
image = rng.standard_normal((1, C, 9, 9), np.float32)
plain = depthwise_conv2d(image, weights, impl="im2col")
factor_1 = depthwise_conv2d(image, weights, dilation=1, impl="im2col")
assert np.array_equal(factor_1, plain)  # a dilation of 1 is no dilation
standard = complexity.summary(Conv2d(C, O, 3, padding=1, bias=False, rng=rng), (C, 32, 32))
share = costs[1][0] / standard.params
print(f"\nthe standard convolution has {standard.params:,} weights; the block has {share:.3f} of that")
assert np.isclose(share, 1 / O + 1 / 9)
assert np.isclose(costs[1][1] / (standard.macs / 32**2), share)

# %% [markdown]
# The cost is low, $\frac1O + \frac1{K^2}$ of the standard one, and dilation leaves it alone.
#
# ## Layers on layers
#
# Now stack layers. Walk backwards, from one output pixel to the input. Suppose the walk has reached $n$
# neighbouring numbers in the output of layer $\ell$. In its input, their windows start $s_\ell$ apart. So the last
# window starts $s_\ell(n-1)$ pixels after the first one, and then covers a span:
#
# $$n \;\longmapsto\; s_\ell\,(n-1) + d_\ell (K_\ell - 1) + 1 .$$
#
# Start with $n = 1$ at the output. In terms of $n - 1$ the rule is simpler: multiply by $s_\ell$, then add
# $d_\ell(K_\ell-1)$. Carried on down to the input, each layer's share is stretched by the strides of all layers
# *before* it (for the first layer the product is empty, which makes 1):
#
# $$R = 1 + \sum_{\ell} d_\ell\,(K_\ell - 1) \prod_{k<\ell} s_k .$$
#
# A test that needs no formula: an input of exactly $R$ pixels gives exactly one output pixel, and that one reads
# the first and the last of them.


# %%
def walk(steps):
    """The receptive field, walking from the output to the input."""
    n = 1
    for K, s, d in reversed(steps):
        n = s * (n - 1) + d * (K - 1) + 1
    return n


def receptive_field(steps):
    """The receptive field by the formula: (kernel, stride, dilation) for each layer."""
    total, jump = 1, 1
    for K, s, d in steps:
        total += d * (K - 1) * jump
        jump *= s
    return total


stacks = {
    "d = 1, 1, 1": [(3, 1, 1)] * 3,
    "d = 1, 2, 4": [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
    "d = 1, 2, 4, 8": [(3, 1, 1), (3, 1, 2), (3, 1, 4), (3, 1, 8)],
    "stride 2, then d = 1, 2": [(3, 2, 1), (3, 1, 1), (3, 1, 2)],
    "d = 1, 2, then stride 2": [(3, 1, 1), (3, 1, 2), (3, 2, 1)],
    "three with stride 2": [(3, 2, 1)] * 3,
}
for title, steps in stacks.items():
    R = receptive_field(steps)
    model, x = stack(*steps), np.zeros((1, 1, R, R), np.float32)
    field = paths(model, x.shape)
    assert model(x).shape == (1, 1, 1, 1)
    assert min(field[0, 0], field[-1, -1]) > 0
    print(f"{title:24} R = {R}")
assert [receptive_field(steps) for steps in stacks.values()] == [7, 15, 31, 15, 9, 15]

for _ in range(200):
    steps = [tuple(map(int, rng.integers(1, 6, 3))) for _ in range(rng.integers(1, 7))]
    assert walk(steps) == receptive_field(steps)

# %% [markdown]
# Three plain layers see 7 pixels. When the dilation doubles from layer to layer, the same three see 15, and with a
# fourth one 31. So $R + 1$ doubles with every layer, where each plain layer adds 2.
#
# Order matters for strides: a stride stretches only what comes *after* it.
#
# The picture shows a single axis: one output (red) at the top, the input (blue) at the bottom, the taps
# (green) between. Empty circles are not read.

# %%
shown = {title: stacks[title] for title in ("d = 1, 1, 1", "d = 1, 2, 4", "stride 2, then d = 1, 2")}
for steps in shown.values():
    read = read_by(steps)[0]  # positions in the input
    assert max(read) + 1 == len(read) == receptive_field(steps)  # every pixel of the field is read
twos = [(3, 1, 2)] * 3
assert receptive_field(twos) == 13
assert len(read_by(twos)[0]) == 7
tree({**shown, "d = 2, 2, 2": twos})

# %% [markdown]
# ## Holes
#
# The first three trees read every pixel between the first and the last one. That is luck, or design. The last one
# does not: with $d = 2, 2, 2$ every path takes even steps only, so an output never learns about its odd neighbours.
# This is called **gridding**. The receptive field is 13 pixels wide, and the output reads 7 of them.
#
# The microscope shows it on the real layers, in two dimensions. Darker pixels have more paths.

# %%
along = {(1, 1, 1): 7, (2, 2, 2): 7, (1, 2, 4): 15, (1, 2, 5): 17, (1, 2, 9): 21}  # pixels read along an axis
fields = {ds: paths(stack(*[(3, 1, d) for d in ds]), (1, 1, 27, 27)) for ds in along}
for ds, count in along.items():
    rows = np.flatnonzero(fields[ds].any(axis=1))
    R = receptive_field([(3, 1, d) for d in ds])
    assert rows[-1] - rows[0] + 1 == R
    assert len(rows) == count == len(read_by([(3, 1, d) for d in ds])[0])
    assert fields[ds].sum() == 9**3  # three layers of nine taps: as many paths, however they are spread
    holes = "no holes" if count == R else f"{R**2 - count**2} of {R**2} pixels are holes"
    print(f"d = {ds}: {R:2}×{R:2}, reads {count:2}×{count:2}: {holes}")
reach({f"d = {ds}": field for ds, field in fields.items()})

# %% [markdown]
# When are there no holes? Suppose the layers so far read $R$ pixels in a row, without a gap. One more layer with
# three taps and dilation $d$ lays three such strips side by side, $d$ pixels apart. They touch or overlap when
# $d \le R$. After $d=1$ and $d=2$ we have $R = 7$: so 4 and 5 are fine, and 9 leaves gaps.
#
# With $d = 2, 2, 2$ there is a gap from the first layer on, and even steps never fill it.
#
# ## Why gridding hurts
#
# Split a picture into $d^2$ smaller ones: every $d$-th pixel of every $d$-th row, from each possible start.
# A convolution with dilation $d$ is nothing but the *plain* convolution of each small picture by itself. So
# a stack with $d = 2$ throughout is four networks that never speak to each other.
#
# Neighbouring output pixels then come from different pictures, and may disagree. Take a digit and lay a
# checkerboard over it: noise of the finest kind. Average over $3\times3$ taps, three times. Averaging should
# remove the checkerboard: nine plain taps meet five squares of one colour and four of the other, so each layer
# leaves only $\frac19$ of it. With an even $d$ all nine taps meet the same colour, and nothing is removed.

# %%
digit = np.pad(data.load("mnist5k").test.images[700, 0] / 255, 3)
board = 0.3 * (-1.0) ** np.add.outer(np.arange(34), np.arange(34))
mean = np.full((1, 1, 3, 3), 1 / 9)
noisy = (digit + board)[None, None]
for d in (2, 3):
    whole = depthwise_conv2d(noisy, mean, dilation=d, impl="naive")
    for p, q in np.ndindex(d, d):
        part = depthwise_conv2d(noisy[:, :, p::d, q::d], mean, impl="naive")
        np.testing.assert_array_equal(whole[:, :, p::d, q::d], part)
    print(f"dilation {d} is {d * d} plain convolutions, interleaved")

panels = {"x": digit + board}
for ds in ((1, 1, 1), (2, 2, 2), (1, 2, 4)):
    y, only_board = noisy, board[None, None]
    for d in ds:
        y, only_board = (depthwise_conv2d(each, mean, dilation=d, impl="im2col") for each in (y, only_board))
    panels[f"y, d = {ds}"], left = y[0, 0], np.abs(only_board).max() / 0.3
    print(f"d = {ds}: {left:.4f} of the checkerboard is left")
    assert np.isclose(left, (1 / 9) ** sum(d % 2 for d in ds))

fig, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for ax, (title, image) in zip(axes, panels.items(), strict=True):
    ax.imshow(image, cmap="gray_r", vmin=-0.3, vmax=1)
    ax.set_title(f"{title}  {image.shape}", fontsize=9)
    ax.axis("off")
plt.show()

# %% [markdown]
# $d = 1, 2, 4$ blurs most, since its field is the widest. It removes most of the checkerboard, by its first layer
# alone: the other two dilations are even. Rules of thumb follow: begin plain, let dilations grow, and do not let
# them all share a factor.
#
# ## Stride
#
# Stride stretches the field as well. It saves work where dilation does not, since there are fewer output
# pixels. The price is resolution: neighbouring outputs are $s$ input pixels apart.
#
# And stride has holes of its own, when $K < s$. Send back ones from *every* output pixel: $dx$ then counts
# how often each input pixel is read. A $1\times1$ layer with stride 2, common in shortcuts, ignores about
# three quarters of the picture.

# %%
print("how often the pixels along one axis are read")
for K, s in ((1, 2), (3, 2), (3, 1)):
    model = stack((K, s, 1))
    y, backward = model.forward(np.zeros((1, 1, 31, 31), np.float32), train=False)
    read = backward(np.ones_like(y))[0, 0]
    often = np.sqrt(np.diag(read)).astype(int)  # rows times columns: the root counts along one axis
    unread = np.mean(read == 0)
    print(f"K = {K}, s = {s}: {' '.join(map(str, often[:11]))} ...  {unread:.0%} of all pixels are not read")
    assert np.array_equal(read, np.outer(often, often))
    assert (unread > 0) == (s > K)
    assert abs(unread - 3 / 4) < 0.02 or K > 1

# %% [markdown]
# With $K = 3$, $s = 2$ every other pixel along an axis is read twice, and the rest once. Pixels that are read more
# often get larger gradients: a faint checkerboard of its own.
#
# ## The document's own code
#
# The third source document prints a network, meant to be a dilated separable block for 3 channels in and 64 out.
# ([Lesson 23](23_document_dilated_separable.ipynb) reads the rest.) Translated line by line, it is two standard
# convolutions: $3 \to 3$ channels (the kernel's *size* is given where a number of channels belongs) and $3 \to 64$.
# There are no groups, no dilation, no $1\times1$ step, and nothing between the two.
#
# Two linear layers in a row are one linear layer, so one kernel must do the work of both. The microscope finds it.
# An input of 5×5 pixels gives a single output pixel, $y_o = \sum_{c,u,v} w_{o,c,u,v}\, x_{c,u,v} + b_o$. The gradient
# of $y_o$ for the input *is* the kernel $w_o$, and the output for a black image is the bias. One backward pass gives
# all 64 kernels.

# %% tags=["E43"]
printed = set_impl(Sequential(Conv2d(3, 3, 3, rng=rng), Conv2d(3, 64, 3, rng=rng)), "im2col").astype(
    np.float64
)
for layer in printed:
    layer.bias.value[...] = rng.standard_normal(layer.bias.value.shape)
b5, backward = printed.forward(np.zeros((64, 3, 5, 5)), train=False)
assert b5.shape == (64, 64, 1, 1)
w5 = backward(np.eye(64).reshape(64, 64, 1, 1))  # image o asks for output channel o
picture = rng.standard_normal((2, 3, 32, 32))
np.testing.assert_allclose(printed(picture), conv2d(picture, w5, b5[0, :, 0, 0], impl="im2col"), atol=1e-12)
print("both layers together are one standard convolution with kernels", w5.shape)

meant = DepthwiseSeparableConv2d(3, 64, 3, padding=2, dilation=2, batch_norm=False, bias=True, rng=rng)
rivals = {"as printed": printed, "one standard 3×3": Conv2d(3, 64, 3, padding=1, rng=rng), "as meant": meant}
totals = {name: complexity.summary(each, (3, 32, 32)) for name, each in rivals.items()}
for name, total in totals.items():
    print(f"{name:16} {total.params:6,} parameters {total.macs:10,} MACs   output {total.output}")
assert totals["as printed"].params > totals["one standard 3×3"].params > 6 * totals["as meant"].params

# %% [markdown]
# ## A network that sees a whole digit
#
# A standard stem with stride 2, then three separable blocks with $d = 1, 2, 4$. Does it cover the $28\times28$
# pixels of a digit? This time the real network is measured, in evaluation, with random weights and with its ReLUs.
# Noise outside the field is the test again: it must not change one bit of the output.
#
# $R$ is a border, not a promise: it does not say how *much* each pixel counts. So take the mean size of the
# gradient over random networks and random pictures, which is called the *effective* receptive field (Luo et
# al., 2016). Beside it are path counts for two stacks with the same $R$: one plain, one with doubling
# dilations. (The shade shows the square root, or the middle would hide all the rest.)

# %%
dilations = (1, 2, 4)


def dilated_network(channels=32):
    """The trunk, a stem and three dilated separable blocks, and the head, pooling and a dense layer."""
    stem = [Conv2d(1, 16, 3, stride=2, padding=1, bias=False, rng=rng), BatchNorm2d(16), ReLU()]
    body = [
        DepthwiseSeparableConv2d(c, channels, 3, padding=d, dilation=d, rng=rng)
        for c, d in zip((16, channels, channels), dilations, strict=True)
    ]
    head = [GlobalAvgPool2d(), Flatten(), Linear(channels, 10, rng=rng)]
    return set_impl(Sequential(*stem, *body), "im2col"), Sequential(*head)


R = receptive_field([(3, 2, 1), *((3, 1, d) for d in dilations)])
strength = np.zeros((41, 41))
for _ in range(8):  # networks
    trunk, head = dilated_network()
    y, backward = trunk.forward(rng.standard_normal((6, 1, 41, 41), np.float32), train=False)
    dy = np.zeros_like(y)
    dy[:, :, y.shape[2] // 2, y.shape[3] // 2] = rng.standard_normal(y.shape[:2])
    strength += np.abs(backward(dy)).mean(axis=(0, 1))

rows = np.flatnonzero(strength.any(axis=1))
assert rows[-1] - rows[0] + 1 == R
assert R > 28
picture, noise = rng.standard_normal((2, 1, 1, 41, 41), np.float32)
inside = np.s_[:, :, rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1]
noise[inside] = picture[inside]
assert np.array_equal(middle(trunk, noise), middle(trunk, picture))  # other pixels outside: the same bits
noise[:, :, rows[0], rows[0]] += 1  # one pixel, in the corner of the field
assert not np.array_equal(middle(trunk, noise), middle(trunk, picture))
total = complexity.summary(Sequential(trunk, head), (1, 28, 28))
print(f"R = {R} pixels; {total.params:,} parameters, {total.macs:,} MACs for a digit\n")

same_field = {
    "15 layers, d = 1": [(3, 1, 1)] * 15,
    "4 layers, d = 1, 2, 4, 8": [(3, 1, 2**k) for k in range(4)],
}
assert {receptive_field(steps) for steps in same_field.values()} == {R}
fields = {title: paths(stack(*steps), (1, 1, 41, 41)) for title, steps in same_field.items()}
fields = {"the network": strength, **fields}
half = R // 2
centre = slice(rows[0] + (R - half) // 2, rows[0] + (R + half) // 2)
shares = {title: field[centre, centre].sum() / field.sum() for title, field in fields.items()}
print(f"inner {half}×{half} pixels: {half**2 / R**2:.0%} of the field; their share of gradient or paths:")
for title, share in shares.items():
    print(f"  {title:25} {share:.0%}")
assert min(shares.values()) > half**2 / R**2
assert max(shares, key=shares.get) == "15 layers, d = 1"
assert shares["15 layers, d = 1"] > 0.9
reach(fields, side=3.2)

# %% [markdown]
# The network sees the whole digit. All three lean to the middle, where more paths lead. Fifteen plain layers hardly
# look further: there the field of 31 pixels exists on paper. Few layers with growing dilations spread their
# attention more evenly.
#
# ## Exercises
#
# Replace the line that raises. Each cell below an exercise checks your answer.
#
# ### Exercise 1: keep the size
#
# Which padding on every side keeps the size of the output equal to that of the input, at stride 1, for odd
# $K$ and any dilation $d$?


# %% tags=["exercise"]
def padding(K, d):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    for K, d in np.ndindex(4, 5):
        K, d = 2 * K + 1, d + 1
        layer = DepthwiseConv2d(1, K, padding=padding(K, d), dilation=d, rng=rng, impl="im2col")
        assert layer(np.zeros((1, 1, 9, 7), np.float32)).shape == (1, 1, 9, 7), f"K = {K}, d = {d}"


# %% [markdown]
# ### Exercise 2: how many layers?
#
# Layers with $K = 3$, stride 1 and dilations 1, 2, 4, 8, ... How many are needed to see `size` pixels? *Hint:
# what is $R$ after $n$ of them?*


# %% tags=["exercise"]
def layers_needed(size):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    for size in (2, 3, 4, 7, 8, 28, 31, 32, 224):
        n = layers_needed(size)
        assert receptive_field([(3, 1, 2**k) for k in range(n)]) >= size, f"{n} layers do not see {size}"
        assert receptive_field([(3, 1, 2**k) for k in range(n - 1)]) < size, f"fewer than {n} see {size}"


# %% [markdown]
# ### Exercise 3: the widest field without holes
#
# Three layers with $K = 3$ have $3^3 = 27$ paths along an axis. Find three dilations with which every path
# ends at another pixel and no pixel is left out: $R = 27$ without holes. *Hint: think of numbers written
# with three digits.*


# %% tags=["exercise"]
def widest():
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    field = paths(stack(*[(3, 1, d) for d in widest()]), (1, 1, 27, 27))
    assert (field == 1).all(), "each of the 27×27 pixels should be read along exactly one path"
