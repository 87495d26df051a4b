# %% [markdown]
# # Solutions: spatially separable kernels
#
# 1. Take the row and the column of the largest weight: it is not zero, so both carry all that there is to know. Divide
#    by that weight once, since it is in both. Then look whether the product gives the kernel back.
# 2. One row of weights that add up to 1, used downwards and to the right.
# 3. $R (K_H + K_W) < K_H K_W$.

# %%
import numpy as np

from npdsconv import depthwise_conv2d


# %% tags=["solution"]
def split(k):
    u, v = np.unravel_index(np.abs(k).argmax(), k.shape)
    a, b = k[:, v] / k[u, v], k[u]
    if not np.allclose(np.outer(a, b), k, atol=1e-12 * np.abs(k).max()):
        raise ValueError("split: the kernel has a rank above 1")
    return a, b


# %% tags=["solution"]
def blur(x, s):
    r = int(np.ceil(3 * s))
    row = np.exp(-(np.arange(-r, r + 1.0) ** 2) / (2 * s**2))
    filters = np.stack([(row / row.sum())[None, None]] * x.shape[1])  # (C, 1, 1, K)
    across = depthwise_conv2d(x, filters, padding=(0, r), impl="im2col")
    return depthwise_conv2d(across, filters.swapaxes(2, 3), padding=(r, 0), impl="im2col")


# %% tags=["solution"]
def most_terms(kh, kw):
    return (kh * kw - 1) // (kh + kw)
