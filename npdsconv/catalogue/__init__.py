"""Every op, layer and network of this package once, with examples: what has to know all of them reads it here.

>>> for kind, name, report in run(["relu"], impl="im2col"):
...     print(kind, name, report.ok)
op relu True

`OPS`, `LAYERS` and `MODELS` are the rows. `CASES` are their gradient checks, which :func:`run` runs;
`npdsconv.catalogue.tables` writes the tables of README.md and docs/shapes.md; `npdsconv warmup` runs each example, and
``tests/house`` tests what every op and every layer promises.
"""

from npdsconv.catalogue.checks import CASES, KINDS, Case, run, select
from npdsconv.catalogue.of_layers import LAYERS, MODELS
from npdsconv.catalogue.of_ops import OPS
from npdsconv.catalogue.rows import Example, LayerRow, OpRow, Setting

__all__ = [
    "CASES",
    "KINDS",
    "LAYERS",
    "MODELS",
    "OPS",
    "Case",
    "Example",
    "LayerRow",
    "OpRow",
    "Setting",
    "run",
    "select",
]
