"""The drawings of the lessons, one file a subject; those of a small convolution are here.

What a user of the library draws of a training run (learning curves, confusions, costs) is in `npdsconv.plots`.
"""

from npdsconv.lessons.pictures.convolution import (
    INK,
    PALE,
    SERIES,
    counts,
    geometries,
    im2col_matrix,
    number,
    outline,
    scatter,
    show,
    sliding,
    sum_of_products,
    tensor,
    wiring,
)
from npdsconv.plots import INPUT, KERNEL, OUTPUT, WINDOW

__all__ = [
    "INK",
    "INPUT",
    "KERNEL",
    "OUTPUT",
    "PALE",
    "SERIES",
    "WINDOW",
    "counts",
    "geometries",
    "im2col_matrix",
    "number",
    "outline",
    "scatter",
    "show",
    "sliding",
    "sum_of_products",
    "tensor",
    "wiring",
]
