"""Data: two data sets of digits, data of one's own, batches, augmentation, and reading pictures."""

from .augment import Affine
from .batching import Augment, batches, steps_per_epoch, to_float
from .dataset import NAMES, Dataset, Split, choose, few, holdout, load
from .distortions import Compose, Crop, CutOut, Flip, GaussianNoise, SaltAndPepper
from .idx import read_idx
from .own import from_folder, from_path

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
    "from_folder",
    "from_path",
    "holdout",
    "load",
    "read_idx",
    "steps_per_epoch",
    "to_float",
]
