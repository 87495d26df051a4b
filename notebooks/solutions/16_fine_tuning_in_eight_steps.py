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
def untouched(before, after):
    import numpy as np

    return {name for name in before if np.array_equal(before[name], after[name])}


# %% tags=["solution"]
def both_heads(first, second):
    import numpy as np

    from npdsconv.layers import Linear

    old, extra = first.weight.value, second.weight.value
    head = Linear(old.shape[1], len(old) + len(extra), rng=0)
    head.weight.value[...] = np.concatenate([old, extra])
    head.bias.value[...] = np.concatenate([first.bias.value, second.bias.value])
    return head
