# %% [markdown]
# # Solutions: gradient checking
#
# 1. Two forward passes and one backward. The step $10^{-5}$ suits float64 and numbers of size 1.
# 2. Through its own $y_c$, $x_c$ has the derivative $1/r$. Through $r$ it has $-x_c/r^3$ times
#    $\sum_k x_k\,dy_k$. Together: $dx = (dy - y\,\langle y, dy\rangle)/r$, the part of $dy$ at right angles to
#    $y$. Along $y$ nothing comes out: making $x$ longer does not change $y$.


# %%
import numpy as np


# %% tags=["solution"]
def directional_error(forward, backward, x, rng):
    dy, v, h = rng.standard_normal(forward(x).shape), rng.standard_normal(x.shape), 1e-5
    a = (backward(dy, x) * v).sum()
    n = ((forward(x + h * v) - forward(x - h * v)) * dy).sum() / (2 * h)
    return abs(a - n) / max(abs(a), abs(n))


# %% tags=["solution"]
def unit_length_backward(dy, x):
    r = np.sqrt((x**2).sum(axis=1, keepdims=True))
    y = x / r
    return (dy - y * (y * dy).sum(axis=1, keepdims=True)) / r
