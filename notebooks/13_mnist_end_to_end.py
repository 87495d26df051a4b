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
# # 13. MNIST from end to end
#
# We take handwritten digits all the way: look at them, set some aside, train a small separable network,
# choose between two candidates, measure the winner once, study its errors, look inside, and let it read a
# digit that we draw. At the end you can do the same with pictures of your own, and you know which number you
# may quote.
#
# You need the separable block ([lesson 7](07_depthwise_separable.ipynb)), batch norm
# ([lesson 11](11_normalisation_activations_initialisation.ipynb)) and the training loop
# ([lesson 12](12_a_trainer_in_forty_lines.ipynb)). Words:
#
# | word | meaning |
# |---|---|
# | logits | the network's ten outputs for a picture, one for each digit |
# | probabilities | softmax of the logits: positive, sum 1; the largest one is the network's answer |
# | loss | minus the logarithm of the true class's probability, averaged over pictures |
# | batch, step | some pictures; one update of the weights with them |
# | epoch | as many steps as it takes to see each training picture once |
# | augmentation | changing each training picture a little, at random, every time it is used |
#
# ## Look at the data first
#
# `mnist5k` comes with the package: 5,000 real MNIST digits, 500 of each class, 4,000 to train with and 1,000
# to test with. A picture is a 28×28 array of bytes, 0 for paper and 255 for full ink. (We draw ink dark, as
# on paper.) Three questions before anything is trained: do the shapes fit, are the classes balanced, is any
# picture in both parts?

# %%
# %matplotlib inline
from math import log, sqrt

import numpy as np
from matplotlib.figure import Figure

from npdsconv import complexity, data, metrics, optim, plots, train
from npdsconv.data.images import prepare
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.models import gallery, guesses, picture
from npdsconv.models import separable_cnn
from npdsconv.plots import INPUT, OUTPUT

digits = data.load("mnist5k")
seen = {}
for name, part in (("train", digits.train), ("test", digits.test)):
    counts = np.bincount(part.labels)
    assert (counts == counts[0]).all()
    print(f"{name:5} images {part.images.shape} {part.images.dtype}, {counts[0]} of each class")
    seen[name] = {image.tobytes() for image in part.images}
print("pictures in both parts:", len(seen["train"] & seen["test"]))
assert not seen["train"] & seen["test"]

plots.digits(digits.train.images, digits.train.labels, rows=4, columns=14)

# %% [markdown]
# ## Three piles
#
# We shall make decisions: how many epochs, with augmentation or without. A decision made by looking at the
# test pictures fits the network to them, and the test score is a fair measure no more. So the training
# pictures are split again:
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
distance = ((held.images.astype(float) - means) ** 2).sum(axis=(2, 3))  # (N, 10): to each mean picture
baseline = metrics.accuracy(held.labels, distance.argmin(axis=1))
print(f"{len(learn)} to learn from, {len(held)} held out, {len(digits.test)} to test")
print(f"nearest mean picture: {baseline:.1%} of the held-out pictures right; guessing would give 10 %")
assert 0.7 < baseline < 0.9
gallery(means, [f"mean {k}" for k in range(10)], columns=10)

# %% [markdown]
# ## The network
#
# A standard 3×3 convolution comes first, the *stem*. (With a single input channel, a depthwise layer would
# have one filter, and see one pattern only.) Then come four separable blocks, the average over each whole
# map, and a dense layer. `width=0.5` halves the number of channels, and `stem_stride=2` halves height and
# width at once: so training takes seconds.
#
# Two tests before any long run. A fresh network should *know nothing*: if every digit is equally likely, the
# loss is $-\log\frac1{10}$. A first loss far from that points to a mistake in the initial weights or in the
# scaling of the pictures. And it should be *able to learn*: a few steps on the same 64 pictures must bring the
# loss close to 0. A network that cannot learn 64 pictures by heart has a bug.

# %% tags=["rounding"]
model = separable_cnn(width=0.5, stem_stride=2, rng=0)
total = complexity.summary(model, (1, 28, 28))
print(f"{'':3} {'layer':25} {'output':>12} {'parameters':>10} {'MACs':>8}")
for k, layer in enumerate(model):
    rows = [row for row in total.rows if row.name.split(".")[0] == str(k)]
    params, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    print(f"{k:3} {type(layer).__name__:25} {rows[-1].output!s:>12} {params:10,} {macs:8,}")
print(f"{'':3} {'total':38} {total.params:10,} {total.macs:8,}\n")
assert total.params == sum(p.value.size for p in model.parameters())

untrained = train.evaluate(model, held.images, held.labels)
print(f"it knows nothing: loss {untrained.loss:.3f}, log(10) = {log(10):.3f}, {untrained.accuracy:.1%} right")
assert abs(untrained.loss - log(10)) < 0.3

copy = model.copy()
optimizer = optim.AdamW(copy.parameters(), lr=0.01)
losses = [train.train_step(copy, learn.images[:64], learn.labels[:64], optimizer) for _ in range(25)]
print("it can learn: loss at every sixth step", " ".join(f"{loss:.2f}" for loss in losses[::6]))
assert losses[-1] < 0.1 < losses[0]

# %% [markdown]
# So the machinery works. What it knows of *other* pictures is another question.
#
# ## Two candidates
#
# Both train for eight epochs, from the same initial weights, with the same optimiser. (AdamW divides each
# weight's step by the usual size of its gradient. The learning rate, a factor on all steps, rises and then
# falls: one cycle.) The second candidate never sees a picture twice: each time it is turned, shifted, scaled
# and slanted a little.

# %% tags=["rounding"]
EPOCHS = 8


def fit(augment):
    """A trained network, and for each epoch what was measured."""
    network = model.copy()
    optimizer = optim.AdamW(network.parameters(), lr=0.01)
    schedule = optim.one_cycle(EPOCHS * train.steps_per_epoch(len(learn), 64), warm=0.25)
    settings = {"epochs": EPOCHS, "batch_size": 64, "seed": 0, "schedule": schedule, "validation": held}
    return network, train.fit(network, learn, optimizer, augment=augment, **settings)


candidates = {"plain": fit(None), "augmented": fit(data.Affine(rotate=10, shift=2, scale=0.1, shear=8))}
print(f"{'':10} {'epoch':>5}   {'learning: loss':>14} {'right':>6}   {'held out: loss':>14} {'right':>6}")
for name, (_, results) in candidates.items():
    for each in (results[0], results[-1]):
        learning = f"{each.train_loss:14.3f} {each.train_accuracy:6.1%}"
        held_out = f"{each.validation.loss:14.3f} {each.validation.accuracy:6.1%}"
        print(f"{name:10} {each.epoch:5}   {learning}   {held_out}")
    assert each.validation.accuracy > baseline + 0.05
plain, augmented = (results[-1] for _, results in candidates.values())
assert plain.train_loss < 0.1
assert plain.train_loss < augmented.train_loss
assert plain.validation.loss - plain.train_loss > augmented.validation.loss - augmented.train_loss

figure = Figure(figsize=(9, 3.2), layout="constrained")
for ax, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
    for (name, (_, results)), colour in zip(candidates.items(), (INPUT, OUTPUT), strict=True):
        epochs = [each.epoch for each in results]
        learning = [getattr(each, f"train_{quantity}") for each in results]
        held_out = [getattr(each.validation, quantity) for each in results]
        ax.plot(epochs, learning, "--", color=colour, label=f"{name}, learning")
        ax.plot(epochs, held_out, color=colour, label=f"{name}, held out")
    ax.set(xlabel="epoch", ylabel=quantity, ylim=(0, 1.2) if quantity == "loss" else (0.5, 1))
    ax.grid(alpha=0.3)
ax.legend(frameon=False)
figure

# %% [markdown]
# How to read it. (The first epoch is so much worse that it lies outside the frame.) The learning numbers are
# averages over an epoch in which the weights still improve, the held-out ones are taken at its end: so a solid
# line may start out better than its dashed one. At the end, the dashed line of the plain candidate has (nearly)
# no loss left: it knows its pictures by heart. The gap between dashed and solid is what does not carry over to
# other pictures. Augmentation makes the learning pictures harder: the dashed line stays higher, and the gap is
# smaller.
#
# ## Choose, and doubt
#
# The rule is fixed before we look: the smaller held-out loss wins. How sure can we be? A share $p$ measured
# on $n$ pictures has a standard error of $\sqrt{p(1-p)/n}$; it is printed after the ±. And since both saw the
# same held-out pictures, we can count the ones on which only one of them is right: that is all the evidence
# there is. If both were equally good, each of these would be a toss of a coin, and a difference of about
# $\sqrt{n}$ in $n$ tosses is mere chance.

# %% tags=["rounding"]
results = {name: train.evaluate(net, held.images, held.labels) for name, (net, _) in candidates.items()}
for name, result in results.items():
    p, n = result.accuracy, len(held)
    print(f"{name:10} loss {result.loss:.3f}   right {p:.1%} ± {sqrt(p * (1 - p) / n):.1%}")
plain, augmented = (result.predictions == held.labels for result in results.values())
only_plain, only_augmented = int((plain & ~augmented).sum()), int((augmented & ~plain).sum())
print(f"only the plain one is right on {only_plain} pictures, only the augmented one on {only_augmented}:")
print(f"a difference of {abs(only_plain - only_augmented)}; ", end="")
print(f"coins would give about {sqrt(only_plain + only_augmented):.1f}")
chosen = min(results, key=lambda name: results[name].loss)
model = candidates[chosen][0]
print("chosen:", chosen)
assert only_plain - only_augmented == plain.sum() - augmented.sum()

# %% [markdown]
# A handful of pictures decide. A choice has to be made, and this is a fair way to make it. But "augmentation
# is better" would need more pictures and more seeds than this.
#
# ## The test, once
#
# Only now the test pictures, and only for the chosen network. The score is called **mini test**: its 1,000
# pictures come from MNIST's *training* set, so it must not be compared with published results on MNIST's own
# test set.
#
# In the *confusion matrix* below, a row is a true digit and a column an answer. Its diagonal is left pale:
# what we want to see is beside it. Two shares for each class $k$ come from it:
#
# * **precision**: of the pictures *called* $k$, the share that are $k$: the diagonal over the column's sum;
# * **recall**: of the pictures that *are* $k$, the share that were found: the diagonal over the row's sum.
#
# **F1** is their harmonic mean, $2pr/(p + r)$. *Support* is the number of pictures of the class, and *macro*
# the plain mean over the classes.

# %% tags=["rounding"]
test = train.evaluate(model, digits.test.images, digits.test.labels)
error = sqrt(test.accuracy * (1 - test.accuracy) / len(digits.test))
print(
    f"mini test: {test.accuracy:.1%} ± {error:.1%}, loss {test.loss:.3f}, with {total.params:,} parameters\n"
)
assert test.accuracy > 0.93

hits = np.diag(test.confusion)
precision, recall = hits / test.confusion.sum(axis=0), hits / test.confusion.sum(axis=1)
given = {"labels": digits.test.labels, "predictions": test.predictions, "average": None}
np.testing.assert_allclose(metrics.precision(**given), precision)
np.testing.assert_allclose(metrics.recall(**given), recall)
np.testing.assert_allclose(metrics.f1(**given), 2 * precision * recall / (precision + recall))
print(metrics.report(digits.test.labels, test.predictions))
plots.confusion(test.confusion, title="mini test")

# %% [markdown]
# ## The errors
#
# A score is one number; the errors are pictures. These are the worst ones, those with the smallest
# probability for the true digit. The bars are the ten probabilities: red is the network's answer, green is
# the true digit's, often too short to be seen. Ask of each picture: would you have read it?

# %% tags=["rounding"]
of_truth = test.probabilities[np.arange(len(digits.test)), digits.test.labels]
worst = np.argsort(of_truth)[:12]
sure = test.probabilities.max(axis=1)
hit = test.predictions == digits.test.labels
print(f"mean probability of the answer: {sure[hit].mean():.3f} if right, {sure[~hit].mean():.3f} if wrong")
assert sure[hit].mean() > sure[~hit].mean()
assert not hit[worst].any()
guesses(digits.test.images[worst], digits.test.labels[worst], test.probabilities[worst], columns=4)

# %% [markdown]
# On average it is less sure where it is wrong, but here are the exceptions: wrong, and nearly certain. A high
# probability is not a proof.
#
# ## Which changes does it forgive?
#
# The network has learned pictures *of a certain form*. Four changes that leave a digit readable for us, tried
# on the held-out pictures: two pixels to the right, six pixels to the right, ink and paper exchanged, left
# and right exchanged.
#
# The last one is a common augmentation for photographs, and the
# [second source document](22_document_questions_and_finetuning.ipynb) has it (`horizontal_flip=True`) in a
# general recipe. A mirrored cat is a cat. A mirrored digit is mostly not a digit, and teaching it as one spends
# the network's means on pictures that never come.


# %% tags=["rounding", "E31"]
def to_the_right(x, pixels):
    """Move the pictures (N, 1, H, W); paper comes in from the left."""
    moved = np.zeros_like(x)
    moved[..., pixels:] = x[..., :-pixels]
    return moved


changes = {
    "as they are": lambda x: x,
    "2 pixels right": lambda x: to_the_right(x, 2),
    "6 pixels right": lambda x: to_the_right(x, 6),
    "inverted": lambda x: 255 - x,
    "mirrored": lambda x: x[..., ::-1],
}
forgiven, of_class = {}, {}
print(f"{'right':>22}   by digit:" + "".join(f"{k:5}" for k in range(10)))
for name, change in changes.items():
    result = train.evaluate(model, change(held.images), held.labels)
    forgiven[name], of_class[name] = result.accuracy, np.diag(result.confusion) / np.bincount(held.labels)
    print(f"{name:15} {result.accuracy:6.1%}{'':12} " + "".join(f"{p:5.0%}" for p in of_class[name]))
assert forgiven["6 pixels right"] > 0.8
assert forgiven["inverted"] < 0.5
assert forgiven["mirrored"] < 0.7 * forgiven["as they are"]
assert of_class["mirrored"][[0, 1, 8]].min() > of_class["mirrored"][[2, 3, 5, 6, 7]].max()

# %% [markdown]
# Six pixels to the right is farther than any training picture was shifted, and does little harm. That is the
# convolution's gift: it does the same at every place, and the global average does not ask where. Mirroring is
# another matter: the (nearly) symmetric digits 0, 1 and 8 survive, of 2, 3, 5, 6 and 7 hardly any. Which
# augmentation is right is a question about the *data*. And inverted pictures fail altogether: whoever feeds a
# photograph of dark ink on white paper has to turn it into MNIST's form first.
#
# ## Inside: the filters
#
# The first row below is the stem: 16 filters of 3×3. The other rows are depthwise filters, the first sixteen
# of each block. Green weights are positive, pink negative. In a depthwise layer *each channel has one filter of
# its own*, applied to that channel only. Nothing is mixed at this stage, so each small picture can be read by
# itself. With standard convolution there would be a filter for each *pair* of channels.

# %%
separable = [layer for layer in model if hasattr(layer, "depthwise")]
filters = [model[0].weight.value, *[layer.depthwise.weight.value for layer in separable]]
print(f"stem:    w {filters[0].shape}, {filters[0].size} weights")
for k, (w, layer) in enumerate(zip(filters[1:], separable, strict=True), 1):
    mix = layer.pointwise.weight.value
    print(f"block {k}: depthwise {w.shape}, {w.size} weights; pointwise {mix.shape}, {mix.size} weights")
    assert w.shape == (mix.shape[1], 1, 3, 3)
assert sum(layer.pointwise.weight.value.size for layer in separable) > 0.7 * total.params
titles = [
    name if i == 0 else "" for name in ("stem", *(f"block {k + 1}" for k in range(4))) for i in range(16)
]
gallery(np.concatenate([w[:16, 0] for w in filters]), titles, columns=16, size=0.55, signed=True)

# %% [markdown]
# Look for edges: filters with a green side and a pink side take a difference in some direction. Some are of
# one colour: averages. And these pictures are the smaller part of the story: most weights are in the
# pointwise matrices, which decide how the channels are mixed.
#
# ## Inside: the feature maps
#
# `model[:k]` is the first $k$ layers as a network of its own. Its output is the *feature map* at that depth.
# Below is one digit after the stem and after each block; of each the eight channels with the largest mean.

# %%
image = digits.test.images[np.flatnonzero(hit & (digits.test.labels == 5))[:1]]
x = data.to_float(image)
depths = {"stem": 3} | {f"block {k}": 3 + k for k in range(1, 5)}  # the stem: convolution, batch norm, ReLU
maps, titles = [], []
for name, k in depths.items():
    y = model[:k](x)[0]
    strongest = np.argsort(-y.mean(axis=(1, 2)))[:8]
    maps += list(y[strongest])
    titles += [f"{name}, c = {c}" if i == 0 else f"c = {c}" for i, c in enumerate(strongest)]
    print(f"{name:8} model[:{k}](x): {y.shape}")
np.testing.assert_array_equal(model[k:](model[:k](x)), model(x))
gallery(maps, titles, columns=8, size=1.05, colour=OUTPUT)

# %% [markdown]
# Dark is large. Early maps are drawings of the digit: edges, strokes, or the paper around them. Later ones
# are coarse, and say how strongly some larger feature is present in some region. The global average then
# throws away the place and keeps the amount.
#
# ## Which pixels mattered? Two ways to ask
#
# **Gradient.** How does the logit of the true class change when a pixel changes a little? `forward(x,
# train=False)` returns the logits and the way back. Feed that a one at the logit and zeros elsewhere, and it
# gives the gradient for the input. We work on a frozen copy: then no parameter gradients are computed. A
# difference quotient along a random direction confirms the result.
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
        top, left = max(0, i - size // 2), max(0, j - size // 2)
        wiped[k, 0, top : i + size // 2 + 1, left : j + size // 2 + 1] = 0
    before, after = train.predict(network, x)[0, label], train.predict(network, wiped)[:, label]
    return (before - after).reshape(h, w)


exact = model.copy().astype(np.float64).freeze()
x64, direction = x.astype(np.float64), np.random.default_rng(0).standard_normal(x.shape)
left_over = [p.grad.copy() for p in exact.parameters()]  # from the last training step
gradient = input_gradient(exact, x64, 5)  # the picture x is a 5
step = 1e-5 * direction
quotient = (exact(x64 + step) - exact(x64 - step))[0, 5] / 2e-5
print(f"along a random direction: gradient {np.vdot(gradient, direction):.4f}, quotient {quotient:.4f}")
np.testing.assert_allclose(np.vdot(gradient, direction), quotient, rtol=1e-3)
assert all(np.array_equal(p.grad, old) for p, old in zip(exact.parameters(), left_over, strict=True))

# %%
chosen_images = [int(np.flatnonzero(hit & (digits.test.labels == k))[2]) for k in (3, 4, 7, 9)]
panels = []
for k in chosen_images:
    x, label = data.to_float(digits.test.images[k : k + 1]), int(digits.test.labels[k])
    gradient = input_gradient(exact, x.astype(np.float64), label)
    panels.append((f"x, a {label}", x[0, 0]))
    panels.append((f"gradient of logit {label}", gradient[0, 0]))
    panels.append((f"occlusion, p({label})", occlusion(model, x, label)))
figure = Figure(figsize=(9.5, 3.9), layout="constrained")
for ax, (title, panel) in zip(figure.subplots(2, 6).flat, panels, strict=True):
    assert panel.shape == (28, 28)
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
# the middle. Above is the paper, below is what the network sees, and its answer.


# %% tags=["rounding"]
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
ready = np.stack([prepare(paper)[None] for paper in papers])  # (4, 1, 28, 28)
ink = ready[:, 0] / ready.sum(axis=(2, 3))[..., None]
rows, columns = ink.sum(axis=2) @ np.arange(28), ink.sum(axis=1) @ np.arange(28)
print("centres of mass: rows", rows.round(1), "columns", columns.round(1))
assert np.abs(np.concatenate([rows, columns]) - 14).max() < 1

probabilities = train.predict(model, ready)
answers = [f"read as {p.argmax()}: {p.max():.0%}" for p in probabilities]
assert sum(int(p.argmax()) == k for k, p in zip(drawings, probabilities, strict=True)) >= 3
above = [1 - paper for paper in papers]  # the gallery draws large numbers dark
gallery([*above, *ready[:, 0]], [f"paper {paper.shape}" for paper in papers] + answers, columns=4, size=1.9)

# %% [markdown]
# `npdsconv predict photo.png` does the same for a picture file, with `--save` to look at what was made of it.
# Change the strokes, and draw your own.
#
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: the right answer among the first k
#
# Return the share of pictures whose true class is among the `k` most probable ones. `probabilities` is
# (N, classes), `labels` (N,). No probability occurs twice in a row.


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
# The gradient says which pixels to change. Return the picture `x` with every pixel moved by `epsilon`, up or
# down, so that the logit of `label` falls as much as the gradient can promise; then clip to $[0, 1]$. This is
# the *fast gradient sign* attack, here on one logit. *Hint: `input_gradient` and `np.sign`.*


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
