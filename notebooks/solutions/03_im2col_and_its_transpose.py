# %% [markdown]
# # Solutions: im2col and its transpose

# %%
import numpy as np

from npdsconv import col2im


# %% tags=["solution"]
def selection_matrix(size, window):
    """A loop over all rows; each holds at most one 1."""
    (H, W), (KH, KW), (OH, OW) = size, window.kernel, window.output
    (sh, sw), (dh, dw), ((top, _), (left, _)) = window.stride, window.dilation, window.padding
    A = np.zeros((KH * KW * OH * OW, H * W))
    for row, (u, v, i, j) in enumerate(np.ndindex(KH, KW, OH, OW)):  # the order of the formula for the row
        p, q = i * sh + u * dh - top, j * sw + v * dw - left
        if 0 <= p < H and 0 <= q < W:
            A[row, p * W + q] = 1
    return A


# %% tags=["solution"]
def put_together(cols, size, kernel_size, stride):
    """The sum of what the windows say, over their number; where there is none, 0 over 1."""
    total = col2im(cols, size, kernel_size, stride=stride)
    count = col2im(np.ones_like(cols), size, kernel_size, stride=stride)
    return total / np.maximum(count, 1)
