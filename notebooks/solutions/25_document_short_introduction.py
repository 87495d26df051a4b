# %% [markdown]
# # Solutions: the fifth source document

# %%
import numpy as np


# %% tags=["solution"]
# m(1/O + 1/k²) < 1 means m·k² < O·(k² − m). If m ≥ k² the right side is never positive.
def least_outputs(k, m):
    if m >= k * k:
        return None
    return m * k * k // (k * k - m) + 1


# %% tags=["solution"]
# Each row of the matrix is scaled by weight/√(var + eps), and the shift becomes a bias.
def fold(w, weight, bias, mean, var, eps):
    scale = weight / np.sqrt(var + eps)
    return scale[:, None] * w, bias - scale * mean
