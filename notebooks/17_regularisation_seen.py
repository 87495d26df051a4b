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
# # 17. Regularisation, seen
#
# A network that knows its training pictures by heart has not learned to read. *Regularisation* is the name for
# all that makes learning by heart harder. At the end you can see overfitting in two curves, draw what eight
# remedies do, and say which of them helped here, by how much, and how sure that is.
#
# You need the training loop ([lesson 12](12_a_trainer_in_forty_lines.ipynb)) and held-out pictures
# ([lesson 13](13_mnist_end_to_end.ipynb)). Words:
#
# | word | meaning |
# |---|---|
# | overfitting | the training pictures are known ever better, others are not |
# | generalisation gap | loss on held-out pictures minus loss on training pictures |
# | watch | held-out pictures that decide when to stop |
# | judge | held-out pictures that decide nothing; the scores are measured on them |

# %%
# %matplotlib inline
from statistics import mean, stdev

import numpy as np
from matplotlib.figure import Figure

from npdsconv import data, optim, train
from npdsconv.layers import Dropout
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.models import gallery, guesses
from npdsconv.lessons.pictures.training import curves
from npdsconv.models import separable_cnn
from npdsconv.plots import OUTPUT

# %% [markdown]
# ## Overfitting, made on purpose
#
# Take few pictures: 10 of each digit. Take a network with a hundred times as many weights as pictures, and train
# for a long time. Two piles are held out. One is *watched* during training, the other one *judges* at the end.

# %% tags=["rounding"]
rest, judge = data.holdout(data.load("mnist5k").train, 500, seed=0)
rest, watch = data.holdout(rest, 500, seed=1)
SEEDS, EPOCHS = (0, 1, 2), 30


def run(seed, dropout=0.0, weight_decay=0.0, watched=None, **settings):
    """A network trained on 100 pictures of a seed; the results of its epochs; itself when `watched` was read best."""
    model = separable_cnn(width=0.5, stem_stride=2, dropout=dropout, rng=seed)
    optimizer = optim.AdamW(model.parameters(), lr=5e-3, weight_decay=weight_decay)
    results, best, stopped = [], float("inf"), model
    settings |= {"epochs": EPOCHS, "batch_size": 20, "seed": seed, "validation": watched}
    for result in train.epochs(model, data.few(rest, 100, seed=seed), optimizer, **settings):
        results.append(result)
        if watched and result.validation.loss < best:
            best, stopped = result.validation.loss, model.copy()
    return model, results, stopped


plain = [run(seed, watched=watch) for seed in SEEDS]
model, results, _ = plain[0]
weights = sum(p.value.size for p in model.parameters())
last = results[-1]
print(f"{weights:,} weights, 100 pictures; after {EPOCHS} epochs")
print(f"training pictures: loss {last.train_loss:.2f}, {last.train_accuracy:.0%} right")
print(f"watched pictures:  loss {last.validation.loss:.2f}, {last.validation.accuracy:.0%} right")
assert last.train_accuracy > 0.95
assert last.validation.loss > 10 * last.train_loss
assert weights > 100 * 100
losses = {"learning": [r.train_loss for r in results], "watched": [r.validation.loss for r in results]}
shares = {
    "learning": [r.train_accuracy for r in results],
    "watched": [r.validation.accuracy for r in results],
}
curves({"loss": losses, "share right": shares})

# %% [markdown]
# The two curves part, and that is what overfitting looks like. The gap between the two losses is what was
# learned by heart. From here on, one remedy at a time.
#
# ## Augmentation: never the same picture twice
#
# Each time a picture is used it is changed a little, as digits differ anyway. Below is one training picture
# in six epochs, under four kinds of change: turned and moved; noise; salt and pepper; a square cut out.

# %%
AUGMENTS = {
    "turn, shift": data.Affine(rotate=10, shift=2),
    "noise": data.GaussianNoise(0.2),
    "salt, pepper": data.SaltAndPepper(0.1),
    "cut-out": data.CutOut(8),
}
one = data.to_float(rest.images[7:8])
changed = [
    change(one, seed=0, epoch=epoch, index=np.array([7]))[0, 0]
    for change in AUGMENTS.values()
    for epoch in range(6)
]
again = AUGMENTS["noise"](one, seed=0, epoch=3, index=np.array([7]))[0, 0]
np.testing.assert_array_equal(again, changed[9])  # chance is a function of seed, epoch and place: runs repeat
gallery(changed, [name if epoch == 0 else "" for name in AUGMENTS for epoch in range(6)], columns=6, size=0.9)

# %% [markdown]
# ## Dropout: never the same features twice
#
# In front of the head, every feature is set to 0 with probability $p$, anew in each step, and the others are
# divided by $1 - p$, so that their sum stays the same on average. No feature can rely on another. Below are the
# 64 features of one picture as an 8×8 square, then under four draws with $p = 0.3$. When the network is used,
# nothing is dropped.

# %%
features = model[:-1](one).reshape(1, -1)
drop = Dropout(0.3, rng=0)
drawn = [drop.forward(features, train=True)[0] for _ in range(4)]
np.testing.assert_array_equal(drop(features), features)  # in use: nothing is dropped
kept = drawn[0] != 0
np.testing.assert_allclose(drawn[0][kept], features[kept] / 0.7, rtol=1e-6)
gallery([f.reshape(8, 8) for f in (features, *drawn)], ["features", *["dropped"] * 4], columns=5, size=1.2)

# %% [markdown]
# ## Weight decay: small weights
#
# After each step every weight of a convolution or dense layer is made a little smaller:
# $w \leftarrow (1 - \eta\lambda)\,w$, with the learning rate $\eta$ and the decay $\lambda$. A weight that the
# pictures do not ask for fades. Below: how large the weights of the head are after training, for three decays.

# %% tags=["rounding"]
decayed = {decay: run(0, weight_decay=decay)[0][-1].weight.value for decay in (0.1, 1.0)}
sizes = {decay: np.abs(w).ravel() for decay, w in {0.0: model[-1].weight.value, **decayed}.items()}
print("mean size:", ", ".join(f"{size.mean():.3f} with decay {decay}" for decay, size in sizes.items()))
assert sizes[0.0].mean() > sizes[0.1].mean() > sizes[1.0].mean()
figure = Figure(figsize=(6, 2.6), layout="constrained")
ax = figure.subplots()
ax.hist(list(sizes.values()), bins=np.arange(0, 0.6, 0.05), label=[f"decay {decay}" for decay in sizes])
ax.set(xlabel="size of a weight of the head", ylabel="how many")
ax.legend(frameon=False)
figure

# %% [markdown]
# ## Label smoothing: do not be certain
#
# The target is not "3 with probability 1" but "3 with 0.91, each of the others with 0.01". A network can then
# no longer gain by making its logits ever larger. Below: the same pictures, read without it and with it.

# %% tags=["rounding"]
smooth, sure = run(0, label_smoothing=0.1)[0], {}
for name, net in {"plain": model, "smooth": smooth}.items():
    sure[name] = train.evaluate(net, judge.images, judge.labels).probabilities
    print(f"{name:7} mean probability of its answers {sure[name].max(axis=1).mean():.2f}")
assert sure["smooth"].max(axis=1).mean() < sure["plain"].max(axis=1).mean()
images, labels = np.repeat(judge.images[:3], 2, axis=0), np.repeat(judge.labels[:3], 2)
guesses(images, labels, np.stack([sure[name][k] for k in range(3) for name in sure]), columns=6)

# %% [markdown]
# ## Early stopping: take the best epoch
#
# Nothing is changed but the end: keep the network of the epoch in which the *watched* loss was smallest. Those
# pictures have then decided something, so they cannot judge any more. That is why there are two piles.

# %% tags=["rounding"]
best = int(np.argmin(losses["watched"]))
print(
    f"smallest watched loss: {losses['watched'][best]:.2f} in epoch {best + 1}; at the end {last.validation.loss:.2f}"
)
assert losses["watched"][best] <= losses["watched"][-1]
curves({"watched loss": {"plain": losses["watched"]}}, levels={"where to stop": losses["watched"][best]})

# %% [markdown]
# ## Which of them helped?
#
# Three seeds: each has its own 100 pictures and its own initial weights, the same ones for all remedies. So we
# look at *differences* to the plain network, seed by seed. A difference counts if its mean is more than twice its
# standard error. (With three seeds even that is a rough rule.) The lines are written by the cell.


# %% tags=["rounding"]
def right(model):
    return train.evaluate(model, judge.images, judge.labels).accuracy


REMEDIES = {
    **{name: {"augment": change} for name, change in AUGMENTS.items()},
    "dropout 0.3": {"dropout": 0.3},
    "decay 0.1": {"weight_decay": 0.1},
    "smoothing 0.1": {"label_smoothing": 0.1},
}
scores = {"plain": [right(net) for net, _, _ in plain], "early stop": [right(net) for _, _, net in plain]}
scores |= {name: [right(run(seed, **how)[0]) for seed in SEEDS] for name, how in REMEDIES.items()}
verdicts = {}
print(f"{'plain':14} {mean(scores['plain']):6.1%}")
for name in [*scores][1:]:
    gain = [a - b for a, b in zip(scores[name], scores["plain"], strict=True)]
    error = stdev(gain) / len(gain) ** 0.5
    verdicts[name] = (
        "helps" if mean(gain) > 2 * error else "harms" if mean(gain) < -2 * error else "cannot be told"
    )
    print(f"{name:14} {mean(scores[name]):6.1%}, {mean(gain):+6.1%} ± {error:.1%}: {verdicts[name]}")
helped = {name for name, verdict in verdicts.items() if verdict == "helps"}
assert "turn, shift" in helped <= AUGMENTS.keys()
assert max(scores, key=lambda name: mean(scores[name])) == "turn, shift"

# %%
figure = Figure(figsize=(7, 3), layout="constrained")
ax = figure.subplots()
order = sorted(scores, key=lambda name: mean(scores[name]))
for k, name in enumerate(order):
    ax.plot(scores[name], [k] * len(SEEDS), "o", color=OUTPUT, alpha=0.6)
ax.set_yticks(range(len(order)), order)
ax.axvline(mean(scores["plain"]), color="0.6", linestyle=":")
ax.set(xlabel="share of judging pictures right, a point for each seed", xlim=(0, 1))
assert order[-1] == "turn, shift"
figure

# %% [markdown]
# Read the printed lines. Two things are asserted, so they held in this run. *Turn, shift* helps, and more than
# anything else. And whatever helps changes the *pictures*. A turned digit is the same digit, and so is a spotted
# one: that is knowledge which the 100 pictures do not hold. Dropout, decay and smoothing know nothing of digits.
# They hold the network back, and here it was not too free: it had seen too little.
#
# What this does not show: each remedy was tried at one strength, with one small network and very few pictures.
# Batch norm, which all of these networks have, regularises too: each picture is shifted by the company that
# it is in.
#
# ## In short
#
# * Draw both curves. The gap between them is what was learned by heart.
# * More pictures help most; the next best thing is to change those you have as nature would.
# * What decides (when to stop, which remedy) must not judge.
# * From the command line: `npdsconv train --help` lists `--dropout`, `--weight-decay`, `--label-smoothing` and
#   the rest.
#
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: dropout
#
# Set each number of `x` to 0 with probability `p`, and divide the others by what keeps the mean as it was.
# `rng` is a NumPy generator.


# %% tags=["exercise"]
def dropped(x, p, rng):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def dropout_by_hand():
    x = np.arange(1.0, 100_001.0)
    y = dropped(x, 0.25, np.random.default_rng(3))
    zero = y == 0
    assert abs(zero.mean() - 0.25) < 0.01, "a share p becomes 0, each number by its own chance"
    np.testing.assert_allclose(y[~zero], x[~zero] / 0.75, err_msg="what stays is divided by 1 - p")
    np.testing.assert_array_equal(dropped(x, 0.0, np.random.default_rng(3)), x)


# %% [markdown]
# ### Exercise 2: when to stop
#
# `losses` are the watched losses after epochs 1, 2, ... Stop as soon as there was no new smallest loss for
# `patience` epochs. Return (the epoch in which training ends, the epoch whose network is kept), counted from 1.


# %% tags=["exercise"]
def stopping(losses, patience):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def when_to_stop():
    assert stopping([3, 2, 2.5, 2.2, 1], 2) == (4, 2), "two epochs without a new best: epoch 5 is never seen"
    assert stopping([3, 2, 2.5, 2.2, 1], 3) == (5, 5), "with more patience it is"
    assert stopping([1, 1, 1], 2) == (3, 1), "equal is not better"
    assert stopping([3, 2, 1], 2) == (3, 3), "the end may come first"
