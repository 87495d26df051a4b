"""Optimisers, and learning-rate schedules.

An optimiser takes the gradients that the layers have accumulated in ``parameter.grad`` and moves
``parameter.value``, in place. It knows nothing else about a model:

    optimizer.zero_grad()
    ...                         # forward and backward: the gradients are added up
    optimizer.step()

A schedule is a plain function ``step -> factor``. The factor multiplies the base rate ``optimizer.lr`` for
that one step, ``optimizer.step(factor)``, and nothing is stored: the rate of step 1000 depends only on 1000.

Rules and defaults are those of PyTorch (``torch.optim``), checked against it in the tests.
"""

from npdsconv.optim.adagrad import Adagrad
from npdsconv.optim.averaging import Average
from npdsconv.optim.gradients import add_l1, clip_gradients
from npdsconv.optim.optimizers import SGD, Adam, AdamW, Optimizer
from npdsconv.optim.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    one_cycle,
    step_decay,
    warm_up,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Average",
    "Optimizer",
    "Schedule",
    "add_l1",
    "clip_gradients",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "one_cycle",
    "step_decay",
    "warm_up",
]
