# %% [markdown]
# # Solutions: the fourth source document

# %%
import numpy as np


# %% tags=["solution"]
# Each row is the kernel laid on an empty image at one place. Most entries are zeros, which is why nobody
# stores this matrix; but it shows at once that the backward pass is the product with its transpose.
def conv_matrix(w, H, W):
    (KH, KW), rows = w.shape, []
    for i, j in np.ndindex(H - KH + 1, W - KW + 1):
        image = np.zeros((H, W))
        image[i : i + KH, j : j + KW] = w
        rows.append(image.ravel())
    return np.array(rows)


# %% tags=["solution"]
# The common part may have a negative width or height: then it is empty.
def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (a, b)]
    return width * height / (sum(areas) - width * height)
