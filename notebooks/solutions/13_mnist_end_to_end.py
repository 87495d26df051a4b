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
# Count the classes that are more probable than the true one: it is among the first k if there are fewer than k.
import numpy as np


def top_k(probabilities, labels, k):
    of_truth = probabilities[np.arange(len(labels)), labels]
    return np.mean((probabilities > of_truth[:, None]).sum(axis=1) < k)


# %% tags=["solution"]
def when_sure(probabilities, labels, threshold):
    answered = probabilities.max(axis=1) >= threshold
    return answered.mean(), np.mean(probabilities.argmax(axis=1)[answered] == labels[answered])


# %% tags=["solution"]
# Against the sign of the gradient: each pixel then lowers the logit by epsilon times the size of its gradient.
def fool(network, x, label, epsilon):
    return np.clip(x - epsilon * np.sign(input_gradient(network, x, label)), 0, 1)  # noqa: F821 (in the notebook)
