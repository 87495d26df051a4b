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
# # MNIST from end to end
#
# We take handwritten digits all the way: look at them, set some aside, train a small separable network,
# choose between two candidates, measure the winner once, study its errors, look inside, and let it read a
# digit that we draw. At the end you can do the same with pictures of your own, and you know which number you
# may quote.
#
# You need to know what a convolution is, and that a layer's forward pass returns its backward pass. Words:
#
# | word | meaning |
# |---|---|
# | logits | the network's ten outputs for a picture, one for each digit |
# | probabilities | softmax of the logits: positive, sum 1 |
# | loss | minus the logarithm of the true class's probability, averaged |
# | batch, step | some pictures; one update of the weights with them |
# | epoch | as many steps as it takes to see each training picture once |

# %%
# %matplotlib inline
import inspect
from math import log, sqrt

import numpy as np
from matplotlib.figure import Figure

from npdsconv import complexity, data, exercise, metrics, optim, plots, train
from npdsconv.data.images import prepare
from npdsconv.models import separable_cnn
from npdsconv.pictures.models import gallery, guesses, picture

# %% [markdown]
# ## Look at the data first
#
# `mnist5k` comes with the package: 5,000 real MNIST digits, 500 of each class, 4,000 to train with and 1,000
# to test with. A picture is a 28×28 array of bytes, 0 for paper and 255 for full ink. Three questions before
# anything is trained: do the shapes fit, are the classes balanced, is any picture in both parts?

# %%
digits = data.load("mnist5k")
for name, part in (("train", digits.train), ("test", digits.test)):
    print(
        f"{name:5} images {part.images.shape} {part.images.dtype}, of each class {np.bincount(part.labels)}"
    )
in_both = {image.tobytes() for image in digits.train.images} & {
    image.tobytes() for image in digits.test.images
}
print("pictures in both parts:", len(in_both))
assert not in_both
assert set(np.bincount(digits.train.labels)) == {400}
assert set(np.bincount(digits.test.labels)) == {100}

plots.digits(digits.train.images, digits.train.labels, rows=4, columns=14)

# %% [markdown]
# ## Three piles
#
# We shall make decisions: how many epochs, which augmentation. A decision made by looking at the test
# pictures fits the network to them, and the test score is a fair measure no more. So the training pictures
# are split again:
#
# * **learn**: the weights are fitted to these;
# * **held out**: all decisions are made with these;
# * **test**: looked at once, at the very end.
#
# A simple baseline tells us what a score means: call a picture the digit whose *mean picture* is nearest.

# %%
learn, held = data.holdout(digits.train, 500, seed=0)
assert len(learn) + len(held) == len(digits.train)
assert set(np.bincount(held.labels)) == {50}

means = np.stack([learn.images[learn.labels == k, 0].mean(axis=0) for k in range(10)])
distance = ((held.images.astype(float) - means[None]) ** 2).sum(axis=(2, 3))
baseline = metrics.accuracy(held.labels, distance.argmin(axis=1))
print(f"{len(learn)} to learn from, {len(held)} held out, {len(digits.test)} to test")
print(f"nearest mean picture: {baseline:.1%} of the held-out pictures right; guessing would give 10 %")
assert 0.7 < baseline < 0.9
gallery(means, [f"mean {k}" for k in range(10)], columns=10)

# %% [markdown]
# ## The network
#
# A standard 3×3 convolution comes first. With a single input channel a depthwise layer would have one filter
# only. Then come four separable blocks, the average over each whole map, and a dense layer. `width=0.5`
# halves the channels, so that training takes seconds.

# %%
model = separable_cnn(width=0.5, stem_stride=2, rng=0)
total = complexity.summary(model, (1, 28, 28))
untrained = train.evaluate(model, held.images, held.labels)
print(f"before training: loss {untrained.loss:.3f}, log(10) = {log(10):.3f}, {untrained.accuracy:.1%} right")
assert total.params == sum(p.value.size for p in model.parameters())
assert abs(untrained.loss - log(10)) < 0.3
total

# %% [markdown]
# A fresh network should know nothing. If every digit is equally likely, the loss is $-\log\frac1{10}$. A
# first loss far from that points to a mistake in the initial weights or in the scaling of the pictures.
#
# ## One step
#
# All of training is this: forward, loss, backward, move the weights. `backward` carries the gradient of the
# loss back through all layers, and each layer adds its share to its parameters' `.grad`.

# %% tags=["rounding"]
print(inspect.getsource(train._step))
copy = model.copy()
batch, labels = learn.images[:64], learn.labels[:64]
optimizer = optim.AdamW(copy.parameters(), lr=0.01)
losses = [train.train_step(copy, batch, labels, optimizer) for _ in range(25)]
print("the same 64 pictures, 25 times:", " ".join(f"{loss:.2f}" for loss in losses[::6]))
assert losses[-1] < 0.1 < losses[0]

# %% [markdown]
# A network that cannot learn 64 pictures by heart has a bug. This one can, so the machinery works. What it
# knows of *other* pictures is another question.
#
# ## Two candidates
#
# Both train for eight epochs, from the same initial weights, with the same optimiser. The learning rate rises
# and falls (one cycle). The second candidate never sees a picture twice: each time it is rotated, shifted,
# scaled and slanted a little.

# %% tags=["rounding"]
EPOCHS = 8


def fit(augment):
    """A trained network and one row of numbers for each epoch."""
    network = model.copy()
    optimizer = optim.AdamW(network.parameters(), lr=0.01)
    schedule = optim.one_cycle(EPOCHS * train.steps_per_epoch(len(learn), 64), warm=0.25)
    settings = {"epochs": EPOCHS, "batch_size": 64, "seed": 0, "schedule": schedule, "validation": held}
    rows = []
    for result in train.epochs(network, learn, optimizer, augment=augment, **settings):
        rows.append(
            {
                "epoch": result.epoch,
                "train_loss": result.train_loss,
                "train_accuracy": result.train_accuracy,
                "held_out_loss": result.validation.loss,
                "held_out_accuracy": result.validation.accuracy,
            }
        )
    return network, rows


candidates = {"plain": fit(None), "augmented": fit(data.Affine(rotate=10, shift=2, scale=0.1, shear=8))}
print(f"{'':10} {'epoch':>5} {'loss':>7} {'right':>7}   {'held-out loss':>13} {'right':>7}")
for name, (_, rows) in candidates.items():
    for row in rows[:: EPOCHS - 1]:
        numbers = f"{row['train_loss']:7.3f} {row['train_accuracy']:7.1%}"
        print(
            f"{name:10} {row['epoch']:5} {numbers}   {row['held_out_loss']:13.3f} {row['held_out_accuracy']:7.1%}"
        )
    assert rows[-1]["held_out_accuracy"] > baseline + 0.05

# %%
figure = Figure(figsize=(9, 3.2), layout="constrained")
for ax, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
    for (name, (_, rows)), colour in zip(candidates.items(), ("#4C78A8", "#E45756"), strict=True):
        epochs = [row["epoch"] for row in rows]
        assert epochs == list(range(1, EPOCHS + 1))
        ax.plot(
            epochs, [row[f"train_{quantity}"] for row in rows], "--", color=colour, label=f"{name}, learning"
        )
        ax.plot(
            epochs, [row[f"held_out_{quantity}"] for row in rows], color=colour, label=f"{name}, held out"
        )
    ax.set(xlabel="epoch", ylabel=quantity, ylim=(0, 1.2) if quantity == "loss" else (0.5, 1))
    ax.grid(alpha=0.3)
ax.legend(frameon=False)
figure

# %% [markdown]
# How to read it. The dashed curve of the plain candidate runs on to (nearly) no loss at all: it learns its
# pictures by heart. The gap between dashed and solid is what does not carry over to other pictures.
# Augmentation makes the learning pictures harder, so its dashed curve stays higher, and its gap is smaller.
#
# ## Choose, and doubt
#
# The rule is fixed before we look: the smaller held-out loss wins. How sure can we be? A share $p$ measured
# on $n$ pictures has a standard error of $\sqrt{p(1-p)/n}$. And since both saw the same held-out pictures, we
# can count the ones on which only one of them is right: that is all the evidence there is.

# %% tags=["rounding"]
results = {name: train.evaluate(net, held.images, held.labels) for name, (net, _) in candidates.items()}
for name, result in results.items():
    p, n = result.accuracy, len(held)
    print(f"{name:10} loss {result.loss:.3f}   right {p:.1%} ± {sqrt(p * (1 - p) / n):.1%}")
right = {name: result.predictions == held.labels for name, result in results.items()}
only = [int((a & ~b).sum()) for a, b in (tuple(right.values()), tuple(right.values())[::-1])]
print(f"only the plain one is right on {only[0]} pictures, only the augmented one on {only[1]}")
chosen = min(results, key=lambda name: results[name].loss)
model = candidates[chosen][0]
print("chosen:", chosen)
assert only[0] - only[1] == right["plain"].sum() - right["augmented"].sum()

# %% [markdown]
# A handful of pictures decide. A choice has to be made, and this is a fair way to make it. But "augmentation
# is better" would need more pictures and more seeds than this.
#
# ## The test, once
#
# Only now the test pictures, and only for the chosen network. The score is called **mini test**: its 1,000
# pictures come from MNIST's *training* set, so it must not be compared with published results on MNIST's own
# test set.

# %% tags=["rounding"]
test = train.evaluate(model, digits.test.images, digits.test.labels)
error = sqrt(test.accuracy * (1 - test.accuracy) / len(digits.test))
print(f"mini test: {test.accuracy:.1%} ± {error:.1%}, loss {test.loss:.3f}, with {total.params:,} parameters")
assert test.accuracy > 0.93
plots.confusion(test.confusion, title="mini test")

# %% [markdown]
# In the confusion matrix a row is a true digit, a column a prediction. The diagonal is left pale: what we
# want to see is beside it. Two shares for each class $k$ come from it:
#
# * **precision**: of the pictures *called* $k$, the share that are $k$: the diagonal over the column's sum;
# * **recall**: of the pictures that *are* $k$, the share that were found: the diagonal over the row's sum.
#
# F1 is the harmonic mean of the two.

# %% tags=["rounding"]
matrix = test.confusion
precision, recall = np.diag(matrix) / matrix.sum(axis=0), np.diag(matrix) / matrix.sum(axis=1)
pair = {"labels": digits.test.labels, "predictions": test.predictions, "average": None}
np.testing.assert_allclose(metrics.precision(**pair), precision)
np.testing.assert_allclose(metrics.recall(**pair), recall)
np.testing.assert_allclose(metrics.f1(**pair), 2 * precision * recall / (precision + recall))
print(metrics.report(digits.test.labels, test.predictions))

# %% [markdown]
# ## The errors
#
# A score is one number; the errors are pictures. These are the worst ones, those with the smallest
# probability for the true digit. Green is the true digit's bar, red the wrong one's. Ask of each: would you
# have read it?

# %% tags=["rounding"]
of_truth = test.probabilities[np.arange(len(digits.test)), digits.test.labels]
worst = np.argsort(of_truth)[:12]
sure = test.probabilities.max(axis=1)
hit = test.predictions == digits.test.labels
print(
    f"mean probability of the first choice: {sure[hit].mean():.3f} where right, {sure[~hit].mean():.3f} where wrong"
)
assert sure[hit].mean() > sure[~hit].mean()
assert not hit[worst].any()
guesses(digits.test.images[worst], digits.test.labels[worst], test.probabilities[worst], columns=4)

# %% [markdown]
# ## Which changes does it forgive?
#
# The network has learned pictures *of a certain form*. Four changes that leave a digit readable for us, tried
# on the held-out pictures: two pixels to the right, six pixels to the right, ink and paper exchanged, left
# and right exchanged.
#
# The last one is a common augmentation for photographs, and the second source document uses it
# (`horizontal_flip=True`) in a general recipe. A mirrored cat is a cat. A mirrored digit is mostly not a
# digit, and teaching it as one spends the network's means on pictures that never come.

# %% tags=["rounding", "E31"]
changes = {
    "as they are": lambda x: x,
    "2 pixels right": lambda x: np.roll(x, 2, axis=3),
    "6 pixels right": lambda x: np.roll(x, 6, axis=3),
    "inverted": lambda x: 255 - x,
    "mirrored": lambda x: x[..., ::-1],
}
forgiven = {}
for name, change in changes.items():
    forgiven[name] = train.evaluate(model, change(held.images), held.labels)
    by_class = np.diag(forgiven[name].confusion) / 50
    print(
        f"{name:15} {forgiven[name].accuracy:6.1%}   by digit: "
        + " ".join(f"{share:4.0%}" for share in by_class)
    )
assert forgiven["inverted"].accuracy < 0.5
assert forgiven["mirrored"].accuracy < 0.7 * forgiven["as they are"].accuracy
mirrored = np.diag(forgiven["mirrored"].confusion)
assert mirrored[[0, 1, 8]].min() > mirrored[[2, 3, 5, 6, 7]].max()
assert forgiven["6 pixels right"].accuracy > 0.8

# %% [markdown]
# Six pixels to the right is farther than any training picture went, and does little harm. That is the
# convolution's gift: it does the same at every place, and the global average does not ask where. Mirroring is
# another matter: the (nearly) symmetric digits 0, 1 and 8 survive, of the others hardly any but 4s and some
# 9s. Which augmentation is right is a question about the *data*. And inverted pictures fail altogether:
# whoever feeds a photograph of dark ink on white paper has to turn it into MNIST's form first.
#
# ## Inside: the filters
#
# The first convolution has 16 filters of 3×3. Green weights are positive, pink negative. Look for edges: one
# side green, the other pink.

# %%
first = model[0].weight.value
print("first convolution, w", first.shape)
assert first.shape == (16, 1, 3, 3)
gallery(first[:, 0], [f"{o}" for o in range(len(first))], columns=8, size=0.7, signed=True)

# %% [markdown]
# And the depthwise filters of all four blocks, the first sixteen of each (one block a row). Here *each
# channel has one filter of its own*, applied to that channel only. Nothing is mixed at this stage, so each of
# these small pictures can be read by itself. With standard convolution there would be a filter for each
# *pair* of channels.

# %%
separable = [layer for layer in model if hasattr(layer, "depthwise")]
shown = np.concatenate([layer.depthwise.weight.value[:16, 0] for layer in separable])
for k, layer in enumerate(separable):
    w, mix = layer.depthwise.weight.value, layer.pointwise.weight.value
    print(f"block {k}: depthwise {w.shape}, {w.size} weights; pointwise {mix.shape}, {mix.size} weights")
    assert w.shape[0] == mix.shape[1]
gallery(shown, columns=16, size=0.52, signed=True)

# %% [markdown]
# Many have a green side and a pink side: they take a difference in some direction. Some are of one colour:
# averages. And these pictures are the smaller part of the story: nearly all weights are in the pointwise
# matrices, which decide how the channels are mixed.
#
# ## Inside: the feature maps
#
# `model[:k]` is the first $k$ layers as a network of its own. Its output is the *feature map* at that depth.
# Below is one digit after the stem and after each block; of each the eight channels with the largest mean.

# %%
image = digits.test.images[np.flatnonzero(hit & (digits.test.labels == 5))[:1]]
x = data.to_float(image)
depths = [3 + k for k in range(len(separable) + 1)]  # after the stem's ReLU, after block 0, 1, ...
maps, titles = [], []
for k in depths:
    y = model[:k](x)[0]
    strongest = np.argsort(-y.mean(axis=(1, 2)))[:8]
    maps += list(y[strongest])
    titles += [
        f"{k - 3 if k > 3 else 'stem'}: {y.shape}" if i == 0 else f"c = {c}" for i, c in enumerate(strongest)
    ]
    print(f"model[:{k}](x): {y.shape}")
titles = [t.replace("stem: ", "stem ").replace(": ", " ") for t in titles]
np.testing.assert_array_equal(model[depths[-1] :](model[: depths[-1]](x)), model(x))
gallery(maps, titles, columns=8, size=1.05, colour="#E45756")

# %% [markdown]
# Dark is large. Early maps are drawings of the digit: edges, strokes, or the paper around them. Later ones
# are coarse, and say how strongly some larger feature is present in some region. The global average then
# throws away the place and keeps the amount.
#
# ## Which pixels mattered? Two ways to ask
#
# **Gradient.** How does the logit of the true class change when a pixel changes a little? `forward(x,
# train=False)` returns the pullback. Feed it a one at that logit and zeros elsewhere, and it gives the
# gradient for the input. We work on a frozen copy: then no parameter gradients are computed. A difference
# quotient confirms it.
#
# **Occlusion.** Wipe out a 7×7 patch and see how much the probability falls. Do that at every place.


# %% tags=["rounding"]
def input_gradient(network, x, label):
    """The gradient of one logit for the pixels of x (1, 1, H, W)."""
    logits, backward = network.forward(x, train=False)
    dy = np.zeros_like(logits)
    dy[0, label] = 1
    return backward(dy)


def occlusion(network, x, label, size=7):
    """How much the probability of `label` falls when a patch around each pixel is wiped out."""
    h, w = x.shape[2:]
    wiped = np.repeat(x, h * w, axis=0)
    for k, (i, j) in enumerate(np.ndindex(h, w)):
        wiped[k, 0, max(0, i - size // 2) : i + size // 2 + 1, max(0, j - size // 2) : j + size // 2 + 1] = 0
    before, after = train.predict(network, x)[0, label], train.predict(network, wiped)[:, label]
    return (before - after).reshape(h, w)


exact = model.copy().astype(np.float64).freeze()
x64, direction = x.astype(np.float64), np.random.default_rng(0).standard_normal(x.shape)
grads = [p.grad.copy() for p in exact.parameters()]
gradient = input_gradient(exact, x64, 5)
step = 1e-5 * direction
quotient = (exact(x64 + step) - exact(x64 - step))[0, 5] / 2e-5
print(f"along a random direction: gradient {np.vdot(gradient, direction):.4f}, quotient {quotient:.4f}")
np.testing.assert_allclose(np.vdot(gradient, direction), quotient, rtol=1e-3)
assert all(np.array_equal(p.grad, old) for p, old in zip(exact.parameters(), grads, strict=True))

# %%
chosen_images = [int(np.flatnonzero(hit & (digits.test.labels == k))[2]) for k in (3, 4, 7, 9)]
panels, titles = [], []
for k in chosen_images:
    x, label = data.to_float(digits.test.images[k : k + 1]), int(digits.test.labels[k])
    panels += [x[0, 0], input_gradient(exact, x.astype(np.float64), label)[0, 0], occlusion(model, x, label)]
    titles += [f"x, a {label}", f"gradient of logit {label}", f"occlusion, p({label})"]
assert all(panel.shape == (28, 28) for panel in panels)
figure = Figure(figsize=(9.5, 3.9), layout="constrained")
for ax, panel, title in zip(figure.subplots(2, 6).flat, panels, titles, strict=True):
    picture(ax, panel, title, signed=not title.startswith("x"))
figure

# %% [markdown]
# Green in the gradient: more ink here would raise the logit; pink: would lower it. Green in the occlusion
# map: wiping out this place lowers the probability, so it was needed. The gradient speaks of tiny changes and
# is noisy. Occlusion speaks of big changes, and shows whole strokes. Neither is "what the network thinks";
# both are answers to a question that you should be able to state.
#
# ## Read a digit that we draw
#
# Here is paper of 120×160 with a pen's dark strokes, off centre, in a size that MNIST has never seen.
# `prepare` brings it into MNIST's form: light ink on dark, the longer side 20 pixels, the centre of mass in
# the middle.


# %%
def draw(strokes, shape=(120, 160), pen=4.0):
    """Dark strokes on light paper: each stroke is a polyline of (row, column) points."""
    points = np.stack(np.indices(shape), axis=-1).astype(float)
    nearest = np.full(shape, np.inf)
    for stroke in strokes:
        for a, b in zip(np.array(stroke[:-1], float), np.array(stroke[1:], float), strict=True):
            along = np.clip(((points - a) @ (b - a)) / max((b - a) @ (b - a), 1e-9), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(points - (a + along[..., None] * (b - a)), axis=-1))
    return 0.95 - 0.8 * np.clip(pen + 0.5 - nearest, 0, 1)


def arc(row, column, radius, start, stop):
    """Points on a circle; angles in degrees, 0 to the right, 90 down."""
    angles = np.radians(np.linspace(start, stop, 24))
    return [(row + radius * np.sin(a), column + radius * np.cos(a)) for a in angles]


drawings = {
    2: [[*arc(38, 45, 18, 190, 400), (95, 28), (95, 66)]],
    3: [arc(40, 110, 16, 200, 430), arc(74, 110, 18, 290, 510)],
    4: [[(20, 90), (62, 66), (62, 112)], [(40, 98), (100, 94)]],
    7: [[(30, 40), (28, 84), (104, 56)]],
}
papers = [draw(strokes) for strokes in drawings.values()]
ready = np.stack([prepare(paper)[None] for paper in papers])
probabilities = train.predict(model, ready)
rows, columns = (np.arange(28) @ ready[:, 0].sum(axis=k).T / ready[:, 0].sum(axis=(1, 2)) for k in (2, 1))
print("centre of mass, rows", np.round(rows, 1), "columns", np.round(columns, 1))
assert ready.shape == (4, 1, 28, 28)
assert np.abs(np.concatenate([rows, columns]) - 14).max() < 1
darkness = [1 - paper for paper in papers]  # the gallery draws large numbers dark
gallery(darkness, [f"paper {paper.shape}" for paper in papers], columns=4, size=2)

# %% tags=["rounding"]
for k, p in zip(drawings, probabilities, strict=True):
    print(f"drawn {k}: read as {p.argmax()} with probability {p.max():.2f}")
assert sum(int(p.argmax()) == k for k, p in zip(drawings, probabilities, strict=True)) >= 3
guesses(ready, np.array(list(drawings)), probabilities, columns=4)

# %% [markdown]
# The small pictures are what the network really sees. `npdsconv predict photo.png` does the same for a
# picture file, with `--save` to look at what was made of it. Change the strokes, and draw your own.
#
# ## Exercises
#
# ### Exercise 1: the right answer among the first k
#
# Write the share of pictures whose true class is among the `k` most probable ones. `probabilities` is (N,
# classes), `labels` (N,).


# %% tags=["exercise"]
def top_k(probabilities, labels, k):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def the_right_answer_among_the_first_k():
    p, y = test.probabilities, digits.test.labels
    assert np.isclose(top_k(p, y, 1), test.accuracy), "k = 1 is the accuracy"
    assert top_k(p, y, 10) == 1, "with all ten classes nothing is missed"
    small = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    assert np.isclose(top_k(small, np.array([1, 0, 0]), 2), 2 / 3)


# %% [markdown]
# ### Exercise 2: say nothing when in doubt
#
# A network may abstain: it answers only where its largest probability is at least `threshold`. Return two
# numbers: the share of pictures that get an answer, and the accuracy among those. (There is at least one.)


# %% tags=["exercise"]
def when_sure(probabilities, labels, threshold):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def say_nothing_when_in_doubt():
    small = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    np.testing.assert_allclose(when_sure(small, np.array([0, 1, 1, 1]), 0.7), (0.5, 1))
    np.testing.assert_allclose(when_sure(small, np.array([0, 1, 1, 1]), 0.0), (1, 0.75))
    answered, accuracy = when_sure(test.probabilities, digits.test.labels, 0.9)
    assert answered < 1
    assert accuracy > test.accuracy, "sure answers are right more often"


# %% [markdown]
# ### Exercise 3: a picture to fool it
#
# The gradient says which pixels to change. Return a picture with every pixel moved by `epsilon`, up or down,
# in the direction that lowers the logit of `label` the most, and clipped to [0, 1]. This is the *fast
# gradient sign* attack, here on one logit. *Hint: `input_gradient` and `np.sign`.*


# %% tags=["exercise"]
def fool(network, x, label, epsilon):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def a_picture_to_fool_it():
    fallen = 0
    for k in chosen_images:
        x, label = data.to_float(digits.test.images[k : k + 1]).astype(np.float64), int(digits.test.labels[k])
        y = fool(exact, x, label, 0.1)
        assert y.min() >= 0, "pixels are not negative"
        assert y.max() <= 1, "pixels are at most 1"
        assert np.abs(y - x).max() < 0.1 + 1e-9, "no pixel moves by more than epsilon"
        fallen += exact(y)[0, label] < exact(x)[0, label]
    assert fallen == len(chosen_images), "the logit of the true class must fall"
