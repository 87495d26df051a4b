# %% [markdown]
# # 8. What it costs
#
# Depthwise separable convolution became famous because it is cheap. How cheap, exactly? And a question that
# everyone asks sooner or later: *if it does so much less work, why is it not that much faster?*
#
# At the end you can derive the costs of any convolution, prove them by counting every single multiplication,
# say where nothing is saved at all, and tell multiplications, memory and time apart.
#
# You need [lesson 1](01_convolution_by_hand.ipynb): what a standard, a depthwise and a pointwise convolution
# compute. The words, for one image:
#
# | symbol | meaning |
# |---|---|
# | $C$, $O$ | channels going in, channels coming out |
# | $H \times W$, $O_H \times O_W$ | size of the picture going in, size of the picture coming out |
# | $K \times K$ | size of the kernel |
# | $M$ | depth multiplier: how many filters each channel gets in the depthwise step, usually 1 |
# | MAC | one multiply-add, `total += weight * pixel`: the unit in which convolutions are counted |
# | FLOPs | here always $2 \cdot$ MACs: the multiplication and the addition, each counted as one |

# %%
# %matplotlib inline
import tracemalloc
from fractions import Fraction
from itertools import product
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator
from numba import get_num_threads, set_num_threads
from threadpoolctl import threadpool_limits

import npdsconv
from npdsconv import complexity, plots
from npdsconv.layers import (
    Conv2d,
    DepthwiseConv2d,
    DepthwiseSeparableConv2d,
    PointwiseConv2d,
    Sequential,
    set_impl,
)
from npdsconv.lessons import exercise, worked_examples
from npdsconv.lessons.pictures import KERNEL, PALE, WINDOW
from npdsconv.models import mobilenet_v1, separable_cnn, standard_twin

rng = np.random.default_rng(0)

# %% [markdown]
# ## Three formulas
#
# The method is always the same: count the output numbers, then ask how many products went into each one.
#
# **Standard convolution**, from $(C, H, W)$ with weights $(O, C, K, K)$ to $(O, O_H, O_W)$. The output has
# $O \cdot O_H O_W$ numbers. Each is a sum over a $K \times K$ window in all $C$ input channels:
#
# $$\underbrace{O \cdot O_H O_W}_{\text{output numbers}} \cdot \underbrace{C \cdot K^2}_{\text{products each}}$$
#
# **Depthwise step**, from $(C, H, W)$ with weights $(C, M, K, K)$ to $(CM, O_H, O_W)$. The output has
# $C M \cdot O_H O_W$ numbers. Each looks at a window in *one* channel, because this step does not sum over
# channels:
#
# $$C M \cdot O_H O_W \cdot K^2$$
#
# **Pointwise step**, from $(CM, O_H, O_W)$ with weights $(O, CM)$ to $(O, O_H, O_W)$. Each output number is a
# sum over the $CM$ channels at *one* pixel:
#
# $$O \cdot O_H O_W \cdot C M$$
#
# The weights are the same expressions without $O_H O_W$: one set of weights serves all positions. So each
# weight is used exactly $O_H O_W$ times, and $\text{MACs} = \text{weights} \cdot O_H O_W$ for each of the three.
# Biases are left out.

# %%
C, O, K, M, H, W = 32, 64, 3, 1, 28, 28

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
# each leaving out another sum. So **a training step takes the multiplications of three forward passes.** (Only
# the first layer saves one: nobody asks for the gradient of the picture.)
#
# One subtlety: the loops also multiply the zeros around the image. The formulas count them too. A clever
# program could skip them, which is one reason why MACs are a convention rather than a measurement.
#
# ## The ratio
#
# Divide the separable cost by the standard one. Input channels and picture size cancel:
#
# $$\frac{CM \cdot O_H O_W \cdot K^2 \;+\; O \cdot O_H O_W \cdot CM}{O \cdot O_H O_W \cdot C \cdot K^2}
#   \;=\; M\left(\frac{1}{O} + \frac{1}{K^2}\right)$$
#
# The first term is the depthwise step, the second one the pointwise step. With many output channels the
# first vanishes, and what remains is the pointwise step: $K^2/M$ times less than the standard convolution. The
# same ratio holds for the weights.

# %%
for c, o, k, m in ((3, 32, 3, 1), (32, 64, 3, 1), (64, 128, 5, 1), (16, 24, 7, 2)):
    how = {"padding": k // 2, "bias": False, "rng": rng}
    separable = DepthwiseSeparableConv2d(c, o, k, depth_multiplier=m, batch_norm=False, **how)
    a, b = complexity.summary(separable, (c, 20, 30)), complexity.summary(Conv2d(c, o, k, **how), (c, 20, 30))
    exact = m * (Fraction(1, o) + Fraction(1, k**2))
    assert Fraction(a.macs, b.macs) == Fraction(a.params, b.params) == exact
    print(f"C={c:2} O={o:3} K={k} M={m}: {a.macs:10,} / {b.macs:11,} = {exact} = {float(exact):.4f}")

figure = plots.ratio_curves([1, 2, 4, 8, 16, 32, 64, 128, 256])
figure.axes[0].set_xlabel("output channels O")
figure

# %% [markdown]
# ## Where nothing is saved
#
# The curves begin in the grey area. Three cases always cost *more* than the convolution they replace:
#
# * $O = 1$: the ratio is $M(1 + 1/K^2)$. With a single output there is no depthwise work to share;
# * $K = 1$: the ratio is $M(1/O + 1)$. A $1 \times 1$ convolution already is a pointwise step;
# * $M \ge K^2$: the ratio is at least $K^2/O + 1$. So many filters could build every $K \times K$ kernel
#   there is.
#
# The first worked example of lesson 1 is such a case: its two filters ($M = 2$) make it dearer than the
# convolution it replaces. The second one costs exactly half. Compute both by hand before you run the cell.
#
# Sentences such as "separable convolution significantly reduces the amount of computation", which is all
# that the first of this project's source documents says, need the ratio beside them.

# %% tags=["E09"]
no_saving = {
    "O = 1, K = 3": (1, 3, 1),
    "O = 1, K = 7": (1, 7, 1),
    "K = 1, O = 64": (64, 1, 1),
    "K = 3, M = 9, O = 64": (64, 3, 9),
    "K = 2, M = 4, O = 256": (256, 2, 4),
}
for what, (o, k, m) in no_saving.items():
    print(f"{what:24} ratio {complexity.ratio(o, k, m):.4f}")
    assert complexity.ratio(o, k, m) > 1

for o, k, m in product(range(1, 65), range(1, 8), range(1, 50)):
    if o == 1 or k == 1 or m >= k**2:
        assert m * (Fraction(1, o) + Fraction(1, k**2)) > 1

for number, example in (
    (1, worked_examples.two_filters_one_channel),
    (2, worked_examples.three_distinct_channels),
):
    (c, m, k, _), o, output = example.w_depthwise.shape, len(example.b), example.y.shape[2:]
    pair, single = complexity.separable_macs(c, o, k, output, m), complexity.conv_macs(c, o, k, output)
    print(f"worked example {number}         ratio {pair / single:.4f}: {pair} MACs against {single}")
    assert pair / single == complexity.ratio(o, k, m) == (1.5, 0.5)[number - 1]

# %% [markdown]
# ## The size that counts is the output's
#
# The first source document gives the cost of the depthwise step as $\mathcal{O}(C \cdot K^2 \cdot H \cdot W)$ with
# "$H$ and $W$ the spatial size of the input". A kernel does its work once for each *output* position, so it has
# to be $O_H O_W$. The two agree only when the layer keeps the size. Where it shrinks the picture, which is the
# usual case, the document counts too much, by the factor $HW / O_H O_W$:

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
# spent in 1×1 convolutions. Let us see. ([Lesson 15](15_mobilenet_tables.ipynb) takes the paper's tables apart.)

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
assert sum(row.macs for row in total.rows if row.kind == "DepthwiseConv2d") < 0.05 * total.macs
moving = sum(row.activation_bytes for row in total.rows if row.kind in ("BatchNorm2d", "ReLU"))
assert moving > total.activation_bytes / 2

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
# Say it can do at most $P$ MACs in a second and move at most $B$ bytes. Then a layer takes *at least*
#
# $$\max\left(\frac{\text{MACs}}{P},\; \frac{\text{bytes}}{B}\right) \qquad\text{so that}\qquad
# \frac{\text{MACs}}{\text{time}} \le \min(P,\; B \cdot I), \quad I = \frac{\text{MACs}}{\text{bytes}} .$$
#
# Here bytes are those of input, parameters and output, each moved once. $I$ is the **arithmetic intensity**. The
# bound, drawn against $I$, has the shape of a roof, a slope and then a flat top, and is called the **roofline**. It
# bends at $I = P/B$. Left of the bend memory sets the bound: there fewer MACs save no time, and fewer bytes do.
#
# Where do the layers stand? Take $O = C$, keep the size, and let the batch be large, so that the parameters hardly
# count. Numbers have 4 bytes, and each output number costs one number read and one written. So $I$ is $K^2/8$ for
# the depthwise step, *however large the layer is*, $C/8$ for the pointwise step and $C K^2/8$ for the standard
# convolution. Batch norm and ReLU move as many bytes, and have no MACs at all. A separable block has two of each.


# %%
def traffic(row, images):
    """Bytes moved for a batch: inputs and outputs for each image, parameters once."""
    return images * row.traffic_bytes - (images - 1) * 4 * row.params


def block_and_twin(channels):
    """The rows of a separable block with batch norm and ReLU, and of the standard block it replaces."""
    block = DepthwiseSeparableConv2d(channels, channels, 3, padding=1, rng=rng)
    pair = block, standard_twin(Sequential(block), rng=0)
    return [complexity.summary(each, (channels, *SIZE)).rows for each in pair]


SIZE, WIDTHS, MAPS = (28, 28), (16, 64, 256), 8192  # so many maps in a batch, whatever the width
print("              MACs per byte                     separable / standard")
print("   C  depthwise  pointwise  standard               MACs     bytes")
for width in WIDTHS:
    rows, twin_rows = block_and_twin(width)
    images = MAPS // width
    intensity = {row.kind: images * row.macs / traffic(row, images) for row in (*rows, *twin_rows)}
    for kind, most in (("DepthwiseConv2d", 9 / 8), ("PointwiseConv2d", width / 8), ("Conv2d", 9 * width / 8)):
        assert 0.7 * most < intensity[kind] < most
    macs = sum(row.macs for row in rows) / sum(row.macs for row in twin_rows)
    moved = sum(traffic(row, images) for row in rows) / sum(traffic(row, images) for row in twin_rows)
    values = [intensity[kind] for kind in ("DepthwiseConv2d", "PointwiseConv2d", "Conv2d")]
    print(f"{width:4} {values[0]:10.2f} {values[1]:10.2f} {values[2]:9.1f} {macs:18.3f} {moved:9.2f}")
    assert macs < 1
    assert 1.8 < moved < 2

# %% [markdown]
# Read the last two columns. **The block has fewer MACs than the standard block, and moves about twice the bytes.** If
# calculating were all that takes time, it would be faster by the first ratio. If moving were all, it would be
# *slower*, by the second. A real machine stands somewhere in between.
#
# So measure. The cell runs every layer by itself, on one core. It finds $P$ with a large matrix product, and $B$ by
# copying an array as large as a batch of maps. These are live timings: they differ from run to run and from
# machine to machine, and nothing is asserted about them. What to look for:
#
# * from left to right stand depthwise, pointwise, standard. More channels move the last two to the right, and
#   leave the depthwise step where it is;
# * the roof is a bound and not a promise. How far a point is below it says what a better program could gain. With
#   few channels, expect every layer far below: the work at a pixel hardly pays for getting there;
# * in the table, batch norm and ReLU take time without doing a single MAC. (The last column compares with the roof.
#   A little more than 100% is possible: part of the data may still lie in a cache, a small fast memory);
# * in the last lines, the time gained is not the MACs saved.


# %% tags=["timing"]
def best_time(task, repeats=3):
    """The shortest of several runs, in seconds; the first run, which compiles, does not count."""
    task()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        task()
        times.append(perf_counter() - start)
    return min(times)


def timed(width):
    """For the block and its twin: the rows, and the seconds of each on a batch (channels-last: no copies)."""
    x = rng.random((MAPS // width, *SIZE, width), np.float32).transpose(0, 3, 1, 2)
    return [
        (rows, [best_time(lambda layer=row.layer: layer(x)) for row in rows])
        for rows in block_and_twin(width)
    ]


threads = get_num_threads()
set_num_threads(1)
with threadpool_limits(1):  # one core for NumPy too
    matrix, maps = rng.random((1024, 1024), np.float32), rng.random((MAPS, *SIZE), np.float32)
    there = np.empty_like(maps)
    P = matrix.shape[0] ** 3 / best_time(lambda: matrix @ matrix)
    B = 2 * maps.nbytes / best_time(lambda: np.copyto(there, maps))  # read once, written once
    runs = [(width, MAPS // width, *pair) for width in WIDTHS for pair in timed(width)]
set_num_threads(threads)

print(
    f"one core: P = {P / 1e9:.1f} GMAC/s, B = {B / 1e9:.1f} GB/s, the roof bends at {P / B:.2f} MACs per byte\n"
)
print(f"{'C':>4}  {'':22} {'ms':>8} {'GMAC/s':>7} {'GB/s':>6}  set by memory or arithmetic, reaches")
figure, ax = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
I = np.geomspace(0.5, 500, 200)
ax.loglog(I, np.minimum(P, B * I) / 1e9, color="0.3", label="roofline")
styles = {"DepthwiseConv2d": (WINDOW, "o"), "PointwiseConv2d": (KERNEL, "s"), "Conv2d": ("0.5", "^")}
for width, images, rows, times in runs:
    for row, time in zip(rows, times, strict=True):
        macs, moved = images * row.macs, traffic(row, images)
        if width == WIDTHS[-1]:
            name = ("separable " if len(rows) > 3 else "standard ") + row.kind.removesuffix("2d")
            limit, share = ("arithmetic", macs / P) if macs / P > moved / B else ("memory", moved / B)
            speeds = f"{macs / time / 1e9:7.1f} {moved / time / 1e9:6.1f}"
            print(f"{width:4}  {name:22} {1e3 * time:8.2f} {speeds}  {limit:10} {share / time:4.0%}")
        if macs:
            colour, marker = styles[row.kind]
            ax.plot(macs / moved, macs / time / 1e9, marker, color=colour, markersize=8)
            place = macs / moved, macs / time / 1e9
            ax.annotate(f"{width}", place, (6, -9), textcoords="offset points", fontsize=8)
for kind, (colour, marker) in styles.items():
    ax.plot([], [], marker, color=colour, label=kind)
ax.set(xlabel="arithmetic intensity (MACs per byte)", ylabel="speed (GMAC/s)")
ax.set_title("The roofline of one core of this machine; the numbers are C", fontsize=10)
ax.legend(frameon=False, loc="lower right")
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
for axis in (ax.xaxis, ax.yaxis):
    axis.set_major_formatter("{x:g}")
ax.minorticks_off()
ax.grid(color=PALE, alpha=0.3)

print("\nthe whole block beside the standard one")
slower = []
for (width, _, rows, times), (_, _, twin_rows, twin_times) in zip(runs[::2], runs[1::2], strict=True):
    fewer = sum(row.macs for row in twin_rows) / sum(row.macs for row in rows)
    faster = sum(twin_times) / sum(times)
    slower += [f"{width}"] if faster < 1 else []
    print(f"C = {width:3}: {fewer:4.1f} times fewer MACs, {faster:5.2f} times as fast")
print("fewer MACs and yet more time at C =", ", ".join(slower) or "none of these, on this machine")

# %% [markdown]
# One run says little. The repository keeps a longer measurement, on the machine named over the figure: forward and all
# gradients, standard against separable, as one size at a time grows. The dashed line is what MACs alone would give.
# See where the two meet, and how far the red line stays above the dashed one
# ([how it was measured](../docs/performance.md)).

# %%
kept = Path(npdsconv.__file__).parents[1] / "benchmarks" / "performance.json"
plots.scaling(plots.measured(kept)) if kept.exists() else "see: npdsconv bench scaling --out FOLDER"

# %% [markdown]
# The ratio of the times is a number of its own. The steps that only move data pull it below the ratio of the MACs. A
# standard convolution that is far below the roof pushes it up again, since a slow rival makes anything look good.
# Read claims about speed with that in mind, and measure.
# ([Lesson 14](14_separable_against_standard.ipynb) does so for whole networks in training.)
#
# ## Exercises
#
# Put your answer in the place of the line that raises, and run the cell and the one below it: it says
# whether you are right.
#
# ### Exercise 1: from how many channels on?
#
# A layer with $K = 3$ and $M = 2$ may cost at most *half* of the standard layer. From how many output channels
# on does it? Write the answer for any $K$, $M$ and any part of the cost. *Hint: solve*
# $M(1/O + 1/K^2) \le \text{part}$ *for* $O$. *Sometimes there is no answer.*


# %% tags=["exercise"]
def channels_for(part, k, m):
    """The smallest O with a ratio of at most `part` (a Fraction); None if no O is enough."""
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    def ratio(o, k, m):
        return m * (Fraction(1, o) + Fraction(1, k**2))

    for part, k, m in product((Fraction(1, 2), Fraction(1, 4), Fraction(1)), (2, 3, 5), (1, 2, 3)):
        mine = channels_for(part, k, m)
        case = f"at most {part} with K = {k}, M = {m}: {mine}?"
        if Fraction(m, k**2) >= part:  # 1/O is never zero
            assert mine is None, case
        else:
            assert mine is not None, case
            assert ratio(mine, k, m) <= part, case
            assert mine == 1 or ratio(mine - 1, k, m) > part, case


# %% [markdown]
# ### Exercise 2: the other way round
#
# Turn the block round: pointwise first ($C \to O$), then depthwise with stride $s$. Write its MACs as a
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
# ### Exercise 3: a budget
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
def exercise_3():
    macs = {a: complexity.summary(mobilenet_v1(a, rng=0), (3, 224, 224)).macs for a in (0.25, 0.5, 0.75, 1.0)}
    for budget in (200e6, *macs.values()):
        assert widest(budget) == max(a for a in macs if macs[a] <= budget), f"{budget:,.0f} MACs"
