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
# # 16. Fine-tuning in eight steps
#
# A network has learned the digits 0 to 4 from many pictures. You have 50 pictures of the digits 5 to 9. At the
# end you can make the old network read the new digits, prove what stayed as it was, say what it has forgotten,
# and hand over a saved network that you have timed.
#
# The [second source document](22_document_questions_and_finetuning.ipynb) names eight steps of fine-tuning and
# has no code that runs for them. We take them in its order. You need the training loop
# ([lesson 12](12_a_trainer_in_forty_lines.ipynb)) and the three piles of pictures
# ([lesson 13](13_mnist_end_to_end.ipynb)). Words:
#
# | word | meaning |
# |---|---|
# | head | the last layer with weights; it turns features into one number for each class |
# | body | all layers in front of the head |
# | freeze | keep weights as they are, while others learn |
# | thaw | let frozen weights learn again, block by block, from the head down |
# | source | the network we go on from, and the task that it has learned |

# %%
# %matplotlib inline
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from timeit import repeat

import numpy as np

from npdsconv import checkpoint, complexity, data, models, optim, train
from npdsconv.lessons import exercise
from npdsconv.lessons.pictures.models import gallery
from npdsconv.lessons.pictures.training import curves
from npdsconv.models.transfer import without_head

# %% [markdown]
# ## Steps 1 and 2: choose a network, prepare the data
#
# The package has a trained network: `runs.pretrained()`. For your own pictures it is a good start. For *this*
# lesson it would be cheating: it has seen all ten digits, so it has nothing to learn. We train a source that
# has seen 0 to 4 only, and make its pictures, and the few new ones, from separate digits.

# %% tags=["rounding"]
digits = data.load("mnist5k")
learn, held = data.holdout(digits.train, 1000, seed=0)
pool = data.Dataset("mnist5k", learn, held)  # the test pictures stay out until the end
old, new = data.choose(pool, [0, 1, 2, 3, 4]), data.choose(pool, [5, 6, 7, 8, 9])
few = {seed: data.few(new.train, 50, seed=seed) for seed in (0, 1, 2)}


def network(seed):
    return models.separable_cnn(classes=5, width=0.5, stem_stride=2, rng=seed)


source, epochs = network(0), 4
schedule = optim.one_cycle(epochs * train.steps_per_epoch(len(old.train), 32), warm=0.25)
optimizer = optim.AdamW(source.parameters(), lr=0.01)
train.fit(source, old.train, optimizer, epochs=epochs, batch_size=32, seed=0, schedule=schedule)
knows = train.evaluate(source, old.test.images, old.test.labels).accuracy
print(f"the source reads {knows:.1%} of {len(old.test)} held-out old digits")
print("new pictures of each class:", np.bincount(few[0].labels), "for the digits", *new.names)
assert knows > 0.9

# %% [markdown]
# Look at it before you change it: what are its layers, where are its weights? The picture has the 16 filters of
# the first layer, and below them the first 16 depthwise filters of each block.

# %%
for k, layer in enumerate(source):
    if layer.parameters():
        print(f"{k:2} {type(layer).__name__:25} {sum(p.value.size for p in layer.parameters()):6,} weights")
position, head_weights = len(source) - 1, source[-1].weight.value.shape
assert head_weights == (5, 64)
filters = [source[0].weight.value, *(layer.depthwise.weight.value for layer in source[3:7])]
gallery(np.concatenate([w[:16, 0] for w in filters]), columns=16, size=0.5, signed=True)

# %% [markdown]
# ### How far without any learning?
#
# Take the head off. What is left turns a picture into 64 numbers, its *features*. Call a new picture the class
# whose mean of features is nearest. Nothing is trained, so this is the number that fine-tuning has to beat.


# %% tags=["rounding"]
def score(model, dataset=new):
    return train.evaluate(model, dataset.test.images, dataset.test.labels).accuracy


nearest = [
    np.mean(train.nearest_class_mean(source, f, new.test.images) == new.test.labels) for f in few.values()
]
print(
    f"nearest class mean: {mean(nearest):.1%} of {len(new.test)} held-out new digits; guessing would give 20 %"
)
assert min(nearest) > 0.3

# %% [markdown]
# ## Steps 3 and 4: change the structure, take the weights over
#
# A new head for new classes; all else stays. (The document also takes out layers in the middle. What comes
# behind a missing layer then gets numbers that it has never seen, as
# [lesson 22](22_document_questions_and_finetuning.ipynb) shows.) There are two ways, and they must agree: put a
# new head on a copy, or build a new network and take over what fits by name. A trap: here the old head *fits*
# too, five classes for five. It would say "0" where it should learn "5". So it is left out by name, not by shape.

# %%
model = models.replace_head(source.copy(), 5, rng=0)
other = network(7)
taken = models.load_matching(other, without_head(source))
print("\n".join(str(taken).split("\n")[-4:]))
for name, array in without_head(source).items():
    np.testing.assert_array_equal(model.state_dict()[name], array)
    np.testing.assert_array_equal(other.state_dict()[name], array)
assert len(taken.left) == 2
assert abs(score(model) - 0.2) < 0.2  # it has features, and no idea what they are called

# %% [markdown]
# ## Step 5: train, first the head alone
#
# Freeze the body, and make the optimiser *now*. One that was made before the head was replaced still holds the
# old head's weights: it would train a layer that is no longer there. Such an optimiser is refused.


# %% tags=["rounding"]
def teach(model, seed, optimizer, after=lambda epoch: None, epochs=20):
    """Learn from the 50 pictures of a seed; the share of held-out new digits read after each epoch."""
    shares, how = [], {"epochs": epochs, "batch_size": 10, "seed": seed, "validation": new.test}
    for result in train.epochs(model, few[seed], optimizer, **how):
        shares.append(result.validation.accuracy)
        after(result.epoch)
    return shares


def head_alone(model, seed):
    models.learn_only(model, "head")
    return teach(model, seed, optim.Adam(models.learning(model), lr=0.01))


too_old = optim.Adam(source.parameters())  # made before the head was replaced
try:
    train.train_step(model, few[0].images, few[0].labels, too_old)
except ValueError as error:
    print("refused:", error, "\n")
else:
    raise AssertionError("an optimiser of another network should be refused")

before = {name: array.copy() for name, array in model.state_dict().items()}
head_alone(model, 0)
same = {name for name, array in model.state_dict().items() if np.array_equal(array, before[name])}
print(f"{len(same)} of {len(before)} arrays are the same to the last bit; {score(model):.1%} right")
assert same == set(without_head(model))

# %% [markdown]
# "The same to the last bit" includes batch norm's running means: a frozen batch norm does not listen.
#
# ### Then thaw
#
# Let the last block learn too, then the one before it, and so on. The lower a layer, the smaller its learning
# rate: its filters (edges, strokes) are of use for the new digits as they are. Beside it two rivals: everything
# learns from the first step, and a fresh network that has only the 50 pictures. Three seeds, each with its own
# pictures; the curves are those of the first.


# %% tags=["rounding"]
def rates(model, lr, fall):
    """Groups for an optimiser: `lr` for the head, `fall` times as much for each layer further down."""
    layers = [layer for layer in reversed(list(model)) if layer.parameters()]
    return [{"params": layer.parameters(), "lr": lr * fall**k} for k, layer in enumerate(layers)]


def thawed(model, seed, fall=0.5):
    shares = head_alone(model, seed)
    optimizer = optim.Adam(rates(model, 0.01, fall), lr=0.01)
    models.learn_last(model, 1)
    return shares + teach(model, seed, optimizer, lambda epoch: models.learn_last(model, 1 + epoch // 4))


def at_once(model, seed):
    return teach(model, seed, optim.Adam(model.parameters(), lr=0.01), epochs=40)


def start(seed):
    return models.replace_head(source.copy(), 5, rng=seed)


ways = {"head": head_alone, "thawed": thawed, "all at once": at_once, "from scratch": at_once}
tuned, shares = {}, {}
for way, learn_it in ways.items():
    tuned[way] = [network(seed) if way == "from scratch" else start(seed) for seed in few]
    shares[way] = [learn_it(net, seed) for seed, net in enumerate(tuned[way])]
    assert min(run[-1] for run in shares[way]) > 0.3
drawn = {"head to 20, then thawed": shares["thawed"][0]} | {
    way: shares[way][0] for way in ("all at once", "from scratch")
}
curves({"held-out new digits, share right": drawn}, levels={"nearest class mean": nearest[0]})

# %% [markdown]
# ## Step 6: evaluate, and ask what was forgotten
#
# Two questions to each network. Does it read the new digits? And can its body still do what it could? For the
# second, put the *old* head back on the changed body, and measure the old digits.


# %% tags=["rounding"]
def put_back(model):
    """The old head on the body of `model`."""
    with_old_head = model.copy()
    with_old_head.layers[-1] = source[-1]
    return with_old_head


print(f"{'':14} {'new digits':>17} {'old digits, old head':>22}   (before: {knows:.1%})")
table = {}
for way, nets in tuned.items():
    table[way] = [score(net) for net in nets], [score(put_back(net), old) for net in nets]
    on_new, on_old = (f"{mean(each):.1%} ± {stdev(each):.1%}" for each in table[way])
    print(f"{way:14} {on_new:>17} {on_old if way != 'from scratch' else 'never knew them':>22}")
gap = [a - b for a, b in zip(table["thawed"][0], table["from scratch"][0], strict=True)]
print(f"thawed against from scratch: {mean(gap):+.1%} on average, {sum(g > 0 for g in gap)} of 3 seeds ahead")
assert set(table["head"][1]) == {knows}  # nothing of the body has changed, so nothing is forgotten
assert mean(gap) > 0
assert mean(table["all at once"][1]) < mean(table["thawed"][1]) < knows

# %% [markdown]
# The first line is exact: a frozen body forgets nothing. (Each task then needs its own head: the new one has no
# answer "0".) Whatever lets the body learn pays with the old task, since nothing in the loss would hold it
# back. But the price differs: the thaw, with its small rates below, forgets less than learning all at once. The
# document promises that fine-tuning keeps what was learned;
# [lesson 24](24_document_large_models_and_fine_tuning.ipynb) takes that sentence apart.
#
# ## Step 7: adjust
#
# One setting is worth a second look: how fast the rates fall from layer to layer. With 1 they are all equal. The
# rule, fixed before we look: the best mean on held-out new digits. (Had we to keep the old task, the rule would be
# another one: see the second column.) Then, once, the test pictures.

# %% tags=["rounding"]
tried = {0.5: tuned["thawed"]}
for fall in (1.0, 0.25):
    tried[fall] = [start(seed) for seed in few]
    for seed, net in enumerate(tried[fall]):
        thawed(net, seed, fall)
for fall, nets in sorted(tried.items()):
    print(
        f"fall {fall:4}: new {mean(map(score, nets)):.1%}, old {mean(score(put_back(n), old) for n in nets):.1%}"
    )
assert mean(score(put_back(n), old) for n in tried[1.0]) < mean(score(put_back(n), old) for n in tried[0.25])
fall = max(tried, key=lambda f: mean(map(score, tried[f])))
final = tried[fall][0]
test = data.choose(digits, [5, 6, 7, 8, 9]).test
mini = train.evaluate(final, test.images, test.labels)
print(f"chosen: {fall}. Seed 0 on the mini test: {mini.accuracy:.1%} of {len(test)} new digits")
assert mini.accuracy > mean(nearest)

# %% [markdown]
# ## Step 8: deploy: save, load, fold, time
#
# Save it with the names of its classes: an answer "3" is worth nothing without them. Then do what its user will
# do: build the network, load the file, and compare *every output bit*. Folding batch norm into the convolutions
# comes last; it changes the sums' order, so outputs agree to rounding only.

# %%
with TemporaryDirectory() as folder:
    file = Path(folder) / "late_digits.npz"
    checkpoint.save(file, model=final, names=list(new.names))
    saved = checkpoint.load(file)
    size = file.stat().st_size
loaded = network(1)
loaded.load_state_dict(saved.state)
x = data.to_float(test.images[:100])
np.testing.assert_array_equal(loaded(x), final(x))
folded = models.fold_batch_norm(loaded)
np.testing.assert_allclose(folded(x), final(x), atol=1e-4)
cost = complexity.summary(final, (1, 28, 28))
print(
    f"{cost.params:,} parameters, {cost.macs:,} multiply-adds, {size / 1000:.0f} kB; labels",
    saved.meta["names"],
)
print("it reads the first test picture as", saved.meta["names"][int(folded(x[:1]).argmax())])
assert size < 6 * 4 * cost.params

# %% tags=["timing"]
for name, net in {"as trained": final, "folded": folded}.items():
    seconds = min(repeat("net(x)", number=50, repeat=10, globals={"net": net, "x": x[:1]})) / 50
    print(f"{name:11} {1000 * seconds:.2f} ms for one picture, on this machine")

# %% [markdown]
# ## In short
#
# * Measure what needs no training first: nearest class mean.
# * Head replaced, *then* the optimiser made. Old heads are left out by name.
# * What is frozen is the same to the last bit. Check it.
# * Measure the old task too, or do not say that it was kept.
# * The same from the command line: `npdsconv train --classes 0-4 --out early`, then
#   `npdsconv finetune early --classes 5-9 --labels 50 --train last`.
#
# ## Exercises
#
# Replace the `raise` by your own code, and run the cell and the check below it.
#
# ### Exercise 1: what is the same?
#
# `before` and `after` are state dictionaries: names to arrays. Return the set of names whose arrays are the
# same to the last bit. *Hint: "close" is not "the same".*


# %% tags=["exercise"]
def untouched(before, after):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def what_is_the_same():
    state = source.state_dict()
    assert untouched(state, source.copy().state_dict()) == set(state), "a copy is the same in all its arrays"
    name = "3.depthwise.weight"
    moved = {**state, name: np.nextafter(state[name], np.float32(9))}
    assert untouched(state, moved) == set(state) - {name}, "the next float32 is another number"
    assert untouched(state, tuned["head"][0].state_dict()) == set(without_head(source))


# %% [markdown]
# ### Exercise 2: one head for both tasks
#
# The body of a head-only network is still the source's. So one network can answer for all ten digits: put both
# heads on top of each other. Return a `Linear` layer whose first outputs are those of `first` and whose last
# are those of `second`. *Hint: `layer.weight.value` is (outputs, inputs); make a `Linear`, then write into it.*


# %% tags=["exercise"]
def both_heads(first, second):
    raise NotImplementedError("your code here")


# %% tags=["check"]
@exercise.check
def one_head_for_both_tasks():
    ten = tuned["head"][0].copy()
    ten.layers[-1] = both_heads(source[-1], tuned["head"][0][-1])
    images = data.to_float(held.images[:50])
    apart = np.concatenate([source(images), tuned["head"][0](images)], axis=1)
    np.testing.assert_allclose(ten(images), apart, rtol=1e-5, atol=1e-5, err_msg="old outputs, then new ones")
    share = train.evaluate(ten, held.images, held.labels).accuracy
    assert 0.3 < share < knows, (
        "two heads that never met argue: worse than each alone, much better than chance"
    )
