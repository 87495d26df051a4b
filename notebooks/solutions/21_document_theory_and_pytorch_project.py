# %% [markdown]
# # Solutions: the first source document

# %%
import numpy as np


# %% tags=["solution"]
def padding_that_keeps(k, dilation):
    return dilation * (k - 1) // 2  # half of what the kernel spans beyond one pixel


# %% tags=["solution"]
def costs(c, o, k, h, w, stride, padding):
    rows, columns = ((size + 2 * padding - k) // stride + 1 for size in (h, w))
    return rows * columns * (c * k * k + o * c), rows * columns * o * c * k * k


# %% tags=["solution"]
def blind_loss(labels):
    counts = np.bincount(labels)
    share = counts[counts > 0] / len(labels)
    return float(-(share * np.log(share)).sum())
