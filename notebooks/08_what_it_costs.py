# %% [markdown]
# # 8. What it costs
#
# Depthwise separable convolution became famous because it is cheap. How cheap, exactly? And a question that
# everyone asks sooner or later: *if it does so much less work, why is it not that much faster?*
#
# At the end you can derive the costs of any convolution, prove them by counting every single multiplication,
# say where nothing is saved at all, and tell multiplications, memory and time apart.
#
# You need notebook 1: what a standard, a depthwise and a pointwise convolution compute. The words, for one
# image:
#
# | symbol | meaning |
# |---|---|
# | $C$, $C'$ | channels going in, channels coming out |
# | $H \times W$, $H' \times W'$ | size of the picture going in, size of the picture coming out |
# | $K \times K$ | size of the kernel |
# | $M$ | depth multiplier: how many filters each channel gets in the depthwise step, usually 1 |
# | MAC | one multiply-add, `total += weight * pixel`: the unit in which convolutions are counted |
# | FLOPs | here always $2 \cdot$ MACs: the multiplication and the addition, each counted as one |

# %%
# %matplotlib inline
import tracemalloc
from fractions import Fraction
from itertools import product
from time import perf_counter

import numpy as np

from npdsconv import complexity, exercise, plots
from npdsconv.layers import (
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    PointwiseConv2d,
    Sequential,
    set_impl,
)
from npdsconv.models import mobilenet_v1, separable_cnn, standard_twin

rng = np.random.default_rng(0)

# %% [markdown]
# ## Three formulas
#
# The method is always the same: count the output numbers, then ask how many products went into each one.
#
# **Standard convolution**, from $(C, H, W)$ with weights $(C', C, K, K)$ to $(C', H', W')$. The output has
# $C' \cdot H' W'$ numbers. Each is a sum over a $K \times K$ window in all $C$ input channels:
#
# $$\underbrace{C' \cdot H'W'}_{\text{output numbers}} \cdot \underbrace{C \cdot K^2}_{\text{products each}}$$
#
# **Depthwise step**, from $(C, H, W)$ with weights $(C, M, K, K)$ to $(CM, H', W')$. The output has
# $C M \cdot H'W'$ numbers. Each looks at a window in *one* channel, because this step does not sum over
# channels:
#
# $$C M \cdot H'W' \cdot K^2$$
#
# **Pointwise step**, from $(CM, H', W')$ with weights $(C', CM)$ to $(C', H', W')$. Each output number is a
# sum over the $CM$ channels at *one* pixel:
#
# $$C' \cdot H'W' \cdot C M$$
#
# The weights are the same expressions without $H'W'$: one set of weights serves all positions. So each
# weight is used exactly $H'W'$ times, and $\text{MACs} = \text{weights} \cdot H'W'$ for each of the three.
# Biases are left out.

# %%
C, O, K, M, H, W = 32, 64, 3, 1, 28, 28  # O stands for C'

layers = {
    "standard": Conv2d(C, O, K, padding=1, bias=False, rng=rng),
    "depthwise": DepthwiseConv2d(C, K, padding=1, bias=False, rng=rng),
    "pointwise": PointwiseConv2d(C * M, O, bias=False, rng=rng),
}
formulas = {
    "standard": O * H * W * C * K**2,
    "depthwise": C * M * H * W * K**2,
    "pointwise": O * H * W * C * M,
}
print(f"{'':10} {'weights':>8} {'MACs':>12}")
for name, layer in layers.items():
    total = complexity.summary(layer, (C, H, W))
    print(f"{name:10} {total.params:8,} {total.macs:12,}")
    assert total.macs == formulas[name] == total.params * H * W
    assert total.params == layer.weight.value.size

# %% [markdown]
# ## Do not believe it: count
#
# A formula in a book can be wrong, and so can a formula in a library. So let the computation count itself.
# The slowest version of each operation in this package is the bare formula: loops, and inside them the line
# `y[...] += w[...] * x[...]`. Such loops accept anything that can be multiplied and added. We feed them
# numbers of a special kind: each `Counted` number behaves like an ordinary one, but writes every
# multiplication into a tally.

# %%
tally = complexity.Tally()
six = complexity.Counted(2.0, tally) * 3.0
print(six, "and", tally)

small = {
    "standard": (Conv2d(3, 4, (2, 3), stride=2, padding=1, rng=rng), (3, 7, 6)),
    "depthwise": (DepthwiseConv2d(3, (2, 3), depth_multiplier=2, stride=2, padding=1, rng=rng), (3, 7, 6)),
    "pointwise": (PointwiseConv2d(6, 4, rng=rng), (6, 4, 3)),
}
print(f"\n{'':10} {'formula':>8} {'forward':>8} {'dx':>6} {'dw':>6}")
for name, (layer, shape) in small.items():
    formula = complexity.summary(layer, shape).macs
    found = [complexity.count(layer, shape, which).multiplications for which in ("forward", "dx", "dw")]
    print(f"{name:10} {formula:8,} {found[0]:8,} {found[1]:6,} {found[2]:6,}")
    assert found == [formula] * 3

# %% [markdown]
# All of them agree to the last multiplication, and the two right-hand columns tell something more: each of
# the two gradients, for the input (dx) and for the weights (dw), takes as many multiplications as the
# forward pass. It could not be otherwise, since all three add up the *same* products $dy \cdot w \cdot x$,
# each leaving out another sum. So **a training step costs three forward passes.** (Only the first layer
# saves one: nobody asks for the gradient of the picture.)
#
# One subtlety: the loops also multiply the zeros around the image. The formulas count them too. A clever
# program could skip them, which is one reason why MACs are a convention rather than a measurement.
#
# ## The ratio
#
# Divide the separable cost by the standard one. Input channels and picture size cancel:
#
# $$\frac{CM \cdot H'W' \cdot K^2 \;+\; C' \cdot H'W' \cdot CM}{C' \cdot H'W' \cdot C \cdot K^2}
#   \;=\; M\left(\frac{1}{C'} + \frac{1}{K^2}\right)$$
#
# The first term is the depthwise step, the second one the pointwise step. With many output channels the
# first vanishes and the saving approaches $K^2$: the pointwise step is what remains. The same ratio holds
# for the weights.

# %%
for c, o, k, m in ((3, 32, 3, 1), (32, 64, 3, 1), (64, 128, 5, 1), (16, 24, 7, 2)):
    how = {"padding": k // 2, "bias": False, "rng": rng}
    separable = DepthwiseSeparableConv2d(c, o, k, depth_multiplier=m, batch_norm=False, **how)
    a, b = complexity.summary(separable, (c, 20, 30)), complexity.summary(Conv2d(c, o, k, **how), (c, 20, 30))
    exact = m * (Fraction(1, o) + Fraction(1, k**2))
    assert Fraction(a.macs, b.macs) == Fraction(a.params, b.params) == exact
    print(f"C={c:2} C'={o:3} K={k} M={m}: {a.macs:10,} / {b.macs:11,} = {exact} = {float(exact):.4f}")

plots.ratio_curves([1, 2, 4, 8, 16, 32, 64, 128, 256])

# %% [markdown]
# ## Where nothing is saved
#
# The curves begin in the grey area. Three cases always cost *more* than the convolution they replace:
#
# * $C' = 1$: the ratio is $M(1 + 1/K^2)$. With a single output there is no depthwise work to share;
# * $K = 1$: the ratio is $M(1/C' + 1)$. A $1 \times 1$ convolution already is a pointwise step;
# * $M \ge K^2$: the ratio is at least $K^2/C' + 1$. So many filters could build every $K \times K$ kernel
#   there is.
#
# Sentences such as "separable convolution significantly reduces the amount of computation", which is all
# that the first of this project's source documents says, need the ratio beside them.

# %% tags=["E09"]
no_saving = {
    "C' = 1, K = 3": (1, 3, 1),
    "C' = 1, K = 7": (1, 7, 1),
    "K = 1, C' = 64": (64, 1, 1),
    "K = 3, M = 9, C' = 64": (64, 3, 9),
    "K = 2, M = 4, C' = 256": (256, 2, 4),
}
for what, (o, k, m) in no_saving.items():
    print(f"{what:24} ratio {complexity.ratio(o, k, m):.4f}")
    assert complexity.ratio(o, k, m) > 1

for o, k, m in product(range(1, 65), range(1, 8), range(1, 50)):
    if o == 1 or k == 1 or m >= k**2:
        assert m * (Fraction(1, o) + Fraction(1, k**2)) > 1

# %% [markdown]
# ## Two worked examples, repaired
#
# The first source document works two small examples by hand. Their shapes do not fit together, and no
# reading of the kernels gives the printed results. With the fewest changes that make them consistent they
# become good exercises in cost:
#
# * **worked example 1**: the picture $1..9$ ($3 \times 3$, one channel), the $2 \times 2$ kernel
#   $\begin{bmatrix}0&1\\1&0\end{bmatrix}$ used twice ($M = 2$), then the $2 \times 2$ identity as the
#   pointwise matrix;
# * **worked example 2**: the picture $1..16$ ($4 \times 4$) in each of three channels, the same kernel for
#   each channel, and a $4 \times 3$ pointwise matrix.
#
# Compute by hand before you run the cell: the values, then the ratio.

# %%
kernel = np.array([[0.0, 1.0], [1.0, 0.0]])


def separable_example(x, filters, matrix):
    """A separable layer with the given weights: its output, and its cost beside the standard layer's."""
    c, m, kh, kw = filters.shape
    how = {"bias": False, "rng": rng, "impl": "naive"}
    layer = DepthwiseSeparableConv2d(
        c, len(matrix), (kh, kw), depth_multiplier=m, batch_norm=False, mid_activation=None, **how
    ).astype(np.float64)
    layer.depthwise.weight.value[...] = filters
    layer.pointwise.weight.value[...] = matrix
    standard = Conv2d(c, len(matrix), (kh, kw), **how)
    return layer(x), complexity.summary(layer, x.shape[1:]), complexity.summary(standard, x.shape[1:])


picture = np.arange(1.0, 10).reshape(1, 1, 3, 3)
y, mine, standard = separable_example(picture, np.array([[kernel, kernel]]), np.eye(2))
np.testing.assert_array_equal(y[0], [[[6, 8], [12, 14]]] * 2)
print(
    f"example 1: {mine.params} weights against {standard.params}, {mine.macs} MACs against {standard.macs},",
    f"ratio {mine.macs / standard.macs}",
)
assert mine.params / standard.params == mine.macs / standard.macs == complexity.ratio(2, 2, 2) == 1.5

picture = np.tile(np.arange(1.0, 17).reshape(1, 1, 4, 4), (1, 3, 1, 1))
matrix = np.array([[1.0, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]])
y, mine, standard = separable_example(picture, np.array([[kernel]] * 3), matrix)
np.testing.assert_array_equal(y[0, 0], [[14, 18, 22], [30, 34, 38], [46, 50, 54]])
np.testing.assert_array_equal(y[0, 1], [[7, 9, 11], [15, 17, 19], [23, 25, 27]])
print(
    f"example 2: {mine.params} weights against {standard.params}, {mine.macs} MACs against {standard.macs},",
    f"ratio {mine.macs / standard.macs}",
)
assert mine.params / standard.params == mine.macs / standard.macs == complexity.ratio(4, 2) == 0.5

# %% [markdown]
# The first example is *more* expensive than the convolution it replaces, the second one costs exactly
# $\frac14 + \frac14$ of it.
#
# ## The size that counts is the output's
#
# The same document gives the cost of the depthwise step as $O(C \cdot K^2 \cdot H \cdot W)$ with "$H$ and
# $W$ the spatial size of the input". A kernel does its work once for each *output* position, so it has to
# be $H'W'$. The two agree only when the layer keeps the size. Elsewhere the document counts too much, by
# the factor $HW / H'W'$:

# %% tags=["E08"]
print(" input  K stride  pad dilation  output     C K² H W        true  too much")
for h, k, s, p, d in (
    (28, 3, 1, 1, 1),
    (28, 3, 1, 0, 1),
    (28, 7, 1, 0, 1),
    (28, 3, 1, 0, 4),
    (224, 3, 2, 1, 1),
):
    total = complexity.summary(DepthwiseConv2d(32, k, stride=s, padding=p, dilation=d, rng=rng), (32, h, h))
    claimed, out = 32 * k**2 * h * h, total.output[1]
    print(
        f"{h:6} {k:2} {s:6} {p:4} {d:8} {out:7} {claimed:12,} {total.macs:11,}  ×{claimed / total.macs:.3f}"
    )
    assert Fraction(claimed, total.macs) == Fraction(h * h, out * out)

# %% [markdown]
# ## A whole model
#
# `complexity.summary(model, (C, H, W))` walks through a model and adds up. Batch norm, activations and
# pooling count no MACs here, by convention: they touch each number once or a few times, where a convolution
# touches it tens or hundreds of times. This is the network that the package trains on handwritten digits.

# %%
model = separable_cnn(rng=0)
total = complexity.summary(model, (1, 28, 28))
assert total.params == sum(p.value.size for p in model.parameters())
assert total.flops == 2 * total.macs
total

# %%
# The same proof for a whole network: a narrow one and a small picture, since Python loops through each product.
narrow = separable_cnn(width=0.25, rng=0)
rows = complexity.summary(narrow, (1, 10, 9)).rows
found = {row.name: complexity.count(row.layer, row.input).multiplications for row in rows if row.macs}
for row in rows:
    if row.macs:
        print(f"{row.name:12} {row.kind:16} formula {row.macs:7,}   counted {found[row.name]:7,}")
        assert row.macs == found[row.name]

# %% [markdown]
# ## Beside its twin
#
# What would the network cost without the trick? Its *standard twin* has one ordinary convolution in place
# of each separable block, and is the same in all the rest. A stage in the table is a block, together with
# the layers after it; stage 0 is the first convolution, which is a standard one in both.

# %%
both = complexity.compare(model, standard_twin(model, rng=0), (1, 28, 28))
for outputs, (rows, twin_rows) in zip((64, 64, 128, 128), both.stages[1:5], strict=True):
    saved = Fraction(sum(row.macs for row in rows), sum(row.macs for row in twin_rows))
    assert saved == Fraction(1, outputs) + Fraction(1, 9)
print(both)
plots.beside_twin(both)

# %% [markdown]
# The MACs follow the formula in every block. Now look at the right-hand picture: **the separable network
# needs *more* memory for its activations.** Each block computes a whole extra feature map, the one between
# its two steps, and normalises it. Weights shrink, activations grow; in training, where all of them are
# kept for the backward pass, activations are most of the memory. The sizes are checked on real arrays here,
# and the total against what a training pass really holds on to:

# %%
set_impl(model, "im2col")
image = rng.random((1, 1, 28, 28), np.float32)
x = image
for layer, (name, _) in zip(model, model.children(), strict=True):
    x = layer(x)
    last = [row for row in both.model.rows if row.name.split(".")[0] == name][-1]
    assert (x.shape[1:], x.nbytes) == (last.output, last.activation_bytes)

tracemalloc.start()
logits, backward = model.forward(image, train=True)
held, _ = tracemalloc.get_traced_memory()
tracemalloc.stop()
assert abs(held / both.model.activation_bytes - 1) < 0.1
print(f"weights      {4 * both.model.params:9,} bytes, the twin's {4 * both.twin.params:9,}")
print(
    f"activations  {both.model.activation_bytes:9,} bytes, the twin's {both.twin.activation_bytes:9,}",
    f"(ratio {both.model.activation_bytes / both.twin.activation_bytes:.2f})",
)
print(
    f"at one time  {both.model.peak_bytes:9,} bytes in inference, where a layer's input is dropped after use"
)
assert both.model.params < both.twin.params
assert both.model.activation_bytes > both.twin.activation_bytes

# %% [markdown]
# ## MobileNet
#
# MobileNet (2017) is one standard convolution and thirteen separable blocks. Its paper says that a separable
# convolution takes 8 to 9 times less computation than a standard one, and that nearly all of what is left is
# spent in 1×1 convolutions. Let us see.

# %%
mobilenet = mobilenet_v1(rng=0)
total = complexity.summary(mobilenet, (3, 224, 224))
twin = complexity.summary(standard_twin(mobilenet, rng=0), (3, 224, 224))
share = sum(row.macs for row in total.rows if row.kind == "PointwiseConv2d") / total.macs
print(f"MobileNet v1, 224×224   {total.params:11,} parameters {total.macs:14,} MACs")
print(f"its standard twin       {twin.params:11,} parameters {twin.macs:14,} MACs")
print(f"ratio                   {total.params / twin.params:11.4f}            {total.macs / twin.macs:14.4f}")
print(f"MACs in 1×1 convolutions: {share:.2%}")
assert (total.params, total.macs, twin.macs) == (4_231_976, 568_740_352, 4_867_293_184)
assert f"{share:.2%}" == "94.86%"
assert 8 < twin.macs / total.macs < 9

quantities = {"parameters": "params", "MACs": "macs", "activations": "activation_bytes"}
plots.shares(total, {name: [getattr(row, field) for row in total.rows] for name, field in quantities.items()})

# %% [markdown]
# The depthwise steps, which gave the operation its name, are a thin stripe in the MACs. Batch norm and
# activations do not appear there at all, yet they make most of the arrays. That is the clue for the last
# question.
#
# ## MACs are not time
#
# A processor does two things: it calculates, and it moves numbers between memory and its calculating units.
# Which of them takes longer depends on how many MACs come with each byte, the **arithmetic intensity**,
# here of one image:
#
# $$\frac{\text{MACs}}{\text{bytes of input} + \text{bytes of parameters} + \text{bytes of output}}$$
#
# A depthwise step does $K^2$ MACs for each number that it writes and about one number that it reads: around
# one MAC per byte, however large the layer is. Batch norm and ReLU do even less with each number.
# Processors can do many MACs in the time in which memory delivers a byte, so here they wait. A standard
# convolution or a wide pointwise step uses each number many times.
#
# The next cell measures one separable block, step by step, and the standard block it replaces, on the
# machine at hand. Its numbers differ from run to run and from machine to machine; nothing is asserted about
# them. Three things to look for:
#
# * the speed in GMAC/s is not one number: the depthwise step is usually well behind the pointwise step;
# * batch norm and ReLU have no MACs at all, and still take their time: a separable block has two of each;
# * in the picture, the bar of the time lies somewhere between the bar of the MACs and the bar of the bytes.
#
# So the ratio of the times is a number of its own. The steps that only move data pull it below the ratio of
# the MACs; a standard convolution that is far from the processor's best speed pushes it up again, since a
# slow rival makes anything look good. Read claims about speed with that in mind, and measure.


# %% tags=["timing"]
def best_time(layer, x, repeats=7):
    """The shortest of several runs, in seconds; the first run, which compiles, does not count."""
    layer(x)
    times = []
    for _ in range(repeats):
        start = perf_counter()
        layer(x)
        times.append(perf_counter() - start)
    return min(times)


images, C, H, W = 32, 64, 28, 28
x = rng.random((images, H, W, C), np.float32).transpose(0, 3, 1, 2)  # channels-last in memory: no copies
block = DepthwiseSeparableConv2d(C, C, 3, padding=1, rng=rng)
blocks = {"separable": block, "standard": standard_twin(Sequential(block), rng=0)}
totals = {name: complexity.summary(each, (C, H, W)) for name, each in blocks.items()}
seconds = {name: [best_time(row.layer, x) for row in total.rows] for name, total in totals.items()}

print(f"{images} images of {C}×{H}×{W}")
print(f"{'':29} {'MACs':>13} {'ms':>8} {'GMAC/s':>8} {'MACs per byte':>14}")
for name, total in totals.items():
    for row, time in zip(total.rows, seconds[name], strict=True):
        macs = images * row.macs
        speed = f"{macs / time / 1e9:8.1f} {row.intensity:14.1f}" if macs else ""
        print(f"{name:10} {row.kind:18} {macs:13,} {1e3 * time:8.2f} {speed}")

macs_ratio = totals["standard"].macs / totals["separable"].macs
print(
    f"\nstandard / separable: {macs_ratio:.1f} times the MACs,",
    f"{sum(seconds['standard']) / sum(seconds['separable']):.1f} times the time",
)
rows = totals["separable"].rows
plots.shares(
    totals["separable"],
    {
        "MACs": [row.macs for row in rows],
        "bytes": [row.traffic_bytes for row in rows],
        "time": seconds["separable"],
    },
)

# %% [markdown]
# ## Exercises
#
# Put your answer in the place of the line that raises, and run the cell and the one below it: it says
# whether you are right.
#
# ### Exercise 1: from how many channels on?
#
# A layer with $K = 3$ and $M = 2$ may cost at most *half* of the standard layer. From how many output channels
# on does it? Write the answer for any $K$, $M$ and any part of the cost. *Hint: solve*
# $M(1/C' + 1/K^2) \le \text{part}$ *for* $C'$. *Sometimes there is no answer.*


# %% tags=["exercise"]
def channels_for(part, k, m):
    """The smallest C' with a ratio of at most `part` (a Fraction); None if no C' is enough."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    def ratio(o, k, m):
        return m * (Fraction(1, o) + Fraction(1, k**2))

    for part, k, m in product((Fraction(1, 2), Fraction(1, 4), Fraction(1)), (2, 3, 5), (1, 2, 3)):
        mine = channels_for(part, k, m)
        case = f"at most {part} with K = {k}, M = {m}: {mine}?"
        if Fraction(m, k**2) >= part:  # 1/C' is never zero
            assert mine is None, case
        else:
            assert mine is not None, case
            assert ratio(mine, k, m) <= part, case
            assert mine == 1 or ratio(mine - 1, k, m) > part, case


# %% [markdown]
# ### Exercise 2: the other way round
#
# Turn the block round: pointwise first ($C \to C'$), then depthwise with stride $s$. Write its MACs as a
# function; the padding is `k // 2`. *Hint: at which size does the pointwise step run now, and how many channels
# does the depthwise step see?*


# %% tags=["exercise"]
def macs_pointwise_first(c, o, k, h, w, stride):
    """MACs of a 1×1 convolution from c to o channels, then a k×k depthwise one, on an h×w image."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    for c, o, k, h, w, stride in ((4, 6, 3, 9, 8, 2), (5, 2, 5, 11, 7, 3), (3, 4, 3, 6, 5, 1)):
        depthwise = DepthwiseConv2d(o, k, stride=stride, padding=k // 2, bias=False, rng=rng)
        turned = Sequential(PointwiseConv2d(c, o, bias=False, rng=rng), depthwise)
        assert macs_pointwise_first(c, o, k, h, w, stride) == complexity.summary(turned, (c, h, w)).macs


# %% [markdown]
# ### Exercise 3: another kind of separable
#
# A *spatially* separable layer filters each channel with a column ($K \times 1$), then with a row
# ($1 \times K$). What does it cost relative to a $K \times K$ depthwise layer that keeps the size? *Hint: two
# layers, each with $K$ taps.*


# %% tags=["exercise"]
def spatial_ratio(k):
    """MACs of the column and the row, divided by those of the K×K layer."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    for k in (1, 3, 5, 7):
        column, row = (DepthwiseConv2d(3, size, padding="same", rng=rng) for size in ((k, 1), (1, k)))
        pair = complexity.summary(Sequential(column, row), (3, 9, 8)).macs
        assert np.isclose(spatial_ratio(k), pair / complexity.depthwise_macs(3, k, (9, 8))), f"K = {k}"


# %% [markdown]
# ### Exercise 4: a budget
#
# MobileNet has a width factor $\alpha$ on all channel counts. Which of 0.25, 0.5, 0.75 and 1 is the largest that
# stays within a budget of MACs at $224 \times 224$? Guess for 200 million first: pointwise MACs are proportional
# to $\alpha^2$.


# %% tags=["exercise"]
def widest(budget):
    """The largest of the four widths whose model takes at most `budget` MACs."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_4():
    macs = {a: complexity.summary(mobilenet_v1(a, rng=0), (3, 224, 224)).macs for a in (0.25, 0.5, 0.75, 1.0)}
    for budget in (200e6, *macs.values()):
        assert widest(budget) == max(a for a in macs if macs[a] <= budget), f"{budget:,.0f} MACs"
