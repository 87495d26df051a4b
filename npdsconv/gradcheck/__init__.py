"""Gradient checking for everybody: your layer or your pair of functions, every input and every parameter.

>>> import numpy as np
>>> from npdsconv.gradcheck import check
>>> x, w = np.random.default_rng(1).standard_normal((2, 4, 3))
>>> report = check(lambda x, w: x * w, lambda dy, x, w: (dy * w, dy * x), x, w)
>>> report.ok, report.max_error < 1e-9
(True, True)

A wrong gradient is named by its array and its element:

>>> def wrong(dy, x, w):
...     dx = dy * w
...     dx[2, 1] *= 1.001
...     return dx, dy * x
>>> report = check(lambda x, w: x * w, wrong, x, w)
>>> report.ok, report.rows[0].name, report.rows[0].index
(False, 'x', (2, 1))

What the check cannot see is never ok. Here forward computes in float32, where small steps vanish:

>>> def forward(x, w):
...     return (x.astype(np.float32) * w.astype(np.float32)).astype(np.float64)
>>> report = check(forward, lambda dy, x, w: (dy * w, dy * x), x, w)
>>> report.ok, report.verdict
(False, 'cannot say')
"""

from __future__ import annotations

from npdsconv.gradcheck.checking import check
from npdsconv.gradcheck.report import Report, Row

__all__ = ["Report", "Row", "check"]
