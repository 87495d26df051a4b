"""Training: one step, the loop around it, and measuring what was learned.

    optimizer = Adam(model.parameters(), lr=3e-3)
    for result in epochs(model, dataset.train, optimizer, epochs=5, batch_size=128, seed=0):
        print(result.epoch, result.train_loss, result.train_accuracy)
    print(evaluate(model, dataset.test.images, dataset.test.labels).accuracy)

`epochs` is a generator. Stopping early, plotting, logging, saving: all of it is ordinary code in the body
of the caller's loop, so there are no callbacks. Between two epochs nothing is held but the arguments.

Order, augmentation and learning rate are functions of (seed, epoch, step), and all other state is in the
model and the optimiser. So a run resumes, to the last bit, from a checkpoint and the number of its epoch.
"""

from npdsconv.data import steps_per_epoch
from npdsconv.train.early_stopping import EarlyStopping
from npdsconv.train.evaluation import Evaluation, evaluate, nearest_class_mean, predict
from npdsconv.train.loop import EpochResult, epochs, fit
from npdsconv.train.range_test import RangeTest, range_test
from npdsconv.train.steps import Loss, cross_entropy, train_step

__all__ = [
    "EarlyStopping",
    "EpochResult",
    "Evaluation",
    "Loss",
    "RangeTest",
    "cross_entropy",
    "epochs",
    "evaluate",
    "fit",
    "nearest_class_mean",
    "predict",
    "range_test",
    "steps_per_epoch",
    "train_step",
]
