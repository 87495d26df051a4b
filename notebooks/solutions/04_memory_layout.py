# %% [markdown]
# # Solutions: memory layout

# %%
from npdsconv import layout


# %% tags=["solution"]
def strides_of(shape, order):
    """The fastest axis has stride 1; each slower one steps over everything that is faster."""
    sizes = dict(zip("NCHW", shape, strict=True))
    strides, step = {}, 1
    for letter in reversed(order):
        strides[letter] = step
        step *= sizes[letter]
    return tuple(strides[letter] for letter in "NCHW")


# %% tags=["solution"]
def careful(x, gate, w):
    """Stretch the gate by arithmetic, let the channels be the last axis of the product, and copy nothing."""
    opened = x * gate[:, :, None, None]
    return x + layout.nchw(layout.nhwc(opened) @ w.T)
