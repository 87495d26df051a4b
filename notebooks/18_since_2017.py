# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 18. Since 2017
#
# The two steps, depthwise and pointwise, have not changed since MobileNet and Xception. What is built *around*
# them has: the order, the width in the middle, the size of the kernel, a gate for each channel. At the end you
# can read five blocks that came after, say what each of them costs before you build it, and say what one of
# the ideas brings on digits, measured.
#
# You need the costs ([lesson 8](08_what_it_costs.ipynb)) and MobileNet's tables
# ([lesson 15](15_mobilenet_tables.ipynb)). Words:
#
# | word | meaning |
# |---|---|
# | $C$, $K$, $t$ | channels, kernel size, expansion: how many times wider the middle is |
# | MAC | one multiply-add; below always for one pixel of a map whose size does not change |
# | inverted residual | narrow, wide, narrow, and a shortcut between the narrow ends |
# | gate | a number between 0 and 1 that a channel is multiplied by |

# %%
# %matplotlib inline
from statistics import mean, stdev

import numpy as np
from matplotlib.figure import Figure

from npdsconv import complexity, data, hard_swish, models, optim, train
from npdsconv.layers import Concat, Conv2d, DepthwiseSeparableConv2d, Sequential, SqueezeExcite
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.models import gallery
from npdsconv.models.large_kernel import large_kernel_block
from npdsconv.models.mobilenet import inverted_residual
from npdsconv.models.xception import separable
from npdsconv.plots import INPUT, KERNEL, WINDOW

# %% [markdown]
# ## Six ways from $C$ channels to $C$ channels
#
# * **MobileNet** (2017): depthwise, activation, pointwise, activation.
# * **Xception** (2017): the same two steps, *nothing* between them, and several of these in one residual block.
# * **MobileNetV2** (2018): pointwise to $tC$ channels, depthwise there, pointwise back to $C$, *without* an
#   activation at the end, since clipping a narrow map loses what it holds.
# * **Parallel branches** (2017): the same map through several separable steps of different dilation.
# * **ConvNeXt** (2022): first depthwise 7×7, *then* wide: the big kernel works on the narrow map.
#
# For each a formula, what the package's table says, and, so that nobody has to believe either, the
# multiplications counted one by one while the naive loops run. "Products" per pixel:

# %%
C, K, T, SIZE = 16, 3, 6, 7
rng = np.random.default_rng(0)
BLOCKS = {
    "standard": (Conv2d(C, C, K, padding=1, rng=rng), C * C * K**2),
    "MobileNet": (DepthwiseSeparableConv2d(C, C, K, padding=1, rng=rng), C * (K**2 + C)),
    "Xception, a pair": (Sequential(*separable(C, C, rng), *separable(C, C, rng)), 2 * C * (K**2 + C)),
    "MobileNetV2, t = 6": (inverted_residual(C, C, stride=1, expansion=T, rng=rng), T * C * (K**2 + 2 * C)),
    "three branches": (
        Concat(*(DepthwiseSeparableConv2d(C, C, K, padding=d, dilation=d, rng=rng) for d in (1, 2, 4))),
        3 * C * (K**2 + C),
    ),
    "ConvNeXt, 7×7, t = 4": (large_kernel_block(C, kernel=7, expansion=4, rng=rng), C * (7**2 + 2 * 4 * C)),
}
print(f"C = {C}, for one pixel     formula  table  counted   depthwise  parameters")
for name, (block, formula) in BLOCKS.items():
    rows = [row for row in complexity.summary(block, (C, SIZE, SIZE)).rows if row.macs]
    table = sum(row.macs for row in rows) / SIZE**2
    counted = sum(complexity.count(row.layer, row.input).multiplications for row in rows) / SIZE**2
    filters = sum(row.macs for row in rows if row.kind == "DepthwiseConv2d") / SIZE**2
    params = sum(p.value.size for p in block.parameters())
    print(f"{name:22} {formula:9,} {table:6,.0f} {counted:8,.0f} {filters / table:10.0%} {params:10,}")
    assert formula == table == counted

# %% [markdown]
# Two things to see. V2's block costs *more* than MobileNet's at the same $C$: its saving is that its $C$ can be
# small, since the width is only in the middle. And depthwise work is cheap: ConvNeXt's kernel
# has 49 taps and not 9. Because it stands in front of the wide part, this hardly shows.
#
# The picture: how many channels each step writes. The tallest bar of a block is what memory has to hold.

# %%
STEPS = {"standard": INPUT, "depthwise": WINDOW, "pointwise": KERNEL}
shown = ("MobileNet", "Xception, a pair", "MobileNetV2, t = 6", "ConvNeXt, 7×7, t = 4")
figure = Figure(figsize=(9, 2.6), layout="constrained")
widest = {}
for ax, name in zip(figure.subplots(1, 4, sharey=True), shown, strict=True):
    rows = [row for row in complexity.summary(BLOCKS[name][0], (C, SIZE, SIZE)).rows if row.macs]
    kinds, heights = (
        [row.kind.removesuffix("Conv2d").lower() for row in rows],
        [row.output[0] for row in rows],
    )
    ax.bar(range(len(rows)), heights, color=[STEPS[kind] for kind in kinds])
    ax.axhline(C, color="0.6", linestyle=":")
    ax.set_xticks(range(len(rows)), [kind[:5] for kind in kinds], fontsize=8)
    ax.set_title(name, fontsize=9)
    widest[name] = max(heights)
figure.axes[0].set_ylabel("channels written")
assert widest == dict(zip(shown, (C, C, T * C, 4 * C), strict=True))
figure

# %% [markdown]
# ## MobileNetV3: a gate, and a cheaper bend
#
# V3 (2019) takes V2's block and adds two things. **Squeeze-and-excite**: average each channel over the whole map
# (*squeeze*), two tiny dense layers turn these $C$ numbers into $C$ gates, and each channel is multiplied by its
# gate. It runs once for each map, not for each pixel: many parameters, hardly any MACs. **Hard-swish**,
# $x \cdot \min(\max(x + 3, 0), 6)/6$, copies the smooth curve $x/(1 + e^{-x})$ with a comparison in place of the
# exponential function.

# %%
gate, side = SqueezeExcite(96, 24, rng=0), 14
cost = complexity.summary(gate, (96, side, side))
block = complexity.summary(inverted_residual(16, 16, stride=1, expansion=6, rng=rng), (16, side, side))
assert cost.params == 2 * 96 * 24 + 24 + 96
assert cost.macs == 2 * 96 * 24
print(f"the gate beside a V2 block, 16 → 96 → 16 at {side}×{side}:")
print(f"parameters {cost.params:,} and {block.params:,}; MACs {cost.macs:,} and {block.macs:,}")
assert cost.params > block.params
assert cost.macs < 0.01 * block.macs

x = np.linspace(-6, 6, 241)
swish, hard = x / (1 + np.exp(-x)), hard_swish(x)
figure = Figure(figsize=(5, 2.6), layout="constrained")
ax = figure.subplots()
ax.plot(x, swish, color=KERNEL, label="swish")
ax.plot(x, hard, color=INPUT, label="hard-swish")
ax.plot(x, np.maximum(x, 0), ":", color="0.5", label="ReLU")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
print(f"hard-swish is never farther than {np.abs(swish - hard).max():.2f} from swish")
assert np.abs(swish - hard).max() < 0.15
figure

# %% [markdown]
# ## The networks, counted
#
# Whole networks, as published, with their inputs. The parameters of all four are also printed elsewhere: by Keras
# for Xception, by PyTorch for V2 and V3, and for V1 in lesson 15.

# %%
NETWORKS = {
    "Xception": (models.xception, 299, 22_855_952),
    "MobileNet": (models.mobilenet_v1, 224, 4_231_976),
    "MobileNetV2": (models.mobilenet_v2, 224, 3_504_872),
    "MobileNetV3-small": (models.mobilenet_v3_small, 224, 2_542_856),
}
macs = {}
for name, (build, side, published) in NETWORKS.items():
    total = complexity.summary(build(rng=0), (3, side, side))
    macs[name] = total.macs
    print(f"{name:18} {side}×{side}  {total.params:11,} parameters  {total.macs / 1e6:8,.0f} million MACs")
    assert total.params == published
assert list(macs.values()) == sorted(macs.values(), reverse=True)

# %% [markdown]
# ## Measured: does a large kernel help?
#
# One comparison, fair in one sense. `large_kernel_cnn` has four ConvNeXt-style blocks (batch norm and hard-swish
# where ConvNeXt has layer norm and GELU). Three versions: 3×3; 7×7; and 3×3 *made wider*, until it costs at
# least as many MACs as the 7×7 one. 500 digits, 4 epochs, 5 seeds, 1,000 held-out digits. All else is equal.

# %% tags=["rounding"]
rest, held = data.holdout(data.load("mnist5k").train, 1000, seed=0)
ARMS = {"3×3": {"kernel": 3}, "3×3, wider": {"kernel": 3, "width": 1.1}, "7×7": {"kernel": 7}}


def race(seed, **options):
    model, epochs = models.large_kernel_cnn(rng=seed, **options), 4
    few, optimizer = data.few(rest, 500, seed=seed), optim.AdamW(model.parameters(), lr=5e-3)
    schedule = optim.one_cycle(epochs * train.steps_per_epoch(len(few), 20), warm=0.25)
    train.fit(model, few, optimizer, epochs=epochs, batch_size=20, seed=seed, schedule=schedule)
    return model, train.evaluate(model, held.images, held.labels).accuracy


shares, costs = {}, {}
for name, options in ARMS.items():
    nets, shares[name] = zip(*(race(seed, **options) for seed in range(5)), strict=True)
    costs[name] = complexity.summary(nets[0], (1, 28, 28))
    print(
        f"{name:11} {costs[name].params:7,} parameters {costs[name].macs / 1e6:6.2f} million MACs   ", end=""
    )
    print(f"{mean(shares[name]):.1%} ± {stdev(shares[name]):.1%}")
gap = [b - a for a, b in zip(shares["3×3, wider"], shares["7×7"], strict=True)]
error = stdev(gap) / 5**0.5
verdict = "ahead" if mean(gap) > 2 * error else "behind" if mean(gap) < -2 * error else "level"
print(f"\n7×7 against the wider 3×3: {mean(gap):+.1%} ± {error:.1%}: {verdict}")
assert costs["7×7"].macs < costs["3×3, wider"].macs * 1.05
filters = next(row.layer for row in costs["7×7"].rows if row.kind == "DepthwiseConv2d")
gallery(filters.weight.value[:16, 0], columns=8, size=0.8, signed=True)

# %% [markdown]
# The last line is written by the cell, from differences seed by seed; "ahead" says that their mean is more than
# twice its standard error. The pictures are filters of the first block. After so little training they look like
# noise: what a large kernel finds cannot be read from them. A likely reason why it helps: four blocks of 3×3 see
# little of the picture at once ([lesson 10](10_dilation_and_receptive_field.ipynb)). Where a network is deep, that
# reason is weaker.
#
# Not shown here: large pictures, long training, phones. MACs are not time either: a 7×7 depthwise step has many
# MACs for each number that it reads, which suits a processor, but few libraries have tuned it.
#
# ## In short
#
# * Depthwise finds, pointwise mixes; since 2017 the order, the width in between and the kernel have moved.
# * V2: the block is dear at equal $C$, so $C$ is made small. The end is linear.
# * V3: gates cost parameters, not MACs. Hard-swish is swish without an exponential.
# * ConvNeXt: put the large kernel where the map is narrow.
# * `npdsconv train --list` has all of them in small; `npdsconv train --model large_kernel_cnn` trains one.
#
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: how wide may the middle be?
#
# Return the largest whole expansion $t$ for which V2's block from $c$ to $c$ channels takes no more MACs than one
# standard 3×3 convolution from $c$ to $c$. *Hint: two formulas of the first table.* Can it ever be 5?


# %% tags=["exercise"]
def largest_expansion(c):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def how_wide_may_the_middle_be():
    def macs(layer, c):
        return complexity.summary(layer, (c, 5, 4)).macs

    for c in (16, 24, 40, 256):
        t = largest_expansion(c)
        standard = macs(Conv2d(c, c, 3, padding=1, bias=False, rng=rng), c)
        block, wider = (inverted_residual(c, c, stride=1, expansion=e, rng=rng) for e in (t, t + 1))
        assert macs(block, c) <= standard, f"c = {c}: t = {t} costs more than the standard convolution"
        assert macs(wider, c) > standard, f"c = {c}: t = {t + 1} would be affordable too"


# %% [markdown]
# ### Exercise 2: the slope of hard-swish
#
# Return the derivative of $x \cdot \min(\max(x + 3, 0), 6)/6$ at each number of `x`. *Hint: three pieces.*


# %% tags=["exercise"]
def hard_swish_slope(x):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def the_slope_of_hard_swish():
    points, step = np.array([-7.0, -3.5, -2.9, -1.5, -0.2, 0.0, 0.7, 2.8, 3.3, 9.0]), 1e-6
    right = (hard_swish(points + step) - hard_swish(points - step)) / (2 * step)
    np.testing.assert_allclose(hard_swish_slope(points), right, atol=1e-6)
    assert hard_swish_slope(points).min() < 0, "between -3 and -1.5 it falls"
