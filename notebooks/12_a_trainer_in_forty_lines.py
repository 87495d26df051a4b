# %% [markdown]
# # 12. A trainer in forty lines
#
# Everything is there: layers, their gradients, good first weights. What is missing is the loop that learns. It
# fits on a page. Here you write it, watch it learn real digits within seconds, and hold it against the library's
# trainer, which must give the same weights *to the last bit*.
#
# At the end you can write a training loop, read a loss curve, choose a learning rate, and stop and resume a
# run without a trace. You need lessons [1](01_convolution_by_hand.ipynb), [5](05_the_backward_pass.ipynb) and
# [11](11_normalisation_activations_initialisation.ipynb).
#
# | word | meaning |
# |---|---|
# | batch | the images of one step, here 32 |
# | step | one batch forward, backward, and one small move of all parameters |
# | epoch | one pass through all training images |
# | logits $z_k$ | the network's ten outputs for an image, one score for each digit $k$ |
# | pullback | the function that carries gradients from a layer's output back to its input |

# %%
# %matplotlib inline
import inspect
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from npdsconv import (
    checkpoint,
    data,
    optim,
    plots,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    train,
)
from npdsconv.data import Affine, Split, batches
from npdsconv.layers import (
    BatchNorm2d,
    Conv2d,
    DepthwiseSeparableConv2d,
    Dropout,
    Flatten,
    Linear,
    PointwiseConv2d,
    ReLU,
    Residual,
    Sequential,
    set_impl,
)
from npdsconv.layers.base import reverse
from npdsconv.layers.composite import chain
from npdsconv.lessons import exercise
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

digits = data.load("mnist5k")
assert digits.train.images.shape == (4000, 1, 28, 28)
assert digits.test.images.shape == (1000, 1, 28, 28)
plots.digits(digits.train.images, digits.train.labels, rows=2)

# %% [markdown]
# 4,000 real handwritten digits to learn from, and 1,000 to test with, the *mini test*.
#
# ## A function and its pullback
#
# A network needs two things from each of its parts: the value, and a way back. So let every part return both:
# `y, backward = f(x)`. The second one is a function. It takes $dy$ and gives $dx$; it is called the
# **pullback**. What it needs to know, such as $x$, it simply *remembers*, since it was defined where $x$ was at
# hand. (Python calls that a closure.)
#
# The chain rule then is: run forward, keep the pullbacks in a list, run the list in reverse.


# %%
def square(x):
    return x * x, lambda dy: dy * 2 * x


def sine(x):
    return np.sin(x), lambda dy: dy * np.cos(x)


def in_a_row(functions, x):
    """f, then g, then ...: the value and its pullback."""
    pullbacks = []
    for f in functions:
        x, back = f(x)
        pullbacks.append(back)

    def backward(dy):
        for back in reversed(pullbacks):
            dy = back(dy)
        return dy

    return x, backward


y, backward = in_a_row([square, sine, square], 0.7)  # sin²(x²)
derivative = 2 * np.sin(0.7**2) * np.cos(0.7**2) * 2 * 0.7
print(f"value {y:.6f}, derivative {backward(1.0):.6f}, by hand {derivative:.6f}")
assert np.isclose(y, np.sin(0.7**2) ** 2)
assert np.isclose(backward(1.0), derivative)

# %% [markdown]
# The library does the same. Below is its chain, the pullback of a chain, and the whole forward pass of a residual
# connection, where the input takes a short cut around `body`. A `Pullback` can be used once: it forgets what it held
# as soon as it is used, so memory shrinks as the backward pass moves on. Two details are for speed alone: `fuse` lets
# a convolution, the batch norm and the ReLU after it share passes over memory, and in training the first layer is
# asked for no gradient for its images (`dx=False`), since nobody learns from it.
#
# Nothing is stored in the layers, so nothing there can be stale or overwritten. Three consequences, tried out:
#
# 1. an evaluation between forward and backward does no harm;
# 2. a pullback is used once, and says so;
# 3. one layer may be used twice: its two gradients add up.

# %%
print(inspect.getsource(chain))
print(inspect.getsource(reverse))
print(inspect.getsource(Residual.forward))
rng = np.random.default_rng(12)
layer = PointwiseConv2d(3, 3, rng=rng, impl="im2col").astype(np.float64)
x, other, dy = rng.standard_normal((3, 2, 3, 4, 5))

y, backward = layer.forward(x, train=True)
layer(other)  # 1. neither an evaluation in between ...
layer.forward(other, train=True)  # ... nor another forward pass
np.testing.assert_allclose(backward(dy), np.einsum("noij, oc -> ncij", dy, layer.weight.value))

try:  # 2.
    backward(dy)
except RuntimeError as error:
    print("RuntimeError:", error)
else:
    raise AssertionError("the second call should fail")

w = layer.weight.value  # 3.
layer.weight.grad[...] = 0
(y, backward), middle = Sequential(layer, layer).forward(x, train=True), layer(x)
backward(dy)
second = np.einsum("noij, ncij -> oc", dy, middle)
first = np.einsum("noij, ncij -> oc", np.einsum("noij, oc -> ncij", dy, w), x)
np.testing.assert_allclose(layer.weight.grad, first + second)
print("a layer that is used twice gets the sum of both gradients")

# %% [markdown]
# ## The loss
#
# Logits become probabilities by the softmax, $p_k = e^{z_k} / \sum_j e^{z_j}$. The loss of an image is
# $L = -\log p_{\text{label}}$: zero if the network is sure and right, large if it is sure and wrong. Written out, it is
# $L = -z_{\text{label}} + \log \sum_j e^{z_j}$. The first term has the derivative $-1$ at the label, the second one
# $e^{z_k} / \sum_j e^{z_j} = p_k$. So the gradient is the prettiest in the subject:
#
# $$\frac{\partial L}{\partial z_k} = p_k - t_k, \qquad t_k = 1 \text{ at the label, } 0 \text{ elsewhere.}$$
#
# The loss of a batch is the mean over its images, so the gradient is divided by their number.
#
# A network that knows nothing says $p = 1/10$, and its loss is $\log 10 \approx 2.3$. Remember that number. A
# new network should start near it.
#
# ## Forty lines, at most
#
# A network, a step, a loop and a measurement. The images are bytes from 0 to 255; `batches` makes them numbers from 0
# to 1, and `accuracy` has to do so itself. `model(x)` is an evaluation: batch norm uses its running statistics.
#
# Mind the last line of the step: gradients are *added* to `.grad`, so somebody has to set them back to zero.


# %%
def network(seed=0):
    """A standard convolution, a separable block, a dense layer: 28×28 → 14×14 → 7×7 → 10."""
    rng = np.random.default_rng(seed)
    model = Sequential(
        Conv2d(1, 8, 3, stride=2, padding=1, bias=False, rng=rng),
        BatchNorm2d(8),
        ReLU(),
        DepthwiseSeparableConv2d(8, 16, 3, stride=2, padding=1, rng=rng),
        Flatten(),
        Linear(16 * 7 * 7, 10, rng=rng),
    )
    return set_impl(model, "im2col")  # plain NumPy: nothing to compile


def step(model, x, labels, lr):
    """Learn from one batch; the loss before it."""
    logits, backward = model.forward(x, train=True)
    loss, probabilities = softmax_cross_entropy(logits, labels)
    backward(softmax_cross_entropy_backward(probabilities, labels))
    for parameter in model.parameters():
        parameter.value -= lr * parameter.grad
        parameter.grad[...] = 0
    return loss


def learn(model, split, lr, epochs, seed=0):
    """Run through the images `epochs` times, in a new order each time; the loss of every step."""
    losses = []
    for epoch in range(epochs):
        for x, labels in batches(split.images, split.labels, 32, seed=seed, epoch=epoch):
            losses.append(step(model, x, labels, lr))
    return losses


def accuracy(model, split):
    """The share of images whose largest logit is at their label."""
    return np.mean(model(split.images / np.float32(255)).argmax(axis=1) == split.labels)


lines = sum(len(inspect.getsource(f).strip().splitlines()) for f in (network, step, learn, accuracy))
print(lines, "lines")
assert lines <= 40

# %% [markdown]
# ## Two checks before a long run
#
# 1. The first loss should be near $\log 10$. Much more, and the first weights are too large.
# 2. Give it a single batch, again and again. It must learn it by heart. If it cannot, something is broken, and
#    no amount of data will help.
#
# The second check says only that the *loop* works. Noise with random labels can be learned by heart as well.
# The project in the first source document trains on exactly that, and its falling loss therefore proves
# nothing: on new noise such a network guesses.
#
# The first lines of the cell check the loss itself.

# %% tags=["E16", "rounding"]
loss, p = softmax_cross_entropy(np.zeros((1, 10)), np.array([3]))
gradient = softmax_cross_entropy_backward(p, np.array([3]))
print(f"knowing nothing: loss {loss:.4f}, log 10 = {np.log(10):.4f}")
print("gradient for the logits, label 3:", gradient[0].round(2))
assert np.isclose(loss, np.log(10))
np.testing.assert_allclose(gradient[0], p[0] - np.eye(10)[3])
assert np.isclose(gradient.sum(), 0)  # raising all logits alike changes nothing

x, labels = next(batches(digits.train.images, digits.train.labels, 32, seed=0, epoch=0))
noise, guesses = rng.random((32, 1, 28, 28), np.float32), rng.integers(0, 10, 32)
new_noise, new_guesses = rng.random((500, 1, 28, 28), np.float32), rng.integers(0, 10, 500)

for name, images, targets in (("digits", x, labels), ("noise", noise, guesses)):
    model = network()
    losses = [step(model, images, targets, lr=0.1) for _ in range(60)]
    print(f"{name}: first loss {losses[0]:.2f}, after 60 steps on the same batch {losses[-1]:.3f}")
    assert abs(losses[0] - np.log(10)) < 1
    assert losses[-1] < 0.1
chance = np.mean(model(new_noise).argmax(axis=1) == new_guesses)
print(f"on new noise it is right in {chance:.0%} of all cases")
assert chance < 0.2

# %% [markdown]
# ## Learn
#
# Three epochs of 125 steps. The thin line is the loss of each batch, the thick one a mean over 15 of them. Upright
# lines part the epochs.


# %% tags=["rounding"]
def smooth(losses, width=15):
    """The middle step of each window of that width, and the mean loss in the window."""
    means = np.convolve(losses, np.ones(width) / width, mode="valid")
    return np.arange(len(means)) + width // 2, means


model = network()
before = accuracy(model, digits.test)
losses = learn(model, digits.train, lr=0.1, epochs=3)
after = accuracy(model, digits.test)
weights = sum(parameter.value.size for parameter in model.parameters())
print(f"{weights:,} parameters, {len(losses)} steps: mini-test accuracy {before:.1%}, then {after:.1%}")
assert len(losses) == 3 * 125
assert before < 0.3
assert after > 0.88

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.plot(losses, color=INPUT, alpha=0.35, linewidth=0.8)
ax.plot(*smooth(losses), color=OUTPUT, linewidth=2)
ax.axhline(np.log(10), color="0.5", linewidth=0.8)
ax.text(len(losses), np.log(10), "knowing nothing", ha="right", va="bottom", fontsize=9)
for epoch in (1, 2):
    ax.axvline(125 * epoch, color="0.8", linewidth=0.8)
ax.set(xlabel="step", ylabel="loss")
plt.show()

# %% [markdown]
# Steep at first, then flatter, and noisy all the way: each batch is another small sample.
#
# ## The learning rate
#
# One number decides more than all the others. On the left, five runs from the same weights on the same batches.
#
# On the right, a way to find the rate quickly, the *range test*: one short run in which the rate grows by a constant
# factor in every step.

# %% tags=["rounding"]
rates = {0.001: "0.6", 0.01: INPUT, 0.1: KERNEL, 1.0: WINDOW, 30.0: OUTPUT}
curves, last, on = {}, {}, {}
some = data.to_float(digits.test.images[:200])
tested, growth = network(), np.logspace(-4, 1, 120)
with np.errstate(over="ignore", invalid="ignore"):
    for lr in rates:
        model = network()
        curves[lr] = learn(model, digits.train, lr, epochs=1)
        last[lr] = np.mean(curves[lr][-10:])
        features, _ = model[:-1].forward(some, train=True)  # what the dense layer gets, from ReLUs
        on[lr] = np.mean(features != 0)
    stream = batches(digits.train.images, digits.train.labels, 32, seed=1, epoch=0)
    swept = [step(tested, x, labels, lr) for lr, (x, labels) in zip(growth, stream, strict=False)]

print("learning rate  mean of the last ten losses  largest loss  ReLUs that are on")
for lr, curve in curves.items():
    print(f"{lr:13g}  {last[lr]:27.2f}  {max(curve):12.2g}  {on[lr]:17.0%}")
assert 1.5 < last[0.001] < np.mean(curves[0.001][:10])  # too low: it learns, but not in this time
assert last[0.1] < 0.6
assert last[0.1] < last[0.01] < last[0.001]
assert not min(last[1.0], last[30.0]) < 2  # too high: no better than knowing nothing
assert on[0.1] > 0.3
assert on[1.0] == on[30.0] == 0
middle, means = smooth(swept, 9)
lowest = growth[middle[np.nanargmin(means)]]
print(f"range test: lowest smoothed loss at a learning rate of {lowest:.2f}")
assert 0.02 < lowest < 1.5

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained", sharey=True)
for lr, colour in rates.items():
    left.semilogy(*smooth(curves[lr]), color=colour, label=f"{lr:g}")
left.set(title="five learning rates", xlabel="step", ylabel="loss", ylim=(0.25, 60))
left.legend(frameon=False, ncols=5, loc="upper right", columnspacing=1, handlelength=1.2)
right.loglog(growth, swept, color=INPUT, alpha=0.4)
right.loglog(growth[middle], means, color=OUTPUT, linewidth=2)
right.set(title="range test", xlabel="learning rate, growing from step to step")
for ax in (left, right):
    ax.axhline(np.log(10), color="0.5", linewidth=0.8)
    ax.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
plt.show()

# %% [markdown]
# * **Too low** (grey, and blue is still slow): a smooth descent. Not broken, just a waste of time.
# * **Right** (green): steep, then noisy.
# * **Too high** (orange, red): the loss jumps up, by a little or out of the picture. Then it falls back to
#   $\log 10$ (the thin line) and stays there (orange), or hovers above it (red). That is not recovery. The last column
#   says what happened: the large steps have pushed every ReLU of the last block to where it is off, for every image.
#   No gradient passes there, so nothing can switch them on again. Only the ten biases at the end still learn.
#
# From a range test, take a rate well below the one at which the loss turns up.
#
# ## The library's trainer, bit for bit
#
# Now the same run with the library: its optimiser, its step, its loop. The order of the images is a function
# of `(seed, epoch)` in both, so both see the same batches. The weights must be *equal*, not nearly equal.

# %%
mine = network()
my_losses = learn(mine, digits.train, lr=0.1, epochs=2)

theirs = network()
optimizer = optim.SGD(theirs.parameters(), lr=0.1)
results = train.fit(theirs, digits.train, optimizer, epochs=2, batch_size=32, seed=0)
state = theirs.state_dict()
for name, array in mine.state_dict().items():
    assert np.array_equal(array, state[name]), name
assert np.isclose(results[0].train_loss, np.mean(my_losses[:125]))
print(f"all {len(state)} arrays are equal, running statistics included")
print(inspect.getsource(train.steps.Step.__call__))

# %% [markdown]
# It is our step, with a clear error in place of a silent `nan`. (A batch may go through the model in several parts,
# whose gradients are added up; here there is one. `lr_factor` is what a schedule says, and `where` is for the error.)
# What does the rest of the library add?
#
# **A generator.** `train.epochs` yields after each epoch. To stop early, to plot, to save: write it in the body
# of your own loop. There is nothing to configure. Here 800 images are learned, 200 others watch, and the loop stops
# after three epochs without a better loss on those.

# %% tags=["rounding"]
small, held = data.holdout(Split(digits.train.images[::4], digits.train.labels[::4]), 200)
assert (len(small), len(held)) == (800, 200)
model, best, seen = network(), np.inf, []
optimizer = optim.Adam(model.parameters(), lr=0.01)
for result in train.epochs(model, small, optimizer, epochs=40, batch_size=32, validation=held):
    seen.append((result.train_loss, result.validation.loss))
    if min(loss for _, loss in seen[-3:]) > best:
        break
    best = min(best, result.validation.loss)
print(f"stopped after {result.epoch} of 40 epochs")
assert result.epoch < 40

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
for values, colour, label in zip(np.transpose(seen), (INPUT, OUTPUT), ("training", "held out"), strict=True):
    ax.plot(range(1, len(seen) + 1), values, color=colour, marker=".", label=label)
ax.set(xlabel="epoch", ylabel="loss")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The training loss goes to zero and the loss on held-out images stops falling: **overfitting**, seen and stopped by
# three lines.
#
# **Schedules.** A high rate gets far, a low one settles. A schedule is a plain function from the step number
# to a factor on the rate. It stores nothing, so step 1000 of a resumed run has the same rate as ever.
#
# **Augmentation.** Turn, shift and stretch each image a little, anew in each epoch: the network never sees the
# same picture twice, and a turned 7 is still a 7. What happens to an image is a function of
# `(seed, epoch, index)` and nothing else. So neither the batch size nor anything that happened before can
# change it.
#
# The top row shows six schedules over 400 steps, the two rows below two images in eight epochs.

# %%
total = 400
schedules = {
    "constant": optim.constant(),
    "step_decay(130)": optim.step_decay(130),
    "cosine(400)": optim.cosine(total),
    "one_cycle(400)": optim.one_cycle(total),
    "cosine_restarts(100)": optim.cosine_restarts(100),
    "warm_up(cosine(400), 50)": optim.warm_up(optim.cosine(total), 50),
}
factors = {name: np.array([schedule(k) for k in range(total)]) for name, schedule in schedules.items()}
assert all(0 <= values.min() <= values.max() <= 1 for values in factors.values())
np.testing.assert_allclose(
    factors["cosine(400)"], (1 + np.cos(np.pi * np.arange(total) / total)) / 2, atol=1e-12
)

warp = Affine(rotate=15, shift=2, scale=0.15, shear=11)
chosen = np.array([30, 1234])
pixels = data.to_float(digits.train.images[chosen])
versions = [warp(pixels, seed=0, epoch=epoch, index=chosen) for epoch in range(8)]
alone = warp(pixels[1:], seed=0, epoch=3, index=chosen[1:])
assert np.array_equal(alone[0], versions[3][1])  # in another batch: the same bits
assert not np.array_equal(versions[2], versions[3])  # in another epoch: another picture

fig = plt.figure(figsize=(11, 4.4), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=[4, 5])
for ax, (name, values) in zip(top.subplots(1, 6, sharey=True), factors.items(), strict=True):
    ax.plot(values, color=WINDOW)
    ax.set_title(name, fontsize=9)
    ax.set_xlabel("step", fontsize=8)
titles = ["x (28, 28)", *(f"epoch {epoch}" for epoch in range(8))]
for k, row in enumerate(bottom.subplots(2, 9)):
    for ax, images, title in zip(row, [pixels, *versions], titles, strict=True):
        ax.imshow(images[k, 0], cmap="gray_r")
        ax.set_title(title if k == 0 else "", fontsize=9)
        ax.axis("off")
plt.show()

# %% [markdown]
# **Stop and resume.** Order, augmentation and rate are functions of seed, epoch and step. Everything else is in
# the model (weights, running statistics, dropout's counter) and in the optimiser (its moments). Save those, and
# a run can be cut in two without a trace.
#
# Here is a run with everything that could go wrong: AdamW, a schedule, augmentation and dropout. One run goes
# through four epochs. Another stops after two, is saved, and is continued by a *new* model with other initial
# weights, as in a new process.


# %%
def with_dropout(seed):
    plain = network(seed)
    return Sequential(*plain[:-1], Dropout(0.2, rng=np.random.default_rng(seed)), plain[-1])


few = Split(digits.train.images[::8], digits.train.labels[::8])
total = 4 * train.steps_per_epoch(len(few), 32)
how = {"epochs": 4, "batch_size": 32, "seed": 3, "augment": warp, "schedule": optim.one_cycle(total)}

whole = with_dropout(1)
train.fit(whole, few, optim.AdamW(whole.parameters(), lr=0.01), **how)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "checkpoint.npz"
    first = with_dropout(1)
    optimizer = optim.AdamW(first.parameters(), lr=0.01)
    for result in train.epochs(first, few, optimizer, **how):
        checkpoint.save(path, model=first, optimizer=optimizer, epoch=result.epoch)
        if result.epoch == 2:
            break  # the power is cut

    saved = checkpoint.load(path)
    second = with_dropout(99)
    optimizer = optim.AdamW(second.parameters(), lr=0.01)
    second.load_state_dict(saved.state)
    optimizer.load_state_dict(saved.optimizer)
    rest = train.fit(second, few, optimizer, **how, start_epoch=saved.meta["epoch"])

expected = whole.state_dict()
for name, array in second.state_dict().items():
    assert np.array_equal(array, expected[name]), name
assert any(not np.array_equal(array, expected[name]) for name, array in first.state_dict().items())
done = saved.meta["epoch"]
print(f"saved after epoch {done}, resumed for {len(rest)} more: all {len(expected)} arrays are equal")

# %% [markdown]
# **An honest measurement.** `train.evaluate` uses the running statistics, switches dropout off, leaves nothing
# behind, and returns more than one number. All the parts together, in eight epochs. The table counts which digit
# (row) was taken for which (column).

# %% tags=["rounding"]
model = network()
total = 8 * train.steps_per_epoch(len(digits.train), 32)
optimizer = optim.AdamW(model.parameters(), lr=0.01)
schedule, warp = optim.one_cycle(total), Affine(rotate=10, shift=1, scale=0.1)
train.fit(model, digits.train, optimizer, epochs=8, batch_size=32, schedule=schedule, augment=warp)

state = model.state_dict()
result = train.evaluate(model, digits.test.images, digits.test.labels)
assert all(np.array_equal(array, model.state_dict()[name]) for name, array in state.items())
assert result.accuracy == accuracy(model, digits.test) == np.trace(result.confusion) / 1000
print(f"mini-test accuracy {result.accuracy:.1%}; three epochs of plain SGD gave {after:.1%}")
assert result.accuracy > after
plots.confusion(result.confusion, title="mini test")

# %% [markdown]
# ## Exercises
#
# Replace the line that raises. Each cell below an exercise checks your answer.
#
# ### Exercise 1: momentum
#
# SGD with momentum keeps a velocity $v$ for each parameter: $v \leftarrow m\,v + g$, then
# $w \leftarrow w - \mathrm{lr}\cdot v$, where $g$ is the gradient. Write one step, after backward has been run. Each
# parameter has a `.value` and a `.grad`. `velocities` is a list of arrays, one for each parameter; change them in
# place. Do not forget to set the gradients back to zero.


# %% tags=["exercise"]
def momentum_step(parameters, velocities, lr, m):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_1():
    mine, theirs = network(), network()
    optimizer = optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    velocities = [np.zeros_like(parameter.value) for parameter in mine.parameters()]
    for x, labels in batches(digits.train.images[:96], digits.train.labels[:96], 32, seed=0, epoch=0):
        train.train_step(theirs, x, labels, optimizer)
        logits, backward = mine.forward(x, train=True)
        backward(softmax_cross_entropy_backward(softmax_cross_entropy(logits, labels)[1], labels))
        momentum_step(mine.parameters(), velocities, 0.05, 0.9)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-4, atol=1e-6)
        assert not a.grad.any(), "set the gradients back to zero"


# %% [markdown]
# ### Exercise 2: gradient accumulation
#
# A batch too large for the memory can be fed in `parts` equal parts, since gradients add up. Run forward and backward
# for each part, and leave in `.grad` exactly what the whole batch at once would leave there. *Hint: the loss is a
# **mean** over the images it is given.* (The model has no batch norm. Why would that matter?)


# %% tags=["exercise"]
def accumulate(model, x, labels, parts):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_2():
    draw = np.random.default_rng(4)
    model = Sequential(Conv2d(1, 3, 3, stride=3, rng=draw), ReLU(), Flatten(), Linear(243, 10, rng=draw))
    set_impl(model, "im2col").astype(np.float64)
    x, labels = draw.standard_normal((24, 1, 28, 28)), draw.integers(0, 10, 24)
    logits, backward = model.forward(x, train=True)
    backward(softmax_cross_entropy_backward(softmax_cross_entropy(logits, labels)[1], labels))
    wanted = [parameter.grad.copy() for parameter in model.parameters()]
    for parts in (1, 2, 3, 8):
        for parameter in model.parameters():
            parameter.grad[...] = 0
        accumulate(model, x, labels, parts)
        for parameter, gradient in zip(model.parameters(), wanted, strict=True):
            np.testing.assert_allclose(parameter.grad, gradient, atol=1e-12, err_msg=f"{parts} parts")


# %% [markdown]
# ### Exercise 3: an augmentation of your own
#
# Write an augmentation that moves each image one pixel to the left, one to the right, or not at all, at random
# (`np.roll` along the last axis will do). It gets a batch `x`, and `seed`, `epoch` and `index` (an array: the
# place of each image in the data set). What happens to an image must depend on `seed`, `epoch` and its own
# `index` only, or resuming would break. *Hint: `np.random.default_rng` takes a list of numbers.*


# %% tags=["exercise"]
def jiggle(x, *, seed, epoch, index):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def exercise_3():
    index = np.arange(40)
    x = np.random.default_rng(5).random((40, 1, 6, 7)).astype(np.float32)
    before = x.copy()
    y = jiggle(x, seed=7, epoch=2, index=index)
    moves = [[np.array_equal(b, np.roll(a, k, -1)) for k in (-1, 0, 1)] for a, b in zip(x, y, strict=True)]
    assert (np.sum(moves, axis=1) == 1).all(), "each image should be moved by -1, 0 or 1"
    assert np.sum(moves, axis=0).min() > 3, "all three moves should occur"
    part = jiggle(x[11:13], seed=7, epoch=2, index=index[11:13])
    assert np.array_equal(part, y[11:13]), "the other images of the batch may not matter"
    for other in ({"seed": 8, "epoch": 2}, {"seed": 7, "epoch": 3}):
        assert not np.array_equal(jiggle(x, **other, index=index), y), "seed and epoch should matter"
    assert np.array_equal(x, before), "x was changed"
