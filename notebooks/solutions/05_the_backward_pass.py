# %% [markdown]
# # Solutions: the backward pass
#
# 1. Ten times the kernel lies on the lower right window, once the kernel on the upper right one. They share a row.
# 2. $O$ windows along an axis start $s$ pixels apart. Each covers $K$ pixels; if $K > s$, all but the last add only
#    $s$ new ones. That gives the rows that are read. A pixel is read if its row and its column are.
# 3. For each tap, multiply $dy$ with the pixels that this tap has met, and add up.
# 4. Anything that rearranges $dy$, for instance reading it backwards. A sheet of ones does not change.

# %%
import numpy as np


# %% tags=["solution"]
def dx_by_hand():
    return [[0, 1, 2], [0, 10 + 3, 20 + 4], [0, 30, 40]]


# %% tags=["solution"]
def unread(size, taps, stride):
    windows = (size - taps) // stride + 1
    covered = (windows - 1) * min(stride, taps) + taps
    return size**2 - covered**2


# %% tags=["solution"]
def my_dw(dy, x, kernel_size, stride):
    (C, OH, OW), s = dy.shape, stride
    dw = np.zeros((C, *kernel_size))
    for u, v in np.ndindex(*kernel_size):
        met = x[:, u : u + (OH - 1) * s + 1 : s, v : v + (OW - 1) * s + 1 : s]
        dw[:, u, v] = (dy * met).sum(axis=(1, 2))
    return dw


# %% tags=["solution"]
def sly(dy, x, w):
    return dy[::-1] * w, dy[::-1] * x
