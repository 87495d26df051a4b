# %% [markdown]
# # Solutions: a trainer in forty lines

# %%
import numpy as np

from npdsconv import softmax_cross_entropy, softmax_cross_entropy_backward


# %% tags=["solution"]
def momentum_step(parameters, velocities, lr, m):
    for parameter, v in zip(parameters, velocities, strict=True):
        v *= m
        v += parameter.grad
        parameter.value -= lr * v
        parameter.grad[...] = 0


# %% tags=["solution"]
# Each part's loss is a mean over fewer images, so its gradient is `parts` times too large.
# With batch norm the parts would have statistics of their own, and the sum would differ.
def accumulate(model, x, labels, parts):
    size = len(x) // parts
    for start in range(0, len(x), size):
        some = slice(start, start + size)
        logits, backward = model.forward(x[some], train=True)
        _, p = softmax_cross_entropy(logits, labels[some])
        backward(softmax_cross_entropy_backward(p, labels[some]) / parts)


# %% tags=["solution"]
def jiggle(x, *, seed, epoch, index):
    moves = [np.random.default_rng([seed, epoch, i]).integers(-1, 2) for i in index]
    return np.stack([np.roll(image, k, axis=-1) for image, k in zip(x, moves, strict=True)])
