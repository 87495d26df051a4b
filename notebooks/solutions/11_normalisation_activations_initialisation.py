# %% [markdown]
# # Solutions: activations, initialisation, normalisation


# %% tags=["solution"]
# Half of the square passes as it is, the other half is multiplied by a².
def leaky_variance(fan_in, a):
    return 2 / ((1 + a**2) * fan_in)


# %% tags=["solution"]
# The start has the share (1 - momentum)^t.
def batches_until(share, momentum=0.1):
    t = 0
    while (1 - momentum) ** t >= share:
        t += 1
    return t


# %% tags=["solution"]
# y = scale · (W x - mean) + bias, with one scale for each output channel, that is for each row of W.
def fold(w, norm):
    scale = norm.weight.value / (norm.running_var.value + norm.eps) ** 0.5
    return w * scale[:, None], norm.bias.value - norm.running_mean.value * scale
