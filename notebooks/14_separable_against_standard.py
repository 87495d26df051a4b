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
# # 14. Separable against standard
#
# A separable network does less work than the same network with standard convolutions. Is it as accurate? Is
# it faster? Does it need less memory? At the end you can run such a comparison yourself, and say what it
# shows and what it does not. Expect no advertisement: some of the answers do not favour this package's
# subject.
#
# You need the cost formulas ([lesson 8](08_what_it_costs.ipynb)) and the way a network is trained and measured
# ([lesson 13](13_mnist_end_to_end.ipynb)). Words:
#
# | word | meaning |
# |---|---|
# | twin | the same network, each separable block replaced by one standard convolution |
# | $C$, $O$, $K$ | input channels, output channels, kernel size |
# | MAC | one multiply-add |
# | activation bytes | what the outputs of all layers together take, in float32, for one image |
# | width | a factor on all channel counts |
# | seed | a number that fixes all chance: the initial weights, the order of the images |
# | held out | training images that no network learns from; all comparisons are made on them |

# %%
# %matplotlib inline
from dataclasses import replace
from statistics import mean, stdev
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator

from npdsconv import complexity, data, optim, plots, train
from npdsconv.layers import Conv2d, DepthwiseConv2d, PointwiseConv2d
from npdsconv.lessons import exercise
from npdsconv.models import separable_cnn, standard_twin
from npdsconv.runs import recorded
from npdsconv.runs.recipe import RECIPES

SEPARABLE, STANDARD = "#F58518", "#7F7F7F"

# %% [markdown]
# ## First, what is being compared
#
# The pair: a small network with four separable blocks, and its twin. `standard_twin` keeps everything else:
# the order of the blocks, channels, strides, the last layers. The costs are those of one image of 1×28×28. A
# *stage* is a block with the layers that belong to it, and its number is that of its first layer. After each
# cost of ours come the twin's and the ratio of the two.


# %%
def pair(width, seed):
    """The separable network and its standard twin."""
    network = separable_cnn(width=width, stem_stride=2, rng=seed)
    return {"separable": network, "standard": standard_twin(network, rng=seed)}


both = complexity.compare(*pair(0.5, 0).values(), (1, 28, 28))
separable, standard = both.model, both.twin
assert separable.params < standard.params
assert separable.macs < standard.macs
assert separable.activation_bytes > standard.activation_bytes
print(both)
plots.beside_twin(both)

# %% [markdown]
# The totals are exact, and known before anything is trained. Parameters: far fewer. MACs: far fewer. Memory for
# activations, which training has to keep until the backward pass: *more*. Each block is two convolutions where
# the twin has one, so it writes one more map, normalises it and clips it.
#
# ## Fewer, not parallel
#
# *Why* fewer? The [second source document](22_document_questions_and_finetuning.ipynb) answers: since the split
# operations can run in parallel, the amount of computation shrinks. That cannot be. Working in parallel makes
# the same work finish sooner; it does not make it less. And the two steps are not even parallel: the second
# reads what the first has written.
#
# Let us count. `complexity.count` runs a layer on numbers that tally their own multiplications. We cut a
# standard convolution into one piece for each output channel. Those pieces really are independent.

# %% tags=["E22"]
rng, shape = np.random.default_rng(0), (3, 7, 6)


def multiplications(layer, shape):
    return complexity.count(layer, shape).multiplications


whole = multiplications(Conv2d(3, 4, 3, padding=1, bias=False, rng=rng), shape)
pieces = [multiplications(Conv2d(3, 1, 3, padding=1, bias=False, rng=rng), shape) for _ in range(4)]
depthwise = multiplications(DepthwiseConv2d(3, 3, padding=1, bias=False, rng=rng), shape)
pointwise = multiplications(PointwiseConv2d(3, 4, bias=False, rng=rng), shape)
print(f"standard, as a whole           {whole:5}")
print(f"standard, in four pieces       {sum(pieces):5} = {' + '.join(map(str, pieces))}")
print(f"depthwise, then pointwise      {depthwise + pointwise:5} = {depthwise} + {pointwise}")
assert sum(pieces) == whole
assert np.isclose((depthwise + pointwise) / whole, complexity.ratio(4, 3))

# %% [markdown]
# Perfectly parallel pieces, and not one multiplication saved. The saving has another source: the restriction
# to kernels made of one spatial filter for each channel and one matrix. What is left is $1/O + 1/K^2$ of the
# work, and it is paid for in freedom: most standard kernels cannot be written in this form.
#
# ## A fair race
#
# Both networks get the same 1,000 images, the same optimiser and learning rate, the same number of epochs, and
# are measured on the same 1,000 held-out images. Only the kind of convolution differs. One race proves little,
# since the initial weights and the order of the images are a matter of chance. So there are three, with three
# seeds, and we report mean and spread (the standard deviation). Beside the spread stands a second source of
# chance: a share $p$ of $n$ held-out images has itself a standard error of $\sqrt{p(1-p)/n}$.

# %% tags=["rounding"]
EPOCHS, BATCH = 6, 25
rest, held = data.holdout(data.load("mnist5k").train, 1000, seed=0)
_, learn = data.holdout(rest, 1000, seed=1)


def race(network, seed, epochs=EPOCHS):
    """Train; return accuracy and loss on the held-out images, and the loss of the last epoch."""
    optimizer = optim.AdamW(network.parameters(), lr=0.01)
    schedule = optim.one_cycle(epochs * train.steps_per_epoch(len(learn), BATCH), warm=0.25)
    settings = {"epochs": epochs, "batch_size": BATCH, "seed": seed, "schedule": schedule}
    last = train.fit(network, learn, optimizer, **settings)[-1]
    result = train.evaluate(network, held.images, held.labels)
    return result.accuracy, result.loss, last.train_loss


WIDTH, SEEDS = 0.25, (0, 1, 2)
runs = {kind: [race(pair(WIDTH, seed)[kind], seed) for seed in SEEDS] for kind in ("separable", "standard")}
print(f"width {WIDTH}, {len(learn)} images, {EPOCHS} epochs, {len(held)} held-out images")
print(f"{'':10} {'accuracy for each seed':>26} {'mean':>7} {'spread':>7} {'training loss':>14}")
for kind, results in runs.items():
    accuracies, losses = [result[0] for result in results], [result[2] for result in results]
    each = " ".join(f"{a:8.1%}" for a in accuracies)
    print(f"{kind:10} {each:>26} {mean(accuracies):7.1%} {stdev(accuracies):7.1%} {mean(losses):14.3f}")
    assert min(accuracies) > 0.5
    assert max(accuracies) < 1
gaps = [b[0] - a[0] for a, b in zip(runs["separable"], runs["standard"], strict=True)]
won, p = sum(gap > 0 for gap in gaps), mean(result[0] for result in runs["standard"])
print(f"\nthe standard network won {won} of {len(SEEDS)} races, by {mean(gaps):.1%} on average")
print(f"standard error that comes with {len(held)} held-out images: {(p * (1 - p) / len(held)) ** 0.5:.1%}")
assert mean(gaps) > stdev(gaps)

# %% [markdown]
# At equal width and equal epochs the standard network wins, and the gap is larger than its own spread. It would
# be wrong to hide that. It would also be wrong to stop here, for two reasons. Look at the last column: after
# these epochs the separable network has not yet learned its *training* images. And the twin was allowed several
# times the work. So two more questions.
#
# ## Is it slow to learn, or unable?
#
# Give the separable network three times the epochs (and the twin, for once, nothing: the question is what the
# separable network *can* do).

# %% tags=["rounding"]
longer = race(pair(WIDTH, 0)["separable"], 0, 3 * EPOCHS)
short, rival = runs["separable"][0], runs["standard"][0]
for kind, epochs, result in (
    ("separable", EPOCHS, short),
    ("separable", 3 * EPOCHS, longer),
    ("standard", EPOCHS, rival),
):
    print(f"{kind:10} {epochs:3} epochs: {result[0]:6.1%} right, training loss {result[2]:.3f}")
closed = (longer[0] - short[0]) / (rival[0] - short[0])
fits, reads = ("better" if better else "worse" for better in (longer[2] < rival[2], longer[0] > rival[0]))
print(f"the longer training closed {closed:.0%} of the gap; in the end, compared with the twin,")
print(f"it knows its training images {fits}, and it reads held-out images {reads}")
assert longer[2] < short[2]
assert longer[0] > short[0]

# %% [markdown]
# Slow, in the first place. A likely reason: each block is two convolutions deep where the twin's is one, and a
# deeper network takes more steps to train. But the last line says that learning the training images is not all.
# In the run shown, the separable network knows them by heart in the end and is still behind on images that it
# has not seen.
#
# ## And with the package's own recipe?
#
# These races are toys: few images, few epochs, the narrowest networks, so that they run in seconds. `npdsconv train`
# takes full width, 4,000 images, augmentation and 30 epochs. That was run once for both kinds, over several seeds,
# and recorded. The cell reads the record. "Level" says that the two means differ by less than two standard
# errors of their difference.

# %%
of_recipe = {
    kind: recorded.accuracy(replace(RECIPES["mnist5k"], standard=kind == "standard")) for kind in runs
}
for kind, found in of_recipe.items():
    print(f"{kind:10} {found.mean:.2%} ± {found.spread:.2%} of the mini test, over {found.seeds} seeds")
behind = of_recipe["standard"].mean - of_recipe["separable"].mean
error = sum(found.spread**2 / found.seeds for found in of_recipe.values()) ** 0.5
print(
    f"the separable network is behind by {behind:.2%} ± {error:.2%}:",
    "level" if behind < 2 * error else "not level",
)
assert behind < mean(gaps) / 10

# %% [markdown]
# So both are true, and neither is the whole truth: far behind in the toy, and a fraction of a point with enough
# images and epochs, for networks that both read nearly everything. A gap belongs to a budget. Whoever quotes one
# has to name the other.
#
# ## Equal work instead of equal width
#
# A separable network saves MACs. They can be *spent* on width. So compare networks that cost the same:
# several widths of both kinds, each accuracy against what it costs.

# %% tags=["rounding"]
sweep = {
    (kind, width): runs[kind][0] if width == WIDTH else race(pair(width, 0)[kind], 0)
    for kind, widths in (("separable", (0.125, 0.25, 0.5)), ("standard", (0.125, 0.25)))
    for width in widths
}
costs = {key: complexity.summary(pair(key[1], 0)[key[0]], (1, 28, 28)) for key in sweep}
print(f"{'':10} {'width':>6} {'parameters':>11} {'MACs':>11} {'activation bytes':>17} {'accuracy':>9}")
for (kind, width), result in sweep.items():
    c = costs[kind, width]
    print(f"{kind:10} {width:6} {c.params:11,} {c.macs:11,} {c.activation_bytes:17,} {result[0]:9.1%}")
assert sweep["separable", 0.5][0] > sweep["separable", 0.125][0]

# %%
RESOURCES = {"parameters": "params", "MACs": "macs", "activation bytes": "activation_bytes"}
figure = Figure(figsize=(9.5, 3.3), layout="constrained")
for ax, (title, field) in zip(figure.subplots(1, 3, sharey=True), RESOURCES.items(), strict=True):
    for kind, colour, offset, side in (
        ("separable", SEPARABLE, (-5, 4), "right"),
        ("standard", STANDARD, (6, -11), "left"),
    ):
        keys = [key for key in sweep if key[0] == kind]
        x, y = [getattr(costs[key], field) for key in keys], [sweep[key][0] for key in keys]
        assert x == sorted(x)
        ax.semilogx(x, y, "o-", color=colour, label=kind)
        for key, *spot in zip(keys, x, y, strict=True):
            text = {"textcoords": "offset points", "ha": side, "fontsize": 8, "color": colour}
            ax.annotate(f"{key[1]:g}", spot, offset, **text)
    ax.set(xlabel=f"{title} (logarithmic)")
    ax.grid(alpha=0.3)
    ax.margins(0.22, 0.1)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.minorticks_off()
figure.axes[0].set_ylabel("held-out accuracy")
figure.axes[0].legend(frameon=False, loc="lower right")
figure

# %% [markdown]
# The number at each point is the width. Up and to the left is better. Two ways to read it. At *equal cost*: where
# is the separable line above the cost of the small standard network? (Between two measured points it is a
# straight line in the logarithm of the cost.) And one kind of conclusion needs no line and no taste: network A
# *dominates* B in a resource if A needs no more of it and is at least as accurate, and is better in one of the
# two. Let the program say which networks nobody dominates.


# %% tags=["rounding"]
def dominates(a, b, field):
    """Whether network a is at least as good as b in accuracy and in one resource, and better in one of the two."""
    first, second = getattr(costs[a], field), getattr(costs[b], field)
    better = sweep[a][0] > sweep[b][0] or first < second
    return sweep[a][0] >= sweep[b][0] and first <= second and better


gap_at_cost = []
small, curve = ("standard", 0.125), [key for key in sweep if key[0] == "separable"]
for title, field in RESOURCES.items():
    at, *along = (np.log(getattr(costs[key], field)) for key in (small, *curve))
    if along[0] <= at <= along[-1]:
        height = np.interp(at, along, [sweep[key][0] for key in curve])
        gap_at_cost.append(height - sweep[small][0])
        print(f"equal {title:11} separable {height:.1%}, standard {sweep[small][0]:.1%}")

left = {}
for title, field in RESOURCES.items():
    left[title] = [b for b in sweep if not any(dominates(a, b, field) for a in sweep)]
    print(f"by {title:17} not dominated: {', '.join(f'{kind} {width:g}' for kind, width in left[title])}")
for title, keys in left.items():
    kinds = {kind for kind, _ in keys}
    verdict = "both kinds have their place" if len(kinds) == 2 else f"only {kinds.pop()} networks are left"
    print(f"counting {title}: {verdict}")
assert all(left.values())
assert gap_at_cost
assert max(map(abs, gap_at_cost)) < 0.03
assert {kind for kind, _ in left["activation bytes"]} == {"standard"}
assert max(sweep, key=lambda key: sweep[key][0])[0] == "standard"
assert all(
    min(costs, key=lambda key: getattr(costs[key], cost))[0] == "separable" for cost in ("params", "macs")
)

# %% [markdown]
# Read the printed lines, not your expectations. In the run shown, the two kinds are within three points of each
# other at equal parameters or MACs: what looked like a clear defeat at equal width was mostly a matter of
# spending less. The cheapest networks by parameters and by MACs are separable, and the most accurate one is
# standard; by activation memory no separable network is left. One seed for each point, little data, few epochs:
# another run may move a point, hardly the picture.
#
# Does that contradict MobileNet? Its paper reports 70.6 % against 71.7 % on ImageNet, with 569 million MACs
# against 4,866 million ([lesson 15](15_mobilenet_tables.ipynb)): a small loss for a large saving. One difference
# can be computed. A block saves the factor $1/(1/O + 1/K^2)$. MobileNet's blocks have up to 1,024 output
# channels; ours, at the width of the races, have very few.

# %%
blocks = [layer for layer in pair(WIDTH, 0)["separable"] if hasattr(layer, "pointwise")]
ours = {block.pointwise.weight.value.shape[0] for block in blocks}
print("output channels  how many times fewer MACs a 3×3 block takes")
saving = {o: 1 / complexity.ratio(o, 3) for o in (4, 8, 16, 32, 64, 128, 512, 1024)}
for o, factor in saving.items():
    print(f"{o:15}  {factor:.2f}  {'#' * round(4 * factor):36}{'  <- ours' if o in ours else ''}")
assert ours == {16, 32}
assert sorted(saving.values()) == list(saving.values())
assert 8.9 < saving[1024] < 9

# %% [markdown]
# ## Fewer MACs are not always less time
#
# Now the clock. One training step (forward, backward, update) with 64 images, and one forward pass; the best
# of several runs, after one run that compiles. These numbers belong to the machine that ran them, and nothing
# is asserted about them. The lines at the end are written by the program.


# %% tags=["timing"]
def best(task, repeats=5):
    """Seconds of the fastest of several runs; the first one, which may compile, does not count."""
    task()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        task()
        times.append(perf_counter() - start)
    return min(times)


def step_task(network):
    optimizer = optim.AdamW(network.parameters(), lr=0.0)
    return lambda: train.train_step(network, learn.images[:64], learn.labels[:64], optimizer)


def forward_task(network):
    images = data.to_float(learn.images[:64])
    return lambda: network(images)


widths, seconds = (0.125, 0.25, 0.5, 1.0), {}
print(f"{'width':>5} {'':10} {'MACs':>11} {'ms a step':>10} {'ms forward':>11} {'GMAC/s forward':>15}")
for width in widths:
    for kind, network in pair(width, 0).items():
        macs = complexity.summary(network, (1, 28, 28)).macs
        step, forward = best(step_task(network)), best(forward_task(network))
        seconds[kind, width] = macs, step
        speed = 64 * macs / forward / 1e9
        print(f"{width:5} {kind:10} {macs:11,} {1e3 * step:10.1f} {1e3 * forward:11.2f} {speed:15.1f}")
less = {}
for width in widths:
    (macs, step), (more_macs, other_step) = seconds["separable", width], seconds["standard", width]
    less[width] = more_macs / macs, other_step / step
    print(f"width {width}: {less[width][0]:.1f} times fewer MACs, a step {less[width][1]:.2f} times as fast")
slower = [width for width, (_, speed) in less.items() if speed < 1]
print(
    "fewer MACs and yet more time at width:", ", ".join(map(str, slower)) or "none of these, on this machine"
)

# %% tags=["timing"]
figure = Figure(figsize=(7, 3.2), layout="constrained")
ax = figure.subplots()
places = np.arange(len(less))
bars = (("MACs: standard / separable", "#4C78A8"), ("time of a step: standard / separable", "#E45756"))
for k, (title, colour) in enumerate(bars):
    heights = [values[k] for values in less.values()]
    drawn = ax.bar(places + 0.4 * k - 0.2, heights, 0.38, color=colour, label=title)
    ax.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2, bbox={"color": "white", "pad": 0.5})
ax.axhline(1, color="0.3", linewidth=1, linestyle="--", zorder=0)
ax.set_xticks(places, [f"width {width}" for width in less])
ax.margins(y=0.2)
ax.legend(frameon=False, loc="upper left")
figure

# %% [markdown]
# The blue bars say how many times less there is to compute, the red ones how many times sooner it is done. Where
# a red bar passes the dashed line at 1, the separable network is faster. Expect the red bars to be far below the
# blue ones. Three reasons:
#
# * a depthwise step does $K^2$ MACs for each number it writes; it waits for memory, not for arithmetic;
# * two steps mean two batch norms and two ReLUs: no MACs, but every one of them moves a whole map;
# * every layer has a fixed cost, a function call and some checks, which counts when the layer is small.
#
# The first two are the activation bytes of the first table, seen from the other side. The
# [first source document](21_document_theory_and_pytorch_project.ipynb) says that the separation significantly
# reduces computing time. Such a sentence needs a measurement beside it, and the name of a machine.
#
# ## What may be said
#
# * Exact, always: $1/O + 1/K^2$ of the weights and MACs of each block. Nothing parallel about it.
# * Exact, for this network: more memory for activations than the twin.
# * Measured, here: at equal width and few epochs, less accurate; more training closes part of the gap. (One
#   learning rate for both. Tuned for each, the result may move.)
# * Recorded, with the package's recipe: at full width, with four times the images and five times the epochs, a
#   fraction of a point.
# * Measured, with one seed: at equal parameters or MACs the two kinds are close; at equal activation memory the
#   separable one is behind.
# * Measured, on one machine: a step is sped up much less than the MACs say.
# * Not shown here: wide networks, large data, long training, phones. There, published results favour the
#   separable kind.
#
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: what the MACs would buy
#
# Return the largest width, in steps of 0.05, at which the *separable* network takes no more MACs than the
# *standard* one of the given width. *Hint: `pair` and `complexity.summary`.*


# %% tags=["exercise"]
def affordable_width(standard_width):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def what_the_macs_would_buy():
    def macs(kind, width):
        return complexity.summary(pair(width, 0)[kind], (1, 28, 28)).macs

    width = affordable_width(0.25)
    assert np.isclose(width * 20, round(width * 20)), "in steps of 0.05"
    assert macs("separable", width) <= macs("standard", 0.25) < macs("separable", width + 0.05)


# %% [markdown]
# ### Exercise 2: is the difference more than chance?
#
# Two networks ran with the same seeds: `a[k]` and `b[k]` are their accuracies with seed k. Return the mean
# difference `b - a`, and its standard error: the standard deviation of the differences (with $n - 1$) over
# $\sqrt{n}$. Working with differences is what makes the comparison *paired*: what a seed does to both of them
# cancels.


# %% tags=["exercise"]
def paired(a, b):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def is_the_difference_more_than_chance():
    np.testing.assert_allclose(paired([0.8, 0.7, 0.6], [0.9, 0.8, 0.7]), (0.1, 0), atol=1e-12)
    np.testing.assert_allclose(paired([0, 0], [1, 3]), (2, 1))
    assert paired([0.5, 0.7, 0.6], [0.4, 0.7, 0.5])[0] < 0, "the sign: b minus a"


# %% [markdown]
# ### Exercise 3: the roofline
#
# A machine does at most `macs_per_second` and moves at most `bytes_per_second`. A layer needs time for its MACs
# and time for its bytes; both go on at once, so it takes at least the longer of the two. Return the sum over the
# rows of a complexity summary, in seconds for one image. Each `row` stands for a layer; `row.macs` are its MACs,
# `row.traffic_bytes` the bytes that it reads and writes. With this you can *predict* on which machines the
# separable network is worth its while.


# %% tags=["exercise"]
def roofline(rows, macs_per_second, bytes_per_second):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def the_roofline():
    a, b = separable.rows, standard.rows
    assert np.isclose(roofline(a, 1e9, 1e30), separable.macs / 1e9), "memory without limit: only MACs count"
    assert np.isclose(roofline(b, 1e30, 1e9), sum(row.traffic_bytes for row in b) / 1e9), "only bytes count"
    speeds = [roofline(b, rate, 1e9) / roofline(a, rate, 1e9) for rate in (1e8, 1e9, 1e10, 1e11)]
    assert speeds == sorted(speeds, reverse=True), "the faster the arithmetic, the smaller the advantage"
    assert speeds[0] > 5
    assert speeds[-1] < 1
