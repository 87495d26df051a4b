# %% [markdown]
# # Solutions: the third source document

# %%
import numpy as np


# %% tags=["solution"]
# Substitute one sum into the other and collect what multiplies each pixel: a sum over the channels between,
# and a full convolution of the taps.
def merge(first, second):
    (_, inputs, kernel, _), (outputs, _, size, _) = first.shape, second.shape
    merged = np.zeros((outputs, inputs, kernel + size - 1, kernel + size - 1))
    for s, t in np.ndindex(size, size):
        merged[:, :, s : s + kernel, t : t + kernel] += np.einsum("ob,bauv->oauv", second[:, :, s, t], first)
    return merged


# %% tags=["solution"]
# For each tap, a shifted piece of the padded image; then one matrix for all pixels.
def dilated_separable(x, g, h, beta, d):
    (_, height, width), k = x.shape, g.shape[1]
    pad = d * (k - 1) // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    u = np.zeros_like(x)
    for a, b in np.ndindex(k, k):
        u += g[:, a, b, None, None] * padded[:, a * d : a * d + height, b * d : b * d + width]
    return beta[:, None, None] + np.tensordot(h, u, axes=1)
