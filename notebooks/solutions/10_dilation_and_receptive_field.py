# %% [markdown]
# # Solutions: dilation and the receptive field


# %% tags=["solution"]
# The span is d(K - 1) + 1, so d(K - 1) pixels are lost: half of them on each side.
def padding(K, d):
    return d * (K - 1) // 2


# %% tags=["solution"]
# R after n layers is 1 + 2·(1 + 2 + ... + 2^(n-1)) = 2^(n+1) - 1.
def layers_needed(size):
    n = 0
    while 2 ** (n + 1) - 1 < size:
        n += 1
    return n


# %% tags=["solution"]
# Digits 0, 1, 2 with place values 1, 3, 9: every number from 0 to 26 is written in exactly one way.
def widest():
    return 1, 3, 9
