# %% [markdown]
# # Solutions: three tiers

# %%
import numpy as np

from npdsconv.ops import windows


# %% tags=["solution"]
def by_taps(x, w, stride):
    """One pass for each tap: a slice of the image times one weight for each filter."""
    (N, C, H, W), (_, M, KH, KW), (sh, sw) = x.shape, w.shape, stride
    OH, OW = (H - KH) // sh + 1, (W - KW) // sw + 1
    y = np.zeros((N, C, M, OH, OW), x.dtype)
    for u, v in np.ndindex(KH, KW):
        met = x[:, :, u : u + (OH - 1) * sh + 1 : sh, v : v + (OW - 1) * sw + 1 : sw]
        y += w[:, :, u, v, None, None] * met[:, :, None]
    return y.reshape(N, C * M, OH, OW)


# %% tags=["solution"]
def by_einsum(x, w, window):
    """The formula itself: n, c, m, i and j stay, u and v are summed."""
    fields = windows.windows(windows.pad(x, window.padding), window)
    y = np.einsum("ncijuv, cmuv -> ncmij", fields, w)
    return y.reshape(len(x), -1, *window.output)


# %% tags=["solution"]
def by_taps_dx(dy, w, shape, stride):
    """The forward pass with x and y exchanged: each tap adds to the slice that it has read."""
    (N, C, _, _), (_, M, KH, KW), (sh, sw) = shape, w.shape, stride
    OH, OW = dy.shape[2:]
    dy = dy.reshape(N, C, M, OH, OW)
    dx = np.zeros(shape, dy.dtype)
    for u, v in np.ndindex(KH, KW):
        share = (w[:, :, u, v, None, None] * dy).sum(axis=2)
        dx[:, :, u : u + (OH - 1) * sh + 1 : sh, v : v + (OW - 1) * sw + 1 : sw] += share
    return dx
