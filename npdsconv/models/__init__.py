"""Networks: one file for each family. A model is a Sequential that maps images to logits."""

from npdsconv.models.branches import parallel_separable
from npdsconv.models.building import BUILDERS, build, options_of, parse_options
from npdsconv.models.first_blocks import class_maps, multiplied, one_block, two_blocks
from npdsconv.models.folding import fold_batch_norm
from npdsconv.models.large_kernel import large_kernel_cnn
from npdsconv.models.mobilenet import mobilenet_v1, mobilenet_v2
from npdsconv.models.mobilenet_v3 import mobilenet_v3_small
from npdsconv.models.separable_cnn import separable_cnn
from npdsconv.models.separable_compact import separable_compact
from npdsconv.models.separable_mini import dilated_separable, separable_mini
from npdsconv.models.separable_resnet import separable_resnet
from npdsconv.models.small_cnn import small_cnn
from npdsconv.models.transfer import (
    PARTS,
    Matched,
    depthwise_weights,
    draw_weights,
    learn_last,
    learn_only,
    learning,
    load_matching,
    replace_head,
)
from npdsconv.models.twin import standard_twin
from npdsconv.models.vgg_mini import vgg_mini
from npdsconv.models.xception import xception, xception_mini

__all__ = [
    "BUILDERS",
    "PARTS",
    "Matched",
    "build",
    "class_maps",
    "depthwise_weights",
    "dilated_separable",
    "draw_weights",
    "fold_batch_norm",
    "large_kernel_cnn",
    "learn_last",
    "learn_only",
    "learning",
    "load_matching",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "multiplied",
    "one_block",
    "options_of",
    "parallel_separable",
    "parse_options",
    "replace_head",
    "separable_cnn",
    "separable_compact",
    "separable_mini",
    "separable_resnet",
    "small_cnn",
    "standard_twin",
    "two_blocks",
    "vgg_mini",
    "xception",
    "xception_mini",
]
