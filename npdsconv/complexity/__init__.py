"""What a layer costs: formulas, the table of all layers, sums over a model, and the counter that proves them.

What is counted, always for one image:

* parameters: learned numbers, biases and batch norm's two vectors included, running statistics not;
* MACs: the multiply-adds of convolutions and dense layers in one forward pass, products with padded zeros
  included. Biases, batch norm, activations and pooling count none: they touch every number a few times, a
  convolution touches it tens or hundreds of times;
* FLOPs = 2·MACs, one multiplication and one addition each, and nothing else;
* activation bytes: the size of each layer's output in float32. `Summary.training_bytes` adds up those that a
  training step has to keep.
"""

from npdsconv.complexity.counting import Counted, Tally, count, counted
from npdsconv.complexity.formulas import (
    conv_macs,
    depthwise_macs,
    linear_macs,
    pointwise_macs,
    ratio,
    separable_macs,
)
from npdsconv.complexity.report import Comparison, Summary, compare, summary
from npdsconv.complexity.table import Row, cost

__all__ = [
    "Comparison",
    "Counted",
    "Row",
    "Summary",
    "Tally",
    "compare",
    "conv_macs",
    "cost",
    "count",
    "counted",
    "depthwise_macs",
    "linear_macs",
    "pointwise_macs",
    "ratio",
    "separable_macs",
    "summary",
]
