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
# # 15. MobileNet, table by table
#
# MobileNet made depthwise separable convolution famous. Its two papers are full of tables: layers, shares,
# multiply-adds, parameters. In this lesson we rebuild those tables from a model and a counter. At the end you
# can read such a table, recompute it, and notice when a printed number cannot be right. (Some are not.)
#
# You need the three cost formulas ([lesson 8](08_what_it_costs.ipynb)). No trained weights are needed: costs
# depend on shapes alone.
#
# | symbol | meaning |
# |---|---|
# | $C$, $O$ | channels going into a layer, channels coming out |
# | $OH$ | height of a layer's *output*, and its width too: all maps here are square, $OW = OH$ |
# | $r$ | height and width of the picture, 224 unless something else is said |
# | $\alpha$ | width multiplier: a factor on all channel counts |
# | $\rho$ | resolution multiplier, $r / 224$ |
# | $t$ | expansion factor of a block in version 2 |
# | MAC | one multiply-add; M stands for a million |
#
# ## Version 1 is one block, thirteen times
#
# A standard 3×3 convolution begins, the *stem*. Thirteen separable blocks follow: depthwise 3×3, batch norm,
# ReLU, pointwise, batch norm, ReLU. Then come a global average and one dense layer. This is the library's
# function, without its docstring. (`conv_bn` is the stem with its batch norm and ReLU, `head` the last part.)

# %%
# %matplotlib inline
import inspect
from fractions import Fraction
from math import floor, prod

import numpy as np
from matplotlib.figure import Figure

from npdsconv import complexity
from npdsconv.layers import DepthwiseSeparableConv2d, Residual, Sequential, set_impl
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.models import by_stage
from npdsconv.models import mobilenet_v1, mobilenet_v2, standard_twin
from npdsconv.models.mobilenet import inverted_residual
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

signature, _, body = inspect.getsource(mobilenet_v1).split('"""')
print(signature.rstrip() + body.rstrip())
model = mobilenet_v1(rng=0)
total = complexity.summary(model, (3, 224, 224))
assert total.output == (1000,)

# %% [markdown]
# The paper (Howard et al., *MobileNets*, arXiv:1704.04861) prints the network as Table 1. Here it is as data,
# one line for each block: the stride of the depthwise step, the size and the channels it reads, the channels
# that the block gives. Beside it stands the model, read off its layers by the complexity summary, which has one
# row for each of them.

# %%
TABLE_1 = [  # (stride, input size, C, O)
    (1, 112, 32, 64),
    (2, 112, 64, 128),
    (1, 56, 128, 128),
    (2, 56, 128, 256),
    (1, 28, 256, 256),
    (2, 28, 256, 512),
    *[(1, 14, 512, 512)] * 5,
    (2, 14, 512, 1024),
    (2, 7, 1024, 1024),
]


def of_kind(summary, kind):
    """The rows of a summary that belong to one class of layers."""
    return [row for row in summary.rows if row.kind == kind]


depthwise, pointwise = of_kind(total, "DepthwiseConv2d"), of_kind(total, "PointwiseConv2d")
blocks = [
    (dw.layer.stride[0], dw.input[1], dw.input[0], pw.output[0])
    for dw, pw in zip(depthwise, pointwise, strict=True)
]
print(f"block {'Table 1':>20} {'the model':>20} {'depthwise MACs':>15} {'pointwise MACs':>15}")
for k, (printed, ours) in enumerate(zip(TABLE_1, blocks, strict=True)):
    mark = "" if printed == ours else "   <- they differ"
    print(f"{k + 1:5} {printed!s:>20} {ours!s:>20} {depthwise[k].macs:15,} {pointwise[k].macs:15,}{mark}")
assert [k + 1 for k in range(13) if TABLE_1[k] != blocks[k]] == [13]

# %% [markdown]
# They differ in one number. In the last block the table gives the depthwise step stride 2; the model has
# stride 1. Who is right? Let the paper answer: elsewhere it says that the network takes 569 M MACs. So build
# the network as printed, and count both.
#
# First a tool, for the whole lesson. A printed figure *agrees* with an exact number if it is that number rounded,
# or cut off, at the digits that are shown. Both habits occur.


# %%
def agrees(exact, printed):
    """Whether the text `printed` is the number `exact`, rounded or cut off."""
    scale = 10 ** len(printed.partition(".")[2])
    return round(float(printed) * scale) in (floor(exact * scale), round(exact * scale))


assert agrees(290.675, "290")
assert agrees(290.675, "291")
assert not agrees(290.675, "292")

where = [k for k, layer in enumerate(model) if isinstance(layer, DepthwiseSeparableConv2d)]
block = DepthwiseSeparableConv2d(1024, 1024, 3, stride=2, padding=1, rng=np.random.default_rng(0))
as_printed = complexity.summary(
    Sequential(*model[: where[-1]], block, *model[where[-1] + 1 :]), (3, 224, 224)
)
for name, each in (("stride 1", total), ("stride 2", as_printed)):
    last = of_kind(each, "PointwiseConv2d")[-1]
    print(
        f"{name}: the last pointwise step reads {last.input}, the network takes {each.macs / 1e6:.2f} M MACs"
    )
assert agrees(total.macs / 1e6, "569")
assert not agrees(as_printed.macs / 1e6, "569")

# %% [markdown]
# Only stride 1 gives the 7×7 map of the table's next line and the paper's own total. The printed "s2" is a
# slip. Anyone who copies it builds a cheaper network than the one that was measured.
#
# ## The totals, twice
#
# Never trust one count. The function below knows nothing of the library: it reads Table 1 with the stride
# mended and applies the formulas of lesson 8, $9 \cdot C \cdot OH \cdot OW$ for the depthwise step and
# $C \cdot O \cdot OH \cdot OW$ for the pointwise one. The weights are the same without $OH \cdot OW$.
#
# And arithmetic is not a network. So a narrow one runs on a small random picture, layer by layer, and every array
# is compared with its row.


# %%
def totals(table, classes=1000):
    """(MACs, weights) of version 1 by pencil and paper: no batch norm, no biases."""
    first, last = 9 * 3 * table[0][2], table[-1][3]
    macs, weights = first * 112**2 + last * classes, first + last * classes
    for stride, size, c, o in table:
        each = 9 * c + c * o
        macs, weights = macs + each * (size // stride) ** 2, weights + each
    return macs, weights


macs, weights = totals([*TABLE_1[:-1], (1, *TABLE_1[-1][1:])])
norms, biases = sum(row.params for row in of_kind(total, "BatchNorm2d")), 1000
print(f"MACs        {total.macs:13,}")
print(f"parameters  {total.params:13,} = {weights:,} weights + {norms:,} of batch norm + {biases:,} biases")
assert macs == total.macs == 568_740_352
assert weights + norms + biases == total.params == 4_231_976
assert agrees(total.params / 1e6, "4.2")

tiny = set_impl(mobilenet_v1(0.25, classes=10, rng=0), "im2col")
cost = complexity.summary(tiny, (3, 96, 96))
x = np.random.default_rng(0).random((1, 3, 96, 96), np.float32)
for k, layer in enumerate(tiny):
    x = layer(x)
    last = [row for row in cost.rows if row.name.split(".")[0] == str(k)][-1]
    assert x.shape[1:] == last.output
print(f"a real run: {len(tiny)} layers, all shapes as computed; {cost.macs:,} MACs gave {x.shape}")
assert sum(p.value.size for p in tiny.parameters()) == cost.params

# %% [markdown]
# ## Who does the work
#
# Table 2 of the paper gives each kind of layer its share, in percent. Its parameters are the weights alone; with
# batch norm and biases left out, our shares agree with the printed ones. All but one.

# %% tags=["E32"]
TABLE_2 = {  # kind: (share of MACs, share of weights), in percent
    "PointwiseConv2d": ("94.86", "74.59"),
    "DepthwiseConv2d": ("3.06", "1.06"),
    "Conv2d": ("1.19", "0.02"),
    "Linear": ("0.18", "24.33"),
}
shares = {}
print(f"{'':16} {'MACs':>8} {'printed':>8}   {'weights':>8} {'printed':>8}")
for kind, printed in TABLE_2.items():
    rows = of_kind(total, kind)
    weight = sum(row.layer.weight.value.size for row in rows)
    shares[kind] = 100 * sum(row.macs for row in rows) / total.macs, 100 * weight / weights
    marks = ["" if agrees(*pair) else "  <- differs" for pair in zip(shares[kind], printed, strict=True)]
    ours = shares[kind]
    print(f"{kind:16} {ours[0]:8.2f} {printed[0]:>8}   {ours[1]:8.2f} {printed[1]:>8}{''.join(marks)}")

printed_sums = [sum(float(pair[k]) for pair in TABLE_2.values()) for k in (0, 1)]
print(f"{'sum':16} {sum(s[0] for s in shares.values()):8.2f} {printed_sums[0]:8.2f}   ", end="")
print(f"{sum(s[1] for s in shares.values()):8.2f} {printed_sums[1]:8.2f}")
wrong = [(kind, k) for kind in TABLE_2 for k in (0, 1) if not agrees(shares[kind][k], TABLE_2[kind][k])]
assert wrong == [("Conv2d", 0)]
assert round(printed_sums[0], 2) == 99.29
assert agrees(shares["Conv2d"][0], "1.91") or agrees(shares["Conv2d"][0], "1.90")

# %% [markdown]
# The printed column of MACs does not add up to 100, and the first convolution is the reason: 1.19 was printed
# where 1.91 was meant. A sum is the cheapest check there is.
#
# The pointwise steps do nearly all of the work and hold most of the weights. The
# [second source document](22_document_questions_and_finetuning.ipynb) takes this for a weakness: it says that
# many pointwise convolutions need more computing resources, and that the number of parameters is huge. The first
# half sees something true, but the share is large because everything else became *small*. Shares say nothing
# about totals.
#
# Here are those, along the network. Each bar is a block; *others* are batch norms, ReLUs and the global average;
# activations are the outputs of all layers, in float32.

# %%
stages = {"stem": total.rows[: where[0]]}
for number, k in enumerate(where, 1):
    stages[str(number)] = [row for row in total.rows if row.name.startswith(f"{k}.")]
stages["dense"] = total.rows[-1:]
quantities = {"parameters (M)": "params", "MACs (M)": "macs", "activations (MB)": "activation_bytes"}
assert sum(row.macs for rows in stages.values() for row in rows) == total.macs
grey = sum(row.activation_bytes for row in total.rows if row.kind not in TABLE_2)
assert grey > total.activation_bytes / 2
by_stage(stages, quantities)

# %% [markdown]
# Three quantities, three places. Parameters sit at the end, where there are many channels; a quarter of them
# is the dense layer alone. MACs are spread evenly, by design: each time $OH$ and $OW$ halve, the channels double,
# and $C \cdot O \cdot OH \cdot OW$ stays the same. (The blocks with stride 2 cost half, since only $O$ has doubled.)
# Activations sit at the beginning, where the pictures are large. Most of them are the grey ones, of batch
# norm and ReLU.
#
# ## The twin without the trick
#
# Replace each block by one standard 3×3 convolution, and leave the rest as it is. The
# [fourth source document](24_document_large_models_and_fine_tuning.ipynb) says that separable convolution has a
# "rather high computational complexity". The [third](23_document_dilated_separable.ipynb) says that its complexity
# is high and, a few lines above, that it is low. Let the two networks decide.

# %% tags=["E32", "E42", "E52"]
twin = complexity.summary(standard_twin(model, rng=0), (3, 224, 224))
print(f"separable  {total.params:12,} parameters {total.macs:14,} MACs")
print(f"standard   {twin.params:12,} parameters {twin.macs:14,} MACs")
print(f"ratio      {twin.params / total.params:12.2f}            {twin.macs / total.macs:14.2f}")
assert f"{twin.macs / total.macs:.2f}" == "8.56"
assert agrees(twin.params / 1e6, "29.3")

saved = []
convolutions = of_kind(twin, "Conv2d")[1:]
for dw, pw, standard in zip(depthwise, pointwise, convolutions, strict=True):
    ratio = Fraction(dw.macs + pw.macs, standard.macs)
    assert ratio == Fraction(1, pw.output[0]) + Fraction(1, 9)
    saved.append(1 / ratio)
print(
    f"block by block, the standard one costs {float(min(saved)):.2f} to {float(max(saved)):.2f} times as much"
)

without_dense = twin.macs - of_kind(twin, "Linear")[0].macs
print(
    f"Table 4 prints 4866 M MACs; all layers {twin.macs / 1e6:.1f} M, without dense {without_dense / 1e6:.1f} M"
)
assert agrees(without_dense / 1e6, "4866")
assert not agrees(twin.macs / 1e6, "4866")

# %% [markdown]
# The separable network is the smaller one by both counts, and each block follows $1/O + 1/9$ exactly. "8 to
# 9 times less computation", says the paper of its 3×3 blocks; the narrowest block stays a little below 8.
#
# A detail for those who compare tables: the printed 4866 fits only if the dense layer is left out, while the
# 569 beside it fits only with it. Different rows of one table were counted differently. It happens.
#
# ## Width: almost quadratic
#
# The width multiplier $\alpha$ scales all channel counts. A pointwise step has both $C$ and $O$ in its cost,
# so it shrinks by $\alpha^2$. A depthwise step has one of them, and so have the stem, which reads three colours
# whatever $\alpha$ is, and the dense layer, which gives 1000 classes: these shrink by $\alpha$. Hence
#
# $$\text{MACs}(\alpha) = A\,\alpha^2 + B\,\alpha,$$
#
# with $A$ the pointwise MACs and $B$ all the others at $\alpha = 1$. The paper says "roughly $\alpha^2$". The
# cell checks the exact law, and Table 6.
#
# Instead of making all layers narrower, one could take some of them out. Table 5 of the paper does that with
# the five equal blocks at 14×14. A `Sequential` is sliced and joined like a list, so we can build that
# network too.

# %%
A = sum(row.macs for row in pointwise)
B = total.macs - A
TABLE_6 = {1.0: ("569", "4.2"), 0.75: ("325", "2.6"), 0.5: ("149", "1.3"), 0.25: ("41", "0.5")}
print(
    f"{'alpha':>5} {'MACs':>12} {'printed':>8} {'of full':>8} {'alpha²':>7} {'parameters':>11} {'printed':>8}"
)
for alpha, (printed_m, printed_p) in TABLE_6.items():
    each = complexity.summary(mobilenet_v1(alpha, rng=0), (3, 224, 224))
    print(f"{alpha:5} {each.macs:12,} {printed_m:>8} {each.macs / total.macs:8.4f} {alpha**2:7.4f}", end="")
    print(f" {each.params:11,} {printed_p:>8}")
    assert each.macs == A * Fraction(alpha) ** 2 + B * Fraction(alpha)
    assert agrees(each.macs / 1e6, printed_m)
    assert agrees(each.params / 1e6, printed_p)

shallow = complexity.summary(Sequential(*model[: where[6]], *model[where[11] :]), (3, 224, 224))
print(f"shallow: {shallow.macs:,} MACs (printed 307), {shallow.params:,} parameters (printed 2.9)")
assert agrees(shallow.macs / 1e6, "307")
assert agrees(shallow.params / 1e6, "2.9")

# %% [markdown]
# The shallow network costs about as much as the narrow one of width 0.75. The paper reports 65.3 % of the
# test pictures of ImageNet right for the shallow one and 68.4 % for the narrow one: depth was worth more than
# width.
#
# ## Resolution: exactly quadratic
#
# All MACs but the dense layer's are proportional to $OH \cdot OW$, hence to $\rho^2$. With sizes that are multiples
# of 32, no size on the way is rounded and the law is exact. Parameters do not change at all: the global average makes
# the network independent of the picture's size.

# %%
TABLE_7 = {224: "569", 192: "418", 160: "290", 128: "186"}
for r, printed in TABLE_7.items():
    each, rho = complexity.summary(model, (3, r, r)), Fraction(r, 224)
    print(f"{r}: {each.macs:11,} MACs, printed {printed} M, rho² = {float(rho**2):.4f}")
    fixed = of_kind(total, "Linear")[0].macs
    assert each.macs - fixed == (total.macs - fixed) * rho**2
    assert each.params == total.params
    assert agrees(each.macs / 1e6, printed)

# %% [markdown]
# ## Sixteen networks, and a second source
#
# Four widths and four resolutions make sixteen networks. Their authors published all of them with weights,
# and listed MACs and accuracy once more (`mobilenet_v1.md` in the repository tensorflow/models, checkpoints
# of February 2018). Does the page agree with the paper, and with us?
#
# The accuracies are theirs, we cannot recompute them: the share of ImageNet's pictures whose class is the
# network's first choice (top-1). The figure sets them against *our* MACs. The small numbers are $r$.

# %%
PAGE = {  # alpha: for r = 224, 192, 160, 128 (M MACs, top-1 accuracy in percent on ImageNet)
    1.0: (("569", 70.9), ("418", 70.0), ("291", 68.0), ("186", 65.2)),
    0.75: (("317", 68.4), ("233", 67.2), ("162", 65.3), ("104", 62.1)),
    0.5: (("150", 63.3), ("110", 61.7), ("77", 59.1), ("49", 56.3)),
    0.25: (("41", 49.8), ("34", 47.7), ("21", 45.5), ("14", 41.5)),
}
exact, differing = {}, []
print(f"{'alpha':>5} " + "".join(f"{f'r = {r}':>19}" for r in TABLE_7))
for alpha, line in PAGE.items():
    narrow, cells = mobilenet_v1(alpha, rng=0), []
    for r, (printed, _) in zip(TABLE_7, line, strict=True):
        exact[alpha, r] = complexity.summary(narrow, (3, r, r)).macs / 1e6
        good = agrees(exact[alpha, r], printed)
        differing += [] if good else [(alpha, r)]
        cells.append(f"{exact[alpha, r]:9.2f} page {printed:>3}{' ' if good else '*'}")
    print(f"{alpha:5} " + "".join(cells))
print("* do not agree:", len(differing))
assert set(differing) == {(0.75, r) for r in TABLE_7} | {(0.5, 224), (0.25, 192)}
factors = [float(printed) / exact[0.75, r] for r, (printed, _) in zip(TABLE_7, PAGE[0.75], strict=True)]
assert max(factors) - min(factors) < 0.001
assert 0.5 < 150 - exact[0.5, 224] < 0.51
assert 34 / exact[0.25, 192] > 1.1


figure = Figure(figsize=(7.5, 3.8), layout="constrained")
ax = figure.subplots()
for (alpha, line), colour in zip(PAGE.items(), (INPUT, WINDOW, KERNEL, OUTPUT), strict=True):
    macs, accuracies = [exact[alpha, r] for r in TABLE_7], [accuracy for _, accuracy in line]
    assert accuracies == sorted(accuracies, reverse=True)  # more pixels were more accurate
    ax.semilogx(macs, accuracies, "o-", color=colour, label=f"width {alpha}")
    above = alpha == 0.75  # its line runs through that of width 1
    for r, *spot in zip(TABLE_7, macs, accuracies, strict=True):
        text = {"textcoords": "offset points", "ha": "right" if above else "left", "color": colour}
        ax.annotate(f"{r}", spot, (-3, 5) if above else (4, -11), fontsize=8, **text)
ax.set_xticks([15, 30, 60, 120, 250, 500], ["15", "30", "60", "120", "250", "500"])
ax.minorticks_off()
ax.margins(0.06, 0.1)
ax.set(xlabel="million MACs (computed here, logarithmic)", ylabel="top-1 accuracy, % (published)")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
figure

# %% [markdown]
# The full width agrees everywhere. At width 0.75 all four differ, by the same factor: there the page
# contradicts the paper, which printed 325 as we count. At the other widths one figure is a hair off, and one
# by more than a tenth. Of two sources by the same authors, one had to be wrong. Counting settled it.
#
# The figure has the shape that the paper describes: nearly straight lines on a logarithmic axis, with a drop at
# the narrowest width.
#
# ## Version 2: the block turned inside out
#
# A block of version 1 mixes channels once. A block of version 2 (Sandler et al., *MobileNetV2*, CVPR 2018,
# arXiv:1801.04381) is narrow outside and wide inside: a pointwise step *expands* $C$ channels to $tC$, the
# depthwise step filters them there, and a second pointwise step *projects* to $O$, without an activation. The
# activation of the other two is ReLU6, $\min(\max(x, 0), 6)$. Where the shapes allow, the input is added to the
# output: the shortcut connects the narrow ends, hence "inverted residual".

# %%
print(inspect.getsource(inverted_residual))
c, o, t, size = 24, 24, 6, 56
block = inverted_residual(c, o, stride=1, expansion=t, rng=np.random.default_rng(0))
cost = complexity.summary(block, (c, size, size))
for row in cost.rows:
    print(f"{row.name:30} {row.kind:16} {row.input!s:>14} -> {row.output!s:>14} {row.macs:11,}")
assert isinstance(block, Residual)
assert cost.macs == size**2 * t * c * (c + 9 + o)

# %% [markdown]
# Three steps, three terms: $OH \cdot OW \cdot tC \cdot (C + 9 + O)$ at stride 1. The wide middle is affordable
# because the ends are so narrow: 24 channels at 56×56, where version 1 has 128. And the depthwise step, the
# 9, is no longer negligible beside 24 and 24.
#
# Now the whole network. The paper prints 300 M MACs and 3.4 M parameters. The authors' page
# (`mobilenet/README.md`, same repository) lists 22 networks, with 300 M and 3.47 M for the full one. Which of
# those can we reproduce?

# %%
PAGE_2 = {  # alpha: (M parameters, {r: M MACs})
    1.4: ("6.06", {224: "582"}),
    1.3: ("5.34", {224: "509"}),
    1.0: ("3.47", {224: "300", 192: "221", 160: "154", 128: "99", 96: "56"}),
    0.75: ("2.61", {224: "209", 192: "153", 160: "107", 128: "69", 96: "39"}),
    0.5: ("1.95", {224: "97", 192: "71", 160: "50", 128: "32", 96: "18"}),
    0.35: ("1.66", {224: "59", 192: "43", 160: "30", 128: "20", 96: "11"}),
}
second = mobilenet_v2(rng=0)
total_2 = complexity.summary(second, (3, 224, 224))
print(f"{total_2.params:,} parameters, {total_2.macs:,} MACs")
assert (total_2.params, total_2.macs) == (3_504_872, 300_774_272)

checked = 0
for alpha, (printed_p, line) in PAGE_2.items():
    each = mobilenet_v2(alpha, rng=0)
    for r, printed_m in line.items():
        cost = complexity.summary(each, (3, r, r))
        assert floor(cost.macs / 1e6) == int(printed_m)
        checked += 1
    weights_2 = cost.params - sum(row.params for row in of_kind(cost, "BatchNorm2d"))
    print(f"width {alpha:4}: {weights_2 / 1e6:.4f} M without batch norm, printed {printed_p}")
    assert agrees(weights_2 / 1e6, printed_p)
print(f"{checked} counts of MACs agree")
assert checked == 22

# %% [markdown]
# All 22 counts of MACs are ours, cut off to whole millions. All six counts of parameters are ours without
# batch norm. Where a table does not say what was counted, a few tries find out.
#
# Here are both networks side by side, and the three pictures once more for version 2. A stage is one inverted
# residual.

# %%
stages_2 = {}
for row in total_2.rows:
    k = int(row.name.split(".")[0])
    name = "stem" if k < 3 else str(k - 2) if k < 20 else "last\n1×1" if k < 23 else "dense"
    stages_2.setdefault(name, []).append(row)
assert len(stages_2) == 1 + sum(isinstance(each, Residual | Sequential) for each in second) + 2

print(f"{'':10} {'MACs':>12} {'parameters':>11} {'all activations':>16} {'peak in inference':>18}")
for name, each in (("version 1", total), ("version 2", total_2)):
    print(f"{name:10} {each.macs:12,} {each.params:11,} {each.activation_bytes:16,} {each.peak_bytes:18,}")
widest = max(total_2.rows, key=lambda row: prod(row.output))
print(
    f"widest array of version 2: {widest.output}, {widest.activation_bytes:,} bytes, in layer {widest.name}"
)
assert total_2.macs < total.macs
assert total_2.params < total.params
assert total_2.activation_bytes > total.activation_bytes
assert total_2.peak_bytes > total.peak_bytes
assert of_kind(total_2, "Linear")[0].params > total_2.params / 3
by_stage(stages_2, quantities)

# %% [markdown]
# Version 2 nearly halves the MACs. But more than a third of its parameters now sit in the dense layer, which
# reads 1280 channels. And it needs *more* memory for activations: its second stage expands to 96 channels at
# 112×112. (The paper points out that the wide middle need not be stored as a whole: it can be computed a few
# channels at a time. Here each layer writes out its result.) No single number ranks two networks.
#
# ## Exercises
#
# Replace the `raise` by your own code and run the cell and the check below it.
#
# ### Exercise 1: one block of version 2
#
# Return the MACs of an inverted residual from `c` to `o` channels, with expansion `t` and any stride; `size` is
# the height and width that it reads, and may be odd. The depthwise step is 3×3 with padding 1. Two things to
# watch: at which size does the expanding step run, and what is left out when $t = 1$? (The code above tells.)


# %% tags=["exercise"]
def inverted_residual_macs(c, o, t, stride, size):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def one_block_of_version_2():
    for c, o, t, stride, size in (
        (24, 24, 6, 1, 56),
        (24, 32, 6, 2, 56),
        (32, 16, 1, 1, 20),
        (8, 12, 3, 2, 15),
    ):
        layer = inverted_residual(c, o, stride=stride, expansion=t, rng=np.random.default_rng(0))
        right = complexity.summary(layer, (c, size, size)).macs
        assert inverted_residual_macs(c, o, t, stride, size) == right, (
            f"C={c} O={o} t={t} stride={stride} size={size}"
        )


# %% [markdown]
# ### Exercise 2: how did they count?
#
# The authors' page for version 1 prints 4.24, 2.59, 1.34 and 0.47 M parameters for the widths 1, 0.75, 0.5
# and 0.25. Ours are 4.23, 2.59, 1.33 and 0.47. Batch norm has up to four vectors, with a number for each
# channel: scale, shift, running mean, running variance. Programs differ in how many of them they have and
# count. With how many do all four figures agree? Return that number. *Hint: a `BatchNorm2d` row counts two
# vectors.*


# %% tags=["exercise"]
def vectors_of_each_batch_norm():
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def how_did_they_count():
    vectors = vectors_of_each_batch_norm()
    for alpha, printed in {1.0: "4.24", 0.75: "2.59", 0.5: "1.34", 0.25: "0.47"}.items():
        each = complexity.summary(mobilenet_v1(alpha, rng=0), (3, 224, 224))
        two = sum(row.params for row in of_kind(each, "BatchNorm2d"))
        ours = (each.params - two + vectors * two // 2) / 1e6
        assert agrees(ours, printed), (
            f"{vectors} vectors give {ours:.3f} M at width {alpha}, printed {printed}"
        )
