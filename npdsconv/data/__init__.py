"""Data: two data sets of digits, batches, augmentation, and reading pictures of one's own."""

from .augment import Affine
from .batching import Augment, batches, steps_per_epoch, to_float
from .dataset import NAMES, Dataset, Split, choose, few, holdout, load
from .distortions import Compose, Crop, CutOut, Flip, GaussianNoise, SaltAndPepper
from .idx import read_idx

__all__ = [
    "NAMES",
    "Affine",
    "Augment",
    "Compose",
    "Crop",
    "CutOut",
    "Dataset",
    "Flip",
    "GaussianNoise",
    "SaltAndPepper",
    "Split",
    "batches",
    "choose",
    "few",
    "holdout",
    "load",
    "read_idx",
    "steps_per_epoch",
    "to_float",
]
