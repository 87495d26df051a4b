"""Networks: one file for each family. A model is a Sequential that maps images to logits."""

from npdsconv.models.folding import fold_batch_norm
from npdsconv.models.mobilenet import mobilenet_v1, mobilenet_v2
from npdsconv.models.separable_cnn import separable_cnn
from npdsconv.models.small_cnn import small_cnn
from npdsconv.models.twin import standard_twin

__all__ = [
    "fold_batch_norm",
    "mobilenet_v1",
    "mobilenet_v2",
    "separable_cnn",
    "small_cnn",
    "standard_twin",
]
