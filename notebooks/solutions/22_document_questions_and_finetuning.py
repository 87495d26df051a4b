# %% [markdown]
# # Solutions: the second source document

# %%
import numpy as np

from npdsconv import conv2d


# %% tags=["solution"]
def shortcut(c, o, stride):
    return "identity" if c == o and stride == 1 else "projection"


# %% tags=["solution"]
def true_convolution(x, w):
    turned = np.ascontiguousarray(w[::-1, ::-1])
    return conv2d(x[None, None], turned[None, None], impl="naive")[0, 0]


# %% tags=["solution"]
def last_share_by_class(labels, share):
    held = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        places = np.flatnonzero(labels == k)
        held[places[len(places) - round(share * len(places)) :]] = True
    return held
