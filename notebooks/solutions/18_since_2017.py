# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["solution"]
# t·c·(9 + 2c) against 9·c²: t is below 9/2, whatever c is.
def largest_expansion(c):
    return 9 * c // (9 + 2 * c)


# %% tags=["solution"]
def hard_swish_slope(x):
    import numpy as np

    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))
