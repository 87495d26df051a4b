# %% [markdown]
# # Solutions: depthwise separable convolution
#
# 1. A filter with a single 1 shifts the picture by one tap. Give each channel all $K_H K_W$ shifts, and let the
#    pointwise weights be the kernel itself. This is im2col, written as a depthwise layer.
# 2. The squared singular values of all channels, without the first $M$ of each, add up to the squared distance.
# 3. Put one formula into the other: $w_{o,c,u,v} = w^d_{o,u,v}\, w^p_{o,c}$. For each output the slice is one column
#    times one row, so its rank is 1. Depthwise first ties the filters of an input together, pointwise first those of
#    an output. (With a bias in the pointwise step and padding in the depthwise step, they would differ at the border.)

# %%
import numpy as np


# %% tags=["solution"]
def as_separable(w):
    o, c, kh, kw = w.shape
    shifts = np.eye(kh * kw).reshape(kh * kw, kh, kw)
    return np.stack([shifts] * c), w.reshape(o, c * kh * kw)


# %% tags=["solution"]
def multiplier_needed(w, tolerance):
    o, c, kh, kw = w.shape
    sigma = np.linalg.svd(w.transpose(1, 0, 2, 3).reshape(c, o, kh * kw), compute_uv=False)
    total = (sigma**2).sum()
    m = 1
    while (sigma[:, m:] ** 2).sum() > tolerance**2 * total:
        m += 1
    return m


# %% tags=["solution"]
def pointwise_first(w_p, w_d):
    return np.einsum("ouv,oc->ocuv", w_d[:, 0], w_p), 1
